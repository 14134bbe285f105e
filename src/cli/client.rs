//! Commands that talk to a running server.

use super::exit;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(clap::Args, Clone)]
pub struct Connection {
    /// Address of the server; default $BREACHCLOCK_SERVER, else http://127.0.0.1:7272
    #[arg(long, global = true)]
    server: Option<String>,
    /// File that holds the token; default $BREACHCLOCK_TOKEN_FILE
    #[arg(long, global = true)]
    token_file: Option<PathBuf>,
    /// Makes a repeated command answer with the first result
    #[arg(long, global = true)]
    idempotency_key: Option<String>,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
}

impl Connection {
    /// Is a server named, on the command line or in the environment?
    pub fn names_a_server(&self) -> bool {
        self.server.is_some() || std::env::var_os("BREACHCLOCK_SERVER").is_some()
    }

    pub fn wants_json(&self) -> bool {
        self.json
    }
}

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

#[derive(clap::Subcommand)]
pub enum ObligationCommand {
    /// The board
    List {
        #[arg(long)]
        standing: Option<String>,
        #[arg(long)]
        overdue: bool,
        #[command(flatten)]
        to: Connection,
    },
    /// One obligation with the derivation of its date
    Show {
        id: String,
        #[command(flatten)]
        to: Connection,
    },
    /// Take it for a while, or decline
    Ack {
        id: String,
        /// For how long, e.g. `2h`
        #[arg(long)]
        lease: Option<String>,
        #[arg(long)]
        by: Option<String>,
        /// Tell the next person now
        #[arg(long)]
        decline: bool,
        #[command(flatten)]
        to: Connection,
    },
    /// Record that the notice was given
    File {
        id: String,
        /// When it was given (RFC 3339); now when left out
        #[arg(long)]
        at: Option<String>,
        #[arg(long)]
        reference: Option<String>,
        /// Proof of the filing: kept with the incident, its hash goes into the evidence
        #[arg(long)]
        proof: Option<PathBuf>,
        /// The recipient's confirmation, kept likewise
        #[arg(long)]
        receipt: Option<PathBuf>,
        /// The mail as it was sent
        #[arg(long)]
        eml: Option<PathBuf>,
        /// What the mail servers said to each other
        #[arg(long)]
        transcript: Option<PathBuf>,
        #[command(flatten)]
        to: Connection,
    },
    /// Record a decision not to notify
    Waive {
        id: String,
        #[arg(long)]
        reason: String,
        /// Who must agree before it counts
        #[arg(long)]
        second_approver: Option<String>,
        /// Day on which it is asked about again, e.g. `2026-06-01`
        #[arg(long)]
        review_on: Option<String>,
        /// Fact whose change ends the decision; may be repeated
        #[arg(long = "reopen-when", value_name = "KEY")]
        reopen_when: Vec<String>,
        /// Structured reason, a word; may be repeated
        #[arg(long = "ground", value_name = "WORD")]
        grounds: Vec<String>,
        /// Fact it rests on, recorded with its present value; may be repeated
        #[arg(long = "input", value_name = "KEY")]
        inputs: Vec<String>,
        /// Severity score it rests on, with `--score-method`
        #[arg(long, requires = "score_method")]
        score: Option<String>,
        #[arg(long, requires = "score")]
        score_method: Option<String>,
        #[command(flatten)]
        to: Connection,
    },
    /// Record the reasons for a late notice
    Delay {
        id: String,
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        to: Connection,
    },
}

/// Base address and token of a server, and one place for all calls.
pub struct Server {
    base: String,
    token: Option<String>,
    key: Option<String>,
}

/// What went wrong, as the contract's exit code; the sentence is printed already.
pub type Called<T> = Result<T, i32>;

impl Server {
    pub fn new(to: &Connection) -> Called<Server> {
        let base = to
            .server
            .clone()
            .or_else(|| std::env::var("BREACHCLOCK_SERVER").ok())
            .unwrap_or_else(|| format!("http://{}", crate::config::DEFAULT_LISTEN));
        let file = to.token_file.clone().or_else(|| std::env::var_os("BREACHCLOCK_TOKEN_FILE").map(PathBuf::from));
        let token = match file {
            None => None,
            Some(path) => match std::fs::read_to_string(&path) {
                Ok(text) => Some(text.trim().to_string()),
                Err(error) => {
                    eprintln!("error: the token file `{}` cannot be read: {error}", path.display());
                    return Err(exit::NO_INPUT);
                }
            },
        };
        Ok(Server { base: base.trim_end_matches('/').to_string(), token, key: to.idempotency_key.clone() })
    }

    /// One request; answers status and body bytes with the file name the server proposed.
    pub fn call_bytes(&self, method: Method, path: &str, body: Option<String>) -> Called<(StatusCode, Vec<u8>)> {
        self.request(method, path, "application/json", body.map(|body| ("application/json", body.into_bytes())))
    }

    /// As [`Server::call_bytes`], with a body of another type.
    pub fn post(&self, path: &str, kind: &str, body: Vec<u8>) -> Called<(StatusCode, Vec<u8>)> {
        self.request(Method::POST, path, "application/json", Some((kind, body)))
    }

    /// A page, as [`Server::call_bytes`]. It is not followed to a login: a person is not there to fill it in.
    pub fn page(&self, path: &str, accept: &str) -> Called<(StatusCode, Vec<u8>)> {
        self.request(Method::GET, path, accept, None)
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        accept: &str,
        body: Option<(&str, Vec<u8>)>,
    ) -> Called<(StatusCode, Vec<u8>)> {
        let runtime = super::serve::runtime().map_err(|_| exit::NEGATIVE)?;
        runtime.block_on(async {
            let url = format!("{}{path}", self.base);
            let redirect = match path.starts_with("/api/") {
                true => reqwest::redirect::Policy::default(),
                false => reqwest::redirect::Policy::none(),
            };
            let client = reqwest::Client::builder().redirect(redirect).build().map_err(|error| {
                eprintln!("error: TLS cannot be set up: {error}");
                exit::NEGATIVE
            })?;
            let mut request = client.request(method, &url).header("accept", accept);
            if let Some(token) = &self.token {
                request = request.bearer_auth(token);
            }
            if let Some(key) = &self.key {
                request = request.header("idempotency-key", key);
            }
            if let Some((kind, body)) = body {
                request = request.header("content-type", kind).body(body);
            }
            let unreachable = |error: reqwest::Error| {
                eprintln!("error: `{}` cannot be reached: {error}; start it with `breachclock serve`, or name it with --server", self.base);
                exit::UNREACHABLE
            };
            let response = request.send().await.map_err(unreachable)?;
            let status = response.status();
            let bytes = response.bytes().await.map_err(unreachable)?.to_vec();
            Ok((status, bytes))
        })
    }

    pub fn get(&self, path: &str) -> Called<Value> {
        self.call(Method::GET, path, None)
    }

    pub fn call(&self, method: Method, path: &str, body: Option<Value>) -> Called<Value> {
        self.call_text(method, path, body.map(|b| b.to_string()))
    }

    pub fn call_text(&self, method: Method, path: &str, body: Option<String>) -> Called<Value> {
        let (status, bytes) = self.call_bytes(method, path, body)?;
        let value: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(value);
        }
        Err(explain(status, &value))
    }
}

/// Prints a problem document and answers the exit code for it.
pub fn explain(status: StatusCode, problem: &Value) -> i32 {
    let text = |key: &str| problem[key].as_str().unwrap_or_default().to_string();
    let detail = if text("detail").is_empty() { text("title") } else { text("detail") };
    eprintln!("error: {}", if detail.is_empty() { status.to_string() } else { detail });
    for fault in problem["errors"].as_array().into_iter().flatten() {
        eprintln!("  {}: {}", fault["pointer"].as_str().unwrap_or(""), fault["detail"].as_str().unwrap_or(""));
    }
    match status.as_u16() {
        401 | 403 => exit::NOT_PERMITTED,
        400 | 413 | 422 => exit::REJECTED,
        502..=504 => exit::UNREACHABLE,
        _ => exit::NEGATIVE,
    }
}

pub fn finish(result: Called<Value>, json: bool, text: impl Fn(&Value) -> String) -> i32 {
    match result {
        Ok(value) => {
            if json {
                super::print_json(&value);
            } else {
                super::print(&text(&value));
            }
            exit::DONE
        }
        Err(code) => code,
    }
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
            let result = Server::new(&to).and_then(|s| s.call_text(Method::POST, "/api/v1/incidents", Some(body)));
            finish(result, to.json, |v| incident_text(&v["incident"]))
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
            Server::new(&to).and_then(|s| s.call(Method::GET, &format!("/api/v1/incidents/{id}/timeline"), None)),
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
            Server::new(&to).and_then(|s| s.get(&format!("/api/v1/incidents/{id}/attachments"))),
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

pub fn obligation(command: ObligationCommand) -> i32 {
    let post = |to: &Connection, id: &str, verb: &str, body: Value| {
        Server::new(to).and_then(|s| s.call(Method::POST, &format!("/api/v1/obligations/{id}/{verb}"), Some(body)))
    };
    match command {
        ObligationCommand::List { standing, overdue, to } => {
            let mut path = format!("/api/v1/obligations?overdue={overdue}");
            if let Some(standing) = standing {
                path.push_str(&format!("&standing={standing}"));
            }
            finish(Server::new(&to).and_then(|s| s.call(Method::GET, &path, None)), to.json, |v| {
                v["items"].as_array().into_iter().flatten().map(obligation_line).collect()
            })
        }
        ObligationCommand::Show { id, to } => finish(
            Server::new(&to).and_then(|s| s.call(Method::GET, &format!("/api/v1/obligations/{id}"), None)),
            to.json,
            |v| {
                let mut text = obligation_line(v);
                for sentence in v["because"].as_array().into_iter().flatten() {
                    text.push_str(&format!("  - {}\n", sentence.as_str().unwrap_or("")));
                }
                text
            },
        ),
        ObligationCommand::Ack { id, lease, by, decline, to } => {
            let lease_seconds = match lease.as_deref().map(crate::escalation::duration) {
                None => None,
                Some(Ok(seconds)) => Some(seconds),
                Some(Err(error)) => {
                    eprintln!("error: --lease: {error}");
                    return exit::USAGE;
                }
            };
            let mut body = json!({ "decline": decline });
            if let Some(seconds) = lease_seconds {
                body["lease_seconds"] = json!(seconds);
            }
            if let Some(by) = by {
                body["by"] = json!(by);
            }
            finish(post(&to, &id, "ack", body), to.json, obligation_line)
        }
        ObligationCommand::File { id, at, reference, proof, receipt, eml, transcript, to } => {
            let mut body = json!({});
            if let Some(at) = at {
                body["at"] = json!(at);
            }
            if let Some(reference) = reference {
                body["reference"] = json!(reference);
            }
            let files = [("proof", proof), ("receipt", receipt), ("eml", eml), ("smtp-transcript", transcript)];
            if let Err(code) = documents(&to, &id, files, &mut body) {
                return code;
            }
            finish(post(&to, &id, "filing", body), to.json, diff_text)
        }
        ObligationCommand::Waive {
            id,
            reason,
            second_approver,
            review_on,
            reopen_when,
            grounds,
            inputs,
            score,
            score_method,
            to,
        } => {
            let mut body =
                json!({ "reason": reason, "reopen_when": reopen_when, "grounds": grounds, "inputs": inputs });
            for (name, value) in [("review_on", review_on), ("score", score), ("score_method", score_method)] {
                if let Some(value) = value {
                    body[name] = json!(value);
                }
            }
            if let Some(second) = second_approver {
                body["second_approver"] = json!(second);
            }
            finish(post(&to, &id, "waiver", body), to.json, obligation_line)
        }
        ObligationCommand::Delay { id, reason, to } => {
            finish(post(&to, &id, "delay", json!({ "reason": reason })), to.json, obligation_line)
        }
    }
}

/// Hands in a file; `about` are further parameters.
fn attach(
    server: &Server,
    incident: &str,
    file: &std::path::Path,
    kind: &str,
    about: &[(&str, Option<String>)],
) -> Called<Value> {
    let bytes = std::fs::read(file).map_err(|error| {
        eprintln!("error: `{}` cannot be read: {error}", file.display());
        exit::NO_INPUT
    })?;
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let escape = crate::notify::links::escape;
    let mut path = format!("/api/v1/incidents/{incident}/attachments?kind={}&name={}", escape(kind), escape(&name));
    for (key, value) in about.iter().filter_map(|(key, value)| Some((key, value.as_ref()?))) {
        path.push_str(&format!("&{key}={}", escape(value)));
    }
    let (status, answer) = server.post(&path, "application/octet-stream", bytes)?;
    let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
    if status.is_success() { Ok(answer) } else { Err(explain(status, &answer)) }
}

/// Hands in the files of a filing and names them in its `body`.
fn documents(to: &Connection, id: &str, files: [(&str, Option<PathBuf>); 4], body: &mut Value) -> Called<()> {
    let incident = id.split_once('~').map_or(id, |(incident, _)| incident);
    let mut entries = Vec::new();
    for (kind, file) in files.iter().filter_map(|(kind, file)| Some((kind, file.as_ref()?))) {
        let mut server = Server::new(to)?;
        // each request has a key of its own
        server.key = server.key.map(|key| format!("{key}/{kind}"));
        let attached = attach(&server, incident, file, kind, &[("obligation", Some(id.to_string()))])?;
        entries.push(attached["entry"].clone());
        if *kind == "proof" {
            body["proof_sha256"] = attached["sha256"].clone();
        }
    }
    if !entries.is_empty() {
        body["documents"] = json!(entries);
    }
    Ok(())
}

fn read_attachment(id: &str, entry: u64, output: Option<&std::path::Path>, to: &Connection) -> Called<i32> {
    let Some(output) = output else {
        eprintln!("error: name the file to write with `--output`");
        return Err(exit::USAGE);
    };
    let path = format!("/api/v1/incidents/{id}/attachments/{entry}");
    let (status, bytes) = Server::new(to)?.call_bytes(Method::GET, &path, None)?;
    if !status.is_success() {
        return Err(explain(status, &serde_json::from_slice(&bytes).unwrap_or_default()));
    }
    if let Err(error) = std::fs::write(output, &bytes) {
        eprintln!("error: `{}` cannot be written: {error}", output.display());
        return Err(exit::NEGATIVE);
    }
    super::print(&format!("{}  {} bytes\n", output.display(), bytes.len()));
    Ok(exit::DONE)
}

fn attachments_text(list: &Value) -> String {
    let line = |a: &Value| {
        let said = |key: &str, before: &str| a[key].as_str().map(|v| format!("{before}{v}")).unwrap_or_default();
        let reads = a["read"].as_array().map_or(0, Vec::len);
        format!(
            "{:>4}  {:<15} {:<24} {:>9} bytes  collected {} by {}{}{}; read {reads} times{}\n",
            a["entry"],
            str_of(a, "kind"),
            a["name"].as_str().unwrap_or("-"),
            a["bytes"],
            str_of(a, "collected_at"),
            a["collected_by"].as_str().unwrap_or("(erased)"),
            said("how", ", "),
            said("tool", ", with "),
            if a["state"] == "erased" { "; ERASED" } else { "" },
        )
    };
    list["items"].as_array().into_iter().flatten().map(line).collect()
}

fn str_of<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or("")
}

fn timeline_text(timeline: &Value) -> String {
    let line = |item: &Value| {
        let by = item["by"].as_str().map(|by| format!(" (by {by})")).unwrap_or_default();
        let obligation = item["obligation"].as_str().and_then(|id| id.split_once('~')).map(|(_, local)| local);
        let about = obligation.map(|id| format!(" [{id}]")).unwrap_or_default();
        format!("{:<27} {:<15} {}{by}{about}\n", str_of(item, "at"), str_of(item, "kind"), str_of(item, "text"))
    };
    timeline["items"].as_array().into_iter().flatten().map(line).collect()
}

fn incident_text(incident: &Value) -> String {
    let mut text = format!("{}  {}\n", str_of(incident, "id"), str_of(incident, "title"));
    for o in incident["obligations"].as_array().into_iter().flatten() {
        text.push_str(&obligation_line(o));
    }
    if let Some(question) = incident["questions"].as_array().and_then(|q| q.first()) {
        text.push_str(&format!("ask first: {} (`{}`)\n", str_of(question, "text"), str_of(question, "key")));
    }
    text
}

fn obligation_line(o: &Value) -> String {
    let when = o["conservative_due"].as_str().map_or_else(
        || if o["promptly"] == true { "promptly".to_string() } else { "no date yet".to_string() },
        |due| format!("before {due}"),
    );
    let holder = o["holder"]["name"].as_str().map_or("nobody has it".to_string(), |name| format!("{name} has it"));
    let warnings = o["warnings"].as_array().into_iter().flatten();
    let late = if o["reasons_missing"] == true { "  the reasons for the delay are missing\n" } else { "" };
    let warnings: String = warnings.map(|w| format!("  warning: {}\n", str_of(w, "text"))).collect();
    format!(
        "  {:<10} {:<28} {} to {}; {holder}\n             {}\n{late}{warnings}",
        str_of(o, "standing"),
        when,
        str_of(o, "title"),
        str_of(o, "recipient_name"),
        str_of(o, "id")
    )
}

fn diff_text(diff: &Value) -> String {
    let mut text = String::new();
    for (word, key) in [("added", "added"), ("moved", "moved"), ("filled", "filled"), ("dropped", "dropped")] {
        for entry in diff[key].as_array().into_iter().flatten() {
            text.push_str(&format!(
                "{word:<8} {} {} -> {}  ({})\n",
                str_of(entry, "id"),
                entry["from"].as_str().unwrap_or("-"),
                entry["to"].as_str().unwrap_or("-"),
                str_of(entry, "because")
            ));
        }
    }
    if diff["reopened"] == true {
        text.push_str("the incident was closed and is open again: an obligation runs\n");
    }
    if text.is_empty() {
        text.push_str("nothing changed\n");
    }
    text
}
