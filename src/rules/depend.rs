//! Dates that one obligation gives another: clocks that start at another limit, "with" and "before" another notice, and
//! shared clocks. Each level of such references is dated once the one below it is.
//!
//! Where several readings give a date the earliest is taken; where only a bound is known it is handed on as a bound.

use super::book::Rulebook;
use super::clock::{self, Parties};
use super::condition::{Condition, Scene, Truth};
use super::counts::Counts;
use super::places::{Places, Whereabouts};
use super::plan::{Candidate, Options, cannot_count, push_new};
use super::roles::Standings;
use super::trigger;
use crate::law::{
    Certainty, Combination, Deadline, Duty, DutyId, DutyPeriod, Incident, Order, Place, Standing, Started, Trigger,
};
use crate::time::{Period, TimeError, Timestamp, Zone};

/// Longer chains of references than this are circles.
const LONGEST_CHAIN: usize = 5;

/// What a plan is asked with.
pub(super) struct Asking<'a> {
    pub incident: &'a Incident,
    pub now: Timestamp,
    pub options: Options,
    pub parties: &'a Parties,
    pub counts: &'a Counts<'a>,
    pub whereabouts: &'a Whereabouts<'a>,
    pub standings: &'a Standings<'a>,
}

impl<'a> Asking<'a> {
    /// What a condition sees of an obligation at `place`.
    pub fn scene(&self, place: &'a str, places: &'a Places, zone: &'a dyn Fn() -> Zone) -> Scene<'a> {
        Scene {
            supposed: None,
            facts: &self.incident.facts,
            entity: &self.incident.entity,
            place,
            places,
            whereabouts: self.whereabouts,
            standings: self.standings,
            counts: self.counts,
            zone,
        }
    }
}

/// What is known of a clock that starts at a limit.
#[derive(Default)]
struct Starts {
    counted: Vec<Counted>,
    /// An open norm begins at a limit, or a period that cannot be counted.
    open: Option<Started>,
    /// A limit is known, and no text of the duty is in force on its date.
    repealed: bool,
    missing: Vec<String>,
    because: Vec<String>,
}

/// A clock that starts at a limit, counted.
struct Counted {
    deadline: Deadline,
    convention: String,
    period: Period,
    from: Timestamp,
    by: Started,
    /// The duty at whose limit it starts.
    other: DutyId,
    sure: bool,
    /// The limit it starts at is a bound: the true one is not later.
    bounded: bool,
    missing: Vec<String>,
}

impl Rulebook {
    /// Dates what depends on other obligations.
    pub(super) fn depend(&self, candidates: &mut [Candidate], asking: &Asking<'_>) {
        let depths: Vec<usize> = candidates.iter().map(|c| self.depth_of(c.duty, 0)).collect();
        for level in 1..=depths.iter().copied().max().unwrap_or(0) {
            let of_level = || (0..depths.len()).filter(|&at| depths[at] == level);
            for at in of_level() {
                self.start_at_limit(candidates, at, asking);
                self.relate(candidates, at, asking);
                self.share_clock(candidates, at);
            }
        }
    }

    /// How many references lie between a duty, or what is filed together with it, and one that stands by itself.
    fn depth_of(&self, duty: usize, seen: usize) -> usize {
        if seen == LONGEST_CHAIN {
            return 0;
        }
        let id = &self.duties[duty].id;
        let group = self.group_of(id).map_or(std::slice::from_ref(id), |group| group.members.as_slice());
        let named = group.iter().filter_map(|member| self.by_id.get(member)).flat_map(|&at| named(&self.duties[at]));
        let outside = named.filter(|other| !group.contains(other)).filter_map(|other| self.by_id.get(other));
        outside.map(|&at| 1 + self.depth_of(at, seen + 1)).max().unwrap_or(0)
    }

    /// A clock that starts at the limit of another duty, performed or not.
    fn start_at_limit(&self, candidates: &mut [Candidate], at: usize, asking: &Asking<'_>) {
        let agreed = candidates[at].agreed.clone();
        let duty = agreed.as_deref().unwrap_or(&self.duties[candidates[at].duty]);
        let Trigger::Due(ids) = &duty.starts else { return };
        let starts = self.starts(candidates, at, duty, ids, asking);
        let candidate = &mut candidates[at];
        let nothing = starts.counted.is_empty() && starts.open.is_none();
        if nothing && (starts.repealed || !candidate.in_force) {
            candidate.applies = Truth::No;
            candidate.obligation.because.push("no text of this duty is in force when its clock starts".to_string());
            return;
        }
        candidate.obligation.because.extend(starts.because);
        starts.missing.into_iter().for_each(|key| push_new(&mut candidate.obligation.missing, key));
        let (starts, open) = (starts.counted, starts.open);
        // a limit that surely runs is not replaced by one that only may; it is read beside it
        let any_sure = starts.iter().any(|s| s.sure);
        let counts = |s: &&Counted| s.sure || !any_sure;
        let Some(first) = starts.iter().filter(counts).min_by_key(|s| (s.deadline.due, s.deadline.conservative_due))
        else {
            if open.is_some() {
                candidate.started = true;
                candidate.obligation.started_by = open;
            }
            return;
        };
        let dated = starts.iter().filter(counts).any(|s| !s.bounded);
        let due = first.deadline.due;
        let careful = starts.iter().map(|s| s.deadline.conservative_due).min().unwrap_or(due).min(due);
        let latest = starts.iter().map(|s| s.deadline.due).max().unwrap_or(due);
        if !any_sure && candidate.applies == Truth::Yes {
            candidate.applies = Truth::Unknown;
        }
        let obligation = &mut candidate.obligation;
        obligation.if_started_now = None;
        if starts.len() > 1 {
            obligation.earliest = starts.iter().map(|s| s.deadline.due).min();
        }
        if starts.len() > 1 || first.bounded {
            obligation.latest = Some(latest);
        }
        if first.bounded {
            obligation.because.push(format!(
                "the limit of `{}` is not known, only that it is not later than {}: counted from there",
                first.other,
                obligation.zone.rfc3339(first.from)
            ));
            first.missing.iter().for_each(|key| push_new(&mut obligation.missing, key.clone()));
        }
        if !dated {
            bind(candidate, due, careful);
            return;
        }
        (obligation.convention, obligation.period) = (Some(first.convention.clone()), Some(first.period));
        obligation.started_by = Some(first.by.clone());
        candidate.started = true;
        candidate.deadline = Some(Deadline { conservative_due: careful, ..first.deadline.clone() });
        candidate.obligation.held = self.hold(
            duty,
            asking.incident,
            &candidate.obligation.jurisdiction.clone(),
            asking.parties,
            asking.now,
            &mut candidate.deadline,
            &mut candidate.obligation.because,
        );
    }

    /// The clock counted from every limit at which it may start, under every text that may serve.
    fn starts(
        &self,
        candidates: &[Candidate],
        at: usize,
        duty: &Duty<Condition>,
        ids: &[DutyId],
        asking: &Asking<'_>,
    ) -> Starts {
        let (place, seat) = (&candidates[at].obligation.jurisdiction, &candidates[at].seat);
        let zone = clock::of(self, duty, seat, asking.parties).zone;
        let of_duty = || zone;
        let scene = asking.scene(place, &self.places, &of_duty);
        // a limit is exclusive: the last instant inside it is the one that has a date
        let last = |limit: Timestamp| limit - chrono::Duration::microseconds(1);
        let mut starts = Starts::default();
        for (id, other) in others(candidates, at, ids) {
            let dated = other.deadline.as_ref().map(|d| (d.due, d.conservative_due));
            let Some((limit, cautious)) = dated.or(other.obligation.bound) else { continue };
            let theirs = other.obligation.started_by.as_ref();
            let by = Started {
                key: format!("due:{id}"),
                at: limit,
                certainty: theirs.map_or(Certainty::Estimated, |s| s.certainty),
                by: theirs.map_or_else(|| id.to_string(), |s| s.by.clone()),
            };
            let date = zone.local(last(limit)).date();
            let texts = self.texts(duty, date, asking.options, &scene, &mut starts.missing);
            starts.repealed |= texts.is_empty() && !duty.periods.is_empty();
            for text in texts.iter().copied() {
                let (Some(period), Some(row)) = (text.period, text.convention) else {
                    starts.open.get_or_insert_with(|| by.clone());
                    continue;
                };
                let record = self.convention(row);
                let from = |at| clock::count(self, record, period, at, duty, seat, asking.parties);
                let count = |limit| -> Result<Deadline, TimeError> {
                    let (inside, at) = (from(last(limit))?, from(limit));
                    // a count that keeps the time of day keeps it to the instant
                    Ok(at.ok().filter(|at| last(at.due) == inside.due).unwrap_or(inside))
                };
                let mut deadline = match count(limit) {
                    Ok(counted) => counted,
                    Err(error) => {
                        // it runs all the same, without a date and with the reason
                        starts.because.push(cannot_count(&error));
                        starts.open.get_or_insert_with(|| by.clone());
                        continue;
                    }
                };
                let careful = &mut deadline.conservative_due;
                if let Ok(early) = count(cautious) {
                    *careful = early.conservative_due.min(*careful);
                }
                self.read_carefully(duty, &[text], seat, &scene, asking, careful, &mut starts.because);
                starts.counted.push(Counted {
                    deadline,
                    convention: record.id.clone(),
                    period,
                    from: limit,
                    by: by.clone(),
                    other: id.clone(),
                    sure: other.applies == Truth::Yes,
                    bounded: dated.is_none(),
                    missing: other.obligation.missing.clone(),
                });
            }
        }
        starts
    }

    /// Lowers the conservative limit where the start is read in two ways. Under the other reading the text in force at the
    /// other start decides; `texts`, those of the legal start, where there was none yet.
    #[expect(clippy::too_many_arguments, reason = "a count and everything it depends on")]
    pub(super) fn read_carefully(
        &self,
        duty: &Duty<Condition>,
        texts: &[&DutyPeriod<Condition>],
        seat: &Place,
        scene: &Scene<'_>,
        asking: &Asking<'_>,
        conservative_due: &mut Timestamp,
        because: &mut Vec<String>,
    ) {
        let Some(key) = &duty.conservative_starts else { return };
        let Some(at) = scene.facts.instant(key) else { return };
        // what these texts miss is asked for by those of the legal start, or decides nothing the law counts
        let own = self.texts(duty, (scene.zone)().local(at).date(), asking.options, scene, &mut Vec::new());
        let texts = if own.is_empty() { texts } else { own.as_slice() };
        for (period, row) in texts.iter().filter_map(|text| Some((text.period?, text.convention?))) {
            let counted = clock::count(self, self.convention(row), period, at, duty, seat, asking.parties);
            let Some(counted) = counted.ok().filter(|counted| counted.conservative_due < *conservative_due) else {
                continue;
            };
            *conservative_due = counted.conservative_due;
            let text = format!("the earliest defensible reading counts from `{key}`");
            if !because.contains(&text) {
                because.push(text);
            }
        }
    }

    /// "with", "before" and "no later than" another duty's performance.
    fn relate(&self, candidates: &mut [Candidate], at: usize, asking: &Asking<'_>) {
        let Some(relative) = &self.duties[candidates[at].duty].relative else { return };
        let done = candidates[at].filed.as_ref().map(|f| f.at);
        let words = match relative.order {
            Order::With => "together with",
            Order::Before => "before",
            Order::NotAfter => "no later than",
        };
        let name = relative.to.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(" or ");
        for id in &relative.to {
            let nearest = |c: &Candidate| {
                let dated = c.deadline.as_ref().map(|d| d.conservative_due).or(c.obligation.bound.map(|b| b.1));
                let at = c.filed.as_ref().map(|f| f.at).or(dated);
                (at.is_none(), at)
            };
            let found = others(candidates, at, std::slice::from_ref(id));
            let (filed, bound, deadline, by) = match found.min_by_key(|(_, c)| nearest(c)) {
                Some((_, other)) => {
                    let by = other.obligation.started_by.clone();
                    (other.filed.clone(), other.obligation.bound, other.deadline.clone(), by)
                }
                // nobody owed the notice, and somebody gave it
                None => match self.given(id, &candidates[at].obligation.jurisdiction, asking) {
                    Some(given) => (Some(given), None, None, None),
                    None => continue,
                },
            };
            let candidate = &mut candidates[at];
            let mut say = format!("due {words} {name}");
            // what was performed is measured against what the other was, never against a limit it had
            if let Some(done) = done {
                let kept = match (&filed, relative.order) {
                    (None, _) => true,
                    (Some(other), Order::Before) => done < other.at,
                    (Some(other), Order::NotAfter) => done <= other.at,
                    // no law says how many minutes apart is still together
                    (Some(_), Order::With) => true,
                };
                if kept {
                    continue;
                }
            }
            let (cap, by) = match (filed, deadline) {
                (Some(filed), _) => {
                    say.push_str(", which was performed already");
                    (undated(filed.at), Some(filed))
                }
                (None, Some(deadline)) => (Deadline { steps: Vec::new(), contested: Vec::new(), ..deadline }, by),
                (None, None) => {
                    let Some((due, careful)) = bound else { continue };
                    candidate.obligation.because.push(say);
                    bind(candidate, due, careful);
                    continue;
                }
            };
            // its own clock may have started too, only since when is not known
            let own = candidate.obligation.bound.take();
            let due = own.map_or(cap.due, |(due, _)| due.min(cap.due));
            let careful = own.map_or(cap.conservative_due, |(_, careful)| careful.min(cap.conservative_due));
            let mut deadline = candidate.deadline.take().unwrap_or(cap);
            deadline.due = deadline.due.min(due);
            deadline.conservative_due = deadline.conservative_due.min(careful).min(deadline.due);
            candidate.deadline = Some(deadline);
            candidate.started = true;
            candidate.obligation.if_started_now = None;
            candidate.obligation.started_by = candidate.obligation.started_by.take().or(by);
            candidate.obligation.because.push(say);
        }
    }

    /// The first performance of `id`, or of what is one filing with it, towards `place`; owed or not.
    fn given(&self, id: &DutyId, place: &Place, asking: &Asking<'_>) -> Option<Started> {
        let acts = self.acts_of(&Trigger::Filed(vec![id.clone()]), place);
        acts.iter().filter_map(|act| trigger::filed(&asking.incident.facts, &act.0, place)).min_by_key(|act| act.at)
    }

    /// Another recipient on the clock of another duty.
    fn share_clock(&self, candidates: &mut [Candidate], at: usize) {
        let Some(Combination::SameClockAs(other)) = &self.duties[candidates[at].duty].combine else { return };
        let place = candidates[at].obligation.jurisdiction.clone();
        let shared =
            others(candidates, at, std::slice::from_ref(other)).find(|(_, c)| c.obligation.jurisdiction == place);
        // a clock that neither runs nor is bounded gives no date, and takes none
        let Some((_, shared)) =
            shared.filter(|(_, c)| c.started || c.deadline.is_some() || c.obligation.bound.is_some())
        else {
            return;
        };
        let (deadline, started, from) = (shared.deadline.clone(), shared.started, &shared.obligation);
        let (by, bound, standing, period) = (from.started_by.clone(), from.bound, from.standing.clone(), from.period);
        let candidate = &mut candidates[at];
        (candidate.deadline, candidate.started) = (deadline, started);
        candidate.obligation.started_by = by;
        candidate.obligation.bound = bound;
        candidate.obligation.period = period;
        if bound.is_some() {
            candidate.obligation.standing = standing;
        }
        candidate.obligation.because.push(format!("on the same clock as `{other}`"));
    }
}

/// Duties whose dates decide over the dates of `duty`.
fn named(duty: &Duty<Condition>) -> impl Iterator<Item = &DutyId> {
    let starts = match &duty.starts {
        Trigger::Due(ids) => ids.as_slice(),
        _ => &[],
    };
    let relative = duty.relative.as_ref().map_or(&[][..], |relative| relative.to.as_slice());
    let shared = match &duty.combine {
        Some(Combination::SameClockAs(id)) => Some(id),
        _ => None,
    };
    starts.iter().chain(relative).chain(shared)
}

/// Obligations of `ids` that apply or may, those of the same place if there are any; with the id each was found by.
fn others<'c, 'i>(
    candidates: &'c [Candidate],
    at: usize,
    ids: &'i [DutyId],
) -> impl Iterator<Item = (&'i DutyId, &'c Candidate)> + use<'c, 'i> {
    let of = |c: &Candidate| {
        let found = ids.iter().find(|id| c.obligation.duty == **id || c.obligation.combines.contains(id));
        found.filter(|_| c.applies != Truth::No)
    };
    let found: Vec<(&DutyId, &Candidate)> = candidates
        .iter()
        .enumerate()
        .filter(|(position, _)| *position != at)
        .filter_map(|(_, c)| Some((of(c)?, c)))
        .collect();
    let place = &candidates[at].obligation.jurisdiction;
    let any_here = found.iter().any(|(_, c)| c.obligation.jurisdiction == *place);
    found.into_iter().filter(move |(_, c)| !any_here || c.obligation.jurisdiction == *place)
}

/// Lays a bound over a candidate: a date it has is not later, and one it has not is bounded.
fn bind(candidate: &mut Candidate, due: Timestamp, careful: Timestamp) {
    if let Some(own) = &mut candidate.deadline {
        own.due = own.due.min(due);
        own.conservative_due = own.conservative_due.min(careful).min(own.due);
        return;
    }
    let (due, careful) = candidate.obligation.bound.map_or((due, careful), |(d, c)| (d.min(due), c.min(careful)));
    candidate.obligation.bound = Some((due, careful));
    candidate.obligation.if_started_now = None;
    candidate.obligation.latest.get_or_insert(due);
    candidate.obligation.standing =
        Standing::Awaiting { projected_due: Some(due), projected_conservative: Some(careful) };
}

/// A limit that no count gave.
fn undated(at: Timestamp) -> Deadline {
    Deadline {
        due: at,
        conservative_due: at,
        counting_from: at,
        steps: Vec::new(),
        contested: Vec::new(),
        uncertain: false,
    }
}
