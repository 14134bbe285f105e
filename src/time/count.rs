//! The count: from an instant over a period to the first instant too late. The algebra of design/time.md section 19.
//!
//! Hours are elapsed time, so changes of clocks do not lengthen them. Days are local dates: a day ends at the first instant of the
//! next date, whatever its length.

use super::calendar::{CalendarView, is_sunday, weekday};
use super::convention::corresponding_date;
use super::{
    Anchor, CivilDate, Close, Convention, Excluded, Fold, MinMode, MonthRule, Period, Roll, RollDays, Shift, Start, Step,
    TimeError, Timestamp, Unit, Zone,
};
use chrono::{Datelike, NaiveTime, TimeDelta, Weekday};

/// What a count found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Exclusive: the first instant at which it is too late.
    pub due: Timestamp,
    /// First instant counted.
    pub counting_from: Timestamp,
    /// Local date of the last instant in time.
    pub last_day: CivilDate,
    /// The count rests on an estimated holiday, or passes what is announced. A step says which.
    pub uncertain: bool,
    pub steps: Vec<Step>,
}

/// Counts `period` from `trigger` as `convention` says, with the days of `zone` and the working days of `calendar`.
///
/// Errors: a day outside the calendar's data, or a result outside the range of dates. A count that looks at the calendar between
/// the announced horizon and the end of the data, or rests on an estimated holiday, is `uncertain` and has a step that says so.
/// A count that does not look at the calendar (hours or days without roll) never fails for it.
pub fn count(
    trigger: Timestamp,
    period: Period,
    convention: &Convention,
    zone: Zone,
    calendar: CalendarView<'_>,
) -> Result<Counted, TimeError> {
    let steps = Vec::with_capacity(if period.unit.is_elapsed() { 3 } else { 5 });
    let mut counting = Counting { convention, zone, calendar, steps, asked: None };
    let (counting_from, due, last_day) = if period.unit.is_elapsed() {
        counting.elapsed(trigger, period)?
    } else {
        counting.days(trigger, period)?
    };
    if due.timestamp() >= super::zone::TABLE_END {
        return Err(TimeError::OutOfRange);
    }
    let uncertain = counting.doubts();
    Ok(Counted { due, counting_from, last_day, uncertain, steps: counting.steps })
}

struct Counting<'a> {
    convention: &'a Convention,
    zone: Zone,
    calendar: CalendarView<'a>,
    steps: Vec<Step>,
    /// First and last day for which the calendar was asked.
    asked: Option<(i32, i32)>,
}

type Found = (Timestamp, Timestamp, CivilDate);

impl Counting<'_> {
    // ---- periods of elapsed time

    fn elapsed(&mut self, trigger: Timestamp, period: Period) -> Result<Found, TimeError> {
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
        if self.convention.anchor == Anchor::YearEnd {
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
    fn minimum_of_hours(&mut self, from: Timestamp, due: Timestamp, period: Period) -> Result<Option<CivilDate>, TimeError> {
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

    // ---- periods of local days

    fn days(&mut self, trigger: Timestamp, period: Period) -> Result<Found, TimeError> {
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
    fn initiating_day(&mut self, event_day: CivilDate) -> Result<CivilDate, TimeError> {
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
        if self.convention.anchor == Anchor::YearEnd {
            day = CivilDate::from_ymd_opt(day.year(), 12, 31).ok_or(TimeError::OutOfRange)?;
            self.steps.push(Step::Anchor { to: day });
        }
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

    fn months(&mut self, initiating: CivilDate, first: CivilDate, period: Period, months: u32) -> Result<CivilDate, TimeError> {
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
    fn minimum_of_days(&mut self, first: CivilDate, last: CivilDate, period: Period) -> Result<Option<CivilDate>, TimeError> {
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

    // ---- both

    /// The next allowed day when `last` is excluded as a last day.
    fn rolled(&mut self, last: CivilDate) -> Result<Option<CivilDate>, TimeError> {
        if self.convention.roll == Roll::None {
            return Ok(None);
        }
        self.ask(last, last);
        if !self.excluded(last)? {
            return Ok(None);
        }
        let to = match self.convention.roll_days {
            RollDays::NonWorking => date(self.calendar.working_from(last.to_epoch_days())?)?,
            RollDays::SundayAndHoliday | RollDays::Holiday => {
                let mut day = next(last)?;
                let year_later = plus(last, 366)?;
                while self.excluded(day)? {
                    day = next(day)?;
                    if day > year_later {
                        return Err(TimeError::NoWorkingDay { id: self.calendar.id().to_string(), from: last });
                    }
                }
                day
            }
        };
        self.ask(last, to);
        let time = match self.convention.roll {
            Roll::At(time) => Some(time),
            _ => None,
        };
        self.steps.push(Step::Roll { day: last, to, why: self.why_excluded(last), time });
        Ok(Some(to))
    }

    fn excluded(&self, day: CivilDate) -> Result<bool, TimeError> {
        let number = day.to_epoch_days();
        self.calendar.check(number)?;
        Ok(match self.convention.roll_days {
            RollDays::NonWorking => !self.calendar.working().contains(number),
            _ if self.calendar.is_make_up(number) => false,
            RollDays::SundayAndHoliday => is_sunday(number) || self.calendar.holiday_on(number).is_some(),
            RollDays::Holiday => self.calendar.holiday_on(number).is_some(),
        })
    }

    fn why_excluded(&self, day: CivilDate) -> Excluded {
        match self.convention.roll_days {
            RollDays::SundayAndHoliday if is_sunday(day.to_epoch_days()) => Excluded::Weekend(Weekday::Sun),
            _ => self.why_not_working(day),
        }
    }

    fn why_not_working(&self, day: CivilDate) -> Excluded {
        let number = day.to_epoch_days();
        match self.calendar.holiday_on(number) {
            Some(name) if !self.calendar.weekend_on(number) => Excluded::Holiday(name),
            Some(name) if self.convention.roll_days == RollDays::Holiday => Excluded::Holiday(name),
            _ => Excluded::Weekend(Weekday::try_from(weekday(number) as u8).unwrap_or(Weekday::Sun)),
        }
    }

    fn works(&mut self, day: CivilDate) -> Result<bool, TimeError> {
        self.ask(day, day);
        self.calendar.is_working(day)
    }

    /// Remembers which days the calendar decided about.
    fn ask(&mut self, from: CivilDate, until: CivilDate) {
        let (from, until) = (from.to_epoch_days(), until.to_epoch_days());
        self.asked = Some(self.asked.map_or((from, until), |(a, b)| (a.min(from), b.max(until))));
    }

    /// Adds the steps that say why a count is uncertain.
    fn doubts(&mut self) -> bool {
        let Some((from, until)) = self.asked else { return false };
        let mut uncertain = false;
        if let Some(day) = self.calendar.estimated_in(from, until)
            && let (Ok(day), Some(name)) = (date(day), self.calendar.holiday_on(day))
        {
            self.steps.push(Step::EstimatedDay { day, name });
            uncertain = true;
        }
        if until > self.calendar.known_until_day()
            && let Ok(last) = date(until)
        {
            self.steps.push(Step::Horizon { known_until: self.calendar.known_until(), last });
            uncertain = true;
        }
        uncertain
    }

    /// First instant after a local date.
    fn end_of(&self, day: CivilDate) -> Result<Timestamp, TimeError> {
        Ok(self.zone.day_start(next(day)?))
    }

    /// A local time on a day; the earlier reading where clocks change.
    fn at(&self, day: CivilDate, time: NaiveTime) -> Result<Timestamp, TimeError> {
        self.zone.resolve(day.and_time(time), Fold::Earliest)
    }
}

fn next(day: CivilDate) -> Result<CivilDate, TimeError> {
    day.succ_opt().ok_or(TimeError::OutOfRange)
}

fn plus(day: CivilDate, days: i64) -> Result<CivilDate, TimeError> {
    TimeDelta::try_days(days).and_then(|days| day.checked_add_signed(days)).ok_or(TimeError::OutOfRange)
}

fn date(day: i32) -> Result<CivilDate, TimeError> {
    CivilDate::from_epoch_days(day).ok_or(TimeError::OutOfRange)
}
