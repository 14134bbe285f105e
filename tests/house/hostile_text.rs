//! Hostile text in every field that takes text, at every route; then every page, every file and every mail that comes of
//! it: nowhere is it more than text.

use crate::access::Places;
use crate::mutated::mutator::Request;
use crate::mutated::{rich, right_requests};
use crate::notify_support::context;
use crate::support::take_messages;
use crate::web::Server;
use breachclock::notify::render::render;
use breachclock::web::ROUTES;
use serde_json::Value;

/// Ends attributes, opens elements, makes headers, reads as a template, writes from right to left.
const MARK: &str =
    "ZZ\"'><script>alert(1)</script><img src=x onerror=alert(2)>\r\nBcc: mark@example.org\u{202e}{{7*7}}";
/// What a page holds when it was not escaped.
const RAW: [&str; 4] = ["<script>alert", "<img src=x", "\"'><", "ZZ\"'"];

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Each way to put the mark into one text of a JSON value.
fn with_mark(value: &Value) -> Vec<Value> {
    match value {
        Value::String(_) => vec![MARK.into()],
        Value::Array(items) => (0..items.len())
            .flat_map(|at| with_mark(&items[at]).into_iter().map(move |new| (at, new)))
            .map(|(at, new)| {
                let mut items = items.clone();
                items[at] = new;
                Value::Array(items)
            })
            .collect(),
        Value::Object(members) => members
            .iter()
            .flat_map(|(name, inside)| with_mark(inside).into_iter().map(move |new| (name.clone(), new)))
            .map(|(name, new)| {
                let mut members = members.clone();
                members.insert(name, new);
                Value::Object(members)
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// A right request with the mark in each of its fields in turn.
fn marked(right: &Request) -> Vec<Request> {
    let with = |body: String| Request { body: body.into(), ..right.clone() };
    if let Ok(value) = serde_json::from_slice::<Value>(&right.body) {
        return with_mark(&value).into_iter().map(|value| with(value.to_string())).collect();
    }
    let text = String::from_utf8_lossy(&right.body).into_owned();
    let pairs: Vec<(&str, &str)> = text.split('&').filter_map(|pair| pair.split_once('=')).collect();
    (0..pairs.len())
        .map(|at| {
            let field = |(n, (name, value)): (usize, &(&str, &str))| {
                if n == at { format!("{name}={}", percent(MARK)) } else { format!("{name}={value}") }
            };
            with(pairs.iter().enumerate().map(field).collect::<Vec<_>>().join("&"))
        })
        .collect()
}

/// What is wrong with an answer.
fn faults(answer: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return vec!["no answer".into()] };
    let head = head.to_ascii_lowercase();
    let mut found = Vec::new();
    if head.contains("\nbcc:") {
        found.push(format!("a header came from a text: {head}"));
    }
    if head.starts_with("http/1.1 5") && !head.contains(" 503 ") {
        found.push(head.lines().next().unwrap_or_default().to_string());
    }
    let kind = head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap_or_default();
    if kind.starts_with("text/html") || kind.starts_with("image/svg") {
        found.extend(RAW.iter().filter(|raw| body.contains(*raw)).map(|raw| format!("not escaped: {raw}")));
    } else if body.contains(RAW[0]) && !head.contains("x-content-type-options: nosniff") {
        found.push(format!("`{kind}` may be taken for a page"));
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_text_is_text_on_every_page_and_in_every_mail() {
    let server = Server::start().await;
    let (incident, obligation) = server.breach(MARK).await;
    let places = Places { incident: incident.clone(), obligation: obligation.clone() };
    let mut right = right_requests(&server, &places);
    rich(&mut right);
    let mut wrong = Vec::new();
    let mut sent = 0;
    for request in right.iter().filter(|request| request.method == b"POST").flat_map(marked) {
        // what ends the incident, or the session, comes last
        let answer = server.raw(&request.bytes(), false, false).await;
        sent += 1;
        let place =
            format!("POST {} {}", String::from_utf8_lossy(&request.path), String::from_utf8_lossy(&request.body));
        wrong.extend(faults(&answer).into_iter().map(|fault| format!("{fault}: {place}")));
    }
    assert!(sent > 80, "{sent}");

    let list = server.get(breachclock::workflow::Role::Admin, "/api/v1/incidents?limit=20").await.json();
    let mut incidents: Vec<String> =
        list["items"].as_array().expect("a list").iter().map(|one| one["id"].as_str().expect("an id").into()).collect();
    incidents.push(incident);
    let cookie = format!("breachclock={}", server.token(breachclock::workflow::Role::Admin));
    let mut pages = Vec::new();
    for (_, path) in ROUTES.iter().filter(|(method, path)| *method == "GET" && !path.ends_with("/stream")) {
        let own = |id: &str| path.replace("{id}", id).replace("{entry}", "1").replace("{name}", &percent(MARK));
        let own = |id: &str| own(id).replace("{token}", &percent(MARK)).replace("{login}", "kim");
        match () {
            () if path.contains("/obligations/{id}") => pages.push(own(&obligation.replace('@', "%40"))),
            () if path.contains("/incidents/{id}") => pages.extend(incidents.iter().map(|id| own(id))),
            () => pages.push(own("none")),
        }
        // and what is in the address itself
        let bare = path.replace("{entry}", &percent(MARK));
        pages.push(["{id}", "{token}", "{name}"].iter().fold(bare, |path, part| path.replace(part, &percent(MARK))));
    }
    for name in [
        "view", "entity", "group", "next", "after", "standing", "token", "error", "from", "format", "profile",
        "language",
    ] {
        for path in ["/", "/incidents", "/login", "/report", "/login/callback", "/api/v1/register", "/sheet"] {
            pages.push(format!("{path}?{name}={}", percent(MARK)));
        }
    }
    pages.extend([
        "/api/v1/register?format=html".into(),
        "/?view=done&group=incident".into(),
        "/?group=jurisdiction".into(),
    ]);
    for view in ["nobody", "done", "mine"] {
        pages.push(format!("/?view={view}"));
    }
    let mut shown = 0;
    for path in &pages {
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncookie: {cookie}\r\n\r\n");
        let answer = server.raw(head.as_bytes(), false, false).await;
        shown +=
            usize::from(answer.windows(12).any(|part| part == b"&#60;script&#" || part.starts_with(b"&#60;script")));
        wrong.extend(faults(&answer).into_iter().map(|fault| format!("{fault}: GET {path}")));
    }
    assert!(shown > 10, "only {shown} pages show what was typed: the test looks at the wrong ones");

    let now = server.now() + chrono::Duration::days(2);
    server.house.wake_due(now).await.expect("wakes");
    let messages = take_messages(&server.house, &[], now).await;
    assert!(!messages.is_empty());
    for message in messages {
        let mail = render(&message, &context());
        if mail.subject.contains(['\r', '\n', '\u{202e}']) {
            wrong.push(format!("a subject: {:?}", mail.subject));
        }
        wrong.extend(
            RAW.iter().filter(|raw| mail.html.contains(*raw)).map(|raw| format!("not escaped in a mail: {raw}")),
        );
    }
    wrong.dedup();
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
