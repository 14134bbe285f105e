//! Whom to tell now, and when to look again. A pure function of obligations, policy, history and `now`.
//!
//! Nothing derived from `now` is stored: a restart, a corrected awareness time and a second node all decide the same.

use super::directory::Directory;
use super::message::{Also, Brief, Event, Message, Reason, Sent, Target, Told};
use super::policy::{EscalationPolicy, Step, StepAt};
use crate::law::{Act, IncidentId};
use crate::time::Timestamp;
use chrono::Duration;
use std::collections::BTreeMap;

/// One open obligation, as escalation needs it.
#[derive(Clone, Debug)]
pub struct Subject {
    /// `<duty>@<place>`.
    pub id: String,
    pub brief: Brief,
    /// When its clock started.
    pub started_at: Timestamp,
    /// When we first knew of it: steps before that instant could not have been sent.
    pub known_at: Timestamp,
    pub unverified: bool,
}

/// What to send, and the next instant at which something will be due.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    pub messages: Vec<Message>,
    pub wake_at: Option<Timestamp>,
}

/// A step of one obligation at its instant.
struct Planned<'a> {
    step: &'a Step,
    at: Timestamp,
    /// The first step tells that the clock runs; later ones escalate.
    first: bool,
}

/// Decides for one incident. Steps missed meanwhile are coalesced into the most urgent one, which says so.
pub fn decide(
    incident: &IncidentId,
    subjects: &[Subject],
    acts: &BTreeMap<String, Act>,
    policy: &EscalationPolicy,
    directory: &Directory,
    history: &[Sent],
    now: Timestamp,
) -> Decision {
    let mut wake_at: Option<Timestamp> = None;
    let mut by_target: BTreeMap<Target, Vec<Message>> = BTreeMap::new();
    for subject in subjects.iter().filter(|s| !s.unverified || policy.include_unverified) {
        let act = acts.get(&subject.id);
        let planned = plan_steps(policy, subject);
        if let Some(lease) = act.and_then(|a| a.holder(now)) {
            look_at(&mut wake_at, lease.until, now);
        }
        for step in &planned {
            look_at(&mut wake_at, step.at.max(subject.known_at), now);
        }
        for target in targets_of(&planned, directory, now) {
            let due = due_steps(&planned, &target, directory, now);
            let Some(latest) = due.last() else { continue };
            if is_held(act, latest.step, subject, latest.at, now) {
                continue;
            }
            let told = told_before(history, subject, &target, latest);
            let (repeat, due_at) = match told {
                // this step, or a later one, was sent to this target: only its repeat can be due
                Some(last) => {
                    let Some(every) = latest.step.repeat_seconds.filter(|s| *s > 0) else { continue };
                    let next = last.message.reason.due_at.max(last.message.created_at) + Duration::seconds(every);
                    if next > now {
                        look_at(&mut wake_at, next, now);
                        continue;
                    }
                    (last.message.reason.repeat + 1, next)
                }
                None => (0, latest.at.max(subject.known_at)),
            };
            if let Some(every) = latest.step.repeat_seconds.filter(|s| *s > 0) {
                look_at(&mut wake_at, now + Duration::seconds(every), now);
            }
            let coalesced =
                due.iter().filter(|s| told_before(history, subject, &target, s).is_none()).count().saturating_sub(1);
            let message = message(
                incident,
                subject,
                act,
                policy,
                latest,
                &target,
                history,
                directory,
                repeat,
                due_at,
                coalesced as u32,
                now,
            );
            by_target.entry(target).or_default().push(message);
        }
    }
    let messages = by_target.into_values().map(one_per_target).collect();
    Decision { messages, wake_at }
}

fn look_at(wake_at: &mut Option<Timestamp>, at: Timestamp, now: Timestamp) {
    if at > now {
        *wake_at = Some(wake_at.map_or(at, |w| w.min(at)));
    }
}

/// The steps of a policy at their instants, in the order of time. Open norms have only those relative to the start.
fn plan_steps<'a>(policy: &'a EscalationPolicy, subject: &Subject) -> Vec<Planned<'a>> {
    let start = subject.started_at;
    let due = subject.brief.conservative_due;
    let mut planned: Vec<Planned<'a>> = policy
        .steps
        .iter()
        .filter_map(|step| {
            let at = match (step.at, due) {
                (StepAt::Start(seconds), _) => start + Duration::seconds(seconds),
                (StepAt::Due(seconds), Some(due)) => due + Duration::seconds(seconds),
                (StepAt::Share(percent), Some(due)) => {
                    let window = (due - start).max(Duration::zero());
                    start + Duration::seconds(window.num_seconds() * i64::from(percent) / 100)
                }
                (_, None) => return None,
            };
            Some(Planned { step, at, first: false })
        })
        .collect();
    planned.sort_by_key(|p| p.at);
    if let Some(first) = planned.first_mut() {
        first.first = true;
    }
    planned
}

/// Targets of any step due by `now`, each once.
fn targets_of(planned: &[Planned<'_>], directory: &Directory, now: Timestamp) -> Vec<Target> {
    let mut targets: Vec<Target> =
        planned.iter().filter(|p| p.at <= now).flat_map(|p| step_targets(p.step, directory, now)).collect();
    targets.sort();
    targets.dedup();
    targets
}

fn step_targets(step: &Step, directory: &Directory, now: Timestamp) -> Vec<Target> {
    let mut targets: Vec<Target> =
        step.notify.iter().flat_map(|who| directory.targets(who, &step.channels, now)).collect();
    if !targets.iter().any(|t| matches!(t, Target::Email { .. }))
        && step.notify.iter().any(|w| !matches!(w, super::policy::Who::Webhook(_)))
    {
        // a step that reaches nobody is the silent failure this product exists to prevent
        targets.extend(directory.everybody());
    }
    targets
}

/// Steps due by `now` that tell `target`, in the order of time.
fn due_steps<'p, 'a>(
    planned: &'p [Planned<'a>],
    target: &Target,
    directory: &Directory,
    now: Timestamp,
) -> Vec<&'p Planned<'a>> {
    planned.iter().filter(|p| p.at <= now && step_targets(p.step, directory, now).contains(target)).collect()
}

/// The last message that told `target` about this step or a later one of the same schedule.
fn told_before<'h>(history: &'h [Sent], subject: &Subject, target: &Target, step: &Planned<'_>) -> Option<&'h Sent> {
    let due_at = step.at.max(subject.known_at);
    history
        .iter()
        .filter(|sent| sent.message.target == *target)
        .filter(|sent| {
            let message = &sent.message;
            let (about, due) = if message.obligation.as_deref() == Some(&subject.id) {
                (true, message.brief.conservative_due)
            } else {
                match message.brief.also.iter().find(|a| a.obligation == subject.id) {
                    Some(also) => (true, also.conservative_due),
                    None => (false, None),
                }
            };
            // a moved limit is a new schedule: its steps are told again, except that the clock started
            about
                && message.reason.due_at >= due_at
                && (due == subject.brief.conservative_due || matches!(step.step.at, StepAt::Start(_)))
        })
        .max_by_key(|sent| sent.message.reason.due_at)
}

/// A lease silences steps before the limit; at the limit and after it everybody hears again.
fn is_held(act: Option<&Act>, step: &Step, subject: &Subject, at: Timestamp, now: Timestamp) -> bool {
    let Some(lease) = act.and_then(|a| a.holder(now)) else { return false };
    let role_fits = step.needs.is_empty() || lease.role.as_ref().is_some_and(|role| step.needs.contains(role));
    let before_limit = subject.brief.conservative_due.is_none_or(|due| at < due && now < due);
    // past the limit a lease silences only until it ends, and leases past the limit are short
    role_fits && (before_limit || lease.at >= at)
}

#[expect(clippy::too_many_arguments, reason = "a message is about all of these")]
fn message(
    incident: &IncidentId,
    subject: &Subject,
    act: Option<&Act>,
    policy: &EscalationPolicy,
    planned: &Planned<'_>,
    target: &Target,
    history: &[Sent],
    directory: &Directory,
    repeat: u32,
    due_at: Timestamp,
    coalesced: u32,
    now: Timestamp,
) -> Message {
    let mut brief = subject.brief.clone();
    brief.holder = act.and_then(|a| a.holder(now)).map(|lease| Told {
        name: lease.by.clone(),
        what: "has it".into(),
        at: lease.until,
    });
    brief.told = told_list(history, &subject.id);
    brief.next = next_person(policy, subject, target, directory, now);
    let already_told =
        history.iter().any(|s| s.message.target == *target && s.message.obligation.as_deref() == Some(&subject.id));
    let late = brief.due.is_some_and(|due| now >= due);
    let event = if late {
        Event::ObligationOverdue
    } else if planned.first || already_told {
        Event::ReminderDue
    } else {
        Event::EscalationRaised
    };
    let schedule = brief.conservative_due.map_or(0, |d| d.timestamp());
    Message {
        // the step's own instant: a corrected start moves it although the limit stays
        key: format!(
            "{incident}/{}/{}/{schedule}.{}/{}/{repeat}",
            subject.id,
            planned.step.name,
            planned.at.max(subject.known_at).timestamp(),
            target.label()
        ),
        event,
        incident: incident.clone(),
        obligation: Some(subject.id.clone()),
        target: target.clone(),
        reason: Reason { policy: policy.id.clone(), step: planned.step.name.clone(), repeat, due_at, coalesced },
        created_at: now,
        urgent_at: brief.conservative_due.unwrap_or(now + Duration::days(30)),
        brief,
        ack_token: None,
        extra: super::Extra::default(),
    }
}

fn told_list(history: &[Sent], obligation: &str) -> Vec<Told> {
    let mut told: BTreeMap<&str, (Timestamp, u32)> = BTreeMap::new();
    for sent in history.iter().filter(|s| s.message.obligation.as_deref() == Some(obligation)) {
        if let Target::Email { name, .. } = &sent.message.target {
            let entry = told.entry(name).or_insert((sent.message.created_at, 0));
            entry.0 = entry.0.max(sent.message.created_at);
            entry.1 += 1;
        }
    }
    told.into_iter()
        .map(|(name, (at, times))| Told {
            name: name.to_string(),
            what: if times == 1 { "told once".to_string() } else { format!("told {times} times") },
            at,
        })
        .collect()
}

/// The next person the policy will tell, if this one does nothing.
fn next_person(
    policy: &EscalationPolicy,
    subject: &Subject,
    target: &Target,
    directory: &Directory,
    now: Timestamp,
) -> Option<Told> {
    plan_steps(policy, subject).iter().filter(|p| p.at > now).find_map(|planned| {
        step_targets(planned.step, directory, planned.at).into_iter().find_map(|t| match &t {
            Target::Email { name, .. } if t != *target => {
                Some(Told { name: name.clone(), what: "next".into(), at: planned.at })
            }
            _ => None,
        })
    })
}

/// One message per person and decision: the most urgent obligation leads, the others are listed.
fn one_per_target(mut messages: Vec<Message>) -> Message {
    messages.sort_by(|a, b| a.urgent_at.cmp(&b.urgent_at).then_with(|| a.key.cmp(&b.key)));
    let mut rest = messages.into_iter();
    let mut head = rest.next().expect("a target is only present with a message");
    for other in rest {
        // the list must cover the steps of every obligation in it
        head.reason.due_at = head.reason.due_at.max(other.reason.due_at);
        head.reason.coalesced += other.reason.coalesced;
        head.brief.also.push(Also {
            obligation: other.obligation.unwrap_or_default(),
            duty_title: other.brief.duty_title,
            recipient_name: other.brief.recipient_name,
            conservative_due: other.brief.conservative_due,
            zone: other.brief.zone,
            standing: other.brief.standing,
        });
    }
    head
}
