//! The same reminders for 72 hours with an outage of 90 minutes at a random time: an hourly check for equality, as it is
//! common in scripts, against the product on a manual clock. As many draws as `BREACHCLOCK_DRAWS` says (100).

use crate::support::{at, caller, house, run_until, settings};
use breachclock::config::default_policy;
use breachclock::store::MemoryStore;
use breachclock::time::Timestamp;
use breachclock::workflow::Role;
use chrono::TimeDelta;
use std::collections::BTreeSet;

const OUTAGE: TimeDelta = TimeDelta::minutes(90);
const AWARE: &str = "2026-03-27T11:00:00Z";

/// Steps of the shipped policy, in minutes before the limit; the first one is left out, which both send with the report.
const STEPS: [(&str, i64); 4] = [("50%", 36 * 60), ("75%", 18 * 60), ("90%", 7 * 60 + 12), ("due", 0)];

/// `hours_left = int((due - now).total_seconds() // 3600); if hours_left in (36, 18, 7, 0): send()`, from cron each hour
/// at `minute`. Answers the steps for which no run came.
fn lost_by_hourly_check(due: Timestamp, outage: Timestamp, minute: i64) -> BTreeSet<&'static str> {
    let mut lost: BTreeSet<&str> = STEPS.iter().map(|(step, _)| *step).collect();
    let mut run = at(AWARE) + TimeDelta::minutes(minute);
    // a day longer than the limit: late is not lost
    while run < due + TimeDelta::days(1) {
        let hours_left = (due - run).num_seconds().div_euclid(3600);
        if run < outage || run >= outage + OUTAGE {
            lost.retain(|step| STEPS.iter().any(|(name, before)| name == step && before / 60 != hours_left));
        }
        run += TimeDelta::hours(1);
    }
    lost
}

/// The daemon's own scheduler and outbox, dead during the outage. Answers the steps that nobody was told of, and how late
/// the latest one was told.
async fn lost_by_us(outage: Timestamp, text: &str) -> (BTreeSet<&'static str>, TimeDelta) {
    let mut policy = default_policy(false);
    // repeats would only help us
    policy.steps.iter_mut().for_each(|step| step.repeat = None);
    let house = house(MemoryStore::new("test.example/log"), settings(vec![policy]));
    house.report(&caller(Role::Responder), text, None, at(AWARE)).await.expect("accepted");
    let end = due() + TimeDelta::days(1);
    let mut sent = run_until(&house, at(AWARE), outage).await;
    sent.extend(run_until(&house, outage + OUTAGE, end).await);
    let (mut lost, mut latest) = (BTreeSet::new(), TimeDelta::zero());
    for (step, before) in STEPS {
        let instant = due() - TimeDelta::minutes(before);
        let told = sent.iter().find(|(_, message)| message.reason.step == step && message.reason.repeat == 0);
        match told {
            Some((when, _)) => {
                assert!(*when >= instant, "{step} before its time");
                latest = latest.max(*when - instant);
            }
            None => drop(lost.insert(step)),
        }
    }
    (lost, latest)
}

fn due() -> Timestamp {
    at(AWARE) + TimeDelta::hours(72)
}

#[tokio::test]
async fn an_outage_loses_none_of_our_reminders() {
    let draws: u64 = std::env::var("BREACHCLOCK_DRAWS").map_or(100, |n| n.parse().expect("a number of draws"));
    let mut seed: u64 = 0x5851_f42d_4c95_7f2d;
    let mut below = |end: i64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % end as u64) as i64
    };
    let (mut theirs, mut draws_with_loss, mut ours, mut latest) = (0, 0, 0, TimeDelta::zero());
    let report = format!(
        r#"{{"title": "x", "entity": "acme-fr", "facts": {{"personal_data": true, "risk": "risk", "times.aware": "{AWARE}"}}}}"#
    );
    for _ in 0..draws {
        // anywhere in the three days, also over the limit itself
        let (outage, minute) = (at(AWARE) + TimeDelta::seconds(60 + below(72 * 3600)), below(60));
        let lost = lost_by_hourly_check(due(), outage, minute);
        theirs += lost.len();
        draws_with_loss += usize::from(!lost.is_empty());
        let (lost, late) = lost_by_us(outage, &report).await;
        ours += lost.len();
        latest = latest.max(late);
    }
    println!(
        "figure: head to head: {draws} outages of 90 min in 72 h, {} reminders each: the hourly equality check loses {theirs} (in \
         {draws_with_loss} of the draws), breachclock {ours}; its latest one came {} min after its instant",
        STEPS.len(),
        latest.num_minutes()
    );
    assert_eq!(ours, 0);
    assert!(latest <= OUTAGE, "told as soon as the outage was over, not {latest} late");
    assert!(theirs > 0, "the comparison compares nothing");
}
