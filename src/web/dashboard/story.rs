//! What the drawn timeline of an incident shows, from its view.

use super::state::{Dates, State};
use super::timeline::{Span, Story};
use super::words::{countdown, fact_name, instant};
use crate::time::{Timestamp, Zone};
use crate::workflow::{IncidentView, ObligationView, TimelineItem};

/// More bars than this no longer fit a page; the table below has them all.
const MAX_BARS: usize = 12;
const NAME_LETTERS: usize = 30;

pub fn of(incident: &IncidentView, timeline: &[TimelineItem], zone: Zone, now: Timestamp) -> Story {
    let mut facts: Vec<(Timestamp, String)> = Vec::new();
    for fact in
        incident.facts.iter().filter(|f| !f.superseded && !f.value.is_null() && !f.key.starts_with("times.filed."))
    {
        // a time is drawn when it was, anything else when it was said
        let at = match fact.key.starts_with("times.") {
            true => fact.value.as_str().and_then(instant),
            false => instant(&fact.at),
        };
        let mut name = fact_name(&fact.key);
        if let Some(first) = name.get_mut(..1) {
            first.make_ascii_lowercase();
        }
        let words = match fact.value.as_bool() {
            Some(yes) => format!("{name}: {}", if yes { "yes" } else { "no" }),
            None => name,
        };
        facts.extend(at.map(|at| (at, words)));
    }
    facts.sort();
    let mut obligations: Vec<(&ObligationView, State, Dates)> = incident
        .obligations
        .iter()
        .map(|o| (o, State::of(o, now), Dates::of(o)))
        .filter(|(_, state, _)| drawn(*state))
        .collect();
    obligations.sort_by_key(|(o, state, dates)| {
        (!state.is_open(), dates.conservative.is_none(), dates.conservative, o.law.title.clone())
    });
    obligations.truncate(MAX_BARS);
    let of_kind =
        |kind: &str| timeline.iter().filter(|t| t.kind == kind).filter_map(|t| instant(&t.at)).collect::<Vec<_>>();
    let mut planned: Vec<Timestamp> = incident
        .obligations
        .iter()
        .filter_map(|o| instant(&o.next_reminder.as_ref()?.at))
        .filter(|at| *at > now)
        .collect();
    planned.sort();
    planned.dedup();
    Story {
        facts,
        spans: obligations.into_iter().map(|(o, state, dates)| span(o, state, dates, zone, now)).collect(),
        sent: of_kind("message"),
        acknowledged: of_kind("acknowledgement"),
        planned,
    }
}

fn drawn(state: State) -> bool {
    !matches!(state, State::Awaiting | State::Ended | State::Waived | State::Held | State::Undated)
}

/// The hour alone where the day is the same.
fn legal_clock(careful: Timestamp, due: Timestamp, zone: Zone, now: Timestamp) -> String {
    match zone.local(careful).date() == zone.local(due).date() {
        true => zone.local(due).format("%H:%M").to_string(),
        false => super::words::clock(due, zone, now),
    }
}

fn span(o: &ObligationView, state: State, dates: Dates, zone: Zone, now: Timestamp) -> Span {
    let clock = |at: Timestamp| super::words::clock(at, zone, now);
    let name = super::lanes::cut(&o.law.title, NAME_LETTERS);
    let text = match (state, dates.conservative, dates.due) {
        (State::Filed, ..) => format!("filed {}", dates.filed.map(clock).unwrap_or_default()),
        (State::Late, _, Some(due)) => countdown(due, now),
        (State::Possible, Some(at), _) => format!("{}, if it applies", clock(at)),
        (State::Possible, None, _) => "if it applies: promptly".to_string(),
        (_, Some(at), Some(due)) if at < due => format!("{}, legal {}", clock(at), legal_clock(at, due, zone, now)),
        (_, Some(at), _) => clock(at),
        _ => "promptly, no number".to_string(),
    };
    Span {
        name,
        sub: o.law.citation.chars().take(34).collect(),
        start: dates.started.unwrap_or(now),
        conservative: dates.conservative,
        due: dates.due,
        filed: dates.filed.filter(|_| state == State::Filed),
        kind: match state {
            State::Late => "el late",
            State::Soon => "el soon",
            State::Possible => "may",
            State::Filed => "el done",
            _ => "el",
        },
        text,
    }
}
