//! Would somebody be told? Every policy and step walked hour by hour: gaps, roles nobody has, single points.
//!
//! Pure: `from` is an argument. What it finds is said in words a person can act on; whether that is shown as a fault or a
//! warning is its [`Grade`].

use super::directory::{Directory, Ladder};
use super::people::Person;
use super::policy::{EscalationPolicy, Step, Waits, Who};
use crate::time::{Timestamp, Zone};
use chrono::Duration;
use std::collections::{BTreeMap, BTreeSet};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    Warning,
    /// Somebody who should be told would not be.
    Fault,
}

/// One thing found, with what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub grade: Grade,
    pub policy: String,
    /// The policy's word for the step; none when it is about the policy or about everybody.
    pub step: Option<String>,
    pub text: String,
    pub remedy: String,
    /// When it is so, in whole hours, joined; empty when it is always so.
    pub spans: Vec<Span>,
}

/// `from` until before `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub from: Timestamp,
    pub until: Timestamp,
    /// Zone in which people would say it.
    pub zone: Zone,
}

/// More quiet hours than this in a day hold up work, not only sleep.
const QUIET_HOURS_A_DAY: i64 = 14;

/// Looks at every hour of `days` days from `from`.
pub fn walk(policies: &[EscalationPolicy], directory: &Directory, from: Timestamp, days: u32) -> Vec<Finding> {
    let hours: Vec<Timestamp> = (0..i64::from(days) * 24).map(|h| from + Duration::hours(h)).collect();
    let mut found = Vec::new();
    for policy in policies {
        let view = View { policy, directory, hours: &hours };
        view.people_without_address(&mut found);
        view.quiet_hours(&mut found);
        for step in &policy.steps {
            view.step(step, &mut found);
        }
        view.no_person_at_all(&mut found);
    }
    found
}

/// Ids of everybody `steps` may ever name: each turn of a rota, each member of a group. Deputies are not named.
pub fn people_of(steps: &[Step], directory: &Directory) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    steps.iter().flat_map(|step| &step.notify).for_each(|who| named_by(who, directory, 0, &mut found));
    found
}

fn named_by(who: &Who, directory: &Directory, depth: u8, found: &mut BTreeSet<String>) {
    match who {
        Who::Person(id) => {
            found.insert(id.clone());
        }
        Who::Role(role) => {
            found.extend(directory.people.iter().filter(|p| p.roles.contains(role)).map(|p| p.id.clone()));
        }
        Who::Rota(id) => {
            let Some(rota) = directory.rota(id) else { return };
            found.extend(rota.people.iter().cloned());
            found.extend(rota.shifts.iter().map(|shift| shift.person.clone()));
        }
        Who::Group(id) => {
            let members = directory.groups.iter().filter(|g| g.id == *id && depth < 8).flat_map(|g| &g.members);
            members.for_each(|who| named_by(who, directory, depth + 1, found));
        }
        Who::Webhook(_) | Who::Channel(_) => {}
    }
}

struct View<'v> {
    policy: &'v EscalationPolicy,
    directory: &'v Directory,
    hours: &'v [Timestamp],
}

impl View<'_> {
    fn finding(&self, grade: Grade, step: Option<&Step>, text: String, remedy: &str, spans: Vec<Span>) -> Finding {
        let (policy, step) = (self.policy.id.clone(), step.map(|s| s.name.clone()));
        // what is so at every hour is simply so
        let always =
            matches!(spans.as_slice(), [only] if only.until - only.from >= Duration::hours(self.hours.len() as i64));
        let spans = if always { Vec::new() } else { spans };
        Finding { grade, policy, step, text, remedy: remedy.to_string(), spans }
    }

    /// The hours for which `is` holds, joined to spans.
    fn spans(&self, zone: Zone, is: impl Fn(Timestamp) -> bool) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        for &hour in self.hours.iter().filter(|hour| is(**hour)) {
            let until = hour + Duration::hours(1);
            match spans.last_mut() {
                Some(last) if last.until == hour => last.until = until,
                _ => spans.push(Span { from: hour, until, zone }),
            }
        }
        spans
    }

    fn ladders(&self, step: &Step, at: Timestamp) -> Vec<Ladder> {
        step.notify.iter().flat_map(|who| self.directory.ladders(who, &step.channels, at)).collect()
    }

    fn step(&self, step: &Step, found: &mut Vec<Finding>) {
        let named: Vec<String> = step.notify.iter().map(Who::to_string).collect();
        let named = named.join(", ");
        for who in &step.notify {
            self.who(who, step, 0, found);
        }
        let zone = self.zone_of(step);
        let reaches: Vec<(Timestamp, BTreeSet<String>, bool)> =
            self.hours.iter().map(|at| self.reached(step, *at)).collect();
        let names_people = step.notify.iter().any(Who::is_people);
        let nobody = |at: Timestamp| reaches.iter().any(|(hour, people, _)| *hour == at && people.is_empty());
        if names_people {
            let spans = self.spans(zone, nobody);
            if !spans.is_empty() {
                let text = format!("`{named}` reaches nobody it names; everybody would get it instead");
                let remedy = "give the people it names an address, or name somebody else as well";
                found.push(self.finding(Grade::Fault, Some(step), text, remedy, spans));
            }
            self.single_points(step, zone, &reaches, found);
        } else if reaches.iter().any(|(_, _, place)| !place) {
            let text = format!("`{named}` is no place this configuration describes");
            found.push(self.finding(Grade::Fault, Some(step), text, "describe it, or name another", Vec::new()));
        }
    }

    /// People on any way of the step's ladders at `at`, and whether it tells a place.
    fn reached(&self, step: &Step, at: Timestamp) -> (Timestamp, BTreeSet<String>, bool) {
        let ladders = self.ladders(step, at);
        let ways = || ladders.iter().flat_map(|l| &l.rungs);
        let people = ways().filter_map(|t| t.person()).map(str::to_string).collect();
        (at, people, ways().any(|t| t.person().is_none()))
    }

    /// Hours at which one person alone gets the step: an illness away from silence.
    fn single_points(
        &self,
        step: &Step,
        zone: Zone,
        reaches: &[(Timestamp, BTreeSet<String>, bool)],
        found: &mut Vec<Finding>,
    ) {
        let mut alone: BTreeMap<&String, Vec<Timestamp>> = BTreeMap::new();
        for (hour, people, _) in reaches.iter().filter(|(_, people, _)| people.len() == 1) {
            alone.entry(people.first().expect("one")).or_default().push(*hour);
        }
        if alone.is_empty() {
            return;
        }
        let names: Vec<&str> = alone.keys().map(|id| self.name(id)).collect();
        let (who, remedy) = match names.as_slice() {
            [only] => {
                (format!("only {only} gets it, and nobody stands in"), "name a `deputy`, or tell a second person")
            }
            several => (
                format!("one person at a time gets it ({}), and nobody stands in", several.join(", ")),
                "give each a `deputy`, or tell a role besides the rota",
            ),
        };
        let spans = self.spans(zone, |at| alone.values().any(|hours| hours.binary_search(&at).is_ok()));
        found.push(self.finding(Grade::Warning, Some(step), who, remedy, spans));
    }

    /// Roles nobody has, and rotas with gaps.
    fn who(&self, who: &Who, step: &Step, depth: u8, found: &mut Vec<Finding>) {
        match who {
            Who::Role(role) if !self.directory.people.iter().any(|p| p.roles.contains(role)) => {
                let text = format!("nobody has the role `{role}`");
                let remedy = "give the role to a [[person]], or name somebody else";
                found.push(self.finding(Grade::Warning, Some(step), text, remedy, Vec::new()));
            }
            Who::Rota(id) => {
                let Some(rota) = self.directory.rota(id) else { return };
                let gaps = self.spans(rota.zone, |at| rota.on_duty(at).is_none());
                if !gaps.is_empty() {
                    let text = format!("rota `{id}` has nobody on duty; all of its people would be told");
                    let remedy = "fill the shifts, or give the rota `people` who take turns between them";
                    found.push(self.finding(Grade::Warning, Some(step), text, remedy, gaps));
                }
                let away = self.spans(rota.zone, |at| rota.on_duty(at).is_some_and(|id| !self.has_way(id)));
                if !away.is_empty() {
                    let text = format!("whoever is on duty in rota `{id}` has no address and no deputy with one");
                    let remedy = "give every person of the rota an `email` or an address on a channel";
                    found.push(self.finding(Grade::Warning, Some(step), text, remedy, away));
                }
            }
            Who::Group(id) if depth < 8 => {
                let members = self.directory.groups.iter().filter(|g| g.id == *id).flat_map(|g| &g.members);
                members.for_each(|who| self.who(who, step, depth + 1, found));
            }
            _ => {}
        }
    }

    fn people_without_address(&self, found: &mut Vec<Finding>) {
        for id in people_of(&self.policy.steps, self.directory).iter().filter(|id| !self.has_way(id)) {
            let text = match self.directory.person(id) {
                Some(person) => format!("{} has no address, and no deputy with one", person.name),
                None => format!("`{id}` is no person of this configuration"),
            };
            let remedy = "give an `email`, or `addresses` on a configured channel";
            found.push(self.finding(Grade::Fault, None, text, remedy, Vec::new()));
        }
    }

    fn quiet_hours(&self, found: &mut Vec<Finding>) {
        let Some(quiet) = self.policy.quiet_hours else { return };
        let held = self.hours.iter().filter(|at| quiet.end_of(**at).is_some()).count() as i64;
        let a_day = held * 24 / (self.hours.len() as i64).max(1);
        // with a long window even the last step may wait: is there any hour at which a message would go out?
        let far = |at: Timestamp| quiet.waits(at, at, Some(at + Duration::days(365)));
        let remedy = "quiet hours are for sleep: shorten them";
        if self.hours.iter().all(|at| matches!(far(*at), Some(Waits::Until(_)))) && !self.hours.is_empty() {
            let text = "the quiet hours hold every message that can wait, at every hour".to_string();
            found.push(self.finding(Grade::Fault, None, text, remedy, Vec::new()));
        } else if a_day > QUIET_HOURS_A_DAY {
            let text = format!("the quiet hours hold messages that can wait during {a_day} of 24 hours");
            found.push(self.finding(Grade::Warning, None, text, remedy, Vec::new()));
        }
    }

    /// A policy that tells places alone reaches whoever happens to look.
    fn no_person_at_all(&self, found: &mut Vec<Finding>) {
        let people = people_of(&self.policy.steps, self.directory);
        let names_people = self.policy.steps.iter().flat_map(|s| &s.notify).any(Who::is_people);
        if !names_people {
            let text = "no step tells a person, only places: nobody is reminded by name".to_string();
            found.push(self.finding(Grade::Warning, None, text, "tell a person, a role or a rota as well", Vec::new()));
        } else if people.is_empty() && self.directory.everybody().is_empty() {
            let text = "nobody can be told: no person of this configuration has an address".to_string();
            found.push(self.finding(Grade::Fault, None, text, "add a [[person]] with an `email`", Vec::new()));
        }
    }

    fn has_way(&self, person: &str) -> bool {
        !self
            .directory
            .ladders(&Who::Person(person.to_string()), &[], self.hours.first().copied().unwrap_or_default())
            .is_empty()
    }

    fn name<'n>(&'n self, id: &'n str) -> &'n str {
        self.directory.person(id).map_or(id, |p| p.name.as_str())
    }

    /// The zone in which the step's people live: that of its rota, else of the quiet hours, else of its first person.
    fn zone_of(&self, step: &Step) -> Zone {
        let rota = step.notify.iter().find_map(|who| match who {
            Who::Rota(id) => self.directory.rota(id).map(|r| r.zone),
            _ => None,
        });
        let of = |p: &Person| p.zone.as_deref().and_then(|name| Zone::named(name).ok());
        let people = || people_of(std::slice::from_ref(step), self.directory);
        rota.or(self.policy.quiet_hours.map(|q| q.zone))
            .or_else(|| people().iter().filter_map(|id| self.directory.person(id)).find_map(of))
            .unwrap_or(Zone::UTC)
    }
}
