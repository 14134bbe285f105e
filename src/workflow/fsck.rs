//! The whole store against its own evidence: the log rebuilt from its entries, the stored tree, the personal values, and
//! what is known of each incident rebuilt and compared. Nothing is written.
//!
//! What cannot be rebuilt is said ([`StoreReport::not_rebuilt`]).

use super::evidence_of::SYSTEM;
use super::rebuild::{HIDDEN, Rebuilt, Shown};
use super::replay::{Books, Replay, replay};
use crate::evidence::export::commitments;
use crate::evidence::{
    Checkpoint, Hash, Head, Id, LogReport, PublicKey, completed_nodes, hex, leaf_hash, unhex32, verify_log,
};
use crate::law::{IncidentId, Value};
use crate::store::{Dossier, Query, Result, Store, StoreError, StoredEntry};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc;

/// Entries and records read at once.
const BATCH: u64 = 4096;
const PAGE: u32 = 200;
/// Faults told one by one; the rest is counted.
const TOLD: usize = 100;
/// How often an incident is read again that changed while it was read.
const ATTEMPTS: usize = 5;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreReport {
    pub log: LogReport,
    /// Incidents whose record was rebuilt and compared.
    pub incidents: u64,
    /// Nodes of the tree and personal values compared.
    pub nodes: u64,
    pub disclosures: u64,
    /// Faults outside the log itself, the first 100, and how many there are.
    pub faults: Vec<String>,
    pub fault_count: u64,
    /// Sentences on what no entry holds.
    pub not_rebuilt: Vec<String>,
    /// Deadlines computed again, by incident, when that was asked for.
    pub replay: Option<Vec<(String, Replay)>>,
}

impl StoreReport {
    pub fn is_ok(&self) -> bool {
        let replayed = self.replay.iter().flatten().all(|(_, replay)| replay.is_ok());
        self.log.ok && self.fault_count == 0 && replayed
    }
}

#[derive(Default)]
struct Found {
    faults: Vec<String>,
    count: u64,
    incidents: u64,
    nodes: u64,
    disclosures: u64,
    hidden: u64,
    names_only: u64,
}

impl Found {
    fn fault(&mut self, what: impl Into<String>) {
        self.count += 1;
        if self.faults.len() < TOLD {
            self.faults.push(what.into());
        }
    }
}

/// Checks everything. `key` is the log's of today; with `books`, every deadline is computed again as well.
pub async fn check<S: Store>(
    store: &S,
    origin: &str,
    key: &PublicKey,
    mut books: Option<&mut Books<'_>>,
) -> Result<StoreReport> {
    let mut found = Found::default();
    // before the head: the log may grow meanwhile
    let checkpoints = signed_checkpoints(store, origin, key, &mut found).await?;
    let (log, streams) = whole_log(store, origin, checkpoints, &mut found).await?;
    let mut replays = Vec::new();
    for stream in &streams {
        if let Some(replay) = one_stream(store, stream, &mut found, books.as_deref_mut()).await? {
            replays.push((stream.clone(), replay));
        }
    }
    records_without_entries(store, &streams, &mut found).await?;
    Ok(StoreReport {
        log,
        incidents: found.incidents,
        nodes: found.nodes,
        disclosures: found.disclosures,
        not_rebuilt: not_rebuilt(&found),
        faults: found.faults,
        fault_count: found.count,
        replay: books.is_some().then_some(replays),
    })
}

fn not_rebuilt(found: &Found) -> Vec<String> {
    let mut list = vec![
        "when an incident wakes next: that follows from the configuration".to_string(),
        "the text of messages and their next attempt: that they exist, and their state, was compared".to_string(),
        "versions, idempotency keys, tokens, who asked for a hold, and limits kept from earlier rule packs".to_string(),
    ];
    if found.hidden > 0 {
        list.push(format!("{} personal values that were erased", found.hidden));
    }
    if found.names_only > 0 {
        list.push(format!("roles and places of the entity of {} incidents, which no entry shows", found.names_only));
    }
    list
}

/// Every stored checkpoint that a key of this log signed; one that cannot be believed is a fault. Keys are today's, and those
/// that `key.rotated` entries name: what such an entry says of an old key was signed by both when it was changed.
async fn signed_checkpoints<S: Store>(
    store: &S,
    origin: &str,
    key: &PublicKey,
    found: &mut Found,
) -> Result<Vec<Checkpoint>> {
    let mut keys = vec![*key];
    for entry in store.stream(SYSTEM).await? {
        if !entry.bytes.windows(13).any(|word| word == b"\"key.rotated\"") {
            continue;
        }
        let entry: Json = serde_json::from_slice(&entry.bytes).unwrap_or_default();
        let named = ["old", "new"].into_iter().filter_map(|side| entry["body"][side].as_str());
        keys.extend(named.filter_map(|vkey| PublicKey::from_vkey(vkey).ok()).map(|(_, key)| key));
    }
    let (mut signed, mut size) = (Vec::new(), 0);
    while let Some(stored) = store.checkpoint_over(size).await? {
        size = stored.size + 1;
        let read = |key| Checkpoint::parse(&stored.note).and_then(|note| note.verify(origin, key));
        match keys.iter().find_map(|key| read(key).ok()) {
            Some(checkpoint) if (checkpoint.size, checkpoint.root) == (stored.size, stored.root) => {
                signed.push(checkpoint)
            }
            Some(_) => found
                .fault(format!("the checkpoint stored over {} entries is not the one that was signed", stored.size)),
            None => {
                let why = read(key).map_or_else(|error| error.to_string(), |_| String::new());
                found.fault(format!("the checkpoint stored over {} entries cannot be believed: {why}", stored.size));
            }
        }
    }
    Ok(signed)
}

/// Log, stored tree, and the columns beside each entry. Answers the names of all streams.
async fn whole_log<S: Store>(
    store: &S,
    origin: &str,
    checkpoints: Vec<Checkpoint>,
    found: &mut Found,
) -> Result<(LogReport, BTreeSet<String>)> {
    let stored = store.head().await?;
    // a few batches in flight: the log may be larger than the memory
    let (hand_over, batches) = mpsc::sync_channel::<Vec<Vec<u8>>>(2);
    let name = origin.to_string();
    let checker = std::thread::spawn(move || verify_log(&name, batches.into_iter().flatten(), &checkpoints));
    let (mut streams, mut head, mut gap) = (BTreeSet::new(), Head::default(), false);
    while head.size < stored.size {
        let from = head.size;
        let entries = store.entries(from..(from + BATCH).min(stored.size)).await?;
        let first_gap = entries.iter().zip(from..).find(|(entry, idx)| entry.idx != *idx).map(|(_, idx)| idx);
        if let Some(missing) = first_gap.or(entries.is_empty().then_some(from)).filter(|_| !gap) {
            gap = true;
            found.fault(format!("entry {missing} of {} is missing", stored.size));
        }
        if entries.is_empty() {
            break;
        }
        let mut nodes = BTreeMap::new();
        for entry in &entries {
            beside(entry, head.size, found);
            let leaf = leaf_hash(&entry.bytes);
            nodes.extend(completed_nodes(head.size, leaf, &head).into_iter().map(|(l, i, hash)| ((l, i), hash)));
            head.append(leaf);
            if !streams.contains(&entry.stream) {
                streams.insert(entry.stream.clone());
            }
        }
        let have = store.nodes(nodes.keys().copied().collect()).await?;
        found.nodes += nodes.len() as u64;
        for (((level, index), want), have) in nodes.iter().zip(have) {
            if have != Some(*want) {
                let text = format!("node {index} of level {level} of the stored tree is not what the entries give");
                found.fault(text);
            }
        }
        if hand_over.send(entries.into_iter().map(|entry| entry.bytes).collect()).is_err() {
            break;
        }
    }
    if head.size == stored.size && head != stored {
        found.fault("the stored head of the log is not what the entries give");
    }
    drop(hand_over);
    let log = checker.join().map_err(|_| StoreError::Backend("the check of the log broke off".into()))?;
    Ok((log, streams))
}

/// The columns by which an entry is found, against the entry.
fn beside(entry: &StoredEntry, idx: u64, found: &mut Found) {
    #[derive(serde::Deserialize)]
    struct Place<'a> {
        idx: u64,
        stream: &'a str,
        n: u64,
    }
    // one that cannot be read is a fault of the log
    let Ok(place) = serde_json::from_slice::<Place<'_>>(&entry.bytes) else { return };
    if (entry.idx, entry.n, entry.stream.as_str()) != (place.idx, place.n, place.stream) || entry.idx != idx {
        found.fault(format!(
            "entry {idx} is stored as number {} of `{}`, and says it is number {} of `{}`",
            entry.n, entry.stream, place.n, place.stream
        ));
    }
}

/// Personal values and, if the stream is an incident's, its record. Answers its deadlines computed again, if asked for.
async fn one_stream<S: Store>(
    store: &S,
    stream: &str,
    found: &mut Found,
    books: Option<&mut Books<'_>>,
) -> Result<Option<Replay>> {
    let id = IncidentId(stream.to_string());
    for attempt in 1.. {
        let before = dossier(store, &id).await?;
        let entries = store.stream(stream).await?;
        let shown = store.disclosures(stream).await?;
        let sent = store.sent(&id, u32::MAX).await?;
        let version = |dossier: &Option<Dossier>| dossier.as_ref().map(|d| d.version);
        // a database in use may have moved on meanwhile
        if version(&before) != version(&dossier(store, &id).await?) && attempt < ATTEMPTS {
            continue;
        }
        personal_values(stream, &entries, &shown, found);
        let lines: Vec<Json> =
            entries.iter().map(|entry| serde_json::from_slice(&entry.bytes).unwrap_or_default()).collect();
        let incident = lines.iter().any(|entry| entry["type"] == "incident.reported");
        let Some(dossier) = before else {
            if incident {
                found.fault(format!("incident `{stream}` is in the log and has no record"));
            }
            return Ok(None);
        };
        let (mut rebuilt, values) = (Rebuilt::new(stream), Shown::new(&shown));
        for entry in &lines {
            if let Err(why) = rebuilt.apply(entry, &values) {
                found.fault(format!("incident `{stream}`, entry {}: {why}", entry["n"]));
            }
        }
        let states = sent.iter().map(|s| (s.message.key.clone(), s.state)).collect();
        compare(&dossier, &states, rebuilt, found);
        found.incidents += 1;
        return Ok(books.map(|books| replay(entries.iter().map(|entry| entry.bytes.as_slice()), &shown, books)));
    }
    Ok(None)
}

async fn dossier<S: Store>(store: &S, id: &IncidentId) -> Result<Option<Dossier>> {
    match store.dossier(id).await {
        Ok(dossier) => Ok(Some(dossier)),
        Err(StoreError::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Each value an entry names is stored or was erased, and nothing else is stored.
fn personal_values(stream: &str, entries: &[StoredEntry], shown: &BTreeMap<Hash, Vec<u8>>, found: &mut Found) {
    let mut erased = BTreeSet::new();
    for entry in entries.iter().filter(|e| e.bytes.windows(18).any(|word| word == b"disclosure.erased\"")) {
        let entry: Json = serde_json::from_slice(&entry.bytes).unwrap_or_default();
        if entry["type"] == "disclosure.erased" {
            let list = entry["body"]["commitments"].as_array().into_iter().flatten();
            erased.extend(list.filter_map(|hash| unhex32(hash.as_str()?)));
        }
    }
    let named: BTreeSet<Hash> = commitments(entries.iter().map(|e| e.bytes.as_slice())).into_iter().collect();
    found.disclosures += named.len() as u64;
    for hash in &named {
        match (shown.get(hash), erased.contains(hash)) {
            (None, false) => {
                found.fault(format!("`{stream}`: the personal value {} is missing and was not erased", hex(hash)));
            }
            (Some(_), true) => {
                found.fault(format!("`{stream}`: the personal value {} was erased and is still stored", hex(hash)));
            }
            (Some(bytes), false) if crate::evidence::sha256(bytes) != *hash => {
                found.fault(format!("`{stream}`: the personal value {} was changed", hex(hash)));
            }
            _ => {}
        }
    }
    for hash in shown.keys().filter(|hash| !named.contains(*hash)) {
        found.fault(format!("`{stream}`: the stored personal value {} belongs to no entry", hex(hash)));
    }
}

/// The stored record and messages against what the entries tell.
fn compare(
    stored: &Dossier,
    messages: &BTreeMap<String, crate::escalation::DeliveryState>,
    mut rebuilt: Rebuilt,
    found: &mut Found,
) {
    let (record, id) = (&stored.record, &stored.record.incident.id);
    found.hidden += rebuilt.hidden;
    if !rebuilt.whole_entity {
        found.names_only += 1;
        let told = std::mem::replace(&mut rebuilt.incident.entity, record.incident.entity.clone());
        (rebuilt.incident.entity.id, rebuilt.incident.entity.name) = (told.id, told.name);
    }
    let mut differs = Vec::new();
    let mut incident = record.incident.clone();
    // a choice that is no word stands in the log as text does: behind a commitment
    incident.facts.erase(|fact| match &mut fact.value {
        Some(Value::Choice(word)) if !Id::fits(word) => fact.value = Some(Value::Text(std::mem::take(word))),
        _ => {}
    });
    difference("", &json(&incident), &json(&rebuilt.incident), &mut differs);
    difference("/acts", &json(&record.acts), &json(&rebuilt.acts), &mut differs);
    for path in differs {
        found.fault(format!("incident `{id}`: `{path}` of the record is not what the entries tell"));
    }
    let ids = |tracked: &[crate::store::Tracked]| tracked.iter().map(|t| t.id.clone()).collect::<BTreeSet<_>>();
    for obligation in ids(&record.tracked).union(&ids(&rebuilt.tracked)) {
        let of = |tracked: &[crate::store::Tracked]| tracked.iter().find(|t| t.id == *obligation).cloned();
        if of(&record.tracked) != of(&rebuilt.tracked) {
            let text = format!("incident `{id}`: obligation `{obligation}` is not as it was last computed");
            found.fault(text);
        }
    }
    // nothing was computed by the rulebook that found no obligation
    if !record.tracked.is_empty() && rebuilt.rulebook != Some(record.rulebook) {
        found.fault(format!("incident `{id}`: the record names another rulebook than the last computation"));
    }
    for (key, state) in messages {
        match rebuilt.messages.remove(key) {
            None => found.fault(format!("incident `{id}`: message `{key}` is stored and no entry tells of it")),
            Some(told) if told != *state => found.fault(format!(
                "incident `{id}`: message `{key}` is stored as {}, the entries tell {}",
                state.as_str(),
                told.as_str()
            )),
            Some(_) => {}
        }
    }
    for key in rebuilt.messages.keys() {
        found.fault(format!("incident `{id}`: message `{key}` is in the log and not stored"));
    }
}

fn json(value: &impl serde::Serialize) -> Json {
    serde_json::to_value(value).unwrap_or_default()
}

/// Paths at which two values differ. Hidden texts are not compared; instants are told to the microsecond.
fn difference(path: &str, stored: &Json, rebuilt: &Json, differs: &mut Vec<String>) {
    let micros = |value: &Json| {
        let at = chrono::DateTime::parse_from_rfc3339(value.as_str()?).ok()?;
        Some(at.timestamp_micros())
    };
    match (stored, rebuilt) {
        (Json::Object(a), Json::Object(b)) => {
            for name in a.keys().chain(b.keys().filter(|name| !a.contains_key(*name))) {
                let of = |map: &serde_json::Map<String, Json>| map.get(name).cloned().unwrap_or_default();
                difference(&format!("{path}/{name}"), &of(a), &of(b), differs);
            }
        }
        (Json::Array(a), Json::Array(b)) if a.len() == b.len() => {
            for ((a, b), at) in a.iter().zip(b).zip(0..) {
                difference(&format!("{path}/{at}"), a, b, differs);
            }
        }
        (_, Json::String(hidden)) if hidden == HIDDEN => {}
        (a, b) if a == b || micros(a).is_some() && micros(a) == micros(b) => {}
        _ => differs.push(path.to_string()),
    }
}

async fn records_without_entries<S: Store>(store: &S, streams: &BTreeSet<String>, found: &mut Found) -> Result<()> {
    let mut after = None;
    loop {
        let page = store.list(Query { after, limit: PAGE, ..Query::default() }).await?;
        for dossier in page.iter().filter(|d| !streams.contains(&d.record.incident.id.0)) {
            found.fault(format!("incident `{}` has a record and no entries", dossier.record.incident.id));
        }
        match page.last() {
            Some(last) if page.len() == PAGE as usize => after = Some(last.record.incident.id.clone()),
            _ => return Ok(()),
        }
    }
}
