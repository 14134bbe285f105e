//! One obligation as a row of the board.

use super::bar::Bar;
use super::state::{Dates, Mark, State, uncounted};
use super::words::{Limit, When, countdown, initials, instant, iso, person, window};
use crate::notify::words::near_label;
use crate::time::{Timestamp, Zone};
use crate::workflow::{ObligationView, Reminder};

/// Who has it, or that nobody has.
#[derive(Clone, Debug, Default)]
pub struct Who {
    pub initials: String,
    pub nobody: bool,
    pub holder: String,
    /// The line when there is no holder.
    pub text: String,
    pub alarm: bool,
    pub small: String,
}

#[derive(Clone, Debug)]
pub struct Row {
    pub id: String,
    pub class: &'static str,
    pub state: State,
    pub mark: Mark,
    pub title: String,
    pub rule: String,
    pub incident: String,
    pub incident_title: String,
    pub entity: String,
    pub jurisdiction: String,
    /// The big words at the left; with an instant, a countdown the script keeps true.
    pub big: String,
    pub counts_to: Option<String>,
    pub limit: Option<Limit>,
    pub small: String,
    pub ask: Option<String>,
    pub bar: Option<Bar>,
    pub caps: (String, String),
    pub who: Who,
    /// Buttons: only where somebody must move at once.
    pub may_file: bool,
    pub may_take: bool,
    /// Late, or filed late, and nobody recorded why.
    pub may_explain: bool,
    pub dates: Dates,
    pub unverified: bool,
}

impl Row {
    /// `zone` is the reader's; limits are written in the recipient's.
    pub fn of(o: &ObligationView, question: Option<&str>, zone: Zone, now: Timestamp) -> Row {
        let (state, dates) = (State::of(o, now), Dates::of(o));
        let there = o.law.zone;
        let conservative = dates.conservative;
        let big;
        let (mut counts_to, mut limit, mut small) = (None, None, String::new());
        match (state, conservative, dates.due) {
            (State::Late, _, Some(due)) => {
                big = countdown(due, now);
                counts_to = Some(iso(due));
                limit = Some(Limit { word: "limit was", when: Limit::at(due, there).when });
            }
            (State::Soon, Some(careful), Some(due)) if now >= careful => {
                big = countdown(due, now);
                counts_to = Some(iso(due));
                limit = Some(Limit::at(due, there));
                small = "past the earliest reading, legal limit ahead".to_string();
            }
            (State::Soon | State::Running | State::Possible, Some(careful), _) => {
                big = countdown(careful, now);
                counts_to = Some(iso(careful));
                limit = Some(Limit::careful(careful, there, zone));
            }
            (State::Filed, ..) => {
                big = if o.reasons_missing { "Filed late" } else { "Filed" }.to_string();
                small = filed(o, zone);
            }
            (State::Waived, ..) => {
                big = "Not notified".to_string();
                small = o.waiver.as_ref().map(|w| format!("decided by {}", person(&w.by))).unwrap_or_default();
            }
            (State::Awaiting, ..) => {
                big = "Waiting".to_string();
                small = o
                    .law
                    .depends_on
                    .as_ref()
                    .map_or("its start has not happened".to_string(), |d| format!("starts when {d} is filed"));
            }
            (State::Held, ..) => {
                big = "Held".to_string();
                small = o.law.held.as_ref().map(|h| held(&h.by, h.until.as_deref(), zone, now)).unwrap_or_default();
            }
            (State::Undated, ..) => {
                big = "No date".to_string();
                small = uncounted(o).unwrap_or_default().to_string();
            }
            (State::Ended, ..) => big = "Ended".to_string(),
            (State::Soft | State::Possible | State::Soon | State::Running | State::Late, ..) => {
                big = match (&o.law.period, o.law.promptly) {
                    (Some(period), _) => period.clone(),
                    (None, true) => "Promptly".to_string(),
                    (None, false) => "No number".to_string(),
                };
                match o.law.internal_target.as_deref().and_then(instant) {
                    Some(at) => limit = Some(Limit { word: "our target: before", when: When::at(at, there) }),
                    None if o.law.period.is_some() => small = "once its clock starts".to_string(),
                    None if o.law.promptly => small = "no target set".to_string(),
                    None => small = "no period in the law".to_string(),
                }
            }
        }
        let nobody = o.holder.is_none();
        Row {
            id: o.law.id.clone(),
            class: if state == State::Filed && o.reasons_missing {
                "is-soon"
            } else if dates.due.is_none() && state == State::Possible {
                "is-soft"
            } else {
                state.row()
            },
            state,
            mark: state.mark(),
            title: o.law.title.clone(),
            rule: rule(o),
            incident: o.incident.clone(),
            incident_title: o.incident_title.clone(),
            entity: o.entity.clone(),
            jurisdiction: o.law.jurisdiction.clone(),
            big,
            counts_to,
            limit,
            small,
            ask: question.map(str::to_string).filter(|_| state == State::Possible),
            bar: Bar::of(o, state, now),
            caps: caps(o, state, dates, now),
            who: who(o, state, zone, now),
            may_file: state == State::Late || (state == State::Soon && nobody),
            may_take: nobody && state == State::Soon,
            may_explain: o.reasons_missing,
            dates,
            unverified: o.law.unverified,
        }
    }
}

/// `GDPR Art. 33(1)`, and the place it comes from.
pub fn rule(o: &ObligationView) -> String {
    let place = if o.law.jurisdiction.is_empty() { String::new() } else { format!("{} · ", o.law.jurisdiction) };
    match (o.law.binding, o.law.norm.as_deref()) {
        (_, Some(norm)) if o.law.due.is_none() => format!("{place}{}, {norm}", o.law.citation),
        ("contract", _) => format!("{place}contract, {}", o.law.citation),
        _ => format!("{place}{}", o.law.citation),
    }
}

fn filed(o: &ObligationView, zone: Zone) -> String {
    o.law.filed_at.as_deref().map(|at| When::text(at, zone).label).unwrap_or_default()
}

fn held(by: &str, until: Option<&str>, zone: Zone, now: Timestamp) -> String {
    match until.and_then(instant) {
        Some(at) => format!("at the request of {by}, until {}", near_label(at, zone, now)),
        None => format!("at the request of {by}, no end named"),
    }
}

fn caps(o: &ObligationView, state: State, dates: Dates, now: Timestamp) -> (String, String) {
    let length = dates.started.zip(dates.due).map(|(from, to)| window(from, to)).unwrap_or_default();
    let count = o.reminders.len();
    let told = match count {
        0 => String::new(),
        1 => "1 reminder".to_string(),
        n => format!("{n} reminders"),
    };
    match (state, dates.conservative, dates.due) {
        (State::Late, ..) => ("Still due: late is not over.".to_string(), told),
        (State::Possible, ..) => (length, "if it applies".to_string()),
        (State::Soon, Some(careful), Some(due)) if now >= careful && careful < due => {
            (format!("legal limit in {}", countdown(due, now)), told)
        }
        (State::Running | State::Soon, Some(careful), Some(due)) if careful < due => {
            let local = o.law.due_label.clone().unwrap_or_default();
            (length, if told.is_empty() { format!("legal: {local}") } else { told })
        }
        _ => (length, told),
    }
}

fn who(o: &ObligationView, state: State, zone: Zone, now: Timestamp) -> Who {
    if state == State::Filed {
        let by = o.filings.last().map(|f| person(&f.by).to_string()).unwrap_or_default();
        let small =
            o.filings.last().and_then(|f| f.reference.clone()).map(|r| format!("reference {r}")).unwrap_or_default();
        return Who { initials: initials(&by), holder: by, text: "recorded it".into(), small, ..Who::default() };
    }
    if let Some(holder) = &o.holder {
        let until = instant(&holder.until).map(|at| format!("until {}", near_label(at, zone, now))).unwrap_or_default();
        let name = person(&holder.name).to_string();
        return Who { initials: initials(&name), holder: name, text: "has it".into(), small: until, ..Who::default() };
    }
    let next = o
        .next_reminder
        .as_ref()
        .and_then(|n| instant(&n.at))
        .map(|at| format!("Next reminder {}", near_label(at, zone, now)));
    let last = o.reminders.last().map(|r| told(r, zone, now));
    let small = [last, next].into_iter().flatten().collect::<Vec<_>>().join(". ");
    match state {
        State::Late | State::Soon | State::Running | State::Soft | State::Undated => Who {
            nobody: true,
            initials: "–".into(),
            text: "Nobody has it".into(),
            alarm: true,
            small,
            ..Who::default()
        },
        State::Possible => {
            let text =
                if o.law.unverified { "Not verified: check with counsel" } else { "Reminders run as if it applies" };
            Who { nobody: true, initials: "?".into(), text: text.into(), small, ..Who::default() }
        }
        _ => Who { small, ..Who::default() },
    }
}

/// `Ines Marchetti told 02:08, accepted by the mail server`. Accepted is never shown as read.
pub fn told(reminder: &Reminder, zone: Zone, now: Timestamp) -> String {
    let at = instant(&reminder.at).map_or_else(|| reminder.at.clone(), |at| near_label(at, zone, now));
    format!("{} told {at}, {}", reminder.to, delivery(reminder))
}

pub fn delivery(reminder: &Reminder) -> &'static str {
    match (reminder.state, reminder.channel.as_str()) {
        ("queued", _) => "waiting to be sent",
        ("handed-over", "email") => "accepted by the mail server",
        ("handed-over", _) => "accepted by the receiver",
        ("failed", _) => "not delivered",
        (other, _) => other,
    }
}
