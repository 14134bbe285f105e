//! Follow-ups of what nobody owes: the notice whose filing would start their clock has no text for this incident.

use super::book::Rulebook;
use super::clock;
use super::condition::Truth;
use super::depend::Asking;
use super::plan::Candidate;
use super::trigger;
use crate::law::{DutyId, DutyStatus, Place, Recipients, Trigger};
use crate::time::CivilDate;

/// A chain of stages is short; each round ends one more link.
const LONGEST_CHAIN: usize = 4;

impl Rulebook {
    /// Ends the follow-ups whose clock nothing can start. Runs before combinations are composed.
    pub(super) fn follow(&self, candidates: &mut [Candidate], asking: &Asking<'_>) {
        for _ in 0..LONGEST_CHAIN {
            let mut changed = false;
            for at in 0..candidates.len() {
                if let Some(why) = self.nothing_to_follow(candidates, at, asking) {
                    let candidate = &mut candidates[at];
                    (candidate.applies, candidate.orphan) = (Truth::No, true);
                    candidate.obligation.because.push(why);
                    changed = true;
                }
            }
            if !changed {
                break;
            }
        }
    }

    /// Why no act can start the clock of the candidate; `None` when one may, or when nobody can tell.
    fn nothing_to_follow(&self, candidates: &[Candidate], at: usize, asking: &Asking<'_>) -> Option<String> {
        let candidate = &candidates[at];
        if candidate.applies == Truth::No
            || candidate.started
            || candidate.filed.is_some()
            || candidate.waived.is_some()
            || !matches!(candidate.duty(self).starts, Trigger::Filed(_) | Trigger::FiledLast(_))
        {
            return None;
        }
        let place = &candidate.obligation.jurisdiction;
        let mut acts = self.acts_of(&candidate.duty(self).starts, place);
        acts.retain(|id| *id != candidate.obligation.duty);
        let ended = |id: &DutyId| {
            let orphan = |c: &Candidate| c.orphan && c.obligation.duty == *id && c.obligation.jurisdiction == *place;
            match self.without_text(id, place, asking) {
                Some(date) => {
                    Some(format!("no text of `{id}` is in force on {date}: no filing of it starts this clock"))
                }
                None => {
                    candidates.iter().any(orphan).then(|| format!("`{id}` does not apply: nothing starts this clock"))
                }
            }
        };
        let why = acts.iter().find_map(ended)?;
        // another act may still start it, or somebody decided on the one that has no text
        let possible = |c: &Candidate| {
            c.applies != Truth::No
                && acts.contains(&c.obligation.duty)
                && self.places.touch(&c.obligation.jurisdiction, place)
        };
        let facts = &asking.incident.facts;
        let waived = |id: &DutyId| {
            facts.get(&format!("waived.{id}")).is_some() || facts.get(&format!("waived.{id}@{place}")).is_some()
        };
        (!candidates.iter().any(possible) && !acts.iter().any(waived)).then_some(why)
    }

    /// The day on which the clock of a duty starts at `place` without any text of the duty.
    fn without_text(&self, id: &DutyId, place: &Place, asking: &Asking<'_>) -> Option<CivilDate> {
        let duty = &self.duties[*self.by_id.get(id)?];
        let at = asking.incident.facts.instant(trigger::key(&duty.starts)?)?;
        let settled = !matches!(duty.status, DutyStatus::NoDuty | DutyStatus::Proposed);
        let dated = duty.periods.iter().any(|text| !text.undated);
        let scope = duty.region.as_ref().unwrap_or(&duty.jurisdiction);
        if !settled || !dated || duty.recipients == Recipients::EachContract || !self.places.touch(scope, place) {
            return None;
        }
        // the day in UTC is at most one off
        let near = at.date_naive();
        if near.pred_opt().zip(near.succ_opt()).is_some_and(|(a, b)| duty.has_text(a) && duty.has_text(b)) {
            return None;
        }
        let date = clock::of(self, duty, place, asking.parties).zone.local(at).date();
        (!duty.has_text(date)).then_some(date)
    }
}
