//! What the law makes of an incident: every duty asked, every date counted. Pure; `now` is an argument.

use super::book::Rulebook;
use super::clock::Parties;
use super::condition::{Condition, Truth};
use super::contract::OwedToUs;
use super::counts::Counts;
use super::depend::Asking;
use super::reach::{self, Footprint};
use super::roles::Standings;
use crate::law::{Deadline, Duty, DutyStatus, Entity, Incident, Obligation, Place, Recipients, Standing, Started};
use crate::time::{Period, TimeError, Timestamp};
use std::sync::Arc;

/// What to include beyond the law that applies.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Also duties that do not apply.
    pub all: bool,
    pub include_proposed: bool,
}

/// The answer to "what follows from these facts".
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub obligations: Vec<Obligation>,
    /// Notices counterparties owe us under contracts.
    pub they_owe: Vec<OwedToUs>,
    /// Places the facts mention and no duty covers, with the reason.
    pub not_covered: Vec<(Place, String)>,
    /// Key and sentence.
    pub warnings: Vec<(String, String)>,
    /// Ids of obligations that the rulebook in force does not give, with the earlier one that does if it is at hand.
    pub earlier: Vec<(String, Option<Arc<Rulebook>>)>,
}

/// From so many on two threads ask them.
const MANY_DUTIES: usize = 256;

impl Plan {
    /// The rulebook that knows the duty of `o`; `book` planned what no earlier one did.
    pub fn book_of<'a>(&'a self, book: &'a Rulebook, o: &Obligation) -> &'a Rulebook {
        let earlier = self.earlier.iter().find(|(id, _)| *id == o.id);
        earlier.and_then(|(_, earlier)| earlier.as_deref()).unwrap_or(book)
    }

    /// Does the rulebook in force not give `o`?
    pub fn is_gone(&self, o: &Obligation) -> bool {
        self.earlier.iter().any(|(id, _)| *id == o.id)
    }

    /// Earliest conservative limit of anything that is running or may be.
    pub fn earliest(&self) -> Option<Timestamp> {
        self.obligations
            .iter()
            .filter(|o| o.standing.is_open())
            .filter_map(|o| o.standing.deadline())
            .map(|d| d.conservative_due)
            .min()
    }
}

/// One duty asked for one recipient, before combinations are composed.
pub(super) struct Candidate {
    pub obligation: Obligation,
    /// Position of the duty in the rulebook.
    pub duty: usize,
    /// The duty with a contract's words laid over it.
    pub agreed: Option<Box<Duty<Condition>>>,
    /// Whose calendar and zone count: the obligation's place, or the one a contract names.
    pub seat: Place,
    pub applies: Truth,
    /// A text of the duty was in force when it was asked.
    pub in_force: bool,
    pub deadline: Option<Deadline>,
    /// Periods, and positions of conventions, of the texts that apply or may.
    pub texts: Vec<(Period, u16)>,
    /// The trigger has happened, or an earlier kind of knowledge has.
    pub started: bool,
    pub filed: Option<Started>,
    pub waived: Option<String>,
    /// A follow-up of what nobody owes; see `follow_up`.
    pub orphan: bool,
}

impl Candidate {
    pub fn duty<'a>(&'a self, book: &'a Rulebook) -> &'a Duty<Condition> {
        self.agreed.as_deref().unwrap_or(&book.duties[self.duty])
    }
}

impl Rulebook {
    /// Asks every duty. A date that cannot be counted leaves the obligation without one, with the reason in `because`.
    pub fn plan(&self, incident: &Incident, now: Timestamp, options: Options) -> Plan {
        self.plan_by(incident, now, options, MANY_DUTIES)
    }

    /// [`Rulebook::plan`], with two threads when at least `many` duties are worth asking.
    pub(super) fn plan_by(&self, incident: &Incident, now: Timestamp, options: Options, many: usize) -> Plan {
        let mut plan = Plan::default();
        let one_name = self.places.with_one_name(incident);
        let incident = one_name.as_ref().unwrap_or(incident);
        let parties = Parties::of(self, &incident.entity);
        let standings = self.roles.standing_of(&incident.entity);
        let whereabouts = self.places.whereabouts(&incident.entity);
        let footprint = Footprint::of(self, incident);
        let counts = Counts::of(&incident.facts, &self.places);
        let asking = Asking {
            incident,
            now,
            options,
            parties: &parties,
            counts: &counts,
            whereabouts: &whereabouts,
            standings: &standings,
        };
        let worth = self.worth_asking(&standings, &footprint, &incident.entity, options);
        let asked = two_at_once(&worth, many, |duties| {
            // what it worked out of numbers each thread keeps for itself
            let counts = Counts::of(&incident.facts, &self.places);
            let (parties, whereabouts, standings) = (&parties, &whereabouts, &standings);
            let asking = Asking { incident, now, options, parties, counts: &counts, whereabouts, standings };
            let mut not_covered = Vec::new();
            let candidates = self.ask_each(duties, &asking, &mut not_covered);
            vec![(candidates, not_covered)]
        });
        let mut candidates: Vec<Candidate> = Vec::new();
        for (more, not_covered) in asked {
            candidates.extend(more);
            not_covered.into_iter().for_each(|found| push_new(&mut plan.not_covered, found));
        }
        self.follow(&mut candidates, &asking);
        self.compose(&mut candidates);
        self.depend(&mut candidates, &asking);
        self.project(&mut candidates, now, &parties);
        plan.obligations =
            candidates.into_iter().filter(|c| options.all || c.applies != Truth::No).map(stand).collect();
        self.order(&mut plan.obligations);
        plan.they_owe = self.they_owe(incident, &parties);
        self.not_covered(incident, &mut plan);
        self.warn(incident, &mut plan);
        plan
    }

    /// These duties, put to every recipient they may have.
    fn ask_each(
        &self,
        duties: &[usize],
        asking: &Asking<'_>,
        not_covered: &mut Vec<(Place, String)>,
    ) -> Vec<Candidate> {
        let Asking { incident, options, whereabouts, counts, standings, .. } = *asking;
        let mut candidates: Vec<Candidate> = Vec::new();
        for &at in duties {
            let duty = &self.duties[at];
            if duty.status == DutyStatus::NoDuty || (duty.status == DutyStatus::Proposed && !options.include_proposed) {
                continue;
            }
            let (role, role_missing) = match duty.recipients {
                // whoever signed it owes it, whatever roles were stated
                Recipients::EachContract => (Truth::Yes, ""),
                _ => reach::role(duty, standings),
            };
            if role == Truth::No && !options.all {
                continue;
            }
            let mut recipients = reach::recipients(self, duty, incident, whereabouts, counts);
            if recipients.is_empty() && options.all {
                recipients.push(reach::Recipient {
                    place: duty.jurisdiction.clone(),
                    truth: Truth::No,
                    missing: Vec::new(),
                });
            }
            for recipient in recipients {
                let mut missing = recipient.missing;
                if role == Truth::Unknown {
                    missing.insert(0, role_missing.to_string());
                }
                let truth = recipient.truth.and(role);
                if truth == Truth::No && !options.all {
                    continue;
                }
                let recipient = reach::Recipient { place: recipient.place, truth, missing };
                candidates.extend(self.ask(at, recipient, asking, not_covered));
            }
        }
        candidates
    }

    /// Positions of the duties whose role and place may fit, in file order; all of them when asked for all. Templates of
    /// contracts are asked when a contract names them.
    fn worth_asking(
        &self,
        standings: &Standings<'_>,
        footprint: &Footprint,
        entity: &Entity,
        options: Options,
    ) -> Vec<usize> {
        if options.all {
            return (0..self.duties.len()).collect();
        }
        let near = |at: &usize| {
            let duty = &self.duties[*at];
            duty.recipients != Recipients::EachContract && !footprint.misses(duty.reach, self.scope_of[*at])
        };
        let mut found: Vec<usize> = match standings.possible() {
            None => (0..self.duties.len()).filter(near).collect(),
            Some(roles) => {
                let lists = roles.filter_map(|role| self.by_role.get(role)).chain([&self.for_anyone]);
                lists.flatten().map(|&at| at as usize).filter(near).collect()
            }
        };
        found.extend(entity.contracts.iter().filter_map(|contract| self.template_of(contract)));
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Nearest conservative limit first, then what has no date.
    pub fn order(&self, obligations: &mut [Obligation]) {
        obligations.sort_by_cached_key(|o| {
            let due = o.standing.deadline().map(|d| d.conservative_due);
            let position = self.by_id.get(&o.duty).copied();
            // what has no date yet stands in the order in which it would be due if its clock started now
            let supposed = o.if_started_now.filter(|_| due.is_none());
            let undated = due.is_none();
            (
                !o.standing.is_open(),
                undated,
                due,
                supposed.is_none() && undated,
                supposed,
                position,
                o.jurisdiction.clone(),
            )
        });
    }
}

/// The obligation, and how it stands.
fn stand(candidate: Candidate) -> Obligation {
    let Candidate { mut obligation, applies, deadline, started, filed, waived, .. } = candidate;
    obligation.standing = if applies == Truth::No {
        Standing::NotApplicable
    } else if let Some(filed) = filed {
        obligation.missing.clear();
        obligation.internal_target = None;
        Standing::Discharged { at: filed.at, deadline }
    } else if let Some(reason) = waived {
        Standing::Waived { reason, deadline }
    } else if applies == Truth::Unknown {
        Standing::Possible(deadline)
    } else if started {
        Standing::Running(deadline)
    } else {
        match obligation.standing {
            projected @ Standing::Awaiting { .. } => projected,
            _ => Standing::Awaiting { projected_due: None, projected_conservative: None },
        }
    };
    obligation
}

/// `work` over `items` in their order, on two threads when there are at least `many`.
pub(super) fn two_at_once<T: Sync, R: Send>(items: &[T], many: usize, work: impl Fn(&[T]) -> Vec<R> + Sync) -> Vec<R> {
    if items.len() < many {
        return work(items);
    }
    let (first, second) = items.split_at(items.len() / 2);
    std::thread::scope(|scope| {
        // a machine that has no thread to give does it in turn
        let beside = std::thread::Builder::new().spawn_scoped(scope, || work(second));
        let mut done = work(first);
        done.extend(match beside {
            Ok(beside) => beside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(_) => work(second),
        });
        done
    })
}

pub(super) fn cannot_count(error: &TimeError) -> String {
    format!("the date cannot be counted: {error}")
}

pub(super) fn push_new<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}
