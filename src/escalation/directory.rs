//! Who can be told, and by which ways in which order. Answers for an instant; reads no clock.

use super::message::Target;
use super::people::{Group, Person, Rota};
use super::policy::Who;
use crate::time::Timestamp;

#[derive(Clone, Debug, Default)]
pub struct Directory {
    pub people: Vec<Person>,
    pub rotas: Vec<Rota>,
    pub groups: Vec<Group>,
    pub webhooks: Vec<String>,
    /// Ids of configured channels.
    pub channels: Vec<String>,
}

/// One addressee: the ways to try, one after the other, until somebody acknowledges.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ladder {
    /// Never empty.
    pub rungs: Vec<Target>,
    /// When they came on duty, for whoever is told because of a rota: steps before were told to somebody else.
    pub since: Option<Timestamp>,
}

impl Ladder {
    fn of(rungs: Vec<Target>) -> Option<Ladder> {
        (!rungs.is_empty()).then_some(Ladder { rungs, since: None })
    }

    pub fn first(&self) -> &Target {
        &self.rungs[0]
    }
}

impl Directory {
    pub fn person(&self, id: &str) -> Option<&Person> {
        self.people.iter().find(|p| p.id == id)
    }

    /// The person known by this id or name.
    pub fn person_called(&self, name: &str) -> Option<&Person> {
        self.people.iter().find(|p| p.id == name || p.name == name)
    }

    pub fn rota(&self, id: &str) -> Option<&Rota> {
        self.rotas.iter().find(|r| r.id == id)
    }

    /// Everybody `who` stands for at `at`. A rota whose person cannot be reached, or that has a gap, answers with all of
    /// its people.
    pub fn ladders(&self, who: &Who, channels: &[String], at: Timestamp) -> Vec<Ladder> {
        self.ladders_within(who, channels, at, 0)
    }

    fn ladders_within(&self, who: &Who, channels: &[String], at: Timestamp, depth: u8) -> Vec<Ladder> {
        let person = |id: &str| self.person(id).and_then(|p| self.ladder(p, channels));
        match who {
            Who::Webhook(id) => {
                let known = self.webhooks.contains(id).then(|| vec![Target::Webhook { id: id.clone() }]);
                known.and_then(Ladder::of).into_iter().collect()
            }
            Who::Channel(id) => {
                let room = || Target::Channel { id: id.clone(), person: None, name: id.clone(), address: None };
                let known = self.channels.contains(id).then(|| vec![room()]);
                known.and_then(Ladder::of).into_iter().collect()
            }
            Who::Person(id) => person(id).into_iter().collect(),
            Who::Role(role) => {
                self.people.iter().filter(|p| p.roles.contains(role)).filter_map(|p| self.ladder(p, channels)).collect()
            }
            Who::Group(id) => {
                let members = self.groups.iter().find(|g| g.id == *id).map(|g| g.members.as_slice());
                // groups of groups end somewhere, whatever a configuration says
                let members = members.filter(|_| depth < 8).unwrap_or_default();
                members.iter().flat_map(|who| self.ladders_within(who, channels, at, depth + 1)).collect()
            }
            Who::Rota(id) => {
                let Some(rota) = self.rota(id) else { return Vec::new() };
                if let Some(mut ladder) = rota.on_duty(at).and_then(person) {
                    ladder.since = rota.turn(at).0;
                    return vec![ladder];
                }
                let shifts = rota.shifts.iter().map(|s| &s.person);
                let mut all: Vec<&String> = rota.people.iter().chain(shifts).collect();
                all.sort();
                all.dedup();
                all.into_iter().filter_map(|id| person(id)).collect()
            }
        }
    }

    /// When `who` may stand for somebody else next.
    pub fn next_change(&self, who: &Who, at: Timestamp) -> Option<Timestamp> {
        match who {
            Who::Rota(id) => self.rota(id)?.turn(at).1,
            Who::Group(id) => {
                let members = &self.groups.iter().find(|g| g.id == *id)?.members;
                members
                    .iter()
                    .filter_map(|who| if let Who::Rota(id) = who { self.rota(id)?.turn(at).1 } else { None })
                    .min()
            }
            _ => None,
        }
    }

    /// Everybody with an address: the last resort, so that no step reaches nobody.
    pub fn everybody(&self) -> Vec<Ladder> {
        self.people.iter().filter_map(|p| self.ladder(p, &[])).collect()
    }

    /// A person's own ways, then the deputy's.
    fn ladder(&self, person: &Person, channels: &[String]) -> Option<Ladder> {
        let mut rungs = self.ways(person, channels);
        // a step on a channel where this person has no address must still reach them
        if rungs.is_empty() {
            rungs = self.ways(person, &[]);
        }
        if let Some(deputy) = person.deputy.as_deref().and_then(|id| self.person(id)) {
            rungs.extend(self.ways(deputy, &[]));
        }
        Ladder::of(rungs)
    }

    fn ways(&self, person: &Person, channels: &[String]) -> Vec<Target> {
        let wanted = if channels.is_empty() { &person.channels } else { channels };
        let mail = || {
            let address = person.email.clone()?;
            Some(Target::Email { person: person.id.clone(), name: person.name.clone(), address })
        };
        let on = |id: &String| {
            let address = person.addresses.get(id).filter(|_| self.channels.contains(id))?;
            Some(Target::Channel {
                id: id.clone(),
                person: Some(person.id.clone()),
                name: person.name.clone(),
                address: Some(address.clone()),
            })
        };
        if wanted.is_empty() {
            return mail().into_iter().chain(person.addresses.keys().filter_map(on)).collect();
        }
        wanted.iter().filter_map(|id| if id == "email" { mail() } else { on(id) }).collect()
    }
}
