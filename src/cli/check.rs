//! `check`: a second host asks whether everything due was sent, and judges by its own clock too.

use super::exit;
use crate::daemon::clock::now as clock_of_caller;
use crate::time::Timestamp;
use chrono::TimeDelta;
use serde::Serialize;
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

#[derive(clap::Args)]
pub struct Args {
    /// Address of the server, as seen from here
    #[arg(long, value_name = "URL")]
    remote: String,
    /// File that holds a token (any role); default $BREACHCLOCK_TOKEN_FILE
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// How late anything due may be, e.g. `60s`, `5m`
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    max_lag: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A server that has not answered by then counts as unreachable.
const PATIENCE: Duration = Duration::from_secs(30);
/// The scheduler proves itself every 30 seconds; three in a row are missing.
const LOOP_SECONDS: i64 = 90;
/// Two machines with working clocks do not differ by more.
const CLOCKS_APART_SECONDS: i64 = 120;

/// Something wrong, with what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    what: String,
    remedy: &'static str,
}

pub fn run(args: Args) -> i32 {
    let max_lag = match crate::escalation::duration(&args.max_lag) {
        Ok(seconds) => seconds,
        Err(error) => {
            eprintln!("error: --max-lag: {error}");
            return exit::USAGE;
        }
    };
    let file = args.token_file.clone().or_else(|| std::env::var_os("BREACHCLOCK_TOKEN_FILE").map(PathBuf::from));
    let token = match file.map(|path| (std::fs::read_to_string(&path), path)) {
        None => None,
        Some((Ok(text), _)) => Some(text.trim().to_string()),
        Some((Err(error), path)) => {
            eprintln!("error: the token file `{}` cannot be read: {error}", path.display());
            return exit::NO_INPUT;
        }
    };
    let asked = super::serve::runtime().map_err(|_| exit::NEGATIVE).and_then(|r| r.block_on(ask(&args.remote, token)));
    let (status, here) = match asked {
        Ok(answer) => answer,
        Err(code) => return code,
    };
    let faults = judge(&status, here, max_lag);
    let warnings: Vec<&str> = status["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if args.json {
        super::print_json(&serde_json::json!({
            "ok": faults.is_empty(), "checked_at": crate::rules::utc(here), "faults": faults, "warnings": warnings,
            "status": status,
        }));
    } else {
        print_text(&args.remote, &faults, &warnings, &status);
    }
    if faults.is_empty() { exit::DONE } else { exit::NEGATIVE }
}

fn print_text(remote: &str, faults: &[Finding], warnings: &[&str], status: &Value) {
    for fault in faults {
        super::print(&format!("fault: {}\n  {}\n", fault.what, fault.remedy));
    }
    for warning in warnings {
        super::print(&format!("warning: {warning}\n"));
    }
    if faults.is_empty() {
        let next = status["next_wake"].as_str().unwrap_or("nothing planned");
        super::print(&format!("ok: `{remote}` has sent everything due; next {next}\n"));
    }
}

/// The server's status, and the caller's clock in the middle of the call.
async fn ask(remote: &str, token: Option<String>) -> Result<(Value, Timestamp), i32> {
    let base = remote.trim_end_matches('/');
    let unreachable = |error: reqwest::Error| {
        eprintln!(
            "error: `{base}` cannot be reached: {error}; if the machine is up, look at `systemctl status breachclock` there"
        );
        exit::UNREACHABLE
    };
    let client = reqwest::Client::builder().timeout(PATIENCE).build().map_err(unreachable)?;
    let mut request = client.get(format!("{base}/api/v1/status")).header("accept", "application/json");
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let before = clock_of_caller();
    let response = request.send().await.map_err(unreachable)?;
    let status = response.status();
    let bytes = response.bytes().await.map_err(unreachable)?;
    let here = before + (clock_of_caller() - before) / 2;
    let answer: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    if !status.is_success() {
        return Err(super::client::explain(status, &answer));
    }
    // a page of a proxy is not the daemon
    if !answer["now"].is_string() {
        eprintln!("error: `{base}` answers, but not as breachclock; correct the address");
        return Err(exit::UNREACHABLE);
    }
    Ok((answer, here))
}

/// Everything wrong with a status, judged at `here` by the caller's clock.
fn judge(status: &Value, here: Timestamp, max_lag: i64) -> Vec<Finding> {
    let instant = |key: &str| status[key].as_str().and_then(|text| text.parse::<Timestamp>().ok());
    let there = instant("now").unwrap_or(here);
    // a server whose clock stands still would say that nothing is late yet
    let now = here.max(there);
    let late = |at: Timestamp, seconds: i64| now - at > TimeDelta::seconds(seconds);
    let ago = |at: Timestamp| crate::notify::words::duration((now - at).num_seconds());
    let mut found = Vec::new();
    let mut find = |what: String, remedy: &'static str| found.push(Finding { what, remedy });
    if let Some(at) = instant("next_wake").filter(|at| late(*at, max_lag)) {
        find(
            format!("a reminder was due {} ago, at {}, and is not decided", ago(at), crate::rules::utc(at)),
            "look at the log of the daemon, restart it, and look at the board for what is due",
        );
    }
    if let Some(at) = instant("outbox_waiting_since").filter(|at| late(*at, max_lag)) {
        find(
            format!("a message has been waiting for {}, since {}", ago(at), crate::rules::utc(at)),
            "see why on the incident's page (mail server, webhook), and tell the person by another way until it is sent",
        );
    }
    for failing in status["failing"].as_array().into_iter().flatten() {
        let since = failing["since"].as_str().and_then(|text| text.parse::<Timestamp>().ok());
        let Some(at) = since.filter(|at| late(*at, max_lag)) else { continue };
        let way = failing["way"].as_str().unwrap_or("a way out");
        find(
            format!("a message has been waiting for {}: nothing gets through by `{way}`", ago(at)),
            "see why in the status (mail server, webhook), and tell the people by another way until it is sent",
        );
    }
    match instant("last_loop") {
        None => find(
            "the scheduler has not proven a loop since its start".to_string(),
            "ask again in a minute; then look at the log of the daemon",
        ),
        Some(at) if late(at, LOOP_SECONDS) => find(
            format!("the scheduler has not proven a loop for {}", ago(at)),
            "look at the log of the daemon and at its disk, then restart it",
        ),
        Some(_) => {}
    }
    if status["ready"] != true {
        let said: Vec<&str> = status["faults"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        find(format!("the daemon is not ready: {}", said.join("; ")), "mend what it names");
    }
    let apart = (there - here).num_seconds();
    if apart.abs() > CLOCKS_APART_SECONDS {
        let direction = if apart > 0 { "ahead of" } else { "behind" };
        find(
            format!(
                "the server's clock is {} {direction} the clock of this host",
                crate::notify::words::duration(apart.abs())
            ),
            "start a time service on both hosts; limits are computed from the server's clock",
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_wrong_with_a_status() {
        let here: Timestamp = "2026-03-28T01:00:00Z".parse().unwrap();
        let fine = json!({
            "now": "2026-03-28T01:00:01Z", "ready": true, "last_loop": "2026-03-28T00:59:40Z",
            "next_wake": "2026-03-28T02:00:00Z", "outbox_waiting_since": null, "faults": [],
        });
        let cases: [(&str, Value, &[&str]); 13] = [
            ("fine", json!({}), &[]),
            ("nothing planned", json!({ "next_wake": null }), &[]),
            ("due this moment", json!({ "next_wake": "2026-03-28T00:59:30Z" }), &[]),
            ("a late wake-up", json!({ "next_wake": "2026-03-28T00:58:00Z" }), &["a reminder was due 2 m ago"]),
            ("a message on its way", json!({ "outbox_waiting_since": "2026-03-28T00:59:50Z" }), &[]),
            ("a message that waits", json!({ "outbox_waiting_since": "2026-03-28T00:40:00Z" }), &["waiting for 20 m"]),
            (
                "a mail server that takes nothing",
                json!({ "failing": [{ "way": "mail", "since": "2026-03-28T00:40:00Z" }] }),
                &["waiting for 20 m"],
            ),
            ("an old loop", json!({ "last_loop": "2026-03-28T00:58:00Z" }), &["not proven a loop for 2 m"]),
            ("no loop", json!({ "last_loop": null }), &["since its start"]),
            ("not ready", json!({ "ready": false, "faults": ["the disk is full"] }), &["not ready: the disk is full"]),
            ("slightly apart", json!({ "now": "2026-03-28T00:58:10Z" }), &[]),
            ("ahead", json!({ "now": "2026-03-28T01:05:00Z" }), &["not proven", "5 m ahead of"]),
            // its own clock stands: by itself it would find nothing late
            (
                "a frozen clock",
                json!({ "now": "2026-03-28T00:10:00Z", "last_loop": "2026-03-28T00:10:00Z", "next_wake": "2026-03-28T00:20:00Z" }),
                &["a reminder was due 40 m ago", "not proven a loop for 50 m", "50 m behind"],
            ),
        ];
        for (name, changes, wanted) in cases {
            let mut status = fine.clone();
            for (key, value) in changes.as_object().unwrap() {
                status[key] = value.clone();
            }
            let found = judge(&status, here, 60);
            assert_eq!(found.len(), wanted.len(), "{name}: {found:?}");
            for (finding, words) in found.iter().zip(wanted) {
                assert!(finding.what.replace('\u{a0}', " ").contains(words), "{name}: {}", finding.what);
            }
        }
    }
}
