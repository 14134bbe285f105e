//! The count: from an instant over a period to the first instant too late. The algebra of design/time.md section 19.
//!
//! Hours are elapsed time, so changes of clocks do not lengthen them. Days are local dates: a day ends at the first instant of the
//! next date, whatever its length.

mod days;
mod hours;

use super::calendar::{CalendarView, is_sunday, weekday};
use super::{CivilDate, Convention, Excluded, Fold, Period, Roll, RollDays, Step, TimeError, Timestamp, Zone};
use chrono::{NaiveTime, TimeDelta, Weekday};

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
    let (counting_from, due, last_day) =
        if period.unit.is_elapsed() { counting.elapsed(trigger, period)? } else { counting.days(trigger, period)? };
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
        let working_days_only = self.convention.roll_days == RollDays::NonWorking;
        if let Some(day) = self.calendar.estimated_in(from, until, working_days_only)
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
