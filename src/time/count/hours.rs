//! Periods of elapsed time: minutes, hours, and hours inside working days.

use super::{Counting, Found, next};
use crate::time::{Anchor, CivilDate, Close, MinMode, Period, Roll, Shift, Start, Step, TimeError, Timestamp, Unit};
use chrono::TimeDelta;

impl Counting<'_> {
    /// First instant counted, limit, last day.
    pub(super) fn elapsed(&mut self, trigger: Timestamp, period: Period) -> Result<Found, TimeError> {
        let event = self.shifted_instant(trigger)?;
        let from = self.first_instant(event)?;
        let mut due = match period.unit {
            Unit::WorkingHour => self.working_hours(from, period.n)?,
            unit => {
                let seconds = i64::from(period.n) * if unit == Unit::Minute { 60 } else { 3600 };
                let due = from.checked_add_signed(TimeDelta::seconds(seconds)).ok_or(TimeError::OutOfRange)?;
                self.steps.push(Step::Elapsed { n: period.n, unit, from, to: due });
                due
            }
        };
        let (zone, steps) = (self.zone, &mut self.steps);
        zone.each_transition(from, due, |change| {
            steps.push(Step::OffsetChange { at: change.at, seconds: change.offset_after - change.offset_before });
        });
        let mut last = zone.last_date_before(due);
        if let Some(extended) = self.minimum_of_hours(from, due, period)? {
            last = extended;
            due = self.end_of(last)?;
        }
        if let Some(to) = self.rolled(last)? {
            due = match self.convention.roll {
                Roll::At(time) => self.at(to, time)?,
                Roll::SameTime => self.same_time(due, last, to)?,
                Roll::None | Roll::Close => match self.convention.close {
                    Close::At(time) => self.at(to, time)?,
                    Close::Instant | Close::EndOfDay => self.end_of(to)?,
                },
            };
        }
        Ok((from, due, zone.last_date_before(due)))
    }

    /// The event's instant after shift and anchor.
    fn shifted_instant(&mut self, trigger: Timestamp) -> Result<Timestamp, TimeError> {
        if self.convention.shift == Shift::None && self.convention.anchor == Anchor::Event {
            return Ok(trigger);
        }
        let day = self.zone.local(trigger).date();
        let initiating = self.initiating_day(day)?;
        if self.convention.anchor != Anchor::Event {
            return self.end_of(initiating);
        }
        Ok(if initiating == day { trigger } else { self.zone.day_start(initiating) })
    }

    fn first_instant(&mut self, event: Timestamp) -> Result<Timestamp, TimeError> {
        match self.convention.start {
            Start::Instant => Ok(event),
            Start::NextHourIncl if self.on_full_hour(event) => Ok(event),
            Start::NextHour | Start::NextHourIncl => {
                let from = self.zone.next_full_hour(event)?;
                self.steps.push(Step::ExcludedHour { event, from });
                Ok(from)
            }
            Start::NextDay => {
                let day = self.zone.local(event).date();
                self.steps.push(Step::ExcludedDay { day });
                self.end_of(day)
            }
            Start::SameDay => {
                let day = self.zone.local(event).date();
                self.steps.push(Step::FirstDay { day });
                Ok(self.zone.day_start(day))
            }
        }
    }

    fn on_full_hour(&self, at: Timestamp) -> bool {
        let local = self.zone.local(at).and_utc();
        local.timestamp().rem_euclid(3600) == 0 && local.timestamp_subsec_nanos() == 0
    }

    /// Elapsed hours inside working days, each from its first instant to its last.
    fn working_hours(&mut self, from: Timestamp, n: u32) -> Result<Timestamp, TimeError> {
        let mut left = TimeDelta::hours(i64::from(n));
        let mut day = self.zone.local(from).date();
        let mut at = from;
        let mut skipped = 0;
        loop {
            let end = self.end_of(day)?;
            if self.works(day)? {
                let available = (end - at).max(TimeDelta::zero());
                if available >= left {
                    let to = at + left;
                    self.steps.push(Step::WorkingHours { n, from, to, days_skipped: skipped });
                    return Ok(to);
                }
                left -= available;
            } else {
                skipped += 1;
            }
            at = at.max(end);
            day = next(day)?;
        }
    }

    /// The last day when a period of hours has too few working days inside.
    fn minimum_of_hours(
        &mut self,
        from: Timestamp,
        due: Timestamp,
        period: Period,
    ) -> Result<Option<CivilDate>, TimeError> {
        let Some(minimum) = self.convention.min_working_days else { return Ok(None) };
        let minutes = i64::from(period.n) * if period.unit == Unit::Minute { 1 } else { 60 };
        if minutes < i64::from(minimum.if_days_ge) * 24 * 60 {
            return Ok(None);
        }
        let mut day = self.zone.local(from).date();
        let whole_from_here = self.zone.day_start(day) >= from;
        if minimum.mode == MinMode::Whole && !whole_from_here {
            day = next(day)?;
        }
        let (mut inside, mut seen, mut last) = (0, 0, day);
        while seen < minimum.n {
            if self.works(day)? {
                seen += 1;
                last = day;
                let counts = match minimum.mode {
                    MinMode::Whole => self.end_of(day)? <= due,
                    MinMode::Touch => self.zone.day_start(day) < due,
                };
                inside += u32::from(counts);
            }
            day = next(day)?;
        }
        if inside >= minimum.n {
            return Ok(None);
        }
        self.steps.push(Step::MinimumWorkingDays { n: minimum.n, inside, last });
        Ok(Some(last))
    }

    /// The time of day of `due` on another day; the end of a day stays the end of a day.
    fn same_time(&self, due: Timestamp, last: CivilDate, to: CivilDate) -> Result<Timestamp, TimeError> {
        if due == self.end_of(last)? {
            return self.end_of(to);
        }
        self.at(to, self.zone.local(due).time())
    }
}
