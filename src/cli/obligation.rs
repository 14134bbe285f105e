//! `obligation`: acknowledge, record filings and decisions through a server.

use super::answers::{diff_text, obligation_line};
use super::attachments::documents;
use super::client::{Connection, Method, Server, finish};
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
