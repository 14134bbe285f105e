//! `GET /api/v1/openapi.json`: the description of the interface, written by hand and held to the route table by a test.

use axum::http::header;
use axum::response::{IntoResponse, Response};

pub const DOCUMENT: &str = include_str!("openapi.json");

pub async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}

#[cfg(test)]
mod tests {
    use super::super::router::ROUTES;
    use serde_json::Value;
    use std::collections::BTreeSet;

    fn document() -> Value {
        serde_json::from_str(super::DOCUMENT).expect("openapi.json is JSON")
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
        for (path, methods) in document()["paths"].as_object().expect("paths") {
            for name in path.split('/').filter_map(|p| p.strip_prefix('{')?.strip_suffix('}')) {
                let declared = methods["parameters"].as_array().is_some_and(|ps| {
                    ps.iter().any(|p| {
                        p["name"] == name || p["$ref"].as_str().is_some_and(|r| r.ends_with(&format!("/{name}")))
                    })
                });
                assert!(declared, "{path} does not declare {name}");
            }
        }
    }
}
