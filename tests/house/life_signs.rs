//! Life signs and self-tests: through the ordinary outbox and channels, with evidence, each exactly once.

use crate::support::{at, caller, house, schema, settings, take_messages};
use breachclock::escalation::{Event, Target, Who};
use breachclock::notify::{Context, Notifiers, Settings, email, render};
use breachclock::store::memory::MemoryStore;
use breachclock::store::sqlite::SqliteStore;
use breachclock::store::{Lane, Store, StoreError};
use breachclock::time::{Recurrence, Timestamp, Zone};
use breachclock::workflow::deliver::Courier;
use breachclock::workflow::{House, LifePlan, Role};
use chrono::TimeDelta;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn plan(maildir: Option<PathBuf>) -> LifePlan {
    let zone = Zone::named("Europe/Paris").expect("a zone");
    LifePlan {
        when: Recurrence::parse("0 8 * * *", zone).expect("an expression"),
        alive_to: vec![Who::Role("security-lead".into()), Who::Person("lea".into())],
        self_test_to: vec![Who::Person("ines".into())],
        maildir,
    }
}

async fn kinds<S: Store>(house: &House<S>) -> Vec<String> {
    schema::holds(&*house.store).await;
    let entries = house.store.stream("_system").await.expect("the stream");
    let kind = |bytes: &[u8]| {
        let entry: serde_json::Value = serde_json::from_slice(bytes).expect("JSON");
        entry["type"].as_str().expect("a type").to_string()
    };
    entries.iter().map(|e| kind(&e.bytes)).collect()
}

async fn report<S: Store>(house: &House<S>, now: Timestamp) {
    let text = "title = \"Tape lost\"\nentity = \"acme-fr\"\n[facts]\npersonal_data = true\nrisk = \"risk\"\n\"times.aware\" = \"2026-03-27T06:00:00Z\"\n";
    house.report(&caller(Role::Admin), text, None, now).await.expect("reported");
    take_messages(house, &[], now).await;
}

/// Over the day of 23 hours, with a restart (an empty memory) before each look.
async fn tells_once_a_day<S: Store>(house: &House<S>) {
    let plan = plan(None);
    let mut now = at("2026-03-27T12:00:00Z");
    report(house, now).await;
    let mut told = Vec::new();
    while now < at("2026-03-30T12:00:00Z") {
        house.live(&plan, &mut None, now).await.expect("lives");
        for message in take_messages(house, &[], now).await {
            assert_eq!(message.incident.0, "_system");
            told.push((now, message));
        }
        now += TimeDelta::minutes(20);
    }
    let alive: Vec<_> = told.iter().filter(|(_, m)| m.event == Event::DaemonAlive).collect();
    let times: Vec<String> = alive.iter().map(|(at, _)| plan.when.zone().rfc3339(*at)).collect();
    assert_eq!(times, ["2026-03-28T08:00:00+01:00", "2026-03-29T08:00:00+02:00", "2026-03-30T08:00:00+02:00"]);
    let (_, first) = alive[0];
    assert_eq!(first.target.label(), "email:lea", "once, although two words name her");
    let said = first.brief.duty_title.replace('\u{a0}', " ");
    assert_eq!(said, "Alive: 1 incident open, next due Mon 30 Mar, 08:00 CEST");
    assert_eq!(told.iter().filter(|(_, m)| m.event == Event::DaemonSelfTest).count(), 3);
    let missing = house.store.dossier(&first.incident).await;
    assert_eq!(missing.err(), Some(StoreError::NotFound), "no incident was made");
    assert_eq!(house.incidents(&caller(Role::Admin), Default::default(), now).await.expect("lists").items.len(), 1);
    let kinds = kinds(house).await;
    let count = |kind: &str| kinds.iter().filter(|k| *k == kind).count();
    assert_eq!((count("alive.scheduled"), count("alive.queued"), count("self-test.queued")), (1, 3, 3));
    house.attest(now).await.expect("signs");
    house.check_log().await.expect("the log is whole");
}

#[tokio::test]
async fn a_clock_that_was_ahead_silences_no_life_sign() {
    let house = house(MemoryStore::new("test.example/log"), settings(Vec::new()));
    let (plan, mut memory) = (plan(None), None);
    house.live(&plan, &mut memory, at("2026-09-04T05:30:00Z")).await.expect("lives");
    let mut told = Vec::new();
    for now in ["2026-06-04T05:30:00Z", "2026-06-04T06:00:00Z", "2026-06-05T06:00:00Z"] {
        house.live(&plan, &mut memory, at(now)).await.expect("lives");
        let alive = take_messages(&house, &[], at(now)).await.into_iter().filter(|m| m.event == Event::DaemonAlive);
        told.extend(alive.map(|m| (now, m.reason.due_at)));
    }
    assert_eq!(told, ["2026-06-04T06:00:00Z", "2026-06-05T06:00:00Z"].map(|now| (now, at(now))));
}

#[tokio::test]
async fn a_daily_life_sign_comes_once_a_day() {
    let dir = tempfile::tempdir().expect("a folder");
    tells_once_a_day(&house(MemoryStore::new("test.example/log"), settings(Vec::new()))).await;
    let store = SqliteStore::open(dir.path(), "test.example/log").expect("opens");
    tells_once_a_day(&house(store, settings(Vec::new()))).await;
}

#[tokio::test]
async fn a_message_about_the_daemon_survives_a_restart_of_the_store() {
    let dir = tempfile::tempdir().expect("a folder");
    let open = || house(SqliteStore::open(dir.path(), "test.example/log").expect("opens"), settings(Vec::new()));
    let now = at("2026-06-01T06:00:00Z");
    let before = open();
    before.live(&plan(None), &mut None, now - TimeDelta::hours(1)).await.expect("lives");
    before.live(&plan(None), &mut None, now).await.expect("lives");
    assert_eq!(before.store.next_outbox(Lane::Mail).await, Ok(Some(now)));
    drop(before);
    let after = open();
    assert_eq!(after.store.next_outbox(Lane::Mail).await, Ok(Some(now)));
    after.live(&plan(None), &mut None, now + TimeDelta::minutes(1)).await.expect("lives");
    let sent = take_messages(&after, &[], now + TimeDelta::minutes(1)).await;
    assert_eq!(sent.iter().map(|m| m.event).collect::<Vec<_>>(), [Event::DaemonAlive, Event::DaemonSelfTest]);
    assert_eq!(after.store.next_outbox(Lane::Mail).await, Ok(None));
}

fn notifiers(dir: &Path) -> Notifiers {
    let smtp = email::Settings {
        url: format!("maildir:{}", dir.display()),
        from: "Test <test@acme.example>".into(),
        username: None,
        password: None,
        ca_file: None,
        hello: None,
        receipts: false,
        read_receipts: false,
        connections: 1,
    };
    Notifiers::from_settings(&Settings { smtp: Some(smtp), ..Settings::default() }).expect("notifiers")
}

/// Everything in the outbox is attempted once, by the daemon's own courier.
async fn deliver(house: &Arc<House<MemoryStore>>, notifiers: Notifiers) -> usize {
    let mut courier = Courier::new(house.clone(), Arc::new(notifiers), Lane::Mail, morning);
    courier.work().await.expect("claims");
    let carried = courier.carries();
    while courier.carries() > 0 {
        courier.attempt_ended().await;
    }
    courier.settle().await.expect("settles");
    carried
}

fn morning() -> Timestamp {
    at("2026-06-01T06:00:00Z")
}

/// The real notifier writes the mail into the mailbox in which it is looked for.
#[tokio::test]
async fn a_self_test_that_arrives_is_evidence() {
    let dir = tempfile::tempdir().expect("a folder");
    let house = Arc::new(house(MemoryStore::new("test.example/log"), settings(Vec::new())));
    let plan = plan(Some(dir.path().to_path_buf()));
    house.live(&plan, &mut None, morning() - TimeDelta::hours(1)).await.expect("lives");
    house.live(&plan, &mut None, morning()).await.expect("lives");
    assert!(!kinds(&house).await.contains(&"self-test.arrived".to_string()), "nothing was sent yet");
    assert_eq!(deliver(&house, notifiers(dir.path())).await, 2);
    let mut log = None;
    house.live(&plan, &mut log, morning() + TimeDelta::minutes(1)).await.expect("lives");
    let kinds = kinds(&house).await;
    assert_eq!(kinds.iter().filter(|k| *k == "self-test.arrived").count(), 1, "{kinds:?}");
    let status = house.status(morning() + TimeDelta::hours(2)).await;
    assert!(!status.faults.iter().any(|f| f.contains("self-test")), "{:?}", status.faults);
    assert!(log.is_some(), "nothing is awaited: what is known need not be read again");
}

#[tokio::test]
async fn a_self_test_that_does_not_arrive_is_an_alarm_until_one_does() {
    let (out, mailbox) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let house = Arc::new(house(MemoryStore::new("test.example/log"), settings(Vec::new())));
    let plan = plan(Some(mailbox.path().to_path_buf()));
    house.live(&plan, &mut None, morning() - TimeDelta::hours(1)).await.expect("lives");
    house.live(&plan, &mut None, morning()).await.expect("lives");
    // taken by the next server, and lost there
    deliver(&house, notifiers(out.path())).await;
    house.live(&plan, &mut None, morning() + TimeDelta::minutes(29)).await.expect("lives");
    assert!(take_messages(&house, &[], morning()).await.is_empty());
    for minute in [30, 31, 60] {
        let now = morning() + TimeDelta::minutes(minute);
        house.live(&plan, &mut None, now).await.expect("lives");
        let faults = house.status(now).await.faults;
        assert!(faults.iter().any(|f| f.contains("the self-test to `email:ines` did not arrive")), "{faults:?}");
    }
    let alarms = take_messages(&house, &[], morning() + TimeDelta::hours(1)).await;
    assert_eq!(
        alarms.iter().map(|m| (m.event, m.target.label())).collect::<Vec<_>>(),
        [(Event::DaemonAlarm, "email:lea".into())]
    );
    assert_eq!(kinds(&house).await.iter().filter(|k| *k == "self-test.missed").count(), 1, "once");
    // it was only slow
    for file in std::fs::read_dir(out.path().join("new")).expect("mails") {
        let file = file.expect("a mail");
        std::fs::create_dir_all(mailbox.path().join("new")).expect("made");
        std::fs::copy(file.path(), mailbox.path().join("new").join(file.file_name())).expect("copied");
    }
    let now = morning() + TimeDelta::minutes(90);
    house.live(&plan, &mut None, now).await.expect("lives");
    assert!(!house.status(now).await.faults.iter().any(|f| f.contains("self-test")));
    assert!(kinds(&house).await.contains(&"self-test.arrived".to_string()));
}

#[tokio::test]
async fn what_the_mail_says() {
    let house = house(MemoryStore::new("test.example/log"), settings(Vec::new()));
    house.live(&plan(None), &mut None, morning() - TimeDelta::days(3)).await.expect("lives");
    house.live(&plan(None), &mut None, morning()).await.expect("lives");
    let sent = take_messages(&house, &[], morning()).await;
    let alive = sent.iter().find(|m| m.event == Event::DaemonAlive).expect("sent");
    assert!(matches!(&alive.target, Target::Email { person, .. } if person == "lea"));
    let context = Context {
        now: morning(),
        wall: morning(),
        public_url: "https://breach.example".into(),
        checkpoint: None,
        drill: false,
    };
    let mail = render::render(alive, &context);
    assert_eq!(mail.subject, "Alive: no incident open");
    for words in [
        "A sign of life. If it stays away, look after the server",
        "because [watchdog] in the configuration names you",
        "stands for 2 steps missed while breachclock was not running",
    ] {
        let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat(&mail.text).contains(&flat(words)), "{words:?} is missing in\n{}", mail.text);
    }
    assert!(!mail.text.contains("_system") && !mail.html.contains("_system"), "{}", mail.text);
    assert!(!mail.urgent);
}
