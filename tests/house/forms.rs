//! What somebody typed is never lost: not by a fault, which is named at its field, not by a form that is too large, and not by a
//! session that ended meanwhile. `forms.toml` has every form; nothing is recorded by any of this.

use crate::support::{self, at};
use crate::web::{MAX_BODY, Reply, Server};
use breachclock::store::Store;
use breachclock::store::faulty::{Fault, FaultyStore};
use breachclock::store::memory::MemoryStore;
use breachclock::workflow::{Caller, NewAccount, Role, WaiverRequest};
use serde::Deserialize;

const FORM: &str = "application/x-www-form-urlencoded";
const DEAD: &str = "breachclock=bcs_ended_long_ago";
const PASSWORD: &str = "correct horse battery";

#[derive(Deserialize)]
struct Table {
    form: Vec<Row>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    #[serde(default)]
    needs: String,
    path: String,
    role: String,
    sent: Vec<(String, String)>,
    /// The fields in which it stands afterwards, where they are others.
    #[serde(rename = "as")]
    shown: Option<Vec<(String, String)>>,
    #[serde(default)]
    long: String,
    status: Option<u16>,
    #[serde(default)]
    field: String,
    #[serde(default)]
    allowed: String,
    #[serde(default)]
    gone: Vec<String>,
    #[serde(default)]
    full: bool,
}

impl Row {
    fn role(&self) -> Role {
        Role::parse(&self.role).expect("a role")
    }

    fn body(&self) -> String {
        encoded(&self.sent)
    }

    /// Fields with the values they have to have again.
    fn again(&self) -> Vec<(String, Vec<String>)> {
        let shown = self.shown.as_ref().unwrap_or(&self.sent);
        let mut again: Vec<(String, Vec<String>)> = Vec::new();
        for (name, value) in shown.iter().filter(|(name, _)| name != "back" && !self.gone.contains(name)) {
            match again.iter_mut().find(|(known, _)| known == name) {
                Some((_, values)) => values.push(value.clone()),
                None => again.push((name.clone(), vec![value.clone()])),
            }
        }
        again
    }
}

fn encoded(pairs: &[(String, String)]) -> String {
    let encode = |text: &str| text.bytes().map(|b| format!("%{b:02X}")).collect::<String>();
    pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect::<Vec<_>>().join("&")
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&#38;").replace('<', "&#60;").replace('>', "&#62;");
    text.replace('"', "&#34;").replace('\'', "&#39;")
}

/// A server on which the form of a row can be sent, and the row with its places filled in.
async fn prepared(row: &Row) -> (Server, Row) {
    let mut settings = support::settings(Vec::new());
    let mut other = settings.entities[0].clone();
    (other.id, other.name) = (Some("acme-de".into()), "Acme GmbH".into());
    settings.entities.push(other);
    let server = Server::with(settings).await;
    let (incident, obligation) = server.breach("Something happened").await;
    let admin = Caller { name: "token:admin".into(), role: Role::Admin, entities: Vec::new() };
    let mut incident = incident;
    let decision =
        WaiverRequest { reason: "encrypted".into(), reopen_when: vec!["risk".into()], ..WaiverRequest::default() };
    match row.needs.as_str() {
        "unnamed" => {
            let reply = server.post(Role::Reporter, "/api/v1/incidents", &[], r#"{"title":"Whose?"}"#).await;
            incident = reply.json()["incident"]["id"].as_str().expect("an id").to_string();
        }
        "waived" => {
            let ask = WaiverRequest { second_approver: Some("approver".into()), ..decision };
            server.house.waive(&admin, &obligation, ask, None, server.now()).await.expect("proposed");
        }
        "review" => {
            let ask = WaiverRequest { review_on: Some("2026-03-20".into()), ..decision };
            server.house.waive(&admin, &obligation, ask, None, server.now()).await.expect("decided");
        }
        "later" => {
            server.house.activate(crate::rulebook::hours(96), at("2026-03-28T01:00:00Z")).await.expect("activated");
        }
        "kim" => {
            let new =
                NewAccount { login: "kim".into(), name: "Kim".into(), role: "reporter".into(), ..Default::default() };
            server.house.create_account(&Caller::system(), new, server.now()).await.expect("an account");
        }
        _ => {}
    }
    let mut row = row.clone();
    let fill = |text: &str| text.replace("{incident}", &incident).replace("{obligation}", &obligation);
    row.path = fill(&row.path).replace('@', "%40");
    for (name, value) in row.sent.iter_mut() {
        *value = fill(value);
        if *name == row.long {
            *value = value.chars().cycle().take(10_100).collect::<String>().trim().to_string();
        }
    }
    (server, row)
}

async fn size(server: &Server) -> u64 {
    server.house.store.head().await.expect("a head").size
}

/// Whether the log has grown by anything but that somebody was refused.
async fn has_recorded(server: &Server, before: u64) -> bool {
    let entries = server.house.store.entries(before..before + 100).await.expect("entries");
    entries.iter().any(|entry| !String::from_utf8_lossy(&entry.bytes).contains("access.refused"))
}

/// What is missing of the values a form has to have again; all of it when the page has no such form.
fn missing(body: &str, path: &str, again: &[(String, Vec<String>)]) -> Vec<String> {
    let opening = format!("action=\"{path}\"");
    let forms = body.split("<form").skip(1).filter(|form| form.split('>').next().is_some_and(|t| t.contains(&opening)));
    let all: Vec<String> = again.iter().map(|(name, values)| format!("{name}: {values:?}")).collect();
    let lacking = forms.map(|form| {
        let form = form.split("</form>").next().unwrap_or_default();
        again
            .iter()
            .zip(&all)
            .filter(|((name, values), _)| !has(form, name, values))
            .map(|(_, said)| said.clone())
            .collect()
    });
    lacking.min_by_key(|lacking: &Vec<String>| lacking.len()).unwrap_or(all)
}

/// Whether a field has these values, and no other choice is made.
fn has(form: &str, name: &str, values: &[String]) -> bool {
    let (mut chosen, mut written, mut in_list) = (Vec::new(), Vec::new(), false);
    for piece in form.split('<').skip(1) {
        let (tag, inner) = piece.split_once('>').unwrap_or((piece, ""));
        let is_named = tag.contains(&format!(" name=\"{name}\""));
        let value = || tag.split(" value=\"").nth(1).and_then(|v| v.split('"').next()).unwrap_or_default().to_string();
        match tag.split([' ', '\n']).next().unwrap_or_default() {
            "select" => in_list = is_named,
            "/select" => in_list = false,
            "option" if in_list && tag.contains(" selected") => {
                chosen.push(if tag.contains(" value=") { value() } else { inner.to_string() });
            }
            "input" if is_named && (tag.contains("type=\"radio\"") || tag.contains("type=\"checkbox\"")) => {
                chosen.extend(tag.ends_with(" checked").then(value));
            }
            "input" if is_named && !tag.contains("type=\"hidden\"") => written.push(value()),
            "textarea" if is_named => written.push(inner.to_string()),
            "input" if is_named => written.push(value()),
            _ => {}
        }
    }
    let wanted: Vec<String> = values.iter().map(|value| escaped(value)).collect();
    // of a list the first choice is made where none is marked
    chosen == wanted || (wanted == [""] && chosen.is_empty()) || written.iter().any(|value| wanted == [value.clone()])
}

/// The value of a hidden field.
fn hidden(body: &str, name: &str) -> String {
    let value = body.split(&format!("name=\"{name}\" value=\"")).nth(1).and_then(|v| v.split('"').next());
    value.unwrap_or_else(|| panic!("no `{name}`: {body}")).replace("&#38;", "&")
}

async fn send(server: &Server, path: &str, cookie: &str, body: &str) -> Reply {
    let headers = [("cookie", cookie), ("sec-fetch-site", "same-origin"), ("content-type", FORM)];
    server.send("POST", path, &headers, body.as_bytes()).await
}

/// The fields of the login that carry a form, with what is sent beside them.
fn carrying(page: &str, more: &[(&str, &str)]) -> String {
    let mut pairs = vec![("form".to_string(), hidden(page, "form")), ("kept".to_string(), hidden(page, "kept"))];
    pairs.extend(more.iter().map(|(name, value)| (name.to_string(), value.to_string())));
    encoded(&pairs)
}

fn table() -> Vec<Row> {
    toml::from_str::<Table>(include_str!("forms.toml")).expect("forms.toml is read").form
}

/// What is wrong about the answer to a row; `is_full` when the texts stand by themselves.
fn judge(row: &Row, reply: &Reply) -> Vec<String> {
    let mut wrong = Vec::new();
    if row.full {
        for (name, values) in row.again() {
            for value in values.iter().filter(|value| !reply.body.contains(&format!(">{}</textarea>", escaped(value))))
            {
                wrong.push(format!("{}: `{name}` is lost: {value:.40}", row.name));
            }
        }
    } else {
        let lost = missing(&reply.body, &row.path, &row.again());
        wrong.extend(lost.iter().map(|lost| format!("{}: lost {lost:.60}", row.name)));
    }
    wrong
}

#[tokio::test]
async fn a_form_that_is_refused_keeps_what_was_typed_and_names_the_field() {
    let mut wrong = Vec::new();
    for row in table() {
        let (server, row) = prepared(&row).await;
        let before = size(&server).await;
        let reply = server.form(row.role(), &row.path, "same-origin", &row.body()).await;
        if reply.status != row.status.unwrap_or(422) {
            wrong.push(format!("{}: {}", row.name, reply.status));
        }
        wrong.extend(judge(&row, &reply));
        if !row.full {
            let said = reply.body.split(&format!("id=\"{}-said\">", row.field)).nth(1);
            let said = said.and_then(|said| said.split("</span>").next()).unwrap_or_default();
            if !said.contains(&escaped(&row.allowed)) {
                wrong.push(format!("{}: at `{}` stands `{said}`", row.name, row.field));
            }
            // what is said at the head of the page leads to the field, and calls it as the page does
            let led =
                reply.body.split(&format!("href=\"#{}\"><b>", row.field)).nth(1).and_then(|l| l.split(":</b>").next());
            let called = reply.body.split(&format!("for=\"{}\">", row.field)).nth(1);
            let is_led = led.is_some_and(|led| called.is_none_or(|called| called.starts_with(led)));
            if !is_led || reply.body.matches(&format!(" id=\"{}\"", row.field)).count() != 1 {
                wrong.push(format!("{}: {led:?} leads to `{}`", row.name, row.field));
            }
        }
        if has_recorded(&server, before).await {
            wrong.push(format!("{}: something was recorded", row.name));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn a_form_sent_on_an_ended_session_comes_back_after_the_login() {
    let mut wrong = Vec::new();
    for row in table() {
        let (server, row) = prepared(&row).await;
        let before = size(&server).await;
        let login = send(&server, &row.path, DEAD, &row.body()).await;
        assert!(login.status == 401 && login.body.contains("What you typed is kept"), "{}: {}", row.name, login.body);
        // a mistake at the login costs nothing
        let mistaken = send(&server, "/login", DEAD, &carrying(&login.body, &[("token", "bck_wrong")])).await;
        assert_eq!(mistaken.status, 401, "{}", row.name);
        let token = server.token(row.role());
        let body = carrying(&mistaken.body, &[("token", token), ("next", "/")]);
        let reply = send(&server, "/login", DEAD, &body).await;
        let status = if row.full { reply.status } else { 200 };
        if reply.status != status || !reply.header("set-cookie").contains(token) {
            wrong.push(format!("{}: {} {}", row.name, reply.status, reply.header("location")));
        }
        wrong.extend(judge(&row, &reply));
        if has_recorded(&server, before).await {
            wrong.push(format!("{}: something was recorded", row.name));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn a_report_outlives_password_code_and_another_window() {
    let server = Server::with_doors(breachclock::workflow::Doors::new(true)).await;
    let new = NewAccount { login: "kim".into(), name: "Kim".into(), role: "reporter".into(), ..Default::default() };
    let (_, link) = server.house.create_account(&Caller::system(), new, server.now()).await.expect("an account");
    let link = link.strip_prefix("https://breach.example").expect("ours").to_string();
    let words = PASSWORD.replace(' ', "+");
    send(&server, &link, "", &format!("password={words}&again={words}")).await;
    let before = size(&server).await;
    let report = "title=Laptop+stolen&noticed=now&password=secret&reference=INC-9&page=p1";
    let login = send(&server, "/report", DEAD, report).await;
    assert!(!hidden(&login.body, "kept").contains("secret"), "a password is never carried");
    let password = [("login", "kim"), ("password", PASSWORD)];
    let enrol = send(&server, "/login", "", &carrying(&login.body, &password)).await;
    assert!(enrol.status == 200 && enrol.body.contains("Set up codes"), "{}", enrol.body);
    let ticket = hidden(&enrol.body, "ticket");
    let again = send(&server, "/enrol", "", &carrying(&enrol.body, &[("ticket", &ticket), ("code", "000000")])).await;
    assert_eq!(again.status, 422);
    let letters = hidden(&enrol.body, "spelled");
    let code = crate::accounts::shown(&letters, server.now());
    let more = [("ticket", ticket.as_str()), ("code", code.as_str())];
    let codes = send(&server, "/enrol", "", &carrying(&again.body, &more)).await;
    assert!(codes.status == 200 && codes.body.contains("show what I typed"), "{}", codes.body);
    let cookie = codes.header("set-cookie").split(';').next().unwrap_or_default().to_string();
    // a login that wants a code asks for it with the form still there
    let asked = send(&server, "/login", "", &carrying(&login.body, &password)).await;
    assert!(asked.status == 401 && asked.body.contains("the code from your authenticator"), "{}", asked.body);
    assert_eq!(hidden(&asked.body, "kept"), hidden(&login.body, "kept"));
    // so does another window in which somebody logged in, at a provider too
    let shown = send(&server, "/again", &cookie, &carrying(&codes.body, &[])).await;
    assert!(shown.status == 200 && shown.body.contains("your session had ended"), "{}", shown.body);
    assert!(missing(&shown.body, "/report", &[("title".into(), vec!["Laptop stolen".into()])]).is_empty());
    assert!(server.send("GET", "/again", &[("cookie", &cookie)], b"").await.body.contains("Go back to it"));
    let log = server.house.store.entries(before..before + 100).await.expect("entries");
    let opened = |entry: &breachclock::store::StoredEntry| String::from_utf8_lossy(&entry.bytes).contains("incident.");
    assert!(!log.iter().any(opened), "nothing is sent by itself");
    let sent = send(&server, "/report", &cookie, "title=Laptop+stolen&reference=INC-9").await;
    assert_eq!(sent.status, 303, "{}", sent.body);
    // without a session `again` is no way in
    let closed = send(&server, "/again", DEAD, &carrying(&codes.body, &[])).await;
    assert_eq!((closed.status, hidden(&closed.body, "form").as_str()), (401, "/report"));
}

#[tokio::test]
async fn what_another_site_sent_is_not_kept_and_nobody_is_logged_in_by_it() {
    let server = Server::start().await;
    let foreign = [("sec-fetch-site", "cross-site"), ("content-type", FORM)];
    let reply = server.send("POST", "/report", &foreign, b"title=planted").await;
    assert_eq!((reply.status, reply.header("location")), (303, "/login?next=%2F"));
    let silent = [("content-type", FORM)];
    let reply = server.send("POST", "/report", &silent, b"title=planted").await;
    assert_eq!(reply.status, 303, "who does not say where it is from");
    let body = format!("token={}&form=%2Freport&kept=title%3Dplanted", server.token(Role::Reporter));
    let reply = server.send("POST", "/login", &foreign, body.as_bytes()).await;
    assert_eq!((reply.status, reply.header("set-cookie")), (403, ""));
    let reply = server.send("POST", "/login", &silent, body.as_bytes()).await;
    assert!(reply.status == 303 && !reply.body.contains("planted"), "a login, and no form: {}", reply.body);
    // a form is shown, never an address followed
    let body = format!("token={}&form=%2F%2Fevil.example%2Freport&kept=title%3Dx", server.token(Role::Reporter));
    let reply = send(&server, "/login", "", &body).await;
    assert_eq!((reply.status, reply.header("location")), (303, "/"));
    let login = send(&server, "/account/password", DEAD, "old=secret&password=secret&again=secret").await;
    assert!(login.status == 303 && !login.body.contains("secret"), "{}", login.body);
}

#[tokio::test]
async fn a_report_is_kept_whatever_the_answer() {
    let server = Server::start().await;
    let title = [("title".to_string(), vec!["Not to be lost".to_string()])];
    let refused = server.form(Role::Auditor, "/report", "same-origin", "title=Not+to+be+lost&reference=7").await;
    assert_eq!((refused.status, missing(&refused.body, "/report", &title)), (403, Vec::new()), "{}", refused.body);
    let body = format!("title=Not+to+be+lost&at=2026-03-27T16%3A20&reference={}", "x".repeat(MAX_BODY));
    let large = server.form(Role::Reporter, "/report", "same-origin", &body).await;
    assert_eq!((large.status, missing(&large.body, "/report", &title)), (413, Vec::new()), "{}", large.body);
    assert!(large.body.contains("`reference` holds more than 64 KiB (65536 bytes)"), "{}", large.body);
    let reused = |title: &str| format!("title={title}&page=page-1");
    let first = server.form(Role::Reporter, "/report", "same-origin", &reused("First")).await;
    assert_eq!(first.status, 303);
    let second = server.form(Role::Reporter, "/report", "same-origin", &reused("Not+to+be+lost")).await;
    assert_eq!((second.status, missing(&second.body, "/report", &title)), (422, Vec::new()), "{}", second.body);
    assert!(!second.body.contains("value=\"page-1\""), "pressed again it is another request");
    // what is too long to be carried is said before anybody logs in here
    let long = send(&server, "/report", DEAD, &body).await;
    assert!(long.status == 401 && long.body.contains("too long to be kept here"), "{}", long.body);
    assert!(!long.body.contains("name=\"kept\""), "{}", long.body);
}

#[tokio::test]
async fn what_may_be_recorded_is_sent_again_as_the_same() {
    let store = FaultyStore::new(MemoryStore::new("test.example/log"));
    let server = Server::of(support::house(store, support::settings(Vec::new())), false, true).await;
    let (_, obligation) = server.breach("There before").await;
    for fault in [Fault::Before, Fault::After] {
        let body = format!("title=Not+to+be+lost&reference={fault:?}&page=page-{fault:?}");
        let typed = [("title".to_string(), vec!["Not to be lost".to_string()])];
        server.house.store.fail_next(fault);
        let failed = server.form(Role::Reporter, "/report", "same-origin", &body).await;
        assert_eq!((failed.status, missing(&failed.body, "/report", &typed)), (503, Vec::new()), "{}", failed.body);
        assert!(failed.body.contains(&format!("name=\"page\" value=\"page-{fault:?}\"")), "{}", failed.body);
        assert_eq!(server.form(Role::Reporter, "/report", "same-origin", &body).await.status, 303);
    }
    let incidents = server.get(Role::Reporter, "/api/v1/incidents").await.json();
    assert_eq!(incidents["items"].as_array().map(Vec::len), Some(3), "each once: {incidents}");
    let path = format!("/obligations/{}/filing", obligation.replace('@', "%40"));
    server.house.store.fail_next(Fault::Before);
    let failed = server.form(Role::Responder, &path, "same-origin", "reference=CNIL&part=complete&page=p").await;
    let typed = [("reference".to_string(), vec!["CNIL".to_string()]), ("part".into(), vec!["complete".into()])];
    assert_eq!((failed.status, missing(&failed.body, &path, &typed)), (503, Vec::new()), "{}", failed.body);
}

/// A filing with a proof of so many bytes, its fields in the order of the page.
fn filing(proof: usize) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in [("reference", "CNIL 77"), ("part", "complete"), ("note", "by telephone first")] {
        body.extend(format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").bytes());
    }
    let head = "--XX\r\nContent-Disposition: form-data; name=\"proof\"; filename=\"receipt.pdf\"\r\n\
        Content-Type: application/pdf\r\n\r\n";
    body.extend(head.bytes());
    body.resize(body.len() + proof, b'.');
    body.extend(b"\r\n--XX--\r\n");
    body
}

#[tokio::test]
async fn a_proof_is_as_large_as_a_file_and_a_larger_one_costs_nothing_else() {
    let server = Server::start().await;
    let (_, obligation) = server.breach("A large receipt").await;
    let path = format!("/obligations/{}/filing", obligation.replace('@', "%40"));
    let post = async |cookie: &str, proof: usize| {
        let kind = "multipart/form-data; boundary=XX";
        let headers = [("cookie", cookie), ("sec-fetch-site", "same-origin"), ("content-type", kind)];
        server.send("POST", &path, &headers, &filing(proof)).await
    };
    let typed = [
        ("reference".to_string(), vec!["CNIL 77".to_string()]),
        ("part".to_string(), vec!["complete".to_string()]),
        ("note".to_string(), vec!["by telephone first".to_string()]),
    ];
    let before = size(&server).await;
    let session = format!("breachclock={}", server.token(Role::Responder));
    for more in [1, 2 << 20] {
        let large = post(&session, (32 << 20) + more).await;
        assert_eq!((large.status, missing(&large.body, &path, &typed)), (413, Vec::new()), "{}", large.body);
        let said = large.body.split("id=\"fp-said\">").nth(1).unwrap_or_default();
        assert!(said.starts_with("`proof` holds more than 32 MiB (33554432 bytes)"), "{}", large.body);
        assert!(large.body.contains("choose receipt.pdf again"), "{}", large.body);
    }
    // without a session the texts are kept, and the file is asked for again
    let login = post(DEAD, 3 << 20).await;
    let token = server.token(Role::Responder);
    let again = send(&server, "/login", "", &carrying(&login.body, &[("token", token)])).await;
    assert_eq!((again.status, missing(&again.body, &path, &typed)), (200, Vec::new()), "{}", again.body);
    assert!(again.body.contains("choose receipt.pdf again"), "{}", again.body);
    assert_eq!(size(&server).await, before);
    let filed = post(&session, 3 << 20).await;
    assert_eq!(filed.status, 303, "{}", filed.body);
}
