//! Would somebody be told? The cases of `tests/vectors/readiness.toml`.

use breachclock::escalation::readiness::{Grade, walk};
use breachclock::escalation::{Directory, EscalationPolicy, Group, Person, QuietHours, Rota, Shift, Step, StepAt, Who};
use breachclock::rules::utc;
use breachclock::time::{Timestamp, Zone};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct Case {
    why: String,
    person: Vec<Person>,
    rota: Vec<RawRota>,
    group: Vec<RawGroup>,
    channels: Vec<String>,
    webhooks: Vec<String>,
    quiet: Option<Quiet>,
    step: Vec<RawStep>,
    want: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRota {
    id: String,
    zone: String,
    people: Vec<String>,
    #[serde(default)]
    shift: Vec<RawShift>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawShift {
    from: String,
    until: String,
    person: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGroup {
    id: String,
    members: Vec<String>,
}

/// Minutes after midnight.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Quiet {
    zone: String,
    from: u16,
    to: u16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStep {
    at: String,
    notify: Vec<String>,
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("RFC 3339")
}

fn who(names: &[String]) -> Vec<Who> {
    names.iter().map(|name| Who::parse(name).expect("somebody")).collect()
}

fn found(case: &Case) -> Vec<String> {
    let zone = |name: &str| Zone::named(name).expect("a zone");
    let shift = |s: &RawShift| Shift { from: at(&s.from), until: at(&s.until), person: s.person.clone() };
    let directory = Directory {
        people: case.person.clone(),
        rotas: case
            .rota
            .iter()
            .map(|r| Rota {
                id: r.id.clone(),
                zone: zone(&r.zone),
                handover: (0, 540),
                people: r.people.clone(),
                shifts: r.shift.iter().map(shift).collect(),
            })
            .collect(),
        groups: case.group.iter().map(|g| Group { id: g.id.clone(), members: who(&g.members) }).collect(),
        webhooks: case.webhooks.clone(),
        channels: case.channels.clone(),
    };
    let step = |s: &RawStep| Step {
        name: s.at.clone(),
        at: StepAt::parse(&s.at).expect("a step"),
        notify: who(&s.notify),
        channels: Vec::new(),
        repeat: None,
        needs: Vec::new(),
        lease_seconds: 3600,
    };
    let mut policy = EscalationPolicy::new("default", case.step.iter().map(step).collect());
    policy.quiet_hours = case.quiet.as_ref().map(|q| QuietHours { zone: zone(&q.zone), from: q.from, to: q.to });
    let findings = walk(&[policy], &directory, at("2026-06-04T00:00:00Z"), 14);
    let lines = findings.into_iter().map(|f| {
        assert!(!f.remedy.is_empty() && f.policy == "default");
        let grade = if f.grade == Grade::Fault { "fault" } else { "warning" };
        let spans: Vec<String> = f.spans.iter().map(|s| format!("{}..{}", utc(s.from), utc(s.until))).collect();
        let spans = if spans.is_empty() { String::new() } else { format!(" [{}]", spans.join(" ")) };
        format!("{grade} {}: {}{spans}", f.step.as_deref().unwrap_or("-"), f.text)
    });
    lines.collect()
}

#[test]
fn every_case_finds_what_it_should() {
    let text = include_str!("../vectors/readiness.toml");
    let cases: Cases = toml::from_str(text).expect("the cases read");
    assert!(cases.case.len() >= 12);
    let faults: Vec<String> = cases
        .case
        .iter()
        .filter(|case| found(case) != case.want)
        .map(|case| {
            format!(
                "{}\n  found  {}\n  wanted {}",
                case.why,
                found(case).join("\n         "),
                case.want.join("\n         ")
            )
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}
