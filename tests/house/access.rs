//! Who may do what: every route, every role, own and foreign entities, from `tests/vectors/access.toml`; and what a browser
//! from elsewhere, a stolen cookie, or somebody who guesses can do.

use crate::support;
use crate::web::{Reply, Server};
use breachclock::store::Store;
use breachclock::web::ROUTES;
use breachclock::workflow::{Caller, NewAccount, Role};
use serde::Deserialize;
use std::collections::BTreeSet;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    route: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    pub route: String,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    open: bool,
    #[serde(default)]
    pub body: String,
    #[serde(default)]
    query: String,
    /// Whether it answers who is limited to entities; the whole log does not.
    #[serde(default = "yes")]
    scoped: bool,
    /// The answer has no end.
    #[serde(default)]
    endless: bool,
}

fn yes() -> bool {
    true
}

/// What stands in the places of a path.
pub struct Places {
    pub incident: String,
    pub obligation: String,
}

impl Places {
    pub fn fill(&self, row: &Row) -> (String, String) {
        let (method, path) = row.route.split_once(' ').expect("method and path");
        let id = match path {
            _ if path.contains("/tokens/") => "none",
            _ if path.contains("/rota/") => "none",
            _ => &self.incident,
        };
        // a route of obligations has `{id}`; the table says what it means
        let path = path
            .replace("{obligation}", &self.obligation)
            .replace("{id}", id)
            .replace("{duty}", "eu-gdpr-33-authority")
            .replace("{login}", "kim")
            .replace("{entry}", "1")
            .replace("{format}", "generic")
            .replace("{token}", "none")
            .replace("{name}", "none");
        (method.to_string(), format!("{path}{}", row.query))
    }
}

pub fn table() -> Vec<Row> {
    let text = std::fs::read_to_string("tests/vectors/access.toml").expect("the table");
    toml::from_str::<Table>(&text).expect("a table").route
}

/// Two entities, an incident of each, an account, and a token limited to the first entity for each role.
async fn two_entities() -> (Server, Places, Places, Vec<(Role, String)>) {
    let mut settings = support::settings(Vec::new());
    let mut other = settings.entities[0].clone();
    (other.id, other.name) = (Some("acme-de".into()), "Acme GmbH".into());
    settings.entities.push(other);
    let server = Server::with(settings).await;
    let (own, obligation) = server.breach("Own").await;
    let (foreign, foreign_obligation) = server.breach_of("acme-de", "Foreign").await;
    let mut tokens = Vec::new();
    for role in Role::ALL {
        let scope = vec!["acme-fr".to_string()];
        let made = server.house.create_token(&Caller::system(), role, "scoped", scope, None, server.now()).await;
        tokens.push((role, made.expect("a token").1));
    }
    let kim = NewAccount {
        login: "kim".into(),
        name: "Kim".into(),
        role: "reporter".into(),
        entities: vec!["acme-fr".into()],
        ..NewAccount::default()
    };
    server.house.create_account(&Caller::system(), kim, server.now()).await.expect("an account");
    let own = Places { incident: own, obligation };
    (server, own, Places { incident: foreign, obligation: foreign_obligation }, tokens)
}

fn row_content_type(row: &Row) -> &'static str {
    if row.route.contains(" /api/") { "application/json" } else { "application/x-www-form-urlencoded" }
}

#[test]
fn every_route_is_in_the_table() {
    let listed: BTreeSet<String> =
        table().iter().map(|row| row.route.replace("{obligation}", "{id}").replace("{duty}", "{id}")).collect();
    let routed: BTreeSet<String> = ROUTES.iter().map(|(method, path)| format!("{method} {path}")).collect();
    assert_eq!(listed, routed);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_on_every_route_of_the_own_entity_and_of_another() {
    let (server, own, foreign, tokens) = two_entities().await;
    let mut wrong = Vec::new();
    for row in table() {
        for (role, token) in &tokens {
            let bearer = format!("Bearer {token}");
            let headers = [("authorization", bearer.as_str()), ("content-type", row_content_type(&row))];
            let allowed = row.open || row.roles.iter().any(|known| known == role.as_str());
            let (method, path) = own.fill(&row);
            if row.endless {
                continue;
            }
            let reply = server.send(&method, &path, &headers, row.body.as_bytes()).await;
            let fits = match (allowed && row.scoped, row.open) {
                // not ready, in a test without a scheduler, is an answer too
                (_, true) => is_open(&row, &reply) && (reply.status < 500 || reply.status == 503),
                (true, _) => reply.status < 500 && !matches!(reply.status, 401 | 403),
                (false, _) => reply.status == 403,
            };
            if !fits {
                wrong.push(format!("{} as {} : {} {}", row.route, role.as_str(), reply.status, said(&reply.body)));
            }
            // what belongs to another entity is not there
            let (_, elsewhere) = foreign.fill(&row);
            if elsewhere != path {
                let reply = server.send(&method, &elsewhere, &headers, row.body.as_bytes()).await;
                let (_, nowhere) =
                    Places { incident: "inc-none".into(), obligation: "inc-none~x@FR".into() }.fill(&row);
                let absent = server.send(&method, &nowhere, &headers, row.body.as_bytes()).await;
                if !matches!(reply.status, 403 | 404) || reply.status != absent.status || reply.body.contains("Foreign")
                {
                    let statuses = format!("{}, of nobody {}", reply.status, absent.status);
                    wrong.push(format!("{} of another entity as {}: {statuses}", row.route, role.as_str()));
                }
            }
        }
        // and nobody at all
        let (method, path) = own.fill(&row);
        let reply = server.send(&method, &path, &[("content-type", row_content_type(&row))], row.body.as_bytes()).await;
        let closed = matches!(reply.status, 401 | 303)
            && (reply.status != 303 || reply.header("location").starts_with("/login"));
        if row.open != is_open(&row, &reply) || !row.open && !closed {
            wrong.push(format!("{} without a login: {}", row.route, reply.status));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Nobody is asked who they are; the login itself asks, and refuses whoever is not.
fn is_open(row: &Row, reply: &Reply) -> bool {
    let sent_to_login = reply.status == 303 && reply.header("location").starts_with("/login?next");
    row.route == "POST /login" || !(matches!(reply.status, 401 | 403) || sent_to_login)
}

/// The first words of an answer.
fn said(body: &str) -> String {
    body.chars().take(200).collect()
}

#[tokio::test]
async fn who_is_refused_stands_in_the_log_once_a_minute() {
    let server = Server::start().await;
    for _ in 0..5 {
        assert_eq!(server.get(Role::Reporter, "/api/v1/tokens").await.status, 403);
    }
    assert_eq!(server.get(Role::Reporter, "/api/v1/accounts").await.status, 403);
    let entries = server.house.store.stream("_system").await.expect("a stream");
    let refused: Vec<String> = entries
        .iter()
        .map(|entry| String::from_utf8_lossy(&entry.bytes).into_owned())
        .filter(|entry| entry.contains("\"access.refused\""))
        .collect();
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(
        refused[0].contains(r#""actor":"token:reporter","place":"GET:/api/v1/tokens","count":1"#),
        "{}",
        refused[0]
    );
}

/// A change of what belongs to somebody else is answered as if it were not there, and stands in the log all the same; so does
/// a token that nobody has. Who may see everything and mistypes an id is no case.
#[tokio::test]
async fn attempts_on_others_and_wrong_tokens_stand_in_the_log() {
    let (server, _, foreign, tokens) = two_entities().await;
    let token = |wanted: Role| &tokens.iter().find(|(role, _)| *role == wanted).expect("a token").1;
    let attempt = async |token: &str, incident: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let path = format!("/api/v1/incidents/{incident}/facts");
        server.send("POST", &path, &headers, br#"{"facts": {"encrypted": false}}"#).await.status
    };
    assert_eq!(attempt(token(Role::Responder), &foreign.incident).await, 404);
    assert_eq!(attempt("bct_nobody-has-this", &foreign.incident).await, 401);
    let all = server
        .post(Role::Responder, "/api/v1/incidents/inc-none/facts", &[], r#"{"facts": {"encrypted": false}}"#)
        .await;
    assert_eq!(all.status, 404);
    let entries = server.house.store.stream("_system").await.expect("a stream");
    let entries = entries.iter().map(|entry| String::from_utf8_lossy(&entry.bytes).into_owned());
    let refused: Vec<String> = entries.filter(|entry| entry.contains("\"access.refused\"")).collect();
    let said =
        [r#""place":"POST:/api/v1/incidents/:id:/facts","count":1"#, r#""actor":"nobody","place":"token","count":1"#];
    assert_eq!(refused.len(), said.len(), "{refused:?}");
    for (entry, said) in refused.iter().zip(said) {
        assert!(entry.contains(said), "{entry}");
    }
}

/// Whoever has a token that was in force hears why it opens nothing; nobody else does. Each use stands in the log.
#[tokio::test]
async fn a_token_that_ended_is_refused_with_the_reason_and_recorded() {
    let server = Server::start().await;
    let (system, now) = (Caller::system(), server.now());
    let ended = now - chrono::Duration::hours(1);
    let make = async |label: &str, until| {
        let made = server.house.create_token(&system, Role::Admin, label, Vec::new(), until, ended).await;
        made.expect("a token")
    };
    let ((_, expired), (record, revoked)) = (make("desk", Some(ended)).await, make("old-desk", None).await);
    let at_its_end = make("exactly", Some(now)).await.1;
    server.house.revoke_token(&system, &record.id, now).await.expect("revoked");
    let ask = async |token: &str| {
        let bearer = format!("Bearer {token}");
        server.send("GET", "/api/v1/tokens", &[("authorization", bearer.as_str())], b"").await
    };
    let guess = format!("{}x", expired);
    for (token, said) in [
        (&expired, "the token `desk` expired at 2026-03-28T00:13:30Z"),
        (&at_its_end, "the token `exactly` expired at 2026-03-28T01:13:30Z"),
        (&revoked, "the token `old-desk` was revoked at 2026-03-28T01:13:30Z"),
        (&guess, "the token is unknown, expired or revoked"),
    ] {
        let refused = ask(token).await;
        let problem = refused.json();
        assert_eq!((refused.status, problem["type"].as_str()), (401, Some("urn:breachclock:problem:unauthorized")));
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(detail.starts_with(said) && detail.contains("`breachclock token create`"), "{detail}");
    }
    // nor does it change anything
    let bearer = format!("Bearer {expired}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let report = server.send("POST", "/api/v1/incidents", &headers, br#"{"title":"x"}"#).await;
    assert_eq!(report.status, 401, "{}", report.body);
    let entries = server.house.store.stream("_system").await.expect("a stream");
    let entries = entries.iter().map(|entry| String::from_utf8_lossy(&entry.bytes).into_owned());
    let refused: Vec<String> = entries.filter(|entry| entry.contains("\"access.refused\"")).collect();
    let actors = ["token:desk", "token:exactly", "token:old-desk", "nobody"];
    assert_eq!(refused.len(), actors.len(), "{refused:?}");
    for (entry, actor) in refused.iter().zip(actors) {
        assert!(entry.contains(&format!(r#""actor":"{actor}"#)) && entry.contains(r#""place":"token""#), "{entry}");
    }
    let seen = server.page(Role::Admin, "/access?kind=refused").await;
    assert!(seen.status == 200 && seen.body.contains("desk"), "{}", seen.body);
}

#[tokio::test]
async fn an_administrator_of_one_entity_stays_inside_it() {
    let (server, ..) = two_entities().await;
    let admin = Caller { name: "scoped".into(), role: Role::Admin, entities: vec!["acme-fr".into()] };
    let now = server.now();
    let new = |login: &str, entities: &[&str]| NewAccount {
        login: login.into(),
        name: "N".into(),
        role: "admin".into(),
        entities: entities.iter().map(|e| e.to_string()).collect(),
        ..NewAccount::default()
    };
    for entities in [&[][..], &["acme-de"], &["acme-fr", "acme-de"]] {
        let made = server.house.create_account(&admin, new("x", entities), now).await;
        assert!(made.is_err_and(|e| e.to_string().contains("limited to acme-fr")), "{entities:?}");
        let scope = entities.iter().map(|e| e.to_string()).collect();
        assert!(server.house.create_token(&admin, Role::Reporter, "l", scope, None, now).await.is_err());
    }
    server.house.create_account(&admin, new("inside", &["acme-fr"]), now).await.expect("inside");
    server.house.create_account(&Caller::system(), new("outside", &["acme-de"]), now).await.expect("outside");
    let seen: Vec<String> = server.house.accounts(&admin).await.expect("a list").into_iter().map(|a| a.login).collect();
    assert_eq!(seen, ["kim", "inside"]);
    assert!(server.house.invite(&admin, "outside", now).await.is_err());
    // tokens of all entities, as those of the server's start, are not his
    assert_eq!(server.house.tokens(&admin).await.expect("a list").len(), Role::ALL.len());
}

#[tokio::test]
async fn who_is_unknown_asks_slowly_and_reports_are_always_heard() {
    let server = Server::behind_proxy().await;
    let from = |address: &'static str| [("x-forwarded-for", address)];
    let mut statuses = Vec::new();
    for _ in 0..150 {
        statuses.push(server.send("GET", "/login", &from("192.0.2.1"), b"").await.status);
    }
    assert_eq!((statuses[0], statuses[119], statuses[120], statuses[149]), (200, 200, 429, 429));
    let limited = server.send("GET", "/login", &from("192.0.2.1"), b"").await;
    assert_eq!((limited.header("retry-after"), limited.header("x-content-type-options")), ("1", "nosniff"));
    assert_eq!(server.send("GET", "/login", &from("192.0.2.2"), b"").await.status, 200, "another address");
    let bearer = format!("Bearer {}", server.token(Role::Reporter));
    let headers = [("x-forwarded-for", "192.0.2.1"), ("authorization", bearer.as_str())];
    let reported = server.send("POST", "/api/v1/incidents", &headers, br#"{"title":"x"}"#).await;
    assert_eq!(reported.status, 201, "{}", reported.body);
    assert_eq!(server.send("GET", "/healthz", &from("192.0.2.1"), b"").await.status, 200);
    // a wrong token is dear
    let guess = [("x-forwarded-for", "192.0.2.3"), ("authorization", "Bearer bck_guess")];
    let mut guesses = Vec::new();
    for _ in 0..14 {
        guesses.push(server.send("GET", "/api/v1/me", &guess, b"").await.status);
    }
    assert_eq!((guesses[11], guesses[12]), (401, 429));
}
