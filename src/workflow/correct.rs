//! Facts are added or corrected: replan, diff, supersede, and tell.

use super::intake::{idempotency_of, receipt_view};
use super::{Answered, Caller, Changed, Diff, DiffEntry, House, Right, Terms, Trouble};
use crate::escalation::{Event, Message};
use crate::evidence::Draft;
use crate::ingest::{self, Reading};
use crate::law::{Certainty, Fact, FactBook, Obligation, Standing, Value};
use crate::rules::{Drift, Plan, Rulebook, Shift, utc};
use crate::store::{Change, Changeset, Dossier, Idempotency, Record, Store, StoreError};
use crate::time::Timestamp;

/// How often a decision is repeated when somebody else changed the incident meanwhile.
const ATTEMPTS: usize = 5;

/// What a change is decided to be: the record after it, entries of its own, and what is told about it besides what follows
/// from the plan, to one person and no receiver of events.
pub(super) struct Decided {
    pub record: Record,
    pub drafts: Vec<Draft>,
    pub messages: Vec<Message>,
}

impl From<(Record, Vec<Draft>)> for Decided {
    fn from((record, drafts): (Record, Vec<Draft>)) -> Decided {
        Decided { record, drafts, messages: Vec::new() }
    }
}

fn key_of(caller: &Caller, id: &str, idempotency: Option<(&str, &str)>) -> Option<Idempotency> {
    idempotency.map(|(key, request)| idempotency_of(caller, key, &format!("{id}\n{request}")))
}

impl<S: Store> House<S> {
    /// Asserts facts on an incident and answers what that changed.
    pub async fn assert_facts(
        &self,
        caller: &Caller,
        id: &str,
        text: &str,
        if_match: Option<u64>,
        idempotency: Option<&str>,
        now: Timestamp,
    ) -> Answered<Changed> {
        self.permit(caller, Right::Report)?;
        let facts = {
            let book = self.book();
            let reading = Reading { catalogue: book.catalogue(), now, by: &caller.name };
            ingest::facts_only(text, &reading).map_err(Trouble::Rejected)?
        };
        if facts.is_empty() {
            return Err(Trouble::NotNow("no facts were given; name at least one key".into()));
        }
        self.change(caller, id, if_match, idempotency.map(|key| (key, text)), now, |house, dossier| {
            let entity = &dossier.record.incident.entity;
            house.contracts_known(caller, &house.book(), entity, &facts, text)?;
            let mut record = dossier.record.clone();
            for fact in &facts {
                record.incident.facts.assert(fact.clone());
            }
            let draft = house.draft_facts(&record.incident, &facts, caller, now);
            Ok((record, draft))
        })
        .await
    }

    /// Says which of the configured entities an incident is about. Its obligations are planned anew.
    pub async fn set_entity(
        &self,
        caller: &Caller,
        id: &str,
        entity: &str,
        if_match: Option<u64>,
        idempotency: Option<&str>,
        now: Timestamp,
    ) -> Answered<Changed> {
        self.permit(caller, Right::Report)?;
        let dossier = self.dossier(caller, id).await?;
        if dossier.record.incident.entity.id.is_some() {
            // another entity than the one stated takes obligations away
            self.permit(caller, Right::Approve)?;
        }
        let named = self.entity_of(caller, ingest::EntityRef::Id(entity.to_string()), &self.book())?;
        self.change(caller, id, if_match, idempotency.map(|key| (key, entity)), now, |house, dossier| {
            let mut record = dossier.record.clone();
            record.incident.entity = named.clone();
            let draft = house.draft_entity(&record.incident, caller, now);
            Ok((record, draft))
        })
        .await
    }

    /// The common path of every change to an incident: read, decide, commit once with evidence; again on a conflict.
    pub(super) async fn change(
        &self,
        caller: &Caller,
        id: &str,
        if_match: Option<u64>,
        idempotency: Option<(&str, &str)>,
        now: Timestamp,
        mut decide: impl FnMut(&Self, &Dossier) -> Answered<(Record, Draft)> + Send,
    ) -> Answered<Changed> {
        self.change_or_replan(caller, id, if_match, idempotency, now, move |house, dossier| {
            decide(house, dossier).map(|(record, draft)| (record, vec![draft]))
        })
        .await
    }

    /// Whether this request was accepted before.
    pub(super) async fn is_repeated(
        &self,
        caller: &Caller,
        id: &str,
        idempotency: Option<(&str, &str)>,
    ) -> Answered<bool> {
        match key_of(caller, id, idempotency) {
            Some(key) => Ok(self.store.accepted(&key).await?.is_some()),
            None => Ok(false),
        }
    }

    /// As `change`, with any number of entries of its own; without one, what the rulebook changed is the first.
    pub(super) async fn change_or_replan<D: Into<Decided>>(
        &self,
        caller: &Caller,
        id: &str,
        if_match: Option<u64>,
        idempotency: Option<(&str, &str)>,
        now: Timestamp,
        mut decide: impl FnMut(&Self, &Dossier) -> Answered<D> + Send,
    ) -> Answered<Changed> {
        let key = key_of(caller, id, idempotency);
        if let Some(key) = &key
            && let Some((incident, same)) = self.store.accepted(key).await?
        {
            return self.repeated(caller, &incident.0, same).await;
        }
        for _ in 0..ATTEMPTS {
            let mut dossier = self.dossier(caller, id).await?;
            Terms { version: if_match, key: None }.hold(dossier.version)?;
            let book = self.book();
            // what another rulebook changed is settled first: the decision is made on what stands
            let (before, ruled) = self.plan_under(&book, &mut dossier.record, now);
            let Decided { mut record, drafts: mut own, messages: told } = decide(self, &dossier)?.into();
            own.extend(self.take_up_again(&dossier.record.incident.facts, &mut record, caller, now));
            let reopened = self.reopen(&book, &dossier.record, &before, &mut record, now);
            let outlook = self.outlook(&book, &mut record, &dossier.sent, now);
            let diff = diff(&book, &dossier.record.incident.facts, &before, &record.incident.facts, &outlook.plan);
            let mut messages = outlook.decision.messages;
            let shifts = ruled.as_ref().map_or(&[][..], |ruled| &ruled.shifts);
            messages.extend(self.announcements(&diff, shifts, &record, &outlook.plan, &book, now));
            self.dress(&mut messages, &record);
            messages.extend(told);
            let mut more: Vec<Draft> = own;
            if !reopened.is_empty() {
                more.push(self.draft_reopened(&record.incident, &reopened, caller, now));
            }
            more.extend(ruled.map(|ruled| self.draft_rules_changed(&record.incident, &ruled, now)));
            more.push(self.draft_computed(&record.incident, &book, &outlook.plan, now));
            if !messages.is_empty() {
                more.push(self.draft_messages(&record.incident, &messages, now));
            }
            let first = more.remove(0);
            let change = Change::Incident {
                expected: Some(dossier.version),
                record,
                wake_at: outlook.decision.wake_at,
                messages,
                idempotency: key.clone(),
            };
            match self.commit(Changeset { change, first, more }).await {
                Ok(receipt) => {
                    self.announce();
                    return Ok(Changed {
                        incident: id.to_string(),
                        version: receipt.version,
                        reopened: !reopened.is_empty(),
                        diff,
                        evidence: receipt_view(&receipt),
                    });
                }
                Err(StoreError::Conflict { .. }) => {
                    self.stats.conflicts.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
                Err(StoreError::Duplicate { incident, same_request }) => {
                    return self.repeated(caller, &incident.0, same_request).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(Trouble::NotNow("the incident keeps changing; try again".into()))
    }

    /// A closed incident in which the change makes an obligation run, or one possible that was not, is open again: somebody
    /// must be reminded. Answers the obligations that did it; none when it stays as it is.
    fn reopen(
        &self,
        book: &Rulebook,
        closed: &Record,
        before: &Plan,
        record: &mut Record,
        now: Timestamp,
    ) -> Vec<String> {
        if closed.incident.closed_at.is_none() || record.incident.closed_at.is_none() {
            return Vec::new();
        }
        let after = self.plan_record(book, record, now);
        let was = |o: &Obligation| before.obligations.iter().find(|b| b.id == o.id).map_or(Clock::None, clock);
        let anew: Vec<String> = after.obligations.iter().filter(|o| clock(o) > was(o)).map(|o| o.id.clone()).collect();
        if !anew.is_empty() {
            record.incident.closed_at = None;
        }
        anew
    }

    async fn repeated(&self, caller: &Caller, id: &str, same_request: bool) -> Answered<Changed> {
        if !same_request {
            return Err(Trouble::KeyReused);
        }
        let dossier = self.dossier(caller, id).await?;
        Ok(Changed {
            incident: id.to_string(),
            version: dossier.version,
            reopened: false,
            diff: Diff::default(),
            evidence: None,
        })
    }

    fn announcements(
        &self,
        diff: &Diff,
        shifts: &[Shift],
        record: &Record,
        plan: &Plan,
        book: &Rulebook,
        now: Timestamp,
    ) -> Vec<Message> {
        let mut messages = self.broadcast(Event::IncidentUpdated, record, plan, book, now);
        let ruled = |directions: &[Drift]| shifts.iter().any(|s| directions.contains(&s.direction));
        let moved = ruled(&[Drift::Earlier, Drift::Later, Drift::Removed]);
        for (event, any) in [
            (Event::ObligationAdded, !diff.added.is_empty() || ruled(&[Drift::Added])),
            (Event::ObligationMoved, !diff.moved.is_empty() || moved),
            (Event::ObligationDischarged, diff.dropped.iter().any(|d| d.to.as_deref() == Some("discharged"))),
        ] {
            if any {
                messages.extend(self.broadcast(event, record, plan, book, now));
            }
        }
        messages
    }
}

/// What somebody is reminded of.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Clock {
    None,
    /// A missing fact decides, and nobody has answered yet.
    MayRun,
    Runs,
}

fn clock(o: &Obligation) -> Clock {
    // a register to keep has neither a date nor a norm
    let told = o.standing.deadline().is_some() || o.promptly.is_some() || o.bound.is_some();
    match &o.standing {
        Standing::Running(_) if told => Clock::Runs,
        Standing::Awaiting { .. } if o.bound.is_some() => Clock::Runs,
        Standing::Possible(_) if told && !o.unverified => Clock::MayRun,
        _ => Clock::None,
    }
}

/// A fact asserted by a verb of ours, e.g. a filing.
pub(super) fn assertion(key: String, value: Value, by: &str, now: Timestamp) -> Fact {
    Fact {
        key,
        value: Some(value),
        certainty: Certainty::Confirmed,
        asserted_by: by.to_string(),
        asserted_at: now,
        note: None,
    }
}

/// What a change of facts did to the obligations, each with its reason.
pub(super) fn diff(
    book: &Rulebook,
    facts_before: &FactBook,
    before: &Plan,
    facts_after: &FactBook,
    after: &Plan,
) -> Diff {
    let mut diff = Diff::default();
    let mut changed: Vec<String> = Vec::new();
    for fact in facts_after.history().iter().skip(facts_before.history().len()) {
        changed.push(fact.key.clone());
        if facts_before.get(&fact.key).is_none() {
            diff.filled.push(DiffEntry {
                id: fact.key.clone(),
                title: None,
                from: None,
                to: fact.value.as_ref().map(|v| super::read::value_json(v).to_string()),
                because: match fact.value {
                    Some(_) => format!("`{}` was unknown and is {}", fact.key, fact.certainty.as_str()),
                    None => format!("`{}` stays unknown", fact.key),
                },
            });
        }
    }
    let cause = match changed.as_slice() {
        [] => "the rule packs or the present changed".to_string(),
        keys => format!("because of {}", keys.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ")),
    };
    let title = |plan: &Plan, o: &Obligation| plan.book_of(book, o).duty(&o.duty.0).map(|d| d.title.clone());
    for o in &after.obligations {
        let old = before.obligations.iter().find(|b| b.id == o.id);
        let due = o.standing.deadline().map(|d| d.conservative_due);
        let entry = |from: Option<String>, to: Option<String>, because: String| DiffEntry {
            id: o.id.clone(),
            title: title(after, o),
            from,
            to,
            because,
        };
        match old {
            None => {
                diff.added.push(entry(None, due.map(utc).or_else(|| Some(o.standing.as_str().into())), cause.clone()))
            }
            Some(old) => {
                let was = old.standing.deadline().map(|d| d.conservative_due);
                if old.standing.is_open() && !o.standing.is_open() {
                    diff.dropped.push(entry(
                        Some(old.standing.as_str().into()),
                        Some(o.standing.as_str().into()),
                        cause.clone(),
                    ));
                } else if was != due {
                    diff.moved.push(entry(was.map(utc), due.map(utc), cause.clone()));
                } else if old.standing.as_str() != o.standing.as_str() {
                    diff.moved.push(entry(
                        Some(old.standing.as_str().into()),
                        Some(o.standing.as_str().into()),
                        cause.clone(),
                    ));
                } else {
                    diff.unchanged.push(entry(was.map(utc), due.map(utc), "none of its facts changed the date".into()));
                }
            }
        }
    }
    for old in before.obligations.iter().filter(|b| !after.obligations.iter().any(|o| o.id == b.id)) {
        let was = old.standing.deadline().map(|d| utc(d.conservative_due));
        diff.dropped.push(DiffEntry {
            id: old.id.clone(),
            title: title(before, old),
            from: was,
            to: Some("not-applicable".into()),
            because: cause.clone(),
        });
    }
    diff
}
