//! One pack: its instrument, its duties, their periods and conditions.

use super::super::book::{PackRecord, Rulebook};
use super::super::condition::{Atom, Condition};
use super::super::pack::{self, DutyRow, PeriodRow};
use super::{Loader, SourceFile, did_you_mean, one_of, unknown};
use crate::law::{
    Binding, CalendarSpan, Combination, Confidence, ContentItem, Duty, DutyId, DutyPeriod, DutyStatus, FactType,
    HoldRule, Order, Reach, RecipientKind, Recipients, Relative, Stage, Trigger,
};
use crate::time::{CivilDate, Period, Unit};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

impl<'a> Loader<'a> {
    pub(super) fn pack(
        &mut self,
        book: &mut Rulebook,
        conventions: &BTreeMap<String, u16>,
        file: &SourceFile,
        pack: pack::PackFile,
    ) {
        let reviewed = pack.instrument.reviewed.map(|d| d.to_string());
        let id = file.path.strip_suffix(".toml").unwrap_or(&file.path).to_string();
        let name = reviewed.as_ref().map_or_else(|| id.clone(), |date| format!("{id}@{date}"));
        let rows = pack.duty.len();
        for row in pack.duty {
            let before = self.faults.len();
            let duty = self.duty(book, conventions, file, &pack.instrument, &name, row);
            if self.faults.len() == before
                && let Some(duty) = duty
            {
                if let Some(&other) = book.by_id.get(&duty.id) {
                    let text = format!("duty `{}` stands in `{}` already", duty.id, book.duties[other].pack);
                    self.fault(file, &duty.id.0, &duty.id.0, text);
                    continue;
                }
                book.by_id.insert(duty.id.clone(), book.duties.len());
                book.duties.push(duty);
            }
        }
        book.packs.push(PackRecord {
            id,
            title: pack.instrument.title,
            jurisdiction: pack.instrument.jurisdiction,
            reviewed,
            sha256: Sha256::digest(file.text.as_bytes()).into(),
            duties: rows,
        });
    }

    fn duty(
        &mut self,
        book: &Rulebook,
        conventions: &BTreeMap<String, u16>,
        file: &SourceFile,
        instrument: &pack::Instrument,
        pack: &str,
        row: DutyRow,
    ) -> Option<Duty<Condition>> {
        let id = row.id.clone();
        macro_rules! word {
            ($type:ty, $field:literal, $word:expr) => {
                match <$type>::parse($word) {
                    Some(value) => value,
                    None => {
                        let text = one_of($field, $word, <$type>::ALL.iter().map(|v| v.as_str()));
                        self.fault(file, &id, $word, text);
                        return None;
                    }
                }
            };
        }
        let recipient = word!(RecipientKind, "recipient", &row.recipient);
        let stage = word!(Stage, "stage", &row.stage);
        let status = word!(DutyStatus, "status", &row.status);
        let confidence = word!(Confidence, "confidence", &row.confidence);
        let reach = word!(Reach, "reach", row.reach.as_deref().or(instrument.reach.as_deref()).unwrap_or("role"));
        let recipients = word!(
            Recipients,
            "recipients",
            row.recipients.as_deref().or(instrument.recipients.as_deref()).unwrap_or("one")
        );
        let hold = word!(HoldRule, "hold", row.hold.as_deref().unwrap_or("no"));
        let binding = match row.binding.as_deref().or(instrument.binding.as_deref()) {
            Some(binding) => word!(Binding, "binding", binding),
            None if status == DutyStatus::Voluntary => Binding::Guidance,
            None => Binding::Law,
        };
        for role in &row.roles {
            if !book.roles.is_known(role) {
                self.fault(file, &id, role, unknown("role", role, book.roles.ids()));
            }
        }
        let jurisdiction = row.jurisdiction.unwrap_or_else(|| instrument.jurisdiction.clone());
        let region = row.region.or_else(|| instrument.region.clone());
        for place in region.iter().chain([&jurisdiction]) {
            if let Some(text) = book.places.fault(place) {
                self.fault(file, &id, place, text);
            }
        }
        let starts = match (row.starts.as_deref(), status) {
            (Some(starts), _) => match trigger(starts, row.year_of.as_deref()) {
                Ok(trigger) => trigger,
                Err(text) => {
                    self.fault(file, &id, starts, text);
                    return None;
                }
            },
            (None, DutyStatus::NoDuty) => Trigger::Fact("times.aware".to_string()),
            (None, _) => {
                self.fault(
                    file,
                    &id,
                    &id,
                    format!("duty `{id}` has no `starts`: name the instant that starts its clock"),
                );
                return None;
            }
        };
        let read = match &starts {
            Trigger::Fact(key) | Trigger::CalendarEnd { fact: key, .. } => Some(key),
            _ => None,
        };
        for key in read.into_iter().chain(&row.conservative_starts) {
            if book.catalogue.kind(key) == Some(FactType::Instant) {
                continue;
            }
            let text = unknown(
                "instant",
                key,
                book.catalogue.iter().filter(|d| d.kind == FactType::Instant).map(|d| d.key.as_str()),
            );
            self.fault(file, &id, key, text);
        }
        if row.citation.trim().is_empty() {
            self.fault(file, &id, "citation", format!("duty `{id}` has no citation"));
        }
        let mut periods = Vec::new();
        for period in row.period {
            periods.push(self.period(conventions, file, &id, period)?);
        }
        let after_hold = match row.after_hold {
            Some(row) => Some(self.period(conventions, file, &id, row)?),
            None => None,
        };
        let combine = match row.combine.as_deref().map(combination) {
            Some(Ok(combine)) => Some(combine),
            Some(Err(text)) => {
                self.fault(file, &id, "combine", text);
                None
            }
            None => None,
        };
        let relative = match row.relative {
            Some(relative) => {
                Some(Relative { order: word!(Order, "order", &relative.order), to: ids_of(&relative.to) })
            }
            None => None,
        };
        for condition in [&row.when.0, &row.unless.0, &row.open_while.0]
            .into_iter()
            .chain(periods.iter().filter_map(|p| p.when.as_ref()))
        {
            self.check_condition(book, file, &id, condition);
        }
        let content = row
            .content
            .into_iter()
            .map(|c| match c {
                pack::ContentRow::Plain(item) => ContentItem { item, from: Vec::new(), may_follow: false },
                pack::ContentRow::Mapped { item, from, may_follow } => ContentItem { item, from, may_follow },
            })
            .collect();
        let reviewed = row.reviewed.or(instrument.reviewed).and_then(|d| civil_date(&d));
        Some(Duty {
            id: DutyId(row.id),
            pack: pack.to_string(),
            title: row.title,
            jurisdiction,
            region,
            reach,
            regime: row.regime.or_else(|| instrument.regime.clone()),
            roles: row.roles,
            recipient,
            recipient_name: row.recipient_name,
            recipients,
            stage,
            starts,
            conservative_starts: row.conservative_starts,
            when: row.when.0,
            unless: Some(row.unless.0).filter(|c| !c.is_empty()),
            min_affected: row.min_affected,
            open_while: Some(row.open_while.0).filter(|c| !c.is_empty()),
            periods,
            combine,
            relative,
            replaces: row.replaces.map(DutyId),
            baseline: row.baseline,
            law: row.law.or_else(|| instrument.law.clone()).unwrap_or_else(|| instrument.title.clone()),
            citation: row.citation,
            source_url: row.source_url,
            no_url: row.no_url,
            status,
            confidence,
            binding,
            basis: row.basis,
            notes: row.notes,
            delay: row.delay,
            delay_notice: row.delay_notice.map(DutyId),
            hold,
            oral_hold_days: row.oral_hold_days,
            written_hold_days: row.written_hold_days,
            after_hold,
            after_hold_only_past: row.after_hold_only_past,
            content,
            reviewed,
        })
    }

    fn period(
        &mut self,
        conventions: &BTreeMap<String, u16>,
        file: &SourceFile,
        duty: &str,
        row: PeriodRow,
    ) -> Option<DutyPeriod<Condition>> {
        let amounts = [
            (Unit::Minute, row.minutes),
            (Unit::Hour, row.hours),
            (Unit::WorkingHour, row.working_hours),
            (Unit::Day, row.days),
            (Unit::WorkingDay, row.working_days),
            (Unit::Week, row.weeks),
            (Unit::Month, row.months),
            (Unit::Year, row.years),
        ];
        let mut given = amounts.into_iter().filter_map(|(unit, n)| n.map(|n| Period { unit, n }));
        let period = given.next();
        if given.next().is_some() {
            self.fault(file, duty, "[[duty.period]]", format!("a period of `{duty}` names two amounts; keep one"));
        }
        let convention = match (&row.convention, period) {
            (Some(name), _) => match conventions.get(name) {
                Some(&at) => Some(at),
                None => {
                    self.fault(file, duty, name, unknown("convention", name, conventions.keys().map(String::as_str)));
                    None
                }
            },
            (None, Some(_)) => {
                self.fault(
                    file,
                    duty,
                    "[[duty.period]]",
                    format!("a period of `{duty}` has a number and no `convention`"),
                );
                None
            }
            (None, None) => None,
        };
        Some(DutyPeriod {
            from: row.from.as_ref().and_then(civil_date),
            until: row.until.as_ref().and_then(civil_date),
            undated: row.undated,
            when: row.when.map(|clause| clause.0),
            period,
            target: row.target,
            convention,
            promptly: row.promptly,
        })
    }

    fn check_condition(&mut self, book: &Rulebook, file: &SourceFile, duty: &str, condition: &Condition) {
        let mut found = Vec::new();
        condition.atoms(&mut |atom| {
            for key in atom.keys() {
                match book.catalogue.kind(key) {
                    None => found.push((key.to_string(), {
                        let near = book.catalogue.nearest(key);
                        format!("`{key}` is not declared{}", did_you_mean(&near))
                    })),
                    Some(kind) => {
                        if let Some(want) = expected_type(atom)
                            .filter(|want| *want != kind && !(kind == FactType::Text && *want == FactType::Choice))
                        {
                            found.push((
                                key.to_string(),
                                format!(
                                    "`{key}` is {}, but the condition reads it as {}",
                                    kind.as_str(),
                                    want.as_str()
                                ),
                            ));
                        }
                        let declared = book.catalogue.get(key).map(|d| d.values.as_slice()).unwrap_or_default();
                        for word in words_of(atom).iter().filter(|w| !declared.is_empty() && !declared.contains(w)) {
                            found.push((word.to_string(), one_of(key, word, declared.iter().map(String::as_str))));
                        }
                    }
                }
            }
            if let Atom::Role(role) | Atom::StatesRole(role) = atom
                && !book.roles.is_known(role)
            {
                found.push((role.clone(), unknown("role", role, book.roles.ids())));
            }
            if let Atom::OperatesIn(place) | Atom::EstablishedIn(place) | Atom::Affected { place: Some(place), .. } =
                atom
                && place != "total"
                && let Some(text) = book.places.fault(place)
            {
                found.push((place.clone(), text));
            }
        });
        for (words, text) in found {
            self.fault(file, duty, &words, text);
        }
    }
}

fn civil_date(date: &toml::value::Datetime) -> Option<CivilDate> {
    let date = date.date?;
    CivilDate::from_ymd_opt(i32::from(date.year), u32::from(date.month), u32::from(date.day))
}

fn ids_of(text: &str) -> Vec<DutyId> {
    text.split('|').map(|id| DutyId(id.trim().to_string())).filter(|id| !id.0.is_empty()).collect()
}

fn trigger(starts: &str, year_of: Option<&str>) -> Result<Trigger, String> {
    Ok(match starts {
        "requested" => Trigger::Requested,
        "contract" => Trigger::Contract,
        word if CalendarSpan::parse(word).is_some() => Trigger::CalendarEnd {
            of: CalendarSpan::parse(word).expect("asked on the line before"),
            fact: year_of.unwrap_or("times.aware").to_string(),
        },
        key if key.starts_with("times.") => Trigger::Fact(key.to_string()),
        other => match other.split_once(':') {
            Some(("filed", ids)) => Trigger::Filed(ids_of(ids)),
            Some(("filed-last", ids)) => Trigger::FiledLast(ids_of(ids)),
            Some(("due", ids)) => Trigger::Due(ids_of(ids)),
            _ => {
                return Err(format!(
                    "`starts` is `{starts}`; it may be a `times.…` key, `filed:<duty-id>`, `filed-last:<duty-id>`, \
                     `due:<duty-id>`, `requested`, `calendar-year-end`, `calendar-quarter-end` or `contract`"
                ));
            }
        },
    })
}

fn combination(text: &str) -> Result<Combination, String> {
    let (word, id) = text.split_once(':').unwrap_or((text, ""));
    let id = DutyId(id.trim().to_string());
    Ok(match word {
        "earliest-of" => Combination::EarliestOf(id),
        "latest-of" => Combination::LatestOf(id),
        "same-clock-as" => Combination::SameClockAs(id),
        _ => {
            return Err(format!(
                "`combine` is `{text}`; it may be `earliest-of:<id>`, `latest-of:<id>` or `same-clock-as:<id>`"
            ));
        }
    })
}

fn expected_type(atom: &Atom) -> Option<FactType> {
    Some(match atom {
        Atom::YesNo { .. } => FactType::YesNo,
        Atom::Choice { .. } => FactType::Choice,
        Atom::HasAny { .. } | Atom::HasAll { .. } => FactType::Set,
        Atom::Number { .. } => FactType::Count,
        Atom::Order { .. } | Atom::Day { .. } => FactType::Instant,
        _ => return None,
    })
}

fn words_of(atom: &Atom) -> Vec<String> {
    match atom {
        Atom::Choice { among, .. } => among.clone(),
        Atom::HasAny { items, .. } | Atom::HasAll { items, .. } => items.clone(),
        _ => Vec::new(),
    }
}
