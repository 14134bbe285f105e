//! What an exercise showed: who got what when by which way, what was late, who acknowledged after how long, who never
//! heard of it, which deadlines were met. A pure function of what the house kept.

use super::{Answered, Caller, House};
use crate::escalation::readiness::people_of;
use crate::escalation::{DeliveryState, Directory, EscalationPolicy, Quiet, Sent, Step, Target};
use crate::law::IncidentId;
use crate::rules::utc;
use crate::store::{Record, Store};
use crate::time::Timestamp;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A step counts as late only when it was late in real time as well: a mail takes a moment, however fast time passes.
const LATE_SECONDS: i64 = 120;
const LATE_WALL_SECONDS: i64 = 2;

/// One instant in both times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moment {
    pub at: String,
    pub wall: String,
}

/// A length in both times, seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Length {
    pub seconds: i64,
    pub wall_seconds: f64,
}

#[derive(Clone, Debug, Serialize)]
pub struct DrillReport {
    pub drill: bool,
    /// Every step reached somebody and no message failed.
    pub ok: bool,
    /// Why it is not.
    pub faults: Vec<String>,
    pub incident: String,
    pub title: String,
    pub entity: String,
    pub zone: String,
    pub origin: String,
    pub speed: u32,
    pub started: Moment,
    pub ended: Moment,
    /// Ended before its scenario did.
    pub interrupted: bool,
    pub deadlines: Vec<DeadlineRow>,
    pub steps: Vec<StepRow>,
    pub people: Vec<PersonRow>,
    /// Names in the policy who were told nothing that got through.
    pub never_reached: Vec<String>,
    /// Who was told and did not answer.
    pub never_acknowledged: Vec<String>,
    pub messages: Vec<MessageRow>,
    /// What the scenario could not do, and why.
    pub notes: Vec<String>,
    /// Entries of the exercise's own evidence log, and whether it was found whole.
    pub log_entries: u64,
    pub log_whole: bool,
}

#[derive(Clone, Debug, Serialize)]
pub struct DeadlineRow {
    pub obligation: String,
    pub title: String,
    pub due: String,
    pub conservative_due: String,
    pub filed: Option<Moment>,
    /// met | met after the conservative limit | missed | running
    pub outcome: &'static str,
}

#[derive(Clone, Debug, Serialize)]
pub struct StepRow {
    pub obligation: String,
    pub step: String,
    pub due: Moment,
    pub first_sent: Moment,
    /// How long after it was due, and after quiet hours if these held it, its first message got through; none when it
    /// was in time.
    pub late: Option<Length>,
    pub messages: usize,
    pub told: Vec<String>,
    /// Somebody or some place got it.
    pub reached: bool,
}

#[derive(Clone, Debug, Serialize)]
pub struct PersonRow {
    pub id: String,
    pub name: String,
    pub messages: usize,
    /// Messages that got through.
    pub delivered: usize,
    pub first: Option<Moment>,
    pub answers: Vec<AnswerRow>,
}

#[derive(Clone, Debug, Serialize)]
pub struct AnswerRow {
    pub obligation: String,
    /// acknowledged | declined
    pub what: &'static str,
    pub at: Moment,
    /// After the first message about it that got through to them.
    pub after: Option<Length>,
}

#[derive(Clone, Debug, Serialize)]
pub struct MessageRow {
    pub sent: Moment,
    pub to: String,
    pub way: String,
    pub event: &'static str,
    pub obligation: Option<String>,
    pub step: String,
    pub repeat: u32,
    pub after: Option<String>,
    pub state: &'static str,
    pub attempts: u32,
    /// From the decision until the next hop had it, or it failed.
    pub settled_after: Option<Length>,
    pub detail: Option<String>,
}

/// Everything the report is made of.
pub struct Played<'p> {
    pub record: &'p Record,
    pub sent: &'p [Sent],
    pub directory: &'p Directory,
    /// The policies that served its obligations.
    pub policies: Vec<&'p EscalationPolicy>,
    /// Titles of duties by id of the obligation.
    pub titles: BTreeMap<String, String>,
    pub origin: &'p str,
    pub speed: u32,
    pub started: Timestamp,
    pub ended: Timestamp,
    pub interrupted: bool,
    pub notes: Vec<String>,
    pub log_entries: u64,
    /// What is wrong with the log, if anything is.
    pub log_fault: Option<String>,
    pub wall: fn(Timestamp) -> Timestamp,
}

impl<S: Store> House<S> {
    /// The report of an exercise about `incident`; `ended` is where its time stands.
    pub async fn drill_report(
        &self,
        incident: &str,
        speed: u32,
        started: Timestamp,
        ended: Timestamp,
        interrupted: bool,
        notes: Vec<String>,
    ) -> Answered<DrillReport> {
        let dossier = self.dossier(&Caller::system(), incident).await?;
        let mut sent = self.store.sent(&IncidentId(incident.to_string()), u32::MAX).await?;
        sent.sort_by_key(|s| s.message.created_at);
        let (book, record) = (self.book(), &dossier.record);
        let mut policies: Vec<&EscalationPolicy> = Vec::new();
        let mut titles = BTreeMap::new();
        for tracked in &record.tracked {
            let duty = tracked.id.rsplit_once('@').map_or(tracked.id.as_str(), |(duty, _)| duty);
            let title = book.duty(duty).map_or_else(|| duty.to_string(), |d| d.title.clone());
            titles.insert(tracked.id.clone(), title);
            let policy = self.policy_for(&record.incident, &crate::law::DutyId(duty.to_string()));
            let is_told = sent.iter().any(|s| s.message.reason.policy == policy.id);
            if is_told && !policies.iter().any(|p| p.id == policy.id) {
                policies.push(policy);
            }
        }
        let log_fault = self.check_log().await.err();
        let log_entries = self.store.head().await?.size;
        Ok(drill_report(&Played {
            record,
            sent: &sent,
            directory: &self.settings.directory,
            policies,
            titles,
            origin: &self.settings.origin,
            speed,
            started,
            ended,
            interrupted,
            notes,
            log_entries,
            log_fault,
            wall: self.settings.drill.map_or(|at| at, |drill| drill.wall),
        }))
    }
}

/// The report.
pub fn drill_report(played: &Played<'_>) -> DrillReport {
    let incident = &played.record.incident;
    let (steps, people) = (played.steps(), played.people());
    let named: BTreeSet<String> = played.policies.iter().flat_map(|p| people_of(&p.steps, played.directory)).collect();
    let reached = |id: &String| people.iter().any(|p| p.id == *id && p.delivered > 0);
    let name = |id: &String| played.directory.person(id).map_or_else(|| id.clone(), |p| p.name.clone());
    let mut faults: Vec<String> = steps
        .iter()
        .filter(|s| !s.reached)
        .map(|s| format!("step `{}` of {} reached nobody", s.step, s.obligation))
        .collect();
    if played.sent.is_empty() {
        faults.push("nothing was sent".to_string());
    }
    faults.extend(played.sent.iter().filter_map(|sent| {
        let (what, why) = match sent.state {
            DeliveryState::Failed => ("failed", sent.detail.clone().unwrap_or_default()),
            DeliveryState::Queued => ("was not delivered by the end", sent.detail.clone().unwrap_or_default()),
            _ => return None,
        };
        let why = if why.is_empty() { why } else { format!(": {why}") };
        Some(format!("the message to {} at {} {what}{why}", sent.message.target.label(), utc(sent.message.created_at)))
    }));
    faults.extend(played.log_fault.clone());
    DrillReport {
        drill: true,
        ok: faults.is_empty(),
        faults,
        incident: incident.id.0.clone(),
        title: incident.title.clone(),
        entity: incident.entity.name.clone(),
        zone: incident.entity.zone.map_or("UTC", |z| z.name()).to_string(),
        origin: played.origin.to_string(),
        speed: played.speed,
        started: played.moment(played.started),
        ended: played.moment(played.ended),
        interrupted: played.interrupted,
        deadlines: played.deadlines(),
        never_reached: named.iter().filter(|id| !reached(id)).map(name).collect(),
        never_acknowledged: people
            .iter()
            .filter(|p| p.delivered > 0 && p.answers.is_empty())
            .map(|p| p.name.clone())
            .collect(),
        messages: played.sent.iter().map(|sent| played.message(sent)).collect(),
        notes: played.notes.clone(),
        log_entries: played.log_entries,
        log_whole: played.log_fault.is_none(),
        steps,
        people,
    }
}

/// The next hop has it, or somebody has seen it.
fn got_through(sent: &Sent) -> bool {
    !matches!(sent.state, DeliveryState::Queued | DeliveryState::Failed)
}

impl Played<'_> {
    fn moment(&self, at: Timestamp) -> Moment {
        let millis = |at: Timestamp| at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        Moment { at: utc(at), wall: millis((self.wall)(at)) }
    }

    fn length(&self, from: Timestamp, until: Timestamp) -> Length {
        let wall = (self.wall)(until) - (self.wall)(from);
        Length { seconds: (until - from).num_seconds(), wall_seconds: wall.num_milliseconds() as f64 / 1000.0 }
    }

    fn deadlines(&self) -> Vec<DeadlineRow> {
        let mut rows: Vec<(Timestamp, DeadlineRow)> = Vec::new();
        for tracked in &self.record.tracked {
            let (Some(due), Some(conservative)) = (tracked.due, tracked.conservative_due) else { continue };
            let filings = self.record.acts.get(&tracked.id).map(|act| act.filings.as_slice()).unwrap_or_default();
            let filed = filings.iter().map(|f| f.at).min();
            let outcome = match filed {
                Some(at) if at < conservative => "met",
                Some(at) if at < due => "met after the conservative limit",
                Some(_) => "missed",
                None if self.ended >= due => "missed",
                None => "running",
            };
            let row = DeadlineRow {
                obligation: tracked.id.clone(),
                title: self.titles.get(&tracked.id).cloned().unwrap_or_default(),
                due: utc(due),
                conservative_due: utc(conservative),
                filed: filed.map(|at| self.moment(at)),
                outcome,
            };
            rows.push((conservative, row));
        }
        rows.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.obligation.cmp(&b.1.obligation)));
        rows.into_iter().map(|(_, row)| row).collect()
    }

    /// Steps of which anything was sent, in the order of their first message.
    fn steps(&self) -> Vec<StepRow> {
        let mut groups: Vec<((&str, &str), Vec<&Sent>)> = Vec::new();
        for sent in self.sent {
            let message = &sent.message;
            let policy = self.policies.iter().find(|p| p.id == message.reason.policy);
            let step = policy.and_then(|p| p.steps.iter().find(|s| s.name == message.reason.step));
            let (Some(step), Some(obligation)) = (step, message.obligation.as_deref()) else { continue };
            // the copy for a receiver of events reaches nobody whom the step names
            if matches!(message.target, Target::Webhook { .. }) && !self.names(step, sent) {
                continue;
            }
            let key = (obligation, message.reason.step.as_str());
            match groups.iter_mut().find(|(known, _)| *known == key) {
                Some((_, all)) => all.push(sent),
                None => groups.push((key, vec![sent])),
            }
        }
        groups.into_iter().map(|((obligation, step), all)| self.step(obligation, step, &all)).collect()
    }

    fn names(&self, step: &Step, sent: &Sent) -> bool {
        let at = sent.message.created_at;
        let ladders = step.notify.iter().flat_map(|who| self.directory.ladders(who, &step.channels, at));
        ladders.into_iter().any(|ladder| ladder.rungs.contains(&sent.message.target))
    }

    fn step(&self, obligation: &str, step: &str, all: &[&Sent]) -> StepRow {
        let first = all.iter().min_by_key(|s| s.message.created_at).expect("a group has a message");
        let due = first.message.reason.due_at;
        let wanted = match &first.message.extra.quiet {
            Some(Quiet::Deferred { until, .. }) => due.max(*until),
            _ => due,
        };
        let through: Vec<&&Sent> = all.iter().filter(|s| got_through(s)).collect();
        let had = through.iter().map(|s| s.settled_at.unwrap_or(s.message.created_at)).min();
        let late = had.map(|had| self.length(wanted, had));
        let told: BTreeSet<String> = through.iter().map(|s| s.message.target.name()).collect();
        StepRow {
            obligation: obligation.to_string(),
            step: step.to_string(),
            due: self.moment(due),
            first_sent: self.moment(first.message.created_at),
            late: late.filter(|l| l.seconds > LATE_SECONDS && l.wall_seconds > LATE_WALL_SECONDS as f64),
            messages: all.len(),
            told: told.into_iter().collect(),
            reached: !through.is_empty(),
        }
    }

    fn people(&self) -> Vec<PersonRow> {
        let mut rows = Vec::new();
        for person in &self.directory.people {
            let theirs: Vec<&Sent> =
                self.sent.iter().filter(|s| s.message.target.person() == Some(person.id.as_str())).collect();
            let answers = self.answers(&person.id, &person.name, &theirs);
            if theirs.is_empty() && answers.is_empty() {
                continue;
            }
            rows.push(PersonRow {
                id: person.id.clone(),
                name: person.name.clone(),
                messages: theirs.len(),
                delivered: theirs.iter().filter(|s| got_through(s)).count(),
                first: theirs
                    .iter()
                    .filter(|s| got_through(s))
                    .map(|s| s.message.created_at)
                    .min()
                    .map(|at| self.moment(at)),
                answers,
            });
        }
        rows
    }

    fn answers(&self, id: &str, name: &str, theirs: &[&Sent]) -> Vec<AnswerRow> {
        let is_them = |by: &str| by == name || by == id;
        let mut found: Vec<(Timestamp, AnswerRow)> = Vec::new();
        for (obligation, act) in &self.record.acts {
            let about = |s: &&&Sent| {
                let message = &s.message;
                message.obligation.as_deref() == Some(obligation)
                    || message.brief.also.iter().any(|also| also.obligation == *obligation)
            };
            let told = theirs.iter().filter(about).filter(|s| got_through(s)).map(|s| s.message.created_at).min();
            let mut push = |what: &'static str, at: Timestamp| {
                let after = told.filter(|told| *told <= at).map(|told| self.length(told, at));
                let row = AnswerRow { obligation: obligation.clone(), what, at: self.moment(at), after };
                found.push((at, row));
            };
            act.acknowledgements.iter().filter(|a| is_them(&a.by)).for_each(|a| push("acknowledged", a.at));
            act.declined.iter().filter(|(by, _)| is_them(by)).for_each(|(_, at)| push("declined", *at));
        }
        found.sort_by_key(|(at, _)| *at);
        found.into_iter().map(|(_, row)| row).collect()
    }

    fn message(&self, sent: &Sent) -> MessageRow {
        let message = &sent.message;
        MessageRow {
            sent: self.moment(message.created_at),
            to: message.target.name(),
            way: message.target.label(),
            event: message.event.as_str(),
            obligation: message.obligation.clone(),
            step: message.reason.step.clone(),
            repeat: message.reason.repeat,
            after: message.extra.after.clone(),
            state: sent.state.as_str(),
            attempts: sent.attempts,
            settled_after: sent.settled_at.map(|at| self.length(message.created_at, at)),
            detail: sent.detail.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::escalation::{Event, Extra, Message, Person, Reason, StepAt, Target, Who};
    use crate::law::{Acknowledgement, Act, Entity, FactBook, Filing, Incident};
    use crate::store::Tracked;
    use chrono::Duration;

    fn start() -> Timestamp {
        "2026-03-27T12:00:00Z".parse().expect("RFC 3339")
    }

    fn hours(n: i64) -> Timestamp {
        start() + Duration::hours(n)
    }

    /// A thousandth of the time, from noon on.
    fn wall(at: Timestamp) -> Timestamp {
        start() + (at - start()) / 1000
    }

    fn step(name: &str, people: &[&str]) -> Step {
        Step {
            name: name.into(),
            at: StepAt::parse(name).expect("a step"),
            notify: people.iter().map(|p| Who::Person((*p).to_string())).collect(),
            channels: Vec::new(),
            repeat: None,
            needs: Vec::new(),
            lease_seconds: 3600,
        }
    }

    /// A message of `step` to `to` that was due at hour `due` and settled `settled` seconds after it was decided on time.
    fn sent(step: &str, to: &str, due: i64, state: DeliveryState, settled: i64) -> Sent {
        let target = match to {
            "soc" => Target::Webhook { id: to.into() },
            _ => Target::Email { person: to.into(), name: to.to_uppercase(), address: format!("{to}@x.example") },
        };
        let record = incident();
        let message = Message {
            key: format!("{step}/{to}"),
            event: Event::ReminderDue,
            incident: record.id.clone(),
            obligation: Some("duty@XX".into()),
            target,
            reason: Reason { policy: "default".into(), step: step.into(), repeat: 0, due_at: hours(due), coalesced: 0 },
            created_at: hours(due),
            urgent_at: hours(72),
            brief: crate::workflow::intake::brief(&crate::rules::builtin().expect("loads"), &record, None),
            ack_token: None,
            extra: Extra { drill: true, ..Extra::default() },
        };
        let settled_at = Some(hours(due) + Duration::seconds(settled));
        Sent { message: message.into(), state, attempts: 1, settled_at, detail: None }
    }

    fn incident() -> Incident {
        Incident {
            id: IncidentId("inc-1".into()),
            title: "DRILL: x".into(),
            entity: Entity::default(),
            source: None,
            reference: None,
            opened_at: start(),
            opened_by: "drill".into(),
            closed_at: None,
            facts: FactBook::default(),
        }
    }

    fn report(sent: &[Sent], act: Act, ended: i64) -> DrillReport {
        let tracked = Tracked {
            id: "duty@XX".into(),
            standing: "running".into(),
            due: Some(hours(73)),
            conservative_due: Some(hours(72)),
            known_at: start(),
        };
        let acts = BTreeMap::from([("duty@XX".to_string(), act)]);
        let record = Record { incident: incident(), tracked: vec![tracked], acts, rulebook: [0; 32], kept: Vec::new() };
        let person = |id: &str| Person { id: id.into(), name: id.to_uppercase(), ..Person::default() };
        let directory = Directory { people: ["lea", "ines", "paul"].map(person).to_vec(), ..Directory::default() };
        let steps = vec![step("start", &["lea"]), step("50%", &["ines"]), step("due", &["paul"])];
        let policy = EscalationPolicy::new("default", steps);
        drill_report(&Played {
            record: &record,
            sent,
            directory: &directory,
            policies: vec![&policy],
            titles: BTreeMap::new(),
            origin: "x/drill",
            speed: 1000,
            started: start(),
            ended: hours(ended),
            interrupted: false,
            notes: Vec::new(),
            log_entries: 3,
            log_fault: None,
            wall,
        })
    }

    #[test]
    fn deadlines() {
        let filed = |hour: i64| Filing {
            at: hours(hour),
            by: "lea".into(),
            recorded_at: hours(hour),
            reference: None,
            proof: None,
            complete: true,
            note: None,
        };
        for (filings, ended, wanted) in [
            (vec![filed(71)], 80, "met"),
            (vec![filed(72)], 80, "met after the conservative limit"),
            (vec![filed(73)], 80, "missed"),
            (vec![], 73, "missed"),
            (vec![], 72, "running"),
        ] {
            let report = report(&[], Act { filings, ..Act::default() }, ended);
            assert_eq!(report.deadlines[0].outcome, wanted, "{ended}");
            assert!(!report.ok, "nothing was sent");
        }
    }

    #[test]
    fn who_got_it_who_answered_and_who_never_heard() {
        use DeliveryState::*;
        let all = [
            sent("start", "lea", 0, Acknowledged, 1),
            sent("start", "soc", 0, HandedOver, 1),
            sent("50%", "ines", 36, HandedOver, 3 * 3600),
        ];
        let act = Act {
            acknowledgements: vec![Acknowledgement { by: "LEA".into(), role: None, at: hours(2), until: hours(3) }],
            declined: vec![("ines".into(), hours(40))],
            ..Act::default()
        };
        let report = report(&all, act, 60);
        assert!(report.ok, "{:?}", report.faults);
        assert_eq!(report.never_reached, ["PAUL"]);
        assert_eq!(report.never_acknowledged, [] as [&str; 0]);
        let [lea, ines] = report.people.as_slice() else { panic!("{:?}", report.people) };
        let answer = &lea.answers[0];
        assert_eq!(answer.what, "acknowledged");
        assert_eq!(answer.after, Some(Length { seconds: 7200, wall_seconds: 7.2 }));
        assert_eq!(answer.at.wall, "2026-03-27T12:00:07.200Z");
        assert_eq!((ines.answers[0].what, ines.answers[0].after.map(|l| l.seconds)), ("declined", Some(4 * 3600)));
        // three hours late is late also in real time: ten seconds
        let lates: Vec<bool> = report.steps.iter().map(|s| s.late.is_some()).collect();
        assert_eq!(lates, [false, true]);
        assert_eq!(report.messages.len(), 3);
    }

    #[test]
    fn a_step_that_reached_nobody_is_a_fault_whatever_the_receivers_of_events_got() {
        use DeliveryState::*;
        for (state, words) in [(Failed, "failed"), (Queued, "was not delivered by the end")] {
            let all = [sent("start", "lea", 0, state, 1), sent("start", "soc", 0, HandedOver, 1)];
            let report = report(&all, Act::default(), 60);
            assert_eq!(report.faults.len(), 2, "{:?}", report.faults);
            assert!(report.faults[0].contains("step `start` of duty@XX reached nobody"), "{:?}", report.faults);
            assert!(report.faults[1].contains("email:lea") && report.faults[1].contains(words), "{:?}", report.faults);
            assert_eq!(report.never_reached, ["INES", "LEA", "PAUL"]);
        }
    }
}
