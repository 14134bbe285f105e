//! The outbox empties: claim, attempt, settle with evidence. A crash in between means the message goes out again.

use super::{Answered, Failing, House, Stats, Trouble};
use crate::escalation::{Event, Outcome, Target};
use crate::law::IncidentId;
use crate::notify::{Context, LogHead, Notifiers, retry};
use crate::store::{Claim, Lane, Record, Settlement, Store, StoreError, Tracked};
use crate::time::Timestamp;
use base64::Engine;
use futures_util::FutureExt;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use tokio::task::{JoinError, JoinSet};

/// A daemon that dies loses a message for this long at most. An attempt that takes longer has its lease renewed, because
/// the courier that holds it is the one who claims it again.
const LEASE_SECONDS: u32 = 120;

/// Attempts of one lane at once: each is settled when it ends, none waits for another.
fn at_once(lane: Lane) -> usize {
    match lane {
        // more than the connections to the server, so that these never wait for a claim
        Lane::Mail => 16,
        // each has a receiver of its own, and any of them may hang
        Lane::Webhook => 64,
    }
}

/// Carries the messages of one lane. It claims, keeps the attempts that are under way, and settles those that ended.
pub struct Courier<S> {
    house: Arc<House<S>>,
    notifiers: Arc<Notifiers>,
    lane: Lane,
    clock: fn() -> Timestamp,
    /// Ended with the courier.
    attempts: JoinSet<(Key, Outcome)>,
    under_way: BTreeMap<Key, Claim>,
    /// Ended, and not yet settled: kept when the store fails, because a message that went out must not go out again.
    ended: Vec<Ended>,
}

/// Incident and key: what a message is known by.
type Key = (String, String);

struct Ended {
    claim: Claim,
    outcome: Outcome,
    at: Timestamp,
}

impl<S: Store> Courier<S> {
    pub fn new(house: Arc<House<S>>, notifiers: Arc<Notifiers>, lane: Lane, clock: fn() -> Timestamp) -> Courier<S> {
        let (attempts, under_way, ended) = (JoinSet::new(), BTreeMap::new(), Vec::new());
        Courier { house, notifiers, lane, clock, attempts, under_way, ended }
    }

    /// Attempts under way.
    pub fn carries(&self) -> usize {
        self.under_way.len()
    }

    /// Settles what ended, and begins an attempt at every message that may be claimed, as far as there is room. Answers
    /// when to look again, unless something changes; `None` when only the end of an attempt can make a difference.
    pub async fn work(&mut self) -> Answered<Option<Timestamp>> {
        self.settle().await?;
        self.claim().await?;
        // withdrawn without an attempt
        self.settle().await?;
        if self.under_way.len() >= at_once(self.lane) {
            return Ok(None);
        }
        Ok(self.house.store.next_outbox(self.lane).await?)
    }

    /// Waits until an attempt ends, and takes what else has ended; for ever when none is under way.
    pub async fn attempt_ended(&mut self) {
        let Some(first) = self.attempts.join_next().await else { return std::future::pending().await };
        self.ended(first);
        while let Some(other) = self.attempts.try_join_next() {
            self.ended(other);
        }
    }

    fn ended(&mut self, attempt: Result<(Key, Outcome), JoinError>) {
        // an attempt neither panics, see below, nor is it aborted before the courier ends
        let Ok((key, outcome)) = attempt else { return };
        let Some(claim) = self.under_way.remove(&key) else { return };
        let at = (self.clock)();
        self.house.stats.note_attempt(&claim.message.target, &outcome, at);
        self.ended.push(Ended { claim, outcome, at });
    }

    async fn claim(&mut self) -> Answered<()> {
        let room = at_once(self.lane) - self.under_way.len().min(at_once(self.lane));
        if room == 0 {
            return Ok(());
        }
        let now = (self.clock)();
        let claims = self.house.store.claim_outbox(self.lane, now, LEASE_SECONDS, room as u32).await?;
        if claims.is_empty() {
            return Ok(());
        }
        let context = Arc::new(Context {
            now,
            public_url: self.house.settings.public_url.clone(),
            checkpoint: self.house.log_head().await?,
            wall: self.house.settings.drill.map_or(now, |drill| (drill.wall)(now)),
            drill: self.house.settings.drill.is_some(),
        });
        let (claims, withdrawn) = self.house.still_wanted(claims).await?;
        self.ended.extend(withdrawn.into_iter().map(|(claim, outcome)| Ended { claim, outcome, at: now }));
        for claim in claims {
            let key = (claim.message.incident.0.clone(), claim.message.key.clone());
            let message = claim.message.clone();
            // its lease ended while it is under way: the attempt goes on under the new one
            if self.under_way.insert(key.clone(), claim).is_some() {
                continue;
            }
            let (notifiers, context) = (self.notifiers.clone(), context.clone());
            self.attempts.spawn(async move {
                let attempt = AssertUnwindSafe(notifiers.deliver(&message, &context)).catch_unwind();
                // a message that makes us fail must not keep the others from being sent
                let failed = |_| Outcome::Retry { error: "a fault of ours, see the log".into(), after_seconds: None };
                (key, attempt.await.unwrap_or_else(failed))
            });
        }
        Ok(())
    }

    /// Records what became of the attempts that ended.
    pub async fn settle(&mut self) -> Answered<()> {
        if self.ended.is_empty() {
            return Ok(());
        }
        let settlements: Vec<Settlement> = self.ended.iter().map(settlement).collect();
        let claims = self.ended.iter().zip(&settlements).map(|(Ended { claim, at, .. }, settlement)| {
            let draft = self.house.draft_attempt(&claim.message, claim.attempt, settlement, *at);
            // a copy, because it is settled again when the store fails; if the store kept it all the same, that is refused
            (Claim { message: claim.message.clone(), ..*claim }, settlement.clone(), draft)
        });
        let results = self.house.store.settle(claims.collect()).await?;
        let mut fault = Ok(());
        for (settlement, result) in settlements.iter().zip(results) {
            match result {
                Ok(()) => self.house.stats.note_settled(settlement),
                // somebody else has it by now and will settle it
                Err(StoreError::LeaseLost) => {}
                Err(error) => fault = Err(Trouble::from(error)),
            }
        }
        self.ended.clear();
        self.house.announce();
        fault
    }
}

impl<S: Store> House<S> {
    /// Takes out reminders whose obligation was settled since they were queued, and such obligations out of the others.
    async fn still_wanted(&self, claims: Vec<Claim>) -> Answered<(Vec<Claim>, Vec<(Claim, Outcome)>)> {
        let mut open: BTreeMap<IncidentId, Wanted> = BTreeMap::new();
        let (mut wanted, mut withdrawn) = (Vec::new(), Vec::new());
        for mut claim in claims {
            let message = &mut claim.message;
            let reminds =
                matches!(message.event, Event::ReminderDue | Event::EscalationRaised | Event::ObligationOverdue);
            let Some(obligation) = message.obligation.as_ref().filter(|_| reminds) else {
                wanted.push(claim);
                continue;
            };
            if !open.contains_key(&message.incident) {
                let record = self.store.dossier(&message.incident).await?.record;
                open.insert(message.incident.clone(), Wanted::of(&record));
            }
            let open = &open[&message.incident];
            if open.wants(obligation, &message.brief.standing) {
                message.brief.also.retain(|also| open.wants(&also.obligation, &also.standing));
                message.extra.asks.retain(|ask| !open.explained.contains(&ask.obligation));
                wanted.push(claim);
            } else {
                let why = "settled before it could be sent".to_string();
                withdrawn.push((claim, Outcome::Withdrawn { why }));
            }
        }
        Ok((wanted, withdrawn))
    }

    /// The head of the log for the foot of each message and feed: each reader becomes a witness.
    pub(super) async fn log_head(&self) -> Answered<Option<LogHead>> {
        let checkpoint = self.store.checkpoint().await?;
        Ok(checkpoint.map(|c| LogHead {
            origin: self.settings.origin.clone(),
            size: c.size,
            root: base64::engine::general_purpose::STANDARD.encode(c.root),
        }))
    }
}

/// What may still be said about the obligations of an incident.
struct Wanted {
    open: BTreeSet<String>,
    filed: BTreeSet<String>,
    /// Reasons for the delay are recorded.
    explained: BTreeSet<String>,
}

impl Wanted {
    fn of(record: &Record) -> Wanted {
        let closed = record.incident.closed_at.is_some();
        let standing = |words: &[&str]| -> BTreeSet<String> {
            let fits = |t: &&Tracked| !closed && words.contains(&t.standing.as_str());
            record.tracked.iter().filter(fits).map(|t| t.id.clone()).collect()
        };
        let mut open = standing(&["running", "possible", "awaiting"]);
        if !closed {
            // a limit that waits for a sign-off is open whatever the new rules say
            open.extend(record.kept.iter().map(|kept| kept.id.clone()));
        }
        let explained =
            record.acts.iter().filter(|(_, act)| !act.delays.is_empty()).map(|(id, _)| id.clone()).collect();
        Wanted { open, filed: standing(&["discharged"]), explained }
    }

    /// A message told of `obligation` as `standing`. One about a late filing asks for the reasons.
    fn wants(&self, obligation: &str, standing: &str) -> bool {
        match standing {
            "discharged" => self.filed.contains(obligation) && !self.explained.contains(obligation),
            _ => self.open.contains(obligation),
        }
    }
}

fn settlement(Ended { claim, outcome, at }: &Ended) -> Settlement {
    let retry_at = match outcome {
        Outcome::Retry { after_seconds, .. } => {
            let message = &claim.message;
            let seed = message
                .key
                .bytes()
                .fold(u64::from(claim.attempt), |h, b| h.wrapping_mul(31).wrapping_add(u64::from(b)));
            let due = message.brief.conservative_due;
            let next = retry::next_attempt(claim.attempt, *at, due, seed);
            // the peer's wish counts as long as the limit allows
            next.map(|next| retry::not_before(next, *at, *after_seconds, due))
        }
        _ => None,
    };
    Settlement { outcome: outcome.clone(), at: *at, retry_at }
}

impl Stats {
    /// Counts what became of a message.
    fn note_settled(&self, settlement: &Settlement) {
        match &settlement.outcome {
            Outcome::HandedOver { .. } => self.messages_handed_over.fetch_add(1, Ordering::Relaxed),
            Outcome::Withdrawn { .. } => 0,
            _ if settlement.retry_at.is_some() => 0,
            _ => self.messages_failed.fetch_add(1, Ordering::Relaxed),
        };
    }

    /// Remembers since when a way out takes nothing. An answer, also a refusal, shows that it works.
    fn note_attempt(&self, target: &Target, outcome: &Outcome, at: Timestamp) {
        let way = match target {
            Target::Email { .. } => "mail".to_string(),
            Target::Webhook { .. } => target.label(),
            // one address of many says nothing about the way, the channel does
            Target::Channel { id, .. } => format!("channel:{id}"),
        };
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Outcome::Retry { error, .. } => {
                if let Some(known) = failing.get_mut(&way) {
                    (known.attempts, known.error) = (known.attempts + 1, error.clone());
                    return;
                }
                tracing::warn!(%way, %error, "messages do not get through; they are tried again");
                failing.insert(way, Failing { since: at, attempts: 1, error: error.clone() });
            }
            Outcome::Withdrawn { .. } => {}
            Outcome::HandedOver { .. } | Outcome::Refused { .. } => {
                if let Some(known) = failing.remove(&way) {
                    tracing::info!(%way, attempts = known.attempts, "messages get through again");
                }
            }
        }
    }
}
