//! The pages for those who decide and oversee: what they say, that they escape it, and whom they refuse.

use crate::support::{self, at, caller};
use crate::web::Server;
use breachclock::law::IncidentId;
use breachclock::store::Store;
use breachclock::workflow::{Caller, Role, Trouble, WaiverRequest};
use serde_json::Value;

const HOSTILE: &str = "<script>alert(1)</script>\"'&";

/// What an attack would look like in a page.
fn is_escaped(body: &str) {
    assert!(!body.contains("<script>alert"), "a text is not escaped");
    assert!(!body.contains(" style=") && !body.contains("<style"), "a page brings style of its own");
    assert!(!body.contains("javascript:"), "an address runs script");
}

/// [`is_escaped`], and promises nothing. A page of a duty quotes the law, which may call somebody deemed compliant.
fn is_clean(body: &str) {
    is_escaped(body);
    for word in ["compliant", "on track", "nothing to do"] {
        assert!(!body.to_lowercase().contains(word), "a page says `{word}`");
    }
}

/// Two entities; `scoped` reads only the first, as each role.
async fn two_entities() -> (Server, Vec<(Role, String)>) {
    let mut settings = support::settings(Vec::new());
    let mut other = settings.entities[0].clone();
    (other.id, other.name) = (Some("acme-de".into()), "Acme GmbH".into());
    settings.entities.push(other);
    let server = Server::with(settings).await;
    let mut tokens = Vec::new();
    for role in Role::ALL {
        let scope = vec!["acme-fr".to_string()];
        let made = server.house.create_token(&Caller::system(), role, "scoped", scope, None, server.now()).await;
        tokens.push((role, made.expect("a token").1));
    }
    (server, tokens)
}

/// A page as somebody with this token sees it.
async fn page_of(server: &Server, token: &str, path: &str) -> crate::web::Reply {
    server.send("GET", path, &[("cookie", &format!("breachclock={token}"))], b"").await
}

fn proposal() -> WaiverRequest {
    WaiverRequest {
        reason: format!("encrypted {HOSTILE}"),
        second_approver: Some("approver".into()),
        inputs: vec!["affected.FR".into()],
        grounds: vec!["encrypted".into()],
        reopen_when: vec!["risk".into()],
        ..WaiverRequest::default()
    }
}

fn admin() -> Caller {
    Caller { name: "token:admin".into(), role: Role::Admin, entities: Vec::new() }
}

async fn entries(server: &Server, incident: &str, kind: &str) -> Vec<Value> {
    let entries = server.house.store.stream(incident).await.expect("reads");
    let entries = entries.iter().map(|e| serde_json::from_slice::<Value>(&e.bytes).expect("JSON"));
    entries.filter(|e| e["type"] == kind).collect()
}

#[tokio::test]
async fn what_if_shows_what_would_follow_and_saves_nothing() {
    let server = Server::start().await;
    let (incident, _) = server.breach(HOSTILE).await;
    let before = server.house.store.head().await.expect("a head").size;
    let path = format!("/incidents/{incident}/what-if");
    let empty = server.page(Role::Reporter, &path).await;
    assert_eq!(empty.status, 200, "{}", empty.body);
    assert!(empty.body.contains("Nothing here is saved, nobody is told"));
    is_clean(&empty.body);
    let high = server.page(Role::Reporter, &format!("{path}?risk=high")).await;
    assert_eq!(high.status, 200, "{}", high.body);
    assert!(high.body.contains("What if risk: high?"), "the question is the heading");
    assert!(high.body.contains("Would run") || high.body.contains("Would apply"), "{}", high.body);
    assert!(high.body.contains("because: risk<"), "the reason is given: {}", high.body);
    // it can be carried over into a form that asserts it
    let carried = format!("/incidents/{incident}?fact=risk&#38;value=high#add");
    assert!(high.body.contains(&carried), "{}", high.body);
    let form = server.page(Role::Reporter, &format!("/incidents/{incident}?fact=risk&value=high")).await;
    assert!(
        form.body.contains("<details id=\"add\" open>") && form.body.contains("name=\"key\" list=\"keys\" required")
    );
    assert!(form.body.contains("/what-if?"), "questions lead to it");
    // who may not assert sees no button
    let auditor = server.page(Role::Auditor, &format!("{path}?risk=high")).await;
    assert!(!auditor.body.contains("Make it real"));
    for (query, status, said) in [
        ("risk=nonsense", 422, "cannot be"),
        ("fact=none.such&value=1", 422, "no fact has the key"),
        ("times.aware=soon", 422, "times.aware"),
        ("affected.total=%3Cscript%3Ealert(1)%3C/script%3E", 422, "affected.total"),
    ] {
        let reply = server.page(Role::Reporter, &format!("{path}?{query}")).await;
        assert_eq!(reply.status, status, "{query}: {}", reply.body);
        assert!(reply.body.contains(said), "{query}: {}", reply.body);
        is_clean(&reply.body);
    }
    assert_eq!(server.house.store.head().await.expect("a head").size, before, "something was recorded");
}

#[tokio::test]
async fn the_page_and_the_interface_suppose_the_same() {
    let server = Server::start().await;
    let (incident, _) = server.breach("The same").await;
    let body = format!(r#"{{"incident": "{incident}", "suppose": {{"risk": "high"}}}}"#);
    let answer = server.post(Role::Reporter, "/api/v1/assess", &[], &body).await.json();
    let page = server.page(Role::Reporter, &format!("/incidents/{incident}/what-if?risk=high")).await.body;
    for part in ["added", "moved", "dropped"] {
        for entry in answer[part].as_array().expect("a list") {
            let title = entry["title"].as_str().expect("a title").replace('\'', "&#39;");
            assert!(page.contains(&title), "{part}: {title} is not on the page");
        }
    }
    assert!(answer["added"].as_array().is_some_and(|added| !added.is_empty()), "{answer}");
}

#[tokio::test]
async fn the_queue_holds_what_waits_and_records_what_its_buttons_say() {
    let server = Server::start().await;
    let (incident, obligation) = server.breach("A decision").await;
    let empty = server.page(Role::Approver, "/decisions").await;
    assert!(empty.status == 200 && empty.body.contains("No decision waits"), "{}", empty.body);
    server.house.waive(&admin(), &obligation, proposal(), None, server.now()).await.expect("proposes");
    let page = server.page(Role::Approver, "/decisions").await;
    is_clean(&page.body);
    for said in
        ["Agree that this is not notified?", "encrypted &#60;script", "People in FR", "1200", "Proposed", "admin"]
    {
        assert!(page.body.contains(said), "{said}: {}", page.body);
    }
    assert!(page.body.contains("data-due=") && page.body.contains("Approve: record"), "{}", page.body);
    // who proposed it cannot agree, who only reads decides nothing
    let own = server.page(Role::Admin, "/decisions").await;
    assert!(own.body.contains("Withdraw it") && !own.body.contains("Approve: record"), "{}", own.body);
    let auditor = server.page(Role::Auditor, "/decisions").await;
    assert!(auditor.status == 200 && !auditor.body.contains("<textarea"), "{}", auditor.body);
    for role in [Role::Reporter, Role::Responder] {
        assert_eq!(server.page(role, "/decisions").await.status, 403);
    }
    let api = server.get(Role::Approver, "/api/v1/decisions").await.json();
    assert_eq!((&api["items"][0]["kind"], &api["items"][0]["own"]), (&"second-approval".into(), &false.into()));
    assert_eq!(api["items"][0]["basis"]["inputs"][0]["value"], 1200);
    // refused: the obligation is open, its clock was never stopped, and the log says who and why
    let path = format!("/obligations/{obligation}/waiver/withdrawal");
    let none = server.form(Role::Approver, &path, "same-origin", "back=decisions&why=").await;
    assert_eq!(none.status, 422, "{}", none.body);
    let refused = server.form(Role::Approver, &path, "same-origin", "back=decisions&why=the+key+was+there").await;
    assert_eq!((refused.status, refused.header("location")), (303, "/decisions?done=withdrawn"), "{}", refused.body);
    let ended = entries(&server, &incident, "decision.withdrawn").await;
    assert_eq!((ended.len(), &ended[0]["body"]["how"]), (1, &"refused".into()));
    assert!(!ended[0].to_string().contains("the key was there"), "reasons are personal");
    let again = server.form(Role::Approver, &path, "same-origin", "why=again").await;
    assert_eq!(again.status, 409, "{}", again.body);
    assert!(server.page(Role::Approver, "/decisions").await.body.contains("No decision waits"));
    let seen = server.get(Role::Reporter, &format!("/api/v1/obligations/{obligation}")).await.json();
    assert_eq!((&seen["standing"], &seen["waiver"]), (&"running".into(), &Value::Null));
    // and it can be decided anew, and approved from the queue
    server.house.waive(&admin(), &obligation, proposal(), None, server.now()).await.expect("proposes again");
    let path = format!("/obligations/{obligation}/waiver");
    let approved = server.form(Role::Approver, &path, "same-origin", "back=decisions&why=x").await;
    assert_eq!(approved.header("location"), "/decisions?done=approved", "{}", approved.body);
    let timeline = server.get(Role::Auditor, &format!("/api/v1/incidents/{incident}/timeline")).await.body;
    assert!(timeline.contains("the decision not to notify is no more, refused: the key was there"), "{timeline}");
}

/// Who proposed hears that it was refused, by whom and why, and nobody else does; the page says it to whoever looks.
#[tokio::test]
async fn who_proposed_is_told_that_somebody_does_not_agree() {
    let mut settings = support::settings(Vec::new());
    settings.webhooks = vec![("soc".into(), vec!["*".into()])];
    let server = Server::with(settings).await;
    let (incident, obligation) = server.breach("Refused").await;
    let propose = async |by: &str| {
        let ask = WaiverRequest { by: Some(by.into()), ..proposal() };
        server.house.waive(&admin(), &obligation, ask, None, server.now()).await.expect("proposes");
    };
    let refuse = async |role: Role, reason: &str| {
        let path = format!("/api/v1/obligations/{obligation}/waiver/withdrawal");
        let body = serde_json::json!({ "reason": reason }).to_string();
        let reply = server.post(role, &path, &[], &body).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.json()
    };
    let told = async || {
        let sent = server.house.store.sent(&IncidentId(incident.clone()), u32::MAX).await.expect("messages");
        let about = sent.into_iter().map(|sent| sent.message).filter(|m| m.reason.step == "refused");
        about.map(|m| (m.target.label(), m.extra.note.clone().unwrap_or_default(), m.brief.clone())).collect::<Vec<_>>()
    };
    propose("lea").await;
    let reason = format!("the key was there {HOSTILE}");
    let shown = refuse(Role::Approver, &reason).await;
    let refusal = (&shown["refusal"]["by"], &shown["refusal"]["reason"], &shown["waiver"]);
    assert_eq!(refusal, (&"token:approver".into(), &reason.as_str().into(), &Value::Null));
    let messages = told().await;
    let [(to, note, brief)] = messages.as_slice() else { panic!("{messages:?}") };
    assert_eq!(to, "email:lea");
    for said in ["token:approver does not agree", &reason, "its clock was never stopped"] {
        assert!(note.contains(said), "{said}: {note}");
    }
    assert!(brief.duty_title.starts_with("Refused: the decision not to notify, ") && brief.conservative_due.is_some());
    let path = format!("/obligations/{obligation}");
    let page = server.page(Role::Responder, &path).await.body;
    is_clean(&page);
    assert!(page.contains("Not to notify: refused") && page.contains("the key was there &#60;script"), "{page}");
    let api = server.get(Role::Auditor, &format!("/api/v1{path}")).await.json();
    assert_eq!(api["refusal"]["reason"], reason, "{api}");
    let timeline = server.get(Role::Auditor, &format!("/api/v1/incidents/{incident}/timeline")).await.json();
    let items = timeline["items"].as_array().expect("items");
    let item = items.iter().find(|i| i["text"].as_str().is_some_and(|t| t.contains("no more, refused: the key")));
    assert_eq!(item.expect("told")["by"], "token:approver");
    assert!(items.iter().any(|i| i["text"] == "reminder.due to email:lea, step refused"), "{timeline}");

    // another proposal is another matter; whoever withdraws their own needs no message, a token has no address
    propose("lea").await;
    assert!(!server.page(Role::Responder, &path).await.body.contains("Not to notify: refused"));
    let lea = Caller { name: "lea".into(), role: Role::Approver, entities: Vec::new() };
    let own = server.house.withdraw_decision(&lea, &obligation, "a mistake", None, server.now()).await;
    assert!(own.expect("withdrawn").refusal.is_none());
    server.house.waive(&admin(), &obligation, proposal(), None, server.now()).await.expect("proposes");
    refuse(Role::Approver, "no").await;
    assert_eq!(told().await.len(), 1);
    assert!(server.page(Role::Responder, &path).await.body.contains("Not to notify: refused"));
}

#[tokio::test]
async fn a_decision_that_a_fact_ended_waits_in_the_queue_until_somebody_acts() {
    let server = Server::start().await;
    let (incident, obligation) = server.breach("Ended").await;
    for second in [None, Some("approver".to_string())] {
        let ask = WaiverRequest { second_approver: second, ..proposal() };
        server.house.waive(&admin(), &obligation, ask, None, server.now()).await.expect("decides");
        let risk = format!("/api/v1/incidents/{incident}/facts");
        for word in ["high", "risk"] {
            server.post(Role::Reporter, &risk, &[], &format!(r#"{{"risk":"{word}"}}"#)).await;
        }
        let page = server.page(Role::Approver, "/decisions").await.body;
        assert!(page.contains("A fact ended the decision") && page.contains("<b>Risk</b> changed"), "{page}");
    }
    server.post(Role::Responder, &format!("/api/v1/obligations/{obligation}/filing"), &[], "{}").await;
    assert!(server.page(Role::Approver, "/decisions").await.body.contains("No decision waits"));
}

#[tokio::test]
async fn a_standing_decision_is_taken_back_and_its_review_waits_in_the_queue() {
    let server = Server::start().await;
    let (incident, obligation) = server.breach("Stands").await;
    let ask = WaiverRequest { second_approver: None, review_on: Some("2026-03-20".into()), ..proposal() };
    server.house.waive(&admin(), &obligation, ask, None, server.now()).await.expect("decides");
    let page = server.page(Role::Approver, "/decisions").await.body;
    assert!(page.contains("Is it still right not to notify?") && page.contains("Decide anew not to notify"), "{page}");
    let back = server
        .post(
            Role::Approver,
            &format!("/api/v1/obligations/{obligation}/waiver/withdrawal"),
            &[],
            r#"{"reason":"it was wrong"}"#,
        )
        .await;
    assert_eq!((back.status, &back.json()["standing"]), (200, &"running".into()), "{}", back.body);
    assert_eq!(entries(&server, &incident, "decision.withdrawn").await[0]["body"]["how"], "taken-back");
    // the entries alone tell the same as the store
    let book = server.house.book();
    support::whole(&*server.house.store, &mut |_| Ok(book.clone())).await.expect("the log and the store agree");
    // who may not decide takes nothing back
    let refused = server.house.withdraw_decision(&caller(Role::Responder), &obligation, "x", None, server.now()).await;
    assert!(matches!(refused, Err(Trouble::NotPermitted(_))));
}

#[tokio::test]
async fn a_later_limit_is_signed_off_from_the_queue_one_by_one() {
    let server = Server::start().await;
    let (incident, obligation) = server.breach("Later").await;
    server.house.activate(crate::rulebook::hours(96), at("2026-03-28T01:00:00Z")).await.expect("activates");
    let page = server.page(Role::Approver, "/decisions").await.body;
    assert!(
        page.contains("Accept what the changed rule packs say?") && page.contains("The rule packs now say"),
        "{page}"
    );
    let body = format!("back=decisions&reason=read&obligation={obligation}");
    let path = format!("/incidents/{incident}/sign-off");
    let signed = server.form(Role::Approver, &path, "same-origin", &body).await;
    assert_eq!(signed.header("location"), "/decisions?done=signed-off", "{}", signed.body);
    assert_eq!(entries(&server, &incident, "rules.signed-off").await.len(), 1);
}

#[tokio::test]
async fn a_reader_of_one_entity_sees_nothing_of_another_on_these_pages() {
    let (server, tokens) = two_entities().await;
    let (foreign, obligation) = server.breach_of("acme-de", "Foreign").await;
    server.house.waive(&admin(), &obligation, proposal(), None, server.now()).await.expect("proposes");
    for (role, token) in &tokens {
        let what_if = page_of(&server, token, &format!("/incidents/{foreign}/what-if?risk=high")).await;
        assert_eq!(what_if.status, 404, "{}", what_if.body);
        let queue = page_of(&server, token, "/decisions").await;
        let may = matches!(role, Role::Approver | Role::Auditor | Role::Admin);
        assert_eq!(queue.status, if may { 200 } else { 403 }, "{}", role.as_str());
        assert!(!queue.body.contains("Foreign") && !queue.body.contains("Acme GmbH"), "{}", role.as_str());
    }
}

#[tokio::test]
async fn the_law_is_a_map_a_search_and_a_page_for_each_duty() {
    let server = Server::start().await;
    let map = server.page(Role::Reporter, "/law").await;
    assert_eq!(map.status, 200, "{}", map.body);
    is_clean(&map.body);
    let book = server.house.book();
    for row in book.coverage() {
        let address = format!("/law?place={}\"", row.jurisdiction);
        assert!(map.body.matches(&address).count() >= 2, "{} is not a tile and a line", row.jurisdiction);
    }
    assert!(map.body.contains("not covered") && map.body.contains(&breachclock::rules::hex(&book.sha256)));
    let found = server.page(Role::Reporter, "/law?place=FR&q=notify").await.body;
    assert!(found.contains("/law/eu-gdpr-33-authority\""), "the law of the union is found for its members");
    let uncovered = book.uncovered().first().expect("a place nobody covers").0.clone();
    let none = server.page(Role::Reporter, &format!("/law?place={uncovered}")).await.body;
    assert!(none.contains("Not covered."), "{none}");
    for hostile in
        ["q=%3Cscript%3Ealert(1)%3C/script%3E", "place=%22%3E%3Cscript%3Ealert(1)", "role=%22&instrument=%27"]
    {
        let reply = server.page(Role::Reporter, &format!("/law?{hostile}")).await;
        assert_eq!(reply.status, 200);
        is_clean(&reply.body);
    }
    // every duty has a page, of which a few are asked for
    let duties: Vec<&str> = book.duties().iter().map(|d| d.id.0.as_str()).collect();
    for id in duties.iter().step_by(97).copied().chain(["eu-gdpr-33-authority"]) {
        let page = server.page(Role::Auditor, &format!("/law/{id}")).await;
        let duty = book.duty(id).expect("it is there");
        assert_eq!(page.status, 200, "{id}: {}", page.body);
        let citation = duty.citation.replace('&', "&#38;").replace('\'', "&#39;");
        assert!(page.body.contains(&citation), "{id} without its citation");
        is_escaped(&page.body);
    }
    let page = server.page(Role::Auditor, "/law/eu-gdpr-33-authority").await.body;
    for said in ["72 hours", "Texts by date", "personal_data", "Worked cases", "computed by the rulebook in force"] {
        assert!(page.contains(said), "{said}");
    }
    assert!(page.matches("<details>").count() >= 3, "worked cases are shown");
    let missing = server.page(Role::Auditor, "/law/eu-gdpr-33-autority").await;
    assert!(missing.status == 404 && missing.body.contains("eu-gdpr-33-authority"), "{}", missing.body);
}

#[tokio::test]
async fn what_the_packs_changed_is_told_for_duties_and_open_incidents() {
    let (server, tokens) = two_entities().await;
    let none = server.page(Role::Reporter, "/law/changes").await;
    assert!(none.status == 200 && none.body.contains("No other rulebook was in force here"), "{}", none.body);
    server.breach("Own change").await;
    server.breach_of("acme-de", "Foreign change").await;
    let first = (*server.house.book()).clone();
    let before = breachclock::rules::hex(&first.sha256);
    server.house.activate(first, server.now()).await.expect("activates");
    for hours in [96, 48] {
        server.house.activate(crate::rulebook::hours(hours), server.now()).await.expect("activates");
    }
    let first = server.page(Role::Reporter, "/law/changes").await;
    // the rulebook of 96 hours was never archived
    assert!(first.status == 200 && first.body.contains("not at hand"), "{}", first.body);
    let page = server.page(Role::Reporter, &format!("/law/changes?from={before}")).await;
    is_clean(&page.body);
    for said in ["Own change", "Foreign change", "eu-gdpr-33-authority", "Earlier", "changed"] {
        assert!(page.body.contains(said), "{said}: {}", page.body);
    }
    for (_, token) in &tokens {
        let scoped = page_of(&server, token, &format!("/law/changes?from={before}")).await;
        assert!(scoped.body.contains("Own change") && !scoped.body.contains("Foreign change"), "{}", scoped.body);
    }
    for (query, status) in [("from=xyz", 400), (&*format!("from={}", "0".repeat(64)), 404)] {
        assert_eq!(server.page(Role::Reporter, &format!("/law/changes?{query}")).await.status, status, "{query}");
    }
}

#[tokio::test]
async fn settings_name_their_place_and_no_secret() {
    let dir = tempfile::tempdir().expect("a folder");
    let secrets = ["hunter2-mail", "whsec_aG9va3NlY3JldA==", "hook-path-secret", "ping-path-secret"];
    let text = format!(
        r#"[server]
listen = "127.0.0.1:0"
public_url = "https://breach.example"
[data]
dir = "data"
[smtp]
url = "smtp+starttls://mail.example:587"
from = "desk@acme.example"
username = "desk"
password = "{}"
[[webhook]]
id = "soc"
url = "https://hooks.example/{}"
secret = "{}"
[[entity]]
id = "acme-fr"
name = "Acme <b>SAS</b>"
roles = ["controller"]
established_in = ["FR"]
zone = "Europe/Paris"
[[person]]
id = "lea"
name = "Lea Fontaine"
email = "lea@acme.example"
[[policy]]
id = "default"
[[policy.step]]
at = "start"
notify = ["person:lea"]
[[policy.step]]
at = "due-4h"
notify = ["person:lea", "webhook:soc"]
repeat = "30m"
[watchdog]
ping = ["https://hc.example/{}"]
"#,
        secrets[0], secrets[2], secrets[1], secrets[3]
    );
    let path = dir.path().join("breachclock.toml");
    std::fs::write(&path, text).expect("written");
    let config = breachclock::config::load(&path).unwrap_or_else(|faults| panic!("{faults:?}"));
    let mut settings = support::settings(config.policies.clone());
    settings.entities = config.entities.clone();
    settings.overview = breachclock::config::overview(&config);
    let server = Server::with(settings).await;
    let page = server.page(Role::Auditor, "/settings").await;
    assert_eq!(page.status, 200, "{}", page.body);
    is_clean(&page.body);
    for secret in secrets {
        assert!(!page.body.contains(secret), "`{secret}` is shown");
    }
    for said in [
        "https://breach.example",
        "smtp+starttls://mail.example:587",
        "https://hooks.example",
        "set, never shown",
        "line 6",
        "4 h before the earliest limit",
        "again every 30 m",
        "Acme &#60;b&#62;SAS",
        "[retention]",
        "Not in the file",
        "Next wake-up",
    ] {
        assert!(page.body.contains(said), "{said}: {}", page.body);
    }
    for role in [Role::Reporter, Role::Responder, Role::Approver] {
        let refused = server.page(role, "/settings").await;
        assert!(refused.status == 403 && !refused.body.contains("mail.example"), "{}", role.as_str());
        assert!(!server.page(role, "/").await.body.contains("href=\"/settings\""), "{}", role.as_str());
    }
    assert!(server.page(Role::Auditor, "/").await.body.contains("href=\"/settings\""));
}

#[tokio::test]
async fn access_is_read_from_the_log_filtered_paged_and_scoped() {
    let (server, tokens) = two_entities().await;
    let (own, _) = server.breach("Own").await;
    let (foreign, _) = server.breach_of("acme-de", "Foreign").await;
    for incident in [&own, &foreign] {
        let path = format!("/api/v1/incidents/{incident}/bundle");
        assert_eq!(server.get(Role::Auditor, &path).await.status, 200);
    }
    server.get(Role::Reporter, "/api/v1/tokens").await;
    let entities = |entities: &[&str]| entities.iter().map(|e| e.to_string()).collect::<Vec<_>>();
    for (login, scope) in [("kim", &["acme-fr"][..]), ("fritz", &["acme-de"])] {
        let account = breachclock::workflow::NewAccount {
            login: login.into(),
            name: HOSTILE.into(),
            role: "reporter".into(),
            entities: entities(scope),
            ..Default::default()
        };
        server.house.create_account(&Caller::system(), account, server.now()).await.expect("an account");
    }
    let page = server.page(Role::Auditor, "/access").await;
    assert_eq!(page.status, 200, "{}", page.body);
    is_clean(&page.body);
    for said in [
        "Account made: reporter for acme-fr",
        "fritz",
        "Not permitted: GET /api/v1/tokens",
        "Evidence exported",
        "Token made: ",
    ] {
        assert!(page.body.contains(said), "{said}: {}", page.body);
    }
    let exports = server.page(Role::Auditor, "/access?kind=export").await.body;
    assert!(exports.contains(&own) && exports.contains(&foreign) && !exports.contains("Token made"), "{exports}");
    let who = server.page(Role::Auditor, "/access?who=FRITZ").await.body;
    assert!(who.contains("Account made") && !who.contains("kim"), "{who}");
    assert_eq!(server.page(Role::Auditor, "/access?kind=all").await.status, 400);
    // who is limited to one entity reads of that one
    for (role, token) in &tokens {
        let scoped = page_of(&server, token, "/access").await;
        if !matches!(role, Role::Auditor | Role::Admin) {
            assert_eq!(scoped.status, 403, "{}", role.as_str());
            continue;
        }
        assert!(scoped.body.contains(&own) && scoped.body.contains("kim"), "{}", scoped.body);
        for hidden in [foreign.as_str(), "fritz", "acme-de", "Token made: admin for all entities"] {
            assert!(!scoped.body.contains(hidden), "{hidden}: {}", scoped.body);
        }
        assert_eq!(page_of(&server, token, "/settings").await.status, 403);
    }
    // pages follow each other without a gap and without an entry twice
    for _ in 0..60 {
        let scope = entities(&["acme-fr"]);
        server
            .house
            .create_token(&Caller::system(), Role::Reporter, "many", scope, None, server.now())
            .await
            .expect("one");
    }
    let (mut address, mut seen) = ("/access?kind=token".to_string(), Vec::new());
    for _ in 0..9 {
        let body = server.page(Role::Auditor, &address).await.body;
        let numbers =
            body.split("data-l=\"Entry\">").skip(1).filter_map(|rest| rest.split('<').next()?.parse::<u64>().ok());
        seen.extend(numbers);
        let Some(at) = body.find("Older entries") else { break };
        let start = body[..at].rfind("href=\"").expect("a link") + 6;
        address = body[start..].split('"').next().expect("an address").replace("&#38;", "&");
    }
    let mut sorted = seen.clone();
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    sorted.dedup();
    assert_eq!(seen, sorted, "out of order, or twice");
    let made = server.house.store.stream("_system").await.expect("reads");
    let made = made.iter().filter(|e| String::from_utf8_lossy(&e.bytes).contains("\"token.created\"")).count();
    assert_eq!(seen.len(), made);
}

#[tokio::test]
async fn a_hold_that_ends_soon_waits_in_the_queue() {
    let mut settings = support::settings(Vec::new());
    settings.entities[0].operates_in.push("US-CA".into());
    let server = Server::with(settings).await;
    for (until, shown) in [("2026-04-02T00:00:00Z", true), ("2026-09-01T00:00:00Z", false)] {
        let report = format!(
            r#"{{"title": "Held", "entity": "acme-fr", "facts": {{"personal_data": true, "risk": "risk",
            "times.aware": "2026-03-27T15:20:00Z", "affected.US-CA": 1200, "encrypted": false, "hold.law_enforcement":
            {{"value": {{"until": "{until}", "by": "Inspector <b>Roe", "written": true}}}}}}}}"#
        );
        let reply = server.post(Role::Reporter, "/api/v1/incidents", &[], &report).await.json();
        let incident = reply["incident"]["id"].as_str().unwrap_or_else(|| panic!("{reply}")).to_string();
        let obligations = reply["incident"]["obligations"].as_array().expect("obligations");
        assert!(obligations.iter().any(|o| !o["held"].is_null()), "nothing is held: {reply}");
        let page = server.page(Role::Approver, "/decisions").await.body;
        is_clean(&page);
        assert_eq!(page.contains("Assert a new end"), shown, "{page}");
        assert_eq!(page.contains("Inspector &#60;b&#62;Roe"), shown, "{page}");
        if shown {
            let address = page.split("href=\"").find(|part| part.contains("fact=hold")).expect("a link");
            let address = address.split('"').next().expect("an address").replace("&#38;", "&");
            let form = server.page(Role::Approver, address.split('#').next().expect("a path")).await.body;
            assert!(form.contains("value=\"hold.law_enforcement\"") && form.contains("2026-04-02T00:00:00Z"), "{form}");
        }
        server
            .post(
                Role::Approver,
                &format!("/api/v1/incidents/{incident}/facts"),
                &[],
                r#"{"hold.law_enforcement": null}"#,
            )
            .await;
    }
}
