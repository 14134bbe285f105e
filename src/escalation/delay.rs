//! Lateness foreseen, and lateness explained: the notice of delay that some laws want before the limit, and the reasons
//! for a delay, which are asked for until somebody records them.
//!
//! These steps belong to no policy: a policy says when and how often, never whether.

use super::decide::Subject;
use super::message::{Ask, Asked};
use super::policy::{EscalationPolicy, Repeat, Step, StepAt, Who};
use crate::time::Timestamp;
use chrono::Duration;

/// The step that warns to send a notice of delay.
pub const NOTICE: &str = "delay-notice";
/// The step that asks for the reasons of a late filing.
pub const REASONS: &str = "reasons-for-delay";

/// The notice has to be written: the warning comes a quarter of the window before the limit, within these.
const NOTICE_SHARE: i32 = 4;
const NOTICE_AT_LEAST: Duration = Duration::hours(1);
const NOTICE_AT_MOST: Duration = Duration::days(2);
/// Whoever files late has this long to write the reasons before others are asked.
const REASONS_AFTER: Duration = Duration::hours(1);
/// Where the policy has no step of its own at the time.
const NOTICE_REPEAT: Repeat = Repeat::Share(10);

/// What is known of the reasons for a delay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reasons {
    /// Recorded, or none are owed.
    #[default]
    NotOwed,
    /// Nothing is filed: owed from the conservative limit on.
    OnceLate,
    /// The notice was given late, and recorded at this instant; nobody recorded why it was late.
    FiledLate(Timestamp),
}

/// A step at its instant.
pub(super) struct OwnStep {
    pub step: Step,
    pub at: Timestamp,
}

pub(super) fn is_own(step: &Step) -> bool {
    [NOTICE, REASONS].contains(&step.name.as_str())
}

/// The steps of one obligation that no policy states.
pub(super) fn steps(subject: &Subject<'_>) -> Vec<OwnStep> {
    let policy = subject.policy;
    if policy.steps.is_empty() {
        return Vec::new();
    }
    if let Reasons::FiledLate(recorded_at) = subject.reasons {
        let every = Duration::seconds(policy.reasons_every_seconds);
        let step = step(policy, REASONS, Repeat::Seconds(policy.reasons_every_seconds));
        return vec![OwnStep { step, at: recorded_at + every.min(REASONS_AFTER) }];
    }
    let Some(at) = notice_at(subject) else { return Vec::new() };
    let current = subject.policy.steps.iter().filter(|s| subject.instant_of(s.at).is_some_and(|start| start <= at));
    let repeat = current.max_by_key(|s| subject.instant_of(s.at)).and_then(|s| s.repeat);
    vec![OwnStep { step: step(policy, NOTICE, repeat.unwrap_or(NOTICE_REPEAT)), at }]
}

/// When people are warned that a notice of delay is due before the limit; `None` when the law asks for none, or it is
/// recorded.
fn notice_at(subject: &Subject<'_>) -> Option<Timestamp> {
    subject.delay_notice.as_ref()?;
    let (start, limit) = (subject.started_at, subject.brief.conservative_due?);
    match subject.policy.delay_notice_at {
        Some(at) => subject.instant_of(at),
        None => {
            let window = (limit - start).max(Duration::zero());
            let least = NOTICE_AT_LEAST.min(window / 2);
            Some(limit - (window / NOTICE_SHARE).clamp(least, NOTICE_AT_MOST))
        }
    }
}

/// Everybody the policy names hears it.
fn step(policy: &EscalationPolicy, name: &str, repeat: Repeat) -> Step {
    let mut notify: Vec<Who> = policy.steps.iter().flat_map(|step| step.notify.clone()).collect();
    notify.sort();
    notify.dedup();
    Step {
        name: name.to_string(),
        // its instant is computed here, see `OwnStep`
        at: StepAt::Due(0),
        notify,
        channels: Vec::new(),
        repeat: Some(repeat),
        needs: Vec::new(),
        lease_seconds: EscalationPolicy::OVERDUE_LEASE_SECONDS,
    }
}

/// What a message about `subject` asks for at `now`, besides the filing.
pub(super) fn asks(subject: &Subject<'_>, now: Timestamp) -> Vec<Ask> {
    let brief = &subject.brief;
    let ask = |what| Ask {
        obligation: subject.id.clone(),
        duty_title: brief.duty_title.clone(),
        recipient_name: brief.recipient_name.clone(),
        zone: brief.zone,
        what,
    };
    let mut asks = Vec::new();
    let limit = brief.conservative_due;
    // past the conservative limit the legal one is what is left
    let before = limit.filter(|at| now < *at).or(brief.due).filter(|at| now < *at);
    if let (Some(law), Some(before), Some(at)) = (&subject.delay_notice, before, notice_at(subject))
        && now >= at
    {
        asks.push(ask(Asked::NoticeOfDelay { before, law: law.clone() }));
    }
    let owed = match subject.reasons {
        Reasons::NotOwed => false,
        Reasons::OnceLate => limit.is_some_and(|limit| now >= limit),
        Reasons::FiledLate(_) => true,
    };
    if owed {
        asks.push(ask(Asked::ReasonsForDelay));
    }
    asks
}

#[cfg(test)]
mod tests {
    use super::super::Brief;
    use super::*;
    use crate::time::Zone;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("RFC 3339")
    }

    /// Window, the policy's own words, time before the limit.
    #[test]
    fn the_warning_leaves_time_to_write() {
        let cases = [
            (Duration::minutes(30), None, Duration::minutes(15)),
            (Duration::hours(1), None, Duration::minutes(30)),
            (Duration::hours(4), None, Duration::hours(1)),
            (Duration::hours(24), None, Duration::hours(6)),
            (Duration::hours(72), None, Duration::hours(18)),
            (Duration::days(30), None, Duration::days(2)),
            (Duration::hours(24), Some("due-2h"), Duration::hours(2)),
            (Duration::hours(24), Some("50%"), Duration::hours(12)),
            // longer ahead than the window is long: at its start
            (Duration::hours(4), Some("due-6h"), Duration::hours(4)),
        ];
        for (window, words, wanted) in cases {
            let start = at("2026-06-01T08:00:00Z");
            let notify = vec![Who::Role("dpo".into())];
            let first = Step { notify, ..step(&EscalationPolicy::new("none", Vec::new()), "start", NOTICE_REPEAT) };
            let mut policy = EscalationPolicy::new("p", vec![Step { at: StepAt::Start(0), ..first }]);
            policy.delay_notice_at = words.map(|words| StepAt::parse(words).expect("a step"));
            let mut brief = Brief::about_daemon("Notice".into(), Zone::UTC);
            brief.conservative_due = Some(start + window);
            let subject = Subject {
                id: "duty@XX".into(),
                brief,
                started_at: start,
                known_at: start,
                unverified: false,
                policy: &policy,
                internal_target: None,
                delay_notice: Some("Act Art. 5(3)".into()),
                reasons: Reasons::OnceLate,
            };
            let own = steps(&subject);
            assert_eq!(own.len(), 1);
            assert_eq!(start + window - own[0].at, wanted, "{window} {words:?}");
            let recorded = Subject { delay_notice: None, ..subject };
            assert!(steps(&recorded).is_empty(), "{window}: recorded");
        }
    }
}
