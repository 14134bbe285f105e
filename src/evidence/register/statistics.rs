//! How it went, in numbers: on time or not, and how long it took to know, to decide, to notify.
//!
//! A percentile is the nearest rank: a value that was measured, never one in between. What has not happened is not counted.

use super::{Breach, Outcome};
use crate::evidence::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// Numbers of a register.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Statistics {
    pub breaches: u64,
    pub open: u64,
    pub on_time: OnTime,
    /// From the beginning of the breach until it was known.
    pub time_to_know: Spread,
    /// From then until somebody determined it, filed a notice, or decided against one, whichever came first.
    pub time_to_decide: Spread,
    /// From the start of a clock until its notice was given.
    pub time_to_notify: Spread,
    pub not_notified: u64,
    pub by_jurisdiction: Vec<Place>,
}

/// The same of one place.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "PlaceStatistics")]
pub struct Place {
    pub jurisdiction: String,
    pub on_time: OnTime,
    pub time_to_notify: Spread,
    pub not_notified: u64,
}

/// Duties with a limit that came out one way or the other.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct OnTime {
    pub obligations: u64,
    pub on_time: u64,
    pub late: u64,
    pub missed: u64,
    /// `on_time` of `obligations`, four decimals; null when there are none.
    pub rate: Option<f64>,
}

/// Median and ninetieth percentile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Spread {
    pub n: u64,
    pub median_seconds: Option<i64>,
    pub p90_seconds: Option<i64>,
}

impl Spread {
    /// Of any number of durations, seconds.
    pub fn of(mut seconds: Vec<i64>) -> Spread {
        seconds.sort_unstable();
        // nearest rank: the smallest value that at least so many of a hundred do not exceed
        let rank = |percent: usize| seconds.get((seconds.len() * percent).div_ceil(100).max(1) - 1).copied();
        Spread { n: seconds.len() as u64, median_seconds: rank(50), p90_seconds: rank(90) }
    }
}

#[derive(Default)]
struct Tally {
    on_time: OnTime,
    to_notify: Vec<i64>,
    not_notified: u64,
}

impl Tally {
    fn finish(self) -> (OnTime, Spread, u64) {
        let mut on_time = self.on_time;
        let share = |n: u64| (n as f64 / on_time.obligations as f64 * 10_000.0).round() / 10_000.0;
        on_time.rate = (on_time.obligations > 0).then(|| share(on_time.on_time));
        (on_time, Spread::of(self.to_notify), self.not_notified)
    }
}

/// The numbers of `breaches`, as they stand at `now`.
pub fn statistics(breaches: &[Breach], now: Timestamp) -> Statistics {
    // an order against nature is a wrong fact: it is told elsewhere, and measures nothing
    let between =
        |from: Option<Timestamp>, to: Option<Timestamp>| Some((to? - from?).num_seconds()).filter(|s| *s >= 0);
    let mut all = Tally::default();
    let mut places: BTreeMap<&str, Tally> = BTreeMap::new();
    for owed in breaches.iter().flat_map(|breach| &breach.obligations) {
        let place = places.entry(owed.jurisdiction.as_str()).or_default();
        for tally in [&mut all, place] {
            if let Some(outcome) = owed.times.outcome(now) {
                tally.on_time.obligations += 1;
                *match outcome {
                    Outcome::OnTime => &mut tally.on_time.on_time,
                    Outcome::Late => &mut tally.on_time.late,
                    Outcome::Missed => &mut tally.on_time.missed,
                } += 1;
            }
            tally.to_notify.extend(between(owed.times.started, owed.times.filed));
            let approved = owed.not_notified.as_ref().is_some_and(|n| n.state == "approved");
            tally.not_notified += u64::from(approved);
        }
    }
    let times = || breaches.iter().map(|breach| breach.times);
    let (on_time, time_to_notify, not_notified) = all.finish();
    Statistics {
        breaches: breaches.len() as u64,
        open: breaches.iter().filter(|breach| breach.status == "open").count() as u64,
        on_time,
        time_to_know: Spread::of(times().filter_map(|t| between(t.occurred, t.known)).collect()),
        time_to_decide: Spread::of(times().filter_map(|t| between(t.known, t.decided)).collect()),
        time_to_notify,
        not_notified,
        by_jurisdiction: places
            .into_iter()
            .map(|(jurisdiction, tally)| {
                let (on_time, time_to_notify, not_notified) = tally.finish();
                Place { jurisdiction: jurisdiction.into(), on_time, time_to_notify, not_notified }
            })
            .collect(),
    }
}
