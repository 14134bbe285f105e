//! The 72 hours of the GDPR in a minute and a half, on the shipped policy: over both changes of European clocks, over
//! the end of a year and over a leap day. Each step is mailed at its instant, once, and none after the filing.

use crate::support::at;
use crate::support::desks::read_mail;
use crate::support::faketime::Clock;
use crate::support::site::{DUTY, Site, Told, eventually, repeated};
use breachclock::time::Timestamp;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

const RATE: i32 = 3000;
/// What a busy machine may be late by in real time.
const SLACK: Duration = Duration::from_secs(2);

/// When Acme became aware, the instants of the steps `50%`, `75%`, `90%` and `due`, and what a mail says of the limit.
const CASES: [(&str, &str, [&str; 4], &str); 4] = [
    (
        "clocks go forward",
        "2026-03-27T12:00:00+01:00",
        ["2026-03-28T23:00:00Z", "2026-03-29T17:00:00Z", "2026-03-30T03:48:00Z", "2026-03-30T11:00:00Z"],
        "Mon 30 Mar 2026, 13:00 CEST",
    ),
    (
        "clocks go back",
        "2026-10-23T12:00:00+02:00",
        ["2026-10-24T22:00:00Z", "2026-10-25T16:00:00Z", "2026-10-26T02:48:00Z", "2026-10-26T10:00:00Z"],
        "Mon 26 Oct 2026, 11:00 CET",
    ),
    (
        "year end",
        "2026-12-30T20:00:00+01:00",
        ["2027-01-01T07:00:00Z", "2027-01-02T01:00:00Z", "2027-01-02T11:48:00Z", "2027-01-02T19:00:00Z"],
        "Sat 2 Jan 2027, 20:00 CET",
    ),
    (
        "leap day",
        "2028-02-27T09:30:00+01:00",
        ["2028-02-28T20:30:00Z", "2028-02-29T14:30:00Z", "2028-03-01T01:18:00Z", "2028-03-01T08:30:00Z"],
        "Wed 1 Mar 2028, 09:30 CET",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seventy_two_hours_over_every_edge_of_the_calendar() {
    let runs = futures_util::future::join_all(CASES.iter().map(|case| seventy_two_hours(*case))).await;
    let (steps, mails) = runs.iter().fold((0, 0), |sum, run| (sum.0 + run.0, sum.1 + run.1));
    let worst = runs.iter().map(|run| run.2).max().expect("runs");
    println!(
        "figure: fast clock x{RATE}: {} runs of 72 h, {steps} steps and {mails} mails with repeats, lost 0, twice 0, after the \
         filing 0; latest step {} s of the daemon's time, {} ms of ours",
        runs.len(),
        worst.num_seconds(),
        (worst / RATE).num_milliseconds()
    );
}

/// Answers the number of steps, of mails, and the lateness of the latest step.
/// Steps that are told once, and steps that repeat at plain times.
const POLICY: &str = r#"
[[policy]]
id = "steps"
[[policy.step]]
at = "start"
notify = ["person:lea"]
[[policy.step]]
at = "50%"
notify = ["person:lea"]
[[policy.step]]
at = "75%"
notify = ["person:lea"]
repeat = "4h"
[[policy.step]]
at = "90%"
notify = ["person:lea"]
repeat = "30m"
[[policy.step]]
at = "due"
notify = ["person:lea"]
repeat = "30m"
"#;

async fn seventy_two_hours((name, aware, instants, limit): (&str, &str, [&str; 4], &str)) -> (usize, usize, TimeDelta) {
    let mails = tempfile::tempdir().expect("a folder");
    let site = Site::new(&format!("maildir:{}", mails.path().display()), POLICY);
    let clock = Clock::fast(at(aware), RATE as u32);
    let mut daemon = site.start_on(&clock);
    let incident = site.report(name, aware).await;
    let now = || async { at(site.ok("/api/v1/status").await["now"].as_str().expect("a time")) };
    let reported = now().await;
    let due = at(instants[3]);
    wait_until(name, due + TimeDelta::minutes(75), now).await;
    // filed after the limit: without its reasons it would go on being asked for them
    let reasons = json!({ "reason": "the processor answered late" });
    let (status, body) =
        site.post(&format!("/api/v1/obligations/{incident}~{DUTY}/delay"), &reasons).await.expect("answers");
    assert_eq!(status, 200, "{name}: {body}");
    let filing = json!({ "by": "lea", "reference": "CNIL 4711" });
    let (status, body) =
        site.post(&format!("/api/v1/obligations/{incident}~{DUTY}/filing"), &filing).await.expect("answers");
    assert_eq!(status, 200, "{name}: {body}");
    let filed = now().await;
    wait_until(name, filed + TimeDelta::hours(5), now).await;

    let tolerance = TimeDelta::from_std(SLACK).expect("small") * RATE;
    let told = site.log().await.messages();
    // a repeat that was queued when the filing came is withdrawn
    let sent = |m: &Told| m.obligation == DUTY && m.outcomes.last().is_none_or(|outcome| outcome != "withdrawn");
    let told: BTreeMap<_, _> = told.into_iter().filter(|(_, message)| sent(message)).collect();
    let mut arrived = Vec::new();
    for entry in std::fs::read_dir(mails.path().join("new")).expect("mails").flatten() {
        let mail = read_mail(&std::fs::read_to_string(entry.path()).expect("reads"));
        let date: DateTime<Utc> = DateTime::parse_from_rfc2822(&mail.date).expect("a date").to_utc();
        // the filing starts another duty, which is not what this is about
        if let Some(message) = told.get(&mail.id) {
            // a date is in whole seconds
            let on_the_way = date + TimeDelta::seconds(1) - at(&message.decided_at);
            assert!(on_the_way > TimeDelta::zero() && on_the_way <= tolerance, "{name}: {on_the_way}: {message:?}");
            arrived.push((date, message, mail));
        }
    }
    arrived.sort_by(|a, b| (a.0, &a.2.id).cmp(&(b.0, &b.2.id)));
    let seen: Vec<String> = arrived.iter().map(|(date, m, _)| format!("{date} {} {}", m.step, m.repeat)).collect();
    assert_eq!(repeated(arrived.iter().map(|(.., mail)| mail.id.as_str())), [] as [&str; 0], "{name}: {seen:#?}");
    assert_eq!(arrived.len(), told.len(), "{name}: {seen:#?}");
    assert!(arrived.iter().all(|(date, ..)| *date <= filed), "{name}: after the filing at {filed}: {seen:#?}");
    assert!(arrived.iter().all(|(.., mail)| mail.text.contains(limit)), "{name}: {:?}", arrived[0].2.text);

    let mut latest = TimeDelta::zero();
    let mut steps = vec![("start", reported, None)];
    let every = [None, Some(TimeDelta::hours(4)), Some(TimeDelta::minutes(30)), Some(TimeDelta::minutes(30))];
    steps.extend(["50%", "75%", "90%", "due"].into_iter().zip(instants).zip(every).map(|((s, i), e)| (s, at(i), e)));
    for (n, (step, instant, every)) in steps.iter().enumerate() {
        let of_step: Vec<_> = arrived.iter().filter(|(_, message, _)| message.step == *step).collect();
        let (first, last) = match (of_step.first(), of_step.last()) {
            (Some(first), Some(last)) => (first.0, last.0),
            _ => panic!("{name}: step {step} was not mailed: {seen:#?}"),
        };
        // the report's own instant was read after the report
        let from = if n == 0 { at(aware) } else { *instant };
        assert!(first >= from && first <= *instant + tolerance, "{name}: {step} at {first}, not {instant}: {seen:#?}");
        if n > 0 {
            latest = latest.max(first - *instant);
        }
        let Some(every) = every else {
            assert_eq!(of_step.len(), 1, "{name}: {step}: {seen:#?}");
            continue;
        };
        for pair in of_step.windows(2) {
            let gap = at(&pair[1].1.decided_at) - at(&pair[0].1.decided_at);
            assert!(gap >= *every && gap <= *every + tolerance, "{name}: {step}: {gap}: {seen:#?}");
            assert_eq!(pair[1].1.repeat, pair[0].1.repeat + 1, "{name}: {step}: {seen:#?}");
        }
        let end = steps.get(n + 1).map_or(filed, |(_, next, _)| *next);
        assert!(last + *every + tolerance >= end, "{name}: {step} ends at {last}, before {end}: {seen:#?}");
    }
    daemon.terminate(Duration::from_secs(20)).expect("ends");
    site.fsck();
    (steps.len(), arrived.len(), latest)
}

async fn wait_until<F: Future<Output = Timestamp>>(name: &str, until: Timestamp, now: impl Fn() -> F) {
    eventually(Duration::from_secs(300), &format!("{name}: {until}"), || async {
        let left = (until - now().await).to_std().unwrap_or_default() / RATE as u32;
        tokio::time::sleep(left).await;
        (left == Duration::ZERO).then_some(())
    })
    .await;
}
