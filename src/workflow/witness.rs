//! Witnesses: they cosign a checkpoint only when it grew from the last one they saw, so two histories of one log cannot
//! both be cosigned.
//!
//! ```text
//!  the rhythm of the time stamps ─► checkpoint, proof from the size it saw last ─► witness ─┬─► cosignature, stored
//!                       ▲                                                                   │
//!                       └───── ask again from there ◄──────────── it saw another size (409) ┤
//!                              an entry, then back-off; the log goes on ◄── does not answer ┤
//!                              an entry, an alarm in the log and in `/status` ◄─ saw another log
//! ```
//! Each is asked for itself: one that does not answer holds up no other. Absent: the meaning of the words
//! (`evidence::witness`), connections (`notify::witness`).

use super::anchor::{APART_SECONDS, DAILY_SECONDS, EXPORT_PATIENCE, FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS, kind_of};
use super::evidence_of::SYSTEM;
use super::{Answered, House, Trouble, WitnessView};
use crate::evidence::witness::{Reply, Words};
use crate::evidence::{Checkpoint, Cosignature, Detail, hex, merkle};
use crate::notify::witness::Witness;
use crate::rules::utc;
use crate::store::{Store, StoredAnchor, StoredCheckpoint};
use crate::time::Timestamp;
use chrono::TimeDelta;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

const KIND: &str = StoredAnchor::COSIGNATURE;
const OUTAGE: &str = "witness.outage";
const CONFLICT: &str = "witness.conflict";
const RESTORED: &str = "witness.restored";
/// Requests of one round: a witness whose size changes with every answer is not followed for ever.
const TRIES: usize = 4;
/// Clocks further apart are told of.
const APART_CLOCKS_SECONDS: i64 = 60;

/// Whom to ask, and what became of it.
#[derive(Default)]
pub struct Witnesses {
    pub list: Vec<Watched>,
    /// Cosignatures got since start.
    pub made: AtomicU64,
    /// Rounds that brought none, since start.
    pub failed: AtomicU64,
}

/// A witness, and how it stands with it.
pub struct Watched {
    pub witness: Witness,
    /// The size that it saw last, as far as this process knows: the first request asks.
    known: AtomicU64,
    /// Entries up to here hold nothing critical that it has not seen.
    seen: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Whether the log was asked for what a restart interrupted.
    asked_log: bool,
    fault: Option<Fault>,
    /// Rounds without a cosignature, and when to try again.
    rounds: u32,
    not_before: Option<Timestamp>,
    /// Seconds that its clock is apart from ours.
    apart: i64,
}

/// Why it does not cosign at present.
#[derive(Clone, Debug)]
struct Fault {
    since: Timestamp,
    /// It saw another log than this one.
    other_log: bool,
    error: String,
}

/// What a round without a cosignature found.
struct Refused {
    other_log: bool,
    /// The size that it saw last, where it says so.
    knows: Option<u64>,
    /// Size and root that it was asked about.
    size: u64,
    root: [u8; 32],
    words: Words,
}

impl Witnesses {
    pub fn new(witnesses: Vec<Witness>) -> Witnesses {
        let none = || AtomicU64::new(0);
        let watched = |witness| Watched { witness, known: none(), seen: none(), state: Mutex::default() };
        Witnesses { list: witnesses.into_iter().map(watched).collect(), made: none(), failed: none() }
    }

    /// How many do not cosign, and how many of them because they saw another log.
    pub fn faults(&self) -> (usize, usize) {
        let faults: Vec<bool> =
            self.list.iter().filter_map(|one| one.state().fault.as_ref().map(|f| f.other_log)).collect();
        (faults.len(), faults.iter().filter(|other_log| **other_log).count())
    }

    /// What a person should mend.
    pub fn warnings(&self, now: Timestamp) -> Vec<String> {
        let mut warnings = Vec::new();
        for watched in &self.list {
            let (name, state) = (watched.name(), watched.state());
            match &state.fault {
                Some(fault) if fault.other_log => warnings.push(format!("since {}: {}", utc(fault.since), fault.error)),
                Some(fault) => warnings.push(format!(
                    "witness `{name}` has not cosigned since {} ({} h): {}. the log goes on, and what is written meanwhile \
                     is cosigned later",
                    utc(fault.since),
                    (now - fault.since).num_hours(),
                    fault.error
                )),
                None => {}
            }
            if state.apart.abs() > APART_CLOCKS_SECONDS {
                warnings.push(format!(
                    "the clock of witness `{name}` and ours are {} s apart; see to the clock of this machine",
                    state.apart.abs()
                ));
            }
        }
        warnings
    }
}

impl Watched {
    fn name(&self) -> &str {
        &self.witness.key.name
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // every change is a few assignments: a panic elsewhere leaves nothing half done
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Store> House<S> {
    /// Has one witness cosign the log when it is time. Answers when to look again; `None` when there is no such witness.
    ///
    /// # Errors
    /// When the store fails. That the witness does not cosign is none: see [`Witnesses::warnings`].
    pub async fn cosign(&self, witness: usize, clock: fn() -> Timestamp) -> Answered<Option<Timestamp>> {
        let Some(watched) = self.witnesses.list.get(witness) else { return Ok(None) };
        let now = clock();
        self.remember_fault(watched).await?;
        let last = self.last_cosignature(watched).await?.map(|last| (last.size, last.received_at));
        let due = self.outside_due(last, &watched.seen, now).await?;
        let Some(due) = due else { return Ok(Some(now + TimeDelta::seconds(DAILY_SECONDS))) };
        let due = watched.state().not_before.filter(|at| *at > due).unwrap_or(due);
        if due > now {
            return Ok(Some(due));
        }
        let Some(checkpoint) = self.attest(now).await? else { return Ok(None) };
        match self.ask_witness(watched, checkpoint, &clock).await? {
            Ok(_) => Ok(Some(clock() + TimeDelta::seconds(APART_SECONDS))),
            Err(refused) => {
                self.witnesses.failed.fetch_add(1, Ordering::Relaxed);
                self.does_not_cosign(watched, refused, clock()).await.map(Some)
            }
        }
    }

    /// The cosignatures under the checkpoint of an export, in the order of a note. Witnesses of which there is none are asked
    /// with little patience; the export goes on without.
    pub(super) async fn cosignatures(
        &self,
        checkpoint: &StoredCheckpoint,
        now: Timestamp,
    ) -> Answered<Vec<Cosignature>> {
        let found = self.cosignatures_at(checkpoint).await?;
        let missing = self.witnesses.list.iter().filter(|one| !found.iter().any(|c| c.by == one.witness.key));
        let asked = missing.map(|one| async move {
            let clock = || now;
            let round = self.ask_witness(one, checkpoint.clone(), &clock);
            match tokio::time::timeout(EXPORT_PATIENCE, round).await {
                Ok(Ok(Ok(size))) => Ok(size == checkpoint.size),
                // the task that asks in its rhythm records what is wrong
                Ok(Ok(Err(refused))) => {
                    tracing::warn!(witness = one.name(), error = %refused.words, "an export is made without a cosignature");
                    Ok(false)
                }
                Ok(Err(trouble)) => Err(trouble),
                Err(_) => {
                    tracing::warn!(witness = one.name(), "an export is made without a cosignature: no answer in time");
                    Ok(false)
                }
            }
        });
        let mut more = false;
        for round in futures_util::future::join_all(asked).await {
            more |= round?;
        }
        if more { self.cosignatures_at(checkpoint).await } else { Ok(found) }
    }

    /// The stored ones that hold, each witness once.
    pub(super) async fn cosignatures_at(&self, stored: &StoredCheckpoint) -> Answered<Vec<Cosignature>> {
        let checkpoint = read(stored)?;
        let mut found: Vec<Cosignature> = Vec::new();
        for anchor in self.store.anchors_at(KIND, stored.size).await? {
            match Cosignature::from_token(&anchor.token, &checkpoint) {
                Some(one) if !found.iter().any(|other| other.order() == one.order()) => found.push(one),
                Some(_) => {}
                None => tracing::error!(size = stored.size, "a stored cosignature does not hold; it is left out"),
            }
        }
        found.sort_by_key(Cosignature::order);
        Ok(found)
    }

    /// The last one by the configured key: a witness that changed it is asked at once.
    async fn last_cosignature(&self, watched: &Watched) -> Answered<Option<StoredAnchor>> {
        let last = self.store.last_anchor_of(KIND, &watched.witness.url).await?;
        let vkey = watched.witness.key.to_vkey() + "\n";
        Ok(last.filter(|last| last.token.starts_with(vkey.as_bytes())))
    }

    /// Asks, from the size that the witness knows on, and keeps what it signs. Answers the size that was cosigned.
    async fn ask_witness(
        &self,
        watched: &Watched,
        mut stored: StoredCheckpoint,
        clock: &(dyn Fn() -> Timestamp + Sync),
    ) -> Answered<Result<u64, Refused>> {
        let mut old = watched.known.load(Ordering::Relaxed);
        let mut knows = None;
        for _ in 0..TRIES {
            let (checkpoint, size) = (read(&stored)?, stored.size);
            old = old.min(size);
            let proof = self.with_nodes(|nodes| merkle::consistency(nodes, old, size)).await?;
            let requested_at = clock();
            let refused =
                |other_log, knows, words| Ok(Err(Refused { other_log, knows, size, root: checkpoint.root, words }));
            match watched.witness.ask(old, &proof, &checkpoint).await {
                Reply::Cosigned(cosignature) => {
                    watched.known.store(size, Ordering::Relaxed);
                    self.keep_cosignature(watched, size, &cosignature, requested_at, clock()).await?;
                    return Ok(Ok(size));
                }
                Reply::Knows(at) => {
                    (old, knows) = (at, Some(at));
                    if at <= size {
                        continue;
                    }
                    // another node of this log may have asked, or this one since
                    if self.store.head().await?.size < at {
                        return refused(true, knows, Words::from("409".to_string()));
                    }
                    match self.attest(clock()).await? {
                        Some(newer) if newer.size >= at => stored = newer,
                        _ => return refused(false, knows, Words::from("the log grows; it is asked again".to_string())),
                    }
                }
                Reply::OtherLog(words) => return refused(true, knows.or(Some(old).filter(|old| *old > 0)), words),
                Reply::Unknown(words) => return refused(false, knows, self.introduce(words)),
                Reply::Failed(words) => return refused(false, knows, words),
            }
        }
        let words = Words::from("the size that it knows changes with every answer".to_string());
        Ok(Err(Refused { other_log: false, knows, size: stored.size, root: stored.root, words }))
    }

    /// What to do about a witness that does not know us. So it is after a change of the log key.
    fn introduce(&self, words: Words) -> Words {
        let (origin, vkey) = (&self.settings.origin, self.log_key.public().to_vkey(&self.settings.origin));
        let what = format!(
            "it does not know the log `{origin}` or its key ({}); give whoever runs it the verifier key of the log, `{vkey}`",
            words.what
        );
        Words { what, said: words.said }
    }

    /// Keeps a cosignature, and records that the witness cosigns again.
    async fn keep_cosignature(
        &self,
        watched: &Watched,
        size: u64,
        cosignature: &Cosignature,
        requested_at: Timestamp,
        received_at: Timestamp,
    ) -> Answered<()> {
        let (kind, url) = (KIND.to_string(), watched.witness.url.clone());
        let token = cosignature.token();
        self.store.add_anchor(StoredAnchor { size, kind, url, token, requested_at, received_at }).await?;
        self.witnesses.made.fetch_add(1, Ordering::Relaxed);
        let ended = {
            let mut state = watched.state();
            (state.rounds, state.not_before) = (0, None);
            state.apart = (cosignature.at - received_at).num_seconds();
            state.fault.clone()
        };
        if let Some(fault) = ended {
            let detail = Detail::made(json!({ "witness": watched.name(), "since": utc(fault.since) }));
            self.record_system(RESTORED, detail, received_at).await?;
            watched.state().fault = None;
            tracing::info!(witness = watched.name(), "the witness cosigns the log again");
        }
        Ok(())
    }

    /// The beginning is an entry, and so is a log that became another one; every round makes the wait longer. Answers when to
    /// try again.
    async fn does_not_cosign(&self, watched: &Watched, refused: Refused, now: Timestamp) -> Answered<Timestamp> {
        let name = watched.name();
        let error = if refused.other_log { other_log(name, &refused) } else { refused.words.to_string() };
        let (before, next) = {
            let mut state = watched.state();
            let wait = (FIRST_WAIT_SECONDS << state.rounds.min(10)).min(LONGEST_WAIT_SECONDS);
            let next = now + TimeDelta::seconds(wait);
            state.rounds += 1;
            state.not_before = Some(next);
            let before = state.fault.clone();
            // that it saw another log is not forgotten because it is silent today
            if let Some(fault) = state.fault.as_mut().filter(|fault| fault.other_log == refused.other_log) {
                fault.error.clone_from(&error);
            }
            (before, next)
        };
        let begins = before.as_ref().is_none_or(|fault| refused.other_log && !fault.other_log);
        if !begins {
            return Ok(next);
        }
        let (kind, detail) = match refused.other_log {
            true => {
                tracing::error!(witness = name, "{error}");
                let (size, root) = (refused.size, hex(&refused.root));
                let said = json!({
                    "witness": name, "answer": refused.words.what, "witness_size": refused.knows, "size": size, "root": root,
                });
                (CONFLICT, said)
            }
            false => {
                tracing::warn!(witness = name, %error, "a witness does not cosign; the log goes on and is cosigned later");
                (OUTAGE, json!({ "witness": name, "error": refused.words.what }))
            }
        };
        // before the entry: whether it can be written or not, it is so
        watched.state().fault = Some(Fault { since: now, other_log: refused.other_log, error });
        if let Err(error) = self.record_system(kind, Detail::made(detail), now).await {
            // not in the log: the next round begins it again
            watched.state().fault = before;
            return Err(error);
        }
        Ok(next)
    }

    /// After a start: what the log says has begun and not ended goes on.
    async fn remember_fault(&self, watched: &Watched) -> Answered<()> {
        if watched.state().asked_log {
            return Ok(());
        }
        let entries = self.store.stream(SYSTEM).await?;
        let ours = entries.iter().rev().filter(|entry| [OUTAGE, CONFLICT, RESTORED].contains(&kind_of(&entry.bytes)));
        let mut read = ours.filter_map(|entry| serde_json::from_slice::<Value>(&entry.bytes).ok());
        let last = read.find(|entry| entry["body"]["witness"] == watched.name());
        let open = last.filter(|entry| entry["type"] != RESTORED).and_then(|entry| {
            let (body, other_log) = (&entry["body"], entry["type"] == CONFLICT);
            let error = match other_log {
                true => {
                    let words = Words::from(body["answer"].as_str()?.to_string());
                    let (knows, size) = (body["witness_size"].as_u64(), body["size"].as_u64()?);
                    other_log_words(watched.name(), knows, size, &words)
                }
                false => body["error"].as_str()?.to_string(),
            };
            Some(Fault { since: entry["ts"].as_str()?.parse().ok()?, other_log, error })
        });
        let mut state = watched.state();
        (state.asked_log, state.fault) = (true, open);
        Ok(())
    }

    /// Each witness, for `/status`.
    pub(super) async fn witness_views(&self) -> Vec<WitnessView> {
        let mut views = Vec::new();
        for watched in &self.witnesses.list {
            let last = self.last_cosignature(watched).await.ok().flatten();
            let fault = watched.state().fault.clone();
            views.push(WitnessView {
                name: watched.name().to_string(),
                last_cosignature: last.as_ref().map(|last| utc(last.received_at)),
                size: last.map(|last| last.size),
                failing_since: fault.as_ref().map(|fault| utc(fault.since)),
                saw_another_log: fault.as_ref().is_some_and(|fault| fault.other_log),
                error: fault.map(|fault| fault.error),
            });
        }
        views
    }
}

/// One of our own, as kept.
fn read(stored: &StoredCheckpoint) -> Answered<Checkpoint> {
    let read = Checkpoint::parse(&stored.note).map_err(|error| Trouble::NotNow(error.to_string()))?;
    Ok(read.claimed().clone())
}

fn other_log(name: &str, refused: &Refused) -> String {
    other_log_words(name, refused.knows, refused.size, &refused.words)
}

/// What is wrong when a witness saw another log, and what to do.
fn other_log_words(name: &str, knows: Option<u64>, size: u64, words: &Words) -> String {
    let saw = match knows {
        Some(knows) if knows > size => format!("{knows} entries of this log, and here it has {size}"),
        Some(knows) => {
            format!("another history of this log: its first {knows} entries are not those signed here ({size})")
        }
        None => format!("another history of this log than the {size} entries signed here"),
    };
    format!(
        "witness `{name}` saw {saw} ({words}). either this data folder is an older copy or was restored from a backup, or two \
         daemons write under one `[log].origin`. look for the other one, run `breachclock evidence fsck`, and keep both \
         copies as they are; if entries were lost for good, tell whoever runs the witness why, who must begin anew with this \
         log. the log goes on meanwhile without this witness"
    )
}
