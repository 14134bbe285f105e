//! Backups: when one is due, and what is recorded of them; and what a restored log says about itself.
//!
//! # A restored log
//! Whoever got a mail, an export or a time stamp after the backup was made holds a checkpoint of a log that had entries which
//! are lost. The restored log must never sign another checkpoint of such a size, nor give one of these places to another
//! statement. So each lost place is filled with an entry that says `log.lost`, and behind them stands `log.restored`: what was
//! restored, which checkpoints are known, and which entries are lost. A checkpoint of a size in between is answered with
//! that, instead of a proof that could not hold.
//!
//! Absent: files and archives, see `daemon::backup`.

use super::evidence_of::SYSTEM;
use super::life::about_the_house;
use super::{Answered, House, Trouble};
use crate::escalation::{Brief, Event, Reason, Target, Who};
use crate::evidence::{Detail, Draft, Hash, hex};
use crate::rules::utc;
use crate::store::{Change, Changeset, Store};
use crate::time::{Recurrence, Timestamp};
use chrono::TimeDelta;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::Ordering;

/// A backup dated this far ahead was made on a clock that was.
const AHEAD: TimeDelta = TimeDelta::minutes(5);
/// Entries written at once.
const BATCH: usize = 1000;
/// More places than this are not left free: whoever says so has mistyped a number.
pub const MOST_LOST: u64 = 1_000_000;

/// When backups are made, whereto, and who hears when one is not.
#[derive(Clone, Debug, PartialEq)]
pub struct BackupPlan {
    pub when: Recurrence,
    pub dir: PathBuf,
    /// The newest so many stay.
    pub keep: u32,
    /// Signing keys and data keys are in them.
    pub keys: bool,
    pub alarm_to: Vec<Who>,
}

impl BackupPlan {
    /// Is one due, when the `newest` there is was made then?
    pub fn is_due(&self, newest: Option<Timestamp>, now: Timestamp) -> bool {
        match newest.filter(|at| *at <= now + AHEAD) {
            Some(at) => self.when.next_after(at).is_some_and(|next| next <= now),
            None => true,
        }
    }

    /// Two are missing since `newest`: one may be on its way. `since` stands for a newest one where there is none.
    pub fn is_too_old(&self, newest: Option<Timestamp>, since: Timestamp, now: Timestamp) -> bool {
        let from = newest.filter(|at| *at <= now + AHEAD).unwrap_or(since);
        let second = self.when.next_after(from).and_then(|first| self.when.next_after(first));
        second.is_some_and(|second| second <= now)
    }
}

/// What is known of a backup that was made. Nothing in it is personal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BackupMade {
    pub file: String,
    pub bytes: u64,
    pub sha256: String,
    /// Entries in it.
    pub size: u64,
    /// Root of their tree, hexadecimal.
    pub root: String,
    pub keys: bool,
    /// Older ones that were deleted for it.
    pub removed: Vec<String>,
}

/// A checkpoint that says how far the log had grown before it was lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KnownCheckpoint {
    pub size: u64,
    /// Root of that tree, hexadecimal.
    pub root: String,
    /// Where it was found: `named`, `beside-the-backup`, `replaced-folder`.
    pub source: &'static str,
}

/// What was restored, and what is known of the time after it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restoration {
    /// When the backup was made, and its sum; `None` when a database was restored by its own means.
    pub backup: Option<(Timestamp, Hash)>,
    /// Entries that were restored, and the root of their tree.
    pub size: u64,
    pub root: Hash,
    /// The log may have had so many entries before it was lost.
    pub reached: u64,
    /// What the operator said of the time after the backup: `checkpoint`, `lost-at-most`, `nothing-later`, `replaced-folder`.
    pub stated: &'static str,
    pub checkpoints: Vec<KnownCheckpoint>,
    /// Lost entries that could still be read where they were: how many of each type.
    pub read: BTreeMap<String, u64>,
    /// Incidents they are about.
    pub incidents: BTreeSet<String>,
}

/// Incidents named one by one in an entry.
const NAMED: usize = 200;

impl<S: Store> House<S> {
    /// A backup was made.
    pub async fn backed_up(&self, made: &BackupMade, now: Timestamp) -> Answered<()> {
        self.record_system("backup.made", Detail::made(serde_json::to_value(made).unwrap_or_default()), now).await?;
        self.stats.last_backup.store(now.timestamp_micros(), Ordering::Relaxed);
        self.stats.health.warn("backup", None);
        Ok(())
    }

    /// A backup failed, or none was made for too long: evidence, and people hear of it.
    pub async fn backup_missing(
        &self,
        plan: &BackupPlan,
        kind: &'static str,
        why: &str,
        now: Timestamp,
    ) -> Answered<()> {
        let targets: BTreeSet<Target> = plan
            .alarm_to
            .iter()
            .flat_map(|who| self.settings.directory.ladders(who, &[], now))
            .map(|ladder| ladder.first().clone())
            .collect();
        let title = format!("Alarm: {why}");
        let message = |target: Target| {
            let key = format!("alarm.{kind}.{}.{}", now.format("%Y%m%dT%H%M%SZ"), target.label());
            let (policy, step) = ("backup".to_string(), plan.when.expression().to_string());
            let reason = Reason { policy, step, repeat: 0, due_at: now, coalesced: 0 };
            let brief = Brief::about_daemon(title.clone(), plan.when.zone());
            about_the_house(Event::DaemonAlarm, key, target, reason, brief, now)
        };
        let messages: Vec<_> = targets.into_iter().map(message).collect();
        let listed: Vec<Value> = messages.iter().map(|m| json!({ "key": m.key, "to": m.target.label() })).collect();
        // a path or the system's own words: nothing personal
        let first =
            self.draft_system(kind, "breachclock", Detail::made(json!({ "why": why, "messages": listed })), now);
        self.stats.health.warn("backup", Some(why.to_string()));
        self.store.commit(Changeset { change: Change::Messages(messages), first, more: Vec::new() }).await?;
        self.announce();
        Ok(())
    }

    /// Makes a restored log say what it is, and sets every alarm again. Nothing may have been written or signed since. Answers
    /// how many incidents were decided anew.
    pub async fn restored(&self, restoration: &Restoration, now: Timestamp) -> Answered<usize> {
        let size = self.store.head().await?.size;
        if size != restoration.size {
            return Err(Trouble::NotNow(format!(
                "the log has {size} entries and {} were restored; somebody wrote to it: restore it again",
                restoration.size
            )));
        }
        let lost = restoration.reached.saturating_sub(size);
        if lost > MOST_LOST {
            return Err(Trouble::NotNow(format!(
                "{lost} lost entries are more than {MOST_LOST}; look at the checkpoint's second line and at `--lost-at-most`"
            )));
        }
        let mut drafts: Vec<Draft> = Vec::new();
        for _ in 0..lost {
            drafts.push(self.draft_system("log.lost", "breachclock", Detail::new(), now));
            if drafts.len() == BATCH {
                self.append(std::mem::take(&mut drafts)).await?;
            }
        }
        drafts.push(self.draft_system("log.restored", "breachclock", Detail::made(described(restoration)), now));
        self.append(drafts).await?;
        let woken = self.wake_everything(now).await?;
        self.attest(now).await?;
        Ok(woken)
    }

    async fn append(&self, mut drafts: Vec<Draft>) -> Answered<()> {
        let first = drafts.remove(0);
        self.store.commit(Changeset { change: Change::Nothing, first, more: drafts }).await?;
        Ok(())
    }

    /// The reason why no proof can be given for a tree of `size` entries: its last one was lost.
    pub(super) async fn lost_with_restore(&self, size: u64) -> Answered<Option<String>> {
        let Some(last) = self.store.entries(size.saturating_sub(1)..size).await?.pop() else { return Ok(None) };
        let entry: Value = serde_json::from_slice(&last.bytes).unwrap_or_default();
        let lost = last.stream == SYSTEM && entry["type"] == "log.lost";
        Ok(lost.then(|| {
            format!(
                "the log was restored from a backup, and the entries that a checkpoint of size {size} covers are lost in part; \
                 the entry `log.restored` of the stream `{SYSTEM}` says which"
            )
        }))
    }
}

fn described(restoration: &Restoration) -> Value {
    let lost = restoration.reached.saturating_sub(restoration.size);
    let range = (lost > 0).then(|| json!({ "from": restoration.size, "to": restoration.reached - 1, "entries": lost }));
    let backup = restoration.backup.map(|(at, sum)| json!({ "made_at": utc(at), "sha256": hex(&sum) }));
    json!({
        "backup": backup, "size": restoration.size, "root": hex(&restoration.root), "lost": range,
        "stated": restoration.stated, "checkpoints": restoration.checkpoints, "read_before": restoration.read,
        "incidents": restoration.incidents.iter().take(NAMED).collect::<Vec<_>>(),
        "incidents_count": restoration.incidents.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Zone;

    #[test]
    fn due_and_too_old() {
        let plan = BackupPlan {
            when: Recurrence::parse("0 2 * * *", Zone::UTC).expect("an expression"),
            dir: PathBuf::new(),
            keep: 3,
            keys: false,
            alarm_to: Vec::new(),
        };
        let at = |text: &str| text.parse::<Timestamp>().expect("RFC 3339");
        let start = at("2026-06-01T12:00:00Z");
        for (newest, now, due, old) in [
            (None, "2026-06-01T12:00:00Z", true, false),
            (None, "2026-06-02T02:00:00Z", true, false),
            (None, "2026-06-03T02:00:00Z", true, true),
            (Some("2026-06-01T02:00:00Z"), "2026-06-02T01:59:59Z", false, false),
            (Some("2026-06-01T02:00:00Z"), "2026-06-02T02:00:00Z", true, false),
            (Some("2026-06-01T02:00:00Z"), "2026-06-03T01:59:59Z", true, false),
            (Some("2026-06-01T02:00:00Z"), "2026-06-03T02:00:00Z", true, true),
            // made on a clock that was ahead: it counts for nothing
            (Some("2027-06-01T02:00:00Z"), "2026-06-03T02:00:00Z", true, true),
        ] {
            let newest = newest.map(at);
            let found = (plan.is_due(newest, at(now)), plan.is_too_old(newest, start, at(now)));
            assert_eq!(found, (due, old), "{newest:?} at {now}");
        }
    }
}
