//! One duty put to one recipient: does it arise, under which text, and when is its limit. Before combinations, follow-ups
//! and orderings are composed; see `plan`.

use super::book::{Authority, Rulebook};
use super::clock::{self, Parties};
use super::condition::{Atom, Comparison, Condition, Scene, Truth};
use super::contract;
use super::depend::Asking;
use super::plan::{Candidate, Options, cannot_count, push_new};
use super::reach::Recipient;
use super::texts::Baseline;
use super::trigger::{self, Onset};
use crate::law::{
    Confidence, Deadline, Duty, DutyId, DutyPeriod, FactBook, Incident, Obligation, Place, Stage, Standing, Started,
    Trigger, Value,
};
use crate::time::{CivilDate, Period, Timestamp, Zone};

/// Where the clock of a duty stands.
struct Start {
    started: Option<Started>,
    /// It has started by this instant at the latest; when it did, nobody stated.
    bound: Option<Started>,
    /// The instant that counts, while an earlier kind of knowledge stands for it.
    fallback: Option<String>,
}

/// The texts that apply or may, with the day that chose them.
struct Served<'d> {
    texts: Vec<&'d DutyPeriod<Condition>>,
    day: CivilDate,
    /// No text serves a clock that starts now.
    ended: bool,
}

/// The limits these texts give.
#[derive(Default)]
struct Limits {
    deadline: Option<Deadline>,
    earliest: Option<Timestamp>,
    latest: Option<Timestamp>,
    /// Limit and conservative limit that the true ones do not pass, while the start is not known.
    bound: Option<(Timestamp, Timestamp)>,
    convention: Option<String>,
    period: Option<Period>,
    promptly: Option<String>,
}

/// A duty, and whose calendar and zone count its periods.
struct Timed<'a> {
    duty: &'a Duty<Condition>,
    seat: &'a Place,
    parties: &'a Parties,
}

impl Rulebook {
    /// The duty at position `at` of the rulebook; `None` when it does not arise (asked for all, it says so instead).
    /// A place where a directive waits for its transposition is added to `not_covered`.
    pub(super) fn ask(
        &self,
        at: usize,
        recipient: Recipient,
        asking: &Asking<'_>,
        not_covered: &mut Vec<(Place, String)>,
    ) -> Option<Candidate> {
        let Asking { incident, now, options, parties, .. } = *asking;
        let Recipient { place, truth: mut applies, mut missing } = recipient;
        let facts = &incident.facts;
        let duty = &self.duties[at];
        let contract = contract::contract_of(duty, &incident.entity, &place);
        let agreed = contract.map(|contract| Box::new(self.agreed(duty, contract)));
        let duty = agreed.as_deref().unwrap_or(duty);
        let seat = contract.map_or_else(|| place.clone(), |contract| contract::seat(duty, Some(contract)));
        let zone = || clock::of(self, duty, &seat, parties).zone;
        let scene = asking.scene(&place, &self.places, &zone);
        let mut because = Vec::new();
        self.conditions(duty, &scene, options.all, &mut applies, &mut missing, &mut because);
        if applies == Truth::No && !options.all {
            return None;
        }
        let mut start = self.start(duty, &place, incident, &mut missing);
        let clock = clock::of(self, duty, &seat, parties);
        let mut served = self.served(duty, &mut start, clock.zone, asking, &scene, &mut missing, &mut because);
        if let Some(first) = self.known_before_the_text(at, facts, clock.zone) {
            (served.texts, served.day) = (Vec::new(), first);
        }
        let Served { texts, day, ended } = served;
        let Start { started, bound, fallback } = start;
        let in_force = !texts.is_empty() || duty.periods.is_empty();
        // which text serves a clock that starts at another limit is known once that limit is, see `depend`
        if !in_force && !matches!(duty.starts, Trigger::Due(_)) {
            if !options.all {
                return None;
            }
            applies = Truth::No;
            because.push(format!("no text of this duty is in force on {day}"));
        }
        let mut unverified = duty.confidence == Confidence::Low;
        if duty.baseline && applies != Truth::No {
            match self.transposition(duty, &place, day) {
                Baseline::Serves => unverified = true,
                Baseline::Replaced => {
                    if !options.all {
                        return None;
                    }
                    applies = Truth::No;
                    because.push("a national row replaces this one".to_string());
                }
                Baseline::NotTransposed => {
                    let why =
                        format!("`{}` binds through national law, and no national row is in force on {day}", duty.law);
                    if !not_covered.iter().any(|(p, w)| *p == place && *w == why) {
                        not_covered.push((place.clone(), why));
                    }
                    if !options.all {
                        return None;
                    }
                    applies = Truth::No;
                    because.push("the directive is not transposed there on that date".to_string());
                }
            }
        }
        if fallback.is_some() && applies == Truth::Yes {
            applies = Truth::Unknown;
        }
        if let Some(key) = fallback {
            push_new(&mut missing, key);
        }
        if unverified && applies == Truth::Yes {
            applies = Truth::Unknown;
        }

        let unknown = missing.last().cloned().unwrap_or_default();
        let timed = Timed { duty, seat: &seat, parties };
        let mut limits = self.limits(&timed, &texts, started.as_ref(), bound.as_ref(), &unknown, &mut because);
        if let Trigger::Requested = duty.starts
            && let Some(limit) = trigger::limit_set(facts, &duty.id.0, &place)
            && let Some(started) = &started
        {
            limits.deadline = Some(Deadline {
                due: limit,
                conservative_due: limit,
                counting_from: started.at,
                steps: Vec::new(),
                contested: Vec::new(),
                uncertain: false,
            });
            because.push("the authority set this limit with its request".to_string());
        }
        if let Some(d) = &mut limits.deadline {
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
                        cap_at(&mut limits.deadline, &mut limits.convention, cap, row);
                    }
                    Err(error) => because.push(cannot_count(&error)),
                }
            }
        }
        let held = self.hold(duty, incident, &place, parties, now, &mut limits.deadline, &mut because);
        let group = self.group_of(&duty.id);
        let still_open =
            || duty.open_while.as_ref().is_some_and(|open| open.truth(&scene, &mut Vec::new()) == Truth::Yes);
        let filed = match group {
            Some(group) => {
                group.members.iter().filter_map(|id| trigger::filed(facts, &id.0, &place)).min_by_key(|s| s.at)
            }
            // each performance starts its clock anew: there is always a next one
            None if duty.recurs() => None,
            // a piece was sent, and the rest is still owed
            None if still_open() => None,
            // an update answers what was known when it was given; a later development asks for another
            None if duty.stage == Stage::Update => trigger::filed_last(facts, &duty.id.0, &place)
                .filter(|filed| started.as_ref().is_none_or(|started| filed.at >= started.at)),
            None => trigger::filed(facts, &duty.id.0, &place),
        };
        let waived = facts.with_prefix("waived.").next().and_then(|_| {
            [format!("waived.{}@{place}", duty.id), format!("waived.{}", duty.id)].iter().find_map(|key| {
                match facts.get(key) {
                    Some(Value::Text(reason)) => Some(reason.clone()),
                    _ => None,
                }
            })
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
                .filter(|_| !ended)
                .filter_map(|text| {
                    let record = self.convention(text.convention?);
                    clock::count(self, record, text.period?, now, duty, &seat, parties).ok()
                })
                .map(|counted| counted.conservative_due)
                .min(),
            _ => None,
        };
        let claimable = match applies {
            Truth::No => Vec::new(),
            _ if !self.prepared[at].claimable => Vec::new(),
            _ => self.claimable(duty, &scene, &texts, day, options),
        };
        let recipient_name = authority.map_or(&duty.recipient_name, |a| &a.name).clone();
        let projected = limits.bound.map_or(Standing::NotApplicable, |(due, careful)| Standing::Awaiting {
            projected_due: Some(due),
            projected_conservative: Some(careful),
        });
        let Limits { deadline, earliest, latest, bound: limit, convention, period, promptly } = limits;
        Some(Candidate {
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
                claimable,
                because,
                convention,
                period,
                jurisdiction: place,
            },
            agreed,
        })
    }

    /// Threshold, condition and exemption. With `all`, what fails says so.
    fn conditions(
        &self,
        duty: &Duty<Condition>,
        scene: &Scene<'_>,
        all: bool,
        applies: &mut Truth,
        missing: &mut Vec<String>,
        because: &mut Vec<String>,
    ) {
        let mut fails = |applies: Truth, text: &dyn Fn() -> String| {
            if applies == Truth::No && all {
                because.push(text());
            }
        };
        fails(*applies, &|| "the entity or the place is not within the reach of this duty".to_string());
        if duty.min_affected > 0 && *applies != Truth::No {
            let enough = Atom::Affected { place: None, comparison: Comparison::AtLeast, n: duty.min_affected };
            *applies = applies.and(Condition::Atom(enough).truth(scene, missing));
            fails(*applies, &|| format!("fewer than {} persons are affected there", duty.min_affected));
        }
        if *applies != Truth::No {
            *applies = applies.and(duty.when.truth(scene, missing));
            fails(*applies, &|| format!("the condition is not met: {}", duty.when.text()));
        }
        if let Some(unless) = &duty.unless
            && *applies != Truth::No
        {
            *applies = applies.and(!unless.truth(scene, missing));
            fails(*applies, &|| format!("the exception applies: {}", unless.text()));
        }
    }

    /// Facts by which somebody may claim an exception of `duty`, in the pack's order: a yes to one of them ends it, or leaves no
    /// text of `day`.
    fn claimable(
        &self,
        duty: &Duty<Condition>,
        scene: &Scene<'_>,
        texts: &[&DutyPeriod<Condition>],
        day: CivilDate,
        options: Options,
    ) -> Vec<String> {
        let mut keys: Vec<&str> = Vec::new();
        duty.when.claims(false, scene, &mut keys);
        if let Some(unless) = &duty.unless {
            unless.claims(true, scene, &mut keys);
        }
        for when in texts.iter().filter_map(|text| text.when.as_ref()) {
            when.claims(false, scene, &mut keys);
        }
        let ends = |key: &str| {
            let (scene, mut missing) = (Scene { supposed: Some(key), ..*scene }, Vec::new());
            duty.when.truth(&scene, &mut missing) == Truth::No
                || duty.unless.as_ref().is_some_and(|unless| unless.truth(&scene, &mut missing) == Truth::Yes)
                || (!texts.is_empty() && self.texts(duty, day, options, &scene, &mut missing).is_empty())
        };
        let mut claimable: Vec<String> = Vec::new();
        keys.into_iter().filter(|key| ends(key)).for_each(|key| push_new(&mut claimable, key.to_string()));
        claimable
    }

    /// The local day on which a twin of the duty at `at` started, when its texts begin later and nobody stated since when it is
    /// known: who was told knew by then, so that it arose before the text or not at all.
    fn known_before_the_text(&self, at: usize, facts: &FactBook, zone: Zone) -> Option<CivilDate> {
        let twins = self.other_starts.get(&at)?;
        let own = trigger::key(&self.duties[at].starts)?;
        if !trigger::KNOWN.contains(&own.as_str()) || facts.instant(own).is_some() {
            return None;
        }
        // a suspicion says nothing of the knowledge that may follow it
        let told = twins.iter().filter(|key| !trigger::KNOWLEDGE.contains(&key.as_str()));
        let first = told.filter_map(|key| facts.instant(key)).min()?;
        let day = zone.local(first).date();
        let begins = |text: &DutyPeriod<Condition>| !text.undated && text.from.is_some_and(|from| day < from);
        self.duties[at].periods.iter().all(begins).then_some(day)
    }

    fn start(&self, duty: &Duty<Condition>, place: &Place, incident: &Incident, missing: &mut Vec<String>) -> Start {
        let (mut started, mut bound, mut fallback) = (None, None, None);
        let (facts, acts) = (&incident.facts, self.acts_of(&duty.starts, place));
        let mut onset = trigger::onset(duty, place, facts, &acts);
        if matches!(onset, Onset::NotYet { .. }) && !acts.is_empty() {
            // what was owed first may stand in another clause agreed with the same counterparty
            let theirs = contract::clauses_beside(duty, &incident.entity, place, &acts)
                .filter_map(|clause| match trigger::onset(duty, &clause.id, facts, &acts) {
                    Onset::Started(started) => Some(started),
                    _ => None,
                })
                .min_by_key(|started| started.at);
            onset = theirs.map_or(onset, Onset::Started);
        }
        match onset {
            Onset::Started(at) => started = Some(at),
            Onset::From { earlier, missing } => (started, fallback) = (Some(earlier), Some(missing)),
            Onset::NotAfter { later, missing: key } => {
                push_new(missing, key);
                bound = Some(later);
            }
            Onset::NotYet { missing: key } => key.into_iter().for_each(|key| push_new(missing, key)),
        }
        Start { started, bound, fallback }
    }

    /// Which texts serve a clock that started so. `start` changes where a text began after the earlier knowledge, or where
    /// no text counts anything.
    #[expect(
        clippy::too_many_arguments,
        reason = "what is asked, of what, and the two lists that answers are added to"
    )]
    fn served<'d>(
        &self,
        duty: &'d Duty<Condition>,
        start: &mut Start,
        zone: Zone,
        asking: &Asking<'_>,
        scene: &Scene<'_>,
        missing: &mut Vec<String>,
        because: &mut Vec<String>,
    ) -> Served<'d> {
        let Asking { incident, now, options, .. } = *asking;
        let mut day = zone.local(start.started.as_ref().or(start.bound.as_ref()).map_or(now, |s| s.at)).date();
        let mut texts = self.texts(duty, day, options, scene, missing);
        if let (true, Some(_), Some(earlier)) = (texts.is_empty(), &start.fallback, &mut start.started) {
            // an earlier kind of knowledge lies before the first text; the start itself, which nobody stated, may not
            let today = zone.local(now).date();
            let begun = duty.periods.iter().filter(|p| !p.undated).filter_map(|p| p.from);
            if let Some(first) = begun.filter(|from| *from > day && *from <= today).min() {
                because.push(format!("the text is in force from {first}: counted from its first instant"));
                earlier.at = zone.day_start(first);
                day = first;
                texts = self.texts(duty, day, options, scene, missing);
            }
        }
        let mut ended = false;
        if texts.is_empty()
            && start.started.is_none()
            && start.bound.is_none()
            && let Some(last) = trigger::last_day_served(duty, &incident.facts, zone, now)
        {
            because.push(format!("the text was in force until {last}; whether its clock started by then is not known"));
            (day, ended) = (last, true);
            texts = self.texts(duty, day, options, scene, missing);
        }
        if start.started.is_none() && start.bound.is_some() && texts.iter().all(|text| text.period.is_none()) {
            // nothing is counted, so it does not matter since when: it has surely started
            missing.retain(|key| trigger::key(&duty.starts) != Some(key));
            start.started = start.bound.take();
        }
        Served { texts, day, ended }
    }

    /// Counts each text. Of several that may apply the nearest limit is kept, with the span of all. `unknown` is the key of
    /// the start when only a later instant is known.
    fn limits(
        &self,
        timed: &Timed<'_>,
        texts: &[&DutyPeriod<Condition>],
        started: Option<&Started>,
        bound: Option<&Started>,
        unknown: &str,
        because: &mut Vec<String>,
    ) -> Limits {
        // the branch that decides may have no number, whatever the others have
        let shown = timed.duty.periods.iter().filter(|_| texts.is_empty()).chain(texts.iter().copied());
        let mut limits = Limits { period: shown.into_iter().find_map(|text| text.period), ..Limits::default() };
        for text in texts {
            if limits.promptly.is_none() {
                limits.promptly.clone_from(&text.promptly);
            }
            let (Some(amount), Some(row)) = (text.period, text.convention) else { continue };
            let record = self.convention(row);
            let count =
                |from: Timestamp| clock::count(self, record, amount, from, timed.duty, timed.seat, timed.parties);
            if let (None, Some(later)) = (started, bound)
                && let Ok(counted) = count(later.at)
            {
                // no limit of its own: the true one is not later than this
                limits.latest = limits.latest.max(Some(counted.due));
                // of several texts that may apply the nearest is reminded of
                limits.bound = Some(limits.bound.map_or((counted.due, counted.conservative_due), |(due, careful)| {
                    (counted.due.min(due), counted.conservative_due.min(careful))
                }));
                because.push(format!(
                    "`{unknown}` is not known; the limit is not later than counted from `{}`",
                    later.key
                ));
            }
            let Some(started) = started else { continue };
            match count(started.at) {
                Ok(counted) => {
                    if texts.len() > 1 {
                        limits.earliest = Some(limits.earliest.map_or(counted.due, |e| e.min(counted.due)));
                        limits.latest = limits.latest.max(Some(counted.due));
                    }
                    let careful = counted.conservative_due;
                    if limits.deadline.as_ref().is_none_or(|d| counted.due < d.due) {
                        let careful = limits.deadline.take().map_or(careful, |e| e.conservative_due.min(careful));
                        (limits.convention, limits.period) = (Some(record.id.clone()), Some(amount));
                        limits.deadline = Some(Deadline { conservative_due: careful, ..counted });
                    } else if let Some(d) = &mut limits.deadline {
                        d.conservative_due = d.conservative_due.min(careful);
                    }
                }
                Err(error) => because.push(cannot_count(&error)),
            }
        }
        limits
    }

    /// The duties whose performance a trigger waits for at `place`: those it names, those they are filed together with, and
    /// national rows that stand for them there.
    pub(super) fn acts_of(&self, starts: &Trigger, place: &str) -> Vec<DutyId> {
        let (Trigger::Filed(named) | Trigger::FiledLast(named)) = starts else { return Vec::new() };
        let mut acts = named.clone();
        for id in named {
            acts.extend(self.group_of(id).into_iter().flat_map(|g| g.members.iter().cloned()));
            let national = self.replaced_by.get(id).into_iter().flatten().map(|&at| &self.duties[at]);
            acts.extend(national.filter(|row| self.places.touch(&row.jurisdiction, place)).map(|row| row.id.clone()));
        }
        acts.sort();
        acts.dedup();
        acts
    }
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
