//! What must hold, by a reckoning of its own: when each step falls due, who is on it, what silences it.

use super::net::Arrived;
use super::store::{NodeStore, Shared};
use breachclock::escalation::{DeliveryState, Sent, StepAt, Who};
use breachclock::law::IncidentId;
use breachclock::store::{Dossier, Query};
use breachclock::time::Timestamp;
use breachclock::workflow::{House, IncidentView, Settings};
use chrono::Duration;
use std::collections::{BTreeMap, BTreeSet};

/// A step may be later than its instant by this much while a node and the store are up.
const TOLERANCE: Duration = Duration::seconds(60);

/// One obligation as it stood from `from` until the next look.
#[derive(Clone, Debug)]
struct Stretch {
    from: Timestamp,
    started: Timestamp,
    limit: Timestamp,
    open: bool,
}

/// What really happened, noted from outside.
#[derive(Default)]
pub struct Truth {
    /// Stretches by incident and obligation.
    stretches: BTreeMap<(String, String), Vec<Stretch>>,
    known: BTreeSet<String>,
    /// When facts, acknowledgements or filings reached an incident.
    changes: BTreeSet<(String, Timestamp)>,
    settings: Option<Settings>,
    /// Spans in which nobody could have sent anything.
    outages: Vec<(Timestamp, Timestamp)>,
    crashes: Vec<Timestamp>,
    stepped_back: bool,
}

impl Truth {
    pub fn incidents(&self) -> Vec<String> {
        self.known.iter().cloned().collect()
    }

    pub fn some_open(&self, id: &str, roll: u64) -> Option<String> {
        let open: Vec<&String> = self
            .stretches
            .iter()
            .filter(|((incident, _), s)| incident == id && s.last().is_some_and(|s| s.open))
            .map(|((_, local), _)| local)
            .collect();
        (!open.is_empty()).then(|| open[(roll % open.len() as u64) as usize].clone())
    }

    pub fn look(&mut self, view: &IncidentView, dossier: &Dossier, settings: &Settings, now: Timestamp) {
        self.settings.get_or_insert_with(|| settings.clone());
        self.known.insert(view.id.clone());
        self.changes.insert((view.id.clone(), now));
        // a fact may have ended what stood before
        for ((_, local), stretches) in self.stretches.iter_mut().filter(|((incident, _), _)| *incident == view.id) {
            let is_there = view.obligations.iter().any(|o| o.law.id.ends_with(&format!("~{local}")));
            if let Some(last) = stretches.last().filter(|last| !is_there && last.open).cloned() {
                stretches.push(Stretch { from: now, open: false, ..last });
            }
        }
        let known_at: BTreeMap<&str, Timestamp> =
            dossier.record.tracked.iter().map(|t| (t.id.as_str(), t.known_at)).collect();
        let instant = |text: &Option<String>| text.as_deref().map(crate::support::at);
        for o in &view.obligations {
            let local = o.law.id.split_once('~').map_or("", |(_, local)| local).to_string();
            let started = o.law.started_by.as_ref().map(|s| crate::support::at(&s.at));
            let (Some(started), Some(limit)) = (started, instant(&o.law.conservative_due)) else { continue };
            let open = matches!(o.law.standing, "running" | "possible") && !o.law.unverified;
            let from = now.max(known_at.get(local.as_str()).copied().unwrap_or(now));
            self.stretches.entry((view.id.clone(), local)).or_default().push(Stretch { from, started, limit, open });
        }
    }

    pub fn passed(&mut self, from: Timestamp, until: Timestamp, up: bool) {
        if !up {
            self.outages.push((from, until));
        }
    }

    pub fn crash(&mut self, at: Timestamp) {
        self.crashes.push(at);
        // until the service manager has started it again, at least
        self.outages.push((at, at + Duration::seconds(6)));
    }

    pub fn clock_stepped(&mut self, from: Timestamp, to: Timestamp) {
        if to < from {
            self.stepped_back = true;
        } else {
            self.outages.push((from, to));
        }
    }

    /// Time between `from` and `until` in which nothing could be sent.
    fn down(&self, from: Timestamp, until: Timestamp) -> Duration {
        self.outages
            .iter()
            .map(|(a, b)| ((*b).min(until) - (*a).max(from)).max(Duration::zero()))
            .fold(Duration::zero(), |sum, span| sum + span)
    }
}

/// Checks everything. Answers how many steps it looked for.
pub async fn at_the_end<S: Shared>(
    house: &House<NodeStore<S>>,
    truth: &Truth,
    arrived: &[Arrived],
) -> Result<u64, String> {
    house.check_log().await?;
    let mut checked = 0;
    let mut entries: BTreeSet<String> = BTreeSet::new();
    let mut sent_by_incident: BTreeMap<&str, (Vec<Sent>, Dossier)> = BTreeMap::new();
    for id in &truth.known {
        let incident = IncidentId(id.clone());
        let dossier = house.store.inner.dossier(&incident).await.map_err(|e| e.to_string())?;
        sent_by_incident.insert(id, (dossier.sent.clone(), dossier));
    }
    // also of incidents whose report was kept when the process died, so that nobody got their id
    let every = Query { limit: u32::MAX, ..Query::default() };
    for dossier in house.store.inner.list(every).await.map_err(|e| e.to_string())? {
        let id = &dossier.record.incident.id.0;
        for entry in house.store.inner.stream(id).await.map_err(|e| e.to_string())? {
            let text = String::from_utf8_lossy(&entry.bytes).into_owned();
            if text.contains("messages.queued") || text.contains("incident.reported") {
                for part in text.split("\"key\":\"").skip(1) {
                    entries.insert(part.split('"').next().unwrap_or_default().to_string());
                }
            }
        }
    }
    arrivals(truth, arrived, &entries)?;
    for (id, (sent, dossier)) in &sent_by_incident {
        lateness(truth, id, sent)?;
        after_the_filing(id, dossier, arrived)?;
        alarms(id, dossier, truth)?;
        for ((_, local), stretches) in truth.stretches.iter().filter(|((incident, _), _)| incident == id) {
            if !truth.stepped_back {
                checked += steps(truth, local, stretches, sent, dossier)?;
            }
        }
    }
    Ok(checked)
}

/// Each arrival has an entry and a reason, and more than one of the same key only where a process died or lost its answer.
fn arrivals(truth: &Truth, arrived: &[Arrived], entries: &BTreeSet<String>) -> Result<(), String> {
    let mut count: BTreeMap<&str, u64> = BTreeMap::new();
    for one in arrived {
        let message = &one.message;
        if !entries.contains(&message.key) {
            return Err(format!("`{}` was sent without an entry", message.key));
        }
        if message.reason.step.is_empty() || message.reason.policy.is_empty() {
            return Err(format!("`{}` was sent without a reason", message.key));
        }
        *count.entry(&message.key).or_default() += 1;
    }
    // a full disk refuses the settlement of what was sent, a crash loses it
    let excused = truth.crashes.len() as u64 + truth.outages.len() as u64;
    for (key, n) in count {
        if n > 1 + excused {
            return Err(format!("`{key}` was sent {n} times with {excused} faults to excuse it"));
        }
    }
    Ok(())
}

/// No message was decided later than its step by more than the tolerance and the outages in between.
fn lateness(truth: &Truth, id: &str, sent: &[Sent]) -> Result<(), String> {
    for one in sent {
        let (due, decided) = (one.message.reason.due_at, one.message.created_at);
        let late = decided - due - truth.down(due, decided);
        // quiet hours hold back what they may
        let held = matches!(one.message.extra.quiet, Some(breachclock::escalation::Quiet::Deferred { .. }));
        // a fact that moves the schedule makes steps due that lie behind
        let changed = truth.changes.contains(&(id.to_string(), decided));
        // who goes off duty is back on the repeats of an earlier step
        let rotas = truth.settings.iter().flat_map(|s| &s.directory.rotas);
        let handed_over = rotas.filter_map(|rota| rota.turn(decided).0).any(|at| at > due && decided - at < TOLERANCE);
        if late > TOLERANCE && !held && !changed && !handed_over && !truth.stepped_back {
            return Err(format!(
                "`{}` was due at {due} and decided at {decided}, {} s late",
                one.message.key,
                late.num_seconds()
            ));
        }
        let done = matches!(
            one.state,
            DeliveryState::HandedOver | DeliveryState::Failed | DeliveryState::Withdrawn | DeliveryState::Acknowledged
        );
        if !done {
            return Err(format!(
                "`{}` is still {} after half a day without any fault",
                one.message.key,
                one.state.as_str()
            ));
        }
    }
    Ok(())
}

/// Nothing is sent about an obligation after its filing was accepted.
fn after_the_filing(id: &str, dossier: &Dossier, arrived: &[Arrived]) -> Result<(), String> {
    for (local, act) in &dossier.record.acts {
        let Some(filed) = act.filings.iter().map(|f| f.recorded_at).min() else { continue };
        for one in arrived.iter().filter(|a| a.message.incident.0 == id && a.at > filed) {
            let reminds = !one.message.event.as_str().starts_with("obligation.d")
                && !one.message.event.as_str().starts_with("incident")
                && !one.message.event.as_str().starts_with("delivery");
            let about = one.message.obligation.as_deref() == Some(local)
                || one.message.brief.also.iter().any(|a| a.obligation == *local);
            if reminds && about && one.message.created_at < filed {
                return Err(format!("`{}` arrived at {} about `{local}`, filed at {filed}", one.message.key, one.at));
            }
        }
    }
    Ok(())
}

/// An incident with an open dated obligation has an alarm.
fn alarms(id: &str, dossier: &Dossier, truth: &Truth) -> Result<(), String> {
    let open = truth.stretches.iter().any(|((incident, _), s)| incident == id && s.last().is_some_and(|s| s.open));
    if open && dossier.record.incident.closed_at.is_none() && dossier.wake_at.is_none() {
        return Err(format!("incident {id} has an open obligation and no alarm"));
    }
    Ok(())
}

/// Looks for the message of every step that fell due while its obligation was open and nobody held it.
fn steps(truth: &Truth, local: &str, stretches: &[Stretch], sent: &[Sent], dossier: &Dossier) -> Result<u64, String> {
    let settings = truth.settings.as_ref().expect("looked at");
    let (policy, directory) = (&settings.policies[0], &settings.directory);
    let act = dossier.record.acts.get(local);
    let declined = act.is_some_and(|act| !act.declined.is_empty());
    let mut checked = 0;
    for (n, stretch) in stretches.iter().enumerate().filter(|(_, s)| s.open) {
        let until = stretches.get(n + 1).map_or(Timestamp::MAX_UTC, |next| next.from);
        let window = (stretch.limit - stretch.started).num_seconds().max(0);
        for step in &policy.steps {
            let at = match step.at {
                StepAt::Start(seconds) => stretch.started + Duration::seconds(seconds),
                StepAt::Due(seconds) => (stretch.limit + Duration::seconds(seconds)).max(if seconds < 0 {
                    stretch.started
                } else {
                    stretch.limit
                }),
                StepAt::Share(percent) => stretch.started + Duration::seconds(window * i64::from(percent) / 100),
            };
            // what lay behind when the stretch began is coalesced; a declined one may be pulled forward
            if at <= stretch.from || declined {
                continue;
            }
            let mut latest = at + TOLERANCE;
            let quiet = policy.quiet_hours.and_then(|quiet| quiet.end_of(at));
            if let Some(end) = quiet
                && at < stretch.limit
                && end + Duration::seconds((window / 4).max(4 * 3600)) <= stretch.limit
            {
                latest = end + TOLERANCE;
            }
            for (from, to) in &truth.outages {
                if *from <= latest && latest <= *to + TOLERANCE {
                    latest = *to + TOLERANCE;
                }
            }
            // the outages before it may add up to more than one
            latest += truth.down(at, latest);
            // the next stretch, or the end of the run, came before it had to be told
            if latest >= until || latest > super::net::now() {
                continue;
            }
            let leases = act.map(|act| act.acknowledgements.as_slice()).unwrap_or_default();
            if leases.iter().any(|l| l.at <= latest && at < l.until) {
                continue;
            }
            for who in &step.notify {
                let person = match who {
                    Who::Person(id) => id.as_str(),
                    Who::Role(role) => match directory.people.iter().find(|p| p.roles.contains(role)) {
                        Some(person) => person.id.as_str(),
                        None => continue,
                    },
                    // the rota's own hand-over is a scenario of its own
                    _ => continue,
                };
                if at > super::net::now() - Duration::minutes(5) {
                    continue;
                }
                checked += 1;
                let told = sent.iter().any(|s| {
                    let message = &s.message;
                    let about = message.obligation.as_deref() == Some(local)
                        || message.brief.also.iter().any(|a| a.obligation == local);
                    about
                        && message.target.person() == Some(person)
                        && message.created_at >= at
                        && message.created_at <= latest
                });
                if !told {
                    return Err(format!(
                        "step `{}` of `{local}` was due at {at}, and {person} was not told until {latest}; told: {:?}",
                        step.name,
                        sent.iter()
                            .filter(|s| s.message.target.person() == Some(person))
                            .map(|s| format!(
                                "{} {} {} {}",
                                s.message.created_at.format("%d %H:%M:%S"),
                                s.message.reason.step,
                                s.message.obligation.as_deref().unwrap_or("-"),
                                s.state.as_str()
                            ))
                            .collect::<Vec<_>>()
                    ));
                }
            }
        }
    }
    Ok(checked)
}
