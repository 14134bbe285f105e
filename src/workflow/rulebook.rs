//! Another rulebook comes into force. A date that moves earlier takes effect at once; one that moves later, or vanishes,
//! stays until somebody with the right to decide has signed it off. The old derivation stays in the evidence.

use super::discharge::reason_of;
use super::{Answered, Caller, House, IncidentView, Right, Trouble};
use crate::detail;
use crate::evidence::Made;
use crate::law::IncidentId;
use crate::rules::{Options, Plan, Rulebook, Seen, Shift, compare_seen, hex, limits_of, moves_later};
use crate::store::{Dossier, Kept, Query, Record, Store, Tracked};
use crate::time::Timestamp;

/// Incidents replanned per round.
const BATCH: u32 = 200;

/// What another rulebook made of one incident.
pub(super) struct Ruled {
    pub from: [u8; 32],
    pub to: [u8; 32],
    pub shifts: Vec<Shift>,
    /// Obligations whose older limits stand.
    pub kept: Vec<String>,
}

/// What became of open incidents when another rulebook came into force.
#[derive(Debug, Default)]
pub struct Replanned {
    pub incidents: usize,
    /// Those that could not be replanned, each with the reason.
    pub failed: Vec<(IncidentId, Trouble)>,
}

impl<S: Store> House<S> {
    /// Puts a new rulebook into force: records it, and replans every open incident that an older one planned. When it cannot
    /// be recorded the old one stays in force.
    pub async fn activate(&self, book: Rulebook, now: Timestamp) -> Answered<Replanned> {
        let detail =
            detail! { "rulebook": Made::of(hex(&book.sha256)), "rulebook_version": Made::of(book.version.clone()) };
        self.record_system("rules.activated", detail, now).await?;
        *self.book.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = std::sync::Arc::new(book);
        self.replan_stale(now).await
    }

    /// Replans open incidents whose dates come from another rulebook. One that fails does not keep the others back.
    pub async fn replan_stale(&self, now: Timestamp) -> Answered<Replanned> {
        let (mut replanned, mut after) = (Replanned::default(), None);
        loop {
            let planned_otherwise = Some(self.book().sha256);
            let query = Query { open_only: true, planned_otherwise, after: after.clone(), limit: BATCH, entity: None };
            let batch = self.store.list(query).await?;
            let last = batch.len() < BATCH as usize;
            for dossier in batch {
                let id = dossier.record.incident.id.clone();
                after = Some(id.clone());
                let same = |_: &Self, dossier: &Dossier| Ok((dossier.record.clone(), Vec::new()));
                match self.change_or_replan(&Caller::system(), &id.0, None, None, now, same).await {
                    Ok(_) => replanned.incidents += 1,
                    Err(error) => replanned.failed.push((id, error)),
                }
            }
            if last {
                return Ok(replanned);
            }
        }
    }

    /// Accepts that the rulebook in force moves limits later: of `obligations`, or of all that wait when none is named.
    /// Obligations are named by their full id, or as inside the incident.
    #[expect(clippy::too_many_arguments, reason = "a change of an incident, with what it is about")]
    pub async fn sign_off(
        &self,
        caller: &Caller,
        id: &str,
        obligations: &[String],
        reason: &str,
        if_match: Option<u64>,
        idempotency: Option<&str>,
        now: Timestamp,
    ) -> Answered<IncidentView> {
        self.permit(caller, Right::Approve)?;
        let reason = reason_of(reason)?;
        let local = |name: &str| name.split_once('~').map_or(name, |(_, local)| local).to_string();
        let named: Vec<String> = obligations.iter().map(|name| local(name)).collect();
        let request = format!("sign off {} {reason}", named.join(" "));
        self.change(caller, id, if_match, idempotency.map(|key| (key, request.as_str())), now, |house, dossier| {
            let mut record = dossier.record.clone();
            let (_, plan) = house.plan_of(dossier, now);
            let waiting: Vec<&str> = waiting(&plan).collect();
            if let Some(unknown) = named.iter().find(|name| !waiting.contains(&name.as_str())) {
                return Err(Trouble::NotNow(format!("`{unknown}` does not wait for a sign-off")));
            }
            let accepted: Vec<String> =
                waiting.into_iter().map(str::to_string).filter(|id| named.is_empty() || named.contains(id)).collect();
            if accepted.is_empty() {
                return Err(Trouble::NotNow("nothing in this incident waits for a sign-off".into()));
            }
            record.kept.retain(|kept| !accepted.contains(&kept.id));
            let draft = house.draft_signed_off(&record.incident, &accepted, &reason, caller, now);
            Ok((record, draft))
        })
        .await?;
        self.incident(caller, id, now).await
    }

    /// The plan of a stored incident: the rulebook's, with the older limits that still stand.
    pub(super) fn plan_record(&self, book: &Rulebook, record: &Record, now: Timestamp) -> Plan {
        if record.rulebook != book.sha256 {
            // not replanned yet: what will stand stands already
            return self.plan_under(book, &mut record.clone(), now).0;
        }
        let mut plan = book.plan(&record.incident, now, Options::default());
        self.keep_limits(book, &mut plan, record, now);
        plan
    }

    /// As `plan_record`; when another rulebook planned the record before, decides which of its limits stand, and writes
    /// down that this one planned it.
    pub(super) fn plan_under(&self, book: &Rulebook, record: &mut Record, now: Timestamp) -> (Plan, Option<Ruled>) {
        let mut plan = book.plan(&record.incident, now, Options::default());
        // a record without obligations is new, whatever planned it
        let changed = record.rulebook != book.sha256 && !record.tracked.is_empty();
        let ruled = changed.then(|| {
            let before: Vec<Seen<'_>> = record
                .tracked
                .iter()
                .map(|t| Seen { id: &t.id, standing: &t.standing, limits: (t.due, t.conservative_due) })
                .collect();
            let shifts = compare_seen(&before, &plan);
            let from = record.rulebook;
            self.keep_or_drop(book, &plan, record, now);
            Ruled { from, to: book.sha256, shifts, kept: Vec::new() }
        });
        record.rulebook = book.sha256;
        self.keep_limits(book, &mut plan, record, now);
        let ruled = ruled.map(|ruled| Ruled { kept: waiting(&plan).map(str::to_string).collect(), ..ruled });
        (plan, ruled)
    }

    /// Another rulebook than the one that planned the record comes into force: limits it moves later are kept, and kept ones
    /// it no longer moves later are not kept any more.
    fn keep_or_drop(&self, book: &Rulebook, plan: &Plan, record: &mut Record, now: Timestamp) {
        let earlier = self.earlier_plans(record, now);
        // what this very rulebook gave is in force again
        record.kept.retain(|kept| {
            kept.from != book.sha256
                && plan
                    .obligations
                    .iter()
                    .find(|o| o.id == kept.id)
                    .is_none_or(|o| moves_later(earlier.limits(kept), limits_of(o)))
        });
        for tracked in record.tracked.iter().filter(|t| must_stand(t, plan)) {
            let limits = (tracked.due, tracked.conservative_due);
            let stands = earlier.standing(&record.kept, &tracked.id);
            // a limit that was kept already stands in the record
            if stands.is_none_or(|stands| moves_later(limits, stands)) {
                record.kept.push(Kept {
                    id: tracked.id.clone(),
                    due: tracked.due,
                    conservative_due: tracked.conservative_due,
                    since: now,
                    from: record.rulebook,
                });
            }
        }
    }
}

/// Ids of obligations whose older limits stand until somebody signs the change off.
pub(super) fn waiting(plan: &Plan) -> impl Iterator<Item = &str> {
    plan.obligations.iter().filter(|o| o.unsigned.is_some()).map(|o| o.id.as_str())
}

/// Would the plan give somebody more time, or take away a limit?
fn must_stand(tracked: &Tracked, plan: &Plan) -> bool {
    if !matches!(tracked.standing.as_str(), "running" | "possible") || tracked.conservative_due.is_none() {
        return false;
    }
    match plan.obligations.iter().find(|o| o.id == tracked.id) {
        Some(o) => o.standing.is_open() && moves_later((tracked.due, tracked.conservative_due), limits_of(o)),
        None => true,
    }
}
