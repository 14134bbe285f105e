//! What the description of the interface says of a request is written by hand: it is what the handlers read.

use crate::web::Server;
use breachclock::workflow::Role;
use serde_json::{Value, json};

/// What a reference of the document stands for.
fn resolved<'d>(document: &'d Value, schema: &'d Value) -> &'d Value {
    match schema["$ref"].as_str() {
        Some(place) => {
            document.pointer(place.trim_start_matches('#')).unwrap_or_else(|| panic!("{place} is not there"))
        }
        None => schema,
    }
}

/// A member that the document names is known to the handler, whatever it thinks of the value; one that nobody named is refused
/// by its name. Reports and deliveries of other tools have members without end and are not asked.
#[tokio::test]
async fn members_of_requests_are_those_that_are_read() {
    let server = Server::start().await;
    let (incident, obligation) = server.breach("Described").await;
    let kim = r#"{"login":"kim","name":"Kim","role":"reporter"}"#;
    assert_eq!(server.post(Role::Admin, "/api/v1/accounts", &[], kim).await.status, 201);
    let document = server.send("GET", "/api/v1/openapi.json", &[], b"").await.json();
    let (mut asked, mut wrong) = (0, Vec::new());
    for (path, methods) in document["paths"].as_object().expect("paths") {
        let schema = resolved(&document, &methods["post"]["requestBody"]["content"]["application/json"]["schema"]);
        let (Some(members), Some(false), false) =
            (schema["properties"].as_object(), schema["additionalProperties"].as_bool(), path.contains("{token}"))
        else {
            continue;
        };
        let own = if path.contains("/obligations/") { &obligation } else { &incident };
        let place = path.replace("{id}", &own.replace('@', "%40")).replace("{login}", "kim");
        let said = async |body: Value| server.post(Role::Admin, &place, &[], &body.to_string()).await;
        for member in members.keys() {
            let reply = said(json!({ member: [[]] })).await;
            asked += 1;
            if reply.body.contains("is not a member") || reply.status >= 500 {
                wrong.push(format!("{path} does not read `{member}`: {} {}", reply.status, reply.body));
            }
        }
        let reply = said(json!({ "nobody_reads_this": 1 })).await;
        if !reply.body.contains("`nobody_reads_this` is not a member") {
            wrong.push(format!("{path} takes what the document excludes: {} {}", reply.status, reply.body));
        }
        // the refusal names what is read: nothing that the document leaves out
        let known =
            reply.body.split_once("it may have ").and_then(|(_, rest)| rest.split(['"', ';']).next()).unwrap_or("");
        for read in known.split(", ").filter(|read| !read.is_empty() && !members.contains_key(*read)) {
            wrong.push(format!("{path} reads `{read}`, which the document does not name"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(asked > 30, "only {asked} members");
}
