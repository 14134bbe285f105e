//! `incident`: report and read incidents through a server.

use super::answers::{diff_text, incident_text, str_of, timeline_text};
use super::attachments::{attach, attachments_text, read_attachment};
use super::client::{Called, Connection, Method, Server, StatusCode, explain, finish};
use super::exit;
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(clap::Subcommand)]
pub enum IncidentCommand {
    /// Report an incident: a file (JSON or TOML, `-` for standard input), or one line of text
    Report {
        report: String,
        #[command(flatten)]
        to: Connection,
    },
    /// Incidents, newest first
    List {
        /// Only incidents with an obligation past its limit
        #[arg(long)]
        overdue: bool,
        #[command(flatten)]
        to: Connection,
    },
    /// One incident with its obligations
    Show {
        id: String,
        #[command(flatten)]
        to: Connection,
    },
    /// What was known when: facts, limits, messages, decisions and filings as the evidence log has them
    Timeline {
        id: String,
        #[command(flatten)]
        to: Connection,
    },
    /// Assert facts: KEY=VALUE, where VALUE is JSON or a word
    Assert {
        id: String,
        #[arg(required = true)]
        facts: Vec<String>,
        #[command(flatten)]
        to: Connection,
    },
    /// Say which configured entity an incident is about
    Entity {
        id: String,
        /// Id of an entity of the configuration
        entity: String,
        #[command(flatten)]
        to: Connection,
    },
    /// Accept limits that changed rule packs move later; all that wait, or the named ones
    SignOff {
        id: String,
        /// Why the later limit is right
        #[arg(long)]
        reason: String,
        #[arg(long = "obligation", value_name = "ID")]
        obligations: Vec<String>,
        #[command(flatten)]
        to: Connection,
    },
    /// The open clocks on one page to print: dates, who has them, whom to call; for when the server is gone
    Sheet {
        /// Only this incident
        id: Option<String>,
        /// Write the page to a file; else to standard output
        #[arg(short, long)]
        output: Option<PathBuf>,
        #[command(flatten)]
        to: Connection,
    },
    /// Hand in a file: who collected it, when, how and with which tool is recorded
    Attach {
        id: String,
        file: PathBuf,
        /// proof, receipt, eml, smtp-transcript, letter or evidence
        #[arg(long, default_value = "evidence")]
        kind: String,
        /// The obligation it belongs to
        #[arg(long)]
        obligation: Option<String>,
        /// Who collected it; else whose token it is
        #[arg(long)]
        by: Option<String>,
        /// When it was collected (RFC 3339); now when left out
        #[arg(long)]
        at: Option<String>,
        /// How, in a sentence
        #[arg(long)]
        how: Option<String>,
        /// With which tool
        #[arg(long)]
        tool: Option<String>,
        #[command(flatten)]
        to: Connection,
    },
    /// The files of an incident with their chain of custody; with a number and `-o`, one file
    Attachments {
        id: String,
        /// Number of the file's entry
        entry: Option<u64>,
        /// File to write it to
        #[arg(short, long, requires = "entry")]
        output: Option<PathBuf>,
        #[command(flatten)]
        to: Connection,
    },
    /// Close an incident in which nothing runs any more
    Close {
        id: String,
        #[command(flatten)]
        to: Connection,
    },
}

pub fn incident(command: IncidentCommand) -> i32 {
    match command {
        IncidentCommand::Report { report, to } => {
            let body = if report == "-" || std::path::Path::new(&report).is_file() {
                match super::read_input(&report) {
                    Ok(text) => text,
                    Err(code) => return code,
                }
            } else if (report.ends_with(".json") || report.ends_with(".toml")) && !report.contains(' ') {
                eprintln!("error: `{report}` does not exist");
                return exit::NO_INPUT;
            } else {
                json!({ "title": report }).to_string()
            };
            let server = match Server::new(&to) {
                Ok(server) => server,
                Err(code) => return code,
            };
            finish(server.call_text(Method::POST, "/api/v1/incidents", Some(body)), to.json, |v| {
                // what to ask first is worked out for readers; who may only report is shown what the report brought
                let path = format!("/api/v1/incidents/{}", str_of(&v["incident"], "id"));
                let read = server.call_bytes(Method::GET, &path, None).ok().filter(|(status, _)| status.is_success());
                let read = read.and_then(|(_, bytes)| serde_json::from_slice::<Value>(&bytes).ok());
                incident_text(read.as_ref().unwrap_or(&v["incident"]))
            })
        }
        IncidentCommand::List { overdue, to } => {
            let path = if overdue { "/api/v1/incidents?overdue=true" } else { "/api/v1/incidents" };
            finish(Server::new(&to).and_then(|s| s.call(Method::GET, path, None)), to.json, |v| {
                let mut text = String::new();
                for i in v["items"].as_array().into_iter().flatten() {
                    text.push_str(&format!(
                        "{}  {:>2} open, {:>2} late, next {:<20}  {}\n",
                        str_of(i, "id"),
                        i["open_obligations"],
                        i["overdue"],
                        i["next_due"].as_str().unwrap_or("-"),
                        str_of(i, "title")
                    ));
                }
                text
            })
        }
        IncidentCommand::Show { id, to } => finish(
            Server::new(&to).and_then(|s| s.call(Method::GET, &format!("/api/v1/incidents/{id}"), None)),
            to.json,
            incident_text,
        ),
        IncidentCommand::Timeline { id, to } => finish(
            Server::new(&to).and_then(|s| s.whole(&format!("/api/v1/incidents/{id}/timeline"))),
            to.json,
            timeline_text,
        ),
        IncidentCommand::Assert { id, facts, to } => {
            let mut table = serde_json::Map::new();
            for fact in &facts {
                let Some((key, value)) = fact.split_once('=') else {
                    eprintln!("error: `{fact}` is not KEY=VALUE");
                    return exit::USAGE;
                };
                // a word that is no JSON is a text
                table.insert(
                    key.to_string(),
                    serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_string())),
                );
            }
            let result = Server::new(&to).and_then(|s| {
                s.call(Method::POST, &format!("/api/v1/incidents/{id}/facts"), Some(Value::Object(table)))
            });
            finish(result, to.json, diff_text)
        }
        IncidentCommand::Entity { id, entity, to } => {
            let body = json!({ "entity": entity });
            finish(
                Server::new(&to)
                    .and_then(|s| s.call(Method::POST, &format!("/api/v1/incidents/{id}/entity"), Some(body))),
                to.json,
                diff_text,
            )
        }
        IncidentCommand::SignOff { id, reason, obligations, to } => {
            let body = json!({ "reason": reason, "obligations": obligations });
            finish(
                Server::new(&to)
                    .and_then(|s| s.call(Method::POST, &format!("/api/v1/incidents/{id}/sign-off"), Some(body))),
                to.json,
                incident_text,
            )
        }
        IncidentCommand::Sheet { id, output, to } => {
            sheet(id.as_deref(), output.as_deref(), &to).unwrap_or_else(|code| code)
        }
        IncidentCommand::Attach { id, file, kind, obligation, by, at, how, tool, to } => {
            let about = [("by", by), ("at", at), ("how", how), ("tool", tool), ("obligation", obligation)];
            let attached = Server::new(&to).and_then(|server| attach(&server, &id, &file, &kind, &about));
            finish(attached, to.json, |v| {
                format!("entry {}, {} bytes, sha256 {}\n", v["entry"], v["bytes"], str_of(v, "sha256"))
            })
        }
        IncidentCommand::Attachments { id, entry: Some(entry), output, to } => {
            read_attachment(&id, entry, output.as_deref(), &to).unwrap_or_else(|code| code)
        }
        IncidentCommand::Attachments { id, entry: None, to, .. } => finish(
            Server::new(&to).and_then(|s| s.whole(&format!("/api/v1/incidents/{id}/attachments"))),
            to.json,
            attachments_text,
        ),
        IncidentCommand::Close { id, to } => finish(
            Server::new(&to).and_then(|s| s.call(Method::POST, &format!("/api/v1/incidents/{id}/close"), None)),
            to.json,
            incident_text,
        ),
    }
}

/// The sheet as the server writes it: HTML, or JSON.
fn sheet(id: Option<&str>, output: Option<&std::path::Path>, to: &Connection) -> Called<i32> {
    let path = id.map_or("/sheet".to_string(), |id| format!("/sheet?incident={}", crate::notify::links::escape(id)));
    let accept = if to.json { "application/json" } else { "text/html" };
    let (status, body) = Server::new(to)?.page(&path, accept)?;
    if !status.is_success() {
        // the answer is a page for browsers: the same refusal in words
        let (status, detail) = match status {
            StatusCode::NOT_FOUND => (status, format!("there is no incident `{}`", id.unwrap_or_default())),
            _ if status.is_redirection() => {
                let detail = "the token is missing, unknown, expired or revoked: name its file with --token-file; or the server redirects: give its https address";
                (StatusCode::UNAUTHORIZED, detail.to_string())
            }
            _ => (status, String::new()),
        };
        return Err(explain(status, &json!({ "detail": detail })));
    }
    let text = String::from_utf8_lossy(&body);
    match output {
        None => super::print(&text),
        Some(path) => std::fs::write(path, text.as_bytes()).map_err(|error| {
            eprintln!("error: `{}` cannot be written: {error}", path.display());
            exit::NEGATIVE
        })?,
    }
    Ok(exit::DONE)
}
