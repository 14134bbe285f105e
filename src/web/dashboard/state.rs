//! Where an obligation stands, as shape, word and colour together.

use super::words::instant;
use crate::time::Timestamp;
use crate::workflow::ObligationView;

/// Under this much time a running obligation is due soon.
const SOON_SECONDS: i64 = 6 * 3600;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Late,
    /// Less than six hours to the conservative limit, or past it while the legal one is ahead.
    Soon,
    Running,
    Possible,
    Awaiting,
    /// An open norm: no number in the law.
    Soft,
    Held,
    /// Runs, but no date could be computed.
    Undated,
    Filed,
    Waived,
    Ended,
}

/// The mark of a state: class, icon, word.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    pub class: &'static str,
    pub icon: &'static str,
    pub word: &'static str,
}

/// The instants of an obligation, read once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dates {
    /// Legal limit, exclusive.
    pub due: Option<Timestamp>,
    pub conservative: Option<Timestamp>,
    pub started: Option<Timestamp>,
    pub filed: Option<Timestamp>,
}

impl Dates {
    pub fn of(o: &ObligationView) -> Dates {
        let read = |text: &Option<String>| text.as_deref().and_then(instant);
        let due = read(&o.law.due);
        Dates {
            due,
            conservative: read(&o.law.conservative_due).or(due),
            started: o.law.started_by.as_ref().and_then(|s| instant(&s.at)).or_else(|| read(&o.law.counting_from)),
            filed: read(&o.law.filed_at),
        }
    }
}

/// Why the limit could not be counted: the planner's own sentence. `None` where the law names no number.
pub fn uncounted(o: &ObligationView) -> Option<&str> {
    o.law.because.iter().map(String::as_str).find(|b| b.starts_with("the date cannot be counted"))
}

impl State {
    pub fn of(o: &ObligationView, now: Timestamp) -> State {
        let dates = Dates::of(o);
        match (o.law.standing, dates.due, dates.conservative) {
            ("discharged", ..) => State::Filed,
            ("waived", ..) => State::Waived,
            ("awaiting", ..) => State::Awaiting,
            ("possible", ..) => State::Possible,
            ("running", Some(due), _) if now >= due => State::Late,
            ("running", Some(_), Some(limit)) if (limit - now).num_seconds() < SOON_SECONDS => State::Soon,
            ("running", Some(_), _) => State::Running,
            ("running", None, _) if o.law.held.is_some() => State::Held,
            ("running", None, _) if uncounted(o).is_some() => State::Undated,
            ("running", None, _) => State::Soft,
            _ => State::Ended,
        }
    }

    pub fn mark(self) -> Mark {
        let (class, icon, word) = match self {
            State::Late => ("late", "late", "Late"),
            State::Soon => ("soon", "soon", "Due soon"),
            State::Running => ("run", "run", "Running"),
            State::Possible => ("maybe", "maybe", "Possible"),
            State::Awaiting => ("wait", "wait", "Waiting"),
            State::Soft => ("soft", "soft", "No number in law"),
            State::Held => ("wait", "wait", "Held"),
            State::Undated => ("soon", "soon", "No date could be computed"),
            State::Filed => ("done", "done", "Filed"),
            State::Waived => ("waive", "waive", "Not notified"),
            State::Ended => ("minus", "minus", "Does not apply"),
        };
        Mark { class, icon, word }
    }

    /// Class of the row on the board.
    pub fn row(self) -> &'static str {
        match self {
            State::Late => "is-late",
            State::Soon | State::Undated => "is-soon",
            State::Possible => "is-maybe",
            State::Running => "",
            State::Filed | State::Waived => "is-done",
            State::Awaiting | State::Soft | State::Held | State::Ended => "is-soft",
        }
    }

    /// Somebody must still do something about it.
    pub fn is_open(self) -> bool {
        !matches!(self, State::Filed | State::Waived | State::Ended)
    }
}
