//! Law-enforcement holds: what they may move, and what they may not.

use super::book::Rulebook;
use super::clock::{self, Parties};
use super::condition::Condition;
use crate::law::{Deadline, Duty, HoldRule, Incident, Place};
use crate::time::Timestamp;

impl Rulebook {
    /// Law-enforcement holds: what they may move, and what they may not.
    #[expect(clippy::too_many_arguments, reason = "a deadline and everything that may move it")]
    pub(super) fn hold(
        &self,
        duty: &Duty<Condition>,
        incident: &Incident,
        place: &Place,
        parties: &Parties,
        now: Timestamp,
        deadline: &mut Option<Deadline>,
        because: &mut Vec<String>,
    ) -> Option<(Option<Timestamp>, String)> {
        let hold = incident.facts.hold("hold.law_enforcement")?;
        if duty.hold == HoldRule::No {
            because.push(format!(
                "the hold asked for by {} does not move this clock: the law gives it no such effect",
                hold.by
            ));
            return None;
        }
        if duty.hold == HoldRule::LawEnforcementWritten && !hold.written {
            because.push(format!(
                "the hold asked for by {} is not in writing, and only a written one moves this clock",
                hold.by
            ));
            return None;
        }
        let mut until = hold.until;
        let mut careful = true;
        let at_most = if hold.written { duty.written_hold_days } else { duty.oral_hold_days };
        if let Some(days) = at_most {
            let recorded = incident.facts.assertion("hold.law_enforcement").map_or(now, |fact| fact.asserted_at);
            if hold.from.is_none() {
                // it may have been asked for long before it was recorded
                careful = false;
                because.push("state since when the hold was asked for: it ends by itself".to_string());
            }
            let most = hold.from.unwrap_or(recorded) + chrono::Duration::days(i64::from(days));
            if until.is_none_or(|until| until > most) {
                until = Some(most);
                because.push(match hold.written {
                    true => format!("such a hold ends after {days} days, whatever was asked for"),
                    false => format!("an unwritten hold ends after {days} days; have it put in writing to extend it"),
                });
            }
        }
        // what begins when the hold ends can only be counted when its end is known
        let past = |until: Timestamp| deadline.as_ref().is_none_or(|d| until >= d.due);
        let anew = duty.after_hold.as_ref().zip(until.filter(|u| !duty.after_hold_only_past || past(*u))).and_then(
            |(text, until)| {
                clock::count(self, self.convention(text.convention?), text.period?, until, duty, place, parties).ok()
            },
        );
        if until.is_some_and(|until| until <= now)
            && deadline.as_ref().is_none_or(|d| until.is_some_and(|u| u <= d.due))
            && anew.is_none()
        {
            because.push(format!("the hold asked for by {} has ended", hold.by));
            return None;
        }
        // one whose beginning nobody stated was not there before somebody recorded it
        let recorded = incident.facts.assertion("hold.law_enforcement").map_or(now, |fact| fact.asserted_at);
        if let (from, Some(d)) = (hold.from.unwrap_or(recorded), deadline.as_ref())
            && from >= d.due
        {
            because.push(format!("the hold asked for by {} began after the limit", hold.by));
            return None;
        }
        let open_norm = duty.periods.iter().all(|text| text.period.is_none());
        if let (Some(anew), None, true) = (&anew, deadline.as_ref(), open_norm) {
            // an open norm, to which the end of a hold gives a number
            because
                .push(format!("held at the request of {}: the law gives a period from the end of the hold", hold.by));
            *deadline = Some(anew.clone());
            return (until > Some(now)).then(|| (until, hold.by.clone()));
        }
        if let (Some(anew), Some(d)) = (anew, deadline.as_mut()) {
            if anew.due > d.due {
                because.push(format!(
                    "held at the request of {}: the law gives a new period from the end of the hold",
                    hold.by
                ));
                let conservative_due = if careful { anew.conservative_due } else { d.conservative_due };
                *d = Deadline { conservative_due, ..anew };
            }
            return (until > Some(now)).then(|| (until, hold.by.clone()));
        }
        match (until, deadline.as_mut()) {
            (Some(until), Some(d)) => {
                d.due = d.due.max(until);
                if careful {
                    d.conservative_due = d.conservative_due.max(until).min(d.due);
                }
                because.push(format!("held at the request of {}: not due before the hold ends", hold.by));
            }
            (Some(_), None) => {}
            (None, _) => {
                *deadline = None;
                because.push(format!(
                    "held at the request of {}, without an end: notify promptly once it is lifted",
                    hold.by
                ));
            }
        }
        Some((until, hold.by.clone()))
    }
}
