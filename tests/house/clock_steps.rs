//! A clock that is set: what is due afterwards fires, what was sent is not sent again, nothing that waits is lost.

use crate::support::{at, caller, house, run_until, settings, take_messages};
use breachclock::escalation::{EscalationPolicy, Message, Outcome, Repeat, Step, StepAt, Who};
use breachclock::store::memory::MemoryStore;
use breachclock::store::{Lane, Settlement, Store};
use breachclock::time::Timestamp;
use breachclock::workflow::{AckRequest, House, Role};
use std::collections::BTreeSet;

const START: &str = "2026-06-01T08:00:00Z";

fn policy() -> Vec<EscalationPolicy> {
    let step = |at: &str, repeat: Option<i64>| Step {
        name: at.into(),
        at: StepAt::parse(at).expect("a step"),
        notify: vec![Who::Person("lea".into())],
        channels: Vec::new(),
        repeat: repeat.map(Repeat::Seconds),
        needs: Vec::new(),
        lease_seconds: 3600,
    };
    let steps = vec![step("start", None), step("25%", None), step("50%", Some(4 * 3600)), step("due", None)];
    vec![EscalationPolicy::new("steps", steps)]
}

async fn reported() -> House<MemoryStore> {
    let house = house(MemoryStore::new("test.example/log"), settings(policy()));
    let report = format!(
        "title = \"Tape lost\"\nentity = \"acme-fr\"\n[facts]\npersonal_data = true\nrisk = \"risk\"\n\"times.aware\" = \"{START}\"\n"
    );
    house.report(&caller(Role::Admin), &report, None, at(START)).await.expect("reported");
    house
}

fn lines(sent: &[(Timestamp, Message)]) -> Vec<(String, u32, String)> {
    sent.iter().map(|(_, m)| (m.reason.step.clone(), m.reason.repeat, m.target.label())).collect()
}

/// Everything a house sends until the end when nobody touches the clock.
async fn undisturbed() -> Vec<(String, u32, String)> {
    let house = reported().await;
    lines(&run_until(&house, at(START), at("2026-06-05T00:00:00Z")).await)
}

/// Runs to the first instant, sets the clock to the second, runs on to the end.
async fn disturbed(until: &str, set_to: &str) -> (Vec<(Timestamp, Message)>, Vec<(Timestamp, Message)>) {
    let house = reported().await;
    let before = run_until(&house, at(START), at(until)).await;
    // at once, as after the step is noticed
    house.wake_all();
    house.wake_due(at(set_to)).await.expect("wakes");
    let mut after: Vec<_> = take_messages(&house, &[], at(set_to)).await.into_iter().map(|m| (at(set_to), m)).collect();
    after.extend(run_until(&house, at(set_to), at("2026-06-05T00:00:00Z")).await);
    house.attest(at("2026-06-05T00:00:00Z")).await.expect("signs");
    house.check_log().await.expect("the log is whole");
    (before, after)
}

#[tokio::test]
async fn a_step_backward_repeats_nothing_and_loses_nothing() {
    let all = undisturbed().await;
    assert!(all.len() >= 6, "the story has steps and repeats: {all:?}");
    // in the middle, after repeats of a step, and to before anything was sent at all
    let cases = [
        ("2026-06-02T04:00:00Z", "2026-06-02T03:00:00Z"),
        ("2026-06-03T09:00:00Z", "2026-06-03T07:30:00Z"),
        ("2026-06-03T09:00:00Z", "2026-05-31T00:00:00Z"),
    ];
    for (until, set_to) in cases {
        let (before, after) = disturbed(until, set_to).await;
        assert!(!before.is_empty() && !after.is_empty(), "the step is in the middle of the story");
        let keys: Vec<&str> = before.iter().chain(&after).map(|(_, m)| m.key.as_str()).collect();
        assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len(), "{set_to}: a key twice");
        let mut sent = lines(&before);
        sent.extend(lines(&after));
        assert_eq!(sent, all, "from {until} to {set_to}");
    }
}

#[tokio::test]
async fn a_step_forward_fires_what_became_due() {
    let (before, after) = disturbed("2026-06-01T09:00:00Z", "2026-06-04T20:00:00Z").await;
    assert_eq!(lines(&before).len(), 1);
    let (first_at, first) = after.first().expect("something fires");
    assert_eq!((*first_at, first.reason.step.as_str()), (at("2026-06-04T20:00:00Z"), "due"), "the most urgent one");
    assert!(first.reason.coalesced > 0, "and says what it stands for");
}

/// Two months ahead and back: what was told then told people at a wrong time, and a lease of then is none. Every step comes
/// at its own time, to everybody who is to hear it.
#[tokio::test]
async fn a_clock_that_ran_far_ahead_silences_nothing() {
    let all = undisturbed().await;
    for lease in [false, true] {
        let house = reported().await;
        let before = run_until(&house, at(START), at("2026-06-01T09:00:00Z")).await;
        assert_eq!(lines(&before), all[..1]);
        let wrong = at("2026-08-03T09:00:00Z");
        house.wake_due(wrong).await.expect("wakes");
        assert_eq!(take_messages(&house, &[], wrong).await.len(), 1, "what became due, once");
        if lease {
            let id = format!("{}~eu-gdpr-33-authority@FR", before[0].1.incident);
            let ask = AckRequest { lease_seconds: Some(1800), ..AckRequest::default() };
            house.acknowledge(&caller(Role::Responder), &id, ask, None, wrong).await.expect("taken");
        }
        let right = at("2026-06-01T09:05:00Z");
        house.stats.set_back.store(true, std::sync::atomic::Ordering::Relaxed);
        house.after_set_back(right).await.expect("alarms are set again");
        let after = run_until(&house, right, at("2026-06-05T00:00:00Z")).await;
        assert_eq!(lines(&after), all[1..], "lease: {lease}");
        for (when, message) in &after {
            assert_eq!(*when, message.reason.due_at, "{}", message.reason.step);
        }
    }
}

/// Set back while the daemon was down: nobody saw it, and the log itself tells.
#[tokio::test]
async fn a_clock_behind_the_log_is_noticed_at_the_start() {
    let house = reported().await;
    let size = || async { house.store.head().await.expect("head").size };
    let before = size().await;
    house.clock_against_log(at(START)).await.expect("compares");
    house.clock_against_log(at("2026-06-09T08:00:00Z")).await.expect("compares");
    assert_eq!(size().await, before, "a clock that went on is no event");
    house.clock_against_log(at("2026-06-01T07:00:00Z")).await.expect("compares");
    let last = house.store.stream("_system").await.expect("reads").pop().expect("an entry");
    let entry: serde_json::Value = serde_json::from_slice(&last.bytes).expect("JSON");
    assert_eq!((&entry["type"], &entry["body"]["by_ms"]), (&"clock.stepped".into(), &3_600_000.into()));
    let clock = house.status(at("2026-06-01T07:00:00Z")).await.clock;
    assert_eq!((clock.steps, clock.discipline), (1, "unknown"));
    assert!(clock.last_event.is_some_and(|text| text.contains("before the newest entry")));
}

/// Every change of the discipline is evidence; without a time service the house is not ready; unknown is not well either.
#[tokio::test]
async fn an_undisciplined_clock_is_a_fault() {
    use breachclock::workflow::Discipline::{Synchronised, Unknown, Unsynchronised};
    let house = reported().await;
    let now = at(START);
    house.stats.last_loop.store(now.timestamp_micros(), std::sync::atomic::Ordering::Relaxed);
    // discipline, ready, warnings, the number in the metrics
    let cases = [(Unknown, true, 1, "NaN"), (Unsynchronised, false, 0, "0"), (Synchronised, true, 0, "1")];
    for (discipline, ready, warnings, number) in cases {
        house.clock_disciplined(discipline, "timedatectl", now).await.expect("recorded");
        let status = house.status(now).await;
        assert_eq!((status.ready, status.warnings.len()), (ready, warnings), "{discipline:?}: {:?}", status.faults);
        assert_eq!(status.clock.discipline, discipline.as_str());
        let metrics = house.metrics(now).await;
        assert!(metrics.contains(&format!("\nbreachclock_clock_synchronised {number}\n")), "{metrics}");
        let last = house.store.stream("_system").await.expect("reads").pop().expect("an entry");
        let kind = format!("\"type\":\"clock.{}\"", discipline.as_str());
        assert!(String::from_utf8_lossy(&last.bytes).contains(&kind), "{kind}");
    }
}

/// A retry planned by a clock that was a year ahead, and came back, is not kept waiting for a year.
#[tokio::test]
async fn a_retry_planned_by_a_wrong_clock_goes_out() {
    let house = reported().await;
    let wrong = at("2027-06-01T08:00:00Z");
    let claims = house.store.claim_outbox(Lane::Mail, wrong, 60, 10).await.expect("claims");
    assert_eq!(claims.len(), 1);
    let settlements = claims.into_iter().map(|claim| {
        let outcome = Outcome::Retry { error: "certificate expired".into(), after_seconds: None };
        let draft = house.draft_system("clock.unknown", "test", breachclock::detail! {}, wrong);
        (claim, Settlement { outcome, at: wrong, retry_at: Some(wrong + chrono::Duration::seconds(5)) }, draft)
    });
    house.store.settle(settlements.collect()).await.expect("settles");
    assert_eq!(take_messages(&house, &[], at("2026-06-01T08:01:00Z")).await.len(), 1);
}
