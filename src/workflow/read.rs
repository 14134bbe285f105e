//! Reading: incidents, obligations, timeline. Everything that depends on the present is computed here, never stored.

use super::intake::{NOT_STATED, queued};
use super::lateness::reasons_missing;
use super::{
    Answered, Caller, DelayView, EntityView, FactView, FilingView, Filter, Holder, House, IncidentSummary,
    IncidentView, KeptView, NextReminder, ObligationView, Page, Reminder, Right, TimelineItem, Trouble, WaiverView,
};
use crate::escalation::Sent;
use crate::evidence::{Happening, timeline};
use crate::law::{Act, IncidentId, Obligation, Phase, Standing, Value};
use crate::rules::{Plan, Question, Rulebook, Warning, hex, utc};
use crate::store::{Dossier, Query, Store};
use crate::time::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::json;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Incidents read per round when a filter has to be applied.
const BATCH: u32 = 200;
const MAX_PAGE: u32 = 500;
/// Wake-ups looked at for the next reminder of one obligation: others of its incident may come first.
const LOOK_AHEAD: usize = 4;

impl<S: Store> House<S> {
    /// A dossier the caller may see.
    pub(super) async fn dossier(&self, caller: &Caller, id: &str) -> Answered<Dossier> {
        self.permit(caller, Right::Read)?;
        let missing = || Trouble::NotFound(format!("incident `{id}`"));
        let dossier = match self.store.dossier(&IncidentId(id.to_string())).await {
            Ok(dossier) => dossier,
            Err(crate::store::StoreError::NotFound) => return Err(missing()),
            Err(error) => return Err(error.into()),
        };
        // what a caller may not see does not exist for it
        if caller.may_see(&dossier.record.incident.entity) { Ok(dossier) } else { Err(missing()) }
    }

    pub async fn incident(&self, caller: &Caller, id: &str, now: Timestamp) -> Answered<IncidentView> {
        let dossier = self.dossier(caller, id).await?;
        Ok(self.incident_view(&dossier, now))
    }

    pub(super) fn incident_view(&self, dossier: &Dossier, now: Timestamp) -> IncidentView {
        let (book, plan) = self.plan_of(dossier, now);
        let questions = book.questions(&dossier.record.incident, &plan, now);
        self.view_planned(dossier, &book, &plan, questions, now)
    }

    pub(super) fn view_planned(
        &self,
        dossier: &Dossier,
        book: &Rulebook,
        plan: &Plan,
        questions: Vec<Question>,
        now: Timestamp,
    ) -> IncidentView {
        let incident = &dossier.record.incident;
        let obligations =
            plan.obligations.iter().map(|o| self.dress_obligation(dossier, plan.book_of(book, o), o, now)).collect();
        let (not_covered, mut warnings) = book.remarks(plan);
        if incident.entity.name.starts_with(NOT_STATED) {
            let key = "entity".to_string();
            let text =
                "the entity is not stated, so that almost everything is possible. Name the one it is".to_string();
            warnings.insert(0, Warning { key, text });
        }
        IncidentView {
            id: incident.id.0.clone(),
            version: dossier.version,
            title: incident.title.clone(),
            entity: entity_view(dossier),
            source: incident.source.clone(),
            reference: incident.reference.clone(),
            opened_at: utc(incident.opened_at),
            opened_by: incident.opened_by.clone(),
            closed_at: incident.closed_at.map(utc),
            now: utc(now),
            rulebook: book.name(),
            facts: facts_view(dossier),
            obligations,
            they_owe: book.owed_to_us(plan, now),
            questions,
            might_appear: book.might_appear(plan, now),
            awaiting_sign_off: kept_views(dossier, plan, now),
            not_covered,
            warnings,
        }
    }

    pub(super) fn dress_obligation(
        &self,
        dossier: &Dossier,
        book: &Rulebook,
        o: &Obligation,
        now: Timestamp,
    ) -> ObligationView {
        let incident = &dossier.record.incident;
        let mut law = book.explain(incident, o, now);
        law.internal_target = self.internal_target(incident, o).map(utc);
        let act = dossier.record.acts.get(&law.id);
        let local = std::mem::take(&mut law.id);
        law.id = format!("{}~{local}", incident.id);
        let holder = act.and_then(|a| a.holder(now)).map(|ack| Holder {
            name: ack.by.clone(),
            role: ack.role.clone(),
            since: utc(ack.at),
            until: utc(ack.until),
        });
        let open = matches!(law.standing, "running" | "possible");
        ObligationView {
            incident: incident.id.0.clone(),
            version: dossier.version,
            incident_title: incident.title.clone(),
            entity: incident.entity.name.clone(),
            holder,
            reminders: dossier.sent.iter().filter(|s| concerns(s, &local)).map(reminder_view).collect(),
            next_reminder: dossier.wake_at.filter(|_| open).map(|at| NextReminder { at: utc(at), to: None }),
            filings: act.map(filing_views).unwrap_or_default(),
            waiver: act.and_then(waiver_view),
            refusal: None,
            delays: act.map(delay_views).unwrap_or_default(),
            reasons_missing: reasons_missing(&dossier.record, o, now),
            warnings: Vec::new(),
            law,
        }
    }

    /// Newest first, filtered.
    pub async fn incidents(&self, caller: &Caller, filter: Filter, now: Timestamp) -> Answered<Page<IncidentSummary>> {
        self.permit(caller, Right::Read)?;
        let limit = filter.limit.clamp(1, MAX_PAGE) as usize;
        let mut page = Page { items: Vec::new(), next: None };
        let mut after = filter.after.clone().map(IncidentId);
        loop {
            let batch = self
                .store
                .list(Query {
                    open_only: false,
                    entity: filter.entity.clone(),
                    after: after.clone(),
                    limit: BATCH,
                    ..Query::default()
                })
                .await?;
            let last_batch = batch.len() < BATCH as usize;
            for dossier in batch {
                let id = dossier.record.incident.id.clone();
                if page.items.len() == limit {
                    page.next = after.map(|id| id.0);
                    return Ok(page);
                }
                if caller.may_see(&dossier.record.incident.entity)
                    && let Some(summary) = summarise(&dossier, &filter, now)
                {
                    page.items.push(summary);
                }
                after = Some(id);
            }
            if last_batch {
                return Ok(page);
            }
        }
    }

    /// The board: obligations of open incidents, nearest conservative limit first within the page.
    pub async fn obligations(&self, caller: &Caller, filter: Filter, now: Timestamp) -> Answered<Page<ObligationView>> {
        self.permit(caller, Right::Read)?;
        let limit = filter.limit.clamp(1, MAX_PAGE) as usize;
        let book = self.book();
        let mut items: Vec<(Option<Timestamp>, ObligationView)> = Vec::new();
        // the obligations of `dossier` behind the one named; answers the last one taken when there is no room for the next
        let mut take = |dossier: &Dossier, behind: Option<&str>| {
            if !caller.may_see(&dossier.record.incident.entity) {
                return None;
            }
            let plan = self.plan_record(&book, &dossier.record, now);
            let mut found: Vec<&Obligation> = plan.obligations.iter().filter(|o| matches(o, &filter, now)).collect();
            found.sort_by(|a, b| a.id.cmp(&b.id));
            for o in found.into_iter().filter(|o| behind.is_none_or(|behind| o.id.as_str() > behind)) {
                if items.len() == limit {
                    return items.last().map(|(_, last)| last.law.id.clone());
                }
                let due = o.standing.deadline().map(|d| d.conservative_due);
                items.push((due, self.dress_obligation(dossier, plan.book_of(&book, o), o, now)));
            }
            None
        };
        // a page may end inside an incident: the cursor then names an obligation
        let (incident, behind) = match filter.after.as_deref().map(|after| after.split_once('~').ok_or(after)) {
            Some(Ok((incident, behind))) => (Some(incident), Some(behind)),
            Some(Err(incident)) => (Some(incident), None),
            None => (None, None),
        };
        let mut after = incident.map(|id| IncidentId(id.to_string()));
        let mut next = None;
        if let (Some(id), Some(_)) = (&after, behind) {
            match self.store.dossier(id).await {
                Ok(dossier) if dossier.record.incident.closed_at.is_none() => next = take(&dossier, behind),
                Ok(_) | Err(crate::store::StoreError::NotFound) => {}
                Err(error) => return Err(error.into()),
            }
        }
        while next.is_none() {
            let query = Query {
                open_only: true,
                entity: filter.entity.clone(),
                after: after.clone(),
                limit: BATCH,
                ..Query::default()
            };
            let batch = self.store.list(query).await?;
            let last_batch = batch.len() < BATCH as usize;
            for dossier in &batch {
                next = take(dossier, None);
                if next.is_some() {
                    break;
                }
                after = Some(dossier.record.incident.id.clone());
            }
            if last_batch {
                break;
            }
        }
        items.sort_by(|(a, x), (b, y)| (a.is_none(), a, &x.law.id).cmp(&(b.is_none(), b, &y.law.id)));
        Ok(Page { items: items.into_iter().map(|(_, view)| view).collect(), next })
    }

    pub async fn obligation(&self, caller: &Caller, id: &str, now: Timestamp) -> Answered<ObligationView> {
        let (incident, local) = split_obligation(id)?;
        let dossier = self.dossier(caller, incident).await?;
        let (book, plan) = self.plan_of(&dossier, now);
        let o = find_obligation(&plan, local).ok_or_else(|| Trouble::NotFound(format!("obligation `{id}`")))?;
        let mut view = self.dress_obligation(&dossier, plan.book_of(&book, o), o, now);
        if view.next_reminder.is_some() {
            view.next_reminder = self.next_told(&book, &dossier, local, now).or(view.next_reminder);
        }
        view.refusal = self.refusal(&dossier, local).await?;
        Ok(view)
    }

    /// Who is told next about an obligation, and when, if nothing else happens: what the next wake-ups will decide. `None`
    /// when they are about others.
    fn next_told(&self, book: &Rulebook, dossier: &Dossier, local: &str, now: Timestamp) -> Option<NextReminder> {
        let (mut record, mut sent, mut wake) = (dossier.record.clone(), dossier.sent.clone(), dossier.wake_at);
        for _ in 0..LOOK_AHEAD {
            let at = wake?.max(now);
            let decision = self.outlook(book, &mut record, &sent, at).decision;
            let told = decision.messages.iter().filter(|message| {
                let also = message.brief.also.iter().any(|also| also.obligation == local);
                message.is_step() && (message.obligation.as_deref() == Some(local) || also)
            });
            let mut to: Vec<String> = told.map(|message| message.target.name()).collect();
            to.dedup();
            if !to.is_empty() {
                return Some(NextReminder { at: utc(at), to: Some(to.join(", ")) });
            }
            sent.extend(decision.messages.into_iter().map(queued));
            wake = decision.wake_at.filter(|next| *next > at);
        }
        None
    }

    pub(super) fn plan_of(&self, dossier: &Dossier, now: Timestamp) -> (std::sync::Arc<Rulebook>, Plan) {
        let book = self.book();
        let plan = self.plan_record(&book, &dossier.record, now);
        (book, plan)
    }

    /// What was known when: the incident's entries in words, in the order in which they were written.
    pub async fn timeline(&self, caller: &Caller, id: &str, _now: Timestamp) -> Answered<Vec<TimelineItem>> {
        self.dossier(caller, id).await?;
        let entries = self.store.stream(id).await?;
        let disclosures = self.store.disclosures(id).await?;
        let happenings = self.happenings(entries.iter().map(|e| e.bytes.as_slice()), &disclosures);
        let item = |h: Happening| TimelineItem {
            entry: h.n,
            at: utc(h.at),
            kind: h.kind,
            text: h.text,
            obligation: h.obligation.map(|o| format!("{id}~{o}")),
            by: h.by,
            until: h.until.map(utc),
        };
        Ok(happenings.into_iter().map(item).collect())
    }

    /// [`timeline`] with the titles of the rule packs in force.
    pub(super) fn happenings<'e>(
        &self,
        entries: impl Iterator<Item = &'e [u8]>,
        disclosures: &BTreeMap<[u8; 32], Vec<u8>>,
    ) -> Vec<Happening> {
        let book = self.book();
        timeline(entries, disclosures, |id| match id.rsplit_once('@') {
            Some((duty, place)) => match book.duty(duty) {
                Some(duty) => format!("{} ({place})", duty.title),
                None => id.to_string(),
            },
            None => id.to_string(),
        })
    }
}

pub(super) fn split_obligation(id: &str) -> Answered<(&str, &str)> {
    id.split_once('~')
        .ok_or_else(|| Trouble::NotFound(format!("obligation `{id}`; an id looks like `inc-…~<duty>@<place>`")))
}

pub(super) fn find_obligation<'p>(plan: &'p Plan, local: &str) -> Option<&'p Obligation> {
    plan.obligations.iter().find(|o| o.id == local)
}

fn concerns(sent: &Sent, local: &str) -> bool {
    sent.message.obligation.as_deref() == Some(local) || sent.message.brief.also.iter().any(|a| a.obligation == local)
}

fn entity_view(dossier: &Dossier) -> EntityView {
    let entity = &dossier.record.incident.entity;
    EntityView {
        id: entity.id.clone(),
        name: entity.name.clone(),
        roles: entity.roles.clone(),
        sectors: entity.sectors.clone(),
        established_in: entity.established_in.clone(),
        main_establishment: entity.main_establishment.clone(),
        operates_in: entity.operates_in.clone(),
        zone: entity.zone,
    }
}

fn kept_views(dossier: &Dossier, plan: &Plan, now: Timestamp) -> Vec<KeptView> {
    let id = &dossier.record.incident.id;
    let view = |o: &Obligation| {
        o.unsigned?;
        let kept = dossier.record.kept.iter().find(|kept| kept.id == o.id);
        let deadline = o.standing.deadline();
        Some(KeptView {
            obligation: format!("{id}~{}", o.id),
            due: deadline.map(|d| utc(d.due)),
            conservative_due: deadline.map(|d| utc(d.conservative_due)),
            // an incident that waits to be replanned holds no entry yet
            since: utc(kept.map_or(now, |k| k.since)),
            rulebook: hex(&kept.map_or(dossier.record.rulebook, |k| k.from)),
            gone: plan.is_gone(o),
        })
    };
    plan.obligations.iter().filter_map(view).collect()
}

fn facts_view(dossier: &Dossier) -> Vec<FactView> {
    let facts = &dossier.record.incident.facts;
    facts
        .history()
        .iter()
        .map(|fact| FactView {
            key: fact.key.clone(),
            value: fact.value.as_ref().map_or(serde_json::Value::Null, value_json),
            certainty: fact.certainty.as_str(),
            by: fact.asserted_by.clone(),
            at: utc(fact.asserted_at),
            note: fact.note.clone(),
            superseded: !facts.assertion(&fact.key).is_some_and(|current| std::ptr::eq(current, fact)),
        })
        .collect()
}

/// What [`value_json`] answers and a report may state; null is unknown.
impl JsonSchema for Value {
    fn schema_name() -> Cow<'static, str> {
        "FactValue".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let instant = generator.subschema_for::<Option<Timestamp>>();
        json_schema!({
            "description": "Boolean, word, list of words, count, instant, hold or null, as the key asks.",
            "anyOf": [
                { "type": "boolean" },
                { "type": "string" },
                { "type": "array", "items": { "type": "string" } },
                { "type": "integer", "minimum": 0 },
                {
                    "type": "object",
                    "properties": {
                        "at_least": { "type": "integer", "minimum": 0 },
                        "at_most": { "type": "integer", "minimum": 0 },
                    },
                    "additionalProperties": false,
                },
                {
                    "type": "object",
                    "properties": {
                        "from": instant,
                        "until": instant,
                        "by": { "type": "string" },
                        "written": { "type": "boolean" },
                    },
                    "required": ["by"],
                    "additionalProperties": false,
                },
                { "type": "null" },
            ],
        })
    }
}

/// The plain value as a report would state it.
pub fn value_json(value: &Value) -> serde_json::Value {
    match value {
        Value::YesNo(yes) => json!(yes),
        Value::Choice(word) | Value::Text(word) => json!(word),
        Value::Set(words) => json!(words),
        Value::Count(count) if count.at_most == Some(count.at_least) => json!(count.at_least),
        Value::Count(count) => match count.at_most {
            Some(most) => json!({ "at_least": count.at_least, "at_most": most }),
            None => json!({ "at_least": count.at_least }),
        },
        Value::Instant(at) => json!(utc(*at)),
        Value::Hold(hold) => {
            json!({ "from": hold.from.map(utc), "until": hold.until.map(utc), "by": hold.by, "written": hold.written })
        }
    }
}

fn reminder_view(sent: &Sent) -> Reminder {
    Reminder {
        at: utc(sent.message.created_at),
        to: sent.message.target.name(),
        channel: sent.message.target.channel().to_string(),
        state: sent.state.as_str(),
        step: sent.message.reason.step.clone(),
        attempts: sent.attempts,
        detail: sent.detail.clone(),
    }
}

fn filing_views(act: &Act) -> Vec<FilingView> {
    act.filings
        .iter()
        .map(|f| FilingView {
            at: utc(f.at),
            by: f.by.clone(),
            reference: f.reference.clone(),
            proof_sha256: f.proof.map(|p| hex(&p)),
            complete: f.complete,
            note: f.note.clone(),
        })
        .collect()
}

fn waiver_view(act: &Act) -> Option<WaiverView> {
    act.waiver.as_ref().map(|w| WaiverView {
        state: if w.approved_at.is_some() { "approved" } else { "pending" },
        reason: w.reason.clone(),
        by: w.by.clone(),
        at: utc(w.at),
        second_approver: w.second_approver.clone(),
        review_on: w.review_on.clone(),
        reopen_when: w.reopen_when.clone(),
    })
}

fn delay_views(act: &Act) -> Vec<DelayView> {
    act.delays.iter().map(|d| DelayView { reason: d.reason.clone(), by: d.by.clone(), at: utc(d.at) }).collect()
}

fn summarise(dossier: &Dossier, filter: &Filter, now: Timestamp) -> Option<IncidentSummary> {
    let incident = &dossier.record.incident;
    let open: Vec<_> = dossier
        .record
        .tracked
        .iter()
        .filter(|t| matches!(t.standing.as_str(), "running" | "possible" | "awaiting"))
        .collect();
    let overdue = open.iter().filter(|t| t.due.is_some_and(|due| due <= now)).count();
    let next_due = open.iter().filter_map(|t| t.conservative_due).min();
    let place = |id: &str| id.rsplit_once('@').map(|(_, p)| p.to_string());
    let keep = filter.standing.as_ref().is_none_or(|s| dossier.record.tracked.iter().any(|t| t.standing == *s))
        && filter.jurisdiction.as_ref().is_none_or(|j| open.iter().any(|t| place(&t.id).as_ref() == Some(j)))
        && (!filter.overdue || overdue > 0)
        && filter.due_before.is_none_or(|before| next_due.is_some_and(|due| due < before));
    keep.then(|| IncidentSummary {
        id: incident.id.0.clone(),
        version: dossier.version,
        title: incident.title.clone(),
        entity: entity_view(dossier),
        opened_at: utc(incident.opened_at),
        closed_at: incident.closed_at.map(utc),
        open_obligations: open.len(),
        overdue,
        next_due: next_due.map(utc),
    })
}

fn matches(o: &Obligation, filter: &Filter, now: Timestamp) -> bool {
    let limits = o.limits();
    let late = limits.is_some_and(|(due, conservative)| Phase::at(due, conservative, now) == Phase::Late)
        && matches!(o.standing, Standing::Running(_) | Standing::Possible(_) | Standing::Awaiting { .. });
    filter.standing.as_ref().is_none_or(|s| o.standing.as_str() == s)
        && filter.jurisdiction.as_ref().is_none_or(|j| *j == o.jurisdiction)
        && (!filter.overdue || late)
        && filter.due_before.is_none_or(|before| limits.is_some_and(|(_, conservative)| conservative < before))
}
