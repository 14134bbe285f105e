//! `law list` and `law show`: duties as records, without an incident.

use super::answer::RulebookName;
use super::book::Rulebook;
use super::condition::Condition;
use super::reach;
use crate::law::{Combination, Duty, Trigger};
use crate::time::Unit;
use serde::Serialize;

#[derive(Serialize)]
pub struct Listing {
    pub rulebook: RulebookName,
    pub duties: Vec<DutyListing>,
}

#[derive(Serialize)]
pub struct PeriodListing {
    pub from: Option<String>,
    pub until: Option<String>,
    pub unit: Option<&'static str>,
    pub n: Option<u32>,
    pub target: Option<u32>,
    pub promptly: Option<String>,
    pub convention: Option<String>,
    /// Branch of a text that depends on a fact.
    pub when: Option<String>,
    /// No date of application is fixed.
    pub undated: bool,
}

#[derive(Serialize)]
pub struct DutyListing {
    pub id: String,
    pub title: String,
    pub jurisdiction: String,
    pub region: Option<String>,
    pub pack: String,
    pub law: String,
    pub citation: String,
    pub source_url: String,
    pub no_url: String,
    /// Any of them; of a duty whose condition asks for roles, those.
    pub roles: Vec<String>,
    pub recipient: &'static str,
    pub recipient_name: String,
    pub recipients: &'static str,
    pub reach: &'static str,
    pub stage: &'static str,
    pub starts: String,
    pub when: String,
    pub unless: String,
    pub min_affected: u64,
    pub periods: Vec<PeriodListing>,
    pub depends_on: Option<String>,
    pub combines: Vec<String>,
    pub replaces: Option<String>,
    pub content: Vec<String>,
    pub delay: String,
    /// The duty by which the recipient is told, before the limit, that it will be missed.
    pub delay_notice: Option<String>,
    pub hold: &'static str,
    pub oral_hold_days: Option<u32>,
    pub written_hold_days: Option<u32>,
    /// The period that begins when a hold ends, in words.
    pub after_hold: Option<String>,
    pub conservative_starts: Option<String>,
    /// While it holds, a filing does not discharge the duty.
    pub open_while: Option<String>,
    /// Relation to another duty's performance.
    pub relative: Option<String>,
    pub status: &'static str,
    pub confidence: &'static str,
    pub binding: &'static str,
    pub basis: String,
    pub notes: String,
    pub reviewed: Option<String>,
}

impl Rulebook {
    pub fn listing(&self, keep: impl Fn(&Duty<Condition>) -> bool) -> Listing {
        Listing {
            rulebook: self.name(),
            duties: self.duties().iter().filter(|d| keep(d)).map(|d| self.list_duty(d)).collect(),
        }
    }

    pub(super) fn list_duty(&self, duty: &Duty<Condition>) -> DutyListing {
        let join = |ids: &[crate::law::DutyId]| ids.iter().map(|d| d.0.as_str()).collect::<Vec<_>>().join(" | ");
        let (starts, depends_on) = match &duty.starts {
            Trigger::Fact(key) => (key.clone(), None),
            Trigger::Filed(ids) => (format!("filed:{}", join(ids)), Some(join(ids))),
            Trigger::FiledLast(ids) => (format!("filed:{}", join(ids)), Some(join(ids))),
            Trigger::Due(ids) => (format!("due:{}", join(ids)), Some(join(ids))),
            Trigger::Requested => ("requested".to_string(), None),
            Trigger::CalendarEnd { of, .. } => (of.as_str().to_string(), None),
            Trigger::Contract => ("contract".to_string(), None),
        };
        let relative = duty.relative.as_ref().map(|r| join(&r.to));
        let combines = match &duty.combine {
            Some(Combination::SameClockAs(id)) => vec![id.0.clone()],
            _ => self.group_of(&duty.id).map(|g| g.members.iter().map(|d| d.0.clone()).collect()).unwrap_or_default(),
        };
        DutyListing {
            id: duty.id.0.clone(),
            title: duty.title.clone(),
            jurisdiction: duty.jurisdiction.clone(),
            region: duty.region.clone(),
            pack: duty.pack.clone(),
            law: duty.law.clone(),
            citation: duty.citation.clone(),
            source_url: duty.source_url.clone(),
            no_url: duty.no_url.clone(),
            roles: reach::roles_named(duty).into_iter().map(str::to_string).collect(),
            recipient: duty.recipient.as_str(),
            recipient_name: duty.recipient_name.clone(),
            recipients: duty.recipients.as_str(),
            reach: duty.reach.as_str(),
            stage: duty.stage.as_str(),
            starts,
            when: duty.when.text(),
            unless: duty.unless.as_ref().map(Condition::text).unwrap_or_default(),
            min_affected: duty.min_affected,
            periods: duty
                .periods
                .iter()
                .map(|p| PeriodListing {
                    from: p.from.map(|d| d.to_string()),
                    until: p.until.map(|d| d.to_string()),
                    unit: p.period.map(|p| unit_word(p.unit)),
                    n: p.period.map(|p| p.n),
                    target: p.target,
                    promptly: p.promptly.clone(),
                    convention: p.convention.map(|at| self.convention(at).id.clone()),
                    when: p.when.as_ref().map(Condition::text),
                    undated: p.undated,
                })
                .collect(),
            depends_on: depends_on.or(relative),
            combines,
            replaces: duty.replaces.as_ref().map(|d| d.0.clone()),
            content: duty.content.iter().map(|c| c.item.clone()).collect(),
            delay: duty.delay.clone(),
            delay_notice: duty.delay_notice.as_ref().map(|d| d.0.clone()),
            hold: duty.hold.as_str(),
            oral_hold_days: duty.oral_hold_days,
            written_hold_days: duty.written_hold_days,
            after_hold: duty.after_hold.as_ref().and_then(|text| text.period).map(|period| {
                let only = if duty.after_hold_only_past { ", when the hold outlasts the limit" } else { "" };
                format!("{} {}(s){only}", period.n, unit_word(period.unit))
            }),
            conservative_starts: duty.conservative_starts.clone(),
            open_while: duty.open_while.as_ref().map(Condition::text),
            relative: duty.relative.as_ref().map(|r| format!("{} {}", r.order.as_str(), join(&r.to))),
            status: duty.status.as_str(),
            confidence: duty.confidence.as_str(),
            binding: duty.binding.as_str(),
            basis: duty.basis.clone(),
            notes: duty.notes.clone(),
            reviewed: duty.reviewed.map(|d| d.to_string()),
        }
    }
}

pub fn unit_word(unit: Unit) -> &'static str {
    match unit {
        Unit::Minute => "minute",
        Unit::Hour => "hour",
        Unit::WorkingHour => "working_hour",
        Unit::Day => "day",
        Unit::WorkingDay => "working_day",
        Unit::Week => "week",
        Unit::Month => "month",
        Unit::Year => "year",
    }
}
