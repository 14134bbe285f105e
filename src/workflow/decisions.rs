//! The queue of decisions: what waits for somebody who may decide, with what it rests on and the clock that goes on meanwhile.

use super::rebuild::Shown;
use super::review::{review_at, zone_of};
use super::withdraw::REFUSED;
use super::{Answered, Caller, House, ObligationView, RefusalView, Right};
use crate::law::{Act, Obligation, Waiver};
use crate::rules::{Rulebook, utc};
use crate::store::{Dossier, Query, Store};
use crate::time::Timestamp;
use chrono::TimeDelta;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value as Json;

/// Incidents read per round.
const BATCH: u32 = 200;
/// A hold is shown when it ends within this time.
const HOLD_AHEAD: TimeDelta = TimeDelta::days(14);

/// Why something is in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Waiting {
    /// A decision not to notify waits for its second person.
    SecondApproval,
    /// A fact ended a decision not to notify.
    Reopened,
    /// The rule packs in force would give more time, or none.
    SignOff,
    /// A decision not to notify is to be looked at again.
    Review,
    /// A hold that moves a limit ends soon.
    HoldEnds,
}

/// A fact a decision rests on, with its value when it was decided.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "DecisionInput")]
pub struct InputView {
    pub key: String,
    pub value: Json,
    pub certainty: String,
}

/// What was decided, or proposed, and on what ground.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
#[schemars(rename = "DecisionBasis")]
pub struct BasisView {
    pub reason: String,
    pub by: String,
    #[schemars(with = "Timestamp")]
    pub at: String,
    /// Structured reasons.
    pub grounds: Vec<String>,
    pub inputs: Vec<InputView>,
    /// Method, value and band of a severity score, one after the other.
    pub score: Option<String>,
}

/// One entry of the queue.
#[derive(Clone, Serialize, JsonSchema)]
#[schemars(rename = "Decision")]
pub struct DecisionView {
    pub kind: Waiting,
    /// Since when it waits; of a hold, when it ends.
    #[schemars(with = "Option<Timestamp>")]
    pub since: Option<String>,
    pub basis: Option<BasisView>,
    /// Facts that ended the decision.
    pub because: Vec<String>,
    /// The caller proposed it, and cannot be its second person.
    pub own: bool,
    pub obligation: ObligationView,
}

impl DecisionView {
    /// Where it stands in the queue: nearest limit first, those without one last.
    pub fn place(&self) -> String {
        let law = &self.obligation.law;
        let limit = law.conservative_due.as_deref().unwrap_or("none");
        format!("{limit} {} {}", self.kind as u8, law.id)
    }
}

impl<S: Store> House<S> {
    /// Everything that waits, of the incidents the caller may see: nearest limit first.
    pub async fn decisions(&self, caller: &Caller, now: Timestamp) -> Answered<Vec<DecisionView>> {
        if !caller.role.may(Right::Approve) {
            self.permit(caller, Right::Oversee)?;
        }
        let book = self.book();
        let names = self.names(now).await?;
        let mut found: Vec<DecisionView> = Vec::new();
        let mut after = None;
        loop {
            let batch = self.store.list(Query { after, limit: BATCH, ..Query::default() }).await?;
            after = batch.last().map(|dossier| dossier.record.incident.id.clone());
            let last = batch.len() < BATCH as usize;
            let visible = |d: &&Dossier| caller.may_see(&d.record.incident.entity) && may_wait(d, &book, now);
            for dossier in batch.iter().filter(visible) {
                found.extend(self.of_incident(dossier, &book, now).await?);
            }
            if last {
                break;
            }
        }
        for decision in &mut found {
            decision.own = decision.basis.as_ref().is_some_and(|basis| names.same(&basis.by, &caller.name));
        }
        found.sort_by_cached_key(DecisionView::place);
        Ok(found)
    }

    async fn of_incident(&self, dossier: &Dossier, book: &Rulebook, now: Timestamp) -> Answered<Vec<DecisionView>> {
        let record = &dossier.record;
        let plan = self.plan_record(book, record, now);
        let zone = zone_of(&record.incident);
        let history = match record.acts.is_empty() {
            true => History::default(),
            false => self.history(&record.incident.id.0).await?,
        };
        let is_open = record.incident.closed_at.is_none();
        let mut found = Vec::new();
        for o in &plan.obligations {
            let waiver = record.acts.get(&o.id).and_then(|act| act.waiver.as_ref());
            let mut add = |kind: Waiting, since: Option<Timestamp>, because: Vec<String>| {
                let decided = matches!(kind, Waiting::SecondApproval | Waiting::Review | Waiting::Reopened);
                found.push(DecisionView {
                    kind,
                    since: since.map(utc),
                    basis: history.basis(&o.id).filter(|_| decided),
                    because,
                    own: false,
                    obligation: self.dress_obligation(dossier, plan.book_of(book, o), o, now),
                });
            };
            match waiver {
                Some(waiver) if waiver.approved_at.is_none() => {
                    add(Waiting::SecondApproval, Some(waiver.at), Vec::new())
                }
                Some(waiver) => {
                    if let Some(at) = review_at(waiver, zone).filter(|at| *at <= now) {
                        add(Waiting::Review, Some(at), Vec::new());
                    }
                }
                None if is_open && o.standing.is_open() => {
                    if let Some((at, because)) = history.ended(&o.id) {
                        add(Waiting::Reopened, Some(at), because);
                    }
                }
                None => {}
            }
            if is_open && o.unsigned.is_some() {
                let kept = record.kept.iter().find(|kept| kept.id == o.id);
                add(Waiting::SignOff, Some(kept.map_or(now, |kept| kept.since)), Vec::new());
            }
            if let Some(until) = hold_end(o).filter(|until| is_open && *until <= now + HOLD_AHEAD) {
                add(Waiting::HoldEnds, Some(until), Vec::new());
            }
        }
        Ok(found)
    }

    /// Who refused the last proposal about an obligation, and why; `None` when it ended otherwise, or there was another since.
    pub(super) async fn refusal(&self, dossier: &Dossier, local: &str) -> Answered<Option<RefusalView>> {
        match dossier.record.acts.get(local) {
            Some(act) if act.waiver.is_none() => Ok(self.history(&dossier.record.incident.id.0).await?.refusal(local)),
            _ => Ok(None),
        }
    }

    /// What the entries say of decisions: the record keeps only the last one, and not what it rests on.
    async fn history(&self, incident: &str) -> Answered<History> {
        let entries = self.store.stream(incident).await?;
        let is_decision = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains("\"decision.");
        let decisions: Vec<Json> = entries
            .iter()
            .filter(|entry| is_decision(&entry.bytes))
            .filter_map(|entry| serde_json::from_slice(&entry.bytes).ok())
            .filter(|entry: &Json| entry["type"].as_str().is_some_and(|kind| kind.starts_with("decision.")))
            .collect();
        if decisions.is_empty() {
            return Ok(History::default());
        }
        Ok(History { decisions, shown: Shown::new(&self.store.disclosures(incident).await?) })
    }
}

/// Can anything of the incident be in the queue? Asked before its obligations are planned.
fn may_wait(dossier: &Dossier, book: &Rulebook, now: Timestamp) -> bool {
    let record = &dossier.record;
    let zone = zone_of(&record.incident);
    let asks = |w: &Waiver| w.approved_at.is_none() || review_at(w, zone).is_some_and(|at| at <= now);
    let decided = record.acts.values().any(|act| act.waiver.as_ref().is_some_and(asks));
    let open = record.incident.closed_at.is_none();
    let undecided = |act: &Act| act.waiver.is_none() && act.filings.is_empty();
    let hold = || record.incident.facts.hold("hold.law_enforcement").is_some();
    let changed = || !record.kept.is_empty() || record.rulebook != book.sha256;
    decided || (open && (record.acts.values().any(undecided) || changed() || hold()))
}

fn hold_end(o: &Obligation) -> Option<Timestamp> {
    o.held.as_ref().filter(|_| o.standing.is_open()).and_then(|(until, _)| *until)
}

/// The entries about decisions of one incident, oldest first.
#[derive(Default)]
struct History {
    decisions: Vec<Json>,
    shown: Shown,
}

impl History {
    fn of<'h>(&'h self, obligation: &'h str) -> impl DoubleEndedIterator<Item = &'h Json> {
        self.decisions.iter().filter(move |entry| entry["body"]["obligation"] == obligation)
    }

    /// The last proposal: who agreed to it added nothing to what it rests on.
    fn basis(&self, obligation: &str) -> Option<BasisView> {
        let mut last: Option<&Json> = None;
        for entry in self.of(obligation).filter(|entry| entry["type"] == "decision.not-to-notify") {
            let agrees = last.is_some_and(|last| last["body"]["state"] == "pending");
            if !agrees || entry["body"]["state"] == "pending" {
                last = Some(entry);
            }
        }
        let (body, at) = (&last?["body"], last?["ts"].as_str().unwrap_or_default());
        let text = |value: &Json| self.shown.text(value);
        let words = |value: &Json| value.as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
        let inputs = body["facts"].as_array().into_iter().flatten().map(|fact| InputView {
            key: text(&fact["key"]),
            value: self.shown.value(&fact["value"]),
            certainty: text(&fact["certainty"]),
        });
        let score = &body["score"];
        let score = ["method", "value", "band"].map(|part| text(&score[part]));
        let score = score.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
        Some(BasisView {
            reason: text(&body["reason"]),
            by: text(&body["by"]),
            at: at.to_string(),
            grounds: words(&body["grounds"]),
            inputs: inputs.collect(),
            score: Some(score).filter(|score| !score.is_empty()),
        })
    }

    fn refusal(&self, obligation: &str) -> Option<RefusalView> {
        let last = self.of(obligation).next_back().filter(|entry| entry["type"] == "decision.withdrawn")?;
        let (body, at) = (&last["body"], last["ts"].as_str().unwrap_or_default().to_string());
        (body["how"] == REFUSED).then(|| RefusalView {
            reason: self.shown.text(&body["reason"]),
            by: body["actor"].as_str().unwrap_or_default().to_string(),
            at,
        })
    }

    /// When a fact ended the last decision, and which; `None` when somebody took it back, or decided since.
    fn ended(&self, obligation: &str) -> Option<(Timestamp, Vec<String>)> {
        let last = self.of(obligation).next_back().filter(|entry| entry["type"] == "decision.reopened")?;
        let at = last["ts"].as_str()?.parse().ok()?;
        let because = last["body"]["because"].as_array().into_iter().flatten();
        Some((at, because.map(|key| self.shown.text(key)).collect()))
    }
}
