//! Places and groups of places, as data: zone of the authority, calendar, parent, members.

use super::condition::Truth;
use crate::law::Entity;
use crate::time::Zone;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub struct PlaceRecord {
    pub name: String,
    /// Zone of the seat of the authorities.
    pub zone: Zone,
    /// Id of the calendar that says which days are holidays there.
    pub calendar: String,
    pub parent: Option<String>,
}

#[derive(Clone, Debug, Default)]
pub struct Places {
    pub(super) places: BTreeMap<String, PlaceRecord>,
    pub(super) regions: BTreeMap<String, Vec<String>>,
    /// Parents that the code of a place does not show: `US-CA` lies in `US` by its name, others need saying.
    pub(super) odd_parents: BTreeMap<String, String>,
}

impl Places {
    pub fn get(&self, id: &str) -> Option<&PlaceRecord> {
        self.places.get(id).or_else(|| id.split_once('-').and_then(|(country, _)| self.places.get(country)))
    }

    pub fn is_region(&self, id: &str) -> bool {
        self.regions.contains_key(id)
    }

    pub fn is_known(&self, id: &str) -> bool {
        self.places.contains_key(id) || self.is_region(id)
    }

    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.places.keys().map(String::as_str).chain(self.regions.keys().map(String::as_str))
    }

    /// Members of a region; of a country its subdivisions on record; of anything else itself.
    pub fn members<'a>(&'a self, id: &'a str) -> Vec<&'a str> {
        if let Some(members) = self.regions.get(id) {
            return members.iter().map(String::as_str).collect();
        }
        vec![id]
    }

    /// Is `part` inside `whole`, or the same? `total` holds everything.
    pub fn contains(&self, whole: &str, part: &str) -> bool {
        if whole == part || whole == "total" {
            return true;
        }
        if let Some(members) = self.regions.get(whole) {
            return members.iter().any(|m| self.contains(m, part));
        }
        if part.len() > whole.len() && part.starts_with(whole) && part.as_bytes()[whole.len()] == b'-' {
            return true;
        }
        self.odd_parents.get(part).is_some_and(|parent| self.contains(whole, parent))
    }

    /// Countries and regions a place lies in, itself left out.
    pub fn around<'a>(&'a self, place: &'a str) -> impl Iterator<Item = &'a str> {
        let country = place.split_once('-').map(|(country, _)| country);
        let parent = self.odd_parents.get(place).map(String::as_str);
        let parents_country = parent.and_then(|parent| parent.split_once('-')).map(|(country, _)| country);
        let regions = self.regions.iter().filter(move |(_, members)| {
            let wholes = [Some(place), country, parent, parents_country];
            members.iter().any(|m| wholes.contains(&Some(m.as_str())))
        });
        [country, parent, parents_country].into_iter().flatten().chain(regions.map(|(id, _)| id.as_str()))
    }

    /// Is one inside the other, or both the same?
    pub fn touch(&self, a: &str, b: &str) -> bool {
        self.contains(a, b) || self.contains(b, a)
    }

    pub fn established_in(&self, entity: &Entity, place: &str) -> Truth {
        self.among(entity.establishments(), place)
    }

    /// Established or operating there.
    pub fn operates_in(&self, entity: &Entity, place: &str) -> Truth {
        self.among(entity.establishments().chain(entity.operates_in.iter().map(String::as_str)), place)
    }

    /// Yes when one of `stated` lies in `place`; unknown when one only contains it, or none is stated at all.
    fn among<'a>(&self, stated: impl Iterator<Item = &'a str>, place: &str) -> Truth {
        let (mut any, mut wider) = (false, false);
        for s in stated {
            any = true;
            if self.contains(place, s) {
                return Truth::Yes;
            }
            wider |= self.contains(s, place);
        }
        if wider || !any { Truth::Unknown } else { Truth::No }
    }
}
