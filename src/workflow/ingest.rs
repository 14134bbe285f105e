//! What other tools send: an incident is opened, or what is known of one is added to; the delivery is kept with it in the
//! same commit.
//!
//! A tool never overrules a person: a fact that somebody else asserted stands, and an instant only moves earlier.

use super::senders::Proof;
use super::{Answered, Attach, Caller, EvidenceReceipt, House, Right, Trouble};
use crate::evidence::{hex, sha256};
use crate::ingest::tools::{self, Delivered, Item, Mapping, Severity, Tool};
use crate::ingest::{EntityRef, Reading, Rejection, Report};
use crate::law::{Certainty, Entity, Fact, FactBook, Value};
use crate::store::{Idempotency, Store};
use crate::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// Longest description of a delivery, in characters; a file may have no longer one.
const HOW_CHARS: usize = 900;

/// A tool whose webhooks we take, and what they may do.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// The `source` of its incidents, and who asserts its facts.
    pub id: String,
    pub tool: Tool,
    pub proof: Proof,
    /// Whose its incidents are, unless the delivery says otherwise.
    pub entity: Option<String>,
    /// The tool's names of entities, and ours.
    pub entities: BTreeMap<String, String>,
    /// `false`: known incidents are added to, none is opened.
    pub opens: bool,
    /// What is less severe opens nothing. What the tool calls a suspected breach does, and so does what has no severity.
    pub min_severity: Severity,
    /// One of these must be among the labels, in any case of letters; empty: no matter.
    pub labels: Vec<String>,
    /// What the tool detects is known to us from that instant: `times.aware` is stated too.
    pub aware: bool,
    pub mapping: Mapping,
}

impl Source {
    /// What holds for a tool that the configuration does not name.
    pub fn of(tool: Tool) -> Source {
        Source {
            id: tool.as_str().to_string(),
            tool,
            proof: Proof::Token,
            entity: None,
            entities: BTreeMap::new(),
            opens: true,
            min_severity: Severity::Medium,
            labels: Vec::new(),
            aware: false,
            mapping: Mapping::default(),
        }
    }

    /// Why a case opens no incident; `None`: it does.
    pub fn refuses(&self, case: &Delivered) -> Option<String> {
        if let Some(what) = &case.dismissed {
            return Some(format!("the tool calls it {what}"));
        }
        if !case.may_open {
            return Some(format!("`{}` opens nothing by itself, and what it is about is no incident here", case.news));
        }
        if !self.opens {
            return Some(format!("`{}` opens nothing; it adds to incidents that are known", self.id));
        }
        let has = |wanted: &String| case.labels.iter().any(|label| label.eq_ignore_ascii_case(wanted));
        if !self.labels.is_empty() && !self.labels.iter().any(has) {
            return Some(format!("it has none of the labels {}", self.labels.join(", ")));
        }
        match case.severity {
            Some(severity) if severity < self.min_severity && case.breach != Some(true) => Some(format!(
                "its severity is {}; incidents are opened from {} on",
                severity.as_str(),
                self.min_severity.as_str()
            )),
            _ => None,
        }
    }
}

/// What became of one case of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "IngestOutcome")]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Opened,
    Updated,
    /// The same event came before: nothing changed.
    Known,
    /// It opens no incident, and none is known of it.
    Left,
}

/// What became of one case, alert or ticket of a delivery.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Ingested {
    pub outcome: Outcome,
    pub incident: Option<String>,
    /// As the incident has it.
    pub reference: Option<String>,
    pub because: String,
    /// Keys of the facts that were asserted.
    pub facts: Vec<String>,
    pub left_out: Vec<LeftOut>,
    pub evidence: Option<EvidenceReceipt>,
}

/// Something that was said and became no fact.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct LeftOut {
    pub pointer: String,
    pub detail: String,
}

/// One case with what it was delivered in.
struct Event<'a> {
    source: &'a Source,
    caller: &'a Caller,
    case: Delivered,
    file: Attach,
    key: (String, String),
    now: Timestamp,
}

impl<S: Store> House<S> {
    /// Who sends a delivery, and under which source. `caller` is set when a token said so; else the sender must prove itself
    /// to a source of this tool. `None`: nobody we know.
    ///
    /// # Errors
    /// [`Trouble::NotFound`] for a source that is not configured, [`Trouble::NotNow`] when several fit a token.
    pub fn sender(
        &self,
        tool: Tool,
        wanted: Option<&str>,
        caller: Option<Caller>,
        proofs: (&BTreeMap<String, String>, &[u8]),
        now: Timestamp,
    ) -> Answered<Option<(Source, Caller)>> {
        let fits = |source: &&Source| source.tool == tool && wanted.is_none_or(|id| id == source.id);
        let sources: Vec<&Source> = self.settings.ingest.iter().filter(fits).collect();
        let Some(caller) = caller else {
            let proven = sources.into_iter().find(|source| source.proof.holds(proofs.0, proofs.1, now));
            let named =
                |id: &str| Caller { name: format!("ingest:{id}"), role: super::Role::Reporter, entities: Vec::new() };
            return Ok(proven.map(|source| (source.clone(), named(&source.id))));
        };
        match (sources.as_slice(), wanted) {
            ([], Some(id)) => Err(Trouble::NotFound(format!("[[ingest]] `{id}` of format `{}`", tool.as_str()))),
            ([], None) => Ok(Some((Source::of(tool), caller))),
            ([only], _) => Ok(Some(((*only).clone(), caller))),
            (several, _) => {
                let ids: Vec<String> = several.iter().map(|source| format!("`{}`", source.id)).collect();
                let text = format!(
                    "several [[ingest]] have this format; add `?source=` and one of {} to the address",
                    ids.join(", ")
                );
                Err(Trouble::NotNow(text))
            }
        }
    }

    /// Takes a delivery: all its cases are read before the first is acted on. Sent again, it answers the first result.
    pub async fn ingest(
        &self,
        source: &Source,
        caller: &Caller,
        bytes: &[u8],
        idempotency: Option<&str>,
        now: Timestamp,
    ) -> Answered<Vec<Ingested>> {
        self.permit(caller, Right::Report)?;
        let items = {
            let book = self.book();
            let reading = Reading { catalogue: book.catalogue(), now, by: &source.id };
            tools::read(source.tool, bytes, &source.mapping, &reading).map_err(Trouble::Rejected)?
        };
        let alone = items.len() == 1;
        let digest = hex(&sha256(bytes));
        let mut answers = Vec::with_capacity(items.len());
        for (at, item) in items.into_iter().enumerate() {
            let mut case = match item {
                Item::Other(because) => {
                    answers.push(left(None, because, Vec::new()));
                    continue;
                }
                Item::Case(case) => *case,
            };
            if source.aware {
                case.facts.extend(aware(source, &case.facts));
            }
            let key = match (idempotency, &case.event) {
                (Some(key), _) => (format!("{key}/{at}"), digest.clone()),
                (None, Some(event)) => (format!("ingest/{}/{}/{event}", source.id, case.reference), String::new()),
                (None, None) => (format!("ingest/{}/{digest}/{at}", source.id), String::new()),
            };
            // others' cases stand in the same delivery: each incident keeps its own
            let own = if alone { bytes } else { tools::part(bytes, &case.pointer).unwrap_or(bytes) };
            let file = kept(source, &case, own);
            answers.push(self.act(Event { source, caller, case, file, key, now }).await?);
        }
        Ok(answers)
    }

    async fn act(&self, mut event: Event<'_>) -> Answered<Ingested> {
        if let Some(incident) = self.known_event(&event).await? {
            return Ok(event.answer(Outcome::Known, Some(incident), Vec::new(), None));
        }
        loop {
            let (reference, known) = self.occurrence(&event).await?;
            if let Some(id) = known {
                return self.add(&event, &id, reference).await;
            }
            if let Some(because) = event.source.refuses(&event.case) {
                return Ok(left(Some(reference), because, event.case.left_out));
            }
            let entity = self.entity_for(event.source, &event.case);
            self.drop_foreign_contracts(&entity, &mut event)?;
            let report = Report {
                title: event.case.title.clone(),
                entity,
                facts: event.case.facts.clone(),
                source: Some(event.source.id.clone()),
                reference: Some(reference.clone()),
                attachments: Vec::new(),
            };
            let idempotency = self.request(&event, &event.key.1);
            let opened = self.open(event.caller, report, "", Some(&event.file), Some(idempotency), event.now).await?;
            if !opened.created {
                // somebody else was faster, perhaps with other news of the same case
                match self.known_event(&event).await? {
                    Some(incident) => return Ok(event.answer(Outcome::Known, Some(incident), Vec::new(), None)),
                    None => continue,
                }
            }
            let facts = event.case.facts.iter().map(|fact| fact.key.clone()).collect();
            let mut answer = event.answer(Outcome::Opened, Some(opened.incident.id), facts, opened.evidence);
            answer.reference = Some(reference);
            return Ok(answer);
        }
    }

    fn request(&self, event: &Event<'_>, request: &str) -> Idempotency {
        super::intake::idempotency_of(event.caller, &event.key.0, request)
    }

    /// The incident for which this event was accepted before.
    async fn known_event(&self, event: &Event<'_>) -> Answered<Option<String>> {
        let Some((incident, opened)) = self.store.accepted(&self.request(event, &event.key.1)).await? else {
            return Ok(None);
        };
        // what adds to an incident is known with the incident's id
        let added = self.request(event, &format!("{}\n{}", incident.0, event.key.1));
        let added = self.store.accepted(&added).await?.is_some_and(|(_, same)| same);
        if opened || added { Ok(Some(incident.0)) } else { Err(Trouble::KeyReused) }
    }

    /// The reference under which a case is known or would be opened, and the incident. What begins after its incident was
    /// closed is another occurrence, `<reference>#2`.
    async fn occurrence(&self, event: &Event<'_>) -> Answered<(String, Option<String>)> {
        let mut reference = event.case.reference.clone();
        let mut nth = 1;
        while let Some(id) = self.store.reported(&event.source.id, &reference).await? {
            let closed = match self.store.dossier(&id).await {
                Ok(dossier) => dossier.record.incident.closed_at,
                Err(error) => return Err(error.into()),
            };
            match (event.case.began, closed) {
                (Some(began), Some(closed)) if began > closed => nth += 1,
                _ => return Ok((reference, Some(id.0))),
            }
            reference = format!("{}#{nth}", event.case.reference);
        }
        Ok((reference, None))
    }

    /// Adds to an incident what is new, and keeps the delivery.
    async fn add(&self, event: &Event<'_>, id: &str, reference: String) -> Answered<Ingested> {
        self.dossier(event.caller, id).await?;
        let (collected, name) = self.shelve(id, &event.file, None, event.caller, event.now).await?;
        let (key, request) = (event.key.0.as_str(), event.key.1.as_str());
        let mut asserted = Vec::new();
        let changed = self
            .change_or_replan(event.caller, id, None, Some((key, request)), event.now, |house, dossier| {
                let mut record = dossier.record.clone();
                let known = |fact: &&Fact| house.contract_is_known(&record.incident.entity, fact);
                let facts: Vec<Fact> = event.case.facts.iter().filter(known).cloned().collect();
                let facts = news(&record.incident.facts, facts, &event.source.id);
                facts.iter().for_each(|fact| record.incident.facts.assert(fact.clone()));
                asserted = facts.iter().map(|fact| fact.key.clone()).collect();
                let stated =
                    (!facts.is_empty()).then(|| house.draft_facts(&record.incident, &facts, event.caller, event.now));
                Ok((record, stated.into_iter().chain([collected.clone()]).collect()))
            })
            .await;
        self.unshelve_unless_named(id, name, &changed).await;
        let changed = changed?;
        let outcome = if changed.evidence.is_some() { Outcome::Updated } else { Outcome::Known };
        let mut answer = event.answer(outcome, Some(id.to_string()), asserted, changed.evidence);
        answer.reference = Some(reference);
        Ok(answer)
    }

    /// Whose the case is: by the tool's own name for the entity, by our id, by the source.
    fn entity_for(&self, source: &Source, case: &Delivered) -> EntityRef {
        let hint = case.entity.as_deref();
        let mapped = hint.and_then(|hint| source.entities.get(hint)).map(String::as_str);
        let ours = hint.filter(|id| self.settings.entities.iter().any(|e| e.id.as_deref() == Some(id)));
        match mapped.or(ours).or(source.entity.as_deref()) {
            Some(id) => EntityRef::Id(id.to_string()),
            None => EntityRef::Unstated,
        }
    }

    /// A fact about a contract that the entity does not have would be refused; the case must not be lost for it.
    fn drop_foreign_contracts(&self, entity: &EntityRef, event: &mut Event<'_>) -> Answered<()> {
        let entity = self.entity_of(event.caller, entity.clone(), &self.book())?;
        let facts = std::mem::take(&mut event.case.facts);
        for fact in facts {
            if self.contract_is_known(&entity, &fact) {
                event.case.facts.push(fact);
            } else {
                let text = format!("`{}` names a contract the entity does not have", fact.key);
                event.case.left_out.push(Rejection { pointer: String::new(), line: None, text });
            }
        }
        Ok(())
    }

    fn contract_is_known(&self, entity: &Entity, fact: &Fact) -> bool {
        let all = Caller::system();
        self.contracts_known(&all, &self.book(), entity, std::slice::from_ref(fact), "").is_ok()
    }
}

impl Event<'_> {
    fn answer(
        &self,
        outcome: Outcome,
        incident: Option<String>,
        facts: Vec<String>,
        evidence: Option<EvidenceReceipt>,
    ) -> Ingested {
        let news = &self.case.news;
        let because = match outcome {
            Outcome::Opened => format!("{news}: an incident was opened"),
            Outcome::Updated if facts.is_empty() => format!("{news}: kept with the incident; it states no new fact"),
            Outcome::Updated => format!("{news}: added to the incident"),
            Outcome::Known => format!("{news}: this came before, nothing changed"),
            Outcome::Left => news.clone(),
        };
        let reference = Some(self.case.reference.clone());
        Ingested { outcome, incident, reference, because, facts, left_out: said(&self.case.left_out), evidence }
    }
}

fn left(reference: Option<String>, because: String, left_out: Vec<Rejection>) -> Ingested {
    let left_out = said(&left_out);
    Ingested { outcome: Outcome::Left, incident: None, reference, because, facts: Vec::new(), left_out, evidence: None }
}

fn said(left_out: &[Rejection]) -> Vec<LeftOut> {
    left_out.iter().map(|one| LeftOut { pointer: one.pointer.clone(), detail: one.text.clone() }).collect()
}

/// The delivery as the file that is kept with the incident.
fn kept(source: &Source, case: &Delivered, bytes: &[u8]) -> Attach {
    let mut how = format!("webhook of `{}`, {}: {}", source.id, source.tool.as_str(), case.news);
    for one in &case.left_out {
        how.push_str(&format!("; left out: {} {}", one.pointer, one.text));
    }
    Attach {
        bytes: bytes.to_vec(),
        name: Some(format!("{}.json", source.tool.as_str())),
        media_type: Some("application/json".into()),
        how: Some(how.chars().take(HOW_CHARS).collect()),
        tool: Some(source.tool.as_str().to_string()),
        ..Attach::default()
    }
}

/// `times.aware` from the instant of detection, for a source whose configuration says that the two are one.
fn aware(source: &Source, facts: &[Fact]) -> Option<Fact> {
    if facts.iter().any(|fact| fact.key == "times.aware") {
        return None;
    }
    let detected = facts.iter().find(|fact| fact.key == "times.detected")?;
    let note = format!("the configuration says so for everything that `{}` detects", source.id);
    Some(Fact { key: "times.aware".into(), certainty: Certainty::Estimated, note: Some(note), ..detected.clone() })
}

/// The facts that say something new and that this source may say: what nobody stated, or it alone. An instant it stated only
/// moves earlier: a tool that dates its case anew must not give anybody more time.
fn news(known: &FactBook, facts: Vec<Fact>, source: &str) -> Vec<Fact> {
    let is_news = |fact: &Fact| match known.assertion(&fact.key) {
        None => true,
        Some(old) if old.asserted_by != source || old.value == fact.value => false,
        Some(old) => match (&old.value, &fact.value) {
            (Some(Value::Instant(old)), Some(Value::Instant(new))) => new < old,
            _ => true,
        },
    };
    facts.into_iter().filter(is_news).collect()
}
