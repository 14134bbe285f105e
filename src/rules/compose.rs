//! Obligations of one incident decide over each other: one filing under several limits, and stages that wait for an
//! earlier one. Dates that another obligation gives stand in `depend`.

use super::book::Rulebook;
use super::clock::{self, Parties};
use super::condition::Truth;
use super::plan::{Candidate, push_new};
use super::trigger;
use crate::law::{DutyId, Place, Standing, Started};
use crate::time::Timestamp;
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
                Some(&at) => self.join(&mut composed[at], candidate, group.latest),
            }
        }
        *candidates = composed;
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
                let ids = self.acts_of(&candidate.duty(self).starts, &candidate.obligation.jurisdiction);
                let awaited = candidates
                    .iter()
                    .filter(|c| {
                        ids.contains(&c.obligation.duty) || c.obligation.combines.iter().any(|d| ids.contains(d))
                    })
                    // what is only listed because everything was asked for starts no clock
                    .filter(|c| c.applies != Truth::No)
                    .filter(|c| c.obligation.jurisdiction == candidate.obligation.jurisdiction)
                    .filter_map(|c| match (&c.deadline, &c.obligation.standing) {
                        (Some(d), _) => Some(d.conservative_due.max(now)),
                        (None, Standing::Awaiting { projected_conservative, .. }) => *projected_conservative,
                        _ => None,
                    })
                    .min();
                let Some(act_at) = awaited else { continue };
                let duty = candidate.duty(self);
                if candidate.texts.is_empty() {
                    continue;
                }
                // of several texts that may apply the nearest is shown
                let counted: Vec<_> = candidate
                    .texts
                    .iter()
                    .filter_map(|&(period, row)| {
                        clock::count(self, self.convention(row), period, act_at, duty, &candidate.seat, parties).ok()
                    })
                    .collect();
                candidates[at].obligation.standing = Standing::Awaiting {
                    projected_due: counted.iter().map(|c| c.due).min(),
                    projected_conservative: counted.iter().map(|c| c.conservative_due).min(),
                };
                changed = true;
            }
            if !changed {
                break;
            }
        }
    }

    /// Adds a member of a combination to the head that names it.
    fn join(&self, head: &mut Candidate, member: Candidate, latest: bool) {
        // a second start that only this act knows may lie elsewhere, and would move the limit: worth asking for
        let own = |key: &&String| !trigger::KNOWLEDGE.contains(&key.as_str());
        let unasked = |quiet: &Candidate, running: &Candidate| {
            let open = quiet.applies == Truth::Yes && !quiet.started && quiet.deadline.is_none() && running.started;
            trigger::key(&quiet.duty(self).starts).filter(own).filter(|_| open).cloned()
        };
        let unasked = unasked(&member, head).or_else(|| unasked(head, &member));
        let (head_sure, member_sure) =
            (head.applies == Truth::Yes && head.started, member.applies == Truth::Yes && member.started);
        // what ends one limit and leaves the other ends nothing
        head.obligation.claimable.retain(|key| member.obligation.claimable.contains(key));
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
        head.obligation.period = head.obligation.period.or(member.obligation.period);
        if head.deadline.is_none() && member.deadline.is_none() && (member_sure || !head_sure) {
            // nothing is counted: what is told is since when
            let since = |a: &Started, b: &Started| if latest { b.at.cmp(&a.at) } else { a.at.cmp(&b.at) };
            let both = [head.obligation.started_by.take(), member.obligation.started_by.clone()];
            head.obligation.started_by = both.into_iter().flatten().min_by(since);
        }
        if takes_member {
            head.deadline = member.deadline;
            head.obligation.started_by = member.obligation.started_by;
            head.obligation.convention = member.obligation.convention;
            head.obligation.period = member.obligation.period;
        }
        if let (Some(d), Some(conservative)) = (&mut head.deadline, conservative) {
            d.conservative_due = conservative.min(d.due);
        }
        // beside a date, a bound is a reading of it: the nearer one is reminded of
        if let (Some(d), Some((_, careful))) = (&mut head.deadline, head.obligation.bound) {
            d.conservative_due = d.conservative_due.min(careful);
        }
        let sure = |applies: Truth, started: bool| applies == Truth::Yes && started;
        // one surely waits, of the other it is not known whether it has started: that is what is asked
        let maybe =
            |c: (Truth, bool), other: (Truth, bool)| c == (Truth::Unknown, true) && other == (Truth::Yes, false);
        let (one, other) = ((head.applies, head.started), (member.applies, member.started));
        if sure(member.applies, member.started) && !sure(head.applies, head.started) {
            // the member runs for certain: what the head still misses no longer decides whether something is due
            head.obligation.missing = member.obligation.missing;
            head.applies = Truth::Yes;
        } else if maybe(one, other) || maybe(other, one) {
            head.applies = Truth::Unknown;
            member.obligation.missing.into_iter().for_each(|key| push_new(&mut head.obligation.missing, key));
        } else if head.applies == Truth::Unknown && member.applies == Truth::Yes {
            head.applies = Truth::Yes;
        }
        unasked.into_iter().for_each(|key| push_new(&mut head.obligation.missing, key));
        head.started |= member.started;
        head.obligation.because.extend(member.obligation.because);
        head.obligation.promptly = head.obligation.promptly.take().or(member.obligation.promptly);
    }
}
