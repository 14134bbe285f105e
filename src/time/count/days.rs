//! Periods of local dates: days, working days, weeks, months and years.

use super::{Counting, Found, date, next, plus};
use crate::time::convention::corresponding_date;
use crate::time::{Anchor, CivilDate, Close, MonthRule, Period, Roll, Shift, Start, Step, TimeError, Timestamp, Unit};
use chrono::Datelike;

impl Counting<'_> {
    /// First instant counted, limit, last day.
    pub(super) fn days(&mut self, trigger: Timestamp, period: Period) -> Result<Found, TimeError> {
        let event_day = self.zone.local(trigger).date();
        let initiating = self.initiating_day(event_day)?;
        let first = if self.convention.start == Start::SameDay {
            self.steps.push(Step::FirstDay { day: initiating });
            initiating
        } else {
            self.steps.push(Step::ExcludedDay { day: initiating });
            next(initiating)?
        };
        let counted_last = match period.unit {
            Unit::WorkingDay => self.working_days(first, period.n)?,
            Unit::Day => self.calendar_days(first, period.n)?,
            Unit::Week => self.weeks(initiating, first, period.n)?,
            Unit::Month => self.months(initiating, first, period, period.n)?,
            _ => self.months(initiating, first, period, period.n.checked_mul(12).ok_or(TimeError::OutOfRange)?)?,
        };
        let mut last = self.minimum_of_days(first, counted_last, period)?.unwrap_or(counted_last);
        let mut due = None;
        if let Some(to) = self.rolled(last)? {
            last = to;
            if let Roll::At(time) = self.convention.roll {
                due = Some(self.at(to, time)?);
            }
        }
        let due = match (due, self.convention.close) {
            (Some(due), _) => due,
            (None, Close::EndOfDay) => self.end_of(last)?,
            (None, Close::At(time)) => self.at(last, time)?,
            (None, Close::Instant) => self.at(last, self.zone.local(trigger).time())?,
        };
        self.steps.push(Step::Close { last, at: due });
        Ok((self.zone.day_start(first), due, last))
    }

    /// The day that initiates the period: the event's, after shift and anchor.
    pub(super) fn initiating_day(&mut self, event_day: CivilDate) -> Result<CivilDate, TimeError> {
        let mut day = event_day;
        if self.convention.shift == Shift::NextWorkingDay {
            self.ask(day, day);
            if !self.calendar.is_working(day)? {
                let to = date(self.calendar.working_from(day.to_epoch_days())?)?;
                self.ask(day, to);
                self.steps.push(Step::Shift { day, to, why: self.why_not_working(day) });
                day = to;
            }
        }
        let (month, last) = match (self.convention.anchor, day.month()) {
            (Anchor::Event, _) => return Ok(day),
            (Anchor::QuarterEnd, 1..=3) => (3, 31),
            (Anchor::QuarterEnd, 4..=6) => (6, 30),
            (Anchor::QuarterEnd, 7..=9) => (9, 30),
            (Anchor::QuarterEnd | Anchor::YearEnd, _) => (12, 31),
        };
        day = CivilDate::from_ymd_opt(day.year(), month, last).ok_or(TimeError::OutOfRange)?;
        self.steps.push(Step::Anchor { to: day });
        Ok(day)
    }

    /// Dates that did not exist in the zone are not counted.
    fn calendar_days(&mut self, first: CivilDate, n: u32) -> Result<CivilDate, TimeError> {
        let mut last = plus(first, i64::from(n) - 1)?;
        for &missing in self.zone.skipped() {
            if (first..=last).contains(&missing) {
                self.steps.push(Step::MissingDay { day: missing });
                last = next(last)?;
            }
        }
        self.steps.push(Step::Days { n, unit: Unit::Day, last });
        Ok(last)
    }

    fn weeks(&mut self, initiating: CivilDate, first: CivilDate, n: u32) -> Result<CivilDate, TimeError> {
        let days = i64::from(n) * 7;
        let last = match self.convention.start {
            // the event's day is day 1, so the last of seven days is the sixth after it
            Start::SameDay => plus(first, days - 1)?,
            _ => plus(initiating, days)?,
        };
        self.steps.push(Step::Days { n, unit: Unit::Week, last });
        Ok(last)
    }

    fn months(
        &mut self,
        initiating: CivilDate,
        first: CivilDate,
        period: Period,
        months: u32,
    ) -> Result<CivilDate, TimeError> {
        let from = match self.convention.month {
            MonthRule::EventDate => initiating,
            MonthRule::StartDate => first,
        };
        let (anniversary, clipped) = corresponding_date(from, months)?;
        let last = match self.convention.month {
            // a month that lacks the day ends the period with its own last day, not the day before
            MonthRule::StartDate if !clipped => plus(anniversary, -1)?,
            _ => anniversary,
        };
        if clipped {
            self.steps.push(Step::MonthEndClip { day_of_month: from.day(), last });
        }
        self.steps.push(Step::Days { n: period.n, unit: period.unit, last });
        Ok(last)
    }

    fn working_days(&mut self, first: CivilDate, n: u32) -> Result<CivilDate, TimeError> {
        if n == 0 {
            return plus(first, -1);
        }
        let start = first.to_epoch_days();
        let mut last = self.calendar.nth_working(start, n)?;
        for &missing in self.zone.skipped() {
            let day = missing.to_epoch_days();
            if (start..=last).contains(&day) && self.calendar.working().contains(day) {
                self.steps.push(Step::MissingDay { day: missing });
                last = self.calendar.working_from(last + 1)?;
            }
        }
        let days_skipped = (last - start + 1) as u32 - n.min((last - start + 1) as u32);
        let last = date(last)?;
        self.ask(first, last);
        self.steps.push(Step::WorkingDays { n, first, last, days_skipped });
        Ok(last)
    }

    /// The last day when a period of days has too few working days inside.
    fn minimum_of_days(
        &mut self,
        first: CivilDate,
        last: CivilDate,
        period: Period,
    ) -> Result<Option<CivilDate>, TimeError> {
        let Some(minimum) = self.convention.min_working_days else { return Ok(None) };
        let long_enough = match period.unit {
            Unit::Day | Unit::WorkingDay => period.n >= minimum.if_days_ge,
            _ => (last - first).num_days() + 1 >= i64::from(minimum.if_days_ge),
        };
        if !long_enough {
            return Ok(None);
        }
        self.ask(first, last);
        let from = first.to_epoch_days();
        let inside = self.calendar.working_days(from, last.to_epoch_days() + 1)?;
        if inside >= minimum.n {
            return Ok(None);
        }
        let extended = date(self.calendar.nth_working(from, minimum.n)?)?;
        self.ask(first, extended);
        self.steps.push(Step::MinimumWorkingDays { n: minimum.n, inside, last: extended });
        Ok(Some(extended))
    }
}
