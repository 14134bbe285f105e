//! A decision not to notify is taken back: one that waits by who proposed it, one that waits by another approver, who thereby
//! refuses it, one that stands by any approver. The clock was never stopped; the obligation is open again.

use super::discharge::reason_of;
use super::read::split_obligation;
use super::review::withdrawal;
use super::{Answered, Caller, House, ObligationView, Right, Terms, Trouble};
use crate::law::Waiver;
use crate::store::Store;
use crate::time::Timestamp;

/// What the withdrawn fact says of why.
pub(super) const TAKEN_BACK: &str = "the decision was taken back";

/// How a decision ended, in the entry's word.
fn how(waiver: &Waiver, is_own: bool) -> &'static str {
    match (waiver.approved_at.is_some(), is_own) {
        (true, _) => "taken-back",
        (false, true) => "withdrawn",
        (false, false) => "refused",
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
        self.change(caller, incident, terms.version, terms.of(&request), now, |house, dossier| {
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
            Ok((record, draft))
        })
        .await?;
        self.obligation(caller, id, now).await
    }
}
