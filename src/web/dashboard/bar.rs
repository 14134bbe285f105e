//! The window bar: time used, time left, reminders sent, and where the readings differ. Per cent, no viewBox: it
//! stretches, nothing in it scales.

use super::state::{Dates, State};
use super::words::instant;
use crate::time::Timestamp;
use crate::workflow::ObligationView;

/// More dots than this say no more.
const MAX_DOTS: usize = 24;

#[derive(Clone, Debug)]
pub struct Bar {
    /// What the picture says, for those who do not see it.
    pub label: String,
    /// `run`, `soon`, `late`, `done` or `may`.
    pub kind: &'static str,
    pub used: String,
    /// From the conservative to the legal limit: x and width.
    pub gap: Option<(String, String)>,
    /// Late: where the limit cut the bar.
    pub cut: Option<String>,
    pub dots: Vec<String>,
}

impl Bar {
    /// `None` where nothing counts.
    pub fn of(o: &ObligationView, state: State, now: Timestamp) -> Option<Bar> {
        let dates = Dates::of(o);
        let (start, due) = (dates.started?, dates.due?);
        if due <= start || !matches!(state, State::Late | State::Soon | State::Running | State::Possible | State::Filed)
        {
            return None;
        }
        // late: the bar grows past the limit
        let end = if state == State::Late { now.max(due) } else { due };
        let share = |at: Timestamp| {
            (at - start).num_milliseconds() as f64 / (end - start).num_milliseconds().max(1) as f64 * 100.0
        };
        let until = dates.filed.filter(|_| state == State::Filed).unwrap_or(now);
        let used = share(until).clamp(0.0, 100.0);
        let conservative = dates.conservative.unwrap_or(due);
        let kind = match state {
            State::Late => "late",
            State::Soon => "soon",
            State::Possible => "may",
            State::Filed => "done",
            _ => "run",
        };
        let label = match state {
            State::Possible => "Window would run, if it applies".to_string(),
            State::Late => format!(
                "Limit passed: {:.0} percent of the window used",
                (now - start).num_seconds() as f64 / (due - start).num_seconds().max(1) as f64 * 100.0
            ),
            State::Filed => format!("Filed after {used:.0} percent of the window"),
            _ => format!("{used:.0} percent of the window used"),
        };
        let mut dots: Vec<f64> = o
            .reminders
            .iter()
            .filter_map(|r| instant(&r.at))
            .map(share)
            .filter(|x| (0.0..=100.0).contains(x))
            .collect();
        dots.truncate(MAX_DOTS);
        let gap = (conservative < due && state != State::Late && state != State::Possible)
            .then(|| (percent(share(conservative)), percent(100.0 - share(conservative))));
        Some(Bar {
            label,
            kind,
            used: percent(used),
            gap,
            cut: (state == State::Late).then(|| percent(share(due))),
            dots: dots.into_iter().map(percent).collect(),
        })
    }
}

/// `13.62%`, inside the picture.
pub fn percent(value: f64) -> String {
    let inside = if value.is_finite() { value.clamp(0.0, 100.0) } else { 0.0 };
    format!("{inside:.2}%")
}
