//! Dated law: which texts of a duty are in force on a day, and whether a directive binds there by then.

use super::book::Rulebook;
use super::condition::{Condition, Scene, Truth};
use super::plan::Options;
use crate::law::{Duty, DutyPeriod, DutyStatus, Place};
use crate::time::CivilDate;

/// How the row of a directive stands to national law.
pub(super) enum Baseline {
    /// It is transposed, and no national row says it better.
    Serves,
    /// A national row stands for it.
    Replaced,
    /// No national row is in force: it binds nobody there yet.
    NotTransposed,
}

impl Rulebook {
    /// The texts in force on `date`: the first whose branch fits, and all before it whose branch is undecided.
    pub(super) fn texts<'d>(
        &self,
        duty: &'d Duty<Condition>,
        date: CivilDate,
        options: Options,
        scene: &Scene<'_>,
        missing: &mut Vec<String>,
    ) -> Vec<&'d DutyPeriod<Condition>> {
        let mut texts = Vec::new();
        for period in &duty.periods {
            // what is only proposed has no date yet; it is shown when somebody asks what it would do
            let supposed = options.include_proposed && duty.status == DutyStatus::Proposed;
            if !period.in_force(date) && !supposed {
                continue;
            }
            match period.when.as_ref().map_or(Truth::Yes, |when| when.truth(scene, missing)) {
                Truth::No => {}
                Truth::Unknown => texts.push(period),
                Truth::Yes => {
                    texts.push(period);
                    break;
                }
            }
        }
        texts
    }

    /// Does the row of a directive serve `place` on `date`?
    pub(super) fn transposition(&self, duty: &Duty<Condition>, place: &Place, date: CivilDate) -> Baseline {
        let in_force = |d: &Duty<Condition>| {
            matches!(d.status, DutyStatus::InForce | DutyStatus::NotYetApplicable | DutyStatus::Repealed)
                && d.has_text(date)
        };
        let national = |ids: Option<&Vec<usize>>| {
            ids.into_iter()
                .flatten()
                .map(|&at| &self.duties[at])
                .any(|d| self.places.contains(&d.jurisdiction, place) && in_force(d))
        };
        if national(self.replaced_by.get(&duty.id)) {
            return Baseline::Replaced;
        }
        // the place has transposed the instrument when any national row stands for any row of the same pack
        let transposed = national(self.transposed_by.get(&duty.pack));
        if transposed || self.places.is_region(place) { Baseline::Serves } else { Baseline::NotTransposed }
    }
}
