//! Deadlines and rotas as calendars, and the sheet on paper, as their readers get them.

use crate::support::{self, at};
use crate::web::{Reply, Server};
use base64::Engine as _;
use breachclock::escalation::Rota;
use breachclock::ingest::ical;
use breachclock::time::Zone;
use breachclock::workflow::Role;
use serde_json::json;

fn settings() -> breachclock::workflow::Settings {
    let mut settings = support::settings(Vec::new());
    settings.directory.rotas.push(Rota {
        id: "oncall".into(),
        zone: Zone::named("Europe/Paris").expect("a zone"),
        handover: (0, 9 * 60),
        people: vec!["lea".into(), "ines".into()],
        shifts: Vec::new(),
    });
    settings
}

/// The path of a new subscription.
async fn subscribe(server: &Server, role: Role) -> String {
    let made = server.post(role, "/api/v1/calendar", &[], r#"{"label": "lea's phone"}"#).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let url = made.json()["url"].as_str().expect("an address").to_string();
    url.strip_prefix("https://breach.example").expect("at the public address").to_string()
}

async fn fetch(server: &Server, path: &str, etag: &str) -> Reply {
    let headers = [("if-none-match", etag)];
    server.send("GET", path, if etag.is_empty() { &[] } else { &headers }, b"").await
}

/// Unfolded properties of the event whose UID begins so.
fn event(calendar: &str, uid: &str) -> Vec<String> {
    let unfolded = calendar.replace("\r\n ", "");
    let mut events = unfolded.split("BEGIN:VEVENT\r\n").skip(1);
    let found = events.find(|text| text.starts_with(&format!("UID:{uid}")));
    found.unwrap_or_else(|| panic!("no event {uid} in\n{calendar}")).split("\r\n").map(str::to_string).collect()
}

#[tokio::test]
async fn a_subscription_shows_dated_obligations_until_they_are_done() {
    let server = Server::with(settings()).await;
    let (incident, obligation) = server.breach("Database, on a \"paste\" site").await;
    let path = subscribe(&server, Role::Reporter).await;
    assert!(path.starts_with("/calendar/bcc_") && path.ends_with(".ics"), "{path}");
    let reply = fetch(&server, &path, "").await;
    assert_eq!((reply.status, reply.header("content-type")), (200, "text/calendar; charset=utf-8"));
    assert!(reply.body.split("\r\n").all(|line| line.len() <= 75), "folded");
    // whoever keeps the feed is a witness of the log
    let checkpoint = server.house.attest(at("2026-03-28T01:00:00Z")).await.expect("signs").expect("not empty");
    let root = base64::engine::general_purpose::STANDARD.encode(checkpoint.root);
    let head = format!("X-WR-CALDESC:Evidence log test.example/log\\, size {}\\, root {root}\r\n", checkpoint.size);
    let unfolded = fetch(&server, &path, "").await.body.replace("\r\n ", "");
    assert!(unfolded.contains(&head), "{head}{unfolded}");

    let view = server.get(Role::Responder, &format!("/api/v1/obligations/{obligation}")).await.json();
    let careful = at(view["conservative_due"].as_str().expect("a limit"));
    let before = event(&reply.body, &obligation);
    let has = |lines: &[String], line: &str| lines.iter().any(|l| l == line);
    assert!(has(&before, &format!("DTSTART:{}", careful.format("%Y%m%dT%H%M%SZ"))), "{before:?}");
    assert!(has(&before, "STATUS:CONFIRMED") && has(&before, "TRIGGER:-PT1440M"), "{before:?}");
    let legal = view["due"].as_str().expect("a limit");
    let told = before.iter().find(|l| l.starts_with("DESCRIPTION:")).expect("a description");
    assert!(told.contains(legal) && told.contains("Database\\, on a \"paste\" site"), "{told}");
    assert!(told.contains("Nobody has it."), "{told}");
    let number = |lines: &[String]| -> u64 {
        let line = lines.iter().find_map(|l| l.strip_prefix("SEQUENCE:")).expect("a sequence");
        line.parse().expect("a number")
    };

    // the same again is not sent again
    let etag = reply.header("etag").to_string();
    let again = fetch(&server, &path, &etag).await;
    assert_eq!((again.status, again.body.as_str()), (304, ""));

    let filed = server.post(Role::Responder, &format!("/api/v1/obligations/{obligation}/filing"), &[], "{}").await;
    assert_eq!(filed.status, 200, "{}", filed.body);
    let after = fetch(&server, &path, &etag).await;
    assert_eq!(after.status, 200);
    let done = event(&after.body, &obligation);
    assert!(has(&done, "STATUS:CANCELLED") && !done.iter().any(|l| l.starts_with("TRIGGER")), "{done:?}");
    assert!(number(&done) > number(&before), "{done:?}");
    assert!(after.body.contains(&incident), "others of the incident stay");
}

#[tokio::test]
async fn an_address_opens_one_thing_for_its_maker_until_it_is_revoked() {
    let server = Server::with(settings()).await;
    let (_, obligation) = server.breach("Database").await;
    let path = subscribe(&server, Role::Auditor).await;
    let token = path.trim_start_matches("/calendar/").trim_end_matches(".ics");
    let bearer = format!("Bearer {token}");
    for path in ["/api/v1/incidents", "/", "/sheet"] {
        let refused = server.send("GET", path, &[("authorization", &bearer)], b"").await;
        assert!(matches!(refused.status, 401 | 303), "{path}: {}", refused.status);
    }
    // an API token is no calendar
    for wrong in ["", "x", &token[..token.len() - 1], server.token(Role::Admin)] {
        assert_eq!(fetch(&server, &format!("/calendar/{wrong}.ics"), "").await.status, 404, "{wrong}");
    }
    let refused = server.post(Role::Admin, "/api/v1/calendar", &[], r#"{"expires_at": "2026-03-01T00:00:00Z"}"#).await;
    assert_eq!(refused.status, 422);

    // limited to an entity that has no incident: nothing to see
    let caller = breachclock::workflow::Caller { entities: vec!["acme-de".into()], ..support::caller(Role::Responder) };
    let elsewhere =
        server.house.create_calendar(&caller, "", None, support::at("2026-03-28T01:00:00Z")).await.expect("made");
    let narrow = elsewhere.url.strip_prefix("https://breach.example").expect("ours");
    let reply = fetch(&server, narrow, "").await;
    assert!(reply.status == 200 && !reply.body.contains("VEVENT"), "{}", reply.body);
    assert!(fetch(&server, &path, "").await.body.contains(&obligation[..20]));

    let id = token.trim_start_matches("bcc_").split('_').next().expect("an id");
    let admin = support::caller(Role::Admin);
    server.house.revoke_token(&admin, id, support::at("2026-03-28T01:00:00Z")).await.expect("revoked");
    assert_eq!(fetch(&server, &path, "").await.status, 404);
    let late = support::at("2027-12-01T00:00:00Z");
    let token = narrow.trim_start_matches("/calendar/").trim_end_matches(".ics");
    assert!(server.house.subscriber(token, late).await.is_err(), "it ends by itself");
}

#[tokio::test]
async fn a_rota_is_written_so_that_we_read_the_same_turns() {
    let server = Server::with(settings()).await;
    let reply = server.get(Role::Auditor, "/rota/oncall.ics").await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let zone = Zone::named("Europe/Paris").expect("a zone");
    let (from, until) = (at("2026-03-28T01:00:00Z"), at("2026-08-28T01:00:00Z"));
    let shifts = ical::shifts(&reply.body, zone, from, until).expect("our own calendar");
    let directory = settings().directory;
    let rota = &directory.rotas[0];
    assert_eq!(shifts[0].0, at("2026-03-23T08:00:00Z"), "the turn that runs is whole");
    assert_eq!((shifts[0].1, shifts.len()), (at("2026-03-30T07:00:00Z"), 23));
    for pair in shifts.windows(2) {
        assert_eq!(pair[0].1, pair[1].0, "without gaps");
        for instant in [pair[1].0, pair[1].1 - chrono::Duration::seconds(1)] {
            assert_eq!(
                rota.on_duty(instant).and_then(|id| directory.person(id)).map(|p| &p.name),
                Some(&pair[1].2),
                "{instant}"
            );
        }
    }
    assert_eq!(server.get(Role::Auditor, "/rota/nobody.ics").await.status, 404);
    assert_eq!(fetch(&server, "/rota/oncall.ics", "").await.status, 401);
    assert_eq!(fetch(&server, "/rota/oncall.ics?token=x", "").await.status, 404);
    let path = subscribe(&server, Role::Reporter).await;
    let token = path.trim_start_matches("/calendar/").trim_end_matches(".ics");
    let subscribed = fetch(&server, &format!("/rota/oncall.ics?token={token}"), "").await;
    assert_eq!((subscribed.status, &subscribed.body), (200, &reply.body));
}

#[tokio::test]
async fn the_sheet_stands_on_its_own() {
    let server = Server::with(settings()).await;
    let (incident, obligation) = server.breach("Database <script>alert(1)</script>").await;
    let ack = json!({ "by": "lea" }).to_string();
    let taken = server.post(Role::Responder, &format!("/api/v1/obligations/{obligation}/ack"), &[], &ack).await;
    assert_eq!(taken.status, 200, "{}", taken.body);
    let page = server.page(Role::Responder, "/sheet").await;
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-") && !policy.contains("self"), "{policy}");
    for nothing in ["<script", "src=", "<link", "href="] {
        assert!(!page.body.contains(nothing), "{nothing}");
    }
    let view = server.get(Role::Responder, &format!("/api/v1/obligations/{obligation}")).await.json();
    for words in [
        view["due"].as_str().expect("a limit"),
        view["conservative_due"].as_str().expect("a limit"),
        "(CNIL)",
        "2026, 17:20 CEST",
        "Lea Fontaine",
        "ines@acme.example",
        "oncall",
        "@media print",
    ] {
        assert!(page.body.contains(words), "`{words}` is missing in\n{}", page.body);
    }
    let bearer = format!("Bearer {}", server.token(Role::Auditor));
    let headers = [("authorization", bearer.as_str()), ("accept", "application/json")];
    let one = server.send("GET", &format!("/sheet?incident={incident}"), &headers, b"").await.json();
    let clocks = one["incidents"][0]["clocks"].as_array().expect("clocks");
    let held = clocks.iter().find(|c| c["id"] == obligation.as_str()).expect("the clock");
    assert_eq!((&held["holder"], &held["standing"]), (&json!("Lea Fontaine"), &json!("running")));
    assert_eq!(held["act_before"]["utc"], view["conservative_due"]);
    assert!(one["incidents"][0]["call"].as_array().is_some_and(|call| call.contains(&json!("Lea Fontaine"))));
    let none = server.send("GET", "/sheet?incident=inc-none", &headers, b"").await;
    assert_eq!(none.status, 404);
    let login = server.send("GET", "/sheet", &[], b"").await;
    assert_eq!(login.status, 303);
}

#[tokio::test]
async fn the_command_line_makes_subscriptions_and_fetches_the_sheet() {
    use crate::support::daemon::{BINARY, free_port, start, token, write_config};
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let config = write_config(dir.path(), port, "");
    let run = |args: &[&str]| {
        let output = std::process::Command::new(BINARY).args(args).output().expect("runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let file = config.to_str().expect("UTF-8");
    let (code, url, error) = run(&["token", "calendar", "--config", file, "--label", "lea", "--entity", "acme-fr"]);
    assert_eq!(code, Some(0), "{error}");
    assert_eq!(run(&["token", "calendar", "--config", file, "--entity", "acme-fx"]).0, Some(2));
    assert!(run(&["token", "list", "--config", file]).1.contains("calendar"));
    let token_file = dir.path().join("token");
    std::fs::write(&token_file, token(&config)).expect("written");
    let mut daemon = start(&config, port);

    let reply = reqwest::get(url.trim()).await.expect("answers");
    assert_eq!(reply.status(), 200);
    assert!(reply.text().await.expect("text").starts_with("BEGIN:VCALENDAR\r\n"));
    let page = dir.path().join("sheet.html");
    let page = page.to_str().expect("UTF-8");
    let to = ["--server", daemon.url.as_str(), "--token-file", token_file.to_str().expect("UTF-8")];
    let (code, _, error) = run(&[&["incident", "sheet", "-o", page][..], &to].concat());
    assert_eq!(code, Some(0), "{error}");
    assert!(std::fs::read_to_string(page).expect("written").contains("No incident is open."));
    let (code, json, _) = run(&[&["incident", "sheet", "--json"][..], &to].concat());
    assert!(code == Some(0) && json.starts_with('{'), "{json}");
    let (code, out, error) = run(&[&["incident", "sheet", "inc-none"][..], &to].concat());
    assert!(code == Some(1) && out.is_empty() && error.contains("`inc-none`"), "{out}{error}");
    let (code, out, error) = run(&["incident", "sheet", "--server", &daemon.url]);
    assert!(code == Some(77) && out.is_empty() && error.contains("--token-file"), "{out}{error}");
    daemon.child.kill().expect("ends");
    let _ = daemon.child.wait();
}
