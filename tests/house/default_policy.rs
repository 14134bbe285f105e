//! The schedule of the shipped policy for windows from half an hour to two months, nobody acknowledging: a table a person
//! can read, and bounds that hold for every window.

use crate::support::{at, person};
use breachclock::config::default_policy;
use breachclock::escalation::{Brief, DeliveryState, Directory, Sent, Subject, decide};
use breachclock::law::IncidentId;
use breachclock::time::{Timestamp, Zone};
use chrono::Duration;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Windows of the law: name, start, conservative limit. The working days are those of the SEC over Thanksgiving.
const WINDOWS: [(&str, &str, &str); 8] = [
    ("30 minutes", "2026-06-01T08:00:00Z", "2026-06-01T08:30:00Z"),
    ("1 hour", "2026-06-01T08:00:00Z", "2026-06-01T09:00:00Z"),
    ("4 hours", "2026-06-01T08:00:00Z", "2026-06-01T12:00:00Z"),
    ("24 hours", "2026-06-01T08:00:00Z", "2026-06-02T08:00:00Z"),
    ("72 hours", "2026-06-01T08:00:00Z", "2026-06-04T08:00:00Z"),
    ("4 working days", "2026-11-24T15:00:00Z", "2026-12-02T05:00:00Z"),
    ("30 days", "2026-06-01T08:00:00Z", "2026-07-01T22:00:00Z"),
    ("60 days", "2026-06-01T08:00:00Z", "2026-07-31T22:00:00Z"),
];

fn brief(limit: Timestamp) -> Brief {
    Brief {
        incident_title: "Mailbox taken over".into(),
        entity: "Acme".into(),
        duty_title: "Notice".into(),
        duty: None,
        jurisdiction: "XX".into(),
        recipient_name: "Authority".into(),
        law: "Law".into(),
        citation: "§ 1".into(),
        standing: "running".into(),
        missing: Vec::new(),
        promptly: None,
        due: Some(limit),
        conservative_due: Some(limit),
        zone: Zone::UTC,
        started_key: None,
        started_at: None,
        holder: None,
        told: Vec::new(),
        next: None,
        because: None,
        also: Vec::new(),
    }
}

/// What goes out until `until`, nobody acknowledging.
fn schedule(start: Timestamp, limit: Timestamp, until: Timestamp) -> Vec<(Timestamp, String, String)> {
    let policy = default_policy(false);
    let people = [("lea", "Lea", "security-lead"), ("ines", "Ines", "dpo"), ("paul", "Paul", "counsel")]
        .map(|(i, n, r)| person(i, n, r));
    let directory = Directory { people: people.to_vec(), ..Directory::default() };
    let subject = Subject {
        id: "duty@XX".into(),
        brief: brief(limit),
        started_at: start,
        known_at: start,
        unverified: false,
        policy: &policy,
        internal_target: None,
        delay_notice: None,
        reasons: Default::default(),
    };
    let (mut history, mut lines, mut now) = (Vec::new(), Vec::new(), start);
    while now <= until {
        let decision = decide(
            &IncidentId("inc-1".into()),
            std::slice::from_ref(&subject),
            &BTreeMap::new(),
            &directory,
            &history,
            now,
        );
        for message in decision.messages {
            let who = message.target.person().expect("a person").to_string();
            lines.push((now, who, message.reason.step.clone()));
            history.push(Sent {
                message: message.into(),
                state: DeliveryState::HandedOver,
                attempts: 1,
                settled_at: Some(now),
                detail: None,
            });
        }
        let Some(next) = decision.wake_at else { break };
        assert!(next > now, "the alarm clock does not advance past {now}");
        now = next;
    }
    lines
}

fn short(duration: Duration) -> String {
    let (days, hours, minutes) = (duration.num_days(), duration.num_hours() % 24, duration.num_minutes() % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes}m"),
        (0, _) => format!("{hours}h{minutes:02}"),
        _ => format!("{days}d{hours:02}h{minutes:02}"),
    }
}

#[test]
fn the_shipped_policy_suits_every_window() {
    let mut table = String::from(
        "# The shipped policy when nobody acknowledges: for each window the time before the limit (+ after it) of each mail.\n",
    );
    for (name, start, limit) in WINDOWS {
        let (start, limit) = (at(start), at(limit));
        let lines = schedule(start, limit, limit + Duration::minutes(61));
        let window = limit - start;
        let _ = write!(table, "\n{name}\n");
        for step in ["start", "50%", "75%", "90%", "due"] {
            let mut sent: Vec<(Timestamp, Vec<&str>)> = Vec::new();
            for (at, who, _) in lines.iter().filter(|(_, _, s)| s == step) {
                match sent.last_mut().filter(|(last, _)| last == at) {
                    Some((_, people)) => people.push(who),
                    None => sent.push((*at, vec![who])),
                }
            }
            let times: Vec<String> = sent
                .iter()
                .map(|(at, _)| if *at < limit { short(limit - *at) } else { format!("+{}", short(*at - limit)) })
                .collect();
            let people = sent.first().map(|(_, people)| people.join(", ")).unwrap_or_default();
            let _ = writeln!(table, "  {step:<6} {people:<16} {}", times.join(" "));
        }
        let lead: Vec<Timestamp> = lines.iter().filter(|(_, who, _)| who == "lea").map(|(at, _, _)| *at).collect();
        assert_eq!(lead.first(), Some(&start), "{name}: told at once");
        let before = lead.iter().filter(|at| **at < limit).count();
        assert!((4..=45).contains(&before), "{name}: {before} mails to one person before the limit");
        let longest = (window / 10).clamp(Duration::minutes(5), Duration::days(2));
        let silence = lead.windows(2).filter(|pair| pair[1] <= limit).map(|pair| pair[1] - pair[0]).max().expect("two");
        assert!(silence <= longest, "{name}: silent for {}", short(silence));
        let after = lead.iter().filter(|at| **at >= limit).count();
        assert_eq!(after, 3, "{name}: past the limit every half hour");
    }
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/default-policy.txt");
    let wanted = std::fs::read_to_string(&file).unwrap_or_default();
    if table != wanted {
        let got = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("default-policy.txt");
        std::fs::write(&got, &table).expect("written");
        panic!(
            "the schedule is not that of `{}`; if it should be, copy `{}` there\n{table}",
            file.display(),
            got.display()
        );
    }
}
