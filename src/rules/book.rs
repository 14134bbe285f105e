//! The rulebook: every duty of every pack, compiled, with what it takes to count.

use super::condition::Condition;
use super::places::Places;
use super::roles::Roles;
use crate::law::{Channel, Duty, DutyId, FactCatalogue, Place};
use crate::time::{Calendars, Convention, Zone};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Whose calendar or zone a convention uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose<T> {
    Recipient,
    Notifier,
    /// The place in which the entity is established (its main establishment).
    EntityState,
    Fixed(T),
}

/// One named row of `conventions.toml`.
#[derive(Clone, Debug)]
pub struct ConventionRecord {
    pub id: String,
    pub title: String,
    pub convention: Convention,
    pub calendar: Whose<String>,
    /// Calendars that replace a place's own, e.g. a statutory list of days.
    pub calendar_of: BTreeMap<Place, String>,
    pub zone: Whose<Zone>,
    pub citation: String,
    pub disputes: Vec<DisputeRecord>,
}

/// Another defensible way to count, with who holds it.
#[derive(Clone, Debug)]
pub struct DisputeRecord {
    pub id: String,
    pub text: String,
    pub basis: String,
    /// The convention under that reading.
    pub convention: Convention,
}

#[derive(Clone, Debug)]
pub struct Authority {
    pub name: String,
    pub url: String,
    pub email: String,
    pub zone: Option<Zone>,
    pub languages: Vec<String>,
    pub notes: String,
}

impl Authority {
    /// `None` when neither an address nor a language is on record.
    pub fn channel(&self) -> Option<Channel> {
        let stated = |text: &String| Some(text.clone()).filter(|t| !t.is_empty());
        let channel = Channel {
            url: stated(&self.url),
            email: stated(&self.email),
            languages: self.languages.clone(),
            notes: stated(&self.notes),
        };
        (channel.url.is_some() || channel.email.is_some() || !channel.languages.is_empty()).then_some(channel)
    }
}

/// A pack as named in answers: `eu/gdpr@2026-11-23`.
#[derive(Clone, Debug)]
pub struct PackRecord {
    pub id: String,
    pub title: String,
    pub jurisdiction: Place,
    pub reviewed: Option<String>,
    pub sha256: [u8; 32],
    pub duties: usize,
}

/// Duties that are one filing under several limits; `members[0]` names the obligation.
#[derive(Clone, Debug)]
pub struct Group {
    pub members: Vec<DutyId>,
    pub latest: bool,
}

/// What is so of a duty, and said of it, whatever the incident is; worked out once, read for every obligation.
#[derive(Clone, Debug, Default)]
pub(super) struct Prepared {
    /// Some exception of it can be claimed; see [`Condition::claims`].
    pub claimable: bool,
    /// The roles it is for, see [`roles_named`](super::reach::roles_named).
    pub roles: Vec<String>,
    pub arises: Option<String>,
    pub unless: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Rulebook {
    pub(super) duties: Vec<Duty<Condition>>,
    /// Asked many times per plan, hence hashed.
    pub(super) by_id: HashMap<DutyId, usize>,
    pub(super) conventions: Vec<ConventionRecord>,
    pub(super) places: Places,
    pub(super) roles: Roles,
    /// By place, then by regime.
    pub(super) authorities: HashMap<Place, BTreeMap<String, Authority>>,
    pub(super) catalogue: FactCatalogue,
    pub(super) calendars: Arc<Calendars>,
    pub(super) packs: Vec<PackRecord>,
    /// By duty: the group it belongs to.
    pub(super) groups: HashMap<DutyId, Arc<Group>>,
    /// By position of a duty: the instants that start its twins, see [`Group`]; with it they are one duty with several
    /// triggers.
    pub(super) other_starts: HashMap<usize, Vec<String>>,
    /// Positions of the duties that ask for a role, in file order, and of those that ask for none.
    pub(super) by_role: BTreeMap<String, Vec<u32>>,
    pub(super) for_anyone: Vec<u32>,
    /// The region or jurisdiction of each duty, as a position in `scopes`.
    pub(super) scope_of: Vec<u16>,
    pub(super) scopes: Vec<Place>,
    /// For every place on record the positions of the scopes it lies in, is, or holds.
    pub(super) touching: BTreeMap<Place, Vec<u16>>,
    /// Places and regions some duty speaks of, and places of which it is known that no duty exists.
    pub(super) covered: BTreeSet<Place>,
    pub(super) without_duty: BTreeMap<Place, String>,
    /// National rows by the baseline row they stand for.
    pub(super) replaced_by: BTreeMap<DutyId, Vec<usize>>,
    /// National rows by the pack of the baseline rows they stand for.
    pub(super) transposed_by: BTreeMap<String, Vec<usize>>,
    /// By position of the duty.
    pub(super) prepared: Vec<Prepared>,
    /// What no pack models, and why.
    pub(super) not_modelled: BTreeMap<String, String>,
    /// Newest review date of any pack.
    pub version: String,
    /// SHA-256 of the manifest of all files; see [`archive`](super::archive).
    pub sha256: [u8; 32],
}

impl Rulebook {
    pub fn duties(&self) -> &[Duty<Condition>] {
        &self.duties
    }

    pub fn duty(&self, id: &str) -> Option<&Duty<Condition>> {
        self.by_id.get(id).map(|&at| &self.duties[at])
    }

    pub fn catalogue(&self) -> &FactCatalogue {
        &self.catalogue
    }

    pub fn places(&self) -> &Places {
        &self.places
    }

    pub fn roles(&self) -> &Roles {
        &self.roles
    }

    pub fn packs(&self) -> &[PackRecord] {
        &self.packs
    }

    pub fn calendars(&self) -> &Calendars {
        &self.calendars
    }

    pub fn not_modelled(&self) -> &BTreeMap<String, String> {
        &self.not_modelled
    }

    pub fn conventions(&self) -> &[ConventionRecord] {
        &self.conventions
    }

    pub fn convention(&self, at: u16) -> &ConventionRecord {
        &self.conventions[usize::from(at)]
    }

    pub fn group_of(&self, duty: &DutyId) -> Option<&Group> {
        self.groups.get(duty).map(Arc::as_ref)
    }

    /// The authority of `place` under `regime`; a subdivision without one falls back to its country.
    pub fn authority(&self, place: &str, regime: &str) -> Option<&Authority> {
        let find = |p: &str| self.authorities.get(p).and_then(|regimes| regimes.get(regime));
        find(place).or_else(|| place.split_once('-').and_then(|(country, _)| find(country)))
    }

    /// Positions of the scopes that have to do with `place`: it lies in them, is one, or holds them.
    pub(super) fn each_touched(&self, place: &str, mut hit: impl FnMut(usize)) {
        match self.touching.get(place) {
            Some(scopes) => scopes.iter().for_each(|&at| hit(usize::from(at))),
            // a place nobody recorded still lies in its country
            None => (0..self.scopes.len()).filter(|&at| self.places.touch(place, &self.scopes[at])).for_each(hit),
        }
    }

    /// Ids of known duties nearest to a mistyped one.
    pub fn nearest_duties(&self, word: &str) -> Vec<&str> {
        crate::law::nearest_of(word, self.duties.iter().map(|duty| duty.id.0.as_str()))
    }
}
