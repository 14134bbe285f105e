//! Decisions not to notify are not for ever: one ends when a fact it was made to depend on changes, and one that is to be
//! looked at again on a day is asked about from that day on, once a day, until somebody decides anew.

use super::intake::brief;
use super::{Caller, House, Trouble};
use crate::escalation::{Brief, Decision, Event, Extra, Message, Reason, Sent, Target, Who};
use crate::evidence::Draft;
use crate::ingest::Rejection;
use crate::law::{Certainty, Fact, FactBook, Incident, Obligation, Waiver};
use crate::rules::{Plan, Rulebook, did_you_mean};
use crate::store::{Record, Store};
use crate::time::{CivilDate, Timestamp, Zone};
use chrono::{Days, TimeDelta};
use std::collections::BTreeSet;

/// Hour of the day, by the entity's clock, at which a review is asked for.
const HOUR: TimeDelta = TimeDelta::hours(9);
const POLICY: &str = "review";
/// What the withdrawn fact says of why.
pub(super) const FACT_CHANGED: &str = "a fact the decision depended on changed";
/// Longest structured reason.
const WORD: usize = 60;

/// When a decision is to be looked at again; `None` while it waits for its second approver.
pub(super) fn review_at(waiver: &Waiver, zone: Zone) -> Option<Timestamp> {
    let day: CivilDate = waiver.review_on.as_deref().filter(|_| waiver.approved_at.is_some())?.parse().ok()?;
    Some(zone.day_start(day) + HOUR)
}

pub(super) fn zone_of(incident: &Incident) -> Zone {
    incident.entity.zone.unwrap_or(Zone::UTC)
}

/// Ends the decisions that depend on a fact that is another one after the change: the obligation is open again, and its
/// clock was never stopped. Answers each with the facts.
pub(super) fn reopen_decisions(
    before: &FactBook,
    record: &mut Record,
    by: &str,
    now: Timestamp,
) -> Vec<(String, Vec<String>)> {
    let mut reopened = Vec::new();
    for (id, act) in &mut record.acts {
        let Some(waiver) = &act.waiver else { continue };
        let facts = &record.incident.facts;
        let changed: Vec<String> =
            waiver.reopen_when.iter().filter(|key| facts.get(key) != before.get(key)).cloned().collect();
        if changed.is_empty() {
            continue;
        }
        act.waiver = None;
        reopened.push((id.clone(), changed));
    }
    for (id, _) in &reopened {
        let key = format!("waived.{id}");
        if record.incident.facts.get(&key).is_some() {
            record.incident.facts.assert(withdrawal(key, by, FACT_CHANGED, now));
        }
    }
    reopened
}

/// The fact that a decision stands, taken back.
pub(super) fn withdrawal(key: String, by: &str, why: &str, now: Timestamp) -> Fact {
    Fact {
        key,
        value: None,
        certainty: Certainty::Confirmed,
        asserted_by: by.to_string(),
        asserted_at: now,
        note: Some(why.to_string()),
    }
}

impl<S: Store> House<S> {
    /// [`reopen_decisions`], with the entries that say so.
    pub(super) fn take_up_again(
        &self,
        before: &FactBook,
        record: &mut Record,
        caller: &Caller,
        now: Timestamp,
    ) -> Vec<Draft> {
        let reopened = reopen_decisions(before, record, &caller.name, now);
        let incident = record.incident.id.0.clone();
        let draft =
            |(id, because): &(String, Vec<String>)| self.draft_decision_reopened(&incident, id, because, caller, now);
        reopened.iter().map(draft).collect()
    }

    /// Adds the questions about decisions that are to be looked at again, and the instant of the next one.
    pub(super) fn ask_for_reviews(
        &self,
        book: &Rulebook,
        record: &Record,
        plan: &Plan,
        sent: &[Sent],
        decision: &mut Decision,
        now: Timestamp,
    ) {
        let zone = zone_of(&record.incident);
        for (id, act) in &record.acts {
            let Some(waiver) = &act.waiver else { continue };
            let Some(first) = review_at(waiver, zone) else { continue };
            let Some(o) = plan.obligations.iter().find(|o| o.id == *id) else { continue };
            if o.standing.as_str() != "waived" {
                continue;
            }
            let (due, next) = days_since(first, zone, now);
            decision.wake_at = decision.wake_at.into_iter().chain(next).min();
            let Some((at, nth)) = due else { continue };
            for target in self.reviewers(&record.incident, o, waiver, now) {
                let key =
                    format!("{}/{id}/review/{}/{nth}/{}", record.incident.id, first.format("%Y%m%d"), target.label());
                if !sent.iter().any(|s| s.message.key == key) {
                    let said = Said { step: "review-on", key, due_at: at, nth };
                    let brief = brief(plan.book_of(book, o), &record.incident, Some(o));
                    decision.messages.push(review(brief, record, waiver, target, said, now));
                }
            }
        }
    }

    /// Who decided, who agreed, and whom the policy names.
    fn reviewers(&self, incident: &Incident, o: &Obligation, waiver: &Waiver, now: Timestamp) -> BTreeSet<Target> {
        let directory = &self.settings.directory;
        let deciders = [Some(&waiver.by), waiver.second_approver.as_ref()];
        let people = deciders.into_iter().flatten().filter_map(|name| directory.person_called(name));
        let named = self.policy_for(incident, &o.duty).steps.iter().flat_map(|step| step.notify.iter().cloned());
        let all: BTreeSet<Who> = people.map(|person| Who::Person(person.id.clone())).chain(named).collect();
        all.iter().flat_map(|who| directory.ladders(who, &[], now)).map(|ladder| ladder.first().clone()).collect()
    }

    /// What a decision is made to rest on must be facts there are.
    pub(super) fn are_facts(&self, field: &str, keys: &[String]) -> Result<(), Trouble> {
        let book = self.book();
        let unknown = keys.iter().enumerate().find(|(_, key)| book.catalogue().kind(key).is_none());
        let Some((at, key)) = unknown else { return Ok(()) };
        let hint = did_you_mean(&book.catalogue().nearest(key));
        let text = format!("`{key}` is no fact{hint}");
        Err(Trouble::Rejected(vec![Rejection { pointer: format!("/{field}/{at}"), line: None, text }]))
    }
}

/// Structured reasons and scores are words, so that they can be counted.
pub(super) fn are_words(field: &str, words: &[String]) -> Result<(), Trouble> {
    let plain = |word: &str| {
        !word.is_empty() && word.len() <= WORD && word.chars().all(|c| c.is_ascii_alphanumeric() || "._:+-".contains(c))
    };
    let wrong = words.iter().enumerate().find(|(_, word)| !plain(word));
    let Some((at, word)) = wrong else { return Ok(()) };
    let text = format!("`{word}` is no word of letters, digits and `._:+-`; sentences belong into `reason`");
    Err(Trouble::Rejected(vec![Rejection { pointer: format!("/{field}/{at}"), line: None, text }]))
}

/// The question that is due with its number, counted from the first, and when the next one will be.
fn days_since(first: Timestamp, zone: Zone, now: Timestamp) -> (Option<(Timestamp, u64)>, Option<Timestamp>) {
    if now < first {
        return (None, Some(first));
    }
    let start = zone.local(first).date();
    let at = |nth: u64| Some(zone.day_start(start.checked_add_days(Days::new(nth))?) + HOUR);
    let mut nth = (zone.local(now).date() - start).num_days().max(0) as u64;
    // before the hour, yesterday's is the one that is due
    if at(nth).is_some_and(|at| at > now) {
        nth = nth.saturating_sub(1);
    }
    (at(nth).map(|at| (at, nth)), at(nth + 1))
}

/// A question about a decision that is to be looked at again, for one target.
fn review(brief: Brief, record: &Record, waiver: &Waiver, target: Target, said: Said, now: Timestamp) -> Message {
    let decided = zone_of(&record.incident).local(waiver.at).date();
    let note = format!(
        "The decision of {decided} not to notify was to be looked at again on {}. Decide anew, with `breachclock obligation waive` \
         or on the page of the obligation, or notify.",
        waiver.review_on.as_deref().unwrap_or_default()
    );
    let duty_title = format!("Look again at the decision not to notify: {}", brief.duty_title);
    // no limit is near: the decision stands until another one is made
    let brief = Brief { duty_title, due: None, conservative_due: None, because: None, promptly: None, ..brief };
    about_decision(brief, record, target, said, note, now)
}

/// When which word about a decision is due, under which key.
pub(super) struct Said {
    pub step: &'static str,
    pub key: String,
    pub due_at: Timestamp,
    pub nth: u64,
}

/// A message to somebody who has to do with a decision not to notify.
pub(super) fn about_decision(
    brief: Brief,
    record: &Record,
    target: Target,
    said: Said,
    note: String,
    now: Timestamp,
) -> Message {
    let Said { step, key, due_at, nth } = said;
    Message {
        key,
        event: Event::ReminderDue,
        incident: record.incident.id.clone(),
        // told because of the decision: it counts for no step of a policy, and nothing settles it before it is sent
        obligation: None,
        target,
        reason: Reason {
            policy: POLICY.into(),
            step: step.into(),
            repeat: u32::try_from(nth).unwrap_or(u32::MAX),
            due_at,
            coalesced: 0,
        },
        created_at: now,
        urgent_at: brief.conservative_due.unwrap_or(now + TimeDelta::days(1)),
        brief,
        ack_token: None,
        extra: Extra { note: Some(note), ..Extra::default() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_question_a_day_at_nine_by_the_entitys_clock() {
        let zone = Zone::named("Europe/Paris").expect("a zone");
        let waiver = Waiver {
            reason: "none".into(),
            by: "lea".into(),
            at: "2026-03-01T00:00:00Z".parse().expect("RFC 3339"),
            second_approver: None,
            approved_at: Some("2026-03-01T00:00:00Z".parse().expect("RFC 3339")),
            review_on: Some("2026-03-28".into()),
            reopen_when: Vec::new(),
        };
        let first = review_at(&waiver, zone).expect("a day");
        for (now, due, next) in [
            ("2026-03-28T07:59:59Z", None, "2026-03-28T08:00:00Z"),
            ("2026-03-28T08:00:00Z", Some(("2026-03-28T08:00:00Z", 0)), "2026-03-29T08:00:00Z"),
            ("2026-03-29T06:00:00Z", Some(("2026-03-28T08:00:00Z", 0)), "2026-03-29T08:00:00Z"),
            // the clock went forward in the night: the day began an hour of UTC earlier only the day after
            ("2026-03-30T07:00:00Z", Some(("2026-03-30T07:00:00Z", 2)), "2026-03-31T07:00:00Z"),
        ] {
            let at = |text: &str| text.parse::<Timestamp>().expect("RFC 3339");
            let (found, then) = days_since(first, zone, at(now));
            assert_eq!(found, due.map(|(t, n)| (at(t), n)), "{now}");
            assert_eq!(then, Some(at(next)), "{now}");
        }
        let pending = Waiver { approved_at: None, ..waiver };
        assert_eq!(review_at(&pending, zone), None);
    }

    #[test]
    fn words_are_words() {
        let words = |words: &[&str]| are_words("grounds", &words.iter().map(|w| w.to_string()).collect::<Vec<_>>());
        assert!(words(&["encrypted", "risk:unlikely", "1.25"]).is_ok());
        for wrong in ["", "two words", "Léa"] {
            assert!(words(&["fine", wrong]).is_err(), "{wrong}");
        }
    }
}
