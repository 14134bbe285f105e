//! Time stamps from outside: the only evidence against the operator itself that the log was not written later.
//!
//! ```text
//!  a critical entry ─► at once ┐
//!  the log grew ─► interval ───┼─► checkpoint ─► authorities, in their order ─► stored anchor
//!  nothing new ─► a day ───────┘                        └ none answers: an entry, then back-off; the log goes on
//! ```
//! A time stamp over a checkpoint covers every entry before it. An outage is one entry when it begins and one when it
//! ends, however often it is tried in between and whoever restarts.

use super::evidence_of::SYSTEM;
use super::{Answered, House};
use crate::evidence::tsp::Stamp;
use crate::evidence::{Detail, Hash, sha256};
use crate::notify::authority::Authority;
use crate::rules::utc;
use crate::store::{Store, StoredAnchor, StoredCheckpoint};
use crate::time::Timestamp;
use chrono::TimeDelta;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What is stamped at once.
const CRITICAL: [&str; 8] = [
    "incident.reported",
    "awareness.set",
    "deadline.computed",
    "export.created",
    "disclosure.erased",
    "key.rotated",
    "log.restored",
    "witness.conflict",
];
/// So are acts towards authorities and people.
const CRITICAL_PREFIX: &str = "notification.";
/// Two stamps are at least so far apart: what is written meanwhile shares the next one.
pub(super) const APART_SECONDS: i64 = 5;
/// A stamp also when nothing was written: the log was alive, and is no other one.
pub(super) const DAILY_SECONDS: i64 = 86_400;
/// Back-off after a round in which nobody answered.
pub(super) const FIRST_WAIT_SECONDS: i64 = 30;
pub(super) const LONGEST_WAIT_SECONDS: i64 = 900;
/// Who waits for an export waits for each authority this long at most.
pub const EXPORT_PATIENCE: Duration = Duration::from_secs(4);
/// Longer than the client's own limit: it answers first, and says why.
const PATIENCE: Duration = Duration::from_secs(30);
/// Entries read at once to look for critical ones.
const PAGE: u64 = 1000;
const OUTAGE: &str = "timestamp.outage";
const RESTORED: &str = "timestamp.restored";

/// Whom to ask, how often, and what became of it.
pub struct Anchors {
    pub authorities: Vec<Authority>,
    pub interval_seconds: i64,
    /// Stamps got since start.
    pub made: AtomicU64,
    /// Requests that were not answered by a good stamp, since start.
    pub failed: AtomicU64,
    /// Entries up to here hold nothing critical that is not stamped.
    seen: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Whether the log was asked for an outage that a restart interrupted.
    asked_log: bool,
    outage: Option<Outage>,
    /// Rounds without an answer, and when to try again.
    rounds: u32,
    not_before: Option<Timestamp>,
    last: Option<Timestamp>,
}

#[derive(Clone, Debug)]
struct Outage {
    since: Timestamp,
    errors: String,
}

impl Default for Anchors {
    fn default() -> Anchors {
        Anchors::new(Vec::new(), 3600)
    }
}

impl Anchors {
    pub fn new(authorities: Vec<Authority>, interval_seconds: i64) -> Anchors {
        let none = || AtomicU64::new(0);
        Anchors { authorities, interval_seconds, made: none(), failed: none(), seen: none(), state: Mutex::default() }
    }

    /// When the last stamp was received, as far as this process knows.
    pub fn last(&self) -> Option<Timestamp> {
        self.state().last
    }

    /// Since when no authority answers, and what they say.
    pub fn outage(&self) -> Option<(Timestamp, String)> {
        self.state().outage.as_ref().map(|outage| (outage.since, outage.errors.clone()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // every change is a few assignments: a panic elsewhere leaves nothing half done
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A good answer.
pub(super) struct Stamped {
    pub token: Vec<u8>,
    pub url: String,
    requested_at: Timestamp,
    received_at: Timestamp,
}

impl<S: Store> House<S> {
    /// Has the log stamped when it is time. Answers when to look again; `None` when nobody is there to be asked.
    ///
    /// # Errors
    /// When the store fails. That nobody answers is none: see [`Anchors::outage`].
    pub async fn anchor(&self, clock: fn() -> Timestamp) -> Answered<Option<Timestamp>> {
        if self.anchors.authorities.is_empty() {
            return Ok(None);
        }
        let now = clock();
        self.remember_outage().await?;
        let last = self.store.last_anchor(StoredAnchor::RFC3161).await?;
        self.anchors.state().last = last.as_ref().map(|last| last.received_at);
        let last = last.map(|last| (last.size, last.received_at));
        let due = self.outside_due(last, &self.anchors.seen, now).await?;
        let Some(due) = due else { return Ok(Some(now + TimeDelta::seconds(DAILY_SECONDS))) };
        let due = self.anchors.state().not_before.filter(|at| *at > due).unwrap_or(due);
        if due > now {
            return Ok(Some(due));
        }
        let Some(checkpoint) = self.attest(now).await? else { return Ok(None) };
        match self.ask(&sha256(checkpoint.note.as_bytes()), PATIENCE, &clock).await {
            Ok(stamped) => {
                self.keep_anchor(&checkpoint, &stamped).await?;
                Ok(Some(clock() + TimeDelta::seconds(APART_SECONDS)))
            }
            Err(errors) => self.nobody_answers(errors, clock()).await.map(Some),
        }
    }

    /// When the next word from outside is due, back-off apart: `last` is the size that the last one covers, and when it came.
    /// `None` while there is nothing to ask about. `seen` keeps how far the log was looked through.
    pub(super) async fn outside_due(
        &self,
        last: Option<(u64, Timestamp)>,
        seen: &AtomicU64,
        now: Timestamp,
    ) -> Answered<Option<Timestamp>> {
        let size = self.store.head().await?.size;
        if size == 0 {
            return Ok(None);
        }
        let Some((covered, at)) = last else { return Ok(Some(now)) };
        // one from the future was made on a clock that was ahead: it puts nothing off
        let at = at.min(now);
        let wait = if self.is_critical_since(covered, size, seen).await? {
            APART_SECONDS
        } else if size > covered {
            self.anchors.interval_seconds
        } else {
            DAILY_SECONDS
        };
        Ok(Some(at + TimeDelta::seconds(wait)))
    }

    async fn is_critical_since(&self, covered: u64, size: u64, seen: &AtomicU64) -> Answered<bool> {
        let mut from = seen.load(Ordering::Relaxed).max(covered);
        while from < size {
            let entries = self.store.entries(from..(from + PAGE).min(size)).await?;
            for entry in &entries {
                let kind = kind_of(&entry.bytes);
                if CRITICAL.contains(&kind) || kind.starts_with(CRITICAL_PREFIX) {
                    return Ok(true);
                }
                from = entry.idx + 1;
            }
            seen.store(from, Ordering::Relaxed);
            if entries.is_empty() {
                break;
            }
        }
        Ok(false)
    }

    /// Asks the authorities in their order until one answers well.
    ///
    /// # Errors
    /// Name and words of each.
    pub(super) async fn ask(
        &self,
        hash: &Hash,
        patience: Duration,
        clock: &(dyn Fn() -> Timestamp + Sync),
    ) -> Result<Stamped, Vec<(String, String)>> {
        let mut errors = Vec::new();
        for authority in &self.anchors.authorities {
            let mut nonce = [0; 8];
            self.entropy.fill(&mut nonce);
            let requested_at = clock();
            let answer = match tokio::time::timeout(patience, authority.stamp(hash, nonce)).await {
                Ok(answer) => answer,
                Err(_) => Err(format!("authority `{}`: no answer in time", authority.name)),
            };
            match answer {
                Ok((token, stamp)) => {
                    let (url, received_at) = (authority.url.clone(), clock());
                    self.tell_of(&errors, &authority.name, &stamp, received_at);
                    return Ok(Stamped { token, url, requested_at, received_at });
                }
                Err(error) => {
                    self.anchors.failed.fetch_add(1, Ordering::Relaxed);
                    errors.push((authority.name.clone(), error));
                }
            }
        }
        Err(errors)
    }

    /// What a person should mend although there is a stamp.
    fn tell_of(&self, errors: &[(String, String)], name: &str, stamp: &Stamp, received_at: Timestamp) {
        let failing = (!errors.is_empty()).then(|| {
            let words: Vec<&str> = errors.iter().map(|(_, error)| error.as_str()).collect();
            format!("time stamps come from `{name}` because others fail: {}", words.join("; "))
        });
        self.stats.health.warn("timestamp", failing);
        let apart = (stamp.at - received_at).num_seconds();
        let differs = (apart.abs() > 60).then(|| {
            format!(
                "the clock of authority `{name}` and ours are {} s apart; see to the clock of this machine",
                apart.abs()
            )
        });
        self.stats.health.warn("timestamp-clock", differs);
    }

    /// Keeps a stamp over a checkpoint, and records the end of an outage.
    pub(super) async fn keep_anchor(&self, checkpoint: &StoredCheckpoint, stamped: &Stamped) -> Answered<()> {
        let anchor = StoredAnchor {
            size: checkpoint.size,
            kind: StoredAnchor::RFC3161.into(),
            url: stamped.url.clone(),
            token: stamped.token.clone(),
            requested_at: stamped.requested_at,
            received_at: stamped.received_at,
        };
        self.store.add_anchor(anchor).await?;
        self.anchors.made.fetch_add(1, Ordering::Relaxed);
        let ended = {
            let mut state = self.anchors.state();
            (state.rounds, state.not_before, state.last) = (0, None, Some(stamped.received_at));
            state.outage.clone()
        };
        if let Some(outage) = ended {
            let detail = Detail::made(json!({ "since": utc(outage.since), "authority": host_of(&stamped.url) }));
            self.record_system(RESTORED, detail, stamped.received_at).await?;
            self.anchors.state().outage = None;
            tracing::info!("time stamps are made again");
        }
        Ok(())
    }

    /// The beginning of an outage is an entry; every round makes the wait longer. Answers when to try again.
    async fn nobody_answers(&self, errors: Vec<(String, String)>, now: Timestamp) -> Answered<Timestamp> {
        let words: Vec<&str> = errors.iter().map(|(_, error)| error.as_str()).collect();
        let words = words.join("; ");
        let (begins, next) = {
            let mut state = self.anchors.state();
            let wait = (FIRST_WAIT_SECONDS << state.rounds.min(10)).min(LONGEST_WAIT_SECONDS);
            let next = now + TimeDelta::seconds(wait);
            state.rounds += 1;
            state.not_before = Some(next);
            if let Some(outage) = &mut state.outage {
                outage.errors.clone_from(&words);
            }
            (state.outage.is_none(), next)
        };
        if begins {
            tracing::warn!(errors = %words, "no time-stamping authority answers; the log goes on and is stamped later");
            let said: Vec<Value> =
                errors.iter().map(|(name, error)| json!({ "authority": name, "error": error })).collect();
            // before the entry: whether it can be written or not, there is an outage
            self.anchors.state().outage = Some(Outage { since: now, errors: words });
            if let Err(error) = self.record_system(OUTAGE, Detail::made(json!({ "authorities": said })), now).await {
                // not in the log: the next round begins it again
                self.anchors.state().outage = None;
                return Err(error);
            }
        }
        Ok(next)
    }

    /// After a start: an outage that the log says has begun and not ended goes on.
    async fn remember_outage(&self) -> Answered<()> {
        if self.anchors.state().asked_log {
            return Ok(());
        }
        let entries = self.store.stream(SYSTEM).await?;
        let last = entries.iter().rev().find(|entry| [OUTAGE, RESTORED].contains(&kind_of(&entry.bytes)));
        let open = last.filter(|entry| kind_of(&entry.bytes) == OUTAGE).and_then(|entry| {
            let entry: Value = serde_json::from_slice(&entry.bytes).ok()?;
            let said = entry["body"]["authorities"].as_array()?;
            let words: Vec<&str> = said.iter().filter_map(|one| one["error"].as_str()).collect();
            Some(Outage { since: entry["ts"].as_str()?.parse().ok()?, errors: words.join("; ") })
        });
        let mut state = self.anchors.state();
        (state.asked_log, state.outage) = (true, open);
        Ok(())
    }
}

/// The type of an entry. Its envelope has a fixed order, and no string before the type can hold a quote.
pub(super) fn kind_of(entry: &[u8]) -> &str {
    const MARK: &[u8] = b",\"type\":\"";
    let Some(at) = entry.windows(MARK.len()).position(|window| window == MARK) else { return "" };
    let rest = &entry[at + MARK.len()..];
    let end = rest.iter().position(|byte| *byte == b'"').unwrap_or(0);
    std::str::from_utf8(&rest[..end]).unwrap_or_default()
}

/// The host of an address: a path may be a secret.
pub(super) fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())]
}
