//! Requests that come twice: an `Idempotency-Key` on every POST of the interface, pages of every list, and forms that a
//! browser sends for somebody else.

use crate::access::{Places, table};
use crate::mutated::mutator::Request;
use crate::mutated::right_requests;
use crate::web::Server;
use breachclock::store::Store;
use breachclock::workflow::Role;
use serde_json::Value;
use std::collections::BTreeSet;

/// These change nothing, or are told apart by what they hold: the key is checked, and that is all.
const WITHOUT_MEMORY: [&str; 4] = ["/assess", "/bundle/preview", "/inbound/mail", "/ingest/generic"];
/// The link is not ours in these tests, see `acknowledge`.
const LINKS: &str = "/api/v1/a/";

struct Answer {
    status: u16,
    body: String,
}

async fn send(server: &Server, request: &Request) -> Answer {
    let text = String::from_utf8_lossy(&server.raw(&request.bytes(), false, false).await).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text}"));
    Answer { status: head[9..12].parse().expect("a status"), body: body.into() }
}

async fn size(server: &Server) -> u64 {
    server.house.store.head().await.expect("a head").size
}

/// A server with an incident and an account, and what the routes ask of them.
async fn with_places() -> (Server, Places) {
    let server = Server::start().await;
    let (incident, obligation) = server.breach("Twice").await;
    let kim = r#"{"login":"kim","name":"Kim","role":"reporter"}"#;
    assert_eq!(server.post(Role::Admin, "/api/v1/accounts", &[], kim).await.status, 201);
    (server, Places { incident, obligation })
}

/// Makes the first text another one. Answers whether there was one.
fn change_a_text(value: &mut Value) -> bool {
    match value {
        Value::String(text) => {
            text.push('x');
            true
        }
        Value::Array(items) => items.iter_mut().any(change_a_text),
        Value::Object(members) => members.values_mut().any(change_a_text),
        _ => false,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_post_takes_a_key() {
    let (server, places) = with_places().await;
    let requests = right_requests(&server, &places);
    let mut checked = 0;
    for (row, request) in table().iter().zip(&requests) {
        let path = String::from_utf8_lossy(&request.path).into_owned();
        if request.method != b"POST" || !path.starts_with("/api/") || path.starts_with(LINKS) {
            continue;
        }
        let mut keyed = request.clone();
        keyed.header("idempotency-key", "");
        assert_eq!(send(&server, &keyed).await.status, 400, "{}: an empty key", row.route);
        keyed.headers.pop();
        keyed.header("idempotency-key", format!("key {}", row.route));
        let first = send(&server, &keyed).await;
        if !(200..300).contains(&first.status) {
            // what cannot be done here is answered so again, and the key stays free
            assert!(first.status < 500, "{}: {} {}", row.route, first.status, first.body);
            continue;
        }
        let before = size(&server).await;
        let again = send(&server, &keyed).await;
        assert_eq!(again.status, 200, "{}: {}", row.route, again.body);
        if WITHOUT_MEMORY.iter().any(|end| path.ends_with(end)) {
            continue;
        }
        assert_eq!(size(&server).await, before, "{} was done again", row.route);
        // the key stands for what was asked
        if let Ok(mut value) = serde_json::from_slice::<Value>(&keyed.body)
            && change_a_text(&mut value)
        {
            let other = Request { body: value.to_string().into(), ..keyed };
            let other = send(&server, &other).await;
            assert!((400..500).contains(&other.status), "{}: {} {}", row.route, other.status, other.body);
            assert_eq!(size(&server).await, before, "{}: another request under the same key", row.route);
        }
        checked += 1;
    }
    assert!(checked >= 12, "{checked}");
}

#[tokio::test]
async fn a_secret_that_was_lost_on_its_way_comes_again() {
    let (server, _) = with_places().await;
    let body = r#"{"role":"reporter","label":"desk"}"#;
    let key = [("idempotency-key", "k1")];
    let first = server.post(Role::Admin, "/api/v1/tokens", &key, body).await;
    let again = server.post(Role::Admin, "/api/v1/tokens", &key, body).await;
    assert_eq!((first.status, again.status, &first.body), (201, 200, &again.body));
    // another key, or another caller, is another token
    let other = server.post(Role::Admin, "/api/v1/tokens", &[("idempotency-key", "k2")], body).await;
    assert!(other.status == 201 && other.body != first.body);
    // both at once: one of them is told to come again, or gets the same
    let both = [("idempotency-key", "k3")];
    let (one, two) = tokio::join!(
        server.post(Role::Admin, "/api/v1/tokens", &both, body),
        server.post(Role::Admin, "/api/v1/tokens", &both, body)
    );
    let statuses = BTreeSet::from([one.status, two.status]);
    assert!(statuses.contains(&201) && (statuses.contains(&409) || one.body == two.body), "{statuses:?}");
    let tokens = server.get(Role::Admin, "/api/v1/tokens").await.json();
    let desks = tokens["items"].as_array().expect("a list").iter().filter(|token| token["label"] == "desk").count();
    assert_eq!(desks, 3);
}

/// Reads a list page by page. Answers the ids, in their order.
async fn pages(server: &Server, path: &str, next: impl Fn(&Value) -> Option<String>, id: &str) -> Vec<String> {
    let (mut found, mut at) = (Vec::new(), path.to_string());
    let most: usize = path.split_once("limit=").expect("a limit").1.parse().expect("a number");
    for _ in 0..500 {
        let reply = server.get(Role::Auditor, &at).await;
        assert_eq!(reply.status, 200, "{at}: {}", reply.body);
        let page = reply.json();
        let items = page["items"].as_array().expect("items");
        assert!(items.len() <= most, "{at}: {} on a page", items.len());
        found.extend(items.iter().map(|item| item[id].to_string()));
        match next(&page["next"]) {
            Some(cursor) => at = format!("{path}{cursor}"),
            None => return found,
        }
    }
    panic!("{path} has no end");
}

#[tokio::test]
async fn every_list_has_pages_that_hold_everything_once() {
    let (server, places) = with_places().await;
    for n in 0..4 {
        server.breach(&format!("Listed {n}")).await;
    }
    let text =
        |name: &'static str| move |next: &Value| next.as_str().map(|at| format!("&{name}={}", at.replace('@', "%40")));
    let number = |name: &'static str| move |next: &Value| next.as_u64().map(|at| format!("&{name}={at}"));
    let evidence = format!("/api/v1/incidents/{}/evidence", places.incident);
    let whole = |reply: Value, id: &str| -> Vec<String> {
        reply["items"].as_array().expect("items").iter().map(|item| item[id].to_string()).collect()
    };
    for (path, by_pages) in [
        ("/api/v1/incidents", pages(&server, "/api/v1/incidents?limit=2", text("after"), "id").await),
        ("/api/v1/obligations", pages(&server, "/api/v1/obligations?limit=1", text("after"), "id").await),
        (evidence.as_str(), pages(&server, &format!("{evidence}?limit=1"), number("after"), "idx").await),
    ] {
        let all = whole(server.get(Role::Auditor, path).await.json(), if path == evidence { "idx" } else { "id" });
        let once: BTreeSet<&String> = by_pages.iter().collect();
        assert_eq!(once.len(), by_pages.len(), "{path}: something twice");
        assert_eq!(once, all.iter().collect(), "{path}");
    }
    // the log by ranges
    let all = whole(server.get(Role::Auditor, "/api/v1/log/entries").await.json(), "idx");
    let mut ranged = Vec::new();
    for from in (0..all.len()).step_by(3) {
        let page = server.get(Role::Auditor, &format!("/api/v1/log/entries?from={from}&to={}", from + 3)).await.json();
        ranged.extend(whole(page, "idx"));
    }
    assert_eq!(ranged, all);
    for bad in ["?limit=0", "?limit=1001", "?after=x", "?until=3"] {
        assert_eq!(server.get(Role::Auditor, &format!("{evidence}{bad}")).await.status, 400, "{bad}");
    }
}

/// What a page holds, each item by the part of it that names it.
fn named(page: &Value, by: &str) -> Vec<String> {
    let name = |item: &Value| item.pointer(by).unwrap_or_else(|| panic!("no {by} in {item}")).to_string();
    page["items"].as_array().expect("items").iter().map(name).collect()
}

/// One more of everything that is listed.
async fn add_to_lists(server: &Server, places: &Places, n: usize) {
    let posts = [
        (format!("/api/v1/incidents/{}/facts", places.incident), format!(r#"{{"affected.FR":{}}}"#, 1300 + n)),
        (format!("/api/v1/incidents/{}/attachments?name=f{n}", places.incident), format!("file {n}")),
        ("/api/v1/accounts".into(), format!(r#"{{"login":"kim{n}","name":"Kim {n}","role":"reporter"}}"#)),
        ("/api/v1/tokens".into(), format!(r#"{{"role":"reporter","label":"desk {n}"}}"#)),
    ];
    for (path, body) in posts {
        let reply = server.post(Role::Admin, &path, &[], &body).await;
        assert!(matches!(reply.status, 200 | 201), "{path}: {}", reply.body);
    }
    let (_, obligation) = server.breach(&format!("Undecided {n}")).await;
    let body = r#"{"reason":"encrypted","second_approver":"ines"}"#;
    let proposed = server.post(Role::Approver, &format!("/api/v1/obligations/{obligation}/waiver"), &[], body).await;
    assert_eq!(proposed.status, 200, "{}", proposed.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_that_are_read_whole_have_pages_to_which_anything_may_be_added() {
    let (server, places) = with_places().await;
    for n in 0..3 {
        add_to_lists(&server, &places, n).await;
    }
    let of_incident = |part: &str| format!("/api/v1/incidents/{}/{part}", places.incident);
    let lists = [
        (of_incident("timeline"), ""),
        (of_incident("attachments"), "/entry"),
        (of_incident("fields"), "/field"),
        ("/api/v1/decisions".into(), "/obligation/id"),
        ("/api/v1/accounts".into(), "/login"),
        ("/api/v1/tokens".into(), "/id"),
    ];
    for (n, (path, by)) in lists.iter().enumerate() {
        let whole = server.get(Role::Admin, path).await.json();
        assert!(whole["next"].is_null(), "{path}: who asks for no pages gets everything");
        let before = named(&whole, by);
        let (mut found, mut at) = (Vec::new(), Some(format!("{path}?limit=2")));
        while let Some(place) = at {
            let reply = server.get(Role::Admin, &place).await;
            assert_eq!(reply.status, 200, "{place}: {}", reply.body);
            let page = reply.json();
            let items = named(&page, by);
            assert!(items.len() == 2 || page["next"].is_null(), "{place}: {}", items.len());
            let link = reply.header("link").strip_prefix('<').and_then(|link| link.split_once('>'));
            at = link.map(|(next, _)| next.to_string());
            assert_eq!(at.is_none(), page["next"].is_null(), "{place}");
            if found.is_empty() {
                add_to_lists(&server, &places, 10 + n).await;
            }
            found.extend(items);
        }
        assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), found.len(), "{path}: something twice");
        let lost: Vec<&String> = before.iter().filter(|item| !found.contains(item)).collect();
        assert!(before.len() > 3 && lost.is_empty(), "{path}: lost {lost:?}");
        let order: Vec<&String> = found.iter().filter(|item| before.contains(item)).collect();
        assert_eq!(order, before.iter().collect::<Vec<_>>(), "{path}");
        for bad in ["?limit=0", "?limit=1001", "?until=3"] {
            let refused = server.get(Role::Admin, &format!("{path}{bad}")).await;
            assert_eq!(refused.status, 400, "{path}{bad}: {}", refused.body);
        }
    }
    let other = server.get(Role::Admin, &format!("{}?after=x", of_incident("timeline"))).await;
    assert!(other.status == 400 && other.body.contains("`next` of the page before"), "{}", other.body);
}

#[tokio::test]
async fn what_a_change_said_comes_again() {
    let (server, places) = with_places().await;
    let posts = [
        (
            format!("/api/v1/incidents/{}/facts", places.incident),
            r#"{"risk":"high","times.detected":"2026-03-27T15:00:00Z"}"#,
        ),
        (format!("/api/v1/incidents/{}/attachments?name=a.txt", places.incident), "a file"),
        (format!("/api/v1/obligations/{}/filing", places.obligation), r#"{"reference":"R-1","proof":"cHJvb2Y="}"#),
    ];
    let mut answers = Vec::new();
    for (path, body) in &posts {
        let first = server.post(Role::Admin, path, &[("idempotency-key", path)], body).await;
        assert!(matches!(first.status, 200 | 201), "{path}: {}", first.body);
        assert!(first.json()["evidence"]["log_index"].is_u64(), "{path}: {}", first.body);
        answers.push(first);
    }
    let diff = answers[0].json();
    let added = ["added", "moved"].map(|part| diff[part].as_array().expect("a list").len());
    assert!(added.iter().sum::<usize>() > 0 && diff["filled"][0]["id"] == "times.detected", "{diff}");
    assert_eq!(answers[2].json()["dropped"][0]["to"], "discharged", "{}", answers[2].body);
    // whatever was changed since, the answers are the first ones
    let other = server.post(Role::Admin, &posts[0].0, &[], r#"{"encrypted":false}"#).await;
    assert_eq!(other.status, 200, "{}", other.body);
    let before = size(&server).await;
    for ((path, body), first) in posts.iter().zip(&answers) {
        let again = server.post(Role::Admin, path, &[("idempotency-key", path)], body).await;
        assert_eq!(
            (again.status, again.json(), again.header("etag")),
            (200, first.json(), first.header("etag")),
            "{path}"
        );
    }
    // the same file under another name is another request
    let renamed = posts[1].0.replace("a.txt", "b.txt");
    let renamed = server.post(Role::Admin, &renamed, &[("idempotency-key", &posts[1].0)], posts[1].1).await;
    assert_eq!((renamed.status, size(&server).await), (422, before), "{}", renamed.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_form_and_no_request_that_another_site_sends_changes_anything() {
    let (server, places) = with_places().await;
    let cookie = format!("breachclock={}", server.token(Role::Admin));
    let before = size(&server).await;
    for request in right_requests(&server, &places).iter().filter(|request| request.method == b"POST") {
        let path = String::from_utf8_lossy(&request.path).into_owned();
        // these take no cookie: whoever sends them proves itself otherwise
        if path.starts_with(LINKS) || path.contains("/ingest/") {
            continue;
        }
        for foreign in [
            &[("sec-fetch-site", "cross-site")][..],
            &[("sec-fetch-site", "same-site")],
            &[("origin", "https://evil.example")],
            &[("origin", "null")],
            &[],
        ] {
            // without any word of where it comes from, the forms that need no session are taken: they carry their own secret
            let has_session = !["/login", "/logout", "/enrol", "/setup/", "/invitation/", "/a/"]
                .iter()
                .any(|open| path.starts_with(open));
            if !has_session && (foreign.is_empty() || foreign[0].1 == "null") {
                continue;
            }
            let mut forged = Request { headers: Vec::new(), ..request.clone() };
            forged.header("cookie", &cookie);
            for (name, value) in request.headers.iter().filter(|(name, _)| name == b"content-type") {
                forged.headers.push((name.clone(), value.clone()));
            }
            foreign.iter().for_each(|(name, value)| forged.header(name, value));
            let answer = send(&server, &forged).await;
            assert_eq!(answer.status, 403, "{path} from {foreign:?}: {}", answer.body);
        }
    }
    let entries = server.house.store.entries(before..before + 1000).await.expect("entries");
    let others: Vec<String> = entries
        .iter()
        .map(|entry| String::from_utf8_lossy(&entry.bytes).into_owned())
        .filter(|entry| !entry.contains("\"access.refused\""))
        .collect();
    assert!(others.is_empty(), "{others:?}");
}

#[tokio::test]
async fn a_file_has_the_name_of_a_file_whatever_it_was_called() {
    let (server, places) = with_places().await;
    let path = format!("/api/v1/incidents/{}/attachments", places.incident);
    for (n, name) in [
        "../../etc/passwd",
        "a\r\nset-cookie: x=y",
        "C:\\x\\y",
        "\"; filename=\"evil.html",
        ".htaccess",
        "\u{202e}gpj.exe",
    ]
    .iter()
    .enumerate()
    {
        let encoded: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let kept = server.post(Role::Admin, &format!("{path}?name={encoded}"), &[], &format!("file {n}")).await;
        assert!(matches!(kept.status, 201 | 400 | 422), "{name}: {} {}", kept.status, kept.body);
        if kept.status != 201 {
            continue;
        }
        let read = server.get(Role::Admin, &format!("{path}/{}", kept.json()["entry"])).await;
        let disposition = read.header("content-disposition");
        let file = disposition.strip_prefix("attachment; filename=\"").and_then(|rest| rest.strip_suffix('"'));
        let file = file.unwrap_or_else(|| panic!("{disposition}"));
        let plain = file.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c)) && !file.starts_with('.');
        assert!(plain && read.header("set-cookie").is_empty(), "{name}: {disposition}");
        assert_eq!(
            (read.body.as_str(), read.header("content-type")),
            (format!("file {n}").as_str(), "application/octet-stream")
        );
    }
    for entry in ["..", "%2e%2e%2f%2e%2e%2fdata", "1%2f..", "-1", "18446744073709551616", "1%00"] {
        let reply = server.get(Role::Admin, &format!("{path}/{entry}")).await;
        assert_eq!(reply.status, 404, "{entry}: {}", reply.body);
    }
}
