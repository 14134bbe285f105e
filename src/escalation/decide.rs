//! Whom to tell now, and when to look again. A pure function of obligations, policies, history and `now`.
//!
//! Nothing derived from `now` is stored: a restart, a corrected awareness time and a second node all decide the same.
//!
//! ```text
//!  policy ─► steps at their instants ─► ladders (one per addressee) ─► the latest step due, or its repeat
//!                                                                  └─► the next way, when the last one failed or was
//!                                                                      not confirmed in time
//! ```
//! What silences: a lease, for the steps it covers; the filing, as it ends the obligation. Nothing else.

use super::compose::one_per_target;
use super::delay::{self, OwnStep, Reasons};
use super::directory::{Directory, Ladder};
use super::lease::lease_end;
use super::message::{Brief, DeliveryState, Message, Sent, Target};
use super::policy::{EscalationPolicy, Step, StepAt, Waits};
use crate::law::{Acknowledgement, Act, IncidentId};
use crate::time::Timestamp;
use chrono::Duration;
use std::collections::BTreeMap;

/// Shortest and longest time after which an unconfirmed message is followed by the next way.
const FALL_OVER_AT_LEAST: Duration = Duration::minutes(2);
const FALL_OVER_AT_MOST: Duration = Duration::hours(1);
/// The standing of what was filed.
const FILED: &str = "discharged";
/// Past the limit, where no share of anything is left.
const FALL_OVER_LATE: Duration = Duration::minutes(5);
/// What happened longer than this after `now` happened on a clock that was ahead and is set right. A message of then told
/// people, but at a wrong time: its step is told again when it is due. A lease of then would silence everybody until the
/// wrong clock's instant: it counts as ended.
const AHEAD: Duration = Duration::hours(1);

/// One open obligation, as escalation needs it.
#[derive(Clone, Debug)]
pub struct Subject<'p> {
    /// `<duty>@<place>`.
    pub id: String,
    pub brief: Brief,
    /// When its clock started.
    pub started_at: Timestamp,
    /// When we first knew of it: steps before that instant could not have been sent.
    pub known_at: Timestamp,
    pub unverified: bool,
    /// The policy that serves it.
    pub policy: &'p EscalationPolicy,
    /// Where the law has no number: until when the policy wants it done.
    pub internal_target: Option<Timestamp>,
    /// Where the law wants a notice of delay before the limit, and none is recorded: its citation.
    pub delay_notice: Option<String>,
    pub reasons: Reasons,
}

impl Subject<'_> {
    /// What reminders run on: the conservative limit, else the internal target. What was filed has none any more.
    pub(super) fn limit(&self) -> Option<Timestamp> {
        self.brief.conservative_due.or(self.internal_target).filter(|_| !self.is_filed())
    }

    /// Filed, and only the reasons for the delay are missing.
    pub(super) fn is_filed(&self) -> bool {
        matches!(self.reasons, Reasons::FiledLate(_))
    }

    /// When a step of a policy is due; `None` when it needs a limit and there is none.
    pub(super) fn instant_of(&self, at: StepAt) -> Option<Timestamp> {
        let start = self.started_at;
        Some(match (at, self.limit()) {
            (StepAt::Start(seconds), _) => start + Duration::seconds(seconds),
            // longer ahead than the window is long: with the start, so that nobody it names is left out
            (StepAt::Due(seconds), Some(due)) if seconds < 0 => (due + Duration::seconds(seconds)).max(start),
            (StepAt::Due(seconds), Some(due)) => due + Duration::seconds(seconds),
            (StepAt::Share(percent), Some(due)) => {
                let window = (due - start).max(Duration::zero());
                start + Duration::seconds(window.num_seconds() * i64::from(percent) / 100)
            }
            (_, None) => return None,
        })
    }
}

/// What to send, and the next instant at which something will be due.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    pub messages: Vec<Message>,
    pub wake_at: Option<Timestamp>,
}

/// A step of one obligation at its instant.
#[derive(Clone)]
pub(super) struct Planned<'a> {
    pub(super) step: &'a Step,
    pub(super) at: Timestamp,
    /// The first step tells that the clock runs; later ones escalate.
    pub(super) first: bool,
}

/// A message that is due: which step, to which target, since when.
pub(super) struct Due<'a> {
    pub(super) planned: &'a Planned<'a>,
    pub(super) target: &'a Target,
    pub(super) at: Timestamp,
    pub(super) repeat: u32,
    pub(super) coalesced: u32,
    pub(super) after: Option<String>,
}

/// Decides for one incident. Steps missed meanwhile are coalesced into the most urgent one, which says so.
pub fn decide(
    incident: &IncidentId,
    subjects: &[Subject<'_>],
    acts: &BTreeMap<String, Act>,
    directory: &Directory,
    history: &[Sent],
    now: Timestamp,
) -> Decision {
    let mut wake_at: Option<Timestamp> = None;
    let mut by_target: BTreeMap<Target, Vec<Message>> = BTreeMap::new();
    for subject in subjects.iter().filter(|s| !s.unverified || s.policy.include_unverified) {
        let own = delay::steps(subject);
        let view = View { incident, subjects, subject, own: &own, act: acts.get(&subject.id), directory, history, now };
        view.decide(&mut by_target, &mut wake_at);
    }
    let messages = by_target.into_values().map(one_per_target).collect();
    Decision { messages, wake_at }
}

fn look_at(wake_at: &mut Option<Timestamp>, at: Timestamp, now: Timestamp) {
    if at > now {
        *wake_at = Some(wake_at.map_or(at, |w| w.min(at)));
    }
}

/// Everything one obligation is decided from.
pub(super) struct View<'v> {
    pub(super) incident: &'v IncidentId,
    /// All obligations of the incident.
    pub(super) subjects: &'v [Subject<'v>],
    pub(super) subject: &'v Subject<'v>,
    /// Its steps that no policy states.
    pub(super) own: &'v [OwnStep],
    pub(super) act: Option<&'v Act>,
    pub(super) directory: &'v Directory,
    pub(super) history: &'v [Sent],
    pub(super) now: Timestamp,
}

impl View<'_> {
    fn decide(&self, by_target: &mut BTreeMap<Target, Vec<Message>>, wake_at: &mut Option<Timestamp>) {
        let (subject, now) = (self.subject, self.now);
        let planned = self.plan_steps();
        for lease in self.leases() {
            look_at(wake_at, self.end_of(lease), now);
        }
        for step in &planned {
            let at = step.at.max(subject.known_at);
            look_at(wake_at, at, now);
            if let Some(Waits::Until(until)) = self.quiet(at) {
                look_at(wake_at, until, now);
            }
        }
        // at a hand-over the next person hears what is open
        for who in planned.iter().filter(|p| p.at <= now).flat_map(|p| &p.step.notify) {
            if let Some(change) = self.directory.next_change(who, now) {
                look_at(wake_at, change, now);
            }
        }
        let ladders = self.ladders(&planned);
        // when the last way of the last addressee failed; `None` while one may still answer
        let mut all_failed_at: Option<Timestamp> = None;
        let mut some_may_answer = ladders.is_empty();
        for ladder in &ladders {
            let (due, lost) = self.next_of(&planned, ladder, wake_at);
            for due in &due {
                by_target.entry(due.target.clone()).or_default().push(self.message(due));
            }
            match lost {
                Some(at) if due.is_empty() => all_failed_at = all_failed_at.max(Some(at)),
                _ => some_may_answer = true,
            }
        }
        // a step that reached nobody is the silent failure this product exists to prevent
        if let Some(at) = all_failed_at.filter(|_| !some_may_answer)
            && let Some(latest) = planned.iter().rfind(|p| p.at <= now)
        {
            for ladder in self.directory.everybody().iter().filter(|l| !ladders.iter().any(|k| k.first() == l.first()))
            {
                let since = latest.at.max(subject.known_at);
                if self.told_since(ladder.first(), since).is_none() && !self.is_held(latest.step, latest.at) {
                    let after = Some("no other way is left".to_string());
                    let due = Due { planned: latest, target: ladder.first(), at, repeat: 0, coalesced: 0, after };
                    by_target.entry(due.target.clone()).or_default().push(self.message(&due));
                }
            }
        }
    }

    /// The steps of the policy at their instants, in the order of time. Without a limit only those relative to the start.
    pub(super) fn plan_steps(&self) -> Vec<Planned<'_>> {
        let subject = self.subject;
        let steps = subject.policy.steps.iter().filter(|_| !subject.is_filed());
        let of_policy = steps.filter_map(|step| Some(Planned { step, at: subject.instant_of(step.at)?, first: false }));
        // after those of the policy: at the same instant the one with its own reason is told
        let own = self.own.iter().map(|own| Planned { step: &own.step, at: own.at, first: false });
        let mut planned: Vec<Planned<'_>> = of_policy.chain(own).collect();
        planned.sort_by_key(|p| p.at);
        if let Some(first) = planned.iter_mut().find(|p| !delay::is_own(p.step)) {
            first.first = true;
        }
        self.pull_forward(&mut planned);
        planned
    }

    /// Who declines hands over: the next step that tells somebody else is due at that instant.
    fn pull_forward(&self, planned: &mut [Planned<'_>]) {
        let declined = self.act.map(|act| act.declined.as_slice()).unwrap_or_default();
        for (name, at) in declined {
            let by = self.directory.person_called(name).map(|p| p.id.as_str());
            let others = |step: &Step| {
                let ladders = self.step_ladders(step, *at);
                ladders.iter().any(|l| l.first().person().is_some() && l.first().person() != by)
            };
            if planned.iter().any(|p| p.at <= *at && others(p.step)) {
                continue;
            }
            if let Some(next) = planned.iter_mut().find(|p| p.at > *at && !delay::is_own(p.step) && others(p.step)) {
                next.at = *at;
            }
        }
    }

    /// Addressees of any step due by now, each once. The order of a `BTreeMap` keeps plans equal everywhere.
    fn ladders(&self, planned: &[Planned<'_>]) -> Vec<Ladder> {
        let mut found: BTreeMap<Target, Ladder> = BTreeMap::new();
        for step in planned.iter().filter(|p| p.at <= self.now) {
            for ladder in self.step_ladders(step.step, self.now) {
                let known = found.entry(ladder.first().clone()).or_insert_with(|| ladder.clone());
                if ladder.rungs.len() > known.rungs.len() {
                    known.rungs = ladder.rungs;
                }
            }
        }
        found.into_values().collect()
    }

    /// When a hand-over after `since` took `target` off the last of these steps, all later than the one they are on now.
    fn left_at<'p>(
        &self,
        steps: impl Iterator<Item = &'p Planned<'p>>,
        target: &Target,
        since: Timestamp,
    ) -> Option<Timestamp> {
        let mut left = None;
        for planned in steps.filter(|p| p.at <= self.now) {
            let is_on = |at| self.step_ladders(planned.step, at).iter().any(|ladder| ladder.first() == target);
            let from = since.max(planned.at);
            let (mut at, mut was_on) = (from, is_on(from));
            let next = |at| planned.step.notify.iter().filter_map(|who| self.directory.next_change(who, at)).min();
            while let Some(change) = next(at).filter(|change| *change <= self.now) {
                let on = is_on(change);
                if was_on && !on {
                    left = left.max(Some(change));
                }
                (at, was_on) = (change, on);
            }
        }
        left
    }

    pub(super) fn step_ladders(&self, step: &Step, at: Timestamp) -> Vec<Ladder> {
        let mut ladders: Vec<Ladder> =
            step.notify.iter().flat_map(|who| self.directory.ladders(who, &step.channels, at)).collect();
        let names_people = step.notify.iter().any(super::policy::Who::is_people);
        if names_people && !ladders.iter().any(|l| l.first().person().is_some()) {
            ladders.extend(self.directory.everybody());
        }
        ladders
    }

    /// What is due to one addressee now, and when the last way to them failed, if every one did.
    fn next_of<'l>(
        &self,
        planned: &'l [Planned<'l>],
        ladder: &'l Ladder,
        wake_at: &mut Option<Timestamp>,
    ) -> (Vec<Due<'l>>, Option<Timestamp>) {
        let (subject, now) = (self.subject, self.now);
        let mut messages = Vec::new();
        let target = ladder.first();
        // each step with the instant from which this addressee is on it
        let theirs = |p: &'l Planned<'l>| {
            let ladders = self.step_ladders(p.step, now);
            let since = ladders.iter().filter(|l| l.first() == target).map(|l| l.since).min()?;
            Some((p, subject.known_at.max(since.unwrap_or(subject.known_at))))
        };
        let due: Vec<(&Planned<'_>, Timestamp)> = planned.iter().filter(|p| p.at <= now).filter_map(theirs).collect();
        let Some(&(latest, known_at)) = due.last() else { return (messages, None) };
        let told = self.told_before(target, latest, known_at);
        // what the law wants said before the limit is said once to whoever holds it, too
        let once = latest.step.name == delay::NOTICE && told.is_none();
        if self.is_held(latest.step, latest.at) && !once {
            return (messages, None);
        }
        let (mut repeat, mut at, mut after) = (0, latest.at.max(known_at), None);
        let window = subject.limit().map(|limit| (limit - subject.started_at).num_seconds().max(0));
        // a step that does not repeat ends the repeating of the one before while a later step will come; past the limit,
        // and past the last step, that one goes on: they are told again until somebody acts. Whoever is on which of the two
        // steps: a hand-over between people changes no time
        let earlier = planned.iter().rev().filter(|p| p.at <= latest.at).find_map(|p| p.step.repeat);
        let goes_on = planned.iter().map(|p| p.at).max().into_iter().chain(subject.limit()).min().unwrap_or(now);
        let not_until = if latest.step.repeat.is_none() { goes_on } else { subject.started_at };
        let every = latest.step.repeat.or(earlier).map(|r| r.seconds(window)).filter(|s| *s > 0);
        if let Some(last) = told {
            // this step, or a later one, was sent to this target: its next way or its repeat can be due
            let fallen = self.fall_over(planned, latest, ladder, last, wake_at);
            let told_at = last.message.reason.due_at.max(last.message.created_at);
            let repeats = every.map(|every| (told_at + Duration::seconds(every)).max(not_until));
            // what was due while somebody held it is due when the lease ends
            let ended = self.lease_ended_since(last.message.created_at);
            // while a later step had them, that one said when; since they left it at a hand-over, this one does
            let repeats = repeats.map(|at| {
                let later = planned.iter().skip_while(|p| !std::ptr::eq(*p, latest)).skip(1);
                let left = if at <= now { self.left_at(later, target, told_at) } else { None };
                left.map_or(at, |left| left.max(at))
            });
            let next = ended.map(|(at, _)| at).or(repeats);
            let mut lost = None;
            match fallen {
                Fallen::Send(due) => messages.push(due),
                Fallen::Wait => {}
                Fallen::NoWayLeft(at) => lost = Some(at),
            }
            let Some(next) = next else { return (messages, lost) };
            let not_before = self.after_quiet(next, target);
            if not_before > now {
                look_at(wake_at, not_before, now);
                return (messages, lost);
            }
            (repeat, at) = (last.message.reason.repeat + 1, next);
            after = ended.map(|(_, by)| format!("the acknowledgement of {by} ended"));
        }
        if told.is_none()
            && let Some((ended, by)) = self.lease_ended_since(at)
        {
            (at, after) = (ended, Some(format!("the acknowledgement of {by} ended")));
        }
        let not_before = self.after_quiet(at, target);
        if not_before > now {
            look_at(wake_at, not_before, now);
            return (messages, None);
        }
        if let Some(every) = every {
            look_at(wake_at, self.after_quiet((now + Duration::seconds(every)).max(not_until), target), now);
        }
        if ladder.rungs.len() > 1 {
            look_at(wake_at, now + self.patience(now), now);
        }
        let missed = |(p, known): &&(&Planned<'_>, Timestamp)| {
            p.at.max(*known) < latest.at.max(known_at) && self.told_before(target, p, *known).is_none()
        };
        let coalesced = due.iter().filter(missed).count() as u32;
        messages.push(Due { planned: latest, target, at, repeat, coalesced, after });
        (messages, None)
    }

    /// The last lease that ran out after `since`, and whose it was. A lease that its holder gave back told the next person
    /// when it was given back.
    fn lease_ended_since(&self, since: Timestamp) -> Option<(Timestamp, &str)> {
        let act = self.act?;
        let given_back =
            |lease: &Acknowledgement| act.declined.iter().any(|(by, at)| *by == lease.by && *at == lease.until);
        let over = |l: &&Acknowledgement| self.end_of(l) > since && self.end_of(l) <= self.now && !given_back(l);
        let last = act.acknowledgements.iter().filter(over).max_by_key(|l| self.end_of(l))?;
        // the reason stands in the evidence, where names do not
        let by = self.directory.person_called(&last.by).map_or("its holder", |p| p.id.as_str());
        Some((self.end_of(last), by))
    }

    /// The next way of a ladder, when the way before it failed, or nobody confirmed it within a share of the time left.
    fn fall_over<'l>(
        &self,
        planned: &'l [Planned<'l>],
        latest: &'l Planned<'l>,
        ladder: &'l Ladder,
        head: &Sent,
        wake_at: &mut Option<Timestamp>,
    ) -> Fallen<'l> {
        let now = self.now;
        let mut previous = head;
        for rung in &ladder.rungs[1..] {
            if previous.state.is_confirmed() {
                return Fallen::Wait;
            }
            let failed = previous.state == DeliveryState::Failed;
            let handed_over = previous.message.created_at + self.patience(previous.message.created_at);
            let at = match previous.settled_at {
                Some(settled) if failed => settled,
                _ => self.declined_after(previous).unwrap_or(handed_over),
            };
            if let Some(told) = self.told_since(rung, head.message.created_at) {
                previous = told;
                continue;
            }
            // while somebody held it nobody else was due
            let at = self.lease_ended_since(at).map_or(at, |(ended, _)| ended);
            let not_before = self.after_quiet(at, rung);
            if not_before > now {
                look_at(wake_at, not_before, now);
                return Fallen::Wait;
            }
            let target = &previous.message.target;
            // ids, not names: the reason stands in the evidence
            let sent = match target.person() {
                Some(person) => format!("the message to {person} by {}", target.channel()),
                None => format!("the message to {}", target.label()),
            };
            let after = if failed { format!("{sent} failed") } else { format!("{sent} was not confirmed") };
            let step = planned.iter().rfind(|p| p.step.name == latest.step.name).unwrap_or(latest);
            let repeat = head.message.reason.repeat;
            return Fallen::Send(Due { planned: step, target: rung, at, repeat, coalesced: 0, after: Some(after) });
        }
        match previous.settled_at.filter(|_| previous.state == DeliveryState::Failed) {
            Some(at) => Fallen::NoWayLeft(at),
            None => Fallen::Wait,
        }
    }

    /// How long a message sent at `sent` may stay unconfirmed.
    fn patience(&self, sent: Timestamp) -> Duration {
        let Some(limit) = self.subject.limit() else { return FALL_OVER_AT_MOST };
        if sent >= limit {
            return FALL_OVER_LATE;
        }
        let share = (limit - sent) * i32::from(self.subject.policy.fall_over_percent) / 100;
        share.clamp(FALL_OVER_AT_LEAST, FALL_OVER_AT_MOST)
    }

    fn declined_after(&self, sent: &Sent) -> Option<Timestamp> {
        let person = sent.message.target.person()?;
        let is_theirs =
            |name: &str| name == person || self.directory.person_called(name).is_some_and(|p| p.id == person);
        let declined = self.act.map(|act| act.declined.as_slice()).unwrap_or_default();
        declined.iter().filter(|(name, at)| is_theirs(name) && *at > sent.message.created_at).map(|(_, at)| *at).min()
    }

    pub(super) fn quiet(&self, at: Timestamp) -> Option<Waits> {
        let (subject, quiet) = (self.subject, self.subject.policy.quiet_hours?);
        let waits = quiet.waits(at, subject.started_at, subject.limit());
        match (waits, subject.limit()) {
            (Some(Waits::Until(until)), Some(limit)) if at >= limit => Some(Waits::Not(until)),
            (waits, _) => waits,
        }
    }

    /// `at`, or the end of the quiet hours it falls into when the limit leaves time for them. Places never sleep.
    fn after_quiet(&self, at: Timestamp, target: &Target) -> Timestamp {
        match self.quiet(at) {
            Some(Waits::Until(until)) if target.person().is_some() => until,
            _ => at,
        }
    }

    /// The last message that told `target` about this step or a later one of the same schedule.
    fn told_before(&self, target: &Target, step: &Planned<'_>, known_at: Timestamp) -> Option<&Sent> {
        let due_at = step.at.max(known_at);
        self.about(target)
            .filter(|(sent, due)| {
                // a moved limit is a new schedule: its steps are told again, except that the clock started
                sent.message.reason.due_at >= due_at
                    && (*due == self.subject.brief.conservative_due || matches!(step.step.at, StepAt::Start(_)))
            })
            .map(|(sent, _)| sent)
            .max_by_key(|sent| sent.message.reason.due_at)
    }

    /// The last message of this schedule that `target` got at or after `since`.
    fn told_since(&self, target: &Target, since: Timestamp) -> Option<&Sent> {
        self.about(target)
            .filter(|(sent, due)| sent.message.created_at >= since && *due == self.subject.brief.conservative_due)
            .map(|(sent, _)| sent)
            .max_by_key(|sent| sent.message.created_at)
    }

    /// Messages to `target` that tell about this obligation, each with the limit it told.
    pub(super) fn about(&self, target: &Target) -> impl Iterator<Item = (&Sent, Option<Timestamp>)> {
        let id = self.subject.id.as_str();
        let told = move |sent: &&Sent| {
            let message = &sent.message;
            message.target == *target
                && message.is_step()
                && sent.state != DeliveryState::Withdrawn
                && !self.is_ahead(message.created_at)
        };
        self.history.iter().filter(told).filter_map(move |sent| {
            let message = &sent.message;
            if message.obligation.as_deref() == Some(id) {
                return Some((sent, message.brief.conservative_due));
            }
            // one that still waits and is headed by what is settled by now is withdrawn when its turn comes
            let head = message.obligation.as_deref();
            let is_filed = message.brief.standing == FILED;
            let still = |s: &Subject<'_>| head == Some(s.id.as_str()) && s.is_filed() == is_filed;
            let doomed = sent.state == DeliveryState::Queued && !self.subjects.iter().any(still);
            let also = message.brief.also.iter().find(|a| a.obligation == id).filter(|_| !doomed)?;
            Some((sent, also.conservative_due))
        })
    }

    pub(super) fn leases(&self) -> impl Iterator<Item = &Acknowledgement> {
        let acknowledged = self.act.map(|act| act.acknowledgements.as_slice()).unwrap_or_default();
        acknowledged.iter().filter(|lease| self.end_of(lease) > self.now && !self.is_ahead(lease.at))
    }

    /// When a lease ends. It was given by the limit of its time: when the limit moved earlier, it ends ahead of that one.
    pub(super) fn end_of(&self, lease: &Acknowledgement) -> Timestamp {
        let length = lease.until - lease.at;
        let limit = self.subject.brief.conservative_due;
        lease_end(length, self.subject.started_at, limit, lease.at).min(lease.until)
    }

    fn is_ahead(&self, at: Timestamp) -> bool {
        at > self.now + AHEAD
    }

    /// Whether leases cover `step`, due at `at`: each role it needs holds one. Past the limit a lease silences only what
    /// was due before it was taken; leases past the limit are short.
    fn is_held(&self, step: &Step, at: Timestamp) -> bool {
        let has_role = |lease: &Acknowledgement, role: &String| {
            lease.role.as_ref() == Some(role)
                || self.directory.person_called(&lease.by).is_some_and(|p| p.roles.contains(role))
        };
        let before_limit = self.subject.limit().is_none_or(|limit| at < limit && self.now < limit);
        let covers = |lease: &&Acknowledgement| before_limit || lease.at >= at;
        match step.needs.as_slice() {
            [] => self.leases().any(|lease| covers(&lease)),
            needs => needs.iter().all(|role| self.leases().filter(covers).any(|lease| has_role(lease, role))),
        }
    }
}

/// What became of the ways after the first.
enum Fallen<'l> {
    Send(Due<'l>),
    /// Nothing now.
    Wait,
    /// Every way failed, the last one here.
    NoWayLeft(Timestamp),
}
