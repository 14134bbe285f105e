//! Makes the document: `operations.json` says by hand what each operation is, the types say what is answered.
//!
//! What follows from the kind of an operation is added here and written nowhere: the faults that every one of its kind may
//! answer, the parameters of its path, the idempotency key of a POST.

use super::shapes::shapes;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const OPERATIONS: &str = include_str!("operations.json");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    info: Value,
    servers: Value,
    security: Value,
    faults: BTreeMap<String, Fault>,
    paths: Map<String, Value>,
    components: Components,
}

/// An answer that is a problem, under the name by which operations refer to it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fault {
    status: String,
    description: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

/// Parts by their names. The schemas are those of requests: bodies are read member by member, see `web::body`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Components {
    security_schemes: Value,
    parameters: Map<String, Value>,
    headers: Value,
    responses: Map<String, Value>,
    schemas: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Operation {
    operation_id: String,
    summary: String,
    description: Option<String>,
    security: Option<Value>,
    /// Names of shared ones, and whole ones.
    #[serde(default)]
    parameters: Vec<Value>,
    /// The schema of a body that may be JSON or TOML.
    takes: Option<String>,
    #[serde(default)]
    may_be_empty: bool,
    /// A body that is something else.
    request_body: Option<Value>,
    answers: BTreeMap<String, Answer>,
    /// Faults besides those that follow from what it is.
    #[serde(default)]
    faults: Vec<String>,
    /// Faults that would follow and do not.
    #[serde(default)]
    never: Vec<String>,
    /// Nothing is added: `answers` names everything.
    #[serde(default)]
    bare: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    /// Of the shared answers; then there is nothing else.
    shared: Option<String>,
    #[serde(default)]
    description: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// What is answered as JSON.
    schema: Option<String>,
    /// What is answered otherwise.
    #[serde(default)]
    content: Map<String, Value>,
}

/// The whole document.
pub fn document() -> Value {
    let written: Written = serde_json::from_str(OPERATIONS).expect("operations.json has the members read here");
    let mut paths = Map::new();
    for (path, methods) in &written.paths {
        let mut item = Map::new();
        let named: Vec<Value> = names(path).map(|name| reference("parameters", name)).collect();
        if !named.is_empty() {
            item.insert("parameters".into(), named.into());
        }
        for (method, operation) in methods.as_object().expect("methods of a path") {
            let operation = Operation::deserialize(operation)
                .unwrap_or_else(|error| panic!("{method} {path} in operations.json: {error}"));
            item.insert(method.clone(), written.operation(path, method, operation));
        }
        paths.insert(path.clone(), item.into());
    }
    let mut responses = written.components.responses.clone();
    responses.extend(written.faults.iter().map(|(name, fault)| (name.clone(), fault.response())));
    let mut schemas = shapes();
    for (name, schema) in &written.components.schemas {
        let twice = schemas.insert(name.clone(), schema.clone());
        assert!(twice.is_none(), "the schema {name} is that of a type, and in operations.json");
    }
    json!({
        "openapi": "3.1.0",
        "info": written.info,
        "servers": written.servers,
        "security": written.security,
        "paths": paths,
        "components": {
            "securitySchemes": written.components.security_schemes,
            "parameters": written.components.parameters,
            "headers": written.components.headers,
            "responses": responses,
            "schemas": schemas,
        },
    })
}

impl Written {
    fn operation(&self, path: &str, method: &str, operation: Operation) -> Value {
        let is_post = method == "post";
        let mut parameters: Vec<Value> = Vec::new();
        if is_post && !operation.bare {
            parameters.push(reference("parameters", "idempotency"));
        }
        parameters.extend(operation.parameters.iter().map(|parameter| match parameter {
            Value::String(name) => reference("parameters", name),
            whole => whole.clone(),
        }));
        let usual = if operation.bare { Vec::new() } else { self.usual_faults(path, is_post, &operation) };
        let usual = usual.into_iter().filter(|fault| !operation.never.iter().any(|never| never == fault));
        let mut answers: BTreeMap<&str, Value> =
            operation.answers.iter().map(|(status, answer)| (status.as_str(), answer.response())).collect();
        for fault in usual.chain(operation.faults.iter().map(String::as_str)) {
            let status = &self.faults.get(fault).unwrap_or_else(|| panic!("{path}: there is no fault {fault}")).status;
            answers.insert(status, reference("responses", fault));
        }
        let body = operation.request_body.clone().or(operation.takes.as_ref().map(|schema| {
            let schema = json!({ "schema": reference("schemas", schema) });
            let content = json!({ "application/json": schema, "application/toml": schema });
            json!({ "required": !operation.may_be_empty, "content": content })
        }));
        let whole = [
            ("operationId", Some(operation.operation_id.into())),
            ("summary", Some(operation.summary.into())),
            ("description", operation.description.map(Value::from)),
            ("security", operation.security),
            ("parameters", (!parameters.is_empty()).then(|| parameters.into())),
            ("requestBody", body),
            ("responses", Some(json!(answers))),
        ];
        whole.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// The faults that follow from what an operation is.
    fn usual_faults(&self, path: &str, is_post: bool, operation: &Operation) -> Vec<&'static str> {
        let has_body = operation.takes.is_some() || operation.request_body.is_some();
        let shared = |name: &str| operation.parameters.iter().any(|parameter| parameter == name);
        let reads_query = operation.parameters.iter().any(|parameter| {
            let whole = parameter.as_str().and_then(|name| self.components.parameters.get(name)).unwrap_or(parameter);
            whole["in"] == "query"
        });
        let is_open = operation.security.as_ref().is_some_and(|security| *security == json!([]));
        [
            ("BadRequest", is_post || reads_query),
            ("Unauthorized", !is_open),
            ("Forbidden", !is_open),
            ("NotFound", names(path).next().is_some()),
            ("TooSlow", has_body),
            ("Stale", shared("ifMatch")),
            ("TooLarge", has_body),
            ("Rejected", is_post),
            ("TooMany", true),
            ("StoreFailed", true),
        ]
        .into_iter()
        .filter_map(|(fault, follows)| follows.then_some(fault))
        .collect()
    }
}

impl Fault {
    fn response(&self) -> Value {
        let problem = json!({ "application/problem+json": { "schema": reference("schemas", "Problem") } });
        response(&self.description, &self.headers, problem)
    }
}

impl Answer {
    fn response(&self) -> Value {
        if let Some(shared) = &self.shared {
            return reference("responses", shared);
        }
        let mut content = Map::new();
        if let Some(schema) = &self.schema {
            content.insert("application/json".into(), json!({ "schema": reference("schemas", schema) }));
        }
        content.extend(self.content.clone());
        response(&self.description, &self.headers, content.into())
    }
}

fn response(description: &str, headers: &BTreeMap<String, String>, content: Value) -> Value {
    let mut whole = Map::new();
    whole.insert("description".into(), description.into());
    if !headers.is_empty() {
        let headers: Map<String, Value> =
            headers.iter().map(|(header, part)| (header.clone(), reference("headers", part))).collect();
        whole.insert("headers".into(), headers.into());
    }
    if content.as_object().is_some_and(|content| !content.is_empty()) {
        whole.insert("content".into(), content);
    }
    whole.into()
}

fn reference(kind: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{kind}/{name}") })
}

/// The names of the parameters in a path.
pub fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}
