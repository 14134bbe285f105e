//! `GET /api/v1/openapi.json`: the description of the interface, made by the program; see `assemble`.
//!
//! `docs/schemas/openapi.json` is the same document, for readers and for whoever wants to see what a change does to programs.

mod assemble;
mod shapes;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use std::sync::LazyLock;

pub use shapes::Entry;

static DOCUMENT: LazyLock<String> = LazyLock::new(|| format!("{:#}\n", assemble::document()));

pub async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.as_str()).into_response()
}

#[cfg(test)]
mod tests {
    use super::super::router::ROUTES;
    use super::DOCUMENT;
    use super::assemble::{document, names};
    use serde_json::Value;
    use std::collections::BTreeSet;

    #[test]
    fn the_copy_in_the_manual_is_what_is_served() {
        let place = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/schemas/openapi.json");
        if std::env::var_os("BREACHCLOCK_BLESS").is_some() {
            std::fs::write(place, DOCUMENT.as_str()).expect("written");
        }
        let copy = std::fs::read_to_string(place).unwrap_or_default();
        let differs = copy.lines().zip(DOCUMENT.lines()).position(|(copy, made)| copy != made).map(|at| at + 1);
        let help = "the interface changed: run this test with BREACHCLOCK_BLESS=1, and read the difference";
        assert!(copy == *DOCUMENT, "docs/schemas/openapi.json differs from line {differs:?} on; {help}");
    }

    fn is_described(path: &str) -> bool {
        ["/api/", "/a/", "/calendar/", "/rota/"].iter().any(|start| path.starts_with(start))
            || matches!(path, "/healthz" | "/readyz" | "/metrics")
    }

    #[test]
    fn describes_every_route_and_no_other() {
        let document = document();
        let mut described = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().expect("paths") {
            for method in methods.as_object().expect("methods").keys().filter(|m| *m != "parameters") {
                described.insert((method.to_uppercase(), path.clone()));
            }
        }
        let routed: BTreeSet<_> =
            ROUTES.iter().filter(|(_, path)| is_described(path)).map(|(m, p)| (m.to_string(), p.to_string())).collect();
        assert_eq!(described, routed);
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_schema_is_used() {
        fn collect(value: &Value, found: &mut BTreeSet<String>) {
            match value {
                Value::Object(members) => {
                    for (name, member) in members {
                        if let ("$ref", Value::String(target)) = (name.as_str(), member) {
                            found.insert(target.clone());
                        }
                        collect(member, found);
                    }
                }
                Value::Array(items) => items.iter().for_each(|i| collect(i, found)),
                _ => {}
            }
        }
        let document = document();
        let mut found = BTreeSet::new();
        collect(&document, &mut found);
        for target in &found {
            assert!(document.pointer(target.trim_start_matches('#')).is_some(), "{target} leads nowhere");
        }
        for name in document["components"]["schemas"].as_object().expect("schemas").keys() {
            assert!(found.contains(&format!("#/components/schemas/{name}")), "{name} is never used");
        }
    }

    #[test]
    fn every_parameter_of_a_path_is_declared() {
        let document = document();
        for (path, methods) in document["paths"].as_object().expect("paths") {
            for name in names(path) {
                let is_it =
                    |p: &Value| document.pointer(p["$ref"].as_str().unwrap_or_default().trim_start_matches('#'));
                let declared = methods["parameters"].as_array().is_some_and(|ps| {
                    ps.iter().filter_map(is_it).any(|p| p["name"] == name && p["in"] == "path" && p["required"] == true)
                });
                assert!(declared, "{path} does not declare {name}");
            }
        }
    }
}
