//! People who log in: the first administrator, invitations, passwords, codes by time, sessions and their end.

use crate::web::{Reply, Server};
use breachclock::store::Store;
use breachclock::workflow::accounts::factor;
use breachclock::workflow::{AccountChange, Caller, LoggedIn, NewAccount, Role};
use chrono::Duration;

const PASSWORD: &str = "correct horse battery";

fn new(login: &str, role: &str) -> NewAccount {
    NewAccount { login: login.into(), name: format!("Name of {login}"), role: role.into(), ..NewAccount::default() }
}

/// The path of an address of ours.
fn path(address: &str) -> String {
    address.strip_prefix("https://breach.example").expect("ours").to_string()
}

fn cookie(reply: &Reply) -> String {
    reply.header("set-cookie").split(';').next().unwrap_or_default().to_string()
}

async fn post(server: &Server, path: &str, cookie: &str, body: &str) -> Reply {
    let headers =
        [("cookie", cookie), ("sec-fetch-site", "same-origin"), ("content-type", "application/x-www-form-urlencoded")];
    server.send("POST", path, &headers, body.as_bytes()).await
}

async fn get(server: &Server, path: &str, cookie: &str) -> Reply {
    server.send("GET", path, &[("cookie", cookie)], b"").await
}

/// An account that took its invitation; answers its session.
async fn account(server: &Server, login: &str, role: &str) -> String {
    let made = server.house.create_account(&Caller::system(), new(login, role), server.now()).await;
    let (_, invitation) = made.expect("an account");
    let body = format!("password={PASSWORD}&again={PASSWORD}").replace(' ', "+");
    let taken = post(server, &path(&invitation), "", &body).await;
    assert_eq!((taken.status, taken.header("location")), (303, "/"), "{}", taken.body);
    cookie(&taken)
}

async fn log_in(server: &Server, login: &str, password: &str, code: &str) -> Reply {
    let body = format!("login={login}&password={password}&code={code}").replace(' ', "+");
    post(server, "/login", "", &body).await
}

#[tokio::test]
async fn the_first_administrator_comes_in_by_a_link_that_works_once() {
    let server = Server::empty().await;
    assert!(server.house.needs_setup(server.now()).await.expect("read"));
    let link = path(&server.house.offer_setup());
    assert_eq!(get(&server, "/setup/guess", "").await.status, 404);
    let form = get(&server, &link, "").await;
    assert!(form.status == 200 && form.body.contains("works once"), "{}", form.body);
    // what is refused keeps what was typed, and the link
    let short = post(&server, &link, "", "login=Lea+F&name=Lea&password=short&again=short").await;
    assert_eq!(short.status, 422);
    for said in ["Lea F", "is no login", "at least 12 characters", "href=\"#password\""] {
        assert!(short.body.contains(said), "{said}: {}", short.body);
    }
    let differs = post(&server, &link, "", "login=lea&password=correct+horse+battery&again=other").await;
    assert!(differs.status == 422 && differs.body.contains("the two passwords differ"));
    let elsewhere = [("sec-fetch-site", "cross-site"), ("content-type", "application/x-www-form-urlencoded")];
    let body = b"login=lea&name=Lea&password=correct+horse+battery&again=correct+horse+battery";
    assert_eq!(server.send("POST", &link, &elsewhere, body).await.status, 403);
    let made = post(&server, &link, "", std::str::from_utf8(body).expect("text")).await;
    assert_eq!(made.status, 303, "{}", made.body);
    let me = get(&server, "/api/v1/me", &cookie(&made)).await.json();
    assert_eq!((&me["name"], &me["role"]), (&"user:lea".into(), &"admin".into()));
    assert_eq!(get(&server, &link, "").await.status, 404, "used");
    assert!(!server.house.needs_setup(server.now()).await.expect("read"));
    // an offer that lies about is none once there is an administrator
    let late = path(&server.house.offer_setup());
    let second = post(&server, &late, "", "login=eve&password=correct+horse+battery&again=correct+horse+battery").await;
    assert!(second.status == 409 || second.body.contains("administrator already"), "{} {}", second.status, second.body);
}

#[tokio::test]
async fn an_invitation_is_taken_once_and_a_session_ends_when_it_should() {
    let server = Server::start().await;
    let system = Caller::system();
    let page = post_people(&server, "login=kim&name=Kim+Ode&role=responder").await;
    let invitation =
        page.body.split("<code>").find_map(|part| part.split("</code>").next().filter(|t| t.contains("/invitation/")));
    let link = path(invitation.expect("shown once"));
    assert!(get(&server, &link, "").await.body.contains("Welcome, Kim Ode"));
    let body = "password=correct+horse+battery&again=correct+horse+battery";
    let first = cookie(&post(&server, &link, "", body).await);
    assert_eq!(get(&server, &link, "").await.status, 404, "taken");
    assert_eq!(get(&server, "/api/v1/me", &first).await.json()["role"], "responder");

    // a role that changes counts at once
    let role = |role: &str| AccountChange { role: Some(role.into()), ..AccountChange::default() };
    server.house.change_account(&system, "kim", role("auditor"), server.now()).await.expect("changed");
    assert_eq!(get(&server, "/api/v1/me", &first).await.json()["role"], "auditor");

    // logging out ends the session on the server: the cookie is worth nothing after
    let second = cookie(&log_in(&server, "kim", PASSWORD, "").await);
    assert!(second.starts_with("breachclock=bcs_") && second != first);
    assert_eq!(post(&server, "/logout", &second, "").await.status, 303);
    assert_eq!(get(&server, "/api/v1/me", &second).await.status, 401);
    assert_eq!(get(&server, "/api/v1/me", &first).await.status, 200);

    // another invitation does nothing until it is taken; then the old password and sessions are gone
    let (_, again) = server.house.invite(&system, "kim", server.now()).await.expect("invited");
    assert_eq!(get(&server, "/api/v1/me", &first).await.status, 200);
    let taken = post(&server, &path(&again), "", "password=another+horse+battery&again=another+horse+battery").await;
    assert_eq!((taken.status, get(&server, "/api/v1/me", &first).await.status), (303, 401));
    assert_eq!(log_in(&server, "kim", PASSWORD, "").await.status, 401);

    // so is everything of who is disabled, an invitation too
    let (_, third) = server.house.invite(&system, "kim", server.now()).await.expect("invited");
    let disabled = AccountChange { disabled: Some(true), ..AccountChange::default() };
    server.house.change_account(&system, "kim", disabled, server.now()).await.expect("disabled");
    assert_eq!(get(&server, "/api/v1/me", &cookie(&taken)).await.status, 401);
    assert_eq!(log_in(&server, "kim", "another horse battery", "").await.status, 401);
    assert_eq!(get(&server, &path(&third), "").await.status, 404);
    // no password is in the log, nor the name
    let log = server.house.store.entries(0..1000).await.expect("entries");
    let text: String = log.iter().map(|entry| String::from_utf8_lossy(&entry.bytes).into_owned()).collect();
    for kind in [
        "account.created",
        "account.password-set",
        "session.opened",
        "session.closed",
        "login.failed",
        "account.changed",
    ] {
        assert!(text.contains(kind), "{kind}");
    }
    assert!(!text.contains("horse") && !text.contains("Kim Ode"));
}

#[tokio::test]
async fn where_nobody_can_be_told_from_anybody_one_account_is_slowed_and_no_other() {
    let server = Server::start().await;
    account(&server, "kim", "responder").await;
    for _ in 0..8 {
        log_in(&server, "nobody", "wrong", "").await;
    }
    assert_eq!(log_in(&server, "nobody", "wrong", "").await.status, 429);
    assert_eq!(log_in(&server, "kim", PASSWORD, "").await.status, 303);
}

async fn post_people(server: &Server, body: &str) -> Reply {
    let admin = format!("breachclock={}", server.token(Role::Admin));
    let page = post(server, "/people", &admin, body).await;
    assert_eq!(page.status, 200, "{}", page.body);
    page
}

#[tokio::test]
async fn a_cookie_from_before_the_login_is_not_the_session() {
    let server = Server::start().await;
    account(&server, "kim", "responder").await;
    let fixed = "breachclock=bcs_chosen-by-somebody-else";
    let body = "login=kim&password=correct+horse+battery";
    let logged_in = post(&server, "/login", fixed, body).await;
    assert!(logged_in.status == 303 && cookie(&logged_in) != fixed);
    assert_eq!(get(&server, "/api/v1/me", fixed).await.status, 401);
    for flag in ["HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(logged_in.header("set-cookie").contains(flag), "{flag}");
    }
    // a form of another site changes nothing, whatever cookie the browser sends with it
    let session = cookie(&logged_in);
    let headers = [
        ("cookie", session.as_str()),
        ("sec-fetch-site", "cross-site"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    for (path, body) in
        [("/report", "title=x"), ("/account/factor", ""), ("/logout", ""), ("/login", "login=kim&password=x")]
    {
        assert_eq!(server.send("POST", path, &headers, body.as_bytes()).await.status, 403, "{path}");
    }
    assert_eq!(get(&server, "/api/v1/me", &session).await.status, 200);
}

/// What is taken out is an entry in somebody's name: a page of another site makes none.
#[tokio::test]
async fn what_the_log_records_is_not_taken_by_other_sites() {
    let server = Server::start().await;
    let session = account(&server, "kim", "auditor").await;
    let (incident, _) = server.breach("Taken").await;
    let file = server.post(Role::Admin, &format!("/api/v1/incidents/{incident}/attachments"), &[], "bytes").await;
    let entry = file.json()["entry"].clone();
    let places = [
        format!("/api/v1/incidents/{incident}/bundle"),
        format!("/api/v1/incidents/{incident}/attachments/{entry}"),
        "/api/v1/register?format=csv".to_string(),
    ];
    for place in places {
        let read = async |site: &str| {
            let headers = [("cookie", session.as_str()), ("sec-fetch-site", site)];
            let reply = server.send("GET", &place, &headers, b"").await;
            (reply.status, server.house.store.head().await.expect("a log").size)
        };
        let (refused, before) = read("cross-site").await;
        let (taken, after) = read("none").await;
        assert_eq!((refused, taken, after > before), (403, 200, true), "{place}");
    }
}

#[tokio::test]
async fn guessing_gets_slow_for_who_guesses() {
    let server = Server::behind_proxy().await;
    account(&server, "kim", "responder").await;
    let attempt = async |login: &str, password: &str, address: &str| {
        let headers = [
            ("x-forwarded-for", address),
            ("content-type", "application/x-www-form-urlencoded"),
            ("sec-fetch-site", "same-origin"),
        ];
        let body = format!("login={login}&password={password}").replace(' ', "+");
        server.send("POST", "/login", &headers, body.as_bytes()).await
    };
    // who does not exist is answered as who does
    let (unknown, wrong) = (attempt("nobody", "x", "192.0.2.9").await, attempt("kim", "x", "192.0.2.8").await);
    assert_eq!((unknown.status, wrong.status), (401, 401));
    assert_eq!(unknown.body.replace("nobody", "kim"), wrong.body);
    let mut statuses = Vec::new();
    for _ in 0..7 {
        statuses.push(attempt("kim", "wrong", "192.0.2.1").await.status);
    }
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429, 429]);
    assert_eq!(attempt("kim", PASSWORD, "192.0.2.1").await.status, 429, "also the right one, for a moment");
    assert_eq!(attempt("kim", PASSWORD, "192.0.2.2").await.status, 303, "nobody locks somebody else out");
    let log = server.house.store.entries(0..1000).await.expect("entries");
    let text: Vec<String> = log.iter().map(|entry| String::from_utf8_lossy(&entry.bytes).into_owned()).collect();
    let failed: Vec<&String> = text.iter().filter(|entry| entry.contains("login.failed")).collect();
    assert_eq!(failed.len(), 2, "one for each account in a minute: {failed:?}");
    assert!(failed.iter().any(|e| e.contains("user:kim")) && failed.iter().any(|e| e.contains("\"actor\":\"nobody\"")));
}

/// The code an authenticator shows for the letters of the page.
pub fn shown(letters: &str, now: breachclock::time::Timestamp) -> String {
    let output = std::process::Command::new("oathtool")
        .args([
            "--totp",
            "--base32",
            "--now",
            &now.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
            &letters.replace(' ', ""),
        ])
        .output()
        .expect("oathtool is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("digits").trim().to_string()
}

#[tokio::test]
async fn codes_by_time_as_an_authenticator_makes_them() {
    let server = Server::start().await;
    let session = account(&server, "kim", "responder").await;
    let token = session.split_once('=').expect("a cookie").1;
    let now = server.now();
    // whoever finds an open session has no password
    for nothing in ["", "present=guessed+and+wrong"] {
        let refused = post(&server, "/account/factor", &session, nothing).await;
        assert!(refused.status == 422 && refused.body.contains("not the present password"), "{}", refused.body);
    }
    let page = post(&server, "/account/factor", &session, "present=correct+horse+battery").await;
    assert!(page.body.contains("<svg") && page.body.contains("otpauth://totp/breach.example:kim"), "{}", page.body);
    let begin = async |code, at| server.house.begin_factor(token, PASSWORD, code, "here", at).await;
    let pending = begin(None, now).await.expect("begun");
    assert!(server.house.confirm_factor(&pending.ticket, "000000", now).await.is_err());
    assert!(server.house.confirm_factor(&format!("x{}", pending.ticket), "000000", now).await.is_err());
    let code = shown(&pending.spelled, now);
    let late = now + Duration::minutes(16);
    assert!(server.house.confirm_factor(&pending.ticket, &shown(&pending.spelled, late), late).await.is_err());
    let (_, recovery) = server.house.confirm_factor(&pending.ticket, &code, now).await.expect("confirmed");
    assert_eq!(recovery.len(), factor::RECOVERY_CODES);
    // the ticket is good once, also with the next code
    let later = now + Duration::seconds(30);
    for (code, at) in [(code.clone(), now), (shown(&pending.spelled, later), later)] {
        assert!(server.house.confirm_factor(&pending.ticket, &code, at).await.is_err());
    }
    // nor does one from before a change of the account let anybody in
    // replacing them takes one of them besides the password, once
    for none in [None, Some("000000"), Some(code.as_str())] {
        assert!(begin(none, now).await.is_err(), "{none:?}");
    }
    let fresh = shown(&pending.spelled, later);
    let before = begin(Some(&fresh), later).await.expect("begun");
    assert!(begin(Some(&fresh), later).await.is_err(), "none is taken twice");
    let named = AccountChange { name: Some("Kim".into()), ..AccountChange::default() };
    server.house.change_account(&Caller::system(), "kim", named, now).await.expect("changed");
    assert!(server.house.confirm_factor(&before.ticket, &shown(&before.spelled, later), later).await.is_err());

    let log_in = async |code: Option<&str>, later: i64| {
        server.house.log_in("kim", PASSWORD, code, "here", now + Duration::seconds(later)).await
    };
    assert_eq!(log_in(None, 0).await.expect("the password is right"), LoggedIn::NeedsCode);
    assert!(log_in(Some(&code), 5).await.is_err(), "taken when it was set up");
    let next = shown(&pending.spelled, now + Duration::seconds(60));
    assert!(matches!(log_in(Some(&next), 60).await, Ok(LoggedIn::Open(_))));
    assert!(log_in(Some(&next), 61).await.is_err(), "none is taken twice");
    assert!(matches!(log_in(Some(&recovery[3].to_uppercase()), 62).await, Ok(LoggedIn::Open(_))));
    assert!(log_in(Some(&recovery[3]), 63).await.is_err(), "a recovery code goes when it is used");
}

#[tokio::test]
async fn where_codes_are_required_nobody_comes_in_without() {
    let server = Server::with_doors(breachclock::workflow::Doors::new(true)).await;
    let made = server.house.create_account(&Caller::system(), new("kim", "responder"), server.now()).await;
    let (_, invitation) = made.expect("an account");
    let body = "password=correct+horse+battery&again=correct+horse+battery";
    let page = post(&server, &path(&invitation), "", body).await;
    assert!(
        page.status == 200 && page.header("set-cookie").is_empty() && page.body.contains("Set up codes"),
        "{}",
        page.body
    );
    let field = |name: &str| {
        let start = page.body.split(&format!("name=\"{name}\" value=\"")).nth(1).expect("a field");
        start.split('"').next().expect("ended").to_string()
    };
    let wrong = post(
        &server,
        "/enrol",
        "",
        &format!("ticket={}&code=000000&spelled=A+B&address=otpauth%3A%2F%2Fx", field("ticket")),
    )
    .await;
    assert!(wrong.status == 422 && wrong.body.contains("does not fit") && wrong.body.contains("A B"), "{}", wrong.body);
    let code = shown(&field("spelled"), server.now());
    let done =
        post(&server, "/enrol", "", &format!("ticket={}&code={code}&next=//evil.example", field("ticket"))).await;
    assert!(done.status == 200 && done.body.contains("href=\"/\"") && done.body.contains("<code>"), "{}", done.body);
    assert_eq!(get(&server, "/api/v1/me", &cookie(&done)).await.status, 200);
    let again = log_in(&server, "kim", PASSWORD, "").await;
    assert!(again.status == 401 && again.body.contains("the code from your authenticator"));
}

#[tokio::test]
async fn what_is_wrong_about_an_account_is_named_at_its_field() {
    let server = Server::start().await;
    account(&server, "kim", "responder").await;
    let reply = server
        .post(
            Role::Admin,
            "/api/v1/accounts",
            &[],
            r#"{"login":"Kim Ode","name":"x","role":"boss","entities":["acme-fx"],"person":"leo"}"#,
        )
        .await;
    let text = reply.body.clone();
    let pointers: Vec<String> = reply.json()["errors"]
        .as_array()
        .expect("faults")
        .iter()
        .map(|e| e["pointer"].as_str().expect("a pointer").to_string())
        .collect();
    assert_eq!(
        (reply.status, pointers),
        (422, ["/login", "/role", "/person", "/entities/0"].map(String::from).to_vec()),
        "{text}"
    );
    assert!(text.contains("did you mean `lea`") && text.contains("did you mean `acme-fr`"), "{text}");
    let twice =
        server.post(Role::Admin, "/api/v1/accounts", &[], r#"{"login":"kim","name":"x","role":"auditor"}"#).await;
    assert!(twice.status == 422 && twice.body.contains("is taken"), "{}", twice.body);
    // nobody takes the own right away
    let admin = account(&server, "ada", "admin").await;
    let demoted = post(&server, "/people/ada", &admin, "act=disable").await;
    assert!(demoted.status == 422 && demoted.body.contains("nobody takes the own right away"), "{}", demoted.body);
    // an account that is a person of the configuration acts as that person
    let change = AccountChange { person: Some("lea".into()), ..AccountChange::default() };
    server.house.change_account(&Caller::system(), "kim", change, server.now()).await.expect("changed");
    let session = cookie(&log_in(&server, "kim", PASSWORD, "").await);
    assert_eq!(get(&server, "/api/v1/me", &session).await.json()["name"], "lea");
}

#[tokio::test]
async fn a_password_is_changed_by_who_knows_it() {
    let server = Server::start().await;
    let session = account(&server, "kim", "responder").await;
    let other = cookie(&log_in(&server, "kim", PASSWORD, "").await);
    let change = async |old: &str, new: &str, again: &str| {
        let body = format!("old={old}&password={new}&again={again}").replace(' ', "+");
        post(&server, "/account/password", &session, &body).await
    };
    for (old, new, again, said) in [
        ("wrong", "another horse battery", "another horse battery", "not the present password"),
        (PASSWORD, "another horse battery", "another", "the two passwords differ"),
        (PASSWORD, "short", "short", "at least 12 characters"),
    ] {
        let reply = change(old, new, again).await;
        assert!(reply.status == 422 && reply.body.contains(said), "{said}: {}", reply.body);
    }
    let changed = change(PASSWORD, "another horse battery", "another horse battery").await;
    assert_eq!((changed.status, changed.header("location")), (303, "/account"));
    assert_eq!(get(&server, "/api/v1/me", &other).await.status, 401, "other sessions end");
    assert_eq!(get(&server, "/api/v1/me", &cookie(&changed)).await.status, 200);
    let by_token = format!("breachclock={}", server.token(Role::Reporter));
    let page = get(&server, "/account", &by_token).await;
    assert!(page.body.contains("You came in with the token"), "{}", page.body);
}
