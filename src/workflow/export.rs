//! One incident as a bundle that a regulator checks without us; and the log's entries and proofs.

use super::erase::withheld_of;
use super::evidence_of::SYSTEM;
use super::read::value_json;
use super::{Answered, Caller, House, Right, Trouble};
use crate::evidence::export::{self, ExportCreated, ExportInput, Withheld};
use crate::evidence::report::{EntryWords, EventRow, FactRow, Highlight, Moment, ObligationRow, ReportModel, StepRow};
use crate::evidence::{Checkpoint, Disclosure, Happening, Hash, Nodes, hex, merkle};
use crate::law::Standing;
use crate::rules::{due_label, utc};
use crate::store::{Change, Changeset, Dossier, Store, StoredCheckpoint};
use crate::time::{Timestamp, Zone};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::Datelike;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// How often an export is repeated when the stream grew while it was made.
const ATTEMPTS: usize = 5;
/// Entries answered per call.
const PAGE: u64 = 1000;

/// Kinds of personal fields that an export may leave out, with the ends of the pointers they stand at.
const WITHHOLDABLE: [(&str, &[&str]); 3] =
    [("people", &["/by", "/second_approver"]), ("reasons", &["/reason", "/note"]), ("delivery", &["/answer"])];

impl<S: Store> House<S> {
    /// The bundle as a ZIP, with its file name. The export is itself an entry, the stream's last one.
    pub async fn bundle(
        &self,
        caller: &Caller,
        id: &str,
        profile: &str,
        withhold: &[String],
        now: Timestamp,
    ) -> Answered<(String, Vec<u8>)> {
        self.permit(caller, Right::Export)?;
        if !["authority", "client", "internal"].contains(&profile) {
            return Err(rejected(
                "/profile",
                format!("`{profile}` is no profile; it may be `authority`, `client` or `internal`"),
            ));
        }
        let kinds = withhold_kinds(withhold)?;
        for _ in 0..ATTEMPTS {
            let dossier = self.dossier(caller, id).await?;
            let before = self.store.stream(id).await?;
            let mut disclosures = self.store.disclosures(id).await?;
            if profile != "internal" {
                // the log says so already, with the reason
                let standing = withheld_of(&before);
                disclosures.retain(|commitment, _| !standing.contains_key(commitment));
            }
            let (withheld, disclosed) =
                partition(&before.iter().map(|e| e.bytes.as_slice()).collect::<Vec<_>>(), &disclosures, &kinds);
            let body = ExportCreated {
                actor: caller.name.clone().into(),
                profile: profile.to_string().into(),
                entries: before.len() as u64 + 1,
                withheld,
            };
            let first = self.draft_export(id, &body, now);
            self.commit(Changeset { change: Change::Nothing, first, more: Vec::new() }).await?;
            let checkpoint = self.attest(now).await?.ok_or_else(|| Trouble::NotNow("the log is empty".into()))?;
            let entries = self.store.stream(id).await?;
            if entries.len() != before.len() + 1 {
                // somebody wrote in between: the count in the entry would be wrong
                continue;
            }
            let indices: Vec<u64> = entries.iter().map(|e| e.idx).collect();
            let proofs = self.inclusion_proofs(&indices, checkpoint.size).await?;
            let rules = self.rule_texts(&entries.iter().map(|e| e.bytes.as_slice()).collect::<Vec<_>>());
            let shown = disclosed.iter().map(|d| (d.commitment, d.bytes.clone())).collect();
            let zone = dossier.record.incident.entity.zone.unwrap_or(Zone::UTC);
            let words = entry_words(self.happenings(entries.iter().map(|e| e.bytes.as_slice()), &shown), zone);
            let input = ExportInput {
                product: concat!("breachclock ", env!("CARGO_PKG_VERSION")),
                entries: entries.into_iter().map(|e| e.bytes).collect(),
                proofs,
                disclosures: disclosed,
                attachments: Vec::new(),
                rules,
                checkpoint: self.signed(&checkpoint)?,
                log_key: &self.log_key,
                export_key: &self.export_key,
                exporter: &exporter_name(&self.settings.origin),
                report: ReportModel { timeline: words, ..self.report_model(&dossier, profile, now) },
            };
            let bundle = export::build(input).and_then(|b| b.to_zip()).map_err(|e| Trouble::NotNow(e.to_string()))?;
            self.announce();
            let name = format!("breachclock-{id}-{profile}-{}.zip", now.format("%Y%m%dT%H%M%SZ"));
            return Ok((name, bundle));
        }
        Err(Trouble::NotNow("the incident keeps changing; export it again in a moment".into()))
    }

    /// What an export would show and leave out, by kind, before it is made.
    pub async fn bundle_preview(&self, caller: &Caller, id: &str, profile: &str, _now: Timestamp) -> Answered<Value> {
        self.permit(caller, Right::Export)?;
        self.dossier(caller, id).await?;
        let entries = self.store.stream(id).await?;
        let disclosures = self.store.disclosures(id).await?;
        let commitments = export::commitments(entries.iter().map(|e| e.bytes.as_slice()));
        let mut kinds = serde_json::Map::new();
        for (kind, ends) in WITHHOLDABLE {
            let count = disclosures.values().filter(|bytes| stands_at(bytes, ends)).count();
            kinds.insert(kind.to_string(), json!(count));
        }
        Ok(json!({
            "profile": profile,
            "entries": entries.len() + 1,
            "personal_fields": commitments.len(),
            "erased": commitments.iter().filter(|c| !disclosures.contains_key(*c)).count(),
            "withholdable": kinds,
        }))
    }

    /// The entries of an incident, parsed for reading; the bundle has the exact bytes.
    pub async fn evidence_entries(&self, caller: &Caller, id: &str, _now: Timestamp) -> Answered<Vec<Value>> {
        self.dossier(caller, id).await?;
        let entries = self.store.stream(id).await?;
        Ok(entries.iter().map(|e| entry_json(e.idx, &e.bytes)).collect())
    }

    /// Entries of the whole log by index; for auditors, since it names every incident.
    pub async fn log_entries(&self, caller: &Caller, from: u64, to: u64) -> Answered<Vec<Value>> {
        self.permit(caller, Right::Export)?;
        if !caller.entities.is_empty() {
            return Err(Trouble::NotPermitted("the whole log is for tokens that are not limited to entities".into()));
        }
        let to = to.min(from.saturating_add(PAGE));
        Ok(self.store.entries(from..to).await?.iter().map(|e| entry_json(e.idx, &e.bytes)).collect())
    }

    /// An inclusion proof for `index`, or a consistency proof from the tree of size `from`, to `size` (the current one by default).
    pub async fn log_proof(
        &self,
        caller: &Caller,
        index: Option<u64>,
        from: Option<u64>,
        size: Option<u64>,
    ) -> Answered<Value> {
        self.permit(caller, Right::Read)?;
        let head = self.store.head().await?;
        let size = size.unwrap_or(head.size);
        let beyond = |what: &str, n: u64| {
            rejected(&format!("/{what}"), format!("`{n}` is beyond the log, which has {} entries", head.size))
        };
        if size == 0 || size > head.size {
            return Err(beyond("size", size));
        }
        let hashes = |proof: Vec<Hash>| proof.iter().map(|h| STANDARD.encode(h)).collect::<Vec<_>>();
        match (index, from) {
            (Some(index), None) if index < size => {
                let proof = self.inclusion_proofs(&[index], size).await?.remove(0);
                Ok(json!({ "kind": "inclusion", "index": index, "size": size, "proof": hashes(proof) }))
            }
            (Some(index), None) => Err(beyond("index", index)),
            (None, Some(old)) if old <= size && old > 0 => {
                let proof = self.with_nodes(|nodes| merkle::consistency(nodes, old, size)).await?;
                Ok(json!({ "kind": "consistency", "from": old, "size": size, "proof": hashes(proof) }))
            }
            (None, Some(old)) => Err(beyond("from", old)),
            _ => {
                Err(rejected("/index", "name `index` for an inclusion proof, or `from` for a consistency proof".into()))
            }
        }
    }

    async fn inclusion_proofs(&self, indices: &[u64], size: u64) -> Answered<Vec<Vec<Hash>>> {
        self.with_nodes(|nodes| {
            // every index is asked before giving up, so that one round fetches for all
            let proofs: Vec<Option<Vec<Hash>>> = indices.iter().map(|i| merkle::inclusion(nodes, *i, size)).collect();
            proofs.into_iter().collect()
        })
        .await
    }

    /// Runs a computation over stored nodes, fetching what it misses and running it again: O(log n) rounds.
    async fn with_nodes<T>(&self, compute: impl Fn(&Fetched) -> Option<T>) -> Answered<T> {
        let mut known = BTreeMap::new();
        loop {
            let fetched = Fetched { known, missing: RefCell::new(Vec::new()) };
            let answer = compute(&fetched);
            let missing = fetched.missing.into_inner();
            known = fetched.known;
            if let Some(answer) = answer {
                return Ok(answer);
            }
            let mut wanted = missing;
            wanted.sort_unstable();
            wanted.dedup();
            if wanted.is_empty() {
                return Err(Trouble::NotNow("the log has no such proof".into()));
            }
            let nodes = self.store.nodes(wanted.clone()).await?;
            for (at, node) in wanted.into_iter().zip(nodes) {
                match node {
                    Some(hash) => drop(known.insert(at, hash)),
                    None => {
                        return Err(Trouble::NotNow(format!(
                            "node {at:?} of the log is missing; run `breachclock evidence fsck`"
                        )));
                    }
                }
            }
        }
    }

    fn signed(&self, stored: &StoredCheckpoint) -> Answered<Checkpoint> {
        Checkpoint::parse(&stored.note)
            .and_then(|c| c.verify(&self.settings.origin, &self.log_key.public()))
            .map_err(|e| Trouble::NotNow(e.to_string()))
    }

    /// The rule texts the entries name: each manifest, and the packs that say something about this incident.
    fn rule_texts(&self, entries: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut texts: BTreeMap<Hash, Vec<u8>> = BTreeMap::new();
        for entry in entries {
            let entry: Value = serde_json::from_slice(entry).unwrap_or_default();
            if entry["type"] != "deadline.computed" {
                continue;
            }
            let Some(manifest_hash) = entry["body"]["rulebook"].as_str().and_then(crate::evidence::unhex32) else {
                continue;
            };
            let Some(manifest) = (self.archive)(&manifest_hash) else { continue };
            let listing: Value = serde_json::from_slice(&manifest).unwrap_or_default();
            let mut packs: Vec<String> = vec!["conventions.toml".into(), "places.toml".into()];
            // a duty may have gone since, or moved to another pack
            let now = self.book();
            let book = if now.sha256 == manifest_hash { now } else { self.earlier_book(&manifest_hash).unwrap_or(now) };
            for o in entry["body"]["obligations"].as_array().into_iter().flatten() {
                let duty = o["id"].as_str().and_then(|id| id.rsplit_once('@')).map(|(d, _)| d).unwrap_or_default();
                if let Some(duty) = book.duty(duty) {
                    packs.push(format!("{}.toml", duty.pack.split('@').next().unwrap_or_default()));
                }
            }
            for file in listing["files"].as_array().into_iter().flatten() {
                let named = file["path"].as_str().is_some_and(|p| packs.iter().any(|pack| pack == p));
                let hash = file["sha256"].as_str().and_then(crate::evidence::unhex32);
                if let (true, Some(hash)) = (named, hash)
                    && let Some(text) = (self.archive)(&hash)
                {
                    texts.insert(hash, text);
                }
            }
            texts.insert(manifest_hash, manifest);
        }
        texts.into_values().collect()
    }

    /// What the printed report says besides the entries.
    fn report_model(&self, dossier: &Dossier, profile: &str, now: Timestamp) -> ReportModel {
        let (book, plan) = self.plan_of(dossier, now);
        let incident = &dossier.record.incident;
        let zone = incident.entity.zone.unwrap_or(Zone::UTC);
        let open = plan.obligations.iter().filter(|o| matches!(o.standing, Standing::Running(_))).count();
        let filed = plan.obligations.iter().filter(|o| matches!(o.standing, Standing::Discharged { .. })).count();
        let figure = |label: &str, value: usize| Highlight {
            label: label.into(),
            value: value.to_string(),
            note: String::new(),
        };
        let obligations = plan
            .obligations
            .iter()
            .map(|o| {
                let view = plan.book_of(&book, o).explain(incident, o, now);
                let deadline = o.standing.deadline();
                let filed = match &o.standing {
                    Standing::Discharged { at, .. } => Some(*at),
                    _ => None,
                };
                ObligationRow {
                    name: format!("{}: {} ({})", view.title, view.recipient_name, view.jurisdiction),
                    citation: format!("{}, {}", view.law, view.citation),
                    source_url: view.source_url,
                    standing: view.standing.into(),
                    due: deadline.map(|d| moment(d.due, o.zone)),
                    conservative_due: deadline.map(|d| moment(d.conservative_due, o.zone)),
                    filed: filed.map(|at| moment(at, o.zone)),
                    difference: match (filed, deadline) {
                        (Some(at), Some(d)) => difference(d.due, at),
                        _ => String::new(),
                    },
                    steps: view
                        .steps
                        .into_iter()
                        .map(|s| StepRow {
                            text: s.text,
                            result: s.result.unwrap_or_default(),
                            citation: s.citation.unwrap_or_default(),
                        })
                        .collect(),
                }
            })
            .collect();
        let facts = incident
            .facts
            .history()
            .iter()
            .map(|f| FactRow {
                name: f.key.clone(),
                value: f.value.as_ref().map_or("unknown".into(), |v| plain(&value_json(v))),
                certainty: f.certainty.as_str().into(),
                asserted: format!("{}, {}", f.asserted_by, utc(f.asserted_at)),
            })
            .collect();
        let messages = dossier
            .sent
            .iter()
            .map(|s| EventRow {
                at: moment(s.message.created_at, zone),
                who: s.message.target.name(),
                what: format!("{}, step {}", s.message.event.as_str(), s.message.reason.step),
                outcome: s.state.as_str().into(),
            })
            .collect();
        let (mut acknowledgements, mut filings) = (Vec::new(), Vec::new());
        for (obligation, act) in &dossier.record.acts {
            acknowledgements.extend(act.acknowledgements.iter().map(|a| EventRow {
                at: moment(a.at, zone),
                who: a.by.clone(),
                what: obligation.clone(),
                outcome: format!("until {}", utc(a.until)),
            }));
            filings.extend(act.filings.iter().map(|f| EventRow {
                at: moment(f.at, zone),
                who: f.by.clone(),
                what: obligation.clone(),
                outcome: f.reference.clone().unwrap_or_default(),
            }));
        }
        ReportModel {
            title: incident.title.clone(),
            reference: incident.id.0.clone(),
            basis: String::new(),
            controller: incident.entity.name.clone(),
            contact: String::new(),
            addressee: format!("profile {profile}"),
            made_by: String::new(),
            made_at: moment(now, zone),
            zone_note: format!("Local times are of {}.", zone.name()),
            highlights: vec![
                figure("obligations running", open),
                figure("notices given", filed),
                figure("facts asserted", incident.facts.history().len()),
                figure("messages", dossier.sent.len()),
            ],
            summary: vec![format!(
                "Reported on {} by {}. Rule packs {}, zone data {}.",
                utc(incident.opened_at),
                incident.opened_by,
                book.version,
                crate::time::tzdb_version()
            )],
            timeline: BTreeMap::new(),
            obligations,
            facts,
            messages,
            acknowledgements,
            filings,
        }
    }
}

/// The report's timeline: each entry in words; a long one is cut, as its parts stand in the tables.
fn entry_words(happenings: Vec<Happening>, zone: Zone) -> BTreeMap<u64, EntryWords> {
    const MOST: usize = 12;
    let mut words: BTreeMap<u64, (String, Vec<String>)> = BTreeMap::new();
    for h in happenings {
        let by = h.by.map(|by| format!(" (by {by})")).unwrap_or_default();
        let entry = words.entry(h.n).or_insert_with(|| (moment(h.at, zone).local, Vec::new()));
        entry.1.push(format!("{}{by}", h.text));
    }
    let line = |(n, (local, mut parts)): (u64, (String, Vec<String>))| {
        let more = parts.len().saturating_sub(MOST);
        parts.truncate(MOST);
        if more > 0 {
            parts.push(format!("and {more} more"));
        }
        (n, EntryWords { local, what: parts.join("; ") })
    };
    words.into_iter().map(line).collect()
}

/// Nodes fetched so far, and those a computation missed.
struct Fetched {
    known: BTreeMap<(u8, u64), Hash>,
    missing: RefCell<Vec<(u8, u64)>>,
}

impl Nodes for Fetched {
    fn node(&self, level: u8, index: u64) -> Option<Hash> {
        let found = self.known.get(&(level, index)).copied();
        if found.is_none() {
            self.missing.borrow_mut().push((level, index));
        }
        found
    }
}

fn rejected(pointer: &str, text: String) -> Trouble {
    Trouble::Rejected(vec![crate::ingest::Rejection { pointer: pointer.into(), line: None, text }])
}

fn withhold_kinds(wanted: &[String]) -> Answered<Vec<(&'static str, &'static [&'static str])>> {
    wanted
        .iter()
        .map(|kind| {
            WITHHOLDABLE.into_iter().find(|(k, _)| k == kind).ok_or_else(|| {
                let known: Vec<String> = WITHHOLDABLE.iter().map(|(k, _)| format!("`{k}`")).collect();
                rejected("/withhold", format!("`{kind}` cannot be withheld; it may be {}", known.join(", ")))
            })
        })
        .collect()
}

fn stands_at(disclosure: &[u8], ends: &[&str]) -> bool {
    Disclosure::from_bytes(disclosure.to_vec())
        .read()
        .is_some_and(|(pointer, _)| ends.iter().any(|end| pointer.ends_with(end)))
}

/// Splits the fields of a stream into those left out, by kind, and those shown.
fn partition(
    entries: &[&[u8]],
    stored: &BTreeMap<Hash, Vec<u8>>,
    kinds: &[(&'static str, &'static [&'static str])],
) -> (Vec<Withheld>, Vec<Disclosure>) {
    let mut withheld: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut disclosed = Vec::new();
    for commitment in export::commitments(entries.iter().copied()) {
        let Some(bytes) = stored.get(&commitment) else { continue };
        match kinds.iter().find(|(_, ends)| stands_at(bytes, ends)) {
            Some((kind, _)) => withheld.entry(kind).or_default().push(hex(&commitment)),
            None => disclosed.push(Disclosure::from_bytes(bytes.clone())),
        }
    }
    (
        withheld.into_iter().map(|(reason, commitments)| Withheld { reason: reason.into(), commitments }).collect(),
        disclosed,
    )
}

fn entry_json(idx: u64, bytes: &[u8]) -> Value {
    let mut entry: Value = serde_json::from_slice(bytes).unwrap_or_default();
    if let Some(entry) = entry.as_object_mut() {
        entry.insert("idx".into(), json!(idx));
        entry.insert("sha256".into(), json!(hex(&crate::evidence::sha256(bytes))));
        entry.insert("leaf_hash".into(), json!(hex(&crate::evidence::leaf_hash(bytes))));
    }
    entry
}

/// A name for the exporter out of the log's: letters, digits, dots, dashes.
fn exporter_name(origin: &str) -> String {
    origin.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' || c == '-' { c } else { '-' }).collect()
}

fn moment(at: Timestamp, zone: Zone) -> Moment {
    Moment { utc: at, local: format!("{} {}", due_label(at, zone), zone.local(at).year()) }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

fn difference(due: Timestamp, filed: Timestamp) -> String {
    let minutes = (due - filed).num_minutes().abs();
    let text = format!("{} h {:02} m", minutes / 60, minutes % 60);
    if filed < due { format!("{text} before") } else { format!("{text} late") }
}

impl<S: Store> House<S> {
    fn draft_export(&self, stream: &str, body: &ExportCreated, now: Timestamp) -> crate::evidence::Draft {
        debug_assert_ne!(stream, SYSTEM);
        crate::evidence::Draft::new(stream.to_string(), "export.created", now, self.nonce(), body)
    }
}
