//! Signs of the daemon's own life to people, through the same outbox and channels as every reminder, and the self-test:
//! a marked message whose arrival is awaited.
//!
//! What was sent and what arrived is read from the log; nothing else remembers it. A failure in between repeats a commit
//! under the same keys, and the outbox takes each key once.

use super::evidence_of::SYSTEM;
use super::{Answered, House};
use crate::detail;
use crate::escalation::{Brief, DueRun, Event, Extra, Message, Reason, Target, Who, due_run};
use crate::evidence::{Detail, Made};
use crate::law::IncidentId;
use crate::notify::{maildir, words};
use crate::rules::utc;
use crate::store::{Change, Changeset, Query, Store};
use crate::time::{Recurrence, Timestamp, Zone};
use chrono::TimeDelta;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// A self-test that has not arrived by then is an alarm.
pub const ARRIVES_WITHIN_MINUTES: i64 = 30;
/// A self-test that is late is looked for this long.
const LOOKED_FOR_HOURS: i64 = 24;
/// Incidents read per round.
const BATCH: u32 = 200;

/// When people are told, and whom.
#[derive(Clone, Debug, PartialEq)]
pub struct LifePlan {
    pub when: Recurrence,
    pub alive_to: Vec<Who>,
    pub self_test_to: Vec<Who>,
    /// Where the mails of self-tests are found; without one, a mail counts as arrived when the next server took it.
    pub maildir: Option<PathBuf>,
}

/// What the log says about life signs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LifeLog {
    /// Expression and zone that were last put into force, and when.
    scheduled: Option<(String, String, Option<Timestamp>)>,
    /// Occurrences that were handled.
    handled: BTreeSet<Timestamp>,
    /// The latest self-test of each target, by its label.
    tests: BTreeMap<String, SelfTest>,
}

#[derive(Clone, Debug, PartialEq)]
struct SelfTest {
    key: String,
    run: Timestamp,
    queued_at: Timestamp,
    handed_over: bool,
    arrived: bool,
    missed: bool,
}

impl LifeLog {
    /// Reads the system's stream, entry by entry. What it does not know is skipped.
    pub fn read<'e>(entries: impl Iterator<Item = &'e [u8]>) -> LifeLog {
        let mut log = LifeLog::default();
        for entry in entries.filter_map(|bytes| serde_json::from_slice::<Value>(bytes).ok()) {
            log.hear(&entry);
        }
        log
    }

    fn hear(&mut self, entry: &Value) {
        let body = &entry["body"];
        let instant = |value: &Value| value.as_str().and_then(|text| text.parse::<Timestamp>().ok());
        let text = |key: &str| body[key].as_str().unwrap_or_default().to_string();
        match entry["type"].as_str() {
            Some("alive.scheduled") => {
                self.scheduled = Some((text("expression"), text("zone"), instant(&entry["ts"])));
            }
            Some("alive.queued") => self.handled.extend(instant(&body["run"])),
            Some("self-test.queued") => {
                let (Some(run), Some(queued_at)) = (instant(&body["run"]), instant(&entry["ts"])) else { return };
                for message in body["messages"].as_array().into_iter().flatten() {
                    let [Some(key), Some(to)] = [message["key"].as_str(), message["to"].as_str()] else { continue };
                    if self.tests.get(to).is_some_and(|known| known.key == key) {
                        continue;
                    }
                    let test = SelfTest {
                        key: key.to_string(),
                        run,
                        queued_at,
                        handed_over: false,
                        arrived: false,
                        missed: false,
                    };
                    self.tests.insert(to.to_string(), test);
                }
            }
            Some(kind @ ("message.attempted" | "self-test.arrived" | "self-test.missed")) => {
                let key = text("key");
                let Some(test) = self.tests.values_mut().find(|test| test.key == key) else { return };
                match kind {
                    "message.attempted" => test.handed_over |= body["outcome"] == "handed-over",
                    "self-test.arrived" => test.arrived = true,
                    _ => test.missed = true,
                }
            }
            _ => {}
        }
    }

    /// Is an arrival still to be seen?
    fn awaits(&self, now: Timestamp) -> bool {
        self.tests.values().any(|test| test.is_looked_for(now))
    }
}

impl SelfTest {
    fn is_looked_for(&self, now: Timestamp) -> bool {
        // a clock that was set back gives no time away
        !self.arrived && (now - self.queued_at).abs() < TimeDelta::hours(LOOKED_FOR_HOURS)
    }
}

/// A message about no incident. Reminders go first.
pub(super) fn about_the_house(
    event: Event,
    key: String,
    target: Target,
    reason: Reason,
    brief: Brief,
    now: Timestamp,
) -> Message {
    Message {
        key,
        event,
        incident: IncidentId::house(),
        obligation: None,
        target,
        reason,
        created_at: now,
        urgent_at: now + TimeDelta::days(1),
        brief,
        ack_token: None,
        extra: Extra::default(),
    }
}

/// Where things stand, in numbers.
struct Standing {
    open: usize,
    late: usize,
    next_due: Option<Timestamp>,
}

impl<S: Store> House<S> {
    /// Sends what is due and looks for what should have arrived. `log` is what is remembered between calls: `None` reads
    /// it anew. Answers when to look again.
    pub async fn live(
        &self,
        plan: &LifePlan,
        log: &mut Option<LifeLog>,
        now: Timestamp,
    ) -> Answered<Option<Timestamp>> {
        // whatever fails or is written from here on, the log is read again
        let mut known = match log.take() {
            Some(known) => known,
            None => self.life_log().await?,
        };
        if self.schedule(plan, &known, now).await? {
            known = self.life_log().await?;
        }
        let since = known.scheduled.as_ref().and_then(|(_, _, at)| *at).unwrap_or(now);
        if let Some(run) = due_run(&plan.when, &known.handled, since, now) {
            self.send_life_signs(plan, run, now).await?;
            known = self.life_log().await?;
        }
        if known.awaits(now) {
            self.look_for_tests(plan, &known, now).await?;
            known = self.life_log().await?;
        }
        self.stats.health.fault("self-test", missing(plan, &known));
        let next = plan.when.next_after(now);
        if known.awaits(now) {
            return Ok(Some(now + TimeDelta::seconds(10)));
        }
        *log = Some(known);
        Ok(next)
    }

    async fn life_log(&self) -> Answered<LifeLog> {
        let entries = self.store.stream(SYSTEM).await?;
        Ok(LifeLog::read(entries.iter().map(|entry| entry.bytes.as_slice())))
    }

    /// Puts a new expression into force. Nothing before that instant is ever due.
    async fn schedule(&self, plan: &LifePlan, log: &LifeLog, now: Timestamp) -> Answered<bool> {
        let (expression, zone) = (plan.when.expression(), plan.when.zone().to_string());
        // one put into force later than now was so on a clock that was ahead: until then nothing would be due
        let in_force = |at: &Option<Timestamp>| at.is_none_or(|at| at <= now);
        if log.scheduled.as_ref().is_some_and(|(e, z, at)| e == expression && *z == zone && in_force(at)) {
            return Ok(false);
        }
        let detail = detail! { "expression": Made::of(expression), "zone": Made::of(zone) };
        self.record_system("alive.scheduled", detail, now).await?;
        Ok(true)
    }

    async fn send_life_signs(&self, plan: &LifePlan, run: DueRun, now: Timestamp) -> Answered<()> {
        let standing = self.standing(now).await?;
        let zone = plan.when.zone();
        let alive =
            self.life_messages(Event::DaemonAlive, &plan.alive_to, "alive", &run, standing.words(zone), plan, now);
        let title = format!("Self-test of {}: nothing to do", words::short_label(run.at, zone));
        let tests = self.life_messages(Event::DaemonSelfTest, &plan.self_test_to, "self-test", &run, title, plan, now);
        let detail = detail! {
            "run": Made::of(utc(run.at)), "coalesced": run.coalesced, "open": standing.open, "late": standing.late,
            "next_due": standing.next_due.map(|at| Made::of(utc(at))), "messages": listed(&alive),
        };
        let first = self.draft_system("alive.queued", "breachclock", detail, now);
        let detail = detail! { "run": Made::of(utc(run.at)), "messages": listed(&tests) };
        let tested = (!tests.is_empty()).then(|| self.draft_system("self-test.queued", "breachclock", detail, now));
        let messages = alive.into_iter().chain(tests).collect();
        self.say(messages, first, tested.into_iter().collect()).await
    }

    /// Arrived, or missed for the first time: each is evidence, and what is missed an alarm.
    async fn look_for_tests(&self, plan: &LifePlan, log: &LifeLog, now: Timestamp) -> Answered<()> {
        let mails = match &plan.maildir {
            Some(dir) => {
                let dir = dir.clone();
                // a day of grace: files carry the time of whoever wrote them
                let looked_for = log.tests.values().filter(|test| test.is_looked_for(now)).map(|test| test.queued_at);
                let since = looked_for.min().unwrap_or(now) - TimeDelta::days(1);
                // files are read: not on the threads that serve
                tokio::task::spawn_blocking(move || maildir::arrived(&dir, since.into())).await.unwrap_or_default()
            }
            None => BTreeSet::new(),
        };
        for (to, test) in log.tests.iter().filter(|(_, test)| test.is_looked_for(now)) {
            let in_maildir = plan.maildir.is_some() && to.starts_with("email:");
            let arrived = if in_maildir { mails.contains(&maildir::id_in_mail(&test.key)) } else { test.handed_over };
            let detail = detail! {
                "key": Made::of(test.key.clone()), "to": Made::of(to.clone()), "run": Made::of(utc(test.run)),
            };
            if arrived {
                self.record_system("self-test.arrived", detail, now).await?;
            } else if !test.missed && now - test.queued_at >= TimeDelta::minutes(ARRIVES_WITHIN_MINUTES) {
                let first = self.draft_system("self-test.missed", "breachclock", detail, now);
                let run = DueRun { at: test.run, coalesced: 0 };
                let title = format!("Alarm: {}", missed(to, test, plan));
                let about = format!("alarm.{}", to.replace(':', "."));
                let messages = self.life_messages(Event::DaemonAlarm, &plan.alive_to, &about, &run, title, plan, now);
                self.say(messages, first, Vec::new()).await?;
            }
        }
        Ok(())
    }

    async fn say(
        &self,
        messages: Vec<Message>,
        first: crate::evidence::Draft,
        more: Vec<crate::evidence::Draft>,
    ) -> Answered<()> {
        self.store.commit(Changeset { change: Change::Messages(messages), first, more }).await?;
        self.announce();
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "one message is what all of them say together")]
    fn life_messages(
        &self,
        event: Event,
        to: &[Who],
        about: &str,
        run: &DueRun,
        title: String,
        plan: &LifePlan,
        now: Timestamp,
    ) -> Vec<Message> {
        let targets: BTreeSet<Target> = to
            .iter()
            .flat_map(|who| self.settings.directory.ladders(who, &[], now))
            .map(|l| l.first().clone())
            .collect();
        let message = |target: Target| {
            let key = format!("{about}.{}.{}", run.at.format("%Y%m%dT%H%M%SZ"), target.label());
            let (policy, step) = ("watchdog".to_string(), plan.when.expression().to_string());
            let reason = Reason { policy, step, repeat: 0, due_at: run.at, coalesced: run.coalesced };
            about_the_house(event, key, target, reason, Brief::about_daemon(title.clone(), plan.when.zone()), now)
        };
        targets.into_iter().map(message).collect()
    }

    async fn standing(&self, now: Timestamp) -> Answered<Standing> {
        let mut standing = Standing { open: 0, late: 0, next_due: None };
        let mut after = None;
        loop {
            let query = Query { open_only: true, entity: None, after, limit: BATCH, ..Query::default() };
            let batch = self.store.list(query).await?;
            for tracked in batch.iter().flat_map(|d| &d.record.tracked) {
                if !matches!(tracked.standing.as_str(), "running" | "possible") {
                    continue;
                }
                standing.late += usize::from(tracked.due.is_some_and(|due| due <= now));
                let next = tracked.conservative_due.filter(|due| *due > now);
                standing.next_due = standing.next_due.into_iter().chain(next).min();
            }
            standing.open += batch.len();
            match batch.last() {
                Some(last) if batch.len() == BATCH as usize => after = Some(last.record.incident.id.clone()),
                _ => return Ok(standing),
            }
        }
    }
}

impl Standing {
    /// `Alive: 3 incidents open, 1 limit passed, next due Mon 30 Mar, 17:20 CEST`
    fn words(&self, zone: Zone) -> String {
        let count = |n: usize, one: &str, many: &str| format!("{n} {}", if n == 1 { one } else { many });
        let mut words = match self.open {
            0 => "Alive: no incident open".to_string(),
            n => format!("Alive: {}", count(n, "incident open", "incidents open")),
        };
        if self.late > 0 {
            words.push_str(&format!(", {}", count(self.late, "limit passed", "limits passed")));
        }
        match self.next_due {
            Some(due) => words.push_str(&format!(", next due {}", words::short_label(due, zone))),
            None if self.open > 0 => words.push_str(", nothing due"),
            None => {}
        }
        words
    }
}

/// The fault while the latest self-test of a target did not arrive. Targets no longer tested are forgotten.
fn missing(plan: &LifePlan, log: &LifeLog) -> Option<String> {
    let latest = log.tests.values().map(|test| test.run).max()?;
    let faults: Vec<String> = log
        .tests
        .iter()
        .filter(|(_, test)| test.run == latest && test.missed && !test.arrived)
        .map(|(to, test)| missed(to, test, plan))
        .collect();
    (!faults.is_empty() && !plan.self_test_to.is_empty()).then(|| faults.join("; "))
}

fn missed(to: &str, test: &SelfTest, plan: &LifePlan) -> String {
    let place = match (&plan.maildir, test.handed_over) {
        (Some(_), true) if to.starts_with("email:") => "it was handed over, and is not in the mailbox",
        (_, true) => "it was handed over",
        (_, false) => "the next server has not taken it",
    };
    format!(
        "the self-test to `{to}` did not arrive within {ARRIVES_WITHIN_MINUTES} minutes of {}: {place}. Reminders may not \
         arrive either; check this way by hand",
        utc(test.queued_at)
    )
}

pub(super) fn listed(messages: &[Message]) -> Vec<Detail> {
    messages.iter().map(|m| detail! { "key": Made::of(m.key.clone()), "to": Made::of(m.target.label()) }).collect()
}
