//! `evidence fields`, `erase`, `hold` and `withhold`: personal values, through a server.

use super::client::{Connection, Method, Server, finish};
use serde_json::{Value, json};

#[derive(clap::Subcommand)]
pub enum Command {
    /// The personal fields of an incident, by the pointers that `erase` and `withhold` take
    Fields {
        id: String,
        #[command(flatten)]
        to: Connection,
    },
    /// Erase personal values for good: from disclosures with their keys, record and messages
    Erase {
        id: String,
        /// Pointer of a field, `/<entry>/<field>` or `/<field>`; its value goes wherever it stands; may be repeated
        #[arg(long)]
        field: Vec<String>,
        /// Name of a person; each text that names one goes; may be repeated
        #[arg(long)]
        subject: Vec<String>,
        /// Legal basis of the erasure
        #[arg(long)]
        basis: String,
        /// What the person's request is known by
        #[arg(long)]
        request_ref: String,
        /// Who authorised it; default: whose token it is
        #[arg(long)]
        by: Option<String>,
        #[command(flatten)]
        to: Connection,
    },
    /// Forbid to erase anything of an incident, or allow it again
    #[command(subcommand)]
    Hold(HoldCommand),
    /// Keep fields out of exports other than `internal`; the bundle says how many and why
    Withhold {
        id: String,
        /// Pointer of a field; may be repeated
        #[arg(long, required = true)]
        field: Vec<String>,
        /// One word, such as `privileged` or `third-party`
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        to: Connection,
    },
}

#[derive(clap::Subcommand)]
pub enum HoldCommand {
    /// Nothing of the incident is erased until the hold is lifted
    Set {
        id: String,
        /// Why, e.g. the proceedings it is kept for
        #[arg(long)]
        ground: String,
        #[command(flatten)]
        to: Connection,
    },
    /// Erasing is allowed again
    Lift {
        id: String,
        #[arg(long)]
        ground: String,
        #[command(flatten)]
        to: Connection,
    },
}

pub fn run(command: Command) -> i32 {
    let ask = |to: &Connection, path: String, body: Value, text: fn(&Value) -> String| {
        let path = format!("/api/v1/incidents/{path}");
        let answer = Server::new(to).and_then(|server| server.call(Method::POST, &path, Some(body)));
        finish(answer, to.json, text)
    };
    match command {
        Command::Fields { id, to } => {
            let fields = Server::new(&to).and_then(|server| server.whole(&format!("/api/v1/incidents/{id}/fields")));
            finish(fields, to.json, fields_text)
        }
        Command::Erase { id, field, subject, basis, request_ref, by, to } => {
            let mut body = json!({ "fields": field, "subjects": subject, "basis": basis, "request": request_ref });
            if let Some(by) = by {
                body["by"] = json!(by);
            }
            ask(&to, format!("{id}/erasure"), body, erased_text)
        }
        Command::Hold(HoldCommand::Set { id, ground, to }) => {
            ask(&to, format!("{id}/hold"), json!({ "ground": ground }), hold_text)
        }
        Command::Hold(HoldCommand::Lift { id, ground, to }) => {
            ask(&to, format!("{id}/hold/lift"), json!({ "ground": ground }), hold_text)
        }
        Command::Withhold { id, field, reason, to } => {
            let body = json!({ "fields": field, "reason": reason });
            ask(&to, format!("{id}/withholding"), body, |answer| {
                format!("withheld as {}: {}\n", word(answer, "reason"), names(&answer["fields"]))
            })
        }
    }
}

fn word<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn names(list: &Value) -> String {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
}

fn fields_text(answer: &Value) -> String {
    let mut text = String::new();
    for field in answer["items"].as_array().into_iter().flatten() {
        let value = match &field["value"] {
            Value::Null => "(erased)".to_string(),
            Value::String(value) => value.clone(),
            other => other.to_string(),
        };
        let withheld = field["withheld"].as_str().map(|why| format!("  [withheld: {why}]")).unwrap_or_default();
        text.push_str(&format!("{:<28} {:<24} {value}{withheld}\n", word(field, "field"), word(field, "entry")));
    }
    if !answer["hold"].is_null() {
        text.push_str(&format!("held since {}: {}\n", word(&answer["hold"], "since"), word(&answer["hold"], "ground")));
    }
    text
}

fn erased_text(answer: &Value) -> String {
    let count = |key: &str| answer[key].as_u64().unwrap_or_default();
    let mut text = format!(
        "erased: {}\n{} texts of the incident and {} messages read `erased` now\n",
        names(&answer["fields"]),
        count("texts"),
        count("messages")
    );
    let remains: Vec<String> =
        answer["remains"].as_array().into_iter().flatten().map(|n| format!("entry {n}")).collect();
    if !remains.is_empty() {
        let entries = remains.join(", ");
        text.push_str(&format!(
            "as an identifier the name stands in the log, which is never changed: {entries}; give tokens and people ids that \
             name nobody\n"
        ));
    }
    text
}

fn hold_text(answer: &Value) -> String {
    match &answer["hold"] {
        Value::Null => format!("{} is not held any more\n", word(answer, "incident")),
        hold => format!("{} is held: {}\n", word(answer, "incident"), word(hold, "ground")),
    }
}
