//! Which occurrence of a recurring message is due: each exactly once, whatever the clock did meanwhile.
//!
//! Occurrences are instants of [`Recurrence`], so that "daily at 08:00" is one instant on each civil date, also on the
//! days of 23 and 25 hours. What was handled is a set of these instants, not a time of sending: a clock that was set back
//! finds its occurrences handled, and one that leapt ahead and came back has not used up those in between.

use crate::time::{Recurrence, Timestamp};
use std::collections::BTreeSet;

/// An occurrence that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueRun {
    pub at: Timestamp,
    /// Earlier occurrences it stands for: missed while nothing ran.
    pub coalesced: u32,
}

/// The latest occurrence up to `now` that is not handled, with those before it coalesced. `since` is when the recurrence
/// was put into force: nothing before it was ever due.
pub fn due_run(
    recurrence: &Recurrence,
    handled: &BTreeSet<Timestamp>,
    since: Timestamp,
    now: Timestamp,
) -> Option<DueRun> {
    let last = handled.range(..=now).next_back().copied();
    let mut after = last.map_or(since, |last| last.max(since));
    let mut due: Option<DueRun> = None;
    while let Some(at) = recurrence.next_after(after).filter(|at| *at <= now) {
        let coalesced = due.map_or(0, |earlier| earlier.coalesced.saturating_add(1));
        due = Some(DueRun { at, coalesced });
        after = at;
    }
    due
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Zone;
    use chrono::TimeDelta;
    use std::collections::BTreeMap;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("RFC 3339")
    }

    fn daily(expression: &str, zone: &str) -> Recurrence {
        Recurrence::parse(expression, Zone::named(zone).expect("a zone")).expect("an expression")
    }

    /// Looks every 10 minutes over six days; answers how often it was due on each civil date.
    fn runs(recurrence: &Recurrence, from: &str) -> BTreeMap<String, usize> {
        let (mut now, since) = (at(from), at(from));
        let mut handled = BTreeSet::new();
        let mut days = BTreeMap::new();
        while now < since + TimeDelta::days(6) {
            if let Some(run) = due_run(recurrence, &handled, since, now) {
                assert_eq!(run.coalesced, 0);
                assert!(handled.insert(run.at), "{} twice", run.at);
                *days.entry(recurrence.zone().local(run.at).date().to_string()).or_default() += 1;
            }
            now += TimeDelta::minutes(10);
        }
        days
    }

    /// The policy at changes of clocks: once a day, also on the days of 23, 23.5, 24.5 and 25 hours, and where midnight
    /// itself is skipped or repeated.
    #[test]
    fn daily_means_once_on_every_day() {
        let cases = [
            ("Europe/Berlin", "2026-03-26T23:00:00Z"),
            ("Europe/Berlin", "2026-10-22T22:00:00Z"),
            ("America/New_York", "2026-03-05T05:00:00Z"),
            ("America/New_York", "2026-10-29T04:00:00Z"),
            ("Australia/Lord_Howe", "2026-04-02T13:00:00Z"),
            ("Australia/Lord_Howe", "2026-10-01T13:30:00Z"),
            // midnight does not exist
            ("America/Havana", "2026-03-05T05:00:00Z"),
            // 00:30 occurs twice
            ("America/Havana", "2026-10-29T04:00:00Z"),
            ("UTC", "2026-03-26T00:00:00Z"),
        ];
        for (zone, from) in cases {
            for expression in
                ["0 8 * * *", "0 0 * * *", "30 0 * * *", "30 1 * * *", "10 2 * * *", "30 2 * * *", "0 3 * * *"]
            {
                let recurrence = daily(expression, zone);
                // the first day begins with `from` itself: an occurrence at its first instant is before `since`
                let days = runs(&recurrence, from);
                let first = recurrence.zone().local(at(from)).date();
                for day in (1..5).map(|n| first + TimeDelta::days(n)) {
                    assert_eq!(days.get(&day.to_string()), Some(&1), "{expression} in {zone} on {day}: {days:?}");
                }
            }
        }
    }

    #[test]
    fn clocks_that_jump_and_daemons_that_sleep() {
        let recurrence = daily("0 8 * * *", "UTC");
        let day = |n: u32| at(&format!("2026-06-{n:02}T08:00:00Z"));
        let due = |handled: &[Timestamp], now: &str| {
            due_run(&recurrence, &handled.iter().copied().collect(), at("2026-06-01T12:00:00Z"), at(now))
        };
        let run = |n, coalesced| Some(DueRun { at: day(n), coalesced });
        let cases: [(&str, &[Timestamp], &str, Option<DueRun>); 10] = [
            ("not before its first occurrence", &[], "2026-06-02T07:59:59Z", None),
            ("at its instant", &[], "2026-06-02T08:00:00Z", run(2, 0)),
            ("once", &[day(2)], "2026-06-02T20:00:00Z", None),
            ("three days down: the latest stands for the others", &[day(2)], "2026-06-05T09:00:00Z", run(5, 2)),
            ("set back by two hours after it was sent", &[day(2), day(3)], "2026-06-03T06:30:00Z", None),
            ("and its time comes again", &[day(2), day(3)], "2026-06-03T08:00:00Z", None),
            ("the next day is not lost", &[day(2), day(3)], "2026-06-04T08:00:00Z", run(4, 0)),
            ("leapt three weeks ahead and came back", &[day(2), day(25)], "2026-06-03T08:00:00Z", run(3, 0)),
            ("and arrives there again", &[day(2), day(24), day(25)], "2026-06-25T09:00:00Z", None),
            ("a clock before the beginning", &[], "2026-05-01T09:00:00Z", None),
        ];
        for (name, handled, now, wanted) in cases {
            assert_eq!(due(handled, now), wanted, "{name}");
        }
    }
}
