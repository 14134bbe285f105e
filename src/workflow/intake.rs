//! A report comes in: facts, obligations, reminders and evidence in one commit.

use super::lateness;
use super::rulebook::Ruled;
use super::{Answered, Attach, Caller, EvidenceReceipt, House, Reported, Right, Trouble};
use crate::escalation::{
    self, Brief, Decision, DeliveryState, Event, Extra, Message, Reason, Reasons, Sent, Subject, Target,
};
use crate::evidence::Id;
use crate::ingest::{self, EntityRef, Reading, Rejection, Report};
use crate::law::{Entity, Fact, FactBook, Incident, Obligation, Standing};
use crate::rules::{Plan, Rulebook, hex};
use crate::store::{Change, Changeset, Dossier, Idempotency, Receipt, Record, Store, StoreError, Tracked};
use crate::time::{Timestamp, Zone};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Beginning of the name of an entity that nobody stated.
pub(super) const NOT_STATED: &str = "not stated: ";

/// What the pure functions make of a record.
pub(super) struct Outlook {
    pub plan: Plan,
    pub decision: Decision,
    /// Set when another rulebook planned the record before.
    pub ruled: Option<Ruled>,
}

impl<S: Store> House<S> {
    /// Opens an incident. The same idempotency key, or the same `source` and `reference`, answers with the first result.
    pub async fn report(
        &self,
        caller: &Caller,
        text: &str,
        idempotency: Option<&str>,
        now: Timestamp,
    ) -> Answered<Reported> {
        self.permit(caller, Right::Report)?;
        let idempotency = idempotency.map(|key| idempotency_of(caller, key, text));
        if let Some(key) = &idempotency
            && let Some((incident, same)) = self.store.accepted(key).await?
        {
            return self.first_result(caller, &incident.0, same, now).await;
        }
        let book = self.book();
        let report = {
            let reading = Reading { catalogue: book.catalogue(), now, by: &caller.name };
            ingest::report(text, &reading, true).map_err(Trouble::Rejected)?
        };
        self.open(caller, report, text, None, idempotency, now).await
    }

    /// Opens an incident as reported. `text` is the document the facts were read from; `original` a file that is kept with
    /// it, in the same commit.
    pub(super) async fn open(
        &self,
        caller: &Caller,
        report: Report,
        text: &str,
        original: Option<&Attach>,
        idempotency: Option<Idempotency>,
        now: Timestamp,
    ) -> Answered<Reported> {
        let book = self.book();
        let entity = self.entity_of(caller, report.entity, &book)?;
        self.contracts_known(caller, &book, &entity, &report.facts, text)?;
        let mut facts = FactBook::default();
        for fact in report.facts {
            facts.assert(fact);
        }
        let incident = Incident {
            id: self.new_incident_id(now),
            title: report.title,
            entity,
            source: report.source,
            reference: report.reference,
            opened_at: now,
            // as in the log
            opened_by: Id::new(caller.name.as_str()).as_str().to_string(),
            closed_at: None,
            facts,
        };
        let mut record =
            Record { incident, tracked: Vec::new(), acts: BTreeMap::new(), rulebook: book.sha256, kept: Vec::new() };
        let outlook = self.outlook(&book, &mut record, &[], now);
        let first = self.draft_reported(&record.incident, caller, now);
        let mut more = Vec::new();
        let mut shelved = None;
        if let Some(file) = original {
            let (draft, name) = self.shelve(&record.incident.id.0, file, None, caller, now).await?;
            shelved = Some((record.incident.id.0.clone(), name));
            more.push(draft);
        }
        more.push(self.draft_computed(&record.incident, &book, &outlook.plan, now));
        let mut messages = outlook.decision.messages;
        messages.extend(self.broadcast(Event::IncidentOpened, &record, &outlook.plan, &book, now));
        self.dress(&mut messages, &record);
        if !messages.is_empty() {
            more.push(self.draft_messages(&record.incident, &messages, now));
        }
        let wake_at = outlook.decision.wake_at;
        let sent = messages.iter().cloned().map(queued).collect();
        let mut dossier = Dossier { version: 0, record: record.clone(), wake_at, sent };
        let change = Change::Incident { expected: None, record, wake_at, messages, idempotency };
        let committed = self.commit(Changeset { change, first, more }).await;
        if let (Err(StoreError::Duplicate { .. }), Some((id, name))) = (&committed, shelved) {
            self.unshelve(&id, name).await;
        }
        match committed {
            Ok(receipt) => {
                self.stats.reports.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                self.announce();
                dossier.version = receipt.version;
                // the questions cost more than the report: whoever reads the incident gets them
                let incident = self.view_planned(&dossier, &book, &outlook.plan, Vec::new(), now);
                Ok(Reported { incident, evidence: receipt_view(&receipt), created: true })
            }
            Err(StoreError::Duplicate { incident, same_request }) => {
                self.first_result(caller, &incident.0, same_request, now).await
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn first_result(
        &self,
        caller: &Caller,
        id: &str,
        same_request: bool,
        now: Timestamp,
    ) -> Answered<Reported> {
        if !same_request {
            return Err(Trouble::KeyReused);
        }
        let incident = self.incident(caller, id, now).await?;
        let stream = self.store.stream(id).await?;
        let written_at = |entry: &crate::store::StoredEntry| {
            let body: serde_json::Value = serde_json::from_slice(&entry.bytes).unwrap_or_default();
            body["ts"].as_str().map(str::to_string)
        };
        let evidence = stream.first().map(|first| EvidenceReceipt {
            log_index: first.idx,
            leaf_hash: hex(&crate::evidence::leaf_hash(&first.bytes)),
            // one commit has one instant
            entries: stream.iter().take_while(|entry| written_at(entry) == written_at(first)).count(),
        });
        Ok(Reported { incident, evidence, created: false })
    }

    pub(super) fn entity_of(&self, caller: &Caller, reference: EntityRef, book: &Rulebook) -> Answered<Entity> {
        let reject = |text: String| Trouble::Rejected(vec![Rejection { pointer: "/entity".into(), line: None, text }]);
        let entity = match reference {
            EntityRef::Id(id) => match self.settings.entities.iter().find(|e| e.id.as_ref() == Some(&id)) {
                Some(entity) => entity.clone(),
                None => {
                    let known = self.settings.entities.iter().filter_map(|e| e.id.as_deref());
                    let near = crate::law::nearest_of(&id, known);
                    return Err(reject(format!("no entity has the id `{id}`{}", crate::rules::did_you_mean(&near))));
                }
            },
            EntityRef::Inline(entity) => *entity,
            EntityRef::Unstated => self.any_entity(caller),
        };
        known_to(book, &entity)?;
        if !caller.may_see(&entity) {
            return Err(Trouble::NotPermitted("this token is limited to other entities".into()));
        }
        Ok(entity)
    }

    /// Refuses facts that name contracts the entity does not have. Of an entity nobody stated it may be any contract of those
    /// the caller may report for. `text` is the document the facts were read from.
    pub(super) fn contracts_known(
        &self,
        caller: &Caller,
        book: &Rulebook,
        entity: &Entity,
        facts: &[Fact],
        text: &str,
    ) -> Answered<()> {
        let unstated = entity.id.is_none() && entity.name.starts_with(NOT_STATED);
        let own = std::iter::once(entity);
        let others = self.settings.entities.iter().filter(|e| unstated && caller.may_see(e));
        let known: Vec<&str> = own.chain(others).flat_map(|e| &e.contracts).map(|c| c.id.as_str()).collect();
        let faults = crate::rules::contract_fact_faults(book, &known, facts);
        if faults.is_empty() {
            return Ok(());
        }
        let rejection = |(key, text_of): (String, String)| {
            let (pointer, line) = ingest::locate(text, &key);
            Rejection { pointer: pointer.0, line, text: text_of }
        };
        Err(Trouble::Rejected(faults.into_iter().map(rejection).collect()))
    }

    /// The entity of a report that names none: the only one the caller may report for, else one of which nothing is known
    /// until somebody names it.
    pub(super) fn any_entity(&self, caller: &Caller) -> Entity {
        let candidates: Vec<&Entity> = self.settings.entities.iter().filter(|e| caller.may_see(e)).collect();
        match candidates.as_slice() {
            [] => Entity { name: "the entity".into(), ..Entity::default() },
            [only] => (*only).clone(),
            several => {
                // nothing is known of it: merged, the exceptions of one would take away what another owes
                let names: Vec<&str> = several.iter().map(|e| e.name.as_str()).collect();
                Entity {
                    name: format!("{NOT_STATED}{}", names.join(" or ")),
                    policy: several[0].policy.clone(),
                    ..Entity::default()
                }
            }
        }
    }

    /// Plans and decides, and brings `record.tracked` up to the plan.
    pub(super) fn outlook(
        &self,
        book: &Rulebook,
        record: &mut Record,
        sent: &[escalation::Sent],
        now: Timestamp,
    ) -> Outlook {
        let (plan, ruled) = self.plan_under(book, record, now);
        let known: BTreeMap<String, Timestamp> = record.tracked.drain(..).map(|t| (t.id, t.known_at)).collect();
        record.tracked = plan
            .obligations
            .iter()
            .map(|o| Tracked {
                id: o.id.clone(),
                standing: o.standing.as_str().to_string(),
                due: o.standing.deadline().map(|d| d.due),
                conservative_due: o.standing.deadline().map(|d| d.conservative_due),
                known_at: known.get(&o.id).copied().unwrap_or(now),
            })
            .collect();
        let mut decision = if record.incident.closed_at.is_some() {
            Decision::default()
        } else {
            let subjects = self.subjects(book, record, &plan);
            escalation::decide(&record.incident.id, &subjects, &record.acts, &self.settings.directory, sent, now)
        };
        // also of a closed incident: its decisions stand
        self.ask_for_reviews(book, record, &plan, sent, &mut decision, now);
        Outlook { plan, decision, ruled }
    }

    fn subjects(&self, book: &Rulebook, record: &Record, plan: &Plan) -> Vec<Subject<'_>> {
        plan.obligations
            .iter()
            .zip(&record.tracked)
            .filter_map(|(o, tracked)| {
                let mut brief = brief(plan.book_of(book, o), &record.incident, Some(o));
                let reasons = lateness::reasons(record, o);
                let started_at = match &o.standing {
                    // the clock has surely started, only when is not known: remind on the bound, not never
                    Standing::Awaiting { .. } | Standing::Possible(None) if o.bound.is_some() => {
                        (brief.due, brief.conservative_due) = (o.bound.map(|b| b.0), o.bound.map(|b| b.1));
                        let facts = &record.incident.facts;
                        ["times.detected", "times.aware", "times.determined"]
                            .iter()
                            .find_map(|key| facts.instant(key))?
                    }
                    Standing::Running(_) | Standing::Possible(_) => o.started_by.as_ref()?.at,
                    Standing::Discharged { at, .. } if matches!(reasons, Reasons::FiledLate(_)) => *at,
                    _ => return None,
                };
                // a register to keep or a text without any period reminds nobody
                if brief.conservative_due.is_none() && o.promptly.is_none() {
                    return None;
                }
                Some(Subject {
                    id: o.id.clone(),
                    brief,
                    started_at,
                    known_at: tracked.known_at,
                    unverified: o.unverified,
                    policy: self.policy_for(&record.incident, &o.duty),
                    internal_target: self.internal_target(&record.incident, o),
                    delay_notice: lateness::notice_to_send(plan.book_of(book, o), record, plan, o),
                    reasons,
                })
            })
            .collect()
    }

    /// One message per webhook that wants `event`, about the incident as a whole.
    pub(super) fn broadcast(
        &self,
        event: Event,
        record: &Record,
        plan: &Plan,
        book: &Rulebook,
        now: Timestamp,
    ) -> Vec<Message> {
        let head = plan.obligations.iter().find(|o| o.standing.is_open() && o.standing.deadline().is_some());
        self.subscribers(event)
            .map(|id| Message {
                key: format!("{}/{}/{}/webhook:{id}", record.incident.id, event.as_str(), now.timestamp_micros()),
                event,
                incident: record.incident.id.clone(),
                obligation: None,
                target: Target::Webhook { id: id.to_string() },
                reason: Reason {
                    policy: "events".into(),
                    step: event.as_str().into(),
                    repeat: 0,
                    due_at: now,
                    coalesced: 0,
                },
                created_at: now,
                urgent_at: now + chrono::Duration::days(1),
                brief: brief(head.map_or(book, |o| plan.book_of(book, o)), &record.incident, head),
                ack_token: None,
                extra: Extra::default(),
            })
            .collect()
    }

    fn subscribers(&self, event: Event) -> impl Iterator<Item = &str> {
        self.settings.webhooks.iter().filter(move |(_, events)| wants(events, event)).map(|(id, _)| id.as_str())
    }

    /// Completes decided messages: acknowledgement links for people, and a copy of each reminder for webhooks that want it.
    pub(super) fn dress(&self, messages: &mut Vec<Message>, record: &Record) {
        let mut copies: Vec<Message> = Vec::new();
        for message in messages.iter().filter(|m| m.target.person().is_some()) {
            for id in self.subscribers(message.event) {
                let target = Target::Webhook { id: id.to_string() };
                let same = |m: &Message| {
                    m.target == target && m.obligation == message.obligation && m.reason.step == message.reason.step
                };
                if messages.iter().any(same) || copies.iter().any(same) {
                    continue;
                }
                let key = format!("{}/event/webhook:{id}", message.key);
                let extra = Extra { copy: true, ..message.extra.clone() };
                copies.push(Message { key, target, extra, ..message.clone() });
            }
        }
        messages.extend(copies);
        for message in messages.iter_mut() {
            message.extra.drill = self.settings.drill.is_some();
            // nothing is left to take of what is filed
            let offers = message.brief.standing != "discharged";
            if let (true, Some(person), Some(obligation)) = (offers, message.target.person(), &message.obligation) {
                let also = message.brief.also.iter().map(|a| a.obligation.clone());
                let obligations = std::iter::once(obligation.clone()).chain(also).collect();
                let person = person.to_string();
                message.ack_token = Some(self.ack_token(&record.incident.id, obligations, &person, message));
            }
        }
    }
}

/// Refuses an entity that names what the rulebook does not know.
pub(super) fn known_to(book: &Rulebook, entity: &Entity) -> Answered<()> {
    let faults = crate::rules::entity_faults(book, entity);
    if faults.is_empty() {
        return Ok(());
    }
    let rejection = |fault: crate::rules::EntityFault| Rejection {
        pointer: format!("/entity{}", fault.pointer),
        line: None,
        text: fault.text,
    };
    Err(Trouble::Rejected(faults.into_iter().map(rejection).collect()))
}

pub(super) fn queued(message: Message) -> Sent {
    Sent { message: message.into(), state: DeliveryState::Queued, attempts: 0, settled_at: None, detail: None }
}

fn wants(events: &[String], event: Event) -> bool {
    let word = event.as_str();
    events.iter().any(|e| e == "*" || e == word || e.strip_suffix('*').is_some_and(|prefix| word.starts_with(prefix)))
}

/// What a message says about an obligation, or about the incident when there is none.
pub(super) fn brief(book: &Rulebook, incident: &Incident, o: Option<&Obligation>) -> Brief {
    let zone = incident.entity.zone.unwrap_or(Zone::UTC);
    let duty = o.map(|o| book.duty_of(incident, o));
    let duty = duty.as_deref();
    Brief {
        incident_title: incident.title.clone(),
        entity: incident.entity.name.clone(),
        duty_title: duty.map(|d| d.title.clone()).unwrap_or_default(),
        duty: o.map(|o| o.duty.clone()),
        jurisdiction: o.map(|o| o.jurisdiction.clone()).unwrap_or_default(),
        recipient_name: o.map(|o| o.recipient_name.clone()).unwrap_or_default(),
        law: duty.map(|d| d.law.clone()).unwrap_or_default(),
        citation: duty.map(|d| d.citation.clone()).unwrap_or_default(),
        standing: o.map(|o| o.standing.as_str().to_string()).unwrap_or_default(),
        missing: o.map(|o| o.missing.clone()).unwrap_or_default(),
        promptly: o.and_then(|o| o.promptly.clone()),
        due: o.and_then(|o| o.standing.deadline()).map(|d| d.due),
        conservative_due: o.and_then(|o| o.standing.deadline()).map(|d| d.conservative_due),
        zone: o.map_or(zone, |o| o.zone),
        started_key: o.and_then(|o| o.started_by.as_ref()).map(|s| s.key.clone()),
        started_at: o.and_then(|o| o.started_by.as_ref()).map(|s| s.at),
        holder: None,
        told: Vec::new(),
        next: None,
        because: o.and_then(|o| book.period_text(o)),
        also: Vec::new(),
    }
}

/// The key is the caller's own: another caller's equal key is another key.
pub(super) fn idempotency_of(caller: &Caller, key: &str, request: &str) -> Idempotency {
    Idempotency {
        principal: caller.name.clone(),
        key: key.to_string(),
        request: Sha256::digest(request.as_bytes()).into(),
    }
}

pub(super) fn receipt_view(receipt: &Receipt) -> Option<EvidenceReceipt> {
    receipt.entries.first().map(|(idx, leaf)| EvidenceReceipt {
        log_index: *idx,
        leaf_hash: hex(leaf),
        entries: receipt.entries.len(),
    })
}
