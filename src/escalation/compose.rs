//! What a reminder says that is due: one message per person, the most urgent obligation first.

use super::decide::{Due, View};
use super::delay;
use super::directory::Ladder;
use super::message::{Also, Event, Extra, Message, Quiet, Reason, Sent, Target, Told};
use super::policy::Waits;
use crate::time::Timestamp;
use chrono::Duration;
use std::collections::BTreeMap;

impl View<'_> {
    pub(super) fn message(&self, due: &Due<'_>) -> Message {
        let (subject, now, step) = (self.subject, self.now, due.planned.step);
        let mut brief = subject.brief.clone();
        brief.holder = self.leases().last().map(|lease| Told {
            name: lease.by.clone(),
            what: "has it".into(),
            at: self.end_of(lease),
        });
        brief.told = told_list(self.history, &subject.id);
        brief.next = self.next_person(due.target);
        let already_told = self
            .history
            .iter()
            .any(|s| s.message.target == *due.target && s.message.obligation.as_deref() == Some(&subject.id));
        let late = brief.due.is_some_and(|due| now >= due) && !subject.is_filed();
        let event = if late {
            Event::ObligationOverdue
        } else if due.after.is_none() && (due.planned.first || already_told) {
            Event::ReminderDue
        } else {
            Event::EscalationRaised
        };
        let quiet = match self.quiet(due.at).filter(|_| due.target.person().is_some()) {
            Some(Waits::Until(until)) => Some(Quiet::Deferred { from: due.at, until }),
            Some(Waits::Not(until)) => Some(Quiet::Overridden { until }),
            None => None,
        };
        let past_limit = |sent: &&Sent| subject.limit().is_some_and(|limit| sent.message.created_at >= limit);
        let overdue_count = match late {
            true => self.about(due.target).map(|(sent, _)| sent).filter(past_limit).count() as u32 + 1,
            false => 0,
        };
        let schedule = subject.limit().map_or(0, |d| d.timestamp());
        let mut key = format!(
            // the step's own instant: a corrected start moves it although the limit stays
            "{}/{}/{}/{schedule}.{}/{}/{}",
            self.incident,
            subject.id,
            step.name,
            due.planned.at.max(subject.known_at).timestamp(),
            due.target.label(),
            due.repeat,
        );
        // A repeat counts what its addressee heard, by whichever way and obligation at the head: two may have one number.
        // Under a known key the later one would be taken for the earlier.
        let again = format!("{key}~");
        let known = self.history.iter().map(|s| s.message.key.as_str());
        match known.filter(|known| *known == key || known.starts_with(&again)).count() {
            0 => {}
            n => key.push_str(&format!("~{n}")),
        }
        Message {
            key,
            event,
            incident: self.incident.clone(),
            obligation: Some(subject.id.clone()),
            target: due.target.clone(),
            reason: Reason {
                policy: subject.policy.id.clone(),
                step: step.name.clone(),
                repeat: due.repeat,
                due_at: due.at,
                coalesced: due.coalesced,
            },
            created_at: now,
            // what is filed leads no message in which something is still to be filed
            urgent_at: subject.limit().unwrap_or(now + Duration::days(if subject.is_filed() { 31 } else { 30 })),
            brief,
            ack_token: None,
            extra: Extra {
                after: due.after.clone(),
                quiet,
                internal_target: subject.internal_target.filter(|_| subject.brief.conservative_due.is_none()),
                overdue_count,
                asks: delay::asks(subject, now),
                ..Extra::default()
            },
        }
    }

    /// The next person the policy will tell, if this one does nothing.
    fn next_person(&self, target: &Target) -> Option<Told> {
        self.plan_steps().iter().filter(|p| p.at > self.now).find_map(|planned| {
            let ladders = self.step_ladders(planned.step, planned.at);
            let other =
                ladders.iter().map(Ladder::first).find(|t| t.person().is_some() && t.person() != target.person())?;
            let name = other.person().and_then(|id| self.directory.person(id)).map(|p| p.name.clone())?;
            Some(Told { name, what: "next".into(), at: planned.at })
        })
    }
}

fn told_list(history: &[Sent], obligation: &str) -> Vec<Told> {
    let mut told: BTreeMap<&str, (Timestamp, u32)> = BTreeMap::new();
    for sent in history.iter().filter(|s| s.message.obligation.as_deref() == Some(obligation)) {
        if let Target::Email { name, .. } | Target::Channel { name, person: Some(_), .. } = &sent.message.target {
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

/// One message per person and decision: the most urgent obligation leads, the others are listed.
pub(super) fn one_per_target(mut messages: Vec<Message>) -> Message {
    messages.sort_by(|a, b| a.urgent_at.cmp(&b.urgent_at).then_with(|| a.key.cmp(&b.key)));
    let mut rest = messages.into_iter();
    let mut head = rest.next().expect("a target is only present with a message");
    for other in rest {
        // the list must cover the steps of every obligation in it
        head.reason.due_at = head.reason.due_at.max(other.reason.due_at);
        head.reason.coalesced += other.reason.coalesced;
        head.extra.asks.extend(other.extra.asks);
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
