//! What if: other facts than those asserted, or a report nobody made. Nothing is saved, nobody is told.

use super::correct::diff;
use super::{Answered, Caller, Diff, House, IncidentView, ObligationView, Right, Trouble};
use crate::ingest::{self, Reading};
use crate::law::{FactBook, Incident, IncidentId};
use crate::rules::{Answer, Options, Plan, Rulebook};
use crate::store::{Dossier, Store};
use crate::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::Arc;

/// The answer to a report nobody made, or to a supposition: with the members of a diff then.
#[derive(Clone, Serialize, JsonSchema)]
#[schemars(rename = "Answer")]
pub struct Assessed {
    #[serde(flatten)]
    pub answer: Answer,
    #[serde(flatten)]
    pub diff: Option<Diff>,
}

/// An incident as it is, and as it would be.
pub struct WhatIf {
    pub incident: IncidentView,
    /// Every obligation under the supposed facts.
    pub then: Vec<ObligationView>,
    pub diff: Diff,
}

/// A supposition, planned.
struct Supposed {
    book: Arc<Rulebook>,
    real: Dossier,
    before: Plan,
    /// As the incident would be stored.
    supposed: Dossier,
    after: Plan,
    diff: Diff,
}

impl<S: Store> House<S> {
    /// A report answers as `assess` does, a supposition (`{ "incident", "suppose" }`) with the diff besides.
    pub async fn assess(&self, caller: &Caller, text: &str, now: Timestamp) -> Answered<Assessed> {
        self.permit(caller, Right::Read)?;
        if let Some(s) = self.suppose(caller, text, now).await? {
            let incident = &s.supposed.record.incident;
            return Ok(Assessed { answer: s.book.answer(incident, &s.after, now), diff: Some(s.diff) });
        }
        let book = self.book();
        let reading = Reading { catalogue: book.catalogue(), now, by: &caller.name };
        let report = ingest::report(text, &reading, false).map_err(Trouble::Rejected)?;
        let entity = match report.entity {
            ingest::EntityRef::Inline(entity) => *entity,
            ingest::EntityRef::Id(id) => match self.settings.entities.iter().find(|e| e.id.as_ref() == Some(&id)) {
                Some(entity) if caller.may_see(entity) => entity.clone(),
                _ => return Err(Trouble::NotFound(format!("entity `{id}`"))),
            },
            ingest::EntityRef::Unstated => self.any_entity(caller),
        };
        super::intake::known_to(&book, &entity)?;
        self.contracts_known(caller, &book, &entity, &report.facts, text)?;
        let mut facts = FactBook::default();
        for fact in report.facts {
            facts.assert(fact);
        }
        let incident = Incident {
            id: IncidentId("assess".into()),
            title: report.title,
            entity,
            source: report.source,
            reference: report.reference,
            opened_at: now,
            opened_by: caller.name.clone(),
            closed_at: None,
            facts,
        };
        let plan = book.plan(&incident, now, Options::default());
        Ok(Assessed { answer: book.answer(&incident, &plan, now), diff: None })
    }

    /// The same supposition, for a page: with what people did about each obligation. `suppose` holds facts as a report
    /// would.
    pub async fn what_if(
        &self,
        caller: &Caller,
        id: &str,
        suppose: &serde_json::Map<String, serde_json::Value>,
        now: Timestamp,
    ) -> Answered<WhatIf> {
        self.permit(caller, Right::Read)?;
        let text = serde_json::json!({ "incident": id, "suppose": suppose }).to_string();
        let s = self.suppose(caller, &text, now).await?;
        let s = s.ok_or_else(|| Trouble::NotFound(format!("incident `{id}`")))?;
        let questions = s.book.questions(&s.real.record.incident, &s.before, now);
        let incident = self.view_planned(&s.real, &s.book, &s.before, questions, now);
        let then = self.view_planned(&s.supposed, &s.book, &s.after, Vec::new(), now).obligations;
        Ok(WhatIf { incident, then, diff: s.diff })
    }

    /// `None` when the document is no supposition about an incident.
    async fn suppose(&self, caller: &Caller, text: &str, now: Timestamp) -> Answered<Option<Supposed>> {
        let book = self.book();
        let reading = Reading { catalogue: book.catalogue(), now, by: &caller.name };
        let Some(suppose) = ingest::suppose(text, &reading).map_err(Trouble::Rejected)? else { return Ok(None) };
        let real = self.dossier(caller, &suppose.incident).await?;
        let before = self.plan_record(&book, &real.record, now);
        self.contracts_known(caller, &book, &real.record.incident.entity, &suppose.facts, text)?;
        let mut supposed = real.clone();
        for fact in suppose.facts {
            supposed.record.incident.facts.assert(fact);
        }
        let after = self.plan_record(&book, &supposed.record, now);
        let (facts, supposed_facts) = (&real.record.incident.facts, &supposed.record.incident.facts);
        let diff = diff(&book, facts, &before, supposed_facts, &after);
        Ok(Some(Supposed { book, real, before, supposed, after, diff }))
    }
}
