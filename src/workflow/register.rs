//! The register of breaches and its numbers. Making one is itself recorded: it shows what every incident is about.

use super::read::value_json;
use super::{Answered, Caller, House, Right, Trouble};
use crate::evidence::register::statistics::{Statistics, statistics};
use crate::evidence::register::{
    Breach, Effects, Facts, NotNotified, Outcome, Owed, OwedTimes, Scope, Times, delimited, printed, xlsx,
};
use crate::evidence::{Detail, hex, report, sha256};
use crate::law::{Act, FactBook, Obligation, Standing, Value};
use crate::rules::{Plan, Rulebook, utc};
use crate::store::{Change, Changeset, Dossier, Query, Store};
use crate::time::{CivilDate, Timestamp, Zone};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

/// Incidents read per round.
const BATCH: u32 = 200;
/// Texts of the facts that say what no other fact does.
const DESCRIPTION: &str = "record.what_happened";
const EFFECTS: &str = "record.effects";
const REMEDIAL: &str = "record.remedial_action";

/// Which breaches a register is of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegisterRequest {
    /// First and last day on which a breach became known, both included; by the clock of its entity.
    pub from: Option<CivilDate>,
    pub until: Option<CivilDate>,
    pub status: Option<BreachStatus>,
    pub entity: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreachStatus {
    Open,
    Closed,
    /// With an obligation that is late and not done.
    Overdue,
}

impl BreachStatus {
    pub const ALL: [BreachStatus; 3] = [BreachStatus::Open, BreachStatus::Closed, BreachStatus::Overdue];

    pub fn as_str(self) -> &'static str {
        match self {
            BreachStatus::Open => "open",
            BreachStatus::Closed => "closed",
            BreachStatus::Overdue => "overdue",
        }
    }
}

crate::law::schema_of_words!(BreachStatus);

/// What a register is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterFormat {
    Json,
    Csv,
    Xlsx,
    /// To read and to print.
    Html,
    /// To keep: only in a program that was built with the typesetter.
    Pdf,
}

impl RegisterFormat {
    pub const ALL: [RegisterFormat; 5] =
        [RegisterFormat::Json, RegisterFormat::Csv, RegisterFormat::Xlsx, RegisterFormat::Html, RegisterFormat::Pdf];

    pub fn as_str(self) -> &'static str {
        match self {
            RegisterFormat::Json => "json",
            RegisterFormat::Csv => "csv",
            RegisterFormat::Xlsx => "xlsx",
            RegisterFormat::Html => "html",
            RegisterFormat::Pdf => "pdf",
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            RegisterFormat::Json => "application/json",
            RegisterFormat::Csv => "text/csv; charset=utf-8",
            RegisterFormat::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            RegisterFormat::Html => "text/html; charset=utf-8",
            RegisterFormat::Pdf => "application/pdf",
        }
    }
}

crate::law::schema_of_words!(RegisterFormat);

/// The register of breaches.
#[derive(Serialize, JsonSchema)]
pub struct Register<'a> {
    pub scope: &'a Scope,
    pub breaches: &'a [Breach],
    pub statistics: &'a Statistics,
}

/// A register as a file.
pub struct RegisterFile {
    pub name: String,
    pub bytes: Vec<u8>,
}

impl<S: Store> House<S> {
    /// The register of breaches of personal data, with those of which nobody has said whether they are.
    pub async fn register(
        &self,
        caller: &Caller,
        ask: &RegisterRequest,
        format: RegisterFormat,
        now: Timestamp,
    ) -> Answered<RegisterFile> {
        let breaches = self.breaches(caller, ask, now).await?;
        let scope = self.scope(caller, ask, now);
        let numbers = statistics(&breaches, now);
        let json = || {
            let whole = Register { scope: &scope, breaches: &breaches, statistics: &numbers };
            let mut bytes = serde_json::to_vec_pretty(&whole).unwrap_or_default();
            bytes.push(b'\n');
            bytes
        };
        let bytes = match format {
            RegisterFormat::Csv => delimited::write(&breaches),
            RegisterFormat::Xlsx => {
                xlsx::write(&scope, &breaches, &numbers).map_err(|e| Trouble::NotNow(e.to_string()))?
            }
            RegisterFormat::Json => json(),
            RegisterFormat::Html => report::html(&printed::document(&scope, &breaches, &numbers)).into_bytes(),
            RegisterFormat::Pdf => {
                let document = printed::document(&scope, &breaches, &numbers);
                // the table for machines travels inside, as in the report of an incident
                let made = report::pdf(&document, &[("breach-register.json", &json())]).ok_or_else(|| {
                    Trouble::NotNow(
                        "this program was built without the typesetter: take `html` and print it, or build with \
                         `cargo build --release --features pdf`"
                            .into(),
                    )
                })?;
                made.map_err(Trouble::NotNow)?
            }
        };
        let detail = Detail::made(json!({
            "format": format.as_str(), "from": scope.from, "until": scope.until, "status": scope.status, "entity": scope.entity,
            "breaches": breaches.len(), "sha256": hex(&sha256(&bytes)),
        }));
        self.exported("register.exported", caller, detail, now).await?;
        let name = format!("breach-register-{}.{}", now.format("%Y%m%dT%H%M%SZ"), format.as_str());
        Ok(RegisterFile { name, bytes })
    }

    /// The numbers of the register alone.
    pub async fn statistics(
        &self,
        caller: &Caller,
        ask: &RegisterRequest,
        now: Timestamp,
    ) -> Answered<(Scope, Statistics)> {
        let breaches = self.breaches(caller, ask, now).await?;
        let (scope, numbers) = (self.scope(caller, ask, now), statistics(&breaches, now));
        let detail = Detail::made(json!({
            "from": scope.from, "until": scope.until, "status": scope.status, "entity": scope.entity,
            "breaches": breaches.len(),
        }));
        self.exported("statistics.exported", caller, detail, now).await?;
        Ok((scope, numbers))
    }

    async fn exported(&self, kind: &'static str, caller: &Caller, detail: Detail, now: Timestamp) -> Answered<()> {
        let first = self.draft_system(kind, &caller.name, detail, now);
        self.commit(Changeset { change: Change::Nothing, first, more: Vec::new() }).await?;
        self.announce();
        Ok(())
    }

    fn scope(&self, caller: &Caller, ask: &RegisterRequest, now: Timestamp) -> Scope {
        Scope {
            origin: self.settings.origin.clone(),
            from: ask.from.map(|day| day.to_string()),
            until: ask.until.map(|day| day.to_string()),
            status: ask.status.map(|s| s.as_str().to_string()),
            entity: ask.entity.clone(),
            made_at: now.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            made_by: caller.name.clone(),
        }
    }

    /// Oldest knowledge first.
    async fn breaches(&self, caller: &Caller, ask: &RegisterRequest, now: Timestamp) -> Answered<Vec<Breach>> {
        self.permit(caller, Right::Export)?;
        if let (Some(from), Some(until)) = (ask.from, ask.until)
            && from > until
        {
            return Err(Trouble::Rejected(vec![crate::ingest::Rejection {
                pointer: "/until".into(),
                line: None,
                text: format!("`until` is {until}, before `from` ({from})"),
            }]));
        }
        let book = self.book();
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let query = Query { entity: ask.entity.clone(), after, limit: BATCH, ..Query::default() };
            let batch = self.store.list(query).await?;
            for dossier in batch.iter().filter(|d| caller.may_see(&d.record.incident.entity)) {
                if dossier.record.incident.facts.yes_no("personal_data") == Some(false) || !in_period(dossier, ask) {
                    continue;
                }
                let plan = self.plan_record(&book, &dossier.record, now);
                let breach = breach(&book, &plan, dossier, now);
                let wanted = match ask.status {
                    None => true,
                    Some(BreachStatus::Overdue) => {
                        breach.obligations.iter().any(|o| o.outcome == Outcome::Missed.as_str())
                    }
                    Some(status) => breach.status == status.as_str(),
                };
                if wanted {
                    found.push(breach);
                }
            }
            match batch.last() {
                Some(last) if batch.len() == BATCH as usize => after = Some(last.record.incident.id.clone()),
                _ => break,
            }
        }
        found.sort_by(|a, b| (&a.known_at, &a.id).cmp(&(&b.known_at, &b.id)));
        Ok(found)
    }
}

/// When the breach became known, as far as anybody has said.
fn known(facts: &FactBook) -> Option<Timestamp> {
    facts.instant("times.aware").or_else(|| facts.instant("times.detected"))
}

fn day_of(dossier: &Dossier) -> CivilDate {
    let incident = &dossier.record.incident;
    let zone = incident.entity.zone.unwrap_or(Zone::UTC);
    zone.local(known(&incident.facts).unwrap_or(incident.opened_at)).date()
}

fn in_period(dossier: &Dossier, ask: &RegisterRequest) -> bool {
    let day = day_of(dossier);
    ask.from.is_none_or(|from| day >= from) && ask.until.is_none_or(|until| day <= until)
}

fn breach(book: &Rulebook, plan: &Plan, dossier: &Dossier, now: Timestamp) -> Breach {
    let incident = &dossier.record.incident;
    let facts = &incident.facts;
    let instant = |key: &str| facts.instant(key).map(utc);
    let acts = &dossier.record.acts;
    let decided_on =
        |o: &&Obligation| acts.get(&o.id).is_some_and(|act| !act.filings.is_empty() || act.waiver.is_some());
    let obligations: Vec<Owed> = plan
        .obligations
        .iter()
        .filter(|o| match o.standing {
            Standing::NotApplicable | Standing::Withdrawn => false,
            // a question, until somebody did something about it
            Standing::Possible(_) => decided_on(o),
            _ => true,
        })
        .map(|o| owed(plan.book_of(book, o), dossier, o, acts.get(&o.id), now))
        .collect();
    let approved = acts.values().filter_map(|act| act.waiver.as_ref()?.approved_at);
    let filed = obligations.iter().filter_map(|o| o.times.filed);
    let decided = facts.instant("times.determined").into_iter().chain(approved).chain(filed).min();
    let knew = known(facts);
    Breach {
        id: incident.id.0.clone(),
        title: incident.title.clone(),
        entity: incident.entity.name.clone(),
        status: if incident.closed_at.is_some() { "closed" } else { "open" },
        reported_at: utc(incident.opened_at),
        reported_by: incident.opened_by.clone(),
        closed_at: incident.closed_at.map(utc),
        known_at: utc(knew.unwrap_or(incident.opened_at)),
        known_on: day_of(dossier).to_string(),
        facts: Facts {
            description: text(facts, DESCRIPTION),
            occurred_from: instant("times.occurred_from"),
            occurred_until: instant("times.occurred_until"),
            detected_at: instant("times.detected"),
            aware_at: instant("times.aware"),
            personal_data: yes_no(facts, "personal_data"),
            kinds: text(facts, "kinds"),
            data: text(facts, "data"),
            special_categories: yes_no(facts, "special_categories"),
            encrypted: yes_no(facts, "encrypted"),
            affected: text(facts, "affected.total"),
            affected_by_place: facts
                .with_prefix("affected.")
                .filter(|fact| fact.key != "affected.total")
                .map(|fact| format!("{} {}", &fact.key["affected.".len()..], text(facts, &fact.key)))
                .collect::<Vec<_>>()
                .join("; "),
        },
        effects: Effects {
            description: text(facts, EFFECTS),
            risk: text(facts, "risk"),
            service_disrupted: yes_no(facts, "service_disrupted"),
            cross_border: yes_no(facts, "cross_border"),
        },
        remedial_action: text(facts, REMEDIAL),
        contained_at: instant("times.contained"),
        times: Times {
            occurred: facts.instant("times.occurred_from").or_else(|| facts.instant("times.occurred_until")),
            known: knew,
            decided,
        },
        obligations,
    }
}

fn owed(book: &Rulebook, dossier: &Dossier, o: &Obligation, act: Option<&Act>, now: Timestamp) -> Owed {
    let duty = book.duty_of(&dossier.record.incident, o);
    let deadline = o.standing.deadline();
    let filed = match &o.standing {
        Standing::Discharged { at, .. } => Some(*at),
        _ => None,
    };
    // nobody said since when its clock runs, only that it is not later
    let last_possible = o.bound.filter(|_| matches!(o.standing, Standing::Awaiting { .. })).map(|(due, _)| due);
    let times = OwedTimes {
        started: o.started_by.as_ref().map(|s| s.at).or(deadline.map(|d| d.counting_from)),
        due: deadline.map(|d| d.due).or(last_possible),
        filed,
        running: matches!(o.standing, Standing::Running(_)) || last_possible.is_some(),
    };
    // the filing that discharged it, else the last one recorded
    let filings = act.map(|act| act.filings.as_slice()).unwrap_or_default();
    let filing = filings.iter().find(|f| Some(f.at) == filed).or(filings.last());
    let delays = act.map(|act| act.delays.as_slice()).unwrap_or_default();
    Owed {
        id: format!("{}~{}", dossier.record.incident.id, o.id),
        duty: duty.title.clone(),
        citation: format!("{}, {}", duty.law, duty.citation),
        jurisdiction: o.jurisdiction.clone(),
        recipient: o.recipient_name.clone(),
        standing: o.standing.as_str(),
        outcome: times.outcome(now).map_or("", Outcome::as_str),
        due: times.due.map(utc),
        conservative_due: deadline.map(|d| utc(d.conservative_due)),
        filed_at: filed.map(utc),
        filed_by: filing.map(|f| f.by.clone()).unwrap_or_default(),
        reference: filing.and_then(|f| f.reference.clone()).unwrap_or_default(),
        delay_reasons: delays
            .iter()
            .map(|d| format!("{} ({}, {})", d.reason, d.by, utc(d.at)))
            .collect::<Vec<_>>()
            .join("; "),
        not_notified: act.and_then(|act| act.waiver.as_ref()).map(|w| NotNotified {
            state: if w.approved_at.is_some() { "approved" } else { "pending" },
            reason: w.reason.clone(),
            by: w.by.clone(),
            at: utc(w.at),
            second_approver: w.second_approver.clone().unwrap_or_default(),
            approved_at: w.approved_at.map(utc),
            review_on: w.review_on.clone().unwrap_or_default(),
        }),
        times,
    }
}

/// Silence is not no.
fn yes_no(facts: &FactBook, key: &str) -> &'static str {
    match facts.yes_no(key) {
        Some(true) => "yes",
        Some(false) => "no",
        None => "unknown",
    }
}

/// A fact in words; empty when nobody stated it.
fn text(facts: &FactBook, key: &str) -> String {
    match facts.get(key) {
        None => String::new(),
        Some(Value::Set(words)) => words.join(", "),
        Some(Value::Count(count)) => match count.at_most {
            Some(most) if most == count.at_least => most.to_string(),
            Some(most) => format!("{} to {most}", count.at_least),
            None => format!("at least {}", count.at_least),
        },
        Some(value) => match value_json(value) {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        },
    }
}
