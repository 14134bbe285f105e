//! `obligation`: acknowledge, record filings and decisions through a server.

use super::answers::{diff_text, obligation_line};
use super::attachments::documents;
use super::client::{Connection, Method, Server, explain, finish};
use super::exit;
use serde_json::{Value, json};
use std::path::PathBuf;

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
    /// The notice as far as it is known, with its gaps marked. Nothing is saved or sent
    Draft {
        id: String,
        /// Id of another form; `law forms` lists them
        #[arg(long)]
        form: Option<String>,
        /// text, json or docx
        #[arg(long, default_value = "text")]
        format: String,
        /// File to write; else standard output
        #[arg(short, long)]
        output: Option<PathBuf>,
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
    /// Record a decision not to notify, agree to one that waits, or take one back
    Waive {
        id: String,
        #[arg(long)]
        reason: String,
        /// Take the decision back: your own that waits, another person's that you refuse, or one that stands
        #[arg(long, conflicts_with_all = ["second_approver", "review_on", "reopen_when", "grounds", "inputs", "score"])]
        withdraw: bool,
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
        ObligationCommand::Draft { id, form, format, output, to } => draft(&id, form.as_deref(), &format, output, &to),
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
        ObligationCommand::Waive { id, reason, withdraw: true, to, .. } => {
            finish(post(&to, &id, "waiver/withdrawal", json!({ "reason": reason })), to.json, obligation_line)
        }
        ObligationCommand::Waive {
            id,
            reason,
            withdraw: false,
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

fn draft(id: &str, form: Option<&str>, format: &str, output: Option<PathBuf>, to: &Connection) -> i32 {
    let format = if to.wants_json() { "json" } else { format };
    if format == "docx" && output.is_none() {
        eprintln!("error: `docx` is no text; name a file with `--output`");
        return exit::USAGE;
    }
    let escape = crate::notify::links::escape;
    let mut path = format!("/api/v1/obligations/{id}/draft?format={}", escape(format));
    if let Some(form) = form {
        path.push_str(&format!("&form={}", escape(form)));
    }
    let bytes = match Server::new(to).and_then(|server| server.call_bytes(Method::GET, &path, None)) {
        Ok((status, bytes)) if status.is_success() => bytes,
        Ok((status, bytes)) => return explain(status, &serde_json::from_slice(&bytes).unwrap_or_default()),
        Err(code) => return code,
    };
    let Some(file) = output else {
        match (format, serde_json::from_slice::<Value>(&bytes)) {
            ("json", Ok(value)) => super::print_json(&value),
            _ => super::print(&String::from_utf8_lossy(&bytes)),
        }
        return exit::DONE;
    };
    if let Err(error) = std::fs::write(&file, &bytes) {
        eprintln!("error: `{}` cannot be written: {error}", file.display());
        return exit::NEGATIVE;
    }
    super::print(&format!("{}  {} bytes\n", file.display(), bytes.len()));
    exit::DONE
}
