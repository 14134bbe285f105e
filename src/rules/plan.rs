//! What the law makes of an incident: every duty asked, every date counted. Pure; `now` is an argument.

use super::book::Rulebook;
use super::clock::{self, Parties};
use super::condition::{Condition, Scene, Truth};
use super::counts::Counts;
use super::reach::{self, Footprint};
use super::roles::Standings;
use super::trigger::{self, Onset};
use crate::law::{
    Combination, Confidence, Deadline, Duty, DutyId, DutyPeriod, DutyStatus, HoldRule, Incident, Obligation, Place,
    Recipients, Standing, Started, Trigger, Value,
};
use crate::time::{CivilDate, Period, TimeError, Timestamp, Unit};
use std::collections::BTreeMap;

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
    /// Places the facts mention and no duty covers, with the reason.
    pub not_covered: Vec<(Place, String)>,
    /// Key and sentence.
    pub warnings: Vec<(String, String)>,
}

impl Plan {
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
struct Candidate {
    obligation: Obligation,
    /// Position of the duty in the rulebook.
    duty: usize,
    applies: Truth,
    deadline: Option<Deadline>,
    /// The trigger has happened, or an earlier kind of knowledge has.
    started: bool,
    filed: Option<Started>,
    waived: Option<String>,
}

impl Rulebook {
    /// Asks every duty. A date that cannot be counted leaves the obligation without one, with the reason in `because`.
    pub fn plan(&self, incident: &Incident, now: Timestamp, options: Options) -> Plan {
        let mut plan = Plan::default();
        let parties = Parties::of(self, &incident.entity);
        let standings = self.roles.standing_of(&incident.entity);
        let footprint = Footprint::of(self, incident);
        let counts = Counts::of(&incident.facts, &self.places);
        let mut candidates: Vec<Candidate> = Vec::new();
        for at in self.worth_asking(&standings, &footprint, options) {
            let duty = &self.duties[at];
            if duty.status == DutyStatus::NoDuty || (duty.status == DutyStatus::Proposed && !options.include_proposed) {
                continue;
            }
            let (role, role_missing) = reach::role(duty, &standings);
            if role == Truth::No && !options.all {
                continue;
            }
            let mut recipients = reach::recipients(self, duty, incident, &counts);
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
                self.ask(
                    at,
                    duty,
                    incident,
                    recipient.place,
                    truth,
                    missing,
                    now,
                    options,
                    &parties,
                    &counts,
                    &mut candidates,
                    &mut plan,
                );
            }
        }
        self.compose(&mut candidates);
        self.relate(&mut candidates);
        self.share_clocks(&mut candidates);
        self.project(&mut candidates, now, &parties);
        plan.obligations = candidates
            .into_iter()
            .filter(|c| options.all || c.applies != Truth::No)
            .map(|c| self.stand(c, incident, now))
            .collect();
        self.order(&mut plan.obligations);
        self.not_covered(incident, &mut plan);
        self.warn(incident, &mut plan);
        plan
    }

    /// Positions of the duties whose role and place may fit, in file order; all of them when asked for all.
    fn worth_asking(&self, standings: &Standings<'_>, footprint: &Footprint, options: Options) -> Vec<usize> {
        let near = |at: usize| {
            let duty = &self.duties[at];
            // a contract binds wherever the entity is
            duty.recipients == Recipients::EachContract
                || !footprint.misses(duty.reach, self.scope_of[at])
        };
        let Some(roles) = standings.possible() else {
            return (0..self.duties.len()).filter(|&at| options.all || near(at)).collect();
        };
        if options.all {
            return (0..self.duties.len()).collect();
        }
        let lists = roles.filter_map(|role| self.by_role.get(role)).chain([&self.for_anyone]);
        let mut found: Vec<usize> = lists.flatten().map(|&at| at as usize).filter(|&at| near(at)).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    #[expect(clippy::too_many_arguments, reason = "one question with its whole context; a struct would only rename it")]
    fn ask(
        &self,
        at: usize,
        duty: &Duty<Condition>,
        incident: &Incident,
        place: Place,
        mut applies: Truth,
        mut missing: Vec<String>,
        now: Timestamp,
        options: Options,
        parties: &Parties,
        counts: &Counts<'_>,
        candidates: &mut Vec<Candidate>,
        plan: &mut Plan,
    ) {
        let facts = &incident.facts;
        let scene =
            Scene { facts, entity: &incident.entity, place: &place, places: &self.places, roles: &self.roles, counts };
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
        let (started, mut fallback) =
            match trigger::onset(&duty.starts, &duty.id, &place, facts, &self.acts_of(&duty.starts)) {
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
        let clock = clock::of(self, duty, &place, parties);
        let text_date = clock.zone.local(started.as_ref().map_or(now, |s| s.at)).date();
        let texts = self.texts(duty, text_date, options, &scene, &mut missing);
        if texts.is_empty() && !duty.periods.is_empty() {
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
        let mut convention = None;
        let mut promptly = None;
        let contract = match duty.recipients {
            Recipients::EachContract => incident.entity.contracts.iter().find(|c| c.id == place),
            _ => None,
        };
        // the contract's own number stands before the template's
        let agreed = contract.and_then(|c| c.hours).map(|n| Period { unit: Unit::Hour, n });
        for text in &texts {
            promptly = promptly.or_else(|| text.promptly.clone());
            let row = if agreed.is_some() { self.elapsed.or(text.convention) } else { text.convention };
            let (Some(period), Some(row)) = (agreed.or(text.period), row) else { continue };
            let record = self.convention(row);
            if let (None, Some(later)) = (&started, &bound)
                && let Ok(counted) = clock::count(self, record, period, later.at, duty, &place, parties)
            {
                // no limit of its own: the true one is not later than this
                latest = Some(latest.map_or(counted.due, |l: Timestamp| l.max(counted.due)));
                projected = Standing::Awaiting {
                    projected_due: Some(counted.due),
                    projected_conservative: Some(counted.conservative_due),
                };
                because.push(format!(
                    "`{}` is not known; the limit is not later than counted from `{}`",
                    missing.last().map_or("", String::as_str),
                    later.key
                ));
            }
            let Some(started) = &started else { continue };
            match clock::count(self, record, period, started.at, duty, &place, parties) {
                Ok(counted) => {
                    if texts.len() > 1 {
                        earliest = Some(earliest.map_or(counted.due, |e: Timestamp| e.min(counted.due)));
                        latest = Some(latest.map_or(counted.due, |l: Timestamp| l.max(counted.due)));
                    }
                    if deadline.as_ref().is_none_or(|d| counted.due < d.due) {
                        let earlier = deadline.take();
                        convention = Some(record.id.clone());
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
        let held = self.hold(duty, incident, now, &mut deadline, &mut because);
        let group = self.group_of(&duty.id);
        let filed = match group {
            Some(group) => {
                group.members.iter().filter_map(|id| trigger::filed(facts, &id.0, &place)).min_by_key(|s| s.at)
            }
            None if duty.stage == crate::law::Stage::Update => trigger::filed_last(facts, &duty.id.0, &place),
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
            Trigger::Filed(ids) | Trigger::FiledLast(ids) => ids.clone(),
            _ => Vec::new(),
        };
        candidates.push(Candidate {
            duty: at,
            applies,
            started: started.is_some(),
            filed,
            waived,
            deadline,
            obligation: Obligation {
                id: format!("{}@{place}", duty.id),
                duty: duty.id.clone(),
                stage: duty.stage,
                recipient: duty.recipient,
                recipient_name: authority
                    .map(|a| &a.name)
                    .or(contract.map(|c| &c.name))
                    .unwrap_or(&duty.recipient_name)
                    .clone(),
                channel_url: authority.map(|a| a.url.clone()).filter(|u| !u.is_empty()),
                standing: projected,
                zone: clock.zone,
                started_by: started,
                earliest,
                latest,
                promptly,
                depends_on,
                combines: Vec::new(),
                binding: duty.binding,
                confidence: duty.confidence,
                unverified,
                held,
                missing,
                because,
                convention,
                jurisdiction: place,
            },
        });
    }

    /// The duties whose performance a trigger waits for: those it names, those they are filed together with, and national
    /// rows that stand for them.
    fn acts_of(&self, starts: &Trigger) -> Vec<DutyId> {
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
    fn texts<'d>(
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
            let in_force = !period.undated
                && period.from.is_none_or(|from| from <= date)
                && period.until.is_none_or(|until| date <= until);
            if !in_force && !supposed {
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
                && d.periods
                    .iter()
                    .any(|p| !p.undated && p.from.is_none_or(|f| f <= date) && p.until.is_none_or(|u| date <= u))
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

    /// Law-enforcement holds: what they may move, and what they may not.
    fn hold(
        &self,
        duty: &Duty<Condition>,
        incident: &Incident,
        now: Timestamp,
        deadline: &mut Option<Deadline>,
        because: &mut Vec<String>,
    ) -> Option<(Option<Timestamp>, String)> {
        let hold = incident.facts.hold("hold.law_enforcement")?;
        if duty.hold == HoldRule::No {
            because.push(format!(
                "the hold asked for by {} does not move this clock: the law gives it no such effect",
                hold.by
            ));
            return None;
        }
        if duty.hold == HoldRule::LawEnforcementWritten && !hold.written {
            because.push(format!(
                "the hold asked for by {} is not in writing, and only a written one moves this clock",
                hold.by
            ));
            return None;
        }
        if hold.until.is_some_and(|until| until <= now)
            && deadline.as_ref().is_none_or(|d| hold.until.is_some_and(|u| u <= d.due))
        {
            because.push(format!("the hold asked for by {} has ended", hold.by));
            return None;
        }
        if let (Some(from), Some(d)) = (hold.from, deadline.as_ref())
            && from >= d.due
        {
            because.push(format!("the hold asked for by {} began after the limit", hold.by));
            return None;
        }
        match (hold.until, deadline.as_mut()) {
            (Some(until), Some(d)) => {
                d.due = d.due.max(until);
                d.conservative_due = d.conservative_due.max(until).min(d.due);
                because.push(format!("held at the request of {}: not due before the hold ends", hold.by));
            }
            (Some(_), None) => {}
            (None, _) => {
                *deadline = None;
                because.push(format!(
                    "held at the request of {}, without an end: notify promptly once it is lifted",
                    hold.by
                ));
            }
        }
        Some((hold.until, hold.by.clone()))
    }

    /// One filing under several limits becomes one obligation under the first id.
    fn compose(&self, candidates: &mut Vec<Candidate>) {
        if candidates.iter().all(|c| self.group_of(&c.obligation.duty).is_none()) {
            return;
        }
        let mut heads: BTreeMap<(Vec<DutyId>, Place), usize> = BTreeMap::new();
        let mut composed: Vec<Candidate> = Vec::new();
        for candidate in candidates.drain(..) {
            let Some(group) = self.group_of(&candidate.obligation.duty).filter(|_| candidate.applies != Truth::No)
            else {
                composed.push(candidate);
                continue;
            };
            let key = (group.members.clone(), candidate.obligation.jurisdiction.clone());
            match heads.get(&key) {
                None => {
                    heads.insert(key, composed.len());
                    let mut head = candidate;
                    head.obligation.combines = vec![head.obligation.duty.clone()];
                    composed.push(head);
                }
                Some(&at) => join(&mut composed[at], candidate, group.latest),
            }
        }
        *candidates = composed;
    }

    /// "with", "before" and "no later than" another duty's performance.
    fn relate(&self, candidates: &mut [Candidate]) {
        let limits: BTreeMap<(DutyId, Place), (Option<Timestamp>, Option<Deadline>)> = candidates
            .iter()
            .map(|c| {
                (
                    (c.obligation.duty.clone(), c.obligation.jurisdiction.clone()),
                    (c.filed.as_ref().map(|f| f.at), c.deadline.clone()),
                )
            })
            .collect();
        for candidate in candidates.iter_mut() {
            let duty = &self.duties[candidate.duty];
            let Some(relative) = &duty.relative else { continue };
            let others = relative.to.iter().filter_map(|id| {
                limits
                    .get(&(id.clone(), candidate.obligation.jurisdiction.clone()))
                    .or_else(|| limits.iter().find(|((d, _), _)| d == id).map(|(_, l)| l))
            });
            let words = match relative.order {
                crate::law::Order::With => "together with",
                crate::law::Order::Before => "before",
                crate::law::Order::NotAfter => "no later than",
            };
            for (filed, deadline) in others {
                if candidate.filed.is_some() {
                    break;
                }
                let name = relative.to.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(" or ");
                if let Some(at) = filed {
                    let cap = *at;
                    let own = candidate.deadline.take();
                    let from = own.as_ref().map_or(cap, |d| d.counting_from);
                    let due = own.as_ref().map_or(cap, |d| d.due.min(cap));
                    candidate.started = true;
                    candidate.deadline = Some(match own {
                        Some(d) => Deadline { due, conservative_due: d.conservative_due.min(due), ..d },
                        None => Deadline {
                            due,
                            conservative_due: due,
                            counting_from: from,
                            steps: Vec::new(),
                            contested: Vec::new(),
                            uncertain: false,
                        },
                    });
                    candidate.obligation.because.push(format!("due {words} {name}, which was performed already"));
                } else if let Some(other) = deadline {
                    match &mut candidate.deadline {
                        Some(own) => {
                            own.due = own.due.min(other.due);
                            own.conservative_due = own.conservative_due.min(other.conservative_due).min(own.due);
                        }
                        None if !duty.periods.iter().any(|p| p.period.is_some()) => {
                            candidate.deadline =
                                Some(Deadline { steps: Vec::new(), contested: Vec::new(), ..other.clone() });
                        }
                        None => {}
                    }
                    candidate.started = true;
                    candidate.obligation.because.push(format!("due {words} {name}"));
                }
            }
        }
    }

    fn share_clocks(&self, candidates: &mut [Candidate]) {
        for at in 0..candidates.len() {
            let Some(Combination::SameClockAs(other)) = &self.duties[candidates[at].duty].combine else { continue };
            let head = self.group_of(other).and_then(|g| g.members.first()).unwrap_or(other);
            let place = &candidates[at].obligation.jurisdiction;
            let shared = candidates.iter().find(|c| {
                (c.obligation.duty == *head || c.obligation.combines.contains(other) || c.obligation.duty == *other)
                    && c.obligation.jurisdiction == *place
            });
            if let Some((deadline, started, by)) =
                shared.map(|c| (c.deadline.clone(), c.started, c.obligation.started_by.clone()))
            {
                let candidate = &mut candidates[at];
                candidate.deadline = deadline;
                candidate.started = started;
                candidate.obligation.started_by = by;
                candidate.obligation.because.push(format!("on the same clock as `{other}`"));
            }
        }
    }

    /// Dates for stages that wait: if the awaited act happens at its own conservative limit.
    fn project(&self, candidates: &mut [Candidate], now: Timestamp, parties: &Parties) {
        for _ in 0..4 {
            // a chain of stages is short; each round dates one more link
            let mut changed = false;
            for at in 0..candidates.len() {
                let candidate = &candidates[at];
                if candidate.started
                    || candidate.filed.is_some()
                    || !matches!(candidate.obligation.standing, Standing::NotApplicable)
                {
                    continue;
                }
                let ids = self.acts_of(&self.duties[candidate.duty].starts);
                let awaited = candidates
                    .iter()
                    .filter(|c| {
                        ids.contains(&c.obligation.duty) || c.obligation.combines.iter().any(|d| ids.contains(d))
                    })
                    .filter(|c| c.obligation.jurisdiction == candidate.obligation.jurisdiction || candidates.len() == 1)
                    .filter_map(|c| match (&c.deadline, &c.obligation.standing) {
                        (Some(d), _) => Some(d.conservative_due.max(now)),
                        (None, Standing::Awaiting { projected_conservative, .. }) => *projected_conservative,
                        _ => None,
                    })
                    .min();
                let Some(act_at) = awaited else { continue };
                let duty = &self.duties[candidate.duty];
                let Some((period, row)) = duty.periods.iter().find_map(|p| Some((p.period?, p.convention?))) else {
                    continue;
                };
                let counted = clock::count(
                    self,
                    self.convention(row),
                    period,
                    act_at,
                    duty,
                    &candidate.obligation.jurisdiction,
                    parties,
                )
                .ok();
                candidates[at].obligation.standing = Standing::Awaiting {
                    projected_due: counted.as_ref().map(|c| c.due),
                    projected_conservative: counted.as_ref().map(|c| c.conservative_due),
                };
                changed = true;
            }
            if !changed {
                break;
            }
        }
    }

    fn stand(&self, candidate: Candidate, _incident: &Incident, _now: Timestamp) -> Obligation {
        let Candidate { mut obligation, applies, deadline, started, filed, waived, .. } = candidate;
        obligation.standing = if applies == Truth::No {
            Standing::NotApplicable
        } else if let Some(filed) = filed {
            obligation.missing.clear();
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
    fn order(&self, obligations: &mut [Obligation]) {
        obligations.sort_by_cached_key(|o| {
            let due = o.standing.deadline().map(|d| d.conservative_due);
            let position = self.by_id.get(&o.duty).copied();
            (!o.standing.is_open(), due.is_none(), due, position, o.jurisdiction.clone())
        });
    }

    fn not_covered(&self, incident: &Incident, plan: &mut Plan) {
        let entity = &incident.entity;
        let affected =
            incident.facts.with_prefix("affected.").map(|f| &f.key["affected.".len()..]).filter(|p| *p != "total");
        let mut places: Vec<&str> =
            entity.establishments().chain(entity.operates_in.iter().map(String::as_str)).chain(affected).collect();
        places.sort_unstable();
        places.dedup();
        for place in places {
            let wholes: Vec<&str> = std::iter::once(place).chain(self.places.around(place)).collect();
            if let Some(why) = wholes.iter().find_map(|p| self.without_duty.get(*p)) {
                plan.not_covered.push((place.to_string(), why.clone()));
                continue;
            }
            let inside = format!("{place}-");
            let part = self.covered.range(inside.clone()..).next().is_some_and(|p| p.starts_with(&inside));
            if !part && !wholes.iter().any(|p| self.covered.contains(*p)) {
                plan.not_covered.push((place.to_string(), "no rule pack covers this place: ask counsel".to_string()));
            }
        }
        plan.not_covered.sort();
        plan.not_covered.dedup();
    }

    fn warn(&self, incident: &Incident, plan: &mut Plan) {
        let facts = &incident.facts;
        let order = [
            ("times.occurred_from", "times.detected"),
            ("times.detected", "times.aware"),
            ("times.aware", "times.determined"),
            ("times.occurred_from", "times.aware"),
            ("times.occurred_from", "times.occurred_until"),
        ];
        for (first, second) in order {
            if let (Some(a), Some(b)) = (facts.instant(first), facts.instant(second))
                && b < a
            {
                plan.warnings.push((
                    second.to_string(),
                    format!("`{second}` lies before `{first}`: check both; they are kept as stated"),
                ));
            }
        }
        if let Some(total) = facts.count("affected.total") {
            let known = Counts::of(&without_total(facts), &self.places).in_place("total");
            if total.at_most.is_some_and(|most| known.at_least > most) {
                let text = format!(
                    "the places add up to at least {} persons, more than `affected.total` allows",
                    known.at_least
                );
                plan.warnings.push(("affected.total".to_string(), text));
            }
        }
        if incident.entity.roles.is_empty() {
            plan.warnings.push((
                "entity.roles".to_string(),
                "the entity states no role: every duty that depends on one is only possible".to_string(),
            ));
        }
    }
}

enum Baseline {
    Serves,
    Replaced,
    NotTransposed,
}

fn without_total(facts: &crate::law::FactBook) -> crate::law::FactBook {
    let mut parts = crate::law::FactBook::default();
    for fact in facts.with_prefix("affected.").filter(|f| f.key != "affected.total") {
        parts.assert(fact.clone());
    }
    parts
}

/// Adds a member of a combination to the head that names it.
fn join(head: &mut Candidate, member: Candidate, latest: bool) {
    let (head_sure, member_sure) =
        (head.applies == Truth::Yes && head.started, member.applies == Truth::Yes && member.started);
    head.obligation.combines.push(member.obligation.duty.clone());
    head.filed = match (head.filed.take(), member.filed) {
        (Some(a), Some(b)) => Some(if a.at <= b.at { a } else { b }),
        (a, b) => a.or(b),
    };
    head.waived = head.waived.take().or(member.waived);
    let takes_member = match (&head.deadline, &member.deadline) {
        (_, None) => false,
        (None, Some(_)) => true,
        // a limit that surely runs is not replaced by one that only may
        (Some(_), Some(_)) if head_sure && !member_sure => false,
        (Some(_), Some(_)) if member_sure && !head_sure => true,
        (Some(a), Some(b)) => (b.due < a.due) != latest,
    };
    let conservative = match (&head.deadline, &member.deadline) {
        (Some(a), Some(b)) if !latest => Some(a.conservative_due.min(b.conservative_due)),
        (Some(a), Some(b)) => Some(a.conservative_due.max(b.conservative_due)),
        _ => None,
    };
    if takes_member {
        head.deadline = member.deadline;
        head.obligation.started_by = member.obligation.started_by;
        head.obligation.convention = member.obligation.convention;
    }
    if let (Some(d), Some(conservative)) = (&mut head.deadline, conservative) {
        d.conservative_due = conservative.min(d.due);
    }
    let sure = |applies: Truth, started: bool| applies == Truth::Yes && started;
    if sure(member.applies, member.started) && !sure(head.applies, head.started) {
        // the member runs for certain: what the head still misses no longer decides whether something is due
        head.obligation.missing = member.obligation.missing;
        head.applies = Truth::Yes;
    } else if head.applies == Truth::Unknown && member.applies == Truth::Yes {
        head.applies = Truth::Yes;
    }
    head.started |= member.started;
    head.obligation.because.extend(member.obligation.because);
    head.obligation.promptly = head.obligation.promptly.take().or(member.obligation.promptly);
}

fn cannot_count(error: &TimeError) -> String {
    format!("the date cannot be counted: {error}")
}

fn push_new(missing: &mut Vec<String>, key: String) {
    if !missing.contains(&key) {
        missing.push(key);
    }
}
