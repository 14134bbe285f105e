//! Obligations of one incident decide over each other: one filing under several limits, "with" and "before", shared clocks,
//! stages that wait for an earlier one.

use super::book::Rulebook;
use super::clock::{self, Parties};
use super::condition::{Condition, Truth};
use super::plan::Candidate;
use crate::law::{Combination, Deadline, Duty, DutyId, FactBook, Incident, Order, Place, Standing, Started, Trigger};
use crate::time::{Period, Timestamp};
use std::collections::BTreeMap;

impl Rulebook {
    /// One filing under several limits becomes one obligation under the first id.
    pub(super) fn compose(&self, candidates: &mut Vec<Candidate>) {
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
    pub(super) fn relate(&self, candidates: &mut [Candidate]) {
        let depth = |duty: usize| self.depth_of(duty, 0);
        let deepest = candidates.iter().map(|c| depth(c.duty)).max().unwrap_or(0);
        // a duty may stand in relation to one that itself stands in relation to a third: the latter first
        for level in 1..=deepest {
            self.relate_level(candidates, |duty| depth(duty) == level);
        }
    }

    /// How many relations lie between a duty and one that stands by itself.
    fn depth_of(&self, duty: usize, seen: usize) -> usize {
        let Some(relative) = &self.duties[duty].relative else { return 0 };
        if seen > 4 {
            return 1;
        }
        let others = relative.to.iter().filter_map(|id| self.by_id.get(id));
        1 + others.map(|&at| self.depth_of(at, seen + 1)).max().unwrap_or(0)
    }

    fn relate_level(&self, candidates: &mut [Candidate], at_level: impl Fn(usize) -> bool) {
        let named: Vec<&DutyId> = candidates
            .iter()
            .filter(|c| at_level(c.duty))
            .filter_map(|c| self.duties[c.duty].relative.as_ref())
            .flat_map(|relative| &relative.to)
            .collect();
        let limits: BTreeMap<(DutyId, Place), (Option<Timestamp>, Option<Deadline>)> = candidates
            .iter()
            .filter(|c| named.contains(&&c.obligation.duty))
            .map(|c| {
                (
                    (c.obligation.duty.clone(), c.obligation.jurisdiction.clone()),
                    (c.filed.as_ref().map(|f| f.at), c.deadline.clone()),
                )
            })
            .collect();
        for candidate in candidates.iter_mut().filter(|c| at_level(c.duty)) {
            let duty = &self.duties[candidate.duty];
            let Some(relative) = &duty.relative else { continue };
            let others = relative.to.iter().filter_map(|id| {
                limits
                    .get(&(id.clone(), candidate.obligation.jurisdiction.clone()))
                    .or_else(|| limits.iter().find(|((d, _), _)| d == id).map(|(_, l)| l))
            });
            let words = match relative.order {
                Order::With => "together with",
                Order::Before => "before",
                Order::NotAfter => "no later than",
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

    /// Clocks that start at the limit of another duty, performed or not.
    pub(super) fn start_at_limits(
        &self,
        candidates: &mut [Candidate],
        incident: &Incident,
        now: Timestamp,
        parties: &Parties,
    ) {
        for at in 0..candidates.len() {
            let agreed = candidates[at].agreed.clone();
            let duty = agreed.as_deref().unwrap_or(&self.duties[candidates[at].duty]);
            let Trigger::Due(ids) = &duty.starts else { continue };
            let place = candidates[at].obligation.jurisdiction.clone();
            let seat = candidates[at].seat.clone();
            let of = |c: &&Candidate| {
                ids.contains(&c.obligation.duty) || c.obligation.combines.iter().any(|id| ids.contains(id))
            };
            let others: Vec<&Candidate> = candidates.iter().filter(of).collect();
            let other = others.iter().find(|c| c.obligation.jurisdiction == place).or(others.first());
            let Some((limit, cautious, sure, by)) = other.and_then(|c| {
                let limit = c.deadline.as_ref()?;
                Some((limit.due, limit.conservative_due, c.applies == Truth::Yes, c.obligation.started_by.clone()?))
            }) else {
                continue;
            };
            let Some((period, row)) = duty.periods.iter().find_map(|p| Some((p.period?, p.convention?))) else {
                continue;
            };
            let record = self.convention(row);
            // a limit is exclusive: the last instant inside it is the one that has a date
            let count = |limit: Timestamp| {
                clock::count(self, record, period, limit - chrono::Duration::microseconds(1), duty, &seat, parties)
            };
            let (Ok(counted), Ok(early)) = (count(limit), count(cautious)) else { continue };
            let conservative_due = counted.conservative_due.min(early.conservative_due);
            let candidate = &mut candidates[at];
            let because = &mut candidate.obligation.because;
            let mut deadline = Deadline { conservative_due, ..counted };
            self.read_carefully(duty, &incident.facts, period, row, &place, parties, &mut deadline, because);
            candidate.deadline = Some(deadline);
            candidate.obligation.held =
                self.hold(duty, incident, &place, parties, now, &mut candidate.deadline, because);
            candidate.started = true;
            candidate.obligation.convention = Some(record.id.clone());
            candidate.obligation.started_by = Some(Started { key: format!("due:{}", ids[0]), at: limit, ..by });
            if !sure && candidate.applies == Truth::Yes {
                candidate.applies = Truth::Unknown;
            }
        }
    }

    /// Lowers the conservative limit where the start is read in two ways.
    #[expect(clippy::too_many_arguments, reason = "a count and everything it depends on")]
    pub(super) fn read_carefully(
        &self,
        duty: &Duty<Condition>,
        facts: &FactBook,
        period: Period,
        row: u16,
        place: &Place,
        parties: &Parties,
        deadline: &mut Deadline,
        because: &mut Vec<String>,
    ) {
        if let Some(key) = &duty.conservative_starts
            && let Some(at) = facts.instant(key)
            && let Ok(counted) = clock::count(self, self.convention(row), period, at, duty, place, parties)
            && counted.conservative_due < deadline.conservative_due
        {
            deadline.conservative_due = counted.conservative_due;
            because.push(format!("the earliest defensible reading counts from `{key}`"));
        }
    }

    pub(super) fn share_clocks(&self, candidates: &mut [Candidate]) {
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
    pub(super) fn project(&self, candidates: &mut [Candidate], now: Timestamp, parties: &Parties) {
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
                let ids = self.acts_of(&candidate.duty(self).starts);
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
                let duty = candidate.duty(self);
                let Some((period, row)) = duty.periods.iter().find_map(|p| Some((p.period?, p.convention?))) else {
                    continue;
                };
                let counted =
                    clock::count(self, self.convention(row), period, act_at, duty, &candidate.seat, parties).ok();
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
    // a bound of either is one of both, unless the later limit counts
    if !latest && let Some((due, careful)) = member.obligation.bound {
        let (due, careful) = head.obligation.bound.map_or((due, careful), |(d, c)| (d.min(due), c.min(careful)));
        head.obligation.bound = Some((due, careful));
        if matches!(head.obligation.standing, Standing::Awaiting { .. } | Standing::NotApplicable) {
            head.obligation.standing =
                Standing::Awaiting { projected_due: Some(due), projected_conservative: Some(careful) };
        }
    }
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
