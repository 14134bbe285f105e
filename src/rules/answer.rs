//! A plan as people and programs read it: the members of the public contract, in sentences and instants.

use super::book::Rulebook;
use super::condition::Condition;
use super::contract::{self, OwedAnswer};
use super::plan::{Plan, two_at_once};
use super::questions::{self, Question};
use crate::law::{
    Binding, Certainty, Channel, Confidence, Deadline, Duty, DutyPeriod, Incident, Obligation, Phase, RecipientKind,
    Stage, Standing, Trigger,
};
use crate::time::{self, Timestamp, Zone};
use schemars::JsonSchema;
use serde::Serialize;

#[derive(Clone, Serialize, JsonSchema)]
pub struct Answer {
    #[schemars(with = "Timestamp")]
    pub now: String,
    pub rulebook: RulebookName,
    pub obligations: Vec<ObligationAnswer>,
    /// Notices counterparties owe us under contracts: no obligations of ours.
    pub they_owe: Vec<OwedAnswer>,
    pub questions: Vec<Question>,
    /// Clocks that do not run yet and might, the fastest first.
    pub might_appear: Vec<MightAppear>,
    pub not_covered: Vec<NotCovered>,
    pub warnings: Vec<Warning>,
}

#[derive(Clone, Serialize, JsonSchema)]
#[schemars(rename = "Rulebook")]
pub struct RulebookName {
    pub version: String,
    pub sha256: String,
    pub tzdb: String,
    pub calendars: String,
}

/// A clock that would start with a fact nobody has stated yet.
#[derive(Clone, Serialize, JsonSchema)]
pub struct MightAppear {
    pub id: String,
    pub title: String,
    pub recipient_name: String,
    /// The conservative limit if the clock started now.
    #[schemars(with = "Timestamp")]
    pub if_started_now: String,
    /// The time that would be left until then.
    #[schemars(extend("format" = "duration"))]
    pub left: String,
    pub missing: Vec<String>,
}

/// Limits that are not in force yet.
#[derive(Clone, Serialize, JsonSchema)]
#[schemars(rename = "UnsignedLimits")]
pub struct Unsigned {
    #[schemars(with = "Option<Timestamp>")]
    pub due: Option<String>,
    #[schemars(with = "Option<Timestamp>")]
    pub conservative_due: Option<String>,
}

#[derive(Clone, Serialize, JsonSchema)]
pub struct NotCovered {
    pub jurisdiction: String,
    pub why: String,
}

#[derive(Clone, Serialize, JsonSchema)]
pub struct Warning {
    pub key: String,
    pub text: String,
}

#[derive(Clone, Serialize, JsonSchema)]
#[schemars(rename = "Step")]
pub struct StepAnswer {
    pub kind: &'static str,
    pub text: String,
    pub result: Option<String>,
    pub citation: Option<String>,
    #[schemars(with = "Option<Timestamp>")]
    pub at: Option<String>,
}

#[derive(Clone, Serialize, JsonSchema)]
#[schemars(rename = "ContestedReading")]
pub struct Contested {
    pub id: String,
    pub text: String,
    #[schemars(with = "Timestamp")]
    pub due: String,
}

#[derive(Clone, Serialize, JsonSchema)]
pub struct StartedBy {
    pub key: String,
    #[schemars(with = "Timestamp")]
    pub at: String,
    #[schemars(with = "Certainty")]
    pub certainty: &'static str,
    pub by: String,
}

#[derive(Clone, Serialize, JsonSchema)]
#[schemars(rename = "ContentItem")]
pub struct Content {
    pub item: String,
    pub present: bool,
    pub from: Vec<String>,
    pub may_follow: bool,
}

/// The law asks that the recipient is told before the limit that it will be missed.
#[derive(Clone, Serialize, JsonSchema)]
pub struct DelayNotice {
    /// The duty that says so.
    pub duty: String,
    pub law: String,
    pub citation: String,
    /// The conservative limit, when there is one.
    #[schemars(with = "Option<Timestamp>")]
    pub before: Option<String>,
}

#[derive(Clone, Serialize, JsonSchema)]
#[schemars(rename = "ObligationHold")]
pub struct Held {
    #[schemars(with = "Option<Timestamp>")]
    pub until: Option<String>,
    pub by: String,
}

/// An obligation with its derivation, as computed from facts.
#[derive(Clone, Serialize, JsonSchema)]
pub struct ObligationAnswer {
    /// `<incident>~<duty>@<place>`; `<duty>@<place>` from assess.
    pub id: String,
    pub duty: String,
    pub title: String,
    pub jurisdiction: String,
    #[schemars(with = "Stage")]
    pub stage: &'static str,
    #[schemars(with = "RecipientKind")]
    pub recipient: &'static str,
    pub recipient_name: String,
    pub channel: Option<Channel>,
    #[schemars(with = "Standing")]
    pub standing: &'static str,
    /// The legal instant, exclusive: the first at which it is too late.
    #[schemars(with = "Option<Timestamp>")]
    pub due: Option<String>,
    #[schemars(with = "Option<Timestamp>")]
    pub due_local: Option<String>,
    pub zone: Zone,
    /// Earliest defensible reading; reminders run on it.
    #[schemars(with = "Option<Timestamp>")]
    pub conservative_due: Option<String>,
    pub contested: Vec<Contested>,
    #[schemars(with = "Option<Phase>")]
    pub phase: Option<&'static str>,
    /// Rounded up to the minute.
    #[schemars(extend("format" = "duration"))]
    pub late_by: Option<String>,
    pub due_label: Option<String>,
    pub promptly: bool,
    /// The open norm in the pack's words.
    pub norm: Option<String>,
    /// The number the law gives, in words, whether or not its clock runs yet.
    pub period: Option<String>,
    #[schemars(with = "Option<Timestamp>")]
    pub internal_target: Option<String>,
    pub started_by: Option<StartedBy>,
    #[schemars(with = "Option<Timestamp>")]
    pub counting_from: Option<String>,
    #[schemars(with = "Option<Timestamp>")]
    pub earliest: Option<String>,
    #[schemars(with = "Option<Timestamp>")]
    pub latest: Option<String>,
    /// The conservative limit it would have if its clock started now.
    #[schemars(with = "Option<Timestamp>")]
    pub if_started_now: Option<String>,
    pub depends_on: Option<String>,
    pub combines: Vec<String>,
    #[schemars(with = "Option<Timestamp>")]
    pub projected_due: Option<String>,
    #[schemars(with = "Binding")]
    pub binding: &'static str,
    pub unverified: bool,
    pub uncertain: bool,
    pub held: Option<Held>,
    pub delay_notice: Option<DelayNotice>,
    /// Keys of facts.
    pub missing: Vec<String>,
    /// Facts nobody has stated by which an exception may be claimed: with a yes the obligation falls away.
    pub claimable: Vec<String>,
    /// What the rulebook in force would say, when the limits shown are older ones that wait for a sign-off.
    pub awaiting_sign_off: Option<Unsigned>,
    pub because: Vec<String>,
    pub steps: Vec<StepAnswer>,
    pub grid: Vec<time::GridDay>,
    #[schemars(with = "Option<Timestamp>")]
    pub filed_at: Option<String>,
    pub citation: String,
    pub source_url: String,
    pub law: String,
    pub pack: String,
    #[schemars(with = "Confidence")]
    pub confidence: &'static str,
    pub notes: String,
    pub content: Vec<Content>,
}

/// From so many on two threads explain them.
const MANY_OBLIGATIONS: usize = 64;

/// Instants are written in UTC with `Z`, to the second when they fall on one.
pub fn utc(at: Timestamp) -> String {
    time::rfc3339_utc(at)
}

impl Rulebook {
    pub fn name(&self) -> RulebookName {
        RulebookName {
            version: self.version.clone(),
            sha256: hex(&self.sha256),
            tzdb: time::tzdb_version().to_string(),
            calendars: self.calendars().version().to_string(),
        }
    }

    /// The whole answer, with the questions worth asking.
    pub fn answer(&self, incident: &Incident, plan: &Plan, now: Timestamp) -> Answer {
        let (not_covered, warnings) = self.remarks(plan);
        Answer {
            now: utc(now),
            rulebook: self.name(),
            obligations: self.explained(incident, plan, now),
            they_owe: self.owed_to_us(plan, now),
            questions: questions::questions(self, incident, plan, now),
            might_appear: self.might_appear(plan, now),
            not_covered,
            warnings,
        }
    }

    /// What counterparties owe us, as answered.
    pub fn owed_to_us(&self, plan: &Plan, now: Timestamp) -> Vec<OwedAnswer> {
        plan.they_owe.iter().map(|owed| owed.answer(now)).collect()
    }

    /// Clocks that might still appear, the fastest first.
    pub fn might_appear(&self, plan: &Plan, now: Timestamp) -> Vec<MightAppear> {
        let mut found: Vec<(Timestamp, &Obligation)> = plan
            .obligations
            .iter()
            .filter(|o| o.standing.is_open() && o.standing.deadline().is_none())
            .filter_map(|o| Some((o.if_started_now?, o)))
            .collect();
        found.sort_by(|(a, x), (b, y)| a.cmp(b).then_with(|| x.id.cmp(&y.id)));
        found
            .into_iter()
            .map(|(at, o)| MightAppear {
                id: o.id.clone(),
                title: plan.book_of(self, o).duty(&o.duty.0).map_or_else(|| o.duty.0.clone(), |d| d.title.clone()),
                recipient_name: o.recipient_name.clone(),
                if_started_now: utc(at),
                // time left is never overstated
                left: iso_duration((at - now).num_seconds() / 60 * 60),
                missing: o.missing.clone(),
            })
            .collect()
    }

    /// The unknown facts worth asking for, the most telling first.
    pub fn questions(&self, incident: &Incident, plan: &Plan, now: Timestamp) -> Vec<Question> {
        questions::questions(self, incident, plan, now)
    }

    /// What is not covered, and warnings, as answered.
    pub fn remarks(&self, plan: &Plan) -> (Vec<NotCovered>, Vec<Warning>) {
        let not_covered =
            plan.not_covered.iter().map(|(place, why)| NotCovered { jurisdiction: place.clone(), why: why.clone() });
        let warnings = plan.warnings.iter().map(|(key, text)| Warning { key: key.clone(), text: text.clone() });
        (not_covered.collect(), warnings.collect())
    }

    /// Every obligation of a plan with its derivation, in the order of the plan.
    pub fn explained(&self, incident: &Incident, plan: &Plan, now: Timestamp) -> Vec<ObligationAnswer> {
        two_at_once(&plan.obligations, MANY_OBLIGATIONS, |some| {
            some.iter().map(|o| plan.book_of(self, o).explain(incident, o, now)).collect()
        })
    }

    /// One obligation with its derivation.
    pub fn explain(&self, incident: &Incident, o: &Obligation, now: Timestamp) -> ObligationAnswer {
        let duty = self.duty_of(incident, o);
        let deadline = o.standing.deadline();
        let phase_at = match &o.standing {
            Standing::Discharged { at, .. } => *at,
            _ => now,
        };
        let dated = !matches!(o.standing, Standing::NotApplicable | Standing::Withdrawn | Standing::Waived { .. });
        // since when the clock runs may not be known, and yet the last instant at which it can end has passed
        let limits = o.limits().filter(|_| dated);
        let phase = limits
            .map(|(due, conservative)| Phase::at(due, conservative, phase_at))
            .filter(|phase| deadline.is_some() || *phase != Phase::InTime);
        let record = o.convention.as_ref().and_then(|id| self.conventions.iter().find(|c| c.id == *id));
        let steps = deadline.map_or_else(Vec::new, |d| {
            d.steps
                .iter()
                .map(|step| StepAnswer {
                    kind: step.kind(),
                    text: step.text(o.zone),
                    result: step.result(o.zone),
                    citation: record.map(|r| r.citation.clone()),
                    at: step.at().map(utc),
                })
                .collect()
        });
        ObligationAnswer {
            id: o.id.clone(),
            duty: o.duty.0.clone(),
            title: duty.title.clone(),
            jurisdiction: o.jurisdiction.clone(),
            stage: o.stage.as_str(),
            recipient: o.recipient.as_str(),
            recipient_name: o.recipient_name.clone(),
            channel: o.channel.clone(),
            standing: o.standing.as_str(),
            due: deadline.map(|d| utc(d.due)),
            due_local: deadline.map(|d| o.zone.rfc3339(d.due)),
            zone: o.zone,
            conservative_due: deadline.map(|d| utc(d.conservative_due)),
            contested: deadline.map_or_else(Vec::new, |d| {
                d.contested
                    .iter()
                    .map(|c| Contested { id: c.id.clone(), text: c.text.clone(), due: utc(c.due) })
                    .collect()
            }),
            phase: phase.map(Phase::as_str),
            late_by: limits
                .filter(|_| phase == Some(Phase::Late))
                .map(|(due, _)| iso_duration((phase_at - due).num_seconds())),
            due_label: deadline.map(|d| due_label(d.due, o.zone)),
            promptly: o.promptly.is_some(),
            norm: o.promptly.clone(),
            period: self.period_text(o),
            internal_target: o.internal_target.map(utc),
            started_by: o.started_by.as_ref().map(|s| StartedBy {
                key: s.key.clone(),
                at: utc(s.at),
                certainty: s.certainty.as_str(),
                by: s.by.clone(),
            }),
            counting_from: deadline.map(|d| utc(d.counting_from)),
            earliest: o.earliest.map(utc),
            latest: o.latest.map(utc),
            if_started_now: o.if_started_now.map(utc),
            depends_on: o.depends_on.first().map(|d| d.0.clone()),
            combines: o.combines.iter().map(|d| d.0.clone()).collect(),
            projected_due: match &o.standing {
                Standing::Awaiting { projected_due, .. } => projected_due.map(utc),
                _ => None,
            },
            binding: o.binding.as_str(),
            unverified: o.unverified,
            uncertain: deadline.is_some_and(|d| d.uncertain),
            held: o.held.as_ref().map(|(until, by)| Held { until: until.map(utc), by: by.clone() }),
            delay_notice: duty.delay_notice.as_ref().and_then(|notice| self.duty(&notice.0)).map(|notice| {
                DelayNotice {
                    duty: notice.id.0.clone(),
                    law: notice.law.clone(),
                    citation: notice.citation.clone(),
                    before: deadline.map(|d| utc(d.conservative_due)),
                }
            }),
            missing: o.missing.clone(),
            claimable: o.claimable.clone(),
            awaiting_sign_off: o
                .unsigned
                .map(|(due, conservative)| Unsigned { due: due.map(utc), conservative_due: conservative.map(utc) }),
            because: self.because(incident, o, &duty, deadline, &steps),
            steps,
            grid: self.grid(incident, o, &duty, deadline),
            filed_at: match &o.standing {
                Standing::Discharged { at, .. } => Some(utc(*at)),
                _ => None,
            },
            citation: duty.citation.clone(),
            source_url: duty.source_url.clone(),
            law: duty.law.clone(),
            pack: duty.pack.clone(),
            confidence: o.confidence.as_str(),
            notes: duty.notes.clone(),
            content: duty
                .content
                .iter()
                .map(|c| Content {
                    item: c.item.clone(),
                    present: !c.from.is_empty() && c.from.iter().all(|key| incident.facts.get(key).is_some()),
                    from: c.from.clone(),
                    may_follow: c.may_follow,
                })
                .collect(),
        }
    }

    /// The duty to tell the recipient, before the limit, that it will be missed.
    pub fn delay_notice(&self, incident: &Incident, o: &Obligation) -> Option<&Duty<Condition>> {
        let notice = self.duty_of(incident, o).delay_notice.clone()?;
        self.duty(&notice.0)
    }

    /// Sentences: why it applies or may, what starts the clock, how the date was found.
    fn because(
        &self,
        incident: &Incident,
        o: &Obligation,
        duty: &Duty<Condition>,
        deadline: Option<&Deadline>,
        steps: &[StepAnswer],
    ) -> Vec<String> {
        let mut because = Vec::new();
        // a contract's own words change neither role nor condition
        if let Some(prepared) = self.by_id.get(&o.duty).map(|&at| &self.prepared[at]) {
            if let Some(role) = prepared.roles.iter().find(|role| incident.entity.roles.contains(role)) {
                because.push(format!("{} is a {role}", incident.entity.name));
            }
            because.extend(prepared.arises.iter().chain(&prepared.unless).cloned());
        }
        if !o.missing.is_empty() && o.standing.is_open() {
            because.push(format!("not known: {}", o.missing.join(", ")));
        }
        if o.standing.is_open() {
            because.extend(
                o.claimable
                    .iter()
                    .map(|key| format!("it falls away once `{key}` is answered yes: {}", self.catalogue.question(key))),
            );
        }
        if o.unverified {
            because.push("this row is not verified: check it with counsel before relying on it".to_string());
        }
        if let Some(started) = &o.started_by {
            let local = o.zone.rfc3339(started.at);
            because.push(format!(
                "the clock starts with {} at {local} ({}, by {})",
                started.key,
                started.certainty.as_str(),
                started.by
            ));
        } else if let Trigger::Filed(ids) | Trigger::FiledLast(ids) = &duty.starts {
            let ids: Vec<&str> = ids.iter().map(|d| d.0.as_str()).collect();
            because.push(format!("the clock starts when {} is filed", ids.join(" or ")));
        } else if let Trigger::Due(ids) = &duty.starts {
            let ids: Vec<&str> = ids.iter().map(|d| d.0.as_str()).collect();
            because.push(format!("the clock starts at the limit of {}", ids.join(" or ")));
        }
        if let Some(period) = self.period_text(o) {
            because.push(format!("{} ({})", period, duty.citation));
        }
        if let Some(norm) = &o.promptly {
            let text = if o.binding == Binding::Contract { "contract" } else { "law" };
            let numbered = deadline.is_some() || o.period.is_some();
            because.push(match numbered {
                true => format!("besides, the {text} says \"{norm}\": the limit is not a grace period"),
                false => format!("the {text} says \"{norm}\" and names no number"),
            });
        }
        if let Some(d) = deadline {
            because.extend(steps.iter().map(|step| step.text.clone()));
            if d.conservative_due < d.due {
                because.push(format!("the earliest defensible reading ends at {}", o.zone.rfc3339(d.conservative_due)));
            }
            if d.uncertain {
                because.push("a holiday involved is estimated or not yet announced: the date may move".to_string());
            }
        }
        because.extend(o.because.iter().cloned());
        because
    }

    /// "72 hours from times.aware", for messages and derivations.
    pub fn period_text(&self, o: &Obligation) -> Option<String> {
        let head = o.started_by.as_ref();
        let period = o.period?;
        let words = format!("{} {}", period.n, period.unit.words(period.n));
        Some(head.map_or_else(|| words.clone(), |started| format!("{words} from {}", started.key)))
    }

    /// The count as a picture: one row per local day.
    fn grid(
        &self,
        incident: &Incident,
        o: &Obligation,
        own: &Duty<Condition>,
        deadline: Option<&Deadline>,
    ) -> Vec<time::GridDay> {
        let (Some(_), Some(started), Some(convention)) = (deadline, &o.started_by, &o.convention) else {
            return Vec::new();
        };
        let Some(row) = self.conventions.iter().position(|c| c.id == *convention) else { return Vec::new() };
        let members = if o.combines.is_empty() { std::slice::from_ref(&o.duty) } else { o.combines.as_slice() };
        let counted = |duty: &Duty<Condition>| {
            let same = |p: &&DutyPeriod<Condition>| p.convention == Some(row as u16) && p.period.is_some();
            let texts = || duty.periods.iter().filter(same);
            texts().find(|p| p.period == o.period).or_else(|| texts().next()).and_then(|p| p.period)
        };
        let others = members.iter().filter_map(|id| self.duty(&id.0));
        let Some((duty, period)) = std::iter::once(own).chain(others).find_map(|duty| Some((duty, counted(duty)?)))
        else {
            return Vec::new();
        };
        let contract = contract::contract_of(duty, &incident.entity, &o.jurisdiction);
        let seat = contract.map_or_else(|| o.jurisdiction.clone(), |contract| contract::seat(duty, Some(contract)));
        super::clock::grid(self, &self.conventions[row], period, started.at, duty, &seat, &incident.entity)
            .unwrap_or_default()
    }
}

/// `PT15H14M`, rounded up to the minute: lateness is never understated.
pub fn iso_duration(seconds: i64) -> String {
    let minutes = (seconds.max(0) + 59) / 60;
    let (days, hours, minutes) = (minutes / 1440, minutes / 60 % 24, minutes % 60);
    let mut text = String::from("P");
    if days > 0 {
        text.push_str(&format!("{days}D"));
    }
    if hours > 0 || minutes > 0 || days == 0 {
        text.push('T');
        if hours > 0 {
            text.push_str(&format!("{hours}H"));
        }
        if minutes > 0 || hours == 0 {
            text.push_str(&format!("{minutes}M"));
        }
    }
    text
}

/// `Mon 30 Mar, 18:00 CEST`; a limit at local midnight is written as the day that ends.
pub fn due_label(due: Timestamp, zone: Zone) -> String {
    let local = zone.local(due);
    let midnight = due == zone.day_start(local.date());
    let mut label = String::with_capacity(32);
    match local.date().pred_opt().filter(|_| midnight) {
        Some(last) => {
            label.push_str("end of ");
            time::push_short_day(&mut label, last);
            label.push_str(", ");
            label.push_str(zone.abbreviation(due - chrono::Duration::seconds(1)));
        }
        None => {
            time::push_short_day(&mut label, local.date());
            label.push_str(", ");
            time::push_clock(&mut label, local);
            label.push(' ');
            label.push_str(zone.abbreviation(due));
        }
    }
    label
}

pub fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).expect("four bits");
    bytes.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]).collect()
}
