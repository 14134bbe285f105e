//! Places and groups of places, as data: zone of the authority, calendar, parent, members.

use super::condition::Truth;
use super::load::did_you_mean;
use crate::law::{Entity, nearest_of};
use crate::time::Zone;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

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
    /// Second codes of one place: `PR` is `US-PR`. They are read as the other one, and no list of places holds both.
    pub(super) same_as: BTreeMap<String, String>,
    /// For every place the countries and regions it lies in. Asked many times per plan, hence hashed.
    around: HashMap<String, Vec<String>>,
    /// The reverse: what lies in a place.
    inside: HashMap<String, Vec<String>>,
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

    /// What is wrong with `id` in a pack: nobody recorded it, or it is the second code of a place.
    pub(super) fn fault(&self, id: &str) -> Option<String> {
        if let Some(other) = self.same_as.get(id) {
            return Some(format!("place `{id}` is `{other}`: packs write the latter"));
        }
        let near = || did_you_mean(&nearest_of(id, self.ids()));
        (!self.is_known(id)).then(|| format!("unknown place `{id}`{}", near()))
    }

    /// Members of a region; of a country its subdivisions on record; of anything else itself.
    pub fn members<'a>(&'a self, id: &'a str) -> Vec<&'a str> {
        if let Some(members) = self.regions.get(id) {
            return members.iter().map(String::as_str).collect();
        }
        vec![id]
    }

    /// Works out once what lies in what. Call it when all places and regions are in.
    pub(super) fn index(&mut self) {
        self.around = self.ids().map(|id| (id.to_string(), self.find_around(id))).collect();
        let mut inside: HashMap<String, Vec<String>> = HashMap::new();
        for part in self.ids().filter(|id| !self.same_as.contains_key(*id)) {
            for whole in self.around.get(part).into_iter().flatten() {
                inside.entry(whole.clone()).or_default().push(part.to_string());
            }
        }
        self.inside = inside;
    }

    fn find_around(&self, place: &str) -> Vec<String> {
        let mut around: Vec<String> = place.match_indices('-').map(|(at, _)| place[..at].to_string()).collect();
        if let Some(parent) = self.odd_parents.get(place) {
            around.push(parent.clone());
            around.extend(self.find_around(parent));
        }
        // a region may be a member of another one, or lie in it with all its members
        if let Some(own) = self.regions.get(place) {
            let holds = |members: &Vec<String>| own.iter().all(|member| members.contains(member));
            around.extend(self.regions.iter().filter(|(id, all)| *id != place && holds(all)).map(|(id, _)| id.clone()));
        }
        loop {
            let next = self.regions.iter().find(|(region, members)| {
                *region != place && !around.contains(region) && members.iter().any(|m| m == place || around.contains(m))
            });
            match next {
                Some((region, _)) => around.push(region.clone()),
                None => return around,
            }
        }
    }

    /// Is `part` inside `whole`, or the same? `total` holds everything.
    pub fn contains(&self, whole: &str, part: &str) -> bool {
        whole == part
            || whole == "total"
            || match self.around.get(part) {
                Some(around) => around.iter().any(|place| place == whole),
                // a subdivision nobody recorded still lies in its country
                None => self.find_around(part).iter().any(|place| place == whole),
            }
    }

    /// Countries and regions a place lies in, itself left out; a subdivision nobody recorded still lies in its country.
    pub(super) fn wholes(&self, place: &str) -> Cow<'_, [String]> {
        self.around
            .get(place)
            .map_or_else(|| Cow::Owned(self.find_around(place)), |around| Cow::Borrowed(around.as_slice()))
    }

    /// Countries and regions a place on record lies in, itself left out.
    pub fn around(&self, place: &str) -> impl Iterator<Item = &str> {
        self.around.get(place).into_iter().flatten().map(String::as_str)
    }

    /// Is one inside the other, or both the same?
    pub fn touch(&self, a: &str, b: &str) -> bool {
        self.contains(a, b) || self.contains(b, a)
    }

    /// Places on record inside `place`, itself left out, in the order of their names.
    pub fn inside(&self, place: &str) -> impl Iterator<Item = &str> {
        self.inside.get(place).into_iter().flatten().map(String::as_str)
    }

    /// Where `entity` is established and operates, worked out once for the many questions of a plan.
    pub fn whereabouts<'a>(&'a self, entity: &'a Entity) -> Whereabouts<'a> {
        let operating = entity.establishments().chain(entity.operates_in.iter().map(String::as_str));
        Whereabouts { established: Stated::of(self, entity.establishments()), operating: Stated::of(self, operating) }
    }
}

/// The places an entity states, ready to be asked.
pub struct Whereabouts<'a> {
    established: Stated<'a>,
    operating: Stated<'a>,
}

impl Whereabouts<'_> {
    pub fn established_in(&self, place: &str) -> Truth {
        self.established.among(place)
    }

    /// Established or operating there.
    pub fn operates_in(&self, place: &str) -> Truth {
        self.operating.among(place)
    }
}

struct Stated<'a> {
    places: &'a Places,
    stated: HashSet<&'a str>,
    /// The stated places and all they lie in.
    within: HashSet<Cow<'a, str>>,
}

impl<'a> Stated<'a> {
    fn of(places: &'a Places, stated: impl Iterator<Item = &'a str>) -> Stated<'a> {
        let stated: HashSet<&str> = stated.collect();
        let mut within: HashSet<Cow<'_, str>> = HashSet::new();
        for place in stated.iter().copied() {
            within.insert(Cow::Borrowed(place));
            match places.around.get(place) {
                Some(around) => within.extend(around.iter().map(|place| Cow::Borrowed(place.as_str()))),
                None => within.extend(places.find_around(place).into_iter().map(Cow::Owned)),
            }
        }
        Stated { places, stated, within }
    }

    /// Yes when a stated place lies in `place`; unknown when one only contains it, or none is stated at all.
    fn among(&self, place: &str) -> Truth {
        if self.stated.is_empty() {
            return Truth::Unknown;
        }
        if place == "total" || self.within.contains(place) {
            return Truth::Yes;
        }
        let wider = self.stated.contains("total")
            || match self.places.around.get(place) {
                Some(around) => around.iter().any(|whole| self.stated.contains(whole.as_str())),
                None => self.places.find_around(place).iter().any(|whole| self.stated.contains(whole.as_str())),
            };
        if wider { Truth::Unknown } else { Truth::No }
    }
}
