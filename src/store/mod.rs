//! The door to durable state. It speaks of decisions, not of tables: a [`Changeset`] is one decision, written whole
//! together with its evidence, or not at all.
//!
//! # The contract
//! * `commit` is atomic, and durable when it returns. Evidence indices are dense and assigned in commit order; the
//!   entries of one changeset are adjacent.
//! * `commit` compares `expected` with the stored version of the incident: on a difference it answers
//!   [`StoreError::Conflict`] and changes nothing. `expected: None` creates.
//! * A changeset that carries an idempotency key or a `source`+`reference` already used answers
//!   [`StoreError::Duplicate`] with the incident of the first one, and changes nothing.
//! * A claim is held by one holder until its lease ends; afterwards another may claim. `settle` with a lost lease is
//!   [`StoreError::LeaseLost`] and changes nothing.
//! * There is one checkpoint per tree size, ever; `replace_checkpoint` is a compare-and-swap and refuses a fork.
//!   A checkpoint whose root is not that of the stored log is a fork as well; the same one twice is accepted.
//! * Nothing is ever updated or deleted in the evidence table; a trigger refuses both. The same holds for anchors, which
//!   belong to a checkpoint that exists: one without is [`StoreError::NotFound`].
//! * Each [`Lane`] of messages is claimed by itself: one that hangs does not hold up another.
//! * A lease or a retry that was set on a clock more than a minute ahead of the present is void: the clock was set back.
//! * A message is known by its incident and key: queueing a known one again is ignored.
//! * A [`Delivery`] that does not move its message on ([`DeliveryState::may_become`]) is [`StoreError::OldNews`] and
//!   changes nothing. One that fails a message, like a `settle` that gives it up, wakes the incident.
//! * After [`Change::Erase`] the values are in no file that the store keeps: what held them is overwritten, and the data
//!   keys of the disclosures are destroyed. Requests of that incident are known by their keys alone from then on: the hash
//!   of a request could be compared with a guess.
//! * Disclosures are stored sealed (see `keys.rs`), except in memory.
//! * An error says that nothing was changed, as far as this process can tell. A commit whose answer was lost may still
//!   be found after a restart; versions, idempotency keys and message keys make repeating it safe.
//!
//! # Times
//! Stored instants that the store itself compares (wake-ups, leases, retries) are whole microseconds, rounded up:
//! nothing rings before its time. Everything inside a [`Record`] or [`Message`] is kept to the nanosecond.
//!
//! No SQL, pool, transaction or row type appears here, and this file knows neither rusqlite nor tokio_postgres.

use crate::escalation::{DeliveryState, Message, Outcome, Sent, Target};
use crate::evidence::{Draft, Head, StreamHead};
use crate::law::{Act, Incident, IncidentId};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;

#[doc(hidden)]
pub mod faulty;
mod keys;
pub mod memory;
mod pack;
pub mod postgres;
mod prepared;
mod queue;
mod read_only;
mod record_v1;
mod sealed;
pub mod sqlite;
mod tracked;
mod wakes;

pub use keys::Keeper;
pub use memory::MemoryStore;
pub use postgres::PgStore;
pub use read_only::ReadOnly;
pub use sqlite::SqliteStore;

/// An obligation as the last commit left it: what is needed to list, to diff and to tell what moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracked {
    /// `<duty>@<place>`.
    pub id: String,
    /// The word of its standing.
    pub standing: String,
    pub due: Option<Timestamp>,
    pub conservative_due: Option<Timestamp>,
    /// When this obligation was first seen: reminders due before could not have been sent.
    pub known_at: Timestamp,
}

/// Everything stored about one incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub incident: Incident,
    #[serde(with = "tracked")]
    pub tracked: Vec<Tracked>,
    /// What people did, by obligation id.
    pub acts: BTreeMap<String, Act>,
    /// Rulebook that planned `tracked`.
    pub rulebook: [u8; 32],
    /// Limits that a newer rulebook would move later. Packed after the rest, see `pack`.
    #[serde(skip)]
    pub kept: Vec<Kept>,
}

/// A limit that stands although a newer rulebook would move it later or drop it: until somebody signs the change off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// `<duty>@<place>`.
    pub id: String,
    pub due: Option<Timestamp>,
    pub conservative_due: Option<Timestamp>,
    pub since: Timestamp,
    /// The rulebook that gave the limit.
    pub from: [u8; 32],
}

/// One incident as read: the record, its version, and the messages sent about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dossier {
    pub version: u64,
    pub record: Record,
    pub wake_at: Option<Timestamp>,
    pub sent: Vec<Sent>,
}

/// Makes a repeated request answer with the first result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    pub principal: String,
    pub key: String,
    /// SHA-256 of the request; the same key with another request is an error of the caller.
    pub request: [u8; 32],
}

/// An API token as kept: only its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    pub id: String,
    pub sha256: [u8; 32],
    pub role: String,
    pub label: String,
    /// Entities it is limited to; empty means all.
    pub entities: Vec<String>,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

/// Somebody who may log in. Never deleted: the log names them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRecord {
    pub id: String,
    /// 1 when it is made, one more with each change: of two changes of one version the second is a conflict.
    pub version: u64,
    /// Unique; stands in the evidence as the actor.
    pub login: String,
    pub name: String,
    /// Id of a person in the configuration whose acts these are.
    pub person: Option<String>,
    pub role: String,
    /// Entities it is limited to; empty means all.
    pub entities: Vec<String>,
    /// Argon2id, as a PHC string; `None` until the invitation is taken, and for who logs in elsewhere.
    pub password: Option<String>,
    pub factor: Option<SecondFactor>,
    /// Issuer and subject at a provider of identities.
    pub federated: Option<(String, String)>,
    pub created_at: Timestamp,
    /// Sessions and invitations from before are void.
    pub valid_from: Timestamp,
    pub disabled_at: Option<Timestamp>,
}

/// Codes by time (RFC 6238) after the password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondFactor {
    /// The shared secret, sealed for this account.
    pub sealed: Vec<u8>,
    /// The last step of thirty seconds whose code was taken: none is taken twice.
    pub last_step: u64,
    /// SHA-256 of the codes for the day the telephone is lost; each goes when it is used.
    pub recovery: Vec<[u8; 32]>,
}

/// Who may come in: one account as it is from now on, a session that begins, and tokens that are forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    pub account: Option<AccountRecord>,
    pub opened: Option<TokenRecord>,
    pub ended: Vec<String>,
}

/// What a decision changes besides the evidence.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "one per commit, never in a collection that matters")]
pub enum Change {
    /// The incident's new record, its next wake-up and the messages to send.
    Incident {
        /// Version the decision was made on; `None` creates the incident, and takes its `source` and `reference`.
        expected: Option<u64>,
        record: Record,
        wake_at: Option<Timestamp>,
        messages: Vec<Message>,
        idempotency: Option<Idempotency>,
    },
    /// Messages that are about no incident; their `incident` is [`IncidentId::house`].
    Messages(Vec<Message>),
    /// News of a message that had left the queue.
    Delivery(Delivery),
    /// Personal values go for good.
    Erase(Box<Erasure>),
    /// A token was created or revoked (same id).
    Token(TokenRecord),
    /// An account, a session. [`StoreError::Conflict`] when the account was changed meanwhile, or its login is taken.
    Access(Box<Access>),
    /// Evidence only.
    Nothing,
}

/// A receipt, a bounce, a person's act: what became of a message after the courier had settled it. The incident is
/// woken at `at`, so that the next way is tried when this one failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub incident: IncidentId,
    /// The message's own key.
    pub key: String,
    pub state: DeliveryState,
    pub detail: String,
    pub at: Timestamp,
}

/// Everything in which the erased values of an incident stood, as it reads without them. The entry that says so is the
/// changeset's `first`.
#[derive(Clone, Debug)]
pub struct Erasure {
    /// Version the decision was made on.
    pub expected: u64,
    pub record: Record,
    pub wake_at: Option<Timestamp>,
    /// Disclosures that are deleted, in this incident's stream. Their keys are destroyed. Unknown ones are ignored.
    pub commitments: BTreeSet<[u8; 32]>,
    /// Messages of this incident or the house, and their details, by their keys; unknown ones are ignored.
    pub messages: Vec<(Message, Option<String>)>,
    /// The source and reference by which a repeated report is known, when the reference is erased: a hash can be guessed.
    pub reference: Option<(String, String)>,
}

/// One decision. `first` is a field and not a convention: no state changes without evidence.
#[derive(Clone, Debug)]
pub struct Changeset {
    pub change: Change,
    pub first: Draft,
    pub more: Vec<Draft>,
}

/// Where the evidence of a commit landed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Version of the incident after the commit; 0 when the change was no incident.
    pub version: u64,
    /// Index and leaf hash of each entry, in order.
    pub entries: Vec<(u64, [u8; 32])>,
}

/// Incidents whose wake-up has come, earliest first, and the next instant after them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    pub incidents: Vec<IncidentId>,
    pub next_wake: Option<Timestamp>,
}

/// A way out, by what can make it slow: one mail server for all mails, a server of its own for each webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    Mail,
    Webhook,
}

impl Lane {
    pub const ALL: [Lane; 2] = [Lane::Mail, Lane::Webhook];

    pub fn of(target: &Target) -> Lane {
        match target {
            Target::Email { .. } => Lane::Mail,
            // chat rooms and paging services are called as webhooks are
            Target::Webhook { .. } | Target::Channel { .. } => Lane::Webhook,
        }
    }
}

/// The right to act on a message until the lease ends. Taken by value by `settle`: no double settling.
#[derive(Debug, PartialEq, Eq)]
pub struct Claim {
    pub message: Message,
    /// Counted from 1, lost attempts included.
    pub attempt: u32,
    /// Fencing number: grows with each claim of this message.
    pub lease: u64,
    pub leased_until: Timestamp,
}

/// What to do with a claimed message after an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    pub outcome: Outcome,
    pub at: Timestamp,
    /// When to try again, for `Outcome::Retry`; `None` gives up and marks it failed.
    pub retry_at: Option<Timestamp>,
}

/// One stored evidence entry, exact bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEntry {
    pub idx: u64,
    pub stream: String,
    pub n: u64,
    pub bytes: Vec<u8>,
}

/// A signed checkpoint as stored: the note text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCheckpoint {
    pub size: u64,
    pub root: [u8; 32],
    pub note: String,
}

/// What somebody outside says about a checkpoint, exactly as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAnchor {
    /// Of the checkpoint.
    pub size: u64,
    /// What the token is: [`StoredAnchor::RFC3161`] or [`StoredAnchor::COSIGNATURE`].
    pub kind: String,
    /// Who was asked.
    pub url: String,
    pub token: Vec<u8>,
    /// By our clock.
    pub requested_at: Timestamp,
    pub received_at: Timestamp,
}

impl StoredAnchor {
    /// A `TimeStampResp` over the checkpoint's note.
    pub const RFC3161: &'static str = "rfc3161";
    /// The verifier key of a witness, and the line that it added to the checkpoint's note.
    pub const COSIGNATURE: &'static str = "cosignature/v1";
}

/// Which incidents to list, newest first: in the reverse order of their creation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Only incidents that are not closed.
    pub open_only: bool,
    pub entity: Option<String>,
    /// Only incidents whose record another rulebook planned than the one with this hash.
    pub planned_otherwise: Option<[u8; 32]>,
    /// Continue after this id.
    pub after: Option<IncidentId>,
    pub limit: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// Somebody else changed the incident: reload and decide again.
    Conflict {
        stored: Option<u64>,
    },
    /// Already accepted: the incident of the first request, and whether the request was the same.
    Duplicate {
        incident: IncidentId,
        same_request: bool,
    },
    LeaseLost,
    /// The message stands there already, or further.
    OldNews,
    /// Another checkpoint of this size exists, or the old one is not the current one.
    Fork {
        size: u64,
    },
    NotFound,
    /// Another daemon holds the data folder.
    Locked(String),
    /// The backend failed: disk full, file damaged, database out of reach. Nothing was changed, as far as we can tell.
    Backend(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Conflict { .. } => f.write_str("it was changed meanwhile; read it again and repeat"),
            StoreError::Duplicate { incident, .. } => write!(f, "already accepted as `{incident}`"),
            StoreError::LeaseLost => f.write_str("the lease on the message ended and somebody else has it"),
            StoreError::OldNews => f.write_str("the message is known to be that far already"),
            StoreError::Fork { size } => {
                write!(f, "a different checkpoint of size {size} exists; the log may be forked")
            }
            StoreError::NotFound => f.write_str("not found"),
            StoreError::Locked(path) => {
                write!(f, "another breachclock holds `{path}`; stop it first or choose another [data].dir")
            }
            StoreError::Backend(error) => write!(f, "the store failed: {error}"),
        }
    }
}

impl std::error::Error for StoreError {}

pub type Result<T> = std::result::Result<T, StoreError>;

/// See the module's contract. Every method may be called from several tasks at once.
pub trait Store: Send + Sync + 'static {
    fn commit(&self, change: Changeset) -> impl Future<Output = Result<Receipt>> + Send;
    fn dossier(&self, id: &IncidentId) -> impl Future<Output = Result<Dossier>> + Send;
    /// Messages about an incident or the house, oldest first; the last `limit` of them.
    fn sent(&self, id: &IncidentId, limit: u32) -> impl Future<Output = Result<Vec<Sent>>> + Send;
    fn list(&self, query: Query) -> impl Future<Output = Result<Vec<Dossier>>> + Send;
    /// The incident first accepted under this idempotency key.
    fn accepted(&self, key: &Idempotency) -> impl Future<Output = Result<Option<(IncidentId, bool)>>> + Send;
    /// The incident that was opened with this source and reference.
    fn reported(&self, source: &str, reference: &str) -> impl Future<Output = Result<Option<IncidentId>>> + Send;
    fn due(&self, now: Timestamp, limit: u32) -> impl Future<Output = Result<Due>> + Send;
    /// Messages of one lane, most urgent first; each claim is leased until `now + lease_seconds`.
    fn claim_outbox(
        &self,
        lane: Lane,
        now: Timestamp,
        lease_seconds: u32,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Claim>>> + Send;
    /// Earliest instant at which an unsettled message of the lane may be claimed; one in the past when it may be at once,
    /// and has been since then.
    fn next_outbox(&self, lane: Lane) -> impl Future<Output = Result<Option<Timestamp>>> + Send;
    /// All in one transaction; each refused one ([`StoreError::LeaseLost`]) writes nothing, also no evidence. A lease
    /// that ended counts as long as nobody else claimed the message.
    fn settle(&self, claims: Vec<(Claim, Settlement, Draft)>) -> impl Future<Output = Result<Vec<Result<()>>>> + Send;
    fn entries(&self, range: std::ops::Range<u64>) -> impl Future<Output = Result<Vec<StoredEntry>>> + Send;
    fn stream(&self, stream: &str) -> impl Future<Output = Result<Vec<StoredEntry>>> + Send;
    /// Disclosure bytes by commitment; erased ones are absent.
    fn disclosures(&self, stream: &str) -> impl Future<Output = Result<BTreeMap<[u8; 32], Vec<u8>>>> + Send;
    fn head(&self) -> impl Future<Output = Result<Head>> + Send;
    /// Hashes of complete subtrees (level, index), for proofs.
    fn nodes(&self, wanted: Vec<(u8, u64)>) -> impl Future<Output = Result<Vec<Option<[u8; 32]>>>> + Send;
    fn stream_head(&self, stream: &str) -> impl Future<Output = Result<StreamHead>> + Send;
    fn checkpoint(&self) -> impl Future<Output = Result<Option<StoredCheckpoint>>> + Send;
    fn replace_checkpoint(&self, old: Option<u64>, new: StoredCheckpoint) -> impl Future<Output = Result<()>> + Send;
    /// The smallest checkpoint over at least `size` entries.
    fn checkpoint_over(&self, size: u64) -> impl Future<Output = Result<Option<StoredCheckpoint>>> + Send;
    fn add_anchor(&self, anchor: StoredAnchor) -> impl Future<Output = Result<()>> + Send;
    /// The smallest checkpoint over at least `size` entries that has an anchor of this kind, and the first one it got.
    fn anchor_over(
        &self,
        kind: &'static str,
        size: u64,
    ) -> impl Future<Output = Result<Option<(StoredCheckpoint, StoredAnchor)>>> + Send;
    /// The anchor of this kind that was added last.
    fn last_anchor(&self, kind: &'static str) -> impl Future<Output = Result<Option<StoredAnchor>>> + Send;
    /// The same of one that was asked.
    fn last_anchor_of(
        &self,
        kind: &'static str,
        url: &str,
    ) -> impl Future<Output = Result<Option<StoredAnchor>>> + Send;
    /// All anchors of this kind that the checkpoint over exactly `size` entries has, in the order in which they came.
    fn anchors_at(&self, kind: &'static str, size: u64) -> impl Future<Output = Result<Vec<StoredAnchor>>> + Send;
    fn tokens(&self) -> impl Future<Output = Result<Vec<TokenRecord>>> + Send;
    /// Every account, also disabled ones, by id.
    fn accounts(&self) -> impl Future<Output = Result<Vec<AccountRecord>>> + Send;
    /// A write and a read that prove the store answers; used by the loop that feeds the watchdog.
    fn prove(&self, now: Timestamp) -> impl Future<Output = Result<()>> + Send;
}
