//! How a date was found, as the receipt shows it: the two dates, the steps, the readings, who was told.

use super::row::delivery;
use super::state::{Dates, State};
use super::words::{Limit, When, countdown, fact_name, initials, instant, iso, person, plain, relative};
use crate::notify::words::{near_label, short_label, utc_label};
use crate::time::{Timestamp, Zone};
use crate::workflow::ObligationView;

/// The two dates at the head of the page.
#[derive(Clone, Debug, Default)]
pub struct Dated {
    /// `Act before`, `Limit was`, `Filed`, `Promptly`.
    pub head: &'static str,
    pub is_late: bool,
    pub when: Option<When>,
    /// In place of a date.
    pub words: String,
    pub counts_to: Option<String>,
    pub count: String,
    pub after: String,
    pub legal_head: &'static str,
    pub legal: Option<When>,
    pub legal_note: String,
    pub amber: bool,
}

pub fn dated(o: &ObligationView, state: State, dates: Dates, reader: Zone, now: Timestamp) -> Dated {
    let there = o.law.zone;
    let mut shown = Dated { legal_head: "Legal limit, most likely reading", ..Dated::default() };
    let (Some(careful), Some(due)) = (dates.conservative, dates.due) else {
        shown.head = match state {
            State::Awaiting => "Waiting",
            State::Held => "Held",
            State::Undated => "No date could be computed",
            State::Filed => "Filed",
            _ if o.law.period.is_some() => "Its clock has not started",
            _ if o.law.promptly => "Promptly, no number in the law",
            _ => "No number in the law",
        };
        shown.amber = state == State::Undated;
        shown.words = match (state, o.law.norm.as_deref()) {
            (State::Filed, _) => dates.filed.map(|at| short_label(at, reader)).unwrap_or_default(),
            (State::Awaiting, _) => o
                .law
                .depends_on
                .as_ref()
                .map_or("Its start has not happened".into(), |d| format!("Starts when {d} is filed")),
            (State::Held, _) => o.law.held.as_ref().map(|h| format!("At the request of {}", h.by)).unwrap_or_default(),
            (State::Undated, _) => super::state::uncounted(o).unwrap_or_default().to_string(),
            (_, Some(norm)) => format!("“{norm}”"),
            _ => "No period is named".to_string(),
        };
        if let Some(at) = o.law.projected_due.as_deref().and_then(instant) {
            shown.legal_head = "If that is filed at its own limit";
            shown.legal = Some(Limit::at(at, there).when);
            shown.legal_note = "a projection, not a limit yet".to_string();
        }
        if let Some(at) = o.law.internal_target.as_deref().and_then(instant) {
            shown.legal_head = "Our target";
            shown.legal = Some(When::at(at, there));
        }
        return shown;
    };
    let main = Limit::careful(careful, there, reader);
    let elsewhere = |at: Timestamp| match there == reader {
        true => utc_label(at, there),
        false => format!("{}, {}", short_label(at, reader), utc_label(at, there)),
    };
    shown.legal = Some(Limit::at(due, there).when);
    shown.legal_note = match careful < due {
        true => format!("{} later. {}", plain((due - careful).num_minutes()), utc_label(due, there)),
        false => "no other reading known".to_string(),
    };
    shown.when = Some(main.when);
    shown.head = if main.word == "by" { "Act by" } else { "Act before" };
    match state {
        State::Filed => {
            let filed = dates.filed.unwrap_or(due);
            shown.head = "Filed";
            shown.when = Some(When::at(filed, reader));
            shown.after = match (filed < careful, filed < due) {
                (true, _) => format!(
                    "{} before the earliest reading: in time under every reading in this rule pack",
                    plain((careful - filed).num_minutes())
                ),
                (false, true) => {
                    format!("{} before the legal limit, after the earliest reading", plain((due - filed).num_minutes()))
                }
                _ => format!("{} after the legal limit", plain((filed - due).num_minutes() + 1)),
            };
        }
        State::Waived => shown.after = "The clock stopped with the decision not to notify.".to_string(),
        State::Late => {
            shown.is_late = true;
            shown.head = "Limit was";
            shown.when = shown.legal.clone();
            (shown.counts_to, shown.count) = (Some(iso(due)), countdown(due, now));
            shown.after = format!("{}. Still due: late is not over.", elsewhere(due));
            shown.legal_head = "Earliest reading was";
            shown.legal = Some(Limit::careful(careful, there, reader).when);
            if careful < due {
                shown.legal_note =
                    format!("{} earlier. {}", plain((due - careful).num_minutes()), utc_label(careful, there));
            }
        }
        _ if now >= careful => {
            shown.amber = true;
            (shown.counts_to, shown.count) = (Some(iso(due)), countdown(due, now));
            shown.after =
                format!("to the legal limit. Past the earliest reading, which ended {}.", relative(careful, now));
        }
        _ => {
            (shown.counts_to, shown.count) = (Some(iso(careful)), countdown(careful, now));
            let norm =
                o.law.norm.as_ref().map(|n| format!(" The law also says “{n}”: sooner is safer.")).unwrap_or_default();
            shown.after = format!(
                "left. {}. Before this instant it is in time under every reading in this rule pack.{norm}",
                elsewhere(careful)
            );
        }
    }
    shown
}

/// One line of the derivation.
pub struct Step {
    pub is_sum: bool,
    pub text: String,
    pub result: String,
    pub source: String,
}

pub fn steps(o: &ObligationView, reader: Zone) -> Vec<Step> {
    let mut steps = Vec::new();
    if let Some(started) = &o.law.started_by {
        let result = instant(&started.at).map(|at| short_label(at, o.law.zone)).unwrap_or_default();
        let source = format!("{}, {}, by {}", started.key, started.certainty, person(&started.by));
        steps.push(Step {
            is_sum: false,
            text: format!("The clock starts: {}", fact_name(&started.key).to_lowercase()),
            result,
            source,
        });
    }
    steps.extend(o.law.steps.iter().map(|s| Step {
        is_sum: false,
        text: s.text.clone(),
        result: s.result.clone().unwrap_or_default(),
        source: s.citation.clone().unwrap_or_default(),
    }));
    let zone = o.law.zone;
    if let Some(due) = o.law.due.as_deref().and_then(instant) {
        let mut source = format!("{}. From this instant on it is too late", utc_label(due, zone));
        if zone != reader {
            source = format!("{} for you, {source}", short_label(due, reader));
        }
        steps.push(Step { is_sum: true, text: "Legal limit".into(), result: Limit::at(due, zone).when.label, source });
        if let Some(careful) = o.law.conservative_due.as_deref().and_then(instant).filter(|c| *c < due) {
            let result = Limit::careful(careful, zone, reader).when.label;
            let source =
                "No rounding, no move to a later day, the earlier zone. Reminders follow this date".to_string();
            steps.push(Step { is_sum: false, text: "Earliest defensible reading".into(), result, source });
        }
    }
    steps
}

/// A disputed reading, and where it leads.
pub struct Reading {
    pub id: String,
    pub text: String,
    pub limit: String,
}

pub fn readings(o: &ObligationView) -> Vec<Reading> {
    let at = |text: &str| instant(text).map_or_else(|| text.to_string(), |due| Limit::at(due, o.law.zone).when.label);
    o.law.contested.iter().map(|c| Reading { id: c.id.clone(), text: c.text.clone(), limit: at(&c.due) }).collect()
}

/// The sentences the steps do not say already.
pub fn reasons(o: &ObligationView) -> Vec<String> {
    // the first and the last step say these, with dates as people read them
    let said =
        |b: &str| b.starts_with("the clock starts with ") || b.starts_with("the earliest defensible reading ends ");
    let is_step = |b: &str| o.law.steps.iter().any(|s| s.text == b);
    o.law.because.iter().filter(|b| !is_step(b) && !said(b)).cloned().collect()
}

pub fn details(o: &ObligationView) -> Vec<(&'static str, String)> {
    let zone = super::zone_name(o.law.zone);
    let mut rows = vec![
        ("Duty", format!("{}, confidence {}", o.law.duty, o.law.confidence)),
        ("Pack", o.law.pack.clone()),
        ("Binding", o.law.binding.to_string()),
        ("Zone", zone),
        ("Recipient", o.law.recipient_name.clone()),
    ];
    if let Some(channel) = &o.law.channel {
        let lines =
            [("Takes notices at", channel.url.as_ref().or(channel.email.as_ref())), ("Note", channel.notes.as_ref())];
        rows.extend(lines.into_iter().filter_map(|(name, text)| Some((name, text?.clone()))));
        if !channel.languages.is_empty() {
            rows.push(("In", channel.languages.join(", ")));
        }
    }
    if !o.law.combines.is_empty() {
        rows.push(("Counted together", o.law.combines.join(", ")));
    }
    if let (Some(early), Some(late)) = (&o.law.earliest, &o.law.latest) {
        rows.push(("Bounds of the limit", format!("{early} to {late}")));
    }
    if o.law.uncertain {
        rows.push(("Uncertain", "a holiday involved is estimated or not announced: the date may move".to_string()));
    }
    rows.push(("Receipt", o.law.id.clone()));
    rows
}

/// One rung of the ladder: who was told, and what came of it.
pub struct Rung {
    pub initials: String,
    pub name: String,
    pub role: String,
    pub text: String,
    pub has_it: bool,
    pub failed: bool,
}

pub fn ladder(o: &ObligationView, zone: Zone, now: Timestamp) -> Vec<Rung> {
    let near = |text: &str| instant(text).map_or_else(|| text.to_string(), |at| near_label(at, zone, now));
    let mut rungs = Vec::new();
    if let Some(holder) = &o.holder {
        let left = instant(&holder.until).map(|at| relative(at, now)).unwrap_or_default();
        rungs.push(Rung {
            initials: initials(&holder.name),
            name: person(&holder.name).to_string(),
            role: holder.role.clone().unwrap_or_default(),
            text: format!("acknowledged {}, has it until {}, {left}", near(&holder.since), near(&holder.until)),
            has_it: true,
            failed: false,
        });
    }
    rungs.extend(o.reminders.iter().rev().map(|r| {
        let attempts = if r.attempts > 1 { format!(", {} attempts", r.attempts) } else { String::new() };
        let detail = r.detail.as_ref().filter(|_| r.state == "failed").map(|d| format!(": {d}")).unwrap_or_default();
        let step = if r.step.is_empty() { String::new() } else { format!(", step {}", r.step) };
        Rung {
            initials: initials(&r.to),
            name: r.to.clone(),
            role: r.channel.to_string(),
            text: format!("{}, {}{attempts}{detail}{step}", near(&r.at), delivery(r)),
            has_it: false,
            failed: r.state == "failed",
        }
    }));
    rungs
}

pub fn next(o: &ObligationView, zone: Zone, now: Timestamp) -> String {
    let Some(next) = &o.next_reminder else { return String::new() };
    let at = instant(&next.at)
        .map_or_else(|| next.at.clone(), |at| format!("{}, {}", near_label(at, zone, now), relative(at, now)));
    match &next.to {
        Some(to) => format!("Next: {to}, {at}"),
        None => format!("Next reminder {at}"),
    }
}

/// How long somebody may take it, in seconds and words: never so long that nobody else could act.
pub fn leases(dates: Dates, now: Timestamp) -> Vec<(i64, String)> {
    let limit = dates.conservative.filter(|at| *at > now);
    [(1800, "30 min"), (2 * 3600, "2 hours"), (8 * 3600, "8 hours")]
        .into_iter()
        .filter(|(seconds, _)| limit.is_none_or(|at| (at - now).num_seconds() > seconds * 4 / 3))
        .map(|(seconds, words)| (seconds, words.to_string()))
        .collect()
}
