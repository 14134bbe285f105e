//! What the law makes of an incident: every duty asked, every date counted. Pure; `now` is an argument.

use super::book::{Authority, Rulebook};
use super::clock::{self, Parties};
use super::condition::{Condition, Scene, Truth};
use super::contract::{self, OwedToUs};
use super::counts::Counts;
use super::depend::Asking;
use super::reach::{self, Footprint};
use super::roles::Standings;
use super::trigger::{self, Onset};
use crate::law::{
    Confidence, Deadline, Duty, DutyId, DutyPeriod, DutyStatus, Entity, Incident, Obligation, Place, Recipients,
    Standing, Started, Trigger, Value,
};
use crate::time::{CivilDate, Period, TimeError, Timestamp};
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
        let mut candidates: Vec<Candidate> = Vec::new();
        for at in self.worth_asking(&standings, &footprint, &incident.entity, options) {
            let duty = &self.duties[at];
            if duty.status == DutyStatus::NoDuty || (duty.status == DutyStatus::Proposed && !options.include_proposed) {
                continue;
            }
            let (role, role_missing) = match duty.recipients {
                // whoever signed it owes it, whatever roles were stated
                Recipients::EachContract => (Truth::Yes, ""),
                _ => reach::role(duty, &standings),
            };
            if role == Truth::No && !options.all {
                continue;
            }
            let mut recipients = reach::recipients(self, duty, incident, &whereabouts, &counts);
            if recipients.is_empty() && options.all {
                recipients.push(reach::Recipient {
                    place: duty.jurisdiction.clone(),
                    truth: Truth::No,
                    missing: Vec::new(),
                });
            }
            for recipient in recipients {
                let mut missing: Vec<String> = recipient.missing;
                if role == Truth::Unknown {
                    missing.insert(0, role_missing.to_string());
                }
                let truth = recipient.truth.and(role);
                if truth == Truth::No && !options.all {
                    continue;
                }
                self.ask(at, duty, recipient.place, truth, missing, &asking, &mut candidates, &mut plan);
            }
        }
        self.follow(&mut candidates, &asking);
        self.compose(&mut candidates);
        self.depend(&mut candidates, &asking);
        self.project(&mut candidates, now, &parties);
        plan.obligations = candidates
            .into_iter()
            .filter(|c| options.all || c.applies != Truth::No)
            .map(|c| self.stand(c, incident, now))
            .collect();
        self.order(&mut plan.obligations);
        plan.they_owe = self.they_owe(incident, &parties);
        self.not_covered(incident, &mut plan);
        self.warn(incident, &mut plan);
        plan
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

    #[expect(clippy::too_many_arguments, reason = "one question with its whole context; a struct would only rename it")]
    fn ask(
        &self,
        at: usize,
        duty: &Duty<Condition>,
        place: Place,
        mut applies: Truth,
        mut missing: Vec<String>,
        asking: &Asking<'_>,
        candidates: &mut Vec<Candidate>,
        plan: &mut Plan,
    ) {
        let Asking { incident, now, options, parties, .. } = *asking;
        let facts = &incident.facts;
        let contract = contract::contract_of(duty, &incident.entity, &place);
        let agreed = contract.map(|contract| Box::new(self.agreed(duty, contract)));
        let duty = agreed.as_deref().unwrap_or(duty);
        let seat = contract.map_or_else(|| place.clone(), |contract| contract::seat(duty, Some(contract)));
        let zone = || clock::of(self, duty, &seat, parties).zone;
        let scene = asking.scene(&place, &self.places, &zone);
        let mut because = Vec::new();
        let note_no = |applies: Truth, because: &mut Vec<String>, text: &dyn Fn() -> String| {
            if applies == Truth::No && options.all {
                because.push(text());
            }
        };
        note_no(applies, &mut because, &|| "the entity or the place is not within the reach of this duty".to_string());
        let ask = |condition: Truth, applies: &mut Truth| *applies = applies.and(condition);

        if duty.min_affected > 0 && applies != Truth::No {
            let atom = super::condition::Atom::Affected {
                place: None,
                comparison: super::condition::Comparison::AtLeast,
                n: duty.min_affected,
            };
            ask(Condition::Atom(atom).truth(&scene, &mut missing), &mut applies);
            note_no(applies, &mut because, &|| format!("fewer than {} persons are affected there", duty.min_affected));
        }
        if applies != Truth::No {
            ask(duty.when.truth(&scene, &mut missing), &mut applies);
            note_no(applies, &mut because, &|| format!("the condition is not met: {}", duty.when.text()));
        }
        if let Some(unless) = &duty.unless
            && applies != Truth::No
        {
            ask(!unless.truth(&scene, &mut missing), &mut applies);
            note_no(applies, &mut because, &|| format!("the exception applies: {}", unless.text()));
        }
        if applies == Truth::No && !options.all {
            return;
        }

        let mut bound = None;
        let (mut started, mut fallback) = match trigger::onset(duty, &place, facts, &self.acts_of(&duty.starts)) {
            Onset::Started(started) => (Some(started), None),
            Onset::From { earlier, missing } => (Some(earlier), Some(missing)),
            Onset::NotAfter { later, missing: key } => {
                push_new(&mut missing, key);
                bound = Some(later);
                (None, None)
            }
            Onset::NotYet { missing: key } => {
                if let Some(key) = key {
                    push_new(&mut missing, key);
                }
                (None, None)
            }
        };
        let clock = clock::of(self, duty, &seat, parties);
        let mut text_date = clock.zone.local(started.as_ref().or(bound.as_ref()).map_or(now, |s| s.at)).date();
        let mut texts = self.texts(duty, text_date, options, &scene, &mut missing);
        if let (true, Some(_), Some(earlier)) = (texts.is_empty(), &fallback, &mut started) {
            // an earlier kind of knowledge lies before the first text; the start itself, which nobody stated, may not
            let today = clock.zone.local(now).date();
            let begun = duty.periods.iter().filter(|p| !p.undated).filter_map(|p| p.from);
            if let Some(day) = begun.filter(|from| *from > text_date && *from <= today).min() {
                because.push(format!("the text is in force from {day}: counted from its first instant"));
                earlier.at = clock.zone.day_start(day);
                text_date = day;
                texts = self.texts(duty, text_date, options, &scene, &mut missing);
            }
        }
        let mut ended = None;
        if texts.is_empty()
            && started.is_none()
            && bound.is_none()
            && let Some(day) = trigger::last_day_served(duty, facts, clock.zone, now)
        {
            because.push(format!("the text was in force until {day}; whether its clock started by then is not known"));
            (text_date, ended) = (day, Some(day));
            texts = self.texts(duty, text_date, options, &scene, &mut missing);
        }
        if started.is_none() && bound.is_some() && texts.iter().all(|text| text.period.is_none()) {
            // nothing is counted, so it does not matter since when: it has surely started
            missing.retain(|key| trigger::key(&duty.starts) != Some(key));
            started = bound.take();
        }
        let in_force = !texts.is_empty() || duty.periods.is_empty();
        // which text serves a clock that starts at another limit is known once that limit is, see `depend`
        if !in_force && !matches!(duty.starts, Trigger::Due(_)) {
            if !options.all {
                return;
            }
            applies = Truth::No;
            because.push(format!("no text of this duty is in force on {text_date}"));
        }
        let mut unverified = duty.confidence == Confidence::Low;
        if duty.baseline && applies != Truth::No {
            match self.transposition(duty, &place, text_date) {
                Baseline::Serves => unverified = true,
                Baseline::Replaced => {
                    if !options.all {
                        return;
                    }
                    applies = Truth::No;
                    because.push("a national row replaces this one".to_string());
                }
                Baseline::NotTransposed => {
                    let why = format!(
                        "`{}` binds through national law, and no national row is in force on {text_date}",
                        duty.law
                    );
                    if !plan.not_covered.iter().any(|(p, w)| *p == place && *w == why) {
                        plan.not_covered.push((place.clone(), why));
                    }
                    if !options.all {
                        return;
                    }
                    applies = Truth::No;
                    because.push("the directive is not transposed there on that date".to_string());
                }
            }
        }
        if fallback.is_some() && applies == Truth::Yes {
            applies = Truth::Unknown;
        }
        if let Some(key) = fallback.take() {
            push_new(&mut missing, key);
        }
        if unverified && applies == Truth::Yes {
            applies = Truth::Unknown;
        }

        let mut deadline: Option<Deadline> = None;
        let (mut earliest, mut latest) = (None, None);
        let mut projected = Standing::NotApplicable;
        let mut limit: Option<(Timestamp, Timestamp)> = None;
        let mut convention = None;
        // the branch that decides may have no number, whatever the others have
        let shown = duty.periods.iter().filter(|_| texts.is_empty()).chain(texts.iter().copied());
        let mut period = shown.into_iter().find_map(|text| text.period);
        let mut promptly = None;
        for text in &texts {
            promptly = promptly.or_else(|| text.promptly.clone());
            let (Some(amount), Some(row)) = (text.period, text.convention) else { continue };
            let record = self.convention(row);
            if let (None, Some(later)) = (&started, &bound)
                && let Ok(counted) = clock::count(self, record, amount, later.at, duty, &seat, parties)
            {
                // no limit of its own: the true one is not later than this
                latest = Some(latest.map_or(counted.due, |l: Timestamp| l.max(counted.due)));
                // of several texts that may apply the nearest is reminded of
                limit = Some(limit.map_or((counted.due, counted.conservative_due), |(due, careful)| {
                    (counted.due.min(due), counted.conservative_due.min(careful))
                }));
                projected = Standing::Awaiting {
                    projected_due: limit.map(|l| l.0),
                    projected_conservative: limit.map(|l| l.1),
                };
                because.push(format!(
                    "`{}` is not known; the limit is not later than counted from `{}`",
                    missing.last().map_or("", String::as_str),
                    later.key
                ));
            }
            let Some(started) = &started else { continue };
            match clock::count(self, record, amount, started.at, duty, &seat, parties) {
                Ok(counted) => {
                    if texts.len() > 1 {
                        earliest = Some(earliest.map_or(counted.due, |e: Timestamp| e.min(counted.due)));
                        latest = Some(latest.map_or(counted.due, |l: Timestamp| l.max(counted.due)));
                    }
                    if deadline.as_ref().is_none_or(|d| counted.due < d.due) {
                        let earlier = deadline.take();
                        (convention, period) = (Some(record.id.clone()), Some(amount));
                        let conservative = earlier
                            .map_or(counted.conservative_due, |e| e.conservative_due.min(counted.conservative_due));
                        deadline = Some(Deadline { conservative_due: conservative, ..counted });
                    } else if let Some(d) = &mut deadline {
                        d.conservative_due = d.conservative_due.min(counted.conservative_due);
                    }
                }
                Err(error) => because.push(cannot_count(&error)),
            }
        }
        if let Trigger::Requested = duty.starts
            && let Some(limit) = trigger::limit_set(facts, &duty.id.0, &place)
            && let Some(started) = &started
        {
            deadline = Some(Deadline {
                due: limit,
                conservative_due: limit,
                counting_from: started.at,
                steps: Vec::new(),
                contested: Vec::new(),
                uncertain: false,
            });
            because.push("the authority set this limit with its request".to_string());
        }
        if let Some(d) = &mut deadline {
            let careful = &mut d.conservative_due;
            self.read_carefully(duty, &texts, &seat, &scene, asking, careful, &mut because);
        }
        let mut internal_target = None;
        if let Some(contract) = contract {
            because.extend(contract::clause_sentences(contract));
            if let Some(hours) = contract.assume_hours.filter(|_| texts.iter().all(|text| text.period.is_none())) {
                because.push(contract::assumption(hours));
                internal_target = started.as_ref().map(|s| s.at + chrono::Duration::hours(i64::from(hours)));
            }
            if started.is_some()
                && let Some(cap) = self.cap(duty, contract, clock.zone, parties)
            {
                match cap {
                    Ok((cap, row)) => {
                        because.push(contract::cap_sentence(contract));
                        cap_at(&mut deadline, &mut convention, cap, row);
                    }
                    Err(error) => because.push(cannot_count(&error)),
                }
            }
        }
        let held = self.hold(duty, incident, &place, parties, now, &mut deadline, &mut because);
        let group = self.group_of(&duty.id);
        let filed = match group {
            Some(group) => {
                group.members.iter().filter_map(|id| trigger::filed(facts, &id.0, &place)).min_by_key(|s| s.at)
            }
            // each performance starts its clock anew: there is always a next one
            None if duty.recurs() => None,
            // an update answers what was known when it was given; a later development asks for another
            None if duty.stage == crate::law::Stage::Update => trigger::filed_last(facts, &duty.id.0, &place)
                .filter(|filed| started.as_ref().is_none_or(|started| filed.at >= started.at)),
            None => trigger::filed(facts, &duty.id.0, &place),
        };
        let waived = [format!("waived.{}@{place}", duty.id), format!("waived.{}", duty.id)].iter().find_map(|key| {
            match facts.get(key) {
                Some(Value::Text(reason)) => Some(reason.clone()),
                _ => None,
            }
        });
        let authority = duty
            .regime
            .as_deref()
            .filter(|_| duty.recipient.is_public_body())
            .and_then(|regime| self.authority(&place, regime));
        let depends_on = match &duty.starts {
            Trigger::Filed(ids) | Trigger::FiledLast(ids) | Trigger::Due(ids) => {
                ids.iter().filter(|id| **id != duty.id).cloned().collect()
            }
            _ => Vec::new(),
        };
        let if_started_now = match (&started, &bound, &duty.starts) {
            (None, None, Trigger::Fact(_) | Trigger::Contract | Trigger::CalendarEnd { .. }) => texts
                .iter()
                .filter(|_| ended.is_none())
                .filter_map(|text| {
                    let record = self.convention(text.convention?);
                    clock::count(self, record, text.period?, now, duty, &seat, parties).ok()
                })
                .map(|counted| counted.conservative_due)
                .min(),
            _ => None,
        };
        let recipient_name = authority.map_or(&duty.recipient_name, |a| &a.name).clone();
        candidates.push(Candidate {
            duty: at,
            seat,
            applies,
            in_force,
            started: started.is_some(),
            filed,
            waived,
            orphan: false,
            deadline,
            texts: texts.iter().filter_map(|text| Some((text.period?, text.convention?))).collect(),
            obligation: Obligation {
                id: format!("{}@{place}", duty.id),
                duty: duty.id.clone(),
                stage: duty.stage,
                recipient: duty.recipient,
                recipient_name,
                channel: authority.and_then(Authority::channel).or_else(|| contract.and_then(contract::channel)),
                standing: projected,
                zone: clock.zone,
                started_by: started,
                earliest,
                latest,
                bound: limit,
                if_started_now,
                unsigned: None,
                promptly,
                internal_target,
                depends_on,
                combines: Vec::new(),
                binding: duty.binding,
                confidence: duty.confidence,
                unverified,
                held,
                missing,
                because,
                convention,
                period,
                jurisdiction: place,
            },
            agreed,
        });
    }

    /// The duties whose performance a trigger waits for: those it names, those they are filed together with, and national
    /// rows that stand for them.
    pub(super) fn acts_of(&self, starts: &Trigger) -> Vec<DutyId> {
        let (Trigger::Filed(named) | Trigger::FiledLast(named)) = starts else { return Vec::new() };
        let mut acts = named.clone();
        for id in named {
            acts.extend(self.group_of(id).into_iter().flat_map(|g| g.members.iter().cloned()));
            acts.extend(self.replaced_by.get(id).into_iter().flatten().map(|&at| self.duties[at].id.clone()));
        }
        acts.sort();
        acts.dedup();
        acts
    }

    /// The texts in force on `date`: the first whose branch fits, and all before it whose branch is undecided.
    pub(super) fn texts<'d>(
        &self,
        duty: &'d Duty<Condition>,
        date: CivilDate,
        options: Options,
        scene: &Scene<'_>,
        missing: &mut Vec<String>,
    ) -> Vec<&'d DutyPeriod<Condition>> {
        let mut texts = Vec::new();
        for period in &duty.periods {
            // what is only proposed has no date yet; it is shown when somebody asks what it would do
            let supposed = options.include_proposed && duty.status == DutyStatus::Proposed;
            if !period.in_force(date) && !supposed {
                continue;
            }
            match period.when.as_ref().map_or(Truth::Yes, |when| when.truth(scene, missing)) {
                Truth::No => {}
                Truth::Unknown => texts.push(period),
                Truth::Yes => {
                    texts.push(period);
                    break;
                }
            }
        }
        texts
    }

    fn transposition(&self, duty: &Duty<Condition>, place: &Place, date: CivilDate) -> Baseline {
        let in_force = |d: &Duty<Condition>| {
            matches!(d.status, DutyStatus::InForce | DutyStatus::NotYetApplicable | DutyStatus::Repealed)
                && d.has_text(date)
        };
        let national = |ids: Option<&Vec<usize>>| {
            ids.into_iter()
                .flatten()
                .map(|&at| &self.duties[at])
                .any(|d| self.places.contains(&d.jurisdiction, place) && in_force(d))
        };
        if national(self.replaced_by.get(&duty.id)) {
            return Baseline::Replaced;
        }
        // the place has transposed the instrument when any national row stands for any row of the same pack
        let transposed = self
            .replaced_by
            .iter()
            .filter(|(baseline, _)| self.duty(&baseline.0).is_some_and(|b| b.pack == duty.pack))
            .any(|(_, ids)| national(Some(ids)));
        if transposed || self.places.is_region(place) { Baseline::Serves } else { Baseline::NotTransposed }
    }

    fn stand(&self, candidate: Candidate, _incident: &Incident, _now: Timestamp) -> Obligation {
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

enum Baseline {
    Serves,
    Replaced,
    NotTransposed,
}

/// Brings a deadline down to a cap that was agreed besides.
fn cap_at(deadline: &mut Option<Deadline>, convention: &mut Option<String>, cap: Deadline, row: String) {
    match deadline {
        Some(own) if own.due <= cap.due => own.conservative_due = own.conservative_due.min(cap.conservative_due),
        own => {
            let conservative =
                own.as_ref().map_or(cap.conservative_due, |d| d.conservative_due.min(cap.conservative_due));
            *own = Some(Deadline { conservative_due: conservative, ..cap });
            *convention = Some(row);
        }
    }
}

pub(super) fn cannot_count(error: &TimeError) -> String {
    format!("the date cannot be counted: {error}")
}

pub(super) fn push_new(missing: &mut Vec<String>, key: String) {
    if !missing.contains(&key) {
        missing.push(key);
    }
}
