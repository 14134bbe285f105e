//! Local wall time to instant: the only place that decides about repeated and missing local times.

use super::zone::{MAX_OFFSET, TABLE_END, Table, Zone};
use super::{CivilDate, TimeError, Timestamp};
use chrono::{DateTime, NaiveDateTime, TimeDelta, Timelike};

/// Which reading of a local time that occurs twice or never.
///
/// `First` and `Second` are the two readings of PEP 495 (`fold` 0 and 1): of a repeated time the first and second occurrence; of a
/// missing one the time by the clock before the change (the later instant) and by the clock after it (the earlier instant).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fold {
    /// Refuse, with an error that names the change of clocks.
    Strict,
    /// The earlier of the two readings: never too late.
    Earliest,
    First,
    Second,
}

impl Zone {
    /// The instant at which a wall clock reads `local`.
    pub fn resolve(self, local: NaiveDateTime, fold: Fold) -> Result<Timestamp, TimeError> {
        let wall = local.and_utc().timestamp();
        let nanos = local.nanosecond();
        let at = |seconds: i64| DateTime::from_timestamp(seconds, nanos).ok_or(TimeError::OutOfRange);
        let Table { starts, offsets, .. } = self.table();
        if starts.is_empty() {
            return at(wall);
        }
        if wall >= TABLE_END {
            return Err(TimeError::OutOfRange);
        }
        let nearby = self.table().index_at(wall - MAX_OFFSET).unwrap_or(0);
        let mut readings: Option<(i64, i64)> = None;
        for k in nearby..starts.len() {
            if starts[k] > wall.saturating_add(MAX_OFFSET) {
                break;
            }
            let candidate = wall - i64::from(offsets[k]);
            if candidate >= starts[k] && starts.get(k + 1).is_none_or(|&next| candidate < next) {
                readings = Some(readings.map_or((candidate, candidate), |(first, _)| (first, candidate)));
            }
        }
        match readings {
            Some((first, second)) if first == second => at(first),
            Some((first, second)) => match fold {
                Fold::Strict => Err(TimeError::AmbiguousLocalTime {
                    local,
                    zone: self.name(),
                    first: at(first)?,
                    second: at(second)?,
                }),
                Fold::Earliest | Fold::First => at(first),
                Fold::Second => at(second),
            },
            None => {
                // the change that jumps over `wall`: before it the clock was short of it, after it past it
                let k = (nearby + 1..starts.len())
                    .find(|&k| starts[k] + i64::from(offsets[k]) > wall)
                    .ok_or(TimeError::OutOfRange)?;
                match fold {
                    Fold::Strict => Err(TimeError::NoSuchLocalTime {
                        local,
                        zone: self.name(),
                        transition: DateTime::from_timestamp(starts[k], 0).ok_or(TimeError::OutOfRange)?,
                    }),
                    Fold::First => at(wall - i64::from(offsets[k - 1])),
                    Fold::Earliest | Fold::Second => at(wall - i64::from(offsets[k])),
                }
            }
        }
    }

    /// The first instant of a local date, and so the end of the day before it. Where midnight is missing the day starts at the jump,
    /// where it is repeated at its first occurrence; a date that does not exist starts where the next one does.
    pub fn day_start(self, date: CivilDate) -> Timestamp {
        let wall = i64::from(date.to_epoch_days()) * 86_400;
        let Table { starts, offsets, .. } = self.table();
        let nearby = self.table().index_at(wall - MAX_OFFSET).unwrap_or(0);
        for k in nearby..starts.len() {
            let reached = (wall - i64::from(offsets[k])).max(starts[k]);
            if starts.get(k + 1).is_none_or(|&next| reached < next) {
                return clamp(reached);
            }
        }
        clamp(wall)
    }

    /// First instant after `at` when the local clock shows a full hour.
    pub(super) fn next_full_hour(self, at: Timestamp) -> Result<Timestamp, TimeError> {
        let mut seconds = at.timestamp();
        // one change of clocks may lie in between, rarely two
        for _ in 0..4 {
            let offset = i64::from(self.offset_at(seconds));
            let next = seconds + 3600 - (seconds + offset).rem_euclid(3600);
            let table = self.table();
            let change = table.index_at(seconds).and_then(|k| table.starts.get(k + 1).copied());
            match change {
                Some(change) if change <= next => {
                    if (change + i64::from(self.offset_at(change))).rem_euclid(3600) == 0 {
                        return DateTime::from_timestamp(change, 0).ok_or(TimeError::OutOfRange);
                    }
                    seconds = change;
                }
                _ => return DateTime::from_timestamp(next, 0).ok_or(TimeError::OutOfRange),
            }
        }
        Err(TimeError::OutOfRange)
    }

    /// Local date of the last instant before `due`: the legal last day of a period that ends there.
    #[inline]
    pub(super) fn last_date_before(self, due: Timestamp) -> CivilDate {
        self.local(due - TimeDelta::nanoseconds(1)).date()
    }
}

fn clamp(seconds: i64) -> Timestamp {
    DateTime::from_timestamp(seconds, 0).unwrap_or(if seconds < 0 { Timestamp::MIN_UTC } else { Timestamp::MAX_UTC })
}
