//! Ten thousand requests that are nearly right, at every route: none is a fault of the server, none is left without an
//! answer, and afterwards the log and the store agree.
//!
//! `BREACHCLOCK_MUTATIONS` makes more, `BREACHCLOCK_MUTATION_SEED` others. What was found once lies in
//! `tests/vectors/requests` and is sent again in every round.

pub mod mutator;

use crate::access::{Places, table};
use crate::web::Server;
use breachclock::store::Store;
use breachclock::workflow::Role;
use mutator::{Dice, Request, mutate};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Requests to one server; a new one keeps lists short.
const ROUND: usize = 250;
const ROUNDS: usize = 40;
const PATIENCE: Duration = Duration::from_secs(60);

fn number(name: &str) -> Option<usize> {
    std::env::var(name).ok()?.parse().ok()
}

/// Right requests, one for each route and each way to come in.
pub fn right_requests(server: &Server, places: &Places) -> Vec<Request> {
    let mut requests = Vec::new();
    for row in table() {
        let (method, path) = places.fill(&row);
        let is_api = path.starts_with("/api/");
        let mut request = Request {
            method: method.into(),
            path: path.into(),
            headers: Vec::new(),
            body: row.body.clone().into(),
            length: None,
            chunked: false,
        };
        if !row.body.is_empty() {
            let kind = if is_api { "application/json" } else { "application/x-www-form-urlencoded" };
            request.header("content-type", kind);
        }
        match is_api {
            true => request.header("authorization", format!("Bearer {}", server.token(Role::Admin))),
            false => {
                request.header("cookie", format!("breachclock={}", server.token(Role::Admin)));
                request.header("sec-fetch-site", "same-origin");
            }
        }
        requests.push(request);
    }
    requests
}

/// A report, and forms, with everything in them: more to get wrong.
pub fn rich(requests: &mut [Request]) {
    for request in requests {
        let path = String::from_utf8_lossy(&request.path).into_owned();
        let body = match (request.method.as_slice(), path.split('/').next_back().unwrap_or_default()) {
            (b"POST", "incidents" | "assess") => {
                r#"{"title":"x","entity":{"id":"acme-fr"},"source":"s","reference":"r","attachments":[{"name":"a"}],"facts":{"personal_data":true,"risk":{"value":"high","by":"lea","certainty":"estimated","note":"n"},"times.aware":"2026-03-27T16:20:00Z","affected.FR":{"at_least":1,"at_most":9},"kinds":["confidentiality"],"hold.law_enforcement":{"from":null,"until":"2026-04-01T00:00:00Z","by":"police","written":true}}}"#
            }
            (b"POST", "filing") if path.starts_with("/api/") => {
                r#"{"at":"2026-03-28T01:00:00Z","by":"lea","reference":"r","proof":"aGk=","complete":false,"note":"n","documents":[1]}"#
            }
            (b"POST", "waiver") if path.starts_with("/api/") => {
                r#"{"reason":"r","by":"lea","second_approver":"ines","review_on":"2026-04-27","reopen_when":["risk"],"grounds":["g"],"inputs":["risk"],"score_method":"enisa","score":"2","score_band":"low"}"#
            }
            (b"POST", "ack") if path.starts_with("/api/") => {
                r#"{"lease_seconds":3600,"by":"lea","role":"dpo","decline":false}"#
            }
            (b"POST", "filing") => "at=2026-03-28T02%3A00&reference=r&part=complete&note=n",
            (b"POST", "waiver") => "why=r&review=2026-04-27&second=ines",
            (b"POST", "ack") => "act=take&lease=3600",
            (b"POST", "report") => "title=x&entity=acme-fr&noticed=now&personal=yes&down=no",
            (b"POST", "login") => "login=kim&password=x&code=1&next=%2F&token=x",
            _ => continue,
        };
        request.body = body.into();
    }
}

/// The status of an answer; `None` when the server closed without one, as it may for what is no request.
fn status_of(answer: &[u8]) -> Option<u16> {
    let line = answer.strip_prefix(b"HTTP/1.1 ")?;
    let status = std::str::from_utf8(line.get(..3)?).ok()?.parse().ok()?;
    // `100 Continue` goes before the answer
    let rest = line.windows(4).position(|four| four == b"\r\n\r\n").map(|at| &line[at + 4..]);
    if status == 100 { status_of(rest?) } else { Some(status) }
}

fn is_fault(status: u16, answer: &[u8], request: &Request) -> bool {
    // nothing proves loops in this test: not ready is the truth
    let probes = request.path.starts_with(b"/readyz") && status == 503;
    status >= 500 && !probes || answer.windows(9).any(|nine| nine == b"panicked ")
}

async fn round(seed: usize, size: usize, seen: &Mutex<BTreeMap<u16, usize>>) -> Vec<String> {
    let (server, incident, obligation) = {
        let server = Server::start().await;
        let (incident, obligation) = server.breach("Mutated").await;
        (server, incident, obligation)
    };
    let places = Places { incident, obligation };
    let mut right = right_requests(&server, &places);
    rich(&mut right);
    let mut dice = Dice::new(seed as u64 + 1);
    let mut wrong = Vec::new();
    for n in 0..size {
        let request = mutate(&right[dice.below(right.len())], &mut dice);
        let bytes = request.bytes();
        let endless = request.path.starts_with(b"/api/v1/stream");
        let answer = match tokio::time::timeout(PATIENCE, server.raw(&bytes, request.length.is_some(), endless)).await {
            Ok(answer) => answer,
            Err(_) => {
                wrong.push(format!("seed {seed}, request {n}: no answer: {}", bytes.escape_ascii()));
                continue;
            }
        };
        match status_of(&answer) {
            Some(status) if is_fault(status, &answer, &request) => {
                wrong.push(format!("seed {seed}, request {n}: {status}: {}", bytes.escape_ascii()));
            }
            _ => {}
        }
        *seen.lock().expect("no panic").entry(status_of(&answer).unwrap_or(0)).or_default() += 1;
    }
    let health = server.send("GET", "/healthz", &[], b"").await;
    if health.status != 200 {
        wrong.push(format!("seed {seed}: afterwards /healthz answers {}", health.status));
    }
    let key = breachclock::evidence::SigningKey::from_seed(&[7; 32]).public();
    let checked = breachclock::workflow::fsck::check(&*server.house.store, "test.example/log", &key, None).await;
    match checked {
        Ok(report) if report.is_ok() => {}
        Ok(report) => wrong.push(format!("seed {seed}: the log is not clean: {:?}", report.faults)),
        Err(error) => wrong.push(format!("seed {seed}: the log cannot be checked: {error}")),
    }
    assert!(server.house.store.head().await.expect("a head").size > 1, "something was recorded");
    wrong
}

#[test]
fn ten_thousand_requests_that_are_nearly_right() {
    let size = number("BREACHCLOCK_MUTATIONS").map_or(ROUND, |all| all.div_ceil(ROUNDS));
    let first = number("BREACHCLOCK_MUTATION_SEED").unwrap_or(0) * ROUNDS;
    let (next, seen) = (AtomicUsize::new(first), Mutex::default());
    let hunt = || {
        let mut wrong = Vec::new();
        while let Some(seed) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < first + ROUNDS) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            wrong.extend(runtime.block_on(round(seed, size, &seen)));
        }
        wrong
    };
    let wrong = std::thread::scope(|scope| {
        let hunters = [scope.spawn(hunt), scope.spawn(hunt)];
        hunters.map(|hunter| hunter.join().expect("no panic")).concat()
    });
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    let seen = seen.into_inner().expect("no panic");
    let of = |first: u16| seen.iter().filter(|(status, _)| **status / 100 == first).map(|(_, n)| n).sum::<usize>();
    println!("figure: mutated requests: {seen:?} by status");
    // a mutator that makes only nonsense proves nothing, and so does one that breaks nothing
    assert!(of(2) + of(3) > size * ROUNDS / 10 && of(4) > size * ROUNDS / 10, "{seen:?}");
    assert!(of(0) < size * ROUNDS / 20, "too many without an answer: {seen:?}");
}

/// What was once answered wrongly. A file holds a request, `{incident}`, `{obligation}` and `{token}` in their places, and in
/// its name the status it is answered with: `422-what-it-is.http`.
#[tokio::test]
async fn what_was_found_once_is_answered_well() {
    let server = Server::start().await;
    let (incident, obligation) = server.breach("Found once").await;
    let mut seen = 0;
    let mut files: Vec<_> =
        std::fs::read_dir("tests/vectors/requests").expect("the folder").flatten().map(|f| f.path()).collect();
    files.sort();
    for file in files {
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        let status: u16 =
            name.split('-').next().and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("{name}: no status"));
        let text = std::fs::read_to_string(&file).expect("text");
        let (head, body) = text.split_once("\n\n").unwrap_or((text.trim_end(), ""));
        let fill = |text: &str| {
            let text = text.replace("{incident}", &incident).replace("{obligation}", &obligation.replace('@', "%40"));
            text.replace("{token}", server.token(Role::Admin))
        };
        let (head, body) = (fill(head).trim_end().replace('\n', "\r\n"), fill(body.trim_end()));
        let bytes = format!("{head}\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let answer = server.raw(bytes.as_bytes(), false, false).await;
        assert_eq!(status_of(&answer), Some(status), "{name}: {}", String::from_utf8_lossy(&answer));
        seen += 1;
    }
    assert!(seen > 0);
}
