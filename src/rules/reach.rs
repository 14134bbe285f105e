//! Why a duty concerns this entity, and towards whom: one obligation per recipient the facts call for.

use super::book::Rulebook;
use super::condition::{Comparison, Condition, Truth};
use super::contract;
use super::counts::{self, Counts};
use super::places::{Places, Whereabouts};
use super::roles::Standings;
use crate::law::{Duty, Entity, Incident, Place, Reach, RecipientKind, Recipients};
use std::collections::HashSet;

/// One recipient a duty yields.
pub struct Recipient {
    pub place: Place,
    pub truth: Truth,
    pub missing: Vec<String>,
}

impl Recipient {
    fn sure(place: &str) -> Recipient {
        Recipient { place: place.to_string(), truth: Truth::Yes, missing: Vec::new() }
    }

    fn asks(place: &str, key: impl Into<String>) -> Recipient {
        Recipient { place: place.to_string(), truth: Truth::Unknown, missing: vec![key.into()] }
    }
}

/// Has the entity one of the duty's roles? Second: the key to ask for when unknown.
pub fn role(duty: &Duty<Condition>, standings: &Standings<'_>) -> (Truth, &'static str) {
    let mut answer = if duty.roles.is_empty() { Truth::Yes } else { Truth::No };
    for role in &duty.roles {
        match standings.get(role) {
            Truth::Yes => return (Truth::Yes, ""),
            Truth::Unknown => answer = Truth::Unknown,
            Truth::No => {}
        }
    }
    (answer, "entity.roles")
}

/// The roles a duty is for: its list, or where an answer may stand for a role, those its condition asks for.
pub fn roles_named(duty: &Duty<Condition>) -> Vec<&str> {
    let mut named: Vec<&str> = duty.roles.iter().map(String::as_str).collect();
    if named.is_empty() {
        for role in duty.when.roles() {
            if !named.contains(&role) {
                named.push(role);
            }
        }
    }
    named
}

/// Which scopes of the rulebook the entity's places, and those of affected persons, have to do with. Gathered once per
/// plan: most duties are of places nobody mentioned.
pub struct Footprint {
    states_places: bool,
    mentions_affected: bool,
    /// By position in `scopes`.
    touched: Vec<Touched>,
}

impl Footprint {
    pub fn of(book: &Rulebook, incident: &Incident) -> Footprint {
        let entity = &incident.entity;
        let mut touched = vec![Touched::default(); book.scopes.len()];
        let mut states_places = false;
        for place in entity.establishments().chain(entity.operates_in.iter().map(String::as_str)) {
            states_places = true;
            book.each_touched(place, |scope| touched[scope].stated = true);
        }
        let mut mentions_affected = false;
        for fact in incident.facts.with_prefix("affected.").filter(|f| f.key != "affected.total") {
            mentions_affected = true;
            book.each_touched(&fact.key["affected.".len()..], |scope| touched[scope].affected = true);
        }
        Footprint { states_places, mentions_affected, touched }
    }

    /// Surely out of reach: places are known, and none has to do with the scope at position `scope`.
    pub fn misses(&self, reach: Reach, scope: u16) -> bool {
        let touched = self.touched[usize::from(scope)];
        match reach {
            Reach::Role => false,
            Reach::Residents => !touched.stated && !touched.affected,
            // an entity that states no place may be established or operate anywhere
            Reach::Established | Reach::Operates => self.states_places && !touched.stated,
            Reach::Market => (self.states_places || self.mentions_affected) && !touched.stated && !touched.affected,
        }
    }
}

/// What a scope has to do with the places stated for the entity, and with those of affected persons.
#[derive(Clone, Copy, Default)]
struct Touched {
    stated: bool,
    affected: bool,
}

/// The recipients of a duty, each with whether the duty reaches the entity for it.
pub fn recipients(
    book: &Rulebook,
    duty: &Duty<Condition>,
    incident: &Incident,
    whereabouts: &Whereabouts<'_>,
    counts: &Counts<'_>,
) -> Vec<Recipient> {
    let entity = &incident.entity;
    let scope = duty.region.as_deref().unwrap_or(&duty.jurisdiction);
    let mut found = match duty.recipients {
        Recipients::One => vec![Recipient::sure(&duty.jurisdiction)],
        Recipients::Main => vec![Recipient::sure(lead(book, scope, entity).unwrap_or(&duty.jurisdiction))],
        Recipients::LeadAuthority => lead_authority(book, duty, scope, incident, counts),
        Recipients::EachEstablished => each_established(book, duty, scope, entity),
        Recipients::EachAffected => each_affected(book, scope, incident, counts),
        Recipients::EachContract => each_contract(duty, incident),
    };
    if found.is_empty() {
        found.extend(somewhere_inside(book, duty, scope, incident, counts));
    }
    // reach is asked of the whole scope for routed duties, of the place itself for a single recipient
    let (reached, key) = match duty.recipients {
        Recipients::EachContract => (Truth::Yes, None),
        _ => reach(book, duty.reach, scope, incident, whereabouts, counts),
    };
    for recipient in &mut found {
        recipient.truth = recipient.truth.and(reached);
        if let (Truth::Unknown, Some(key)) = (reached, &key)
            && !recipient.missing.contains(key)
        {
            recipient.missing.push(key.clone());
        }
    }
    found
}

fn reach(
    book: &Rulebook,
    reach: Reach,
    scope: &str,
    incident: &Incident,
    whereabouts: &Whereabouts<'_>,
    counts: &Counts<'_>,
) -> (Truth, Option<String>) {
    let entity = &incident.entity;
    match reach {
        Reach::Role => (Truth::Yes, None),
        Reach::Established => (whereabouts.established_in(scope), Some("entity.established_in".into())),
        Reach::Operates => (whereabouts.operates_in(scope), Some("entity.operates_in".into())),
        Reach::Residents => residents(book, scope, incident, counts),
        Reach::Market => match (whereabouts.operates_in(scope), residents(book, scope, incident, counts)) {
            (Truth::Yes, _) | (_, (Truth::Yes, _)) => (Truth::Yes, None),
            (Truth::Unknown, _) if entity.establishments().next().is_some() || !entity.operates_in.is_empty() => {
                (Truth::Unknown, Some("entity.operates_in".into()))
            }
            (Truth::Unknown, (Truth::No, _)) if known_elsewhere(book, scope, incident) => (Truth::No, None),
            (Truth::Unknown, _) => (Truth::Unknown, Some("entity.established_in".into())),
            (Truth::No, (residents, key)) => (residents, key),
        },
    }
}

/// Some place is known, and none of it has to do with `scope`.
fn known_elsewhere(book: &Rulebook, scope: &str, incident: &Incident) -> bool {
    let mut places = incident
        .facts
        .with_prefix("affected.")
        .map(|f| &f.key["affected.".len()..])
        .filter(|p| *p != "total")
        .peekable();
    places.peek().is_some() && places.all(|p| !book.places.contains(scope, p) && !book.places.contains(p, scope))
}

/// Are residents of `scope` affected? A place nobody mentioned is not reached; one that is mentioned without a number is unknown.
fn residents(book: &Rulebook, scope: &str, incident: &Incident, counts: &Counts<'_>) -> (Truth, Option<String>) {
    let truth = counts.residents(scope, || match counts::compare(counts.in_place(scope), Comparison::AtLeast, 1) {
        Truth::Unknown if is_linked(book, scope, incident, counts) => Truth::Unknown,
        Truth::Unknown => Truth::No,
        decided => decided,
    });
    (truth, (truth == Truth::Unknown).then(|| counts::key_of(&book.places, scope)))
}

/// Does anything said about the entity or the affected persons point to `scope`?
fn is_linked(book: &Rulebook, scope: &str, incident: &Incident, counts: &Counts<'_>) -> bool {
    let places = &book.places;
    let linked = counts.linked(|| linked_places(places, incident));
    let touches = |p: &str| places.contains(scope, p) || (places.contains(p, scope) && !places.is_region(p));
    // what nobody recorded is in no list
    linked.contains(scope) || (!places.is_known(scope) && mentioned(incident).any(touches))
}

/// Every place on record that something said about the entity or the affected persons points to: what was mentioned, what
/// that lies in, and what lies inside it.
fn linked_places(places: &Places, incident: &Incident) -> HashSet<String> {
    let mut linked = HashSet::new();
    for place in mentioned(incident) {
        linked.insert(place.to_string());
        linked.extend(places.wholes(place).iter().cloned());
        match place {
            "total" => linked.extend(places.ids().map(str::to_string)),
            _ if places.is_region(place) => {}
            _ => linked.extend(places.inside(place).map(str::to_string)),
        }
    }
    linked
}

/// The places stated for the entity, and those of affected persons.
fn mentioned(incident: &Incident) -> impl Iterator<Item = &str> {
    let affected = incident.facts.with_prefix("affected.").map(|f| &f.key["affected.".len()..]);
    let entity = &incident.entity;
    let stated = entity.establishments().chain(entity.operates_in.iter().map(String::as_str));
    stated.chain(affected.filter(|place| *place != "total"))
}

/// Country of a place: establishments are stated as countries or subdivisions, authorities sit in countries of the region.
fn member<'a>(book: &'a Rulebook, scope: &'a str, place: &str) -> Option<&'a str> {
    book.places.members(scope).into_iter().find(|m| book.places.contains(m, place))
}

fn established_members<'a>(book: &'a Rulebook, scope: &'a str, entity: &Entity) -> Vec<&'a str> {
    let mut members: Vec<&str> = entity.establishments().filter_map(|p| member(book, scope, p)).collect();
    members.sort_unstable();
    members.dedup();
    members
}

/// The place whose authority leads, when it can be told.
fn lead<'a>(book: &'a Rulebook, scope: &'a str, entity: &Entity) -> Option<&'a str> {
    let main = entity.main_establishment.as_deref().and_then(|p| member(book, scope, p));
    main.or_else(|| match established_members(book, scope, entity).as_slice() {
        [only] => Some(*only),
        _ => None,
    })
}

fn lead_authority(
    book: &Rulebook,
    duty: &Duty<Condition>,
    scope: &str,
    incident: &Incident,
    counts: &Counts<'_>,
) -> Vec<Recipient> {
    let entity = &incident.entity;
    if let Some(place) = lead(book, scope, entity) {
        return vec![Recipient::sure(place)];
    }
    let established = established_members(book, scope, entity);
    if !established.is_empty() {
        return established.into_iter().map(|p| Recipient::asks(p, "entity.main_establishment")).collect();
    }
    let unknown_establishment = entity.establishments().next().is_none();
    let mut found = each_affected(book, scope, incident, counts);
    if unknown_establishment {
        for recipient in &mut found {
            recipient.truth = recipient.truth.and(Truth::Unknown);
            recipient.missing.push("entity.established_in".into());
        }
        if found.is_empty() {
            found.push(Recipient::asks(&duty.jurisdiction, "entity.established_in"));
        }
    }
    found
}

fn each_established(book: &Rulebook, duty: &Duty<Condition>, scope: &str, entity: &Entity) -> Vec<Recipient> {
    let established = established_members(book, scope, entity);
    if established.is_empty() && entity.establishments().next().is_none() {
        let mut operating: Vec<&str> = entity.operates_in.iter().filter_map(|p| member(book, scope, p)).collect();
        operating.sort_unstable();
        operating.dedup();
        if operating.is_empty() {
            return vec![Recipient::asks(&duty.jurisdiction, "entity.established_in")];
        }
        return operating.into_iter().map(|p| Recipient::asks(p, "entity.established_in")).collect();
    }
    established.into_iter().map(Recipient::sure).collect()
}

/// The recipient at `seat`, as far as residents of `scope` are affected.
fn where_residents(
    book: &Rulebook,
    scope: &str,
    seat: &str,
    incident: &Incident,
    counts: &Counts<'_>,
) -> Option<Recipient> {
    match residents(book, scope, incident, counts) {
        (Truth::Yes, _) => Some(Recipient::sure(seat)),
        (Truth::Unknown, key) => Some(Recipient::asks(seat, key.unwrap_or_default())),
        (Truth::No, _) => None,
    }
}

fn each_affected(book: &Rulebook, scope: &str, incident: &Incident, counts: &Counts<'_>) -> Vec<Recipient> {
    let members = match book.places.members(scope).as_slice() {
        // a country stands for its subdivisions on record
        [only] if *only == scope => book.places.inside(scope).collect(),
        members => members.to_vec(),
    };
    members.into_iter().filter_map(|place| where_residents(book, place, place, incident, counts)).collect()
}

/// The recipient that stands for those nobody can name yet: a region was stated where one of its countries decides.
fn somewhere_inside(
    book: &Rulebook,
    duty: &Duty<Condition>,
    scope: &str,
    incident: &Incident,
    counts: &Counts<'_>,
) -> Option<Recipient> {
    let vague = |place: &str| book.places.is_region(place) && book.places.touch(scope, place);
    let home = &duty.jurisdiction;
    match duty.recipients {
        Recipients::LeadAuthority | Recipients::EachEstablished if incident.entity.establishments().any(vague) => {
            Some(Recipient::asks(home, "entity.established_in"))
        }
        Recipients::LeadAuthority | Recipients::EachAffected if mentioned(incident).any(vague) => {
            where_residents(book, scope, home, incident, counts)
        }
        _ => None,
    }
}

fn each_contract(duty: &Duty<Condition>, incident: &Incident) -> Vec<Recipient> {
    let entity = &incident.entity;
    let affected = incident.facts.set("clients");
    let mut found = Vec::new();
    for contract in contract::ours(duty, entity) {
        match affected {
            // whose data was affected says nothing about an insurer
            _ if duty.recipient == RecipientKind::Insurer => found.push(Recipient::sure(&contract.id)),
            Some(set) if set.contains(&contract.id) => found.push(Recipient::sure(&contract.id)),
            Some(_) => {}
            None => found.push(Recipient::asks(&contract.id, "clients")),
        }
    }
    found
}
