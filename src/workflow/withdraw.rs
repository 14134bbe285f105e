//! A decision not to notify is taken back: one that waits by who proposed it, one that waits by another approver, who thereby
//! refuses it, one that stands by any approver. The clock was never stopped; the obligation is open again.

use super::correct::Decided;
use super::discharge::reason_of;
use super::intake::brief;
use super::read::{find_obligation, split_obligation};
use super::review::{Said, about_decision, withdrawal};
use super::{Answered, Caller, House, ObligationView, Right, Terms, Trouble};
use crate::escalation::{Message, Target, Who};
use crate::law::Waiver;
use crate::store::{Record, Store};
use crate::time::Timestamp;
use std::collections::BTreeSet;

/// What the withdrawn fact says of why.
pub(super) const TAKEN_BACK: &str = "the decision was taken back";

/// A proposal to which somebody else does not agree.
pub(super) const REFUSED: &str = "refused";

/// How a decision ended, in the entry's word.
fn how(waiver: &Waiver, is_own: bool) -> &'static str {
    match (waiver.approved_at.is_some(), is_own) {
        (true, _) => "taken-back",
        (false, true) => "withdrawn",
        (false, false) => REFUSED,
    }
}

impl<S: Store> House<S> {
    /// Takes back the decision not to notify, pending or standing. A renewal that waits takes the decision it would renew
    /// with it: that one's day to be looked at again had come.
    ///
    /// # Errors
    /// 409 when there is no decision; 422 without a reason.
    pub async fn withdraw_decision(
        &self,
        caller: &Caller,
        id: &str,
        reason: &str,
        terms: impl Into<Terms<'_>>,
        now: Timestamp,
    ) -> Answered<ObligationView> {
        let terms = terms.into();
        self.permit(caller, Right::Approve)?;
        let (incident, local) = split_obligation(id)?;
        let reason = reason_of(reason)?;
        let names = self.names(now).await?;
        let request = format!("withdraw {local} {reason}");
        self.change_or_replan(caller, incident, terms.version, terms.of(&request), now, |house, dossier| {
            let mut record = dossier.record.clone();
            let waiver = record.acts.get_mut(local).and_then(|act| act.waiver.take()).ok_or_else(|| {
                Trouble::NotNow(format!("no decision about `{local}` waits or stands; there is nothing to take back"))
            })?;
            let key = format!("waived.{local}");
            if record.incident.facts.get(&key).is_some() {
                record.incident.facts.assert(withdrawal(key, &caller.name, TAKEN_BACK, now));
            }
            let how = how(&waiver, names.same(&waiver.by, &caller.name));
            let draft = house.draft_decision_withdrawn(&record.incident.id.0, local, how, &reason, caller, now);
            let messages = match how {
                REFUSED => house.tell_of_refusal(&record, local, &waiver, &caller.name, &reason, now),
                _ => Vec::new(),
            };
            Ok(Decided { record, drafts: vec![draft], messages })
        })
        .await?;
        self.obligation(caller, id, now).await
    }

    /// Whoever proposed a decision hears at once that it was refused, by whom and why: the clock went on meanwhile. Who is no
    /// person of the configuration has no address, and reads it on the page of the obligation.
    fn tell_of_refusal(
        &self,
        record: &Record,
        local: &str,
        waiver: &Waiver,
        by: &str,
        reason: &str,
        now: Timestamp,
    ) -> Vec<Message> {
        let directory = &self.settings.directory;
        let Some(proposer) = directory.person_called(&waiver.by) else { return Vec::new() };
        let book = self.book();
        let plan = self.plan_record(&book, record, now);
        let Some(o) = find_obligation(&plan, local) else { return Vec::new() };
        let by = directory.person_called(by).map_or(by, |person| &person.name);
        let note = format!(
            "{by} does not agree to your proposal not to notify: {reason}\nThe obligation is open, and its clock was never \
             stopped. Notify, or propose anew with `breachclock obligation waive` or on the page of the obligation."
        );
        let ladders = directory.ladders(&Who::Person(proposer.id.clone()), &[], now);
        let targets: BTreeSet<Target> = ladders.into_iter().map(|ladder| ladder.first().clone()).collect();
        let message = |target: Target| {
            let mut brief = brief(plan.book_of(&book, o), &record.incident, Some(o));
            brief.duty_title = format!("Refused: the decision not to notify, {}", brief.duty_title);
            let key = format!("{}/{local}/refused/{}/{}", record.incident.id, now.timestamp_micros(), target.label());
            let said = Said { step: REFUSED, key, due_at: now, nth: 0 };
            let mut message = about_decision(brief, record, target, said, note.clone(), now);
            message.extra.drill = self.settings.drill.is_some();
            message
        };
        targets.into_iter().map(message).collect()
    }
}
