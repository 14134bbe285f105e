//! Digests: at the right instants on days of any length, over restarts and outages, with what is open in them.

use crate::support::{at, caller, house, schema, settings, take_messages};
use breachclock::config;
use breachclock::escalation::{Event, Message, Who};
use breachclock::notify::{Context, render};
use breachclock::store::Store;
use breachclock::store::memory::MemoryStore;
use breachclock::store::sqlite::SqliteStore;
use breachclock::time::{Recurrence, Timestamp, Zone};
use breachclock::workflow::{DigestPart, DigestPlan, FilingRequest, House, Role};
use chrono::TimeDelta;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    cron: String,
    zone: String,
    from: String,
    until: String,
    /// Minutes between two looks.
    step: Option<i64>,
    down: Option<(String, String)>,
    want: Vec<String>,
    #[serde(default)]
    coalesced: u32,
}

fn plan(cron: &str, zone: &str) -> DigestPlan {
    let zone = Zone::named(zone).expect("a zone");
    DigestPlan {
        id: "morning".into(),
        when: Recurrence::parse(cron, zone).expect("an expression"),
        to: vec![Who::Role("dpo".into()), Who::Person("ines".into())],
        channels: Vec::new(),
        entities: Vec::new(),
        parts: DigestPart::ALL.to_vec(),
    }
}

#[tokio::test]
async fn each_occurrence_is_told_once() {
    let cases: Cases = toml::from_str(include_str!("../vectors/digests.toml")).expect("the table of cases");
    let mut faults = Vec::new();
    for case in cases.case {
        let house = house(MemoryStore::new("test.example/log"), settings(Vec::new()));
        let plan = plan(&case.cron, &case.zone);
        let down = case.down.as_ref().map(|(from, to)| (at(from), at(to)));
        let (mut now, mut told): (Timestamp, Vec<Message>) = (at(&case.from), Vec::new());
        while now <= at(&case.until) {
            if !down.is_some_and(|(from, to)| from <= now && now < to) {
                house.digest(std::slice::from_ref(&plan), &mut None, now).await.expect("looked");
                told.extend(take_messages(&house, &[], now).await);
            }
            now += TimeDelta::minutes(case.step.unwrap_or(10));
        }
        let is: Vec<String> = told.iter().map(|m| plan.when.zone().rfc3339(m.reason.due_at)).collect();
        if is != case.want {
            faults.push(format!("{}: {is:?}, wanted {:?}", case.name, case.want));
        }
        let most = told.iter().map(|m| m.reason.coalesced).max().unwrap_or_default();
        if most != case.coalesced {
            faults.push(format!("{}: stands for {most} missed ones, wanted {}", case.name, case.coalesced));
        }
        house.check_log().await.expect("the log is whole");
        schema::holds(&*house.store).await;
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

async fn report<S: Store>(house: &House<S>, title: &str, aware: &str) -> String {
    let text = format!(
        "title = \"{title}\"\nentity = \"acme-fr\"\n[facts]\npersonal_data = true\nrisk = \"risk\"\n\"times.aware\" = \"{aware}\"\n"
    );
    let now = at("2026-06-04T06:00:00Z");
    let id = house.report(&caller(Role::Admin), &text, None, now).await.expect("reported").incident.id;
    take_messages(house, &[], now).await;
    format!("{id}~eu-gdpr-33-authority@FR")
}

/// First put into force while the clock was months ahead: it comes on the next morning of the right clock, and every one
/// after it.
#[tokio::test]
async fn a_clock_that_was_ahead_silences_no_digest() {
    let house = house(MemoryStore::new("test.example/log"), settings(Vec::new()));
    let plan = [plan("0 9 * * *", "Europe/Paris")];
    let mut memory = None;
    house.digest(&plan, &mut memory, at("2026-09-04T06:30:00Z")).await.expect("looked");
    house.digest(&plan, &mut memory, at("2026-09-04T07:00:00Z")).await.expect("looked");
    take_messages(&house, &[], at("2026-09-04T07:00:00Z")).await;
    let mut told = Vec::new();
    for now in ["2026-06-04T06:30:00Z", "2026-06-04T07:00:00Z", "2026-06-04T08:00:00Z", "2026-06-05T07:00:00Z"] {
        house.digest(&plan, &mut memory, at(now)).await.expect("looked");
        told.extend(take_messages(&house, &[], at(now)).await.into_iter().map(|m| (now, m.reason.due_at)));
    }
    let mornings = ["2026-06-04T07:00:00Z", "2026-06-05T07:00:00Z"];
    assert_eq!(told, mornings.map(|now| (now, at(now))));
}

/// Late, filed late without reasons, taken, and free; with a memory and without.
#[tokio::test]
async fn a_digest_says_what_is_open() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(dir.path(), "test.example/log").expect("opens");
    let house = house(store, settings(Vec::new()));
    let admin = caller(Role::Admin);
    let late = report(&house, "Old tape", "2026-06-01T04:00:00Z").await;
    let filed = report(&house, "Lost phone", "2026-05-30T04:00:00Z").await;
    let free = report(&house, "Open share", "2026-06-03T08:00:00Z").await;
    let now = at("2026-06-04T06:30:00Z");
    house.file(&admin, &filed, FilingRequest::default(), None, now).await.expect("filed");
    let mut memory = None;
    let plan = plan("0 9 * * *", "Europe/Paris");
    house.digest(std::slice::from_ref(&plan), &mut memory, now).await.expect("looked");
    take_messages(&house, &[], now).await;
    let now = at("2026-06-04T07:00:00Z");
    let next = house.digest(std::slice::from_ref(&plan), &mut memory, now).await.expect("looked");
    assert_eq!(next, Some(at("2026-06-05T07:00:00Z")));
    let told = take_messages(&house, &[], now).await;
    assert_eq!(told.len(), 1, "once, although two words name her");
    let message = &told[0];
    assert_eq!((message.event, message.target.label().as_str()), (Event::DigestDue, "email:ines"));
    let note = message.extra.note.as_deref().expect("lines");
    let section = |heading: &str| {
        let mut lines = note.lines().skip_while(|line| *line != heading).skip(1);
        lines.by_ref().take_while(|line| line.starts_with("- ")).map(str::to_string).collect::<Vec<String>>()
    };
    let incident = |id: &str| format!("({})", id.split('~').next().expect("an incident"));
    let has = |lines: &[String], id: &str, words: &str| {
        lines.iter().any(|line| line.ends_with(&incident(id)) && line.contains(words) && line.contains("Acme SAS"))
    };
    assert!(has(&section("Late:"), &late, "late since Thu 4 Jun, 07:00 CEST; nobody has it; reasons"), "{note}");
    let missing = section("The reasons for the delay are missing:");
    assert!(has(&missing, &filed, "filed late; reasons for the delay missing"), "{note}");
    assert!(has(&section("Nobody has it:"), &free, "before Sat 6 Jun, 10:00 CEST; nobody has it"), "{note}");
    let title = &message.brief.duty_title;
    assert!(title.starts_with("Digest: ") && title.contains("1 late, 2 without reasons for the delay"), "{title}");
    let context = Context { now, wall: now, public_url: String::new(), checkpoint: None, drill: false };
    let mail = render::render(message, &context);
    assert!(mail.subject.starts_with("Digest: ") && !mail.urgent, "{}", mail.subject);
    assert!(mail.text.contains("because [[digest]] “morning” in the"), "{}", mail.text);
    // recorded reasons leave it
    house.delay(&admin, &filed, "The phone was found in a lake.", None, now).await.expect("recorded");
    let now = at("2026-06-05T07:00:00Z");
    house.digest(&[plan], &mut memory, now).await.expect("looked");
    let told = take_messages(&house, &[], now).await;
    let digest = told.iter().find(|m| m.event == Event::DigestDue).expect("the next day's");
    assert!(!digest.extra.note.as_deref().expect("lines").contains("filed late"), "{:?}", digest.extra.note);
    house.check_log().await.expect("the log is whole");
}

#[test]
fn the_configuration_gives_digests() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("breachclock.toml");
    let text = r#"
        [data]
        dir = "data"
        [[person]]
        id = "ines"
        name = "Ines Moreau"
        roles = ["dpo"]
        email = "ines@acme.example"
        [[digest]]
        id = "morning"
        cron = "0 8 * * MON-FRI"
        zone = "Europe/Paris"
        to = ["role:dpo"]
        what = ["late", "next"]
    "#;
    std::fs::write(&file, text).expect("written");
    let config = config::load(&file).expect("well-formed");
    let [digest] = config.digests.as_slice() else { panic!("one digest") };
    assert_eq!(
        (digest.when.expression(), digest.when.zone().to_string().as_str()),
        ("0 8 * * MON-FRI", "Europe/Paris")
    );
    assert_eq!(
        (&digest.parts[..], &digest.to[..]),
        (&[DigestPart::Late, DigestPart::Next][..], &[Who::Role("dpo".into())][..])
    );
}
