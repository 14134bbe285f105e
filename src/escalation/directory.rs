//! Who can be told, and how: people, roles, rotas. Answers for an instant; reads no clock.

use super::message::Target;
use super::policy::{Person, Rota, Who};
use crate::time::Timestamp;
use chrono::{Datelike, Duration};

#[derive(Clone, Debug, Default)]
pub struct Directory {
    pub people: Vec<Person>,
    pub rotas: Vec<Rota>,
    pub webhooks: Vec<String>,
}

impl Directory {
    pub fn person(&self, id: &str) -> Option<&Person> {
        self.people.iter().find(|p| p.id == id)
    }

    /// The person on duty at `at`: turns of one week from hand-over to hand-over, local time, counted from the Monday of the epoch week.
    pub fn on_duty(&self, rota: &Rota, at: Timestamp) -> Option<&Person> {
        let local = rota.zone.local(at);
        let since_handover = Duration::days(i64::from(rota.handover.0)) + Duration::minutes(i64::from(rota.handover.1));
        let shifted = local - since_handover;
        // 1970-01-05 was a Monday
        let weeks = (i64::from(shifted.date().num_days_from_ce()) - 719_167).div_euclid(7);
        let turn = usize::try_from(weeks.rem_euclid(rota.people.len().max(1) as i64)).unwrap_or(0);
        self.person(rota.people.get(turn)?)
    }

    /// Everybody `who` stands for at `at`. A rota whose person cannot be reached answers with all of its people.
    pub fn targets(&self, who: &Who, channels: &[String], at: Timestamp) -> Vec<Target> {
        match who {
            Who::Webhook(id) => {
                if self.webhooks.contains(id) {
                    vec![Target::Webhook { id: id.clone() }]
                } else {
                    Vec::new()
                }
            }
            Who::Person(id) => self.person(id).map(|p| self.reach(p, channels)).unwrap_or_default(),
            Who::Role(role) => {
                self.people.iter().filter(|p| p.roles.contains(role)).flat_map(|p| self.reach(p, channels)).collect()
            }
            Who::Rota(id) => {
                let Some(rota) = self.rotas.iter().find(|r| r.id == *id) else { return Vec::new() };
                let reached = self.on_duty(rota, at).map(|p| self.reach(p, channels)).unwrap_or_default();
                if !reached.is_empty() {
                    return reached;
                }
                rota.people.iter().filter_map(|id| self.person(id)).flat_map(|p| self.reach(p, channels)).collect()
            }
        }
    }

    /// Everybody with an address: the last resort, so that no step reaches nobody.
    pub fn everybody(&self) -> Vec<Target> {
        self.people.iter().flat_map(|p| self.reach(p, &[])).collect()
    }

    fn reach(&self, person: &Person, channels: &[String]) -> Vec<Target> {
        let wanted = if channels.is_empty() { &person.channels } else { channels };
        let by_mail = wanted.is_empty() || wanted.iter().any(|c| c == "email");
        match &person.email {
            Some(address) if by_mail => {
                vec![Target::Email { person: person.id.clone(), name: person.name.clone(), address: address.clone() }]
            }
            _ => self
                .deputy_of(person)
                .and_then(|d| d.email.as_ref().map(|address| (d, address)))
                .map(|(d, address)| Target::Email {
                    person: d.id.clone(),
                    name: d.name.clone(),
                    address: address.clone(),
                })
                .into_iter()
                .collect(),
        }
    }

    fn deputy_of(&self, person: &Person) -> Option<&Person> {
        person.deputy.as_deref().and_then(|id| self.person(id))
    }
}
