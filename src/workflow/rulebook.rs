//! Another rulebook comes into force. A date that moves earlier takes effect at once; one that moves later, or vanishes,
//! stays until somebody with the right to decide has signed it off. The old derivation stays in the evidence.

use super::discharge::reason_of;
use super::{Answered, Caller, House, IncidentView, Right, Trouble};
use crate::law::Standing;
use crate::rules::{Options, Plan, Rulebook, Seen, Shift, compare_seen, hex, limits_of, moves_later, utc};
use crate::store::{Kept, Query, Record, Store, Tracked};
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

impl<S: Store> House<S> {
    /// Puts a new rulebook into force: records it, and replans every open incident that an older one planned.
    /// Answers how many were replanned.
    pub async fn activate(&self, book: Rulebook, now: Timestamp) -> Answered<usize> {
        let detail = serde_json::json!({ "rulebook": hex(&book.sha256), "rulebook_version": book.version });
        *self.book.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = std::sync::Arc::new(book);
        self.record_system("rules.activated", detail, now).await?;
        self.replan_stale(now).await
    }

    /// Replans open incidents whose dates come from another rulebook.
    pub async fn replan_stale(&self, now: Timestamp) -> Answered<usize> {
        let (mut replanned, mut after) = (0, None);
        loop {
            let query = Query { open_only: true, entity: None, after: after.clone(), limit: BATCH };
            let batch = self.store.list(query).await?;
            let last = batch.len() < BATCH as usize;
            for dossier in batch {
                let id = dossier.record.incident.id.clone();
                after = Some(id.clone());
                if dossier.record.rulebook == self.book().sha256 {
                    continue;
                }
                self.change_or_replan(&Caller::system(), &id.0, None, None, now, |_, dossier| {
                    Ok((dossier.record.clone(), Vec::new()))
                })
                .await?;
                replanned += 1;
            }
            if last {
                return Ok(replanned);
            }
        }
    }

    /// Accepts that the rulebook in force moves limits later: of `obligations`, or of all that wait when none is named.
    /// Obligations are named by their full id, or as inside the incident.
    pub async fn sign_off(
        &self,
        caller: &Caller,
        id: &str,
        obligations: &[String],
        reason: &str,
        idempotency: Option<&str>,
        now: Timestamp,
    ) -> Answered<IncidentView> {
        self.permit(caller, Right::Approve)?;
        let reason = reason_of(reason)?;
        let local = |name: &str| name.split_once('~').map_or(name, |(_, local)| local).to_string();
        let named: Vec<String> = obligations.iter().map(|name| local(name)).collect();
        let request = format!("sign off {} {reason}", named.join(" "));
        self.change(caller, id, None, idempotency.map(|key| (key, request.as_str())), now, |house, dossier| {
            let mut record = dossier.record.clone();
            if let Some(unknown) = named.iter().find(|name| !record.kept.iter().any(|k| k.id == **name)) {
                return Err(Trouble::NotNow(format!("`{unknown}` does not wait for a sign-off")));
            }
            if record.kept.is_empty() {
                return Err(Trouble::NotNow("nothing in this incident waits for a sign-off".into()));
            }
            let accepted: Vec<String> =
                record.kept.iter().map(|k| k.id.clone()).filter(|id| named.is_empty() || named.contains(id)).collect();
            record.kept.retain(|kept| !accepted.contains(&kept.id));
            let draft = house.draft_signed_off(&record.incident, &accepted, &reason, caller, now);
            Ok((record, draft))
        })
        .await?;
        self.incident(caller, id, now).await
    }

    /// The plan of a stored incident: the rulebook's, with the older limits that still stand.
    pub(super) fn plan_record(&self, book: &Rulebook, record: &Record, now: Timestamp) -> Plan {
        let mut plan = book.plan(&record.incident, now, Options::default());
        keep_limits(&mut plan, &record.kept);
        plan
    }

    /// As `plan_record`; when another rulebook planned the record before, decides which of its limits stand.
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
            for tracked in record.tracked.iter().filter(|t| must_stand(t, &plan)) {
                match record.kept.iter_mut().find(|k| k.id == tracked.id) {
                    // what was tracked is the older limit already
                    Some(kept) => (kept.due, kept.conservative_due) = (tracked.due, tracked.conservative_due),
                    None => record.kept.push(Kept {
                        id: tracked.id.clone(),
                        due: tracked.due,
                        conservative_due: tracked.conservative_due,
                        since: now,
                        from,
                    }),
                }
            }
            Ruled { from, to: book.sha256, shifts, kept: record.kept.iter().map(|k| k.id.clone()).collect() }
        });
        // filed, decided, or no longer later: nothing left to sign off
        record.kept.retain(|kept| match plan.obligations.iter().find(|o| o.id == kept.id) {
            Some(o) => o.standing.is_open() && moves_later((kept.due, kept.conservative_due), limits_of(o)),
            None => true,
        });
        keep_limits(&mut plan, &record.kept);
        (plan, ruled)
    }
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

/// Lays the limits that stand over a plan. A duty that the new rulebook no longer has is named in a warning.
fn keep_limits(plan: &mut Plan, kept: &[Kept]) {
    for limit in kept {
        let Some(o) = plan.obligations.iter_mut().find(|o| o.id == limit.id) else {
            let was = limit.conservative_due.map_or_else(|| "without a date".to_string(), utc);
            plan.warnings.push((
                limit.id.clone(),
                format!(
                    "`{}` (act before {was}) no longer arises under the rule packs in force: go by it until somebody signs \
                     that off",
                    limit.id
                ),
            ));
            continue;
        };
        let would_be = limits_of(o);
        if !o.standing.is_open() || !moves_later((limit.due, limit.conservative_due), would_be) {
            continue;
        }
        if matches!(o.standing, Standing::Awaiting { .. }) {
            // under the new packs its clock has not even started; the older limit runs on
            o.standing = Standing::Running(None);
        }
        let (Standing::Running(deadline) | Standing::Possible(deadline)) = &mut o.standing else { continue };
        match (deadline, limit.due, limit.conservative_due) {
            (Some(deadline), due, conservative) => {
                deadline.due = due.map_or(deadline.due, |due| due.min(deadline.due));
                let careful = conservative.map_or(deadline.conservative_due, |c| c.min(deadline.conservative_due));
                deadline.conservative_due = careful.min(deadline.due);
            }
            (empty @ None, Some(due), Some(conservative_due)) => {
                *empty = Some(crate::law::Deadline {
                    due,
                    conservative_due,
                    counting_from: o.started_by.as_ref().map_or(limit.since, |s| s.at),
                    steps: Vec::new(),
                    contested: Vec::new(),
                    uncertain: false,
                });
            }
            _ => continue,
        }
        o.unsigned = Some(would_be);
        o.because.push(format!(
            "the rule packs in force since {} say {}: the earlier limit stands until somebody signs the change off",
            utc(limit.since),
            would_be.0.map_or_else(|| "no date".to_string(), utc)
        ));
    }
}
