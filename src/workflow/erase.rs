//! Personal values go for good, unless a hold keeps them; and some are withheld from exports.
//!
//! Erasing takes a value out of everything but the log, which never held it: its disclosures with their keys, the record,
//! the messages about the incident. What remains in the log is the hash of a value with a salt that is erased too. Fact
//! values that are no free text stand in the log in clear, as clocks are counted from them; they cannot be erased, and
//! neither can a text on which a decision still waits.
//!
//! Holds and withholdings are read from the incident's stream and remembered nowhere else.

mod fields;
mod retention;
mod texts;

pub use fields::Field;
pub use retention::Retention;

use super::attachments::COLLECTED;
use super::discharge::reason_of;
use super::evidence_of::{Erased as ErasedBody, HoldChanged, Refused, WithheldBody};
use super::intake::receipt_view;
use super::{Answered, Caller, EvidenceReceipt, House, Right, Terms, Trouble, rejected};
use crate::evidence::{Draft, Hash, Id, Made, hex};
use crate::ingest::Rejection;
use crate::law::IncidentId;
use crate::rules::{Plan, utc};
use crate::store::{self, Change, Changeset, Dossier, Erasure, Store, StoreError, StoredEntry};
use crate::time::Timestamp;
use fields::{Sought, fields, named};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use texts::Place;

/// Stands where an erased text stood.
pub const ERASED: &str = "erased";

/// How often an erasure is repeated when somebody else changed the incident meanwhile.
const ATTEMPTS: usize = 5;
/// Characters of a name that is looked for.
const SHORTEST_NAME: usize = 2;

/// Kinds of entries that tell of erasures and holds: the end of a period takes nothing out of these.
const ABOUT_ERASURE: [&str; 4] = ["disclosure.erased", "erasure.refused", "hold.set", "hold.lifted"];

/// What somebody asks to be erased, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EraseRequest {
    /// Pointers, `/<entry>/<field>` or `/<field>`. The value goes wherever it stands.
    pub fields: Vec<String>,
    /// Names of people; each text that names one of them goes.
    pub subjects: Vec<String>,
    /// The legal basis, e.g. a citation.
    pub basis: String,
    /// What the person's request is known by.
    pub request: String,
    /// Who authorised it; the caller when nobody is named.
    pub by: Option<String>,
}

/// What was erased.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "Erasure")]
pub struct Erased {
    pub incident: String,
    pub version: u64,
    /// The personal fields that are gone, `/<entry>/<field>`.
    pub fields: Vec<String>,
    /// Texts of the incident that read `erased` now.
    pub texts: usize,
    /// Messages in which something was erased.
    pub messages: usize,
    /// Entries in which the name stands as an identifier: the log is never changed.
    pub remains: Vec<u64>,
    pub evidence: Option<EvidenceReceipt>,
}

/// Somebody forbade to erase anything of an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LegalHold {
    #[schemars(with = "Timestamp")]
    pub since: String,
    pub ground: String,
    pub by: String,
}

/// The hold on an incident, after it was set or lifted.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "Held")]
pub struct HoldView {
    pub incident: String,
    /// Of the incident after it.
    pub version: u64,
    pub hold: Option<LegalHold>,
}

/// Fields that stay out of exports from now on.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Withheld {
    pub incident: String,
    /// Of the incident after it.
    pub version: u64,
    pub reason: String,
    pub fields: Vec<String>,
}

/// A personal field, for the list of them.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "PersonalField")]
pub struct FieldView {
    /// Number of its entry.
    #[serde(skip)]
    pub number: u64,
    /// `/<entry>/<field>`
    pub field: String,
    pub entry: String,
    /// `shown` or `erased`
    #[schemars(extend("enum" = ["shown", "erased"]))]
    pub state: &'static str,
    pub value: Option<serde_json::Value>,
    pub withheld: Option<String>,
}

/// A changeset that erases, before it is committed.
struct Draw {
    erasure: Erasure,
    fields: Vec<String>,
    texts: usize,
    /// Names of the files whose hash is erased: nothing opens them any more.
    files: Vec<String>,
}

impl<S: Store> House<S> {
    /// Erases values of one incident. A hold refuses, and the refusal is recorded with its ground.
    pub async fn erase(
        &self,
        caller: &Caller,
        id: &str,
        ask: EraseRequest,
        if_match: Option<u64>,
        now: Timestamp,
    ) -> Answered<Erased> {
        self.permit(caller, Right::Erase)?;
        checked(&ask)?;
        for _ in 0..ATTEMPTS {
            let dossier = self.dossier(caller, id).await?;
            Terms { version: if_match, key: None }.hold(dossier.version)?;
            let entries = self.store.stream(id).await?;
            let disclosures = self.store.disclosures(id).await?;
            if let Some(hold) = hold_of(&entries, &disclosures) {
                self.refuse(caller, id, &ask, &hold, now).await?;
                return Err(Trouble::NotNow(format!(
                    "`{id}` is held since {}: {}; nothing of it is erased until the hold is lifted",
                    hold.since, hold.ground
                )));
            }
            let all = fields(&entries, &disclosures);
            let sought = sought(&ask, &all, &entries)?;
            let draw = self.draw(&dossier, &all, &sought, now).await?;
            if draw.fields.is_empty() && draw.texts == 0 && draw.erasure.messages.is_empty() {
                let names: Vec<String> = ask.subjects.iter().map(|name| format!("`{name}`")).collect();
                return Err(Trouble::NotFound(format!("personal field of `{id}` that names {}", names.join(" or "))));
            }
            let by = ask.by.clone().unwrap_or_else(|| caller.name.clone());
            match self.commit_erasure(caller, draw, &ask.basis, &ask.request, &by, now).await {
                Ok(erased) => {
                    let remains = entries.iter().filter(|entry| names_in_clear(&ask, entry)).map(|entry| entry.n);
                    return Ok(Erased { remains: remains.collect(), ..erased });
                }
                Err(Trouble::Store(StoreError::Conflict { .. })) => continue,
                Err(error) => return Err(error),
            }
        }
        Err(Trouble::NotNow("the incident keeps changing; erase again in a moment".into()))
    }

    async fn commit_erasure(
        &self,
        caller: &Caller,
        draw: Draw,
        basis: &str,
        request: &str,
        by: &str,
        now: Timestamp,
    ) -> Answered<Erased> {
        let Draw { erasure, fields, texts, files } = draw;
        let incident = erasure.record.incident.id.0.clone();
        let commitments = erasure.commitments.iter().map(|hash| Made::of(hex(hash))).collect();
        let first = self.draft_sealed(&incident, "disclosure.erased", now, |sealer| ErasedBody {
            commitments,
            basis: sealer.seal("/basis", basis.to_string()),
            request: sealer.seal("/request", request.to_string()),
            by: sealer.seal("/by", by.to_string()),
            actor: caller.name.clone().into(),
        });
        let messages = erasure.messages.len();
        let change = Change::Erase(Box::new(erasure));
        let receipt = self.commit(Changeset { change, first, more: Vec::new() }).await?;
        self.announce();
        let (shelf, stream) = (self.attachments.clone(), incident.clone());
        let removed =
            tokio::task::spawn_blocking(move || files.iter().try_for_each(|name| shelf.remove(&stream, name)));
        if let Err(error) = removed.await.map_err(std::io::Error::other).and_then(|removed| removed) {
            tracing::warn!(%incident, %error, "a file that nothing opens any more could not be removed; remove it by hand");
        }
        let (version, evidence) = (receipt.version, receipt_view(&receipt));
        Ok(Erased { incident, version, fields, texts, messages, remains: Vec::new(), evidence })
    }

    /// Everything without what is sought.
    async fn draw(&self, dossier: &Dossier, all: &[Field], sought: &Sought, now: Timestamp) -> Answered<Draw> {
        let mut record = dossier.record.clone();
        let (mut texts, mut took_reference) = (0, None);
        if let (Some(source), Some(reference)) = (&record.incident.source, &record.incident.reference)
            && (sought.is_in(reference) || !Id::fits(source) && sought.is_in(source))
        {
            took_reference = Some((source.clone(), reference.clone()));
        }
        texts::of_record(&mut record, &mut |place| texts += usize::from(take(place, sought)));
        self.still_decides_the_same(dossier, &record, sought, now)?;
        let house = self.store.sent(&IncidentId::house(), u32::MAX).await?;
        let mut messages = Vec::new();
        // what the house tells is about many incidents: only names and values go from there
        let of_house = if sought.everything { &[][..] } else { &house };
        for sent in dossier.sent.iter().chain(of_house) {
            let (mut message, mut detail, mut took) = ((*sent.message).clone(), sent.detail.clone(), false);
            texts::of_message(&mut message, &mut |place| took |= take(place, sought));
            if let Some(detail) = &mut detail {
                took |= take(Place::Text(detail), sought);
            }
            if message.target != sent.message.target && sent.state == crate::escalation::DeliveryState::Queued {
                return Err(Trouble::NotNow(format!(
                    "a message to `{}` is on its way; erase when it has been delivered",
                    sent.message.target.label()
                )));
            }
            if took {
                messages.push((message, detail));
            }
        }
        let gone = all.iter().filter(|field| {
            let of_erasure = sought.everything && ABOUT_ERASURE.contains(&field.kind.as_str());
            !of_erasure && sought.is_in_field(field)
        });
        let gone: Vec<&Field> = gone.collect();
        let is_file = |field: &&&Field| field.kind == COLLECTED && field.pointer == "/sha256";
        let files = gone.iter().filter(is_file).map(|field| hex(&field.commitment)).collect();
        let (fields, commitments) = gone.iter().map(|field| (field.name(), field.commitment)).unzip();
        let erasure = Erasure {
            expected: dossier.version,
            record,
            wake_at: dossier.wake_at,
            commitments,
            messages,
            reference: took_reference,
        };
        Ok(Draw { erasure, fields, texts, files })
    }

    /// Refuses to erase what is still decided on: a text a rule reads, who holds an obligation, who must still approve.
    fn still_decides_the_same(
        &self,
        dossier: &Dossier,
        after: &store::Record,
        sought: &Sought,
        now: Timestamp,
    ) -> Answered<()> {
        let erased = Dossier { record: after.clone(), ..dossier.clone() };
        let ((_, before), (_, after)) = (self.plan_of(dossier, now), self.plan_of(&erased, now));
        if let Some(obligation) = first_difference(&before, &after) {
            return Err(Trouble::NotNow(format!(
                "a text that would go decides about obligation `{obligation}`: it is a fact and no personal text; assert the \
                 fact anew without the name first"
            )));
        }
        for (obligation, act) in &dossier.record.acts {
            if let Some(lease) = act.holder(now).filter(|lease| sought.is_in(&lease.by)) {
                return Err(Trouble::NotNow(format!(
                    "`{}` holds obligation `{obligation}` until {}; erase the name after that",
                    lease.by,
                    utc(lease.until)
                )));
            }
            let waiting = act.waiver.as_ref().filter(|waiver| waiver.approved_at.is_none());
            let people = waiting.into_iter().flat_map(|w| std::iter::once(&w.by).chain(&w.second_approver));
            if let Some(name) = people.into_iter().find(|name| sought.is_in(name)) {
                return Err(Trouble::NotNow(format!(
                    "a decision about obligation `{obligation}` that waits for its second approver names `{name}`; have it \
                     approved first"
                )));
            }
        }
        Ok(())
    }

    async fn refuse(
        &self,
        caller: &Caller,
        id: &str,
        ask: &EraseRequest,
        hold: &LegalHold,
        now: Timestamp,
    ) -> Answered<()> {
        let first = self.draft_sealed(id, "erasure.refused", now, |sealer| Refused {
            ground: sealer.seal("/ground", hold.ground.clone()),
            basis: sealer.seal("/basis", ask.basis.clone()),
            request: sealer.seal("/request", ask.request.clone()),
            actor: caller.name.clone().into(),
        });
        self.commit(Changeset { change: Change::Nothing, first, more: Vec::new() }).await?;
        self.announce();
        Ok(())
    }

    /// Forbids to erase anything of an incident, or allows it again; with the ground in either case.
    pub async fn hold(
        &self,
        caller: &Caller,
        id: &str,
        set: bool,
        ground: &str,
        if_match: Option<u64>,
        now: Timestamp,
    ) -> Answered<HoldView> {
        self.permit(caller, Right::Erase)?;
        let ground = ground.trim();
        if ground.is_empty() {
            return Err(rejected("/ground", "`ground` is empty; say why, e.g. the proceedings it is kept for"));
        }
        let ground = reason_of(ground)?;
        for _ in 0..ATTEMPTS {
            let dossier = self.dossier(caller, id).await?;
            Terms { version: if_match, key: None }.hold(dossier.version)?;
            match (self.legal_hold(id).await?, set) {
                (Some(hold), true) => {
                    return Err(Trouble::NotNow(format!(
                        "`{id}` is held already, since {}: {}",
                        hold.since, hold.ground
                    )));
                }
                (None, false) => return Err(Trouble::NotNow(format!("`{id}` is not held; there is nothing to lift"))),
                _ => {}
            }
            let kind = if set { "hold.set" } else { "hold.lifted" };
            let first = self.draft_sealed(id, kind, now, |sealer| HoldChanged {
                ground: sealer.seal("/ground", ground.clone()),
                by: sealer.seal("/by", caller.name.clone()),
                actor: caller.name.clone().into(),
            });
            match self.commit_noted(dossier, first).await {
                Ok(version) => {
                    let hold = self.legal_hold(id).await?;
                    return Ok(HoldView { incident: id.to_string(), version, hold });
                }
                Err(StoreError::Conflict { .. }) => continue,
                Err(error) => return Err(error.into()),
            }
        }
        Err(Trouble::NotNow("the incident keeps changing; try again in a moment".into()))
    }

    /// Commits an entry that leaves the record as it is. The version moves on all the same, so that what is under way, such as
    /// an erasure, is decided anew. Answers it.
    async fn commit_noted(&self, dossier: Dossier, first: Draft) -> store::Result<u64> {
        let change = Change::Incident {
            expected: Some(dossier.version),
            record: dossier.record,
            wake_at: dossier.wake_at,
            messages: Vec::new(),
            idempotency: None,
        };
        let receipt = self.commit(Changeset { change, first, more: Vec::new() }).await?;
        self.announce();
        Ok(receipt.version)
    }

    async fn legal_hold(&self, id: &str) -> Answered<Option<LegalHold>> {
        let entries = self.store.stream(id).await?;
        Ok(hold_of(&entries, &self.store.disclosures(id).await?))
    }

    /// Keeps fields out of every export but those of profile `internal`, from now on. Whoever gets a bundle sees how many
    /// and for which reason.
    pub async fn withhold(
        &self,
        caller: &Caller,
        id: &str,
        asked: &[String],
        reason: &str,
        if_match: Option<u64>,
        now: Timestamp,
    ) -> Answered<Withheld> {
        self.permit(caller, Right::Erase)?;
        if reason.is_empty() || !Id::fits(reason) {
            return Err(rejected("/reason", "`reason` is one word such as `privileged` or `third-party`"));
        }
        for _ in 0..ATTEMPTS {
            let dossier = self.dossier(caller, id).await?;
            Terms { version: if_match, key: None }.hold(dossier.version)?;
            let entries = self.store.stream(id).await?;
            let all = fields(&entries, &self.store.disclosures(id).await?);
            let found = find(asked, &all, &entries)?;
            if found.is_empty() {
                return Err(rejected("/fields", "`fields` is empty; name what is to be withheld"));
            }
            let body = WithheldBody {
                reason: reason.to_string().into(),
                commitments: found.iter().map(|field| Made::of(hex(&field.commitment))).collect(),
                actor: caller.name.clone().into(),
            };
            let first = self.draft_sealed(id, "disclosure.withheld", now, |_| body);
            match self.commit_noted(dossier, first).await {
                Ok(version) => {
                    let fields = found.into_iter().map(Field::name).collect();
                    return Ok(Withheld { incident: id.to_string(), version, reason: reason.to_string(), fields });
                }
                Err(StoreError::Conflict { .. }) => continue,
                Err(error) => return Err(error.into()),
            }
        }
        Err(Trouble::NotNow("the incident keeps changing; withhold again in a moment".into()))
    }

    /// The personal fields of an incident, and the hold on them.
    pub async fn personal_fields(&self, caller: &Caller, id: &str) -> Answered<(Vec<FieldView>, Option<LegalHold>)> {
        self.permit(caller, Right::Export)?;
        self.dossier(caller, id).await?;
        let entries = self.store.stream(id).await?;
        let disclosures = self.store.disclosures(id).await?;
        let withheld = withheld_of(&entries);
        let view = |field: Field| FieldView {
            number: field.n,
            field: field.name(),
            state: if field.value.is_some() { "shown" } else { "erased" },
            withheld: withheld.get(&field.commitment).cloned(),
            entry: field.kind,
            value: field.value,
        };
        let views = fields(&entries, &disclosures).into_iter().map(view).collect();
        Ok((views, hold_of(&entries, &disclosures)))
    }
}

/// Takes a text or a proof away if it is sought, and says whether it did.
fn take(place: Place<'_>, sought: &Sought) -> bool {
    match place {
        Place::Text(text) if text != ERASED && sought.is_in(text) => {
            *text = ERASED.to_string();
            true
        }
        Place::Proof(proof) if proof.is_some_and(|proof| sought.is_proof(&proof)) => {
            *proof = None;
            true
        }
        _ => false,
    }
}

/// What a plan says of an obligation: its standing, and its two limits.
type Says = (&'static str, Option<(Timestamp, Timestamp)>);

/// The first obligation about which the plans say something else.
fn first_difference(before: &Plan, after: &Plan) -> Option<String> {
    let says = |plan: &Plan| -> BTreeMap<String, Says> {
        let one = |o: &crate::law::Obligation| {
            (o.id.clone(), (o.standing.as_str(), o.standing.deadline().map(|d| (d.due, d.conservative_due))))
        };
        plan.obligations.iter().map(one).collect()
    };
    let (before, after) = (says(before), says(after));
    before.keys().chain(after.keys()).find(|id| before.get(*id) != after.get(*id)).cloned()
}

fn checked(ask: &EraseRequest) -> Answered<()> {
    let mut faults = Vec::new();
    let mut fault = |pointer: &str, text: &str| {
        faults.push(Rejection { pointer: pointer.into(), line: None, text: text.into() });
    };
    if ask.fields.is_empty() && ask.subjects.is_empty() {
        fault("/fields", "nothing is named; give `fields` (pointers) or `subjects` (names)");
    }
    if ask.basis.trim().is_empty() {
        fault("/basis", "`basis` is empty; name the legal basis of the erasure, e.g. the article");
    }
    if ask.request.trim().is_empty() {
        fault("/request", "`request` is empty; say what the request of the person is known by");
    }
    for (at, name) in ask.subjects.iter().enumerate() {
        if name.chars().filter(|c| c.is_alphanumeric()).count() < SHORTEST_NAME {
            fault(&format!("/subjects/{at}"), &format!("`{name}` is too short to be looked for"));
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(Trouble::Rejected(faults)) }
}

fn sought(ask: &EraseRequest, all: &[Field], entries: &[StoredEntry]) -> Answered<Sought> {
    let mut sought = Sought { subjects: ask.subjects.iter().cloned().collect(), ..Sought::default() };
    let found = find(&ask.fields, all, entries)?;
    if let Some(table) = found.iter().find(|field| field.value.as_ref().is_some_and(|value| !value.is_string())) {
        return Err(rejected(
            "/fields",
            format!(
                "`{}` holds what deadlines are computed from and is not erased for itself; it goes with a text that stands in \
                 it, such as the name of the entity",
                table.name()
            ),
        ));
    }
    sought.add(found);
    Ok(sought)
}

/// The fields that are asked for, each once; every pointer that names none is a fault.
fn find<'f>(asked: &[String], all: &'f [Field], entries: &[StoredEntry]) -> Answered<Vec<&'f Field>> {
    let (mut found, mut faults): (Vec<&Field>, Vec<Rejection>) = (Vec::new(), Vec::new());
    for (at, asked) in asked.iter().enumerate() {
        match named(asked, all, entries) {
            Ok(fields) => found.extend(fields),
            Err(text) => faults.push(Rejection { pointer: format!("/fields/{at}"), line: None, text }),
        }
    }
    if !faults.is_empty() {
        return Err(Trouble::Rejected(faults));
    }
    let mut seen = BTreeSet::new();
    found.retain(|field| seen.insert(field.commitment));
    Ok(found)
}

fn names_in_clear(ask: &EraseRequest, entry: &StoredEntry) -> bool {
    let text = String::from_utf8_lossy(&entry.bytes);
    ask.subjects.iter().any(|name| fields::is_named(name, &text))
}

/// The hold that stands at the end of a stream.
fn hold_of(entries: &[StoredEntry], disclosures: &BTreeMap<Hash, Vec<u8>>) -> Option<LegalHold> {
    let last = entries.iter().rev().find_map(|entry| {
        let read: serde_json::Value = serde_json::from_slice(&entry.bytes).ok()?;
        ["hold.set", "hold.lifted"].contains(&read["type"].as_str()?).then_some((entry, read))
    });
    let (entry, read) = last.filter(|(_, read)| read["type"] == "hold.set")?;
    let said = fields(std::slice::from_ref(entry), disclosures);
    let text = |pointer: &str| {
        let value = said.iter().find(|field| field.pointer == pointer).and_then(|field| field.value.as_ref());
        value.and_then(|value| value.as_str()).unwrap_or(ERASED).to_string()
    };
    Some(LegalHold {
        since: read["ts"].as_str().unwrap_or_default().to_string(),
        ground: text("/ground"),
        by: text("/by"),
    })
}

/// Reasons of the fields that stay out of exports.
pub(super) fn withheld_of(entries: &[StoredEntry]) -> BTreeMap<Hash, String> {
    let mut found = BTreeMap::new();
    for entry in entries {
        let read: serde_json::Value = serde_json::from_slice(&entry.bytes).unwrap_or_default();
        if read["type"] != "disclosure.withheld" {
            continue;
        }
        let reason = read["body"]["reason"].as_str().unwrap_or_default();
        let hashes = read["body"]["commitments"].as_array().into_iter().flatten();
        found.extend(
            hashes.filter_map(|hash| crate::evidence::unhex32(hash.as_str()?)).map(|hash| (hash, reason.to_string())),
        );
    }
    found
}
