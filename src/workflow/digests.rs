//! Digests: what is open, told at fixed times, through the same outbox and channels as every reminder.
//!
//! As with signs of life, what was sent is read from the log and nowhere else remembered: a restart loses no digest and
//! repeats none. Of several that were missed the last is sent, and says so.

use super::evidence_of::SYSTEM;
use super::lateness::reasons_missing;
use super::life::{about_the_house, listed};
use super::{Answered, House};
use crate::detail;
use crate::escalation::{Brief, DueRun, Event, Extra, Message, Reason, Target, Who, due_run};
use crate::evidence::Made;
use crate::law::{IncidentId, Obligation, Phase, Standing};
use crate::notify::words::{self, one_line};
use crate::rules::utc;
use crate::store::{Change, Changeset, Dossier, Query, Store};
use crate::time::{Recurrence, Timestamp, Zone};
use chrono::TimeDelta;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Incidents read per round.
const BATCH: u32 = 200;
/// Lines of one part; a digest with more is not read.
const MOST: usize = 12;

/// When which digest is told to whom.
#[derive(Clone, Debug, PartialEq)]
pub struct DigestPlan {
    pub id: String,
    pub when: Recurrence,
    pub to: Vec<Who>,
    /// In the order of trying; empty means each person's own.
    pub channels: Vec<String>,
    /// Ids of entities; empty means all.
    pub entities: Vec<String>,
    pub parts: Vec<Part>,
}

/// A part of a digest. An obligation stands in the first part that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Late,
    ReasonsMissing,
    Unacknowledged,
    Next,
    Open,
}

impl Part {
    pub const ALL: [Part; 5] = [Part::Late, Part::ReasonsMissing, Part::Unacknowledged, Part::Next, Part::Open];

    /// The configuration's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Part::Late => "late",
            Part::ReasonsMissing => "reasons-missing",
            Part::Unacknowledged => "unacknowledged",
            Part::Next => "next",
            Part::Open => "open",
        }
    }

    fn heading(self) -> &'static str {
        match self {
            Part::Late => "Late:",
            Part::ReasonsMissing => "The reasons for the delay are missing:",
            Part::Unacknowledged => "Nobody has it:",
            Part::Next => "Due within a day:",
            Part::Open => "Open:",
        }
    }

    fn holds(self, item: &Item, now: Timestamp) -> bool {
        match self {
            Part::Late => item.is_late(now),
            Part::ReasonsMissing => item.reasons_missing,
            Part::Unacknowledged => item.open && item.holder.is_none(),
            Part::Next => item.limit.is_some_and(|at| item.open && at < now + TimeDelta::days(1)),
            Part::Open => item.open,
        }
    }
}

/// An obligation, as far as a digest tells of it.
struct Item {
    incident: IncidentId,
    title: String,
    recipient: String,
    entity: String,
    zone: Zone,
    open: bool,
    possible: bool,
    limit: Option<Timestamp>,
    due: Option<Timestamp>,
    holder: Option<String>,
    reasons_missing: bool,
}

impl Item {
    fn of(dossier: &Dossier, o: &Obligation, title: &str, now: Timestamp) -> Option<Item> {
        let open = matches!(o.standing, Standing::Running(_) | Standing::Possible(_));
        let reasons_missing = reasons_missing(&dossier.record, o, now);
        if !open && !reasons_missing {
            return None;
        }
        let deadline = o.standing.deadline();
        let act = dossier.record.acts.get(&o.id);
        Some(Item {
            incident: dossier.record.incident.id.clone(),
            title: one_line(title, 100),
            recipient: one_line(&o.recipient_name, 60),
            entity: one_line(&dossier.record.incident.entity.name, 60),
            zone: o.zone,
            open,
            possible: matches!(o.standing, Standing::Possible(_)),
            limit: deadline.map(|d| d.conservative_due),
            due: deadline.map(|d| d.due),
            holder: act.and_then(|act| act.holder(now)).map(|lease| one_line(&lease.by, 60)),
            reasons_missing,
        })
    }

    fn is_late(&self, now: Timestamp) -> bool {
        let (Some(due), Some(limit)) = (self.due, self.limit) else { return false };
        self.open && !self.possible && Phase::at(due, limit, now) == Phase::Late
    }

    /// `- Notification to the CNIL, Acme SAS: before Mon 30 Mar, 17:20 CEST; nobody has it (inc-…)`
    fn line(&self, now: Timestamp) -> String {
        let to = if self.title.contains(&self.recipient) { String::new() } else { format!(" to {}", self.recipient) };
        let when = match (self.open, self.limit, self.due) {
            (false, ..) => "filed late".to_string(),
            (true, _, Some(due)) if self.is_late(now) => {
                format!("late since {}", words::short_label(due, self.zone))
            }
            (true, Some(limit), _) => words::before_label(limit, self.zone),
            (true, None, _) => "promptly, no number in the law".to_string(),
        };
        let possible = if self.possible { "possible, " } else { "" };
        let who = match (self.open, &self.holder) {
            (false, _) => String::new(),
            (true, Some(name)) => format!("; {name} has it"),
            (true, None) => "; nobody has it".to_string(),
        };
        let reasons = if self.reasons_missing { "; reasons for the delay missing" } else { "" };
        format!("- {}{to}, {}: {possible}{when}{who}{reasons} ({})", self.title, self.entity, self.incident)
    }
}

/// What the log says about digests, by their id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DigestLog(BTreeMap<String, Known>);

#[derive(Clone, Debug, Default, PartialEq)]
struct Known {
    /// Expression and zone that were last put into force, and when.
    scheduled: Option<(String, String, Timestamp)>,
    handled: BTreeSet<Timestamp>,
}

impl DigestLog {
    /// Reads the system's stream, entry by entry. What it does not know is skipped.
    pub fn read<'e>(entries: impl Iterator<Item = &'e [u8]>) -> DigestLog {
        let mut log = DigestLog::default();
        for entry in entries.filter_map(|bytes| serde_json::from_slice::<Value>(bytes).ok()) {
            let body = &entry["body"];
            let instant = |value: &Value| value.as_str().and_then(|text| text.parse::<Timestamp>().ok());
            let text = |key: &str| body[key].as_str().unwrap_or_default().to_string();
            match entry["type"].as_str() {
                Some("digest.scheduled") => {
                    let since = instant(&entry["ts"]).map(|at| (text("expression"), text("zone"), at));
                    log.0.entry(text("digest")).or_default().scheduled = since;
                }
                Some("digest.queued") => {
                    log.0.entry(text("digest")).or_default().handled.extend(instant(&body["run"]));
                }
                _ => {}
            }
        }
        log
    }
}

impl<S: Store> House<S> {
    /// Sends the digests that are due. `log` is what is remembered between calls: `None` reads it anew. Answers when to
    /// look again.
    pub async fn digest(
        &self,
        plans: &[DigestPlan],
        log: &mut Option<DigestLog>,
        now: Timestamp,
    ) -> Answered<Option<Timestamp>> {
        // whatever fails or is written from here on, the log is read again
        let mut known = match log.take() {
            Some(known) => known,
            None => self.digest_log().await?,
        };
        for plan in plans {
            let (expression, zone) = (plan.when.expression(), plan.when.zone().to_string());
            let own = known.0.get(&plan.id).cloned().unwrap_or_default();
            // one put into force later than now was so on a clock that was ahead: until then nothing would be due
            let same = own.scheduled.as_ref().filter(|(e, z, at)| e == expression && *z == zone && *at <= now);
            // nothing before a new expression was put into force is ever due
            let since = match same {
                Some((_, _, since)) => *since,
                None => {
                    let detail = detail! {
                        "digest": Made::of(plan.id.clone()), "expression": Made::of(expression), "zone": Made::of(zone),
                    };
                    self.record_system("digest.scheduled", detail, now).await?;
                    known = self.digest_log().await?;
                    now
                }
            };
            if let Some(run) = due_run(&plan.when, &own.handled, since, now) {
                self.send_digest(plan, run, now).await?;
                known = self.digest_log().await?;
            }
        }
        *log = Some(known);
        Ok(plans.iter().filter_map(|plan| plan.when.next_after(now)).min())
    }

    async fn digest_log(&self) -> Answered<DigestLog> {
        let entries = self.store.stream(SYSTEM).await?;
        Ok(DigestLog::read(entries.iter().map(|entry| entry.bytes.as_slice())))
    }

    async fn send_digest(&self, plan: &DigestPlan, run: DueRun, now: Timestamp) -> Answered<()> {
        let items = self.digest_items(plan, now).await?;
        let (title, note) = (title(&items, plan.when.zone(), now), note(plan, &items, now));
        let ladders = plan.to.iter().flat_map(|who| self.settings.directory.ladders(who, &plan.channels, now));
        let targets: BTreeSet<Target> = ladders.map(|ladder| ladder.first().clone()).collect();
        let message = |target: Target| {
            let key = format!("digest.{}.{}.{}", plan.id, run.at.format("%Y%m%dT%H%M%SZ"), target.label());
            let (policy, step) = ("digest".to_string(), plan.id.clone());
            let reason = Reason { policy, step, repeat: 0, due_at: run.at, coalesced: run.coalesced };
            let brief = Brief::about_daemon(title.clone(), plan.when.zone());
            let mut message = about_the_house(Event::DigestDue, key, target, reason, brief, now);
            message.extra =
                Extra { note: Some(note.clone()), drill: self.settings.drill.is_some(), ..Extra::default() };
            message
        };
        let messages: Vec<Message> = targets.into_iter().map(message).collect();
        let count = |part: Part| items.iter().filter(|item| part.holds(item, now)).count();
        let detail = detail! {
            "digest": Made::of(plan.id.clone()), "run": Made::of(utc(run.at)), "coalesced": run.coalesced,
            "open": count(Part::Open), "late": count(Part::Late), "reasons_missing": count(Part::ReasonsMissing),
            "messages": listed(&messages),
        };
        let first = self.draft_system("digest.queued", "breachclock", detail, now);
        self.store.commit(Changeset { change: Change::Messages(messages), first, more: Vec::new() }).await?;
        self.announce();
        Ok(())
    }

    /// Nearest limit first, those without a number last.
    async fn digest_items(&self, plan: &DigestPlan, now: Timestamp) -> Answered<Vec<Item>> {
        let book = self.book();
        let (mut items, mut after) = (Vec::new(), None);
        loop {
            let query = Query { open_only: true, after, limit: BATCH, ..Query::default() };
            let batch = self.store.list(query).await?;
            for dossier in &batch {
                let entity = dossier.record.incident.entity.id.as_ref();
                // an incident whose entity nobody named may be anybody's
                if !plan.entities.is_empty() && entity.is_some_and(|id| !plan.entities.contains(id)) {
                    continue;
                }
                let planned = self.plan_record(&book, &dossier.record, now);
                items.extend(planned.obligations.iter().filter_map(|o| {
                    let duty = planned.book_of(&book, o).duty_of(&dossier.record.incident, o);
                    Item::of(dossier, o, &duty.title, now)
                }));
            }
            match batch.last() {
                Some(last) if batch.len() == BATCH as usize => after = Some(last.record.incident.id.clone()),
                _ => break,
            }
        }
        items.sort_by(|a, b| (a.limit.is_none(), a.limit, &a.title).cmp(&(b.limit.is_none(), b.limit, &b.title)));
        Ok(items)
    }
}

/// `Digest: 3 open, 1 late, next due Mon 30 Mar, 17:20 CEST`
fn title(items: &[Item], zone: Zone, now: Timestamp) -> String {
    let count = |part: Part| items.iter().filter(|item| part.holds(item, now)).count();
    let mut words = match count(Part::Open) {
        0 => "Digest: nothing open".to_string(),
        n => format!("Digest: {n} open"),
    };
    for (n, said) in [(count(Part::Late), "late"), (count(Part::ReasonsMissing), "without reasons for the delay")] {
        if n > 0 {
            words.push_str(&format!(", {n} {said}"));
        }
    }
    let next = items.iter().filter(|item| item.open).filter_map(|item| item.limit).filter(|at| *at > now).min();
    if let Some(next) = next {
        words.push_str(&format!(", next due {}", words::short_label(next, zone)));
    }
    words
}

fn note(plan: &DigestPlan, items: &[Item], now: Timestamp) -> String {
    let mut told = vec![false; items.len()];
    let mut lines = Vec::new();
    for part in &plan.parts {
        let fits: Vec<usize> = (0..items.len()).filter(|at| !told[*at] && part.holds(&items[*at], now)).collect();
        if fits.is_empty() {
            continue;
        }
        lines.push(part.heading().to_string());
        lines.extend(fits.iter().take(MOST).map(|at| items[*at].line(now)));
        if fits.len() > MOST {
            lines.push(format!("- and {} more", fits.len() - MOST));
        }
        fits.into_iter().for_each(|at| told[at] = true);
    }
    if lines.is_empty() {
        lines.push("Nothing to tell.".to_string());
    }
    lines.join("\n")
}
