//! `mail receive`: the end of a mail server's pipe.

use super::client::{Connection, Server, explain};
use super::exit;
use std::io::Read;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Read one raw mail from standard input and hand it to the server
    ///
    /// For a pipe alias of the sender's address, such as
    /// `breach: "|/usr/bin/breachclock mail receive --token-file /etc/breachclock/mail-token"`.
    /// A mail that is about no message of ours ends with 0, so that nobody gets a bounce for it.
    ///
    /// Exit codes: 0 taken; 65 not a mail; 77 not permitted; 69 the server cannot be reached or its store fails:
    /// nothing is lost, hand the mail in again. Mail servers that repeat only on 75 (EX_TEMPFAIL, such as Postfix and
    /// sendmail) want `breachclock mail receive …; c=$?; [ $c = 69 ] && exit 75; exit $c`.
    #[command(verbatim_doc_comment)]
    Receive {
        #[command(flatten)]
        to: Connection,
    },
}

pub fn run(command: Command) -> i32 {
    let Command::Receive { to } = command;
    let mut raw = Vec::new();
    if let Err(error) = std::io::stdin().lock().read_to_end(&mut raw) {
        eprintln!("error: standard input cannot be read: {error}");
        return exit::NO_INPUT;
    }
    let server = match Server::new(&to) {
        Ok(server) => server,
        Err(code) => return code,
    };
    let (status, body) = match server.post("/api/v1/inbound/mail", "message/rfc822", raw) {
        Ok(answer) => answer,
        Err(code) => return code,
    };
    let answer: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    if !status.is_success() {
        return explain(status, &answer);
    }
    if to.wants_json() {
        super::print_json(&answer);
    } else {
        let word = |key: &str| answer[key].as_str().unwrap_or("-").to_string();
        super::print(&format!("{}: {} ({}, {})\n", word("outcome"), word("detail"), word("incident"), word("to")));
    }
    exit::DONE
}
