//! Files of an incident, with their chain of custody: who collected what, when, how, with which tool, and who read it since.
//!
//! The bytes lie sealed outside the database (see [`crate::evidence::attachment`]); their hash stands in the entry as a
//! commitment. The file is on disk before the entry that names it: what an entry names was there.

use super::read::split_obligation;
use super::{Answered, Caller, Changed, EvidenceReceipt, House, Right, Terms, Trouble, rejected};
use crate::evidence::{Disclosure, Draft, Hash, attachment, hex, sha256};
use crate::rules::utc;
use crate::store::{Change, Changeset, Store};
use crate::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// Type of the entry that names a file.
pub const COLLECTED: &str = "attachment.collected";
/// Longest name, tool or description, in characters.
const TEXT: usize = 1000;
/// May be collected this far ahead of our clock.
const FUTURE: chrono::TimeDelta = chrono::TimeDelta::minutes(5);

/// What a file is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AttachmentKind {
    /// What shows that a notice was given: a form as sent, a screenshot.
    Proof,
    /// The recipient's confirmation.
    Receipt,
    /// A mail as it was sent.
    Mail,
    /// What the mail servers said to each other.
    Transcript,
    Letter,
    /// Anything else that shows what happened.
    #[default]
    Evidence,
}

impl AttachmentKind {
    pub const ALL: [AttachmentKind; 6] = [
        AttachmentKind::Proof,
        AttachmentKind::Receipt,
        AttachmentKind::Mail,
        AttachmentKind::Transcript,
        AttachmentKind::Letter,
        AttachmentKind::Evidence,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            AttachmentKind::Proof => "proof",
            AttachmentKind::Receipt => "receipt",
            AttachmentKind::Mail => "eml",
            AttachmentKind::Transcript => "smtp-transcript",
            AttachmentKind::Letter => "letter",
            AttachmentKind::Evidence => "evidence",
        }
    }
}

crate::law::schema_of_words!(AttachmentKind);

/// A file that is handed in.
#[derive(Clone, Debug, Default)]
pub struct Attach {
    pub bytes: Vec<u8>,
    pub name: Option<String>,
    pub kind: AttachmentKind,
    /// `type/subtype`; nothing depends on it.
    pub media_type: Option<String>,
    /// Full id, or as inside the incident.
    pub obligation: Option<String>,
    /// Who collected it; the caller when absent.
    pub by: Option<String>,
    /// When; now when absent.
    pub at: Option<Timestamp>,
    pub how: Option<String>,
    pub tool: Option<String>,
}

/// A file that was taken.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Attached {
    /// Number of its entry among those of the incident.
    pub entry: u64,
    pub sha256: String,
    pub bytes: u64,
    /// Of the incident after it.
    pub version: u64,
    pub evidence: Option<EvidenceReceipt>,
}

/// A file as listed.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "Attachment")]
pub struct AttachmentView {
    pub entry: u64,
    #[schemars(with = "AttachmentKind")]
    pub kind: String,
    pub obligation: Option<String>,
    pub name: Option<String>,
    pub media_type: Option<String>,
    pub bytes: u64,
    pub sha256: Option<String>,
    pub collected_by: Option<String>,
    #[schemars(with = "Timestamp")]
    pub collected_at: String,
    #[schemars(with = "Timestamp")]
    pub recorded_at: String,
    pub actor: String,
    pub how: Option<String>,
    pub tool: Option<String>,
    /// `kept`, or `erased` when its disclosure is gone.
    #[schemars(extend("enum" = ["kept", "erased"]))]
    pub state: &'static str,
    /// Who read it since, and when.
    pub read: Vec<ReadView>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "AttachmentRead")]
pub struct ReadView {
    pub actor: String,
    #[schemars(with = "Timestamp")]
    pub at: String,
}

/// Where sealed files lie. `put` is durable when it returns.
pub trait Shelf: Send + Sync + 'static {
    fn put(&self, stream: &str, name: &str, sealed: &[u8]) -> io::Result<()>;
    fn get(&self, stream: &str, name: &str) -> io::Result<Option<Vec<u8>>>;
    /// Deletes a file for good; one that is not there is no error.
    fn remove(&self, stream: &str, name: &str) -> io::Result<()>;
}

/// In memory, for tests and exercises.
#[derive(Default)]
pub struct MemoryShelf(Mutex<BTreeMap<(String, String), Vec<u8>>>);

impl Shelf for MemoryShelf {
    fn put(&self, stream: &str, name: &str, sealed: &[u8]) -> io::Result<()> {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        files.insert((stream.to_string(), name.to_string()), sealed.to_vec());
        Ok(())
    }

    fn get(&self, stream: &str, name: &str) -> io::Result<Option<Vec<u8>>> {
        let files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(files.get(&(stream.to_string(), name.to_string())).cloned())
    }

    fn remove(&self, stream: &str, name: &str) -> io::Result<()> {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        files.remove(&(stream.to_string(), name.to_string()));
        Ok(())
    }
}

impl<S: Store> House<S> {
    /// Takes a file: seals and keeps it, and records who collected it, when, how.
    pub async fn attach(
        &self,
        caller: &Caller,
        id: &str,
        ask: Attach,
        terms: impl Into<Terms<'_>>,
        now: Timestamp,
    ) -> Answered<Attached> {
        let terms = terms.into();
        self.permit(caller, Right::Report)?;
        check(&ask, now)?;
        self.dossier(caller, id).await?;
        let local = match ask.obligation.as_deref() {
            Some(full) if full.contains('~') => {
                let (incident, local) = split_obligation(full)?;
                if incident != id {
                    return Err(rejected("/obligation", format!("`{full}` is an obligation of another incident")));
                }
                Some(local.to_string())
            }
            local => local.map(str::to_string),
        };
        let digest = sha256(&ask.bytes);
        let (draft, name) = self.shelve(id, &ask, local.as_deref(), caller, now).await?;
        let bytes = ask.bytes.len() as u64;
        let request = format!("attach {} {local:?} {:?}", hex(&digest), ask.kind);
        let changed = self
            .change(caller, id, terms.version, terms.of(&request), now, |house, dossier| {
                if let Some(local) = &local {
                    let (_, plan) = house.plan_of(dossier, now);
                    super::read::find_obligation(&plan, local)
                        .ok_or_else(|| Trouble::NotFound(format!("obligation `{local}`")))?;
                }
                Ok((dossier.record.clone(), draft.clone()))
            })
            .await;
        self.unshelve_unless_named(id, name, &changed).await;
        let changed = changed?;
        let entry = match &changed.evidence {
            Some(receipt) => self.entry_number(receipt.log_index).await?,
            // answered once before: the first entry that names this file
            None => self
                .listed(id)
                .await?
                .iter()
                .find(|a| a.sha256.as_deref() == Some(&hex(&digest)))
                .map_or(0, |a| a.entry),
        };
        Ok(Attached { entry, sha256: hex(&digest), bytes, version: changed.version, evidence: changed.evidence })
    }

    /// Seals and keeps a file, durably. Answers the entry that will name it, and its name on the shelf.
    pub(super) async fn shelve(
        &self,
        id: &str,
        ask: &Attach,
        obligation: Option<&str>,
        caller: &Caller,
        now: Timestamp,
    ) -> Answered<(Draft, String)> {
        let (draft, named_by) = self.draft_collected(id, ask, obligation, &sha256(&ask.bytes), caller, now);
        let sealed = attachment::seal(&named_by, &ask.bytes);
        let (shelf, stream, name) = (self.attachments.clone(), id.to_string(), hex(&named_by.commitment));
        let place = name.clone();
        // the disk may be slow: not on the threads that serve
        let kept = tokio::task::spawn_blocking(move || shelf.put(&stream, &place, &sealed)).await;
        kept.map_err(io::Error::other).and_then(|kept| kept).map_err(|error| {
            Trouble::Store(crate::store::StoreError::Backend(format!("the file cannot be kept: {error}")))
        })?;
        Ok((draft, name))
    }

    /// Takes a file away when no entry came to name it: the change was refused, or made before with the same file.
    pub(super) async fn unshelve_unless_named(&self, id: &str, name: String, changed: &Answered<Changed>) {
        match changed {
            Ok(changed) if changed.evidence.is_some() => {}
            // the answer may be lost and the entry there
            Err(Trouble::Store(_)) => {}
            _ => self.unshelve(id, name).await,
        }
    }

    /// Takes a file away that no entry names.
    pub(super) async fn unshelve(&self, id: &str, name: String) {
        let (shelf, stream) = (self.attachments.clone(), id.to_string());
        let _ = tokio::task::spawn_blocking(move || shelf.remove(&stream, &name)).await;
    }

    async fn entry_number(&self, index: u64) -> Answered<u64> {
        Ok(self.store.entries(index..index + 1).await?.first().map_or(0, |entry| entry.n))
    }

    /// The files of an incident, in the order in which they came.
    pub async fn attachments(&self, caller: &Caller, id: &str) -> Answered<Vec<AttachmentView>> {
        self.dossier(caller, id).await?;
        self.listed(id).await
    }

    pub(super) async fn listed(&self, id: &str) -> Answered<Vec<AttachmentView>> {
        let entries = self.store.stream(id).await?;
        let values = personal_values(&self.store.disclosures(id).await?);
        let mut found: Vec<AttachmentView> = Vec::new();
        for entry in entries {
            let parsed: Value = serde_json::from_slice(&entry.bytes).unwrap_or_default();
            let (body, ts) = (&parsed["body"], parsed["ts"].as_str().unwrap_or_default());
            let plain = |key: &str| body[key].as_str().map(str::to_string);
            match parsed["type"].as_str() {
                Some(COLLECTED) => {
                    let shown = |key: &str| values.get(body[key]["$c"].as_str()?).cloned();
                    found.push(AttachmentView {
                        entry: entry.n,
                        kind: plain("kind").unwrap_or_default(),
                        obligation: plain("obligation").map(|local| format!("{id}~{local}")),
                        name: shown("name"),
                        media_type: plain("media_type"),
                        bytes: body["bytes"].as_u64().unwrap_or_default(),
                        sha256: shown("sha256"),
                        collected_by: shown("by"),
                        collected_at: plain("collected_at").unwrap_or_default(),
                        recorded_at: ts.to_string(),
                        actor: plain("actor").unwrap_or_default(),
                        how: shown("how"),
                        tool: shown("tool"),
                        state: if shown("sha256").is_some() { "kept" } else { "erased" },
                        read: Vec::new(),
                    });
                }
                Some("attachment.read") => {
                    let of = found.iter_mut().find(|a| Some(a.entry) == body["attachment"].as_u64());
                    let read = ReadView { actor: plain("actor").unwrap_or_default(), at: ts.to_string() };
                    of.into_iter().for_each(|a| a.read.push(read.clone()));
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// The bytes of one file. Reading it is recorded: it belongs to the chain of custody.
    pub async fn attachment(
        &self,
        caller: &Caller,
        id: &str,
        entry: u64,
        now: Timestamp,
    ) -> Answered<(String, Vec<u8>)> {
        self.dossier(caller, id).await?;
        let missing = || Trouble::NotFound(format!("attachment `{entry}` of incident `{id}`"));
        let entries = self.store.stream(id).await?;
        let named = entries.iter().find(|e| e.n == entry).and_then(|e| commitment_of(&e.bytes)).ok_or_else(missing)?;
        let disclosures = self.store.disclosures(id).await?;
        let Some(disclosure) = disclosures.get(&named) else {
            return Err(Trouble::NotNow(format!(
                "attachment `{entry}` was erased; what is left is its place in the log"
            )));
        };
        let disclosure = Disclosure::from_bytes(disclosure.clone());
        let bytes = self.open_attachment(id, &disclosure).await?.ok_or_else(|| {
            Trouble::NotNow(format!(
                "the file of attachment `{entry}` is missing or damaged; restore the folder `attachments` from a backup"
            ))
        })?;
        let first = self.draft_read(id, entry, caller, now);
        self.commit(Changeset { change: Change::Nothing, first, more: Vec::new() }).await?;
        self.announce();
        let name = self.listed(id).await?.into_iter().find(|a| a.entry == entry).and_then(|a| a.name);
        Ok((name.unwrap_or_else(|| format!("attachment-{entry}")), bytes))
    }

    async fn open_attachment(&self, id: &str, named_by: &Disclosure) -> Answered<Option<Vec<u8>>> {
        let (shelf, stream, name) = (self.attachments.clone(), id.to_string(), hex(&named_by.commitment));
        let sealed = tokio::task::spawn_blocking(move || shelf.get(&stream, &name)).await;
        let sealed = sealed.map_err(io::Error::other).and_then(|sealed| sealed);
        let sealed =
            sealed.map_err(|error| Trouble::NotNow(format!("the folder of attachments cannot be read: {error}")))?;
        Ok(sealed.and_then(|sealed| attachment::open(named_by, &sealed)))
    }

    /// The files that a bundle with these `entries` carries, each once; and the commitments of those that cannot be shown.
    pub(super) async fn bundled(
        &self,
        id: &str,
        entries: &[&[u8]],
        disclosed: &[Disclosure],
    ) -> Answered<(Vec<Vec<u8>>, Vec<Hash>)> {
        let mut files: BTreeMap<Hash, Vec<u8>> = BTreeMap::new();
        let mut unavailable = Vec::new();
        for commitment in entries.iter().filter_map(|entry| commitment_of(entry)) {
            let Some(disclosure) = disclosed.iter().find(|d| d.commitment == commitment) else { continue };
            match self.open_attachment(id, disclosure).await? {
                Some(bytes) => drop(files.insert(sha256(&bytes), bytes)),
                None => unavailable.push(commitment),
            }
        }
        Ok((files.into_values().collect(), unavailable))
    }

    /// Entry numbers of files that a filing names: each must be a file of the incident.
    pub(super) async fn are_attachments(&self, id: &str, documents: &[u64]) -> Answered<()> {
        if documents.is_empty() {
            return Ok(());
        }
        let listed = self.listed(id).await?;
        match documents.iter().position(|n| !listed.iter().any(|a| a.entry == *n)) {
            None => Ok(()),
            Some(at) => {
                let text =
                    format!("`{}` is no file of this incident; hand it in first, and name its entry", documents[at]);
                Err(rejected(&format!("/documents/{at}"), text))
            }
        }
    }
}

/// The commitment behind which the hash of a file stands; `None` when the entry names no file.
fn commitment_of(entry: &[u8]) -> Option<Hash> {
    let parsed: Value = serde_json::from_slice(entry).ok()?;
    if parsed["type"] != COLLECTED {
        return None;
    }
    crate::evidence::unhex32(parsed["body"]["sha256"]["$c"].as_str()?)
}

/// Personal texts by the hexadecimal form of their commitment.
fn personal_values(disclosures: &BTreeMap<Hash, Vec<u8>>) -> BTreeMap<String, String> {
    let text = |(commitment, bytes): (&Hash, &Vec<u8>)| {
        let (_, value) = Disclosure::from_bytes(bytes.clone()).read()?;
        Some((hex(commitment), value.as_str()?.to_string()))
    };
    disclosures.iter().filter_map(text).collect()
}

fn check(ask: &Attach, now: Timestamp) -> Answered<()> {
    if ask.bytes.is_empty() {
        return Err(rejected("/", "the file is empty; send its bytes as the body"));
    }
    if let Some(at) = ask.at.filter(|at| *at > now + FUTURE) {
        return Err(rejected("/at", format!("`{}` is later than now", utc(at))));
    }
    for (field, text) in [("name", &ask.name), ("by", &ask.by), ("how", &ask.how), ("tool", &ask.tool)] {
        if text.as_ref().is_some_and(|text| text.chars().count() > TEXT) {
            return Err(rejected(&format!("/{field}"), format!("`{field}` is longer than {TEXT} characters")));
        }
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "/.+-".contains(c);
    if let Some(kind) = ask.media_type.as_ref().filter(|kind| kind.len() > 100 || !kind.chars().all(plain)) {
        return Err(rejected("/media_type", format!("`{kind}` is no type such as `application/pdf`")));
    }
    Ok(())
}

/// A shelf for houses that keep nothing.
pub fn in_memory() -> Arc<dyn Shelf> {
    Arc::new(MemoryShelf::default())
}
