//! How the house stands: the truth about store, clock, scheduler, outbox and log; for `/status`, `/readyz` and `/metrics`.

use super::{Answered, Failing, FailingView, House, StatusView, WitnessView};
use crate::rules::utc;
use crate::store::{Lane, Store, StoredAnchor};
use crate::time::Timestamp;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

/// What the store could not keep is a fault for this long, unless it kept something of the kind since.
const REFUSED_SECONDS: i64 = 60;
/// A way out that takes nothing for this long is a fault; before, it may be a server that asks for patience.
const FAILING_SECONDS: i64 = 60;
/// A message that may be claimed for longer than this is not being sent, whatever the reason.
const STUCK_SECONDS: i64 = 300;

impl<S: Store> House<S> {
    /// The truth about store, clock, scheduler and log.
    pub async fn status(&self, now: Timestamp) -> StatusView {
        let book = self.book();
        let micros = |at: i64| (at > 0).then(|| chrono::DateTime::from_timestamp_micros(at)).flatten();
        let last_loop = micros(self.stats.last_loop.load(Ordering::Relaxed));
        let mut faults: Vec<String> =
            self.stats.fault.lock().map(|f| f.clone()).unwrap_or_default().into_iter().collect();
        match last_loop {
            Some(at) if (now - at).num_seconds() > 90 => {
                faults.push(format!("the scheduler has not proven a loop since {}", utc(at)));
            }
            None if faults.is_empty() => faults.push("the scheduler has not proven a loop yet".to_string()),
            _ => {}
        }
        let refused = self.stats.refused.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let refused = refused.filter(|(at, _)| (now - *at).num_seconds() < REFUSED_SECONDS);
        let (mut store, log_size) = match self.store.head().await {
            Ok(head) => ("ok".to_string(), head.size),
            Err(error) => (error.to_string(), 0),
        };
        if let Some((at, error)) = refused {
            let remedy = if error.contains("check the disk") { "" } else { "; free space or check the disk" };
            store = format!("the store failed to keep a decision at {}: {error}{remedy}", utc(at));
        }
        if store != "ok" {
            faults.push(store.clone());
        }
        faults.extend(self.stats.health.known().faults.values().cloned());
        let next_wake = self.next_wake(now).await;
        let outbox = self.outbox_next().await.ok().flatten();
        // a message that may be sent waits since then; one that may not yet, until then
        let waiting = outbox.filter(|at| *at <= now);
        if let Some(since) = waiting.filter(|at| (now - *at).num_seconds() > STUCK_SECONDS) {
            faults.push(format!("messages have been waiting since {}", utc(since)));
        }
        let failing = self.stats.failing.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (way, Failing { since, error, .. }) in &failing {
            if (now - *since).num_seconds() >= FAILING_SECONDS {
                faults.push(format!("nothing gets through by `{way}` since {}: {error}", utc(*since)));
            }
        }
        let failing = failing.into_iter().map(|(way, Failing { since, attempts, error })| FailingView {
            way,
            since: utc(since),
            attempts,
            error,
        });
        StatusView {
            now: utc(now),
            ready: faults.is_empty(),
            store,
            last_loop: last_loop.map(utc),
            scheduler_lag_seconds: self.stats.last_lag.load(Ordering::Relaxed) as f64 / 1e6,
            next_wake: next_wake.map(utc),
            outbox_next: outbox.map(utc),
            failing: failing.collect(),
            outbox_waiting_since: waiting.map(utc),
            clock: self.stats.health.clock(),
            pings: self.stats.health.pings(),
            log_size,
            last_checkpoint: micros(self.stats.last_checkpoint.load(Ordering::Relaxed)).map(utc),
            last_anchor: self.last_anchor().await.map(utc),
            witnesses: self.witness_views().await,
            last_verification: micros(self.stats.last_verification.load(Ordering::Relaxed)).map(utc),
            rulebook: book.name(),
            duties: book.duties().len(),
            version: env!("CARGO_PKG_VERSION"),
            warnings: self.warnings(now),
            faults,
        }
    }

    /// Asked of the store: another node may have got it.
    async fn last_anchor(&self) -> Option<Timestamp> {
        let last = self.store.last_anchor(StoredAnchor::RFC3161).await.ok().flatten();
        last.map(|anchor| anchor.received_at).or(self.anchors.last())
    }

    fn warnings(&self, now: Timestamp) -> Vec<String> {
        let mut warnings = self.stats.health.warnings();
        if let Some((since, errors)) = self.anchors.outage() {
            let hours = (now - since).num_hours();
            warnings.push(format!(
                "no time-stamping authority answers since {} ({hours} h): {errors}. the log goes on; what is written \
                 meanwhile is stamped later, and is proven to have existed only from that stamp on",
                utc(since)
            ));
        }
        warnings.extend(self.witnesses.warnings(now));
        warnings
    }

    /// The earliest wake-up nobody has handled; in the past when one is late.
    async fn next_wake(&self, now: Timestamp) -> Option<Timestamp> {
        let due = self.store.due(now, 1).await.ok()?;
        match due.incidents.first() {
            // handled in between: then there is nothing late
            Some(id) => self.store.dossier(id).await.ok().and_then(|late| late.wake_at).or(due.next_wake),
            None => due.next_wake,
        }
    }

    /// Is a message waiting that could have been attempted long ago? Answers since when.
    pub async fn outbox_stuck(&self, now: Timestamp) -> Answered<Option<Timestamp>> {
        let since = self.outbox_next().await?.filter(|at| *at <= now);
        Ok(since.filter(|at| (now - *at).num_seconds() > STUCK_SECONDS))
    }

    /// Since when, or from when on, the next message may be attempted.
    async fn outbox_next(&self) -> Answered<Option<Timestamp>> {
        let mut next = None;
        for lane in Lane::ALL {
            next = next.into_iter().chain(self.store.next_outbox(lane).await?).min();
        }
        Ok(next)
    }

    /// Prometheus text exposition.
    pub async fn metrics(&self, now: Timestamp) -> String {
        let status = self.status(now).await;
        let waiting = self.outbox_next().await.ok().flatten().filter(|at| *at <= now);
        let count = |c: &std::sync::atomic::AtomicU64| c.load(Ordering::Relaxed);
        let seconds = |c: &std::sync::atomic::AtomicI64| c.load(Ordering::Relaxed) as f64 / 1e6;
        let discipline = match status.clock.discipline {
            "synchronised" => 1.0,
            "unsynchronised" => 0.0,
            _ => f64::NAN,
        };
        let last_anchor = self.last_anchor().await;
        let (silent, other_log) = self.witnesses.faults();
        let rows: [(&str, &str, &str, f64); 27] = [
            (
                "breachclock_ready",
                "gauge",
                "1 when store, scheduler and outbox are well",
                f64::from(u8::from(status.ready)),
            ),
            ("breachclock_reports_total", "counter", "accepted reports since start", count(&self.stats.reports) as f64),
            (
                "breachclock_messages_handed_over_total",
                "counter",
                "messages taken by the next hop since start",
                count(&self.stats.messages_handed_over) as f64,
            ),
            (
                "breachclock_messages_failed_total",
                "counter",
                "messages given up or refused since start",
                count(&self.stats.messages_failed) as f64,
            ),
            (
                "breachclock_wakes_total",
                "counter",
                "incident wake-ups handled since start",
                count(&self.stats.wakes) as f64,
            ),
            (
                "breachclock_conflicts_total",
                "counter",
                "decisions repeated because the incident changed",
                count(&self.stats.conflicts) as f64,
            ),
            (
                "breachclock_escalation_lag_seconds",
                "gauge",
                "how late the last wake-up was handled",
                status.scheduler_lag_seconds,
            ),
            (
                "breachclock_timer_loop_last_success_timestamp_seconds",
                "gauge",
                "last proven loop",
                seconds(&self.stats.last_loop),
            ),
            ("breachclock_checkpoint_size", "gauge", "entries in the evidence log", status.log_size as f64),
            (
                "breachclock_checkpoint_last_timestamp_seconds",
                "gauge",
                "last signed checkpoint",
                seconds(&self.stats.last_checkpoint),
            ),
            (
                "breachclock_backup_last_timestamp_seconds",
                "gauge",
                "last backup the daemon made since it started, 0 before the first",
                seconds(&self.stats.last_backup),
            ),
            (
                "breachclock_anchor_last_timestamp_seconds",
                "gauge",
                "last time stamp from outside, 0 before the first",
                last_anchor.map_or(0.0, |at| at.timestamp() as f64),
            ),
            (
                "breachclock_anchors_total",
                "counter",
                "time stamps received since start",
                count(&self.anchors.made) as f64,
            ),
            (
                "breachclock_anchor_failures_total",
                "counter",
                "requests to time-stamping authorities without a good answer since start",
                count(&self.anchors.failed) as f64,
            ),
            (
                "breachclock_anchor_outage",
                "gauge",
                "1 while no time-stamping authority answers",
                f64::from(u8::from(self.anchors.outage().is_some())),
            ),
            ("breachclock_witnesses", "gauge", "configured witnesses of the log", status.witnesses.len() as f64),
            (
                "breachclock_cosignature_oldest_timestamp_seconds",
                "gauge",
                "last cosignature of the witness whose last one is the oldest, 0 when one never cosigned",
                oldest_cosignature(&status.witnesses),
            ),
            (
                "breachclock_cosignatures_total",
                "counter",
                "cosignatures of witnesses received since start",
                count(&self.witnesses.made) as f64,
            ),
            (
                "breachclock_cosignature_failures_total",
                "counter",
                "rounds in which a witness did not cosign since start",
                count(&self.witnesses.failed) as f64,
            ),
            ("breachclock_witnesses_failing", "gauge", "witnesses that do not cosign at present", silent as f64),
            (
                "breachclock_witnesses_saw_another_log",
                "gauge",
                "witnesses that saw another history of this log: a fork, or a restored backup",
                other_log as f64,
            ),
            (
                "breachclock_outbox_oldest_timestamp_seconds",
                "gauge",
                "since when the oldest message waits that may be sent, 0 when there is none",
                waiting.map_or(0.0, |at| at.timestamp() as f64),
            ),
            (
                "breachclock_clock_synchronised",
                "gauge",
                "1 when a time service disciplines the clock, 0 when none does, NaN when nobody can tell",
                discipline,
            ),
            (
                "breachclock_clock_steps_total",
                "counter",
                "settings of the clock since start",
                status.clock.steps as f64,
            ),
            (
                "breachclock_clock_suspensions_total",
                "counter",
                "suspensions and standstills since start",
                status.clock.suspensions as f64,
            ),
            (
                "breachclock_heartbeats_failing",
                "gauge",
                "heartbeat addresses that do not answer",
                status.pings.iter().filter(|ping| ping.failing_since.is_some()).count() as f64,
            ),
            ("breachclock_warnings", "gauge", "things to be mended, see /api/v1/status", status.warnings.len() as f64),
        ];
        let mut text = String::new();
        for (name, kind, help, value) in rows {
            text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n"));
        }
        text
    }
}

/// Seconds since 1970; 0 when there is none.
fn oldest_cosignature(witnesses: &[WitnessView]) -> f64 {
    let at = |one: &WitnessView| one.last_cosignature.as_ref()?.parse::<Timestamp>().ok();
    let oldest = witnesses.iter().map(|one| at(one).map_or(0, |at| at.timestamp())).min();
    oldest.unwrap_or(0) as f64
}
