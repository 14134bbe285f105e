//! The people of the configuration: persons, rotas with overrides, groups.

use super::policy::Who;
use crate::time::{Fold, Timestamp, Zone};
use chrono::{Datelike, Duration, NaiveDate, NaiveDateTime};
use serde::Deserialize;
use std::collections::BTreeMap;

/// A person who can be told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    pub id: String,
    pub name: String,
    #[serde(default)]
    pub roles: Vec<String>,
    pub email: Option<String>,
    pub zone: Option<String>,
    /// Ways in the order of trying: `email` or ids of channels. Empty: mail, then every channel with an address.
    #[serde(default)]
    pub channels: Vec<String>,
    /// Addresses of their own by id of the channel: a telephone number, a topic.
    #[serde(default)]
    pub addresses: BTreeMap<String, String>,
    /// Told when this person cannot be reached or does not answer.
    pub deputy: Option<String>,
}

/// Several at once, under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub id: String,
    pub members: Vec<Who>,
}

/// People taking turns, a week each, from a hand-over instant; shifts of a calendar come before the turns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rota {
    pub id: String,
    pub zone: Zone,
    /// Day of the week (Monday 0) and minutes after midnight, local.
    pub handover: (u8, u16),
    pub people: Vec<String>,
    /// Overrides, and shifts read from a calendar.
    pub shifts: Vec<Shift>,
}

/// One person's time on duty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shift {
    pub from: Timestamp,
    pub until: Timestamp,
    pub person: String,
}

impl Rota {
    /// Who is on duty at `at`. Of overlapping shifts the one that began last counts. `None`: a gap.
    pub fn on_duty(&self, at: Timestamp) -> Option<&str> {
        if let Some(shift) = self.shifts.iter().filter(|s| s.from <= at && at < s.until).max_by_key(|s| s.from) {
            return Some(&shift.person);
        }
        if self.people.is_empty() {
            return None;
        }
        let turn = self.week_of(self.zone.local(at)).rem_euclid(self.people.len() as i64);
        self.people.get(usize::try_from(turn).ok()?).map(String::as_str)
    }

    /// Turns since the Monday of the epoch week, counted from hand-over to hand-over in local time.
    fn week_of(&self, local: NaiveDateTime) -> i64 {
        let shifted = local - self.since_monday();
        // 1970-01-05 was a Monday
        (i64::from(shifted.date().num_days_from_ce()) - 719_167).div_euclid(7)
    }

    fn since_monday(&self) -> Duration {
        Duration::days(i64::from(self.handover.0)) + Duration::minutes(i64::from(self.handover.1))
    }

    /// The instant at which turn `week` begins.
    fn turn_begins(&self, week: i64) -> Option<Timestamp> {
        let monday = NaiveDate::from_num_days_from_ce_opt(i32::try_from(719_167 + 7 * week).ok()?)?;
        self.zone.resolve(monday.and_hms_opt(0, 0, 0)? + self.since_monday(), Fold::First).ok()
    }

    /// Hand-overs around `at`: the last one not after it, and the next one.
    pub fn turn(&self, at: Timestamp) -> (Option<Timestamp>, Option<Timestamp>) {
        let week = self.week_of(self.zone.local(at));
        let weekly = (week - 1..=week + 2).filter_map(|week| self.turn_begins(week)).filter(|_| self.people.len() > 1);
        let shifts = self.shifts.iter().flat_map(|s| [s.from, s.until]);
        let (mut last, mut next) = (None, None);
        for instant in weekly.chain(shifts) {
            if instant <= at {
                last = last.max(Some(instant));
            } else {
                next = Some(next.map_or(instant, |n: Timestamp| n.min(instant)));
            }
        }
        (last, next)
    }
}
