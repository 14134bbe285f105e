//! What all packs share: places, roles, facts, authorities, conventions.

use super::super::book::{Authority, ConventionRecord, DisputeRecord, Whose};
use super::super::pack::{self, Parameters};
use super::super::places::{PlaceRecord, Places};
use super::super::roles::Roles;
use super::{FileKind, Loader, SourceFile, kind_of, one_of};
use crate::law::{FactCatalogue, FactDeclaration, FactType, Place};
use crate::time::{Convention, Zone};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use std::collections::{BTreeMap, HashMap};

impl<'a> Loader<'a> {
    pub(super) fn places(&mut self) -> Places {
        let mut places = Places::default();
        for (file, parsed) in self.parsed::<pack::PlacesFile>(FileKind::Places) {
            for row in parsed.place {
                match Zone::named(&row.zone) {
                    Ok(zone) => {
                        let calendar = row.calendar.unwrap_or_else(|| row.id.clone());
                        if let Err(error) = self.calendars.check(&calendar) {
                            self.fault(file, &row.id, &calendar, error.to_string());
                        }
                        if let Some(same) = &row.same_as {
                            places.same_as.insert(row.id.clone(), same.clone());
                        }
                        let parent = row.same_as.or(row.parent);
                        if let Some(parent) = parent.as_ref().filter(|p| !row.id.starts_with(&format!("{p}-"))) {
                            places.odd_parents.insert(row.id.clone(), parent.clone());
                        }
                        let record = PlaceRecord { name: row.name, zone, calendar, parent };
                        places.places.insert(row.id, record);
                    }
                    Err(error) => self.fault(file, &row.id, &row.zone, error.to_string()),
                }
            }
            for row in parsed.region {
                places.regions.insert(row.id, row.members);
            }
        }
        self.second_codes(&places);
        places.index();
        places
    }

    /// A second code stands for a place on record, and no region holds it beside that one.
    fn second_codes(&mut self, places: &Places) {
        let files = self.files;
        for file in files.iter().filter(|file| kind_of(&file.path) == FileKind::Places) {
            let states = |id: &str| file.text.contains(&format!("\"{id}\""));
            for (id, same) in places.same_as.iter().filter(|(id, _)| states(id)) {
                if !places.places.contains_key(same) || places.same_as.contains_key(same) {
                    let text = format!("`{id}` is `same_as` `{same}`, which is no other place on record");
                    self.fault(file, id, same, text);
                }
            }
            for (region, members) in places.regions.iter().filter(|(id, _)| states(id)) {
                for member in members.iter().filter(|member| places.same_as.contains_key(*member)) {
                    self.fault(file, region, member, places.fault(member).unwrap_or_default());
                }
            }
        }
    }

    pub(super) fn roles(&mut self) -> Roles {
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

    pub(super) fn declare(&mut self, catalogue: &mut FactCatalogue, file: &SourceFile, rows: &[pack::FactRow]) {
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
                may_be_ahead: row.may_be_ahead,
            };
            if row.may_be_ahead && kind != FactType::Instant {
                let text = format!("`may_be_ahead` is for facts of type `instant`; `{}` is {}", row.key, kind.as_str());
                self.fault(file, &row.key, "may_be_ahead", text);
            }
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

    pub(super) fn authorities(&mut self) -> HashMap<Place, BTreeMap<String, Authority>> {
        let mut authorities: HashMap<Place, BTreeMap<String, Authority>> = HashMap::new();
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
                authorities.entry(row.place).or_default().entry(row.regime).or_insert(Authority {
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

    pub(super) fn conventions(&mut self) -> (Vec<ConventionRecord>, BTreeMap<String, u16>) {
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
