//! Deadlines and rotas as calendars that other programs subscribe to: still on people's phones when this server is not.
//!
//! A subscription has no login: its address holds a token that reads calendars and nothing else, for the entities of
//! whoever made it. It stands among the tokens, so it is listed, ends, and can be revoked.

use super::ical::{Event, Writer};
use super::tokens::Minted;
use super::{Answered, Caller, House, Right, Role, Trouble};
use crate::escalation::{Directory, Rota};
use crate::law::{Obligation, Standing};
use crate::rules::{Rulebook, due_label, utc};
use crate::store::{Dossier, Query, Store};
use crate::time::{CivilDate, Fold, Timestamp};
use chrono::{Datelike, Days, Duration, NaiveTime};
use schemars::JsonSchema;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// The word that stands for the role of a subscription; no role of a caller, so such a token opens nothing else.
pub const CALENDAR: &str = "calendar";
/// How long a subscription lasts unless stated.
const SUBSCRIPTION: Duration = Duration::days(400);
const BATCH: u32 = 200;
/// Minutes before a conservative limit at which calendars ring.
const ALARMS: [i64; 3] = [24 * 60, 4 * 60, 60];
/// Turns of a rota that are written: from the one before the present on.
const WEEKS: u64 = 26;

/// A new subscription. The address is shown once.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Subscription {
    /// To revoke it by.
    pub id: String,
    /// Whoever has it reads the deadlines.
    #[schemars(extend("format" = "uri"))]
    pub url: String,
    /// Entities it shows; empty means all.
    pub entities: Vec<String>,
    #[schemars(with = "Timestamp")]
    pub expires_at: String,
}

impl<S: Store> House<S> {
    /// Makes a subscription for the entities that the caller may see.
    pub async fn create_calendar(
        &self,
        caller: &Caller,
        label: &str,
        expires_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Answered<Subscription> {
        self.permit(caller, Right::Read)?;
        let expires_at = expires_at.unwrap_or(now + SUBSCRIPTION);
        let minted = Minted {
            prefix: "bcc_",
            role: CALENDAR,
            kind: "calendar.created",
            label: if label.is_empty() { CALENDAR } else { label },
            entities: caller.entities.clone(),
            expires_at: Some(expires_at),
        };
        let (record, text) = self.mint(caller, minted, now).await?;
        Ok(Subscription {
            id: record.id,
            url: format!("{}/calendar/{text}.ics", self.settings.public_url),
            entities: record.entities,
            expires_at: utc(expires_at),
        })
    }

    /// Whoever holds the address of a subscription: may look, at these entities.
    pub async fn subscriber(&self, token: &str, now: Timestamp) -> Answered<Caller> {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let unknown = || {
            Trouble::NotFound(
                "such calendar: it has ended or the address is incomplete; make a new subscription".into(),
            )
        };
        let record = self.token_of(&digest, now).await?.filter(|r| r.role == CALENDAR).ok_or_else(unknown)?;
        Ok(Caller { name: format!("calendar:{}", record.label), role: Role::Auditor, entities: record.entities })
    }

    /// The deadlines of open incidents: one event per dated obligation, at its conservative limit.
    pub async fn deadlines_calendar(&self, caller: &Caller, now: Timestamp) -> Answered<String> {
        self.permit(caller, Right::Read)?;
        let book = self.book();
        let mut writer = Writer::new("Breach deadlines");
        if let Some(log) = self.log_head().await? {
            // every program that keeps the feed can show later that the log was not rewritten
            writer.describe(&format!("Evidence log {}, size {}, root {}", log.origin, log.size, log.root));
        }
        let mut after = None;
        loop {
            let batch = self
                .store
                .list(Query { open_only: true, entity: None, after, limit: BATCH, ..Query::default() })
                .await?;
            let (full, last) = (batch.len() == BATCH as usize, batch.last().map(|d| d.record.incident.id.clone()));
            for dossier in batch.iter().filter(|d| caller.may_see(&d.record.incident.entity)) {
                let plan = self.plan_record(&book, &dossier.record, now);
                for o in &plan.obligations {
                    self.write_deadline(&mut writer, &book, dossier, o, now);
                }
            }
            if !full {
                return Ok(writer.finish());
            }
            after = last;
        }
    }

    fn write_deadline(&self, writer: &mut Writer, book: &Rulebook, dossier: &Dossier, o: &Obligation, now: Timestamp) {
        let Some(deadline) = o.standing.deadline() else { return };
        let incident = &dossier.record.incident;
        let duty = book.duty_of(incident, o);
        let (status, word) = match &o.standing {
            Standing::Running(_) => ("CONFIRMED", ""),
            // rows nobody has verified would fill a calendar with what may not be law
            Standing::Possible(_) if !o.unverified => ("TENTATIVE", "Possible: "),
            Standing::Discharged { .. } => ("CANCELLED", "Done: "),
            Standing::Waived { .. } => ("CANCELLED", "Waived: "),
            _ => return,
        };
        let act = dossier.record.acts.get(&o.id);
        let holder = match act.and_then(|act| act.holder(now)) {
            Some(ack) => format!("{} has it until {}.", ack.by, utc(ack.until)),
            None => "Nobody has it.".to_string(),
        };
        let careful = due_label(deadline.conservative_due, o.zone);
        let mut lines = vec![
            format!("Act before {careful} ({}).", utc(deadline.conservative_due)),
            format!("Legal limit: {} ({}).", due_label(deadline.due, o.zone), utc(deadline.due)),
            format!("{}, {}.", duty.law, duty.citation),
            incident.title.clone(),
        ];
        if status != "CANCELLED" {
            lines.push(holder);
        }
        if !o.missing.is_empty() && status == "TENTATIVE" {
            lines.push(format!("Depends on: {}.", o.missing.join(", ")));
        }
        let id = format!("{}~{}", incident.id, o.id);
        writer.event(&Event {
            uid: &format!("{id}@{}", self.settings.origin.replace('/', ".")),
            sequence: dossier.version,
            modified: last_change(dossier),
            start: deadline.conservative_due,
            end: None,
            summary: &format!("{word}{}, {} ({})", duty.title, o.recipient_name, incident.entity.name),
            description: &lines.join("\n"),
            url: Some(&format!("{}/obligations/{}", self.settings.public_url, crate::notify::links::escape(&id))),
            status,
            alarms: if status == "CANCELLED" { &[] } else { &ALARMS },
        });
    }

    /// Who is on duty when, half a year ahead.
    pub async fn rota_calendar(&self, caller: &Caller, id: &str, now: Timestamp) -> Answered<String> {
        self.permit(caller, Right::Read)?;
        let directory = &self.settings.directory;
        let rota = directory.rotas.iter().find(|r| r.id == id);
        let rota = rota.ok_or_else(|| Trouble::NotFound(format!("rota `{id}`")))?;
        let mut writer = Writer::new(&format!("Rota {id}"));
        for (from, until, person) in turns(directory, rota, now) {
            let name = directory.person(&person).map_or(person.as_str(), |p| p.name.as_str());
            writer.event(&Event {
                uid: &format!("rota-{id}-{}@{}", from.timestamp(), self.settings.origin.replace('/', ".")),
                sequence: 0,
                modified: from,
                start: from,
                end: Some(until),
                summary: name,
                description: "",
                url: None,
                status: "CONFIRMED",
                alarms: &[],
            });
        }
        Ok(writer.finish())
    }
}

/// When the incident, what people did about it, or a message last changed. The version grows with each of them.
fn last_change(dossier: &Dossier) -> Timestamp {
    let record = &dossier.record;
    let facts = record.incident.facts.history().iter().map(|f| f.asserted_at);
    let acts = record.acts.values().flat_map(|act| {
        let acks = act.acknowledgements.iter().map(|a| a.at).chain(act.declined.iter().map(|(_, at)| *at));
        let filings = act.filings.iter().map(|f| f.recorded_at).chain(act.delays.iter().map(|d| d.at));
        let waiver = act.waiver.iter().map(|w| w.approved_at.unwrap_or(w.at));
        acks.chain(filings).chain(waiver)
    });
    let sent = dossier.sent.iter().map(|s| s.settled_at.unwrap_or(s.message.created_at).max(s.message.created_at));
    let kept = record.kept.iter().map(|k| k.since);
    facts
        .chain(acts)
        .chain(sent)
        .chain(kept)
        .max()
        .map_or(record.incident.opened_at, |at| at.max(record.incident.opened_at))
}

/// From, until and person id of each turn, from the one before the present on; neighbours of one person are one.
pub(super) fn turns(directory: &Directory, rota: &Rota, now: Timestamp) -> Vec<(Timestamp, Timestamp, String)> {
    let mut turns: Vec<(Timestamp, Timestamp, String)> = Vec::new();
    let changes = changes(rota, now);
    for pair in changes.windows(2) {
        let [from, until] = pair else { continue };
        let Some(person) = rota.on_duty(*from).and_then(|id| directory.person(id)) else { continue };
        match turns.last_mut() {
            Some((_, end, before)) if *end == *from && *before == person.id => *end = *until,
            _ => turns.push((*from, *until, person.id.clone())),
        }
    }
    turns
}

/// Instants at which somebody else may be on duty, in order: the weekly hand-overs, and the ends of shifts.
fn changes(rota: &Rota, now: Timestamp) -> Vec<Timestamp> {
    let today: CivilDate = rota.zone.local(now).date();
    let since = u64::from((today.weekday().num_days_from_monday() + 7 - u32::from(rota.handover.0)) % 7);
    let minutes = u32::from(rota.handover.1);
    let time = NaiveTime::from_hms_opt(minutes / 60, minutes % 60, 0).unwrap_or_default();
    let first = today - Days::new(since + 7);
    let mut changes: Vec<Timestamp> = (0..WEEKS + 2)
        .filter_map(|week| first.checked_add_days(Days::new(7 * week)))
        .filter_map(|date| rota.zone.resolve(date.and_time(time), Fold::First).ok())
        .collect();
    if let (Some(begin), Some(end)) = (changes.first().copied(), changes.last().copied()) {
        let shifts = rota.shifts.iter().flat_map(|shift| [shift.from, shift.until]);
        changes.extend(shifts.filter(|at| (begin..end).contains(at)));
        changes.sort();
        changes.dedup();
    }
    changes
}
