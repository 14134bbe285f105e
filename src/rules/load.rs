//! Text to [`Rulebook`]. Every fault carries the file, the line and the pack's own words; all faults are reported at once.

use super::archive::manifest;
use super::book::{Authority, ConventionRecord, DisputeRecord, Group, PackRecord, Rulebook, Whose};
use super::condition::{Atom, Condition};
use super::pack::{self, DutyRow, Parameters, PeriodRow};
use super::places::{PlaceRecord, Places};
use super::roles::Roles;
use crate::law::{
    Binding, CalendarSpan, Combination, Confidence, ContentItem, Duty, DutyId, DutyPeriod, DutyStatus, FactCatalogue,
    FactDeclaration, FactType, HoldRule, Order, Reach, RecipientKind, Recipients, Relative, Stage, Trigger, nearest_of,
};
use crate::time::{Calendars, CivilDate, Convention, Period, Unit, Zone};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IntoDeserializer};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// Something wrong in a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub file: String,
    /// 1-based; 0 when the fault has no line.
    pub line: usize,
    pub text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.text)
    }
}

/// One file of a rule folder: path relative to the folder, and text.
#[derive(Clone, Debug)]
pub struct SourceFile {
    pub path: String,
    pub text: String,
}

/// What a file is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    Conventions,
    Facts,
    Roles,
    Places,
    Authorities,
    NotModelled,
    Cases,
    Pack,
    Other,
}

pub fn kind_of(path: &str) -> FileKind {
    let name = path.rsplit('/').next().unwrap_or(path);
    let stem = name.strip_suffix(".toml");
    match (path, stem) {
        (_, None) => FileKind::Other,
        (p, _) if p.starts_with("calendars/") => FileKind::Other,
        (p, _) if p.starts_with("authorities/") => FileKind::Authorities,
        (_, Some(s)) if s.ends_with(".cases") => FileKind::Cases,
        (_, Some(s)) if s == "conventions" || s.starts_with("conventions-") => FileKind::Conventions,
        (_, Some("facts")) => FileKind::Facts,
        (_, Some("roles")) => FileKind::Roles,
        (_, Some("places")) => FileKind::Places,
        (_, Some("NOT_MODELLED")) => FileKind::NotModelled,
        (p, _) if p.contains('/') => FileKind::Pack,
        _ => FileKind::Other,
    }
}

/// Compiles every file. `Err` holds every fault found.
pub fn load(files: &[SourceFile], calendars: Arc<Calendars>) -> Result<Rulebook, Vec<Fault>> {
    let mut loader = Loader { files, faults: Vec::new(), calendars };
    let book = loader.run();
    if loader.faults.is_empty() { Ok(book) } else { Err(loader.faults) }
}

struct Loader<'a> {
    files: &'a [SourceFile],
    faults: Vec<Fault>,
    calendars: Arc<Calendars>,
}

impl<'a> Loader<'a> {
    fn run(&mut self) -> Rulebook {
        let places = self.places();
        let mut roles = self.roles();
        let mut catalogue = FactCatalogue::default();
        for (file, facts) in self.parsed::<pack::FactsFile>(FileKind::Facts) {
            self.declare(&mut catalogue, file, &facts.fact);
        }
        let (conventions, convention_ids) = self.conventions();
        let authorities = self.authorities();
        let not_modelled =
            self.parsed::<BTreeMap<String, String>>(FileKind::NotModelled).into_iter().flat_map(|(_, m)| m).collect();

        let packs = self.parsed::<pack::PackFile>(FileKind::Pack);
        for (file, pack) in &packs {
            self.declare(&mut catalogue, file, &pack.fact);
            for role in &pack.role {
                roles.declare(&role.id, &role.question, role.refines.as_deref(), &file.path);
            }
        }
        let ids: Vec<String> = packs.iter().flat_map(|(_, p)| p.duty.iter().map(|d| d.id.clone())).collect();
        catalogue.set_families(ids.clone(), places.ids().map(str::to_string).collect());

        let mut book = Rulebook {
            duties: Vec::new(),
            by_id: BTreeMap::new(),
            conventions,
            places,
            roles,
            authorities,
            catalogue,
            calendars: self.calendars.clone(),
            packs: Vec::new(),
            groups: BTreeMap::new(),
            by_role: BTreeMap::new(),
            for_anyone: Vec::new(),
            scope_of: Vec::new(),
            scopes: Vec::new(),
            touching: BTreeMap::new(),
            covered: BTreeSet::new(),
            without_duty: BTreeMap::new(),
            replaced_by: BTreeMap::new(),
            not_modelled,
            version: String::new(),
            sha256: Sha256::digest(manifest(self.files).as_bytes()).into(),
        };
        for (file, pack) in packs {
            self.pack(&mut book, &convention_ids, file, pack);
        }
        self.link(&mut book);
        index(&mut book);
        book.version =
            book.packs.iter().filter_map(|p| p.reviewed.clone()).max().unwrap_or_else(|| "unreviewed".into());
        book
    }

    fn parsed<T: DeserializeOwned>(&mut self, kind: FileKind) -> Vec<(&'a SourceFile, T)> {
        let mut parsed = Vec::new();
        let files = self.files;
        for file in files.iter().filter(|f| kind_of(&f.path) == kind) {
            match toml::from_str(&file.text) {
                Ok(value) => parsed.push((file, value)),
                Err(error) => {
                    let line = error.span().map_or(0, |span| file.text[..span.start].matches('\n').count() + 1);
                    self.faults.push(Fault { file: file.path.clone(), line, text: error.message().to_string() });
                }
            }
        }
        parsed
    }

    /// Reports a fault at the line where `words` stand, after the line that names `near`.
    fn fault(&mut self, file: &SourceFile, near: &str, words: &str, text: String) {
        self.faults.push(Fault { file: file.path.clone(), line: line_of(&file.text, near, words), text });
    }

    fn places(&mut self) -> Places {
        let mut places = Places::default();
        for (file, parsed) in self.parsed::<pack::PlacesFile>(FileKind::Places) {
            for row in parsed.place {
                match Zone::named(&row.zone) {
                    Ok(zone) => {
                        let calendar = row.calendar.unwrap_or_else(|| row.id.clone());
                        if let Err(error) = self.calendars.check(&calendar) {
                            self.fault(file, &row.id, &calendar, error.to_string());
                        }
                        if let Some(parent) = row.parent.as_ref().filter(|p| !row.id.starts_with(&format!("{p}-"))) {
                            places.odd_parents.insert(row.id.clone(), parent.clone());
                        }
                        let record = PlaceRecord { name: row.name, zone, calendar, parent: row.parent };
                        places.places.insert(row.id, record);
                    }
                    Err(error) => self.fault(file, &row.id, &row.zone, error.to_string()),
                }
            }
            for row in parsed.region {
                places.regions.insert(row.id, row.members);
            }
        }
        places.index();
        places
    }

    fn roles(&mut self) -> Roles {
        let mut roles = Roles::default();
        for (file, parsed) in self.parsed::<pack::RolesFile>(FileKind::Roles) {
            for (id, text) in parsed.roles {
                roles.declare(&id, &text, None, &file.path);
            }
            for row in parsed.role {
                roles.declare(&row.id, &row.question, row.refines.as_deref(), &file.path);
            }
        }
        roles
    }

    fn declare(&mut self, catalogue: &mut FactCatalogue, file: &SourceFile, rows: &[pack::FactRow]) {
        for row in rows {
            let Some(kind) = FactType::parse(&row.kind) else {
                self.fault(
                    file,
                    &row.key,
                    &row.kind,
                    one_of("type", &row.kind, ["yes-no", "choice", "set", "count", "instant", "text", "hold"]),
                );
                continue;
            };
            let declaration = FactDeclaration {
                key: row.key.clone(),
                kind,
                values: row.values.clone(),
                question: row.question.clone(),
            };
            if let Err(known) = catalogue.declare(declaration) {
                let text = format!(
                    "`{}` is already declared as {} with another question or values",
                    row.key,
                    known.kind.as_str()
                );
                self.fault(file, &row.key, &row.key, text);
            }
        }
    }

    fn authorities(&mut self) -> BTreeMap<(String, String), Authority> {
        let mut authorities = BTreeMap::new();
        for (file, parsed) in self.parsed::<pack::AuthoritiesFile>(FileKind::Authorities) {
            for row in parsed.authority {
                let zone = match row.zone.as_deref().filter(|z| !z.is_empty()).map(Zone::named) {
                    Some(Err(error)) => {
                        self.fault(file, &row.name, row.zone.as_deref().unwrap_or(""), error.to_string());
                        None
                    }
                    Some(Ok(zone)) => Some(zone),
                    None => None,
                };
                if !row.url.is_empty() && !row.url.starts_with("https://") && !row.url.starts_with("http://") {
                    let text = format!("`url` is `{}`; give an address, and the name of a form in `notes`", row.url);
                    self.fault(file, &row.name, &row.url, text);
                }
                // the first row of a place and regime is its main authority
                authorities.entry((row.place, row.regime)).or_insert(Authority {
                    name: row.name,
                    url: row.url,
                    email: row.email,
                    zone,
                    languages: row.languages,
                    notes: row.notes,
                });
            }
        }
        authorities
    }

    fn conventions(&mut self) -> (Vec<ConventionRecord>, BTreeMap<String, u16>) {
        let parsed = self.parsed::<pack::ConventionsFile>(FileKind::Conventions);
        let mut records: Vec<ConventionRecord> = Vec::new();
        let mut ids = BTreeMap::new();
        let disputes: BTreeMap<&str, &pack::DisputeRow> =
            parsed.iter().flat_map(|(_, p)| p.dispute.iter().map(|d| (d.id.as_str(), d))).collect();
        for (file, rows) in &parsed {
            for row in &rows.convention {
                let convention = match apply(Convention::default(), &row.parameters) {
                    Ok(convention) => convention,
                    Err((words, text)) => {
                        self.fault(file, &row.id, &words, text);
                        continue;
                    }
                };
                let mut readings = Vec::new();
                for id in &row.disputes {
                    match disputes.get(id.as_str()) {
                        Some(dispute) => match apply(convention, &dispute.reading) {
                            Ok(reading) => readings.push(DisputeRecord {
                                id: id.clone(),
                                text: dispute.text.clone(),
                                basis: dispute.basis.clone(),
                                convention: reading,
                            }),
                            Err((words, text)) => self.fault(file, id, &words, text),
                        },
                        None => self.fault(file, &row.id, id, format!("no [[dispute]] has the id `{id}`")),
                    }
                }
                let mut calendar_of = BTreeMap::new();
                let calendar = match &row.calendar {
                    None => Whose::Recipient,
                    Some(toml::Value::String(word)) => whose(word, |id| Ok(id.to_string())).unwrap_or(Whose::Recipient),
                    Some(toml::Value::Table(table)) => {
                        for (place, id) in table {
                            calendar_of.insert(place.clone(), id.as_str().unwrap_or_default().to_string());
                        }
                        Whose::Recipient
                    }
                    Some(_) => {
                        self.fault(
                            file,
                            &row.id,
                            "calendar",
                            "`calendar` is a word or a table of place = calendar".into(),
                        );
                        Whose::Recipient
                    }
                };
                let fixed = if let Whose::Fixed(id) = &calendar { Some(id) } else { None };
                for id in calendar_of.values().chain(fixed) {
                    if let Err(error) = self.calendars.check(id) {
                        self.fault(file, &row.id, id, error.to_string());
                    }
                }
                let zone =
                    match row.zone.as_deref().map(|word| whose(word, |z| Zone::named(z).map_err(|e| e.to_string()))) {
                        None => Whose::Recipient,
                        Some(Ok(zone)) => zone,
                        Some(Err(error)) => {
                            self.fault(file, &row.id, row.zone.as_deref().unwrap_or(""), error);
                            Whose::Recipient
                        }
                    };
                ids.insert(row.id.clone(), records.len() as u16);
                records.push(ConventionRecord {
                    id: row.id.clone(),
                    title: row.title.clone(),
                    convention,
                    calendar,
                    calendar_of,
                    zone,
                    citation: row.citation.clone(),
                    disputes: readings,
                });
            }
        }
        (records, ids)
    }

    fn pack(
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
            if !book.places.is_known(place) {
                self.fault(file, &id, place, unknown("place", place, book.places.ids()));
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
        for condition in [&row.when.0, &row.unless.0].into_iter().chain(periods.iter().filter_map(|p| p.when.as_ref()))
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
            if let Atom::Role(role) = atom
                && !book.roles.is_known(role)
            {
                found.push((role.clone(), unknown("role", role, book.roles.ids())));
            }
            if let Atom::OperatesIn(place) | Atom::EstablishedIn(place) | Atom::Affected { place: Some(place), .. } =
                atom
                && place != "total"
                && !book.places.is_known(place)
            {
                found.push((place.clone(), unknown("place", place, book.places.ids())));
            }
        });
        for (words, text) in found {
            self.fault(file, duty, &words, text);
        }
    }

    /// Checks and joins references between duties.
    fn link(&mut self, book: &mut Rulebook) {
        let mut missing = Vec::new();
        let mut unions: Vec<(Vec<DutyId>, bool)> = Vec::new();
        for (at, duty) in book.duties.iter().enumerate() {
            let mut refer = |ids: &[DutyId]| {
                missing.extend(
                    ids.iter()
                        .filter(|id| !book.by_id.contains_key(id))
                        .map(|id| (duty.pack.clone(), duty.id.clone(), id.clone())),
                );
            };
            if let Trigger::Filed(ids) | Trigger::FiledLast(ids) | Trigger::Due(ids) = &duty.starts {
                refer(ids);
            }
            if let Some(relative) = &duty.relative {
                refer(&relative.to);
            }
            if let Some(notice) = &duty.delay_notice {
                refer(std::slice::from_ref(notice));
            }
            if let Some(Combination::EarliestOf(id) | Combination::LatestOf(id) | Combination::SameClockAs(id)) =
                &duty.combine
            {
                refer(std::slice::from_ref(id));
            }
            if let Some(Combination::EarliestOf(other) | Combination::LatestOf(other)) = &duty.combine {
                let latest = matches!(duty.combine, Some(Combination::LatestOf(_)));
                match unions.iter_mut().find(|(m, l)| *l == latest && (m.contains(other) || m.contains(&duty.id))) {
                    Some((members, _)) => members.extend([duty.id.clone(), other.clone()]),
                    None => unions.push((vec![duty.id.clone(), other.clone()], latest)),
                }
            }
            if let Some(baseline) = &duty.replaces {
                if book.by_id.contains_key(baseline) {
                    book.replaced_by.entry(baseline.clone()).or_default().push(at);
                } else {
                    missing.push((duty.pack.clone(), duty.id.clone(), baseline.clone()));
                }
            }
        }
        for (mut members, latest) in unions {
            members.sort_by_key(|id| book.by_id.get(id).copied().unwrap_or(usize::MAX));
            members.dedup();
            let group = Arc::new(Group { members: members.clone(), latest });
            for id in members {
                book.groups.insert(id, group.clone());
            }
        }
        for (pack, duty, id) in missing {
            let near = book.nearest_duties(&id.0).into_iter().map(str::to_string).collect::<Vec<_>>();
            let near: Vec<&str> = near.iter().map(String::as_str).collect();
            let path = format!("{}.toml", pack.split('@').next().unwrap_or(&pack));
            if let Some(file) = self.files.iter().find(|f| f.path == path) {
                self.fault(
                    file,
                    &duty.0,
                    &id.0,
                    format!("duty `{duty}` refers to `{id}`, which no pack has{}", did_you_mean(&near)),
                );
            }
        }
    }
}

/// What lets `plan` skip duties of other roles and places without reading them.
fn index(book: &mut Rulebook) {
    let mut positions: BTreeMap<String, u16> = BTreeMap::new();
    for (at, duty) in book.duties.iter().enumerate() {
        let scope = duty.region.as_ref().unwrap_or(&duty.jurisdiction);
        let position = *positions.entry(scope.clone()).or_insert_with(|| {
            book.scopes.push(scope.clone());
            book.scopes.len() as u16 - 1
        });
        match duty.status {
            DutyStatus::NoDuty => {
                book.without_duty.insert(duty.jurisdiction.clone(), format!("{} ({})", duty.title, duty.citation));
            }
            DutyStatus::Proposed => {}
            _ => book.covered.extend([scope.clone(), duty.jurisdiction.clone()]),
        }
        book.scope_of.push(position);
        if duty.roles.is_empty() {
            book.for_anyone.push(at as u32);
        }
        for role in &duty.roles {
            book.by_role.entry(role.clone()).or_default().push(at as u32);
        }
    }
    let touching = |place: &str| {
        let scopes = book.scopes.iter().enumerate().filter(|(_, scope)| book.places.touch(place, scope));
        scopes.map(|(at, _)| at as u16).collect()
    };
    book.touching = book.places.ids().map(|place| (place.to_string(), touching(place))).collect();
}

/// First line that holds `words` at or after the first line that holds `near`; the latter when the words are not found.
fn line_of(text: &str, near: &str, words: &str) -> usize {
    let quoted = format!("\"{near}\"");
    let start = text.lines().position(|l| l.contains(&quoted)).unwrap_or(0);
    let found = text.lines().skip(start).position(|l| !words.is_empty() && l.contains(words));
    start + found.unwrap_or(0) + 1
}

fn one_of<'a>(field: &str, word: &str, allowed: impl IntoIterator<Item = &'a str>) -> String {
    let allowed: Vec<String> = allowed.into_iter().map(|w| format!("`{w}`")).collect();
    format!("`{field}` is `{word}`; it may be {}", allowed.join(", "))
}

fn unknown<'a>(what: &str, word: &str, known: impl Iterator<Item = &'a str>) -> String {
    format!("unknown {what} `{word}`{}", did_you_mean(&nearest_of(word, known)))
}

/// `; did you mean ...?`, or nothing.
pub fn did_you_mean(near: &[&str]) -> String {
    if near.is_empty() {
        return String::new();
    }
    format!("; did you mean {}?", near.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(" or "))
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

fn whose<T>(word: &str, fixed: impl Fn(&str) -> Result<T, String>) -> Result<Whose<T>, String> {
    Ok(match word {
        "recipient" | "of-recipient" => Whose::Recipient,
        "notifier" | "of-notifier" => Whose::Notifier,
        "entity-state" => Whose::EntityState,
        other => Whose::Fixed(fixed(other)?),
    })
}

/// Lays the parameters a row names over `base`. The error names the row's words and the allowed ones.
fn apply(mut base: Convention, given: &Parameters) -> Result<Convention, (String, String)> {
    fn read<T: for<'de> Deserialize<'de>>(
        field: &str,
        word: &Option<String>,
        into: &mut T,
    ) -> Result<(), (String, String)> {
        let Some(word) = word else { return Ok(()) };
        let deserializer: serde::de::value::StrDeserializer<'_, serde::de::value::Error> =
            word.as_str().into_deserializer();
        *into = T::deserialize(deserializer).map_err(|error| (word.clone(), format!("`{field}`: {error}")))?;
        Ok(())
    }
    read("start", &given.start, &mut base.start)?;
    read("anchor", &given.anchor, &mut base.anchor)?;
    read("shift", &given.shift, &mut base.shift)?;
    read("month", &given.month, &mut base.month)?;
    read("close", &given.close, &mut base.close)?;
    read("roll", &given.roll, &mut base.roll)?;
    read("roll_days", &given.roll_days, &mut base.roll_days)?;
    match &given.min_wd {
        None => {}
        Some(toml::Value::String(word)) if word == "none" => base.min_working_days = None,
        Some(value) => {
            let min = value.clone().try_into().map_err(|e| ("min_wd".to_string(), format!("`min_wd`: {e}")))?;
            base.min_working_days = Some(min);
        }
    }
    Ok(base)
}

fn expected_type(atom: &Atom) -> Option<FactType> {
    Some(match atom {
        Atom::YesNo { .. } => FactType::YesNo,
        Atom::Choice { .. } => FactType::Choice,
        Atom::HasAny { .. } | Atom::HasAll { .. } => FactType::Set,
        Atom::Number { .. } => FactType::Count,
        Atom::Order { .. } => FactType::Instant,
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
