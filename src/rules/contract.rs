//! Contracts: the template of a pack with the contract's own words laid over it, and the notices counterparties owe us.
//!
//! A contract's trigger, period, convention and address stand before the template's. What the contract leaves open the
//! template says; what both leave open stays open.

use super::answer::{due_label, iso_duration, utc};
use super::book::Rulebook;
use super::clock::{self, Parties};
use super::condition::Condition;
use super::load::did_you_mean;
use super::trigger;
use crate::law::{
    Channel, Confidence, Contract, ContractPeriod, Deadline, Direction, Duty, DutyId, DutyPeriod, DutyStatus, Entity,
    FactType, HoldRule, Incident, Obligation, Place, Reach, Recipients, Started, THEIR_NOTICE, THEIR_TRIGGER, Trigger,
    nearest_of,
};
use crate::time::{Period, TimeError, Timestamp, Unit, Zone};
use chrono::Duration;
use schemars::JsonSchema;
use serde::Serialize;
use std::borrow::Cow;

/// The template of a contract that names none: one obligation, with nothing in it but the clause.
pub const OWN_CLAUSE: &str = "contract-own-clause";

/// The rows in which contracts count when they do not say how, by unit. The first one the packs have is taken.
fn usual_conventions(unit: Unit) -> &'static [&'static str] {
    match unit {
        Unit::Minute | Unit::Hour | Unit::WorkingHour => &["contract-hours", "elapsed-hours"],
        Unit::WorkingDay => &["contract-working-days"],
        Unit::Day | Unit::Week | Unit::Month | Unit::Year => &["contract-days"],
    }
}

impl Rulebook {
    /// Position of the template `contract` follows; `None` when no pack has it.
    pub(super) fn template_of(&self, contract: &Contract) -> Option<usize> {
        let id = crate::law::DutyId(template_id(contract).to_string());
        self.by_id.get(&id).copied()
    }

    /// The duty an obligation is an instance of; for one of a contract, with the contract's words laid over it. Of a duty
    /// this rulebook does not have only the name is known.
    pub fn duty_of<'a>(&'a self, incident: &Incident, o: &Obligation) -> Cow<'a, Duty<Condition>> {
        let Some(duty) = self.duty(&o.duty.0) else { return Cow::Owned(only_named(o)) };
        match contract_of(duty, &incident.entity, &o.jurisdiction) {
            Some(contract) => Cow::Owned(self.agreed(duty, contract)),
            None => Cow::Borrowed(duty),
        }
    }

    /// The template with the contract's own words laid over it.
    pub(super) fn agreed(&self, template: &Duty<Condition>, contract: &Contract) -> Duty<Condition> {
        let mut duty = template.clone();
        duty.recipient_name.clone_from(&contract.name);
        if let Some(citation) = &contract.citation {
            duty.citation.clone_from(citation);
        }
        if let Some(key) = &contract.starts {
            duty.starts = Trigger::Fact(key.clone());
            duty.conservative_starts = None;
        }
        let named = contract.convention.as_deref().and_then(|id| self.convention_named(id));
        match &contract.period {
            Some(period) => {
                duty.periods = vec![self.own_text(period, named)];
                // what nobody verified is the template's number, and it is not used
                if duty.confidence == Confidence::Low {
                    duty.confidence = Confidence::Medium;
                }
            }
            None => {
                for text in duty.periods.iter_mut().filter(|text| text.period.is_some()) {
                    text.convention = named.or(text.convention);
                }
            }
        }
        duty
    }

    fn own_text(&self, period: &ContractPeriod, named: Option<u16>) -> DutyPeriod<Condition> {
        let (period, promptly) = match period {
            ContractPeriod::Within(period) => (Some(*period), None),
            ContractPeriod::Promptly(words) => (None, Some(words.clone())),
        };
        let convention = period.and_then(|period| named.or_else(|| self.usual_convention(period.unit)));
        DutyPeriod {
            // a contract binds whenever the incident was: when it was signed is the register's affair
            from: None,
            until: None,
            undated: false,
            when: None,
            period,
            target: None,
            convention,
            promptly,
        }
    }

    fn convention_named(&self, id: &str) -> Option<u16> {
        self.conventions.iter().position(|row| row.id == id).map(|at| at as u16)
    }

    fn usual_convention(&self, unit: Unit) -> Option<u16> {
        usual_conventions(unit).iter().find_map(|id| self.convention_named(id))
    }

    /// The cap of a claims-made policy: so many days after the end of its period, whatever started the clock. With the
    /// name of the convention it was counted in.
    pub(super) fn cap(
        &self,
        duty: &Duty<Condition>,
        contract: &Contract,
        zone: Zone,
        parties: &Parties,
    ) -> Option<Result<(Deadline, String), TimeError>> {
        let (ends, days) = (contract.ends?, contract.notice_days_after_end?);
        let row = self.convention(self.usual_convention(Unit::Day)?);
        if days == 0 {
            let due = zone.day_start(ends.succ_opt()?);
            let cap = Deadline {
                due,
                conservative_due: due,
                counting_from: due,
                steps: Vec::new(),
                contested: Vec::new(),
                uncertain: false,
            };
            return Some(Ok((cap, row.id.clone())));
        }
        // noon: the same date in the zones of both parties, as far as that can be
        let from = zone.day_start(ends) + Duration::hours(12);
        let period = Period { unit: Unit::Day, n: days };
        let counted = clock::count(self, row, period, from, duty, &seat(duty, Some(contract)), parties);
        Some(counted.map(|deadline| (deadline, row.id.clone())))
    }

    /// What the counterparties of an incident's contracts owe us, in the order of the register.
    pub(super) fn they_owe(&self, incident: &Incident, parties: &Parties) -> Vec<OwedToUs> {
        let contracts = incident.entity.contracts.iter().filter(|c| c.direction == Direction::TheyOwe);
        contracts.filter(|c| concerns(c, incident)).map(|c| self.owed(c, incident, parties)).collect()
    }

    fn owed(&self, contract: &Contract, incident: &Incident, parties: &Parties) -> OwedToUs {
        let key = format!("{THEIR_TRIGGER}{}", contract.id);
        let ours = |key: &&String| trigger::KNOWLEDGE.contains(&key.as_str());
        let started = trigger::stated(&key, &incident.facts).or_else(|| {
            // what the clause counts from may be known to both sides; only our own knowledge says nothing about theirs
            let shared = contract.starts.as_ref().filter(|key| !ours(key))?;
            trigger::stated(shared, &incident.facts)
        });
        let mut owed = OwedToUs {
            contract: contract.clone(),
            zone: parties.notifier_zone.unwrap_or(Zone::UTC),
            told: trigger::stated(&format!("{THEIR_NOTICE}{}", contract.id), &incident.facts),
            missing: Vec::new(),
            because: contract.clause.iter().map(|clause| format!("the contract says: `{clause}`")).collect(),
            deadline: None,
            started,
        };
        let Some(template) = self.duty(OWN_CLAUSE) else { return owed };
        let duty = self.agreed(template, contract);
        let seat = seat(&duty, Some(contract));
        owed.zone = clock::of(self, &duty, &seat, parties).zone;
        let Some((period, row)) = duty.periods.iter().find_map(|text| Some((text.period?, text.convention?))) else {
            owed.because.push("no number in the contract: when their notice was due cannot be counted".to_string());
            return owed;
        };
        let Some(started) = &owed.started else {
            owed.because.push(format!("when their clock started is not known: `{key}`"));
            owed.missing.push(key);
            return owed;
        };
        let local = owed.zone.rfc3339(started.at);
        owed.because.push(format!("{} {} from {} at {local}", period.n, period.unit.words(period.n), started.key));
        match clock::count(self, self.convention(row), period, started.at, &duty, &seat, parties) {
            Ok(counted) => {
                owed.because.extend(counted.steps.iter().map(|step| step.text(owed.zone)));
                owed.deadline = Some(counted);
            }
            Err(error) => owed.because.push(format!("the date cannot be counted: {error}")),
        }
        owed
    }
}

/// A duty of which nothing is on record any more.
fn only_named(o: &Obligation) -> Duty<Condition> {
    Duty {
        id: o.duty.clone(),
        pack: String::new(),
        title: format!("`{}` of an earlier rule pack", o.duty),
        jurisdiction: o.jurisdiction.clone(),
        region: None,
        reach: Reach::Role,
        regime: None,
        roles: Vec::new(),
        recipient: o.recipient,
        recipient_name: o.recipient_name.clone(),
        recipients: Recipients::One,
        stage: o.stage,
        starts: Trigger::Requested,
        conservative_starts: None,
        when: Condition::All(Vec::new()),
        unless: None,
        min_affected: 0,
        open_while: None,
        periods: Vec::new(),
        combine: None,
        relative: None,
        replaces: None,
        baseline: false,
        law: String::new(),
        citation: String::new(),
        source_url: String::new(),
        no_url: String::new(),
        status: DutyStatus::Repealed,
        confidence: o.confidence,
        binding: o.binding,
        basis: String::new(),
        notes: String::new(),
        delay: String::new(),
        delay_notice: None,
        hold: HoldRule::No,
        oral_hold_days: None,
        written_hold_days: None,
        after_hold: None,
        after_hold_only_past: false,
        content: Vec::new(),
        reviewed: None,
    }
}

fn template_id(contract: &Contract) -> &str {
    contract.duty.as_deref().unwrap_or(OWN_CLAUSE)
}

/// The contract an obligation of `duty` towards `place` is owed under.
pub(super) fn contract_of<'e>(duty: &Duty<Condition>, entity: &'e Entity, place: &str) -> Option<&'e Contract> {
    if duty.recipients != Recipients::EachContract {
        return None;
    }
    ours(duty, entity).find(|contract| contract.id == place)
}

/// Clauses agreed with the counterparty of `place` under which one of `acts` is owed.
pub(super) fn clauses_beside<'e>(
    duty: &Duty<Condition>,
    entity: &'e Entity,
    place: &str,
    acts: &[DutyId],
) -> impl Iterator<Item = &'e Contract> {
    let own = contract_of(duty, entity, place);
    entity.contracts.iter().filter(move |clause| {
        own.is_some_and(|own| own.id != clause.id && own.name == clause.name && own.direction == clause.direction)
            && acts.iter().any(|act| act.0 == template_id(clause))
    })
}

/// The contracts of `entity` under which it owes the notice of `duty`.
pub(super) fn ours<'e>(duty: &Duty<Condition>, entity: &'e Entity) -> impl Iterator<Item = &'e Contract> {
    let id = duty.id.0.clone();
    let contracts = entity.contracts.iter().filter(|c| c.direction == Direction::WeOwe);
    contracts.filter(move |contract| template_id(contract) == id)
}

/// Whose calendar and zone count: the place a contract names. One that names none has no place on record, and so no
/// holidays: weekends alone, which is never later.
pub(super) fn seat(duty: &Duty<Condition>, contract: Option<&Contract>) -> Place {
    contract.and_then(|c| c.place.clone()).unwrap_or_else(|| duty.jurisdiction.clone())
}

/// A contract concerns an incident unless it is known which ones do, and this is none of them.
fn concerns(contract: &Contract, incident: &Incident) -> bool {
    let stated = |prefix: &str| incident.facts.get(&format!("{prefix}{}", contract.id)).is_some();
    incident.facts.set("clients").is_none_or(|ids| ids.contains(&contract.id))
        || stated(THEIR_TRIGGER)
        || stated(THEIR_NOTICE)
}

/// Where the counterparty takes notices: a page or a mail address; anything else is shown in words only.
pub(super) fn channel(contract: &Contract) -> Option<Channel> {
    let address = contract.address.as_deref()?;
    let plain = !address.contains(char::is_whitespace);
    let page = plain && (address.starts_with("https://") || address.starts_with("http://"));
    let mail =
        plain && !address.contains(':') && address.split_once('@').is_some_and(|(a, b)| !a.is_empty() && !b.is_empty());
    (page || mail).then(|| Channel {
        url: page.then(|| address.to_string()),
        email: mail.then(|| address.to_string()),
        languages: Vec::new(),
        notes: contract.form.clone(),
    })
}

/// What the register says beside the date, in sentences.
pub(super) fn clause_sentences(contract: &Contract) -> Vec<String> {
    let mut sentences = Vec::new();
    if let Some(clause) = &contract.clause {
        sentences.push(format!("the contract says: `{clause}`"));
    }
    match (&contract.address, &contract.form) {
        (Some(address), Some(form)) => sentences.push(format!("the notice goes to `{address}`, in the form `{form}`")),
        (Some(address), None) => sentences.push(format!("the notice goes to `{address}`")),
        (None, Some(form)) => sentences.push(format!("the notice has the form `{form}`")),
        (None, None) => {}
    }
    if let (Some(period), None) = (contract.number(), &contract.place)
        && matches!(period.unit, Unit::WorkingDay | Unit::WorkingHour)
    {
        sentences.push("the register names no `place` for its working days: only weekends are left out".to_string());
    }
    if contract.number().is_some_and(|period| period.unit == Unit::WorkingHour) {
        sentences.push(
            "working hours are counted as hours of whole working days: earlier than any opening hours".to_string(),
        );
    }
    if contract.period.is_none() && contract.duty.is_none() {
        sentences.push("the register names no period: read the clause and add `period`".to_string());
    }
    sentences
}

/// Why a policy's cap is where it is; empty for a contract without one.
pub(super) fn cap_sentence(contract: &Contract) -> String {
    match (contract.ends, contract.notice_days_after_end) {
        (Some(ends), Some(0)) => format!("no later than the end of the policy period on {ends}"),
        (Some(ends), Some(days)) => {
            format!("no later than {days} {} after the end of the policy period on {ends}", Unit::Day.words(days))
        }
        _ => String::new(),
    }
}

/// What an operator's policy says where there is no number.
pub(super) fn assumption(hours: u32) -> String {
    format!("no number in the contract; assume {hours} h, verify")
}

/// A notice a counterparty owes us. It is no obligation of ours: nobody is reminded, nothing is filed.
#[derive(Clone, Debug)]
pub struct OwedToUs {
    pub contract: Contract,
    pub zone: Zone,
    /// What started their clock, when it is known.
    pub started: Option<Started>,
    /// Until when they had to tell us; `None` when their start or the number is not known.
    pub deadline: Option<Deadline>,
    /// When they did.
    pub told: Option<Started>,
    pub missing: Vec<String>,
    pub because: Vec<String>,
}

impl OwedToUs {
    /// `received`, `late` or `awaited` at `now`.
    pub fn standing(&self, now: Timestamp) -> &'static str {
        match (&self.told, &self.deadline) {
            (Some(_), _) => "received",
            (None, Some(deadline)) if now >= deadline.due => "late",
            (None, _) => "awaited",
        }
    }
}

/// A notice owed to us, as answered.
#[derive(Clone, Serialize, JsonSchema)]
#[schemars(rename = "OwedToUs")]
pub struct OwedAnswer {
    pub contract: String,
    pub name: String,
    #[schemars(extend("enum" = ["awaited", "late", "received"]))]
    pub standing: &'static str,
    /// The first instant at which their notice is too late.
    #[schemars(with = "Option<Timestamp>")]
    pub due: Option<String>,
    #[schemars(with = "Option<Timestamp>")]
    pub due_local: Option<String>,
    pub due_label: Option<String>,
    pub zone: Zone,
    pub period: Option<String>,
    #[schemars(with = "Option<Timestamp>")]
    pub received_at: Option<String>,
    #[schemars(extend("format" = "duration"))]
    pub late_by: Option<String>,
    pub clause: Option<String>,
    pub citation: Option<String>,
    pub missing: Vec<String>,
    pub because: Vec<String>,
}

impl OwedToUs {
    pub(super) fn answer(&self, now: Timestamp) -> OwedAnswer {
        let due = self.deadline.as_ref().map(|d| d.due);
        let at = self.told.as_ref().map_or(now, |told| told.at);
        OwedAnswer {
            contract: self.contract.id.clone(),
            name: self.contract.name.clone(),
            standing: self.standing(now),
            due: due.map(utc),
            due_local: due.map(|due| self.zone.rfc3339(due)),
            due_label: due.map(|due| due_label(due, self.zone)),
            zone: self.zone,
            period: self.contract.period.as_ref().map(ContractPeriod::text),
            received_at: self.told.as_ref().map(|told| utc(told.at)),
            late_by: due.filter(|due| at >= *due).map(|due| iso_duration((at - due).num_seconds())),
            clause: self.contract.clause.clone(),
            citation: self.contract.citation.clone(),
            missing: self.missing.clone(),
            because: self.because.clone(),
        }
    }
}

/// What a contract names and no pack knows: the member, and a sentence with the nearest known words.
pub fn contract_faults(book: &Rulebook, contract: &Contract) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let templates =
        || book.duties().iter().filter(|d| d.recipients == Recipients::EachContract).map(|d| d.id.0.as_str());
    if let Some(id) = &contract.duty {
        let near = nearest_of(id, templates());
        match book.duty(id).map(|duty| duty.recipients) {
            Some(Recipients::EachContract) if contract.direction == Direction::TheyOwe => found.push((
                "duty",
                format!("`duty` is `{id}`, a template of notices we owe; leave it out where the counterparty owes us"),
            )),
            Some(Recipients::EachContract) => {}
            Some(_) => found.push((
                "duty",
                format!("`duty` is `{id}`, which is a duty of law and no template of contracts{}", did_you_mean(&near)),
            )),
            None => found.push((
                "duty",
                format!(
                    "`duty` is `{id}`, which no pack has{}; leave it out for a clause of its own kind",
                    did_you_mean(&near)
                ),
            )),
        }
    }
    if let Some(key) = contract.starts.as_ref().filter(|key| book.catalogue().kind(key) != Some(FactType::Instant)) {
        let instants = book.catalogue().iter().filter(|d| d.kind == FactType::Instant).map(|d| d.key.as_str());
        found.push((
            "starts",
            format!("`starts` is `{key}`, an instant no pack declares{}", did_you_mean(&nearest_of(key, instants))),
        ));
    }
    if let Some(id) = contract.convention.as_ref().filter(|id| book.convention_named(id).is_none()) {
        let near = nearest_of(id, book.conventions.iter().map(|row| row.id.as_str()));
        found.push((
            "convention",
            format!(
                "`convention` is `{id}`, which no conventions file has{}; leave it out for the usual way of its unit",
                did_you_mean(&near)
            ),
        ));
    }
    // a group of places has no calendar and no midnight
    let places = book.places();
    if let Some(place) = contract.place.as_ref().filter(|p| !places.is_known(p) || places.is_region(p)) {
        let near = nearest_of(place, book.places().ids());
        found.push((
            "place",
            format!("`place` is `{place}`, which is not known{}; write an ISO 3166 code", did_you_mean(&near)),
        ));
    }
    if let Some(period) = contract.number().filter(|period| book.usual_convention(period.unit).is_none())
        && contract.convention.is_none()
    {
        let usual = usual_conventions(period.unit).join("` or `");
        found.push((
            "period",
            format!("the rule packs have no convention `{usual}` to count it in; name a `convention`"),
        ));
    }
    found
}
