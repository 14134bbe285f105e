//! One file per verb. Each reads a dossier, asks pure functions, and commits one changeset: the only place where the pure
//! and the impure meet.
//!
//! Absent here: clocks and randomness (both are arguments), HTTP, SQL.

pub mod access_log;
pub mod accounts;
pub mod anchor;
pub mod assess;
pub mod attachments;
pub mod attest;
pub mod backups;
pub mod calendar;
pub mod check_law;
pub mod correct;
mod custody;
pub mod decisions;
pub mod deliver;
pub mod digests;
pub mod discharge;
pub mod draft;
pub mod erase;
pub mod evidence_of;
pub mod exercise;
pub mod export;
pub mod fsck;
pub mod health;
mod ical;
pub mod inbound;
pub mod ingest;
pub mod intake;
mod kept;
mod lateness;
pub mod law_changes;
pub mod life;
pub mod log;
mod names;
mod outline;
pub mod overview;
pub mod read;
pub mod rebuild;
pub mod register;
pub mod replay;
mod review;
pub mod rulebook;
pub mod senders;
pub mod sheet;
pub mod silences;
mod stamps;
mod status;
pub mod tally;
pub mod tokens;
pub mod vary;
pub mod view;
pub mod wake;
mod withdraw;
pub mod witness;
pub mod worked;

use crate::escalation::{Directory, EscalationPolicy, Route, policy_for};
use crate::evidence::SigningKey;
use crate::ingest::Rejection;
use crate::law::{DutyId, Entity, Incident, Obligation};
use crate::rules::Rulebook;
use crate::store::{self, Change, Changeset, Receipt, Store, StoreError};
use crate::time::Timestamp;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

pub use accounts::{AccountChange, AccountView, Doors, Federation, LoggedIn, NewAccount, Pending};
pub use assess::{Assessed, WhatIf};
pub use attachments::{Attach, Attached, AttachmentKind, AttachmentView, MemoryShelf, Shelf};
pub use backups::{BackupMade, BackupPlan, KnownCheckpoint, MOST_LOST, Restoration};
pub use decisions::{BasisView, DecisionView, InputView, Waiting};
pub use digests::{DigestLog, DigestPlan, Part as DigestPart};
pub use draft::{Drafted, FormChoice};
pub use health::{Discipline, Happening, Health, Machine};
pub use kept::EarlierBooks;
pub use life::LifePlan;
pub use outline::Part;
pub use register::{BreachStatus, Register, RegisterFile, RegisterFormat, RegisterRequest};
pub use rulebook::Replanned;
pub use view::*;

/// Randomness, injected: ids, nonces, salts, tokens. `daemon::ids` gives the system's, tests a seeded one.
pub trait Entropy: Send + Sync + 'static {
    fn fill(&self, bytes: &mut [u8]);
}

/// Everything a verb needs. `S` is chosen once, at the top.
pub struct House<S> {
    pub store: Arc<S>,
    pub book: RwLock<Arc<Rulebook>>,
    /// Forms of notices, as last read.
    pub forms: RwLock<Arc<crate::draft::Forms>>,
    pub settings: Settings,
    pub entropy: Box<dyn Entropy>,
    pub log_key: SigningKey,
    pub export_key: SigningKey,
    /// Texts of rule packs by SHA-256, also of earlier rulebooks: an export carries what was decided with.
    pub archive: RuleArchive,
    /// Where the files of incidents lie.
    pub attachments: Arc<dyn Shelf>,
    /// Earlier rulebooks whose limits still stand somewhere.
    pub earlier: EarlierBooks,
    /// Told after each commit that may have moved a wake-up or filled the outbox, and carries changes to the event stream.
    pub changed: tokio::sync::watch::Sender<u64>,
    pub stats: Stats,
    /// Indices of the entries by which the log key was changed, ascending.
    pub key_changes: Vec<u64>,
    /// Who outside dates the log.
    pub anchors: anchor::Anchors,
    /// Who outside would notice a second history of it.
    pub witnesses: witness::Witnesses,
    /// Who may come in, as last read; failed attempts; the link of the first start.
    pub doors: accounts::Doors,
}

/// Finds a rule text by its SHA-256.
pub type RuleArchive = Box<dyn Fn(&[u8; 32]) -> Option<Vec<u8>> + Send + Sync>;

/// What the verbs need of the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the evidence log.
    pub origin: String,
    pub public_url: String,
    pub entities: Vec<Entity>,
    pub directory: Directory,
    pub policies: Vec<EscalationPolicy>,
    /// Which policy serves what; the first that fits.
    pub routes: Vec<Route>,
    /// Ids of webhooks and the events they want.
    pub webhooks: Vec<(String, Vec<String>)>,
    /// Other tools whose webhooks we take, in the order of the configuration.
    pub ingest: Vec<ingest::Source>,
    /// Set in an exercise: every message and page says so.
    pub drill: Option<Exercise>,
    /// The configuration in words, for those who oversee the installation.
    pub overview: overview::Overview,
}

/// An exercise on synthetic time.
#[derive(Clone, Copy, Debug)]
pub struct Exercise {
    /// The wall clock at an instant of the exercise: what leaves the house is dated by it.
    pub wall: fn(Timestamp) -> Timestamp,
}

/// Counters for `/metrics` and `/status`.
#[derive(Default)]
pub struct Stats {
    pub reports: std::sync::atomic::AtomicU64,
    pub messages_handed_over: std::sync::atomic::AtomicU64,
    pub messages_failed: std::sync::atomic::AtomicU64,
    pub wakes: std::sync::atomic::AtomicU64,
    pub conflicts: std::sync::atomic::AtomicU64,
    /// Unix microseconds of the last proven loop; 0 before the first.
    pub last_loop: std::sync::atomic::AtomicI64,
    /// Unix microseconds of the last signed checkpoint; 0 before the first.
    pub last_checkpoint: std::sync::atomic::AtomicI64,
    /// Unix microseconds of when the whole log was last recomputed and held against its signed checkpoint; 0 before.
    pub last_verification: std::sync::atomic::AtomicI64,
    /// Unix microseconds of the last backup made since the start; 0 before the first.
    pub last_backup: std::sync::atomic::AtomicI64,
    /// How late the last wake-up was handled, microseconds.
    pub last_lag: std::sync::atomic::AtomicI64,
    /// Ways out that take nothing at present: `mail`, `webhook:<id>`.
    pub failing: std::sync::Mutex<std::collections::BTreeMap<String, Failing>>,
    /// The last decision that the store could not keep, and when; `None` when a later one was kept.
    pub refused: std::sync::Mutex<Option<(Timestamp, String)>>,
    /// The last error of the scheduler loop; `None` when the last loop was proven.
    pub fault: std::sync::Mutex<Option<String>>,
    pub health: Health,
    /// Obligations as they were counted last.
    pub tallies: std::sync::Mutex<Option<tally::Tallies>>,
    /// Open incidents as the board last read them.
    pub outline: tokio::sync::Mutex<Option<outline::Outline>>,
    /// The clock was set back, and alarms were not set again since.
    pub set_back: std::sync::atomic::AtomicBool,
}

/// A way out whose attempts fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failing {
    /// End of the first failed attempt after the last one that was answered.
    pub since: Timestamp,
    pub attempts: u64,
    /// Of the last attempt.
    pub error: String,
}

/// Who asks. Made by authentication, never by the caller's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Id of the token or person; goes into evidence as the actor.
    pub name: String,
    pub role: Role,
    /// Entities it is limited to; empty means all.
    pub entities: Vec<String>,
}

impl Caller {
    pub fn system() -> Caller {
        Caller { name: "breachclock".into(), role: Role::Admin, entities: Vec::new() }
    }

    pub fn may_see(&self, entity: &Entity) -> bool {
        self.entities.is_empty() || entity.id.as_ref().is_some_and(|id| self.entities.contains(id))
    }
}

/// The five roles of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Reporter,
    Responder,
    Approver,
    Auditor,
    Admin,
}

/// What a caller wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Open incidents, add facts.
    Report,
    /// Read incidents, obligations, the board.
    Read,
    /// Acknowledge, file, justify a delay.
    Respond,
    /// Decide not to notify, sign off.
    Approve,
    /// Export bundles.
    Export,
    /// See how the installation is set up, and who did what in it.
    Oversee,
    /// Erase personal values, hold them, withhold them from exports.
    Erase,
    Administer,
}

impl Role {
    pub const ALL: [Role; 5] = [Role::Reporter, Role::Responder, Role::Approver, Role::Auditor, Role::Admin];

    pub fn as_str(self) -> &'static str {
        match self {
            Role::Reporter => "reporter",
            Role::Responder => "responder",
            Role::Approver => "approver",
            Role::Auditor => "auditor",
            Role::Admin => "admin",
        }
    }

    pub fn parse(word: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|r| r.as_str() == word)
    }

    pub fn may(self, right: Right) -> bool {
        match right {
            Right::Read => true,
            Right::Report => !matches!(self, Role::Auditor),
            Right::Respond => matches!(self, Role::Responder | Role::Approver | Role::Admin),
            Right::Approve | Right::Erase => matches!(self, Role::Approver | Role::Admin),
            Right::Export => matches!(self, Role::Auditor | Role::Approver | Role::Admin),
            Right::Oversee => matches!(self, Role::Auditor | Role::Admin),
            Right::Administer => matches!(self, Role::Admin),
        }
    }
}

crate::law::schema_of_words!(Role);

/// Why a verb did not do what it was asked.
#[derive(Debug)]
pub enum Trouble {
    /// The input is wrong: every fault, with its pointer.
    Rejected(Vec<Rejection>),
    NotFound(String),
    /// The caller's role or entities do not allow it.
    NotPermitted(String),
    /// `If-Match` named another version.
    Stale {
        current: u64,
    },
    /// The idempotency key was used with another request.
    KeyReused,
    /// The state of things does not allow it, with what to do instead.
    NotNow(String),
    Store(StoreError),
}

/// The input is wrong in one place; `pointer` is that of RFC 6901.
fn rejected(pointer: &str, text: impl Into<String>) -> Trouble {
    Trouble::Rejected(vec![Rejection { pointer: pointer.into(), line: None, text: text.into() }])
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Rejected(rejections) => {
                for (at, rejection) in rejections.iter().enumerate() {
                    if at > 0 {
                        f.write_str("; ")?;
                    }
                    write!(f, "{rejection}")?;
                }
                Ok(())
            }
            Trouble::NotFound(what) => write!(f, "there is no {what}"),
            Trouble::NotPermitted(why) | Trouble::NotNow(why) => f.write_str(why),
            Trouble::Stale { current } => {
                write!(
                    f,
                    "the incident is at version {current} by now; read it again and repeat with `If-Match: \"{current}\"`"
                )
            }
            Trouble::KeyReused => f.write_str("this idempotency key was used with another request; choose a new key"),
            Trouble::Store(error) => write!(f, "{error}"),
        }
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Trouble {
        match error {
            StoreError::NotFound => Trouble::NotFound("such incident".into()),
            other => Trouble::Store(other),
        }
    }
}

pub type Answered<T> = Result<T, Trouble>;

impl<S: Store> House<S> {
    pub fn book(&self) -> Arc<Rulebook> {
        self.book.read().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    fn permit(&self, caller: &Caller, right: Right) -> Answered<()> {
        if caller.role.may(right) {
            return Ok(());
        }
        Err(Trouble::NotPermitted(format!("the role `{}` may not do this", caller.role.as_str())))
    }

    /// The way to the store for every decision. One that cannot be kept is remembered, and has the scheduler prove the
    /// store at once: a full disk shows in what is refused, long before the next round.
    async fn commit(&self, changeset: Changeset) -> store::Result<Receipt> {
        let (at, whole) = (changeset.first.at, matches!(changeset.change, Change::Incident { .. }));
        let result = self.store.commit(changeset).await;
        let note = |refused| *self.stats.refused.lock().unwrap_or_else(PoisonError::into_inner) = refused;
        match &result {
            // what is small may still find room
            Ok(_) if whole => note(None),
            Err(StoreError::Backend(error)) => {
                note(Some((at, error.clone())));
                self.announce();
            }
            _ => {}
        }
        result
    }

    /// Wakes the scheduler and whoever watches the event stream.
    fn announce(&self) {
        self.changed.send_modify(|n| *n += 1);
    }

    fn nonce(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        self.entropy.fill(&mut bytes);
        bytes
    }

    /// `inc-` and a ULID: 48 bits of milliseconds, 80 random bits, Crockford base32 in lower case.
    fn new_incident_id(&self, now: Timestamp) -> crate::law::IncidentId {
        crate::law::IncidentId(format!("inc-{}", self.ulid(now)))
    }

    fn ulid(&self, now: Timestamp) -> String {
        ulid(self.entropy.as_ref(), now)
    }

    /// The policy that serves a duty of an incident.
    fn policy_for(&self, incident: &Incident, duty: &DutyId) -> &EscalationPolicy {
        let (entity, settings) = (&incident.entity, &self.settings);
        let fact = |key: &str| {
            let value = incident.facts.get(key)?;
            Some(match read::value_json(value) {
                serde_json::Value::String(text) => text,
                other => other.to_string(),
            })
        };
        let own = entity.policy.as_deref();
        policy_for(&settings.policies, &settings.routes, own, entity.id.as_deref(), &duty.0, &fact)
    }

    /// Until when the policy wants an open norm done: it has no limit of its own.
    fn internal_target(&self, incident: &Incident, o: &Obligation) -> Option<Timestamp> {
        if o.internal_target.is_some() || o.promptly.is_none() || o.standing.deadline().is_some() {
            return o.internal_target;
        }
        let seconds = self.policy_for(incident, &o.duty).open_norm_target_seconds?;
        let started = o.started_by.as_ref().filter(|_| o.standing.is_open())?;
        Some(started.at + chrono::Duration::seconds(seconds))
    }
}

/// 48 bits of milliseconds, 80 random bits, Crockford base32 in lower case.
pub fn ulid(entropy: &dyn Entropy, now: Timestamp) -> String {
    let mut random = [0u8; 10];
    entropy.fill(&mut random);
    let mut value = u128::from(now.timestamp_millis().max(0) as u64) << 80;
    for (at, byte) in random.iter().enumerate() {
        value |= u128::from(*byte) << (8 * (9 - at));
    }
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    (0..26).map(|at| ALPHABET[(value >> (125 - 5 * at)) as usize & 31] as char).collect()
}
