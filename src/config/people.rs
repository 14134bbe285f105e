//! Persons, rotas and groups of a configuration: read, then checked until everybody named can be told.

use super::{Checker, WebhookSettings};
use crate::escalation::{Directory, Group, Person, Rota, Shift, Who};
use crate::law::nearest_of;
use crate::rules::did_you_mean;
use crate::time::{Fold, Timestamp, Zone};
use chrono::{DateTime, NaiveDateTime};
use serde::Deserialize;

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRota {
    id: String,
    zone: String,
    handover: Option<String>,
    #[serde(default)]
    people: Vec<String>,
    /// Who stands in when; before the weekly turns.
    #[serde(default, rename = "override")]
    overrides: Vec<RawShift>,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct RawShift {
    from: String,
    until: String,
    person: String,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub(super) struct RawGroup {
    id: String,
    members: Vec<String>,
}

impl Checker<'_> {
    pub(super) fn directory(
        &mut self,
        people: Vec<Person>,
        rotas: Vec<RawRota>,
        groups: Vec<RawGroup>,
        webhooks: &[WebhookSettings],
        channels: Vec<String>,
    ) -> Directory {
        let webhooks = webhooks.iter().map(|w| w.id.clone()).collect();
        let mut directory = Directory { people, webhooks, channels, ..Directory::default() };
        self.once("person", directory.people.iter().map(|p| p.id.as_str()));
        for person in &directory.people {
            self.person(person, &directory);
        }
        self.once("rota", rotas.iter().map(|r| r.id.as_str()));
        directory.rotas = rotas.into_iter().filter_map(|r| self.rota(r, &directory.people)).collect();
        self.once("group", groups.iter().map(|g| g.id.as_str()));
        let names: Vec<String> = groups.iter().map(|g| g.id.clone()).collect();
        for group in groups {
            let group = self.group(group, &directory, &names);
            directory.groups.push(group);
        }
        directory
    }

    fn once<'t>(&mut self, table: &str, ids: impl Iterator<Item = &'t str>) {
        let mut seen: Vec<&str> = Vec::new();
        for id in ids {
            if seen.contains(&id) {
                self.fault(id, format!("[[{table}]] `{id}` is given twice; give each its own id"));
            }
            seen.push(id);
        }
    }

    fn person(&mut self, person: &Person, directory: &Directory) {
        let id = &person.id;
        let by_mail = person.email.as_deref().is_some_and(|e| e.contains('@'));
        if !by_mail && person.addresses.is_empty() && person.deputy.is_none() {
            self.fault(
                id,
                format!("person `{id}` has no `email`, no `addresses` and no `deputy`: nobody would be told"),
            );
        }
        if let Some(zone) = &person.zone
            && let Err(error) = Zone::named(zone)
        {
            self.fault(zone, error.to_string());
        }
        if let Some(deputy) = &person.deputy
            && (deputy == id || directory.person(deputy).is_none())
        {
            self.fault(deputy, format!("`deputy` of person `{id}` is `{deputy}`; name another [[person]]"));
        }
        for channel in &person.channels {
            let known = match channel.as_str() {
                "email" => by_mail,
                channel => directory.channels.iter().any(|c| c == channel) && person.addresses.contains_key(channel),
            };
            if !known {
                self.fault(
                    channel,
                    format!(
                        "person `{id}` is told by `{channel}` but has no address there; give `email`, or a [[channel]] and its entry in `addresses`"
                    ),
                );
            }
        }
    }

    fn rota(&mut self, raw: RawRota, people: &[Person]) -> Option<Rota> {
        let overrides = raw.overrides.iter().map(|o| &o.person);
        for id in raw.people.iter().chain(overrides) {
            if !people.iter().any(|p| p.id == *id) {
                let hint = did_you_mean(&nearest_of(id, people.iter().map(|p| p.id.as_str())));
                self.fault(id, format!("rota `{}` names `{id}`, whom no [[person]] describes{hint}", raw.id));
            }
        }
        if raw.people.is_empty() {
            self.fault(&raw.id, format!("rota `{}` has no `people`: between its shifts nobody would be told", raw.id));
        }
        let zone = match Zone::named(&raw.zone) {
            Ok(zone) => zone,
            Err(error) => {
                self.fault(&raw.zone, error.to_string());
                return None;
            }
        };
        let text = raw.handover.as_deref().unwrap_or("Mon 09:00");
        let handover = handover(text).or_else(|| {
            self.fault(text, format!("`handover` is `{text}`; write it like `Mon 09:00`"));
            None
        })?;
        let shifts = raw.overrides.into_iter().filter_map(|shift| self.shift(&raw.id, zone, shift)).collect();
        Some(Rota { id: raw.id, zone, handover, people: raw.people, shifts })
    }

    fn shift(&mut self, rota: &str, zone: Zone, raw: RawShift) -> Option<Shift> {
        let mut instant = |text: &str| {
            instant(text, zone).map_err(|error| self.fault(text, format!("override of rota `{rota}`: {error}"))).ok()
        };
        let (from, until) = (instant(&raw.from), instant(&raw.until));
        let (from, until) = (from?, until?);
        if until <= from {
            self.fault(&raw.until, format!("override of rota `{rota}`: `until` is not after `from`; turn them round"));
            return None;
        }
        Some(Shift { from, until, person: raw.person })
    }

    fn group(&mut self, raw: RawGroup, directory: &Directory, groups: &[String]) -> Group {
        let mut members = Vec::new();
        if raw.members.is_empty() {
            self.fault(&raw.id, format!("group `{}` has no `members`: nobody would be told", raw.id));
        }
        for text in &raw.members {
            match Who::parse(text) {
                Ok(Who::Group(id)) if id == raw.id => {
                    self.fault(text, format!("group `{id}` is a member of itself; leave it out"));
                }
                Ok(who) => {
                    if !(is_known(&who, directory) || matches!(&who, Who::Group(id) if groups.contains(id))) {
                        self.fault(text, format!("group `{}` names `{text}`, which nothing describes", raw.id));
                    }
                    members.push(who);
                }
                Err(error) => self.fault(text, error),
            }
        }
        Group { id: raw.id, members }
    }
}

/// Whether the configuration describes what `who` names.
pub(super) fn is_known(who: &Who, directory: &Directory) -> bool {
    match who {
        Who::Person(id) => directory.person(id).is_some(),
        Who::Role(role) => directory.people.iter().any(|p| p.roles.contains(role)),
        Who::Rota(id) => directory.rota(id).is_some(),
        Who::Group(id) => directory.groups.iter().any(|g| g.id == *id),
        Who::Webhook(id) => directory.webhooks.contains(id),
        Who::Channel(id) => directory.channels.contains(id),
    }
}

/// `Mon 09:00` as day of the week and minutes after midnight.
fn handover(text: &str) -> Option<(u8, u16)> {
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let (day, time) = text.split_once(' ')?;
    Some((DAYS.iter().position(|d| *d == day)? as u8, minutes(time)?))
}

/// `09:00` as minutes after midnight.
pub(super) fn minutes(time: &str) -> Option<u16> {
    let (hours, minutes) = time.split_once(':')?;
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

/// RFC 3339, or a local time of `zone` that exists once.
fn instant(text: &str, zone: Zone) -> Result<Timestamp, String> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.to_utc());
    }
    let local = ["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
        .ok_or_else(|| {
            format!("`{text}` is no instant; write `2026-12-24T18:00` (local) or `2026-12-24T18:00:00+01:00`")
        })?;
    zone.resolve(local, Fold::Strict).map_err(|error| error.to_string())
}
