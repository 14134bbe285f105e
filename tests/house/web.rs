//! The HTTP face over a real house: statuses, headers, problems, sessions and pages, through a socket on port 0.

use crate::support;
use breachclock::store::Store;
use breachclock::store::memory::MemoryStore;
use breachclock::time::Timestamp;
use breachclock::web::{Options, Patience, Peer, router};
use breachclock::workflow::{Caller, Role};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub const MAX_BODY: usize = 64 * 1024;

fn now() -> Timestamp {
    support::at("2026-03-28T01:13:30Z")
}

/// A server, and one token per role.
pub struct Server<S: Store = MemoryStore> {
    pub house: Arc<breachclock::workflow::House<S>>,
    pub address: SocketAddr,
    tokens: Vec<(Role, String)>,
}

/// Connections of which nobody knows where they come from, as on a socket of this machine: nobody is slowed down.
struct Anonymous(TcpListener);

struct Nobody;

impl From<&Nobody> for Peer {
    fn from(_: &Nobody) -> Peer {
        Peer("local".into())
    }
}

impl axum::serve::Listener for Anonymous {
    type Io = TcpStream;
    type Addr = Nobody;

    async fn accept(&mut self) -> (TcpStream, Nobody) {
        (axum::serve::Listener::accept(&mut self.0).await.0, Nobody)
    }

    fn local_addr(&self) -> std::io::Result<Nobody> {
        Ok(Nobody)
    }
}

pub struct Reply {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: String,
}

impl Reply {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }
}

impl Server<MemoryStore> {
    pub async fn start() -> Server {
        Server::with(support::settings(Vec::new())).await
    }

    pub async fn with(settings: breachclock::workflow::Settings) -> Server {
        Server::of(support::house(MemoryStore::new("test.example/log"), settings), false, true).await
    }

    /// Nobody has a token or an account.
    pub async fn empty() -> Server {
        let settings = support::settings(Vec::new());
        Server::of(support::house(MemoryStore::new("test.example/log"), settings), false, false).await
    }

    /// Requests say in `X-Forwarded-For` where they come from.
    pub async fn behind_proxy() -> Server {
        let settings = support::settings(Vec::new());
        Server::of(support::house(MemoryStore::new("test.example/log"), settings), true, true).await
    }

    pub async fn with_doors(doors: breachclock::workflow::Doors) -> Server {
        let house = support::house(MemoryStore::new("test.example/log"), support::settings(Vec::new()));
        Server::of(breachclock::workflow::House { doors, ..house }, false, true).await
    }

    /// Cuts off sooner than the daemon does.
    pub async fn impatient(patience: Patience) -> Server {
        let house = support::house(MemoryStore::new("test.example/log"), support::settings(Vec::new()));
        Server::of_patience(house, false, true, patience).await
    }
}

impl<S: Store> Server<S> {
    /// Over a house of the test's own.
    pub async fn of(house: breachclock::workflow::House<S>, behind_proxy: bool, with_tokens: bool) -> Server<S> {
        Server::of_patience(house, behind_proxy, with_tokens, Patience::default()).await
    }

    async fn of_patience(
        house: breachclock::workflow::House<S>,
        behind_proxy: bool,
        with_tokens: bool,
        patience: Patience,
    ) -> Server<S> {
        let house = Arc::new(house);
        let mut tokens = Vec::new();
        for role in Role::ALL.into_iter().filter(|_| with_tokens) {
            let made = house.create_token(&Caller::system(), role, role.as_str(), Vec::new(), None, now()).await;
            tokens.push((role, made.expect("a token").1));
        }
        let app = router(
            house.clone(),
            Options { now, max_body: MAX_BODY, patience: patience.head, secure_cookies: false, behind_proxy },
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(breachclock::web::serve(Anonymous(listener), app, patience, std::future::pending()));
        Server { house, address, tokens }
    }

    /// What the server takes for the present.
    pub fn now(&self) -> Timestamp {
        now()
    }

    pub fn token(&self, role: Role) -> &str {
        &self.tokens.iter().find(|(r, _)| *r == role).expect("every role").1
    }

    /// One request on a connection of its own.
    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", self.address);
        if method == "POST" {
            request.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        let mut stream = TcpStream::connect(self.address).await.expect("connects");
        stream.write_all(request.as_bytes()).await.expect("sends");
        // a server that refuses early may close before it has read everything
        let _ = stream.write_all(body).await;
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) =
            text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer to {method} {path}: {text:?}"));
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|l| l.split(' ').nth(1)?.parse().ok()).expect("a status line");
        let headers =
            lines.filter_map(|l| l.split_once(": ")).map(|(n, v)| (n.to_ascii_lowercase(), v.to_string())).collect();
        Reply { status, headers, body: body.to_string() }
    }

    /// Bytes on a connection of their own, and what came back until it was closed; of an answer without end its beginning.
    /// `ends` says that nothing more will come: a server need not answer what is cut short.
    pub async fn raw(&self, bytes: &[u8], ends: bool, endless: bool) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.address).await.expect("connects");
        // a server that refuses early may close before it has read everything
        let _ = stream.write_all(bytes).await;
        if ends {
            let _ = stream.shutdown().await;
        }
        let (mut answer, mut piece) = (Vec::new(), [0; 16 << 10]);
        while let Ok(n @ 1..) = stream.read(&mut piece).await {
            answer.extend_from_slice(&piece[..n]);
            if endless && answer.windows(4).any(|four| four == b"\r\n\r\n") {
                break;
            }
        }
        answer
    }

    pub async fn get(&self, role: Role, path: &str) -> Reply {
        self.send("GET", path, &[("authorization", &format!("Bearer {}", self.token(role)))], b"").await
    }

    pub async fn post(&self, role: Role, path: &str, extra: &[(&str, &str)], body: &str) -> Reply {
        let bearer = format!("Bearer {}", self.token(role));
        let mut headers = vec![("authorization", bearer.as_str()), ("content-type", "application/json")];
        headers.extend_from_slice(extra);
        self.send("POST", path, &headers, body.as_bytes()).await
    }

    /// A page, as a browser with a session asks for it.
    pub async fn page(&self, role: Role, path: &str) -> Reply {
        self.send("GET", path, &[("cookie", &format!("breachclock={}", self.token(role)))], b"").await
    }

    pub async fn form(&self, role: Role, path: &str, site: &str, body: &str) -> Reply {
        let cookie = format!("breachclock={}", self.token(role));
        let headers = [
            ("cookie", cookie.as_str()),
            ("sec-fetch-site", site),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        self.send("POST", path, &headers, body.as_bytes()).await
    }

    /// Reports a personal-data breach and answers the incident's id and its first dated obligation.
    pub async fn breach(&self, title: &str) -> (String, String) {
        self.breach_of("acme-fr", title).await
    }

    pub async fn breach_of(&self, entity: &str, title: &str) -> (String, String) {
        let report = json!({
            "title": title,
            "entity": entity,
            "facts": { "times.aware": "2026-03-27T16:20:00+01:00", "personal_data": true, "kinds": ["confidentiality"], "affected.FR": 1200, "risk": "risk" },
        });
        let reply = self.post(Role::Reporter, "/api/v1/incidents", &[], &report.to_string()).await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        let incident = reply.json()["incident"].clone();
        let dated = incident["obligations"]
            .as_array()
            .expect("obligations")
            .iter()
            .find(|o| o["standing"] == "running" && !o["due"].is_null());
        let id = dated.unwrap_or_else(|| panic!("a dated obligation: {incident}"))["id"]
            .as_str()
            .expect("an id")
            .to_string();
        (incident["id"].as_str().expect("an id").to_string(), id)
    }
}

#[tokio::test]
async fn closing_takes_a_version_and_a_key() {
    let server = Server::start().await;
    let body = r#"{"title":"Nothing personal","facts":{"personal_data":false}}"#;
    let first = server.post(Role::Reporter, "/api/v1/incidents", &[], body).await;
    let path = format!("/api/v1/incidents/{}/close", first.json()["incident"]["id"].as_str().expect("an id"));
    let stale = server.post(Role::Approver, &path, &[("if-match", "\"9\"")], "").await;
    assert_eq!((stale.status, &stale.json()["current_version"]), (412, &json!(1)), "{}", stale.body);
    let headers = [("if-match", first.header("etag")), ("idempotency-key", "k1")];
    let closed = server.post(Role::Approver, &path, &headers, "").await;
    assert_eq!((closed.status, closed.header("etag")), (200, "\"2\""), "{}", closed.body);
    // the answer was lost: the same again is the same, whatever the version has become
    let again = server.post(Role::Approver, &path, &headers, "").await;
    assert_eq!((again.status, again.header("etag")), (200, "\"2\""), "{}", again.body);
}

#[tokio::test]
async fn a_report_is_created_once() {
    let server = Server::start().await;
    let body = r#"{"title":"Laptop stolen","facts":{"personal_data":true}}"#;
    let key = [("idempotency-key", "k1")];
    let first = server.post(Role::Reporter, "/api/v1/incidents", &key, body).await;
    let id = first.json()["incident"]["id"].as_str().expect("an id").to_string();
    assert_eq!((first.status, first.header("location")), (201, format!("/api/v1/incidents/{id}").as_str()));
    assert!(first.json()["evidence"]["log_index"].is_u64(), "{}", first.body);
    let again = server.post(Role::Reporter, "/api/v1/incidents", &key, body).await;
    assert_eq!((again.status, again.json()["incident"]["id"].as_str()), (200, Some(id.as_str())));
    assert_eq!(again.json()["evidence"], first.json()["evidence"], "the first receipt");
    let other = server.post(Role::Reporter, "/api/v1/incidents", &key, r#"{"title":"Something else"}"#).await;
    assert_eq!((other.status, other.json()["type"].as_str()), (422, Some("urn:breachclock:problem:key-reused")));
    let toml = server
        .post(Role::Reporter, "/api/v1/incidents", &[], "title = \"From a shell\"\n[facts]\npersonal_data = true\n")
        .await;
    assert_eq!(toml.status, 201, "{}", toml.body);
}

#[tokio::test]
async fn faults_are_problems() {
    let server = Server::start().await;
    let cases: [(&str, &str, &str, u16); 8] = [
        ("POST", "/api/v1/incidents", "{\n \"title\": \"x\",\n \"facts\": { \"personal_data\": \"yes\" }\n}", 422),
        ("POST", "/api/v1/incidents", "{", 400),
        ("POST", "/api/v1/incidents", "{\"title\":\"x\",\"titel\":\"y\"}", 422),
        ("GET", "/api/v1/incidents/none", "", 404),
        ("GET", "/api/v1/incidents?standing=late", "", 400),
        ("GET", "/api/v1/nothing", "", 404),
        ("POST", "/api/v1/status", "", 405),
        ("POST", "/api/v1/obligations/none~x@FR/delay", "{}", 422),
    ];
    for (method, path, body, status) in cases {
        let reply = match method {
            "GET" => server.get(Role::Admin, path).await,
            _ => server.post(Role::Admin, path, &[], body).await,
        };
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (status, "application/problem+json"),
            "{path} {body}: {}",
            reply.body
        );
        assert!(
            reply.json()["type"].as_str().is_some_and(|t| t.starts_with("urn:breachclock:problem:")),
            "{}",
            reply.body
        );
    }
    // lines are known where the reader of the format tells them
    let toml = "title = \"x\"\n\n[facts]\npersonal_data = \"yes\"\n";
    let reply = server.post(Role::Reporter, "/api/v1/incidents", &[], toml).await;
    let error = &reply.json()["errors"][0];
    assert_eq!((error["pointer"].as_str(), error["line"].as_u64()), (Some("/facts/personal_data"), Some(4)));
}

#[tokio::test]
async fn bodies_have_a_limit_and_must_be_text() {
    let server = Server::start().await;
    let large = "x".repeat(MAX_BODY + 1);
    let reply = server.post(Role::Reporter, "/api/v1/incidents", &[], &large).await;
    assert_eq!((reply.status, reply.json()["type"].as_str()), (413, Some("urn:breachclock:problem:too-large")));
    let bearer = format!("Bearer {}", server.token(Role::Reporter));
    let reply = server.send("POST", "/api/v1/incidents", &[("authorization", &bearer)], b"\xff\xfe{}").await;
    assert_eq!(reply.status, 400, "{}", reply.body);
}

#[tokio::test]
async fn who_asks_matters() {
    let server = Server::start().await;
    for headers in [vec![], vec![("authorization", "Bearer nonsense")], vec![("authorization", "Basic YTpi")]] {
        let reply = server.send("GET", "/api/v1/incidents", &headers, b"").await;
        assert_eq!(
            (reply.status, reply.header("www-authenticate")),
            (401, "Bearer realm=\"breachclock\""),
            "{headers:?}"
        );
    }
    let reply = server.post(Role::Auditor, "/api/v1/incidents", &[], "{\"title\":\"x\"}").await;
    assert_eq!(reply.status, 403, "{}", reply.body);
    let (_, id) = server.breach("Who may").await;
    let reply =
        server.post(Role::Responder, &format!("/api/v1/obligations/{id}/waiver"), &[], "{\"reason\":\"none\"}").await;
    assert_eq!(reply.status, 403, "{}", reply.body);
}

#[tokio::test]
async fn versions_guard_changes() {
    let server = Server::start().await;
    let (id, _) = server.breach("Versions").await;
    let read = server.get(Role::Reporter, &format!("/api/v1/incidents/{id}")).await;
    let tag = read.header("etag").to_string();
    let path = format!("/api/v1/incidents/{id}/facts");
    let stale = server.post(Role::Reporter, &path, &[("if-match", "\"999\"")], "{\"risk\":\"high\"}").await;
    assert_eq!((stale.status, stale.json()["type"].as_str()), (412, Some("urn:breachclock:problem:stale")));
    assert_eq!(format!("\"{}\"", stale.json()["current_version"]), tag);
    let changed = server.post(Role::Reporter, &path, &[("if-match", &tag)], "{\"risk\":\"high\"}").await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert_ne!(changed.header("etag"), tag);
    for part in ["added", "moved", "filled", "dropped", "unchanged"] {
        assert!(changed.json()[part].is_array(), "{part}: {}", changed.body);
    }
    let bad = server.post(Role::Reporter, &path, &[("if-match", "seven")], "{\"risk\":\"high\"}").await;
    assert_eq!(bad.status, 400, "{}", bad.body);
    // a sign-off is a change like the others
    let path = format!("/api/v1/incidents/{id}/sign-off");
    let body = "{\"reason\":\"amended\"}";
    let stale = server.post(Role::Approver, &path, &[("if-match", &tag)], body).await;
    assert_eq!((stale.status, stale.json()["type"].as_str()), (412, Some("urn:breachclock:problem:stale")));
    let tag = changed.header("etag").to_string();
    let nothing = server.post(Role::Approver, &path, &[("if-match", &tag)], body).await;
    assert_eq!((nothing.status, nothing.json()["type"].as_str()), (409, Some("urn:breachclock:problem:not-now")));
}

#[tokio::test]
async fn versions_guard_what_is_done_about_an_obligation() {
    let server = Server::start().await;
    let (incident, id) = server.breach("Seen before").await;
    let path = format!("/api/v1/obligations/{id}");
    let tag = |reply: &Reply| reply.header("etag").to_string();
    // the second reading is the kept answer to the first
    let read = [server.get(Role::Approver, &path).await, server.get(Role::Approver, &path).await];
    let seen = tag(&read[0]);
    assert_eq!((tag(&read[1]), format!("\"{}\"", read[0].json()["version"])), (seen.clone(), seen.clone()));
    // who hears of it next is what the next step of the policy will say
    let next = &read[0].json()["next_reminder"];
    assert!(next["to"].as_str().is_some_and(|to| !to.is_empty()), "{next}");
    let facts = format!("/api/v1/incidents/{incident}/facts");
    assert_eq!(server.post(Role::Reporter, &facts, &[], "{\"risk\":\"high\"}").await.status, 200);
    // whoever decides on what was, is told so, and nothing is recorded
    let acts = [
        ("ack", "{}"),
        ("filing", "{\"proof\":\"cHJvb2Y=\"}"),
        ("waiver", "{\"reason\":\"no risk\"}"),
        ("waiver/withdrawal", "{\"reason\":\"a risk\"}"),
        ("delay", "{\"reason\":\"the count\"}"),
    ];
    for (act, body) in acts {
        let stale = server.post(Role::Admin, &format!("{path}/{act}"), &[("if-match", &seen)], body).await;
        assert_eq!(
            (stale.status, stale.json()["type"].as_str()),
            (412, Some("urn:breachclock:problem:stale")),
            "{act}"
        );
    }
    let files = server.get(Role::Admin, &format!("/api/v1/incidents/{incident}/attachments")).await;
    assert_eq!(files.json()["items"].as_array().map(Vec::len), Some(0), "{}", files.body);
    let now = tag(&server.get(Role::Admin, &path).await);
    let headers = [("if-match", now.as_str()), ("idempotency-key", "filed")];
    let body = "{\"proof\":\"cHJvb2Y=\"}";
    let filed = server.post(Role::Admin, &format!("{path}/filing"), &headers, body).await;
    assert_eq!(filed.status, 200, "{}", filed.body);
    // the same request again was accepted on the version it names
    let again = server.post(Role::Admin, &format!("{path}/filing"), &headers, body).await;
    assert_eq!(again.status, 200, "{}", again.body);
}

#[tokio::test]
async fn versions_guard_what_is_kept_held_and_erased() {
    let server = Server::start().await;
    let (incident, _) = server.breach("Laptop of Jane Roe").await;
    let path = format!("/api/v1/incidents/{incident}");
    let seen = server.get(Role::Admin, &path).await.header("etag").to_string();
    let facts = server.post(Role::Reporter, &format!("{path}/facts"), &[], "{\"risk\":\"high\"}").await;
    let mut tag = facts.header("etag").to_string();
    let acts = [
        ("attachments?name=a.txt", "a file", 201),
        ("withholding", r#"{"fields":["/title"],"reason":"privileged"}"#, 200),
        ("hold", r#"{"ground":"a claim"}"#, 200),
        ("hold/lift", r#"{"ground":"settled"}"#, 200),
        ("erasure", r#"{"subjects":["Jane Roe"],"basis":"Art. 17 GDPR","request":"r-1"}"#, 200),
    ];
    for (act, body, _) in acts {
        let stale = server.post(Role::Admin, &format!("{path}/{act}"), &[("if-match", &seen)], body).await;
        assert_eq!(
            (stale.status, stale.json()["type"].as_str()),
            (412, Some("urn:breachclock:problem:stale")),
            "{act}: {}",
            stale.body
        );
        assert_eq!(format!("\"{}\"", stale.json()["current_version"]), tag, "{act}");
    }
    let now = server.get(Role::Admin, &path).await;
    assert_eq!((now.header("etag"), &now.json()["title"]), (tag.as_str(), &json!("Laptop of Jane Roe")));
    for (act, body, status) in acts {
        let headers = [("if-match", tag.as_str()), ("idempotency-key", act)];
        let done = server.post(Role::Admin, &format!("{path}/{act}"), &headers, body).await;
        assert_eq!(done.status, status, "{act}: {}", done.body);
        let next = done.header("etag").to_string();
        assert_eq!(format!("\"{}\"", done.json()["version"]), next, "{act}");
        assert_ne!(next, tag, "{act}");
        // the same request again was done on the version it names
        let again = server.post(Role::Admin, &format!("{path}/{act}"), &headers, body).await;
        assert_eq!((again.status, &again.body, again.header("etag")), (200, &done.body, next.as_str()), "{act}");
        tag = next;
    }
    let shown = server.get(Role::Admin, &path).await;
    assert_eq!((shown.header("etag"), &shown.json()["title"]), (tag.as_str(), &json!("erased")));
    // who names no version decides on what stands
    let held = server.post(Role::Admin, &format!("{path}/hold"), &[], r#"{"ground":"another claim"}"#).await;
    assert_eq!(held.status, 200, "{}", held.body);
}

#[tokio::test]
async fn an_obligation_is_taken_filed_and_gone_from_the_board() {
    let server = Server::start().await;
    let (incident, id) = server.breach("From reminder to filing").await;
    let path = format!("/api/v1/obligations/{id}");
    let taken =
        server.post(Role::Responder, &format!("{path}/ack"), &[], "{\"lease_seconds\":3600,\"by\":\"lea\"}").await;
    assert_eq!((taken.status, taken.json()["holder"]["name"].as_str()), (200, Some("Lea Fontaine")), "{}", taken.body);
    let refused = server.post(Role::Responder, &format!("{path}/filing"), &[], "{\"proof_sha256\":\"12\"}").await;
    assert_eq!((refused.status, refused.json()["errors"][0]["pointer"].as_str()), (422, Some("/proof_sha256")));
    let filed = server
        .post(
            Role::Responder,
            &format!("{path}/filing"),
            &[],
            "{\"at\":\"2026-03-28T02:00:00+01:00\",\"reference\":\"R-1\",\"proof\":\"aGVsbG8=\",\"complete\":true}",
        )
        .await;
    assert_eq!(filed.status, 200, "{}", filed.body);
    let shown = server.get(Role::Auditor, &path).await.json();
    assert_eq!(shown["standing"], "discharged", "{shown}");
    assert_eq!(shown["filings"][0]["proof_sha256"], "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    for part in ["timeline", "evidence"] {
        let list = server.get(Role::Auditor, &format!("/api/v1/incidents/{incident}/{part}")).await;
        assert!(list.json()["items"].as_array().is_some_and(|i| i.len() > 1), "{part}: {}", list.body);
    }
}

#[tokio::test]
async fn lists_have_pages() {
    let server = Server::start().await;
    for n in 0..3 {
        server.breach(&format!("Incident {n}")).await;
    }
    let mut path = "/api/v1/incidents?limit=2".to_string();
    let mut seen = Vec::new();
    loop {
        let reply = server.get(Role::Auditor, &path).await;
        let body = reply.json();
        seen.extend(body["items"].as_array().expect("items").iter().map(|i| i["id"].to_string()));
        let link = reply.header("link");
        assert_eq!(link.is_empty(), body["next"].is_null(), "{link}");
        match link.strip_prefix('<').and_then(|l| l.split_once('>')) {
            Some((next, _)) => path = next.to_string(),
            None => break,
        }
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 3);
}

#[tokio::test]
async fn forms_from_elsewhere_change_nothing() {
    let server = Server::start().await;
    let title = "title=Forged&noticed=now";
    for site in ["cross-site", "same-site"] {
        assert_eq!(server.form(Role::Reporter, "/report", site, title).await.status, 403, "{site}");
    }
    let sent =
        server.form(Role::Reporter, "/report", "same-origin", "title=Honest&noticed=unsure&personal=yes&down=").await;
    assert_eq!(sent.status, 303, "{}", sent.body);
    let page = server.page(Role::Reporter, sent.header("location")).await;
    assert!(page.status == 200 && page.body.contains("<h1>Honest</h1>"), "{}", page.body);
    let cookie = format!("breachclock={}", server.token(Role::Reporter));
    let json = server
        .send(
            "POST",
            "/api/v1/incidents",
            &[("cookie", &cookie), ("origin", "https://evil.example")],
            b"{\"title\":\"x\"}",
        )
        .await;
    assert_eq!(json.status, 403, "{}", json.body);
}

#[tokio::test]
async fn a_login_opens_a_session() {
    let server = Server::start().await;
    let away = server.send("GET", "/incidents", &[], b"").await;
    assert_eq!((away.status, away.header("location")), (303, "/login?next=%2Fincidents"));
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let wrong = server.send("POST", "/login", &form, b"token=bck_nothing").await;
    assert_eq!((wrong.status, wrong.header("set-cookie")), (401, ""));
    let body = format!("token={}&next=%2Fincidents", server.token(Role::Auditor));
    let right = server.send("POST", "/login", &form, body.as_bytes()).await;
    assert_eq!((right.status, right.header("location")), (303, "/incidents"));
    let cookie = right.header("set-cookie");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
}

#[tokio::test]
async fn pages_escape_what_people_typed_and_carry_no_inline_code() {
    let server = Server::start().await;
    let hostile = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'{{7*7}}\u{202e}";
    let (incident, id) = server.breach(hostile).await;
    let id = id.replace('@', "%40");
    let pages = [
        "/".to_string(),
        "/?view=done&group=incident".into(),
        "/incidents".into(),
        format!("/incidents/{incident}"),
        format!("/obligations/{id}"),
        format!("/incidents/{incident}/evidence"),
        "/report".into(),
        "/evidence".into(),
        "/readiness".into(),
        "/login".into(),
        "/nowhere".into(),
    ];
    for path in pages {
        let page = server.page(Role::Admin, &path).await;
        assert!(matches!(page.status, 200 | 404), "{path}: {}", page.status);
        assert!(page.header("content-type").starts_with("text/html"), "{path}");
        for bad in ["<script>alert", "<img", " style=", "onerror=alert(2)>", "javascript:", "<style"] {
            assert!(!page.body.contains(bad), "{path} contains {bad}");
        }
        assert_eq!(page.body.matches("<script").count(), 1, "{path}");
        assert_eq!(page.body.matches("<h1").count(), 1, "{path}");
        assert!(page.header("content-security-policy").starts_with("default-src 'none'; script-src 'self'"), "{path}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(page.header(name), value, "{path} {name}");
        }
        for word in ["compliant", "on track", "nothing to do"] {
            assert!(!page.body.to_lowercase().contains(word), "{path} says {word}");
        }
    }
}

#[tokio::test]
async fn an_answer_shows_what_it_changed() {
    let server = Server::start().await;
    let (incident, _) = server.breach("Question and answer").await;
    let path = format!("/incidents/{incident}/facts");
    let page = server.form(Role::Reporter, &path, "same-origin", "key=risk&value=%22high%22&certainty=estimated").await;
    assert!(page.status == 200 && page.body.contains("What the last facts changed"), "{}: {}", page.status, page.body);
    let refused = server.form(Role::Reporter, &path, "same-origin", "key=risk&value=enormous").await;
    assert!(refused.status == 422 && refused.body.contains("enormous"), "{}: {}", refused.status, refused.body);
}

#[tokio::test]
async fn nonsense_never_panics() {
    let server = Server::start().await;
    let (incident, id) = server.breach("Nonsense").await;
    let long = "x".repeat(5000);
    let paths = [
        "/incidents/%00",
        "/obligations/~",
        "/obligations/%ff",
        "/a/..",
        "/a/%F0%9F%98%80.x",
        "/api/v1/log/entries?from=18446744073709551615",
        "/api/v1/log/entries?from=5&to=1",
        "/api/v1/log/proof?index=0&from=1",
        "/api/v1/obligations/%25~%40",
        "/?view=%3Cscript%3E&group=x&entity=%22",
        "/login?next=//evil.example",
    ];
    for path in paths.iter().map(|p| p.to_string()).chain([format!("/incidents/{long}"), format!("/a/{long}.{long}")]) {
        let reply = server.page(Role::Admin, &path).await;
        assert!(reply.status < 500, "{path}: {} {}", reply.status, reply.body);
    }
    let id = id.replace('@', "%40");
    let bodies = [
        "at=never",
        "at=2026-03-29T02:30",
        "at=9999-99-99T99:99",
        "lease=-5&act=take",
        "why=&review=x",
        "%%%",
        "delay=%00",
        "part=complete&at=2099-01-01T00:00",
    ];
    for (verb, body) in ["filing", "ack", "waiver", "delay"].iter().flat_map(|v| bodies.iter().map(move |b| (v, b))) {
        let reply = server.form(Role::Admin, &format!("/obligations/{id}/{verb}"), "same-origin", body).await;
        assert!(reply.status < 500, "{verb} {body}: {} {}", reply.status, reply.body);
    }
    let reply = server.form(Role::Admin, &format!("/incidents/{incident}/facts"), "same-origin", "key=&value=").await;
    assert!(reply.status < 500, "{}", reply.status);
}

#[tokio::test]
async fn probes_and_assets() {
    let server = Server::start().await;
    assert_eq!(server.send("GET", "/healthz", &[], b"").await.status, 200);
    let ready = server.send("GET", "/readyz", &[], b"").await;
    assert!(matches!(ready.status, 200 | 503) && ready.json()["faults"].is_array(), "{}", ready.body);
    assert!(server.send("GET", "/metrics", &[], b"").await.body.contains("# TYPE"));
    let document = server.send("GET", "/api/v1/openapi.json", &[], b"").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let login = server.send("GET", "/login", &[], b"").await.body;
    let address = login
        .split("href=\"")
        .find_map(|p| p.split('"').next().filter(|a| a.contains("style.css")))
        .expect("a style sheet");
    let style = server.send("GET", address, &[], b"").await;
    assert_eq!((style.status, style.header("cache-control")), (200, "public, max-age=31536000, immutable"));
    let again = server.send("GET", address, &[("if-none-match", style.header("etag"))], b"").await;
    assert_eq!(again.status, 304);
    assert_eq!(server.send("GET", "/assets/../Cargo.toml", &[], b"").await.status, 404);
}

#[tokio::test]
async fn the_stream_tells_of_changes() {
    let server = Server::start().await;
    let mut stream = TcpStream::connect(server.address).await.expect("connects");
    let request = format!(
        "GET /api/v1/stream HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n",
        server.token(Role::Reporter)
    );
    stream.write_all(request.as_bytes()).await.expect("sends");
    let mut seen = String::new();
    let mut buffer = [0; 4096];
    while !seen.contains("event: changed") {
        if seen.contains("event: time") && !seen.contains("reported") {
            server.breach("Something happens").await;
            seen.push_str("reported");
        }
        let read = tokio::time::timeout(std::time::Duration::from_secs(10), stream.read(&mut buffer)).await;
        let count = read.expect("an event in time").expect("reads");
        assert!(count > 0, "the stream ended: {seen}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    assert!(seen.contains("text/event-stream"), "{seen}");
}

/// A title alone leaves hundreds of duties open. The clock of another incident must still be seen, on a page a phone loads.
#[tokio::test]
async fn a_title_alone_does_not_bury_the_clocks_that_run() {
    let server = Server::start().await;
    let (breach, _) = server.breach("The one that runs").await;
    for n in 0..3 {
        let told = json!({ "title": format!("only a title {n}"), "entity": { "name": "nobody knows" } }).to_string();
        let reply = server.post(Role::Reporter, "/api/v1/incidents", &[], &told).await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        assert!(
            reply.json()["incident"]["obligations"].as_array().expect("a list").len() > 500,
            "{}",
            reply.body.len()
        );
    }
    let page = server.page(Role::Admin, "/").await.body;
    assert!(page.len() < 150 * 1024, "{} bytes", page.len());
    assert!(page.contains("The one that runs") && page.contains("62 h"), "the running clock is not there");
    assert_eq!(page.matches("more may apply</b>").count(), 3, "each says what it does not show");
    assert!(!page.contains("more obligations than one page shows"));
    // what is folded is of the open view
    let done = server.page(Role::Admin, "/?view=done").await.body;
    assert!(!done.contains("more may apply</b>"));
    // and each entry of the log has its time
    let evidence = server.page(Role::Admin, &format!("/incidents/{breach}/evidence")).await.body;
    assert!(evidence.contains("datetime=\"2026-03-28T01:13:30"), "entries without a time");
}
