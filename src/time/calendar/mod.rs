//! Which days are working days at a place: dated weekends, dated holidays, make-up working days, and how far they are known.
//!
//! A missing holiday makes a limit earlier, a spurious one later; where the data are in doubt the doubt is a flag, and the firm
//! reading counts without the doubtful day. Asking for a day without data is an error, not "no holiday".

mod days;
mod store;
mod text;

use super::{CivilDate, TimeError};
use chrono::Weekday;
use days::{Day, DaySet};
use std::fmt;
use std::sync::Arc;

pub use store::{CalendarText, Calendars};
pub(super) use text::intern;

/// The working days of one place or institution. Cloning is cheap.
#[derive(Clone)]
pub struct Calendar(Arc<CalendarData>);

struct CalendarData {
    id: &'static str,
    name: &'static str,
    version: Arc<str>,
    citations: Vec<&'static str>,
    /// First and last day with data.
    first: Day,
    last: Day,
    /// Last day up to which everything is announced.
    known_until: Day,
    names: Vec<&'static str>,
    /// Sorted by day.
    holidays: Vec<Holiday>,
    /// Sorted. Weekend days on which work is made up.
    make_up: Vec<Day>,
    /// Sorted by first day, the first from the beginning of time.
    weekends: Vec<Weekend>,
    /// Working days, doubtful holidays taken as holidays.
    legal: DaySet,
    /// Working days, doubtful holidays taken as working days.
    firm: DaySet,
    /// Holidays whose date is estimated. Sorted.
    estimated: Vec<Day>,
}

#[derive(Clone, Copy, Debug)]
struct Holiday {
    day: Day,
    /// Index into the calendar's names.
    name: u16,
    doubt: Doubt,
}

/// Why a holiday may turn out to be a working day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    None,
    /// The date rests on a forecast, such as a sighting of the moon.
    Estimated,
    /// Offices close, but it is disputed or optional whether the law counts it: bridge days, closures by executive order.
    Optional,
}

/// Days of rest from a day on, as bits; bit 0 is Monday.
#[derive(Clone, Copy, Debug)]
struct Weekend {
    from: Day,
    legal: u8,
    /// Without days on which part of public life works.
    firm: u8,
}

/// A holiday as found in the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HolidayNote {
    pub name: &'static str,
    /// The date is a forecast.
    pub estimated: bool,
    /// Optional, or by executive order.
    pub optional: bool,
}

/// A calendar read in one of two ways: see [`Calendar::legal`] and [`Calendar::firm`].
#[derive(Clone, Copy)]
pub struct CalendarView<'a> {
    data: &'a CalendarData,
    firm: bool,
}

impl fmt::Debug for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Calendar({})", self.0.id)
    }
}

impl fmt::Debug for CalendarView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", if self.firm { "Firm" } else { "Legal" }, self.data.id)
    }
}

impl Calendar {
    pub fn id(&self) -> &str {
        self.0.id
    }

    /// The place or institution.
    pub fn name(&self) -> &str {
        self.0.name
    }

    /// Version of the data, to be kept with every date derived from it.
    pub fn version(&self) -> &str {
        &self.0.version
    }

    /// Sources of the data and of corrections to it.
    pub fn citations(&self) -> &[&'static str] {
        &self.0.citations
    }

    /// First day with data.
    pub fn known_from(&self) -> CivilDate {
        date(self.0.first)
    }

    /// Last day up to which every holiday is announced; later answers are uncertain.
    pub fn known_until(&self) -> CivilDate {
        date(self.0.known_until)
    }

    /// Last day with data; later questions are errors.
    pub fn data_until(&self) -> CivilDate {
        date(self.0.last)
    }

    /// Every holiday on record counts.
    pub fn legal(&self) -> CalendarView<'_> {
        CalendarView { data: &self.0, firm: false }
    }

    /// The conservative reading: estimated, optional and executive-order days are working days. Fewer holidays, earlier dates.
    pub fn firm(&self) -> CalendarView<'_> {
        CalendarView { data: &self.0, firm: true }
    }

    /// The holiday on a day, flags included; `None` also for ordinary weekend days.
    pub fn holiday(&self, on: CivilDate) -> Option<HolidayNote> {
        let day = on.to_epoch_days();
        let at = self.0.holidays.binary_search_by_key(&day, |h| h.day).ok()?;
        let Holiday { name, doubt, .. } = self.0.holidays[at];
        let name = self.0.names[usize::from(name)];
        Some(HolidayNote { name, estimated: doubt == Doubt::Estimated, optional: doubt == Doubt::Optional })
    }

    /// Name of the holiday on a day.
    pub fn holiday_name(&self, on: CivilDate) -> Option<&'static str> {
        self.holiday(on).map(|h| h.name)
    }

    /// Is it a working day, all holidays on record counted? An error outside the data.
    pub fn is_working(&self, on: CivilDate) -> Result<bool, TimeError> {
        self.legal().is_working(on)
    }

    /// All holidays with their dates, in order.
    pub fn holidays(&self) -> impl Iterator<Item = (CivilDate, HolidayNote)> + '_ {
        self.0.holidays.iter().filter_map(|h| self.holiday(date(h.day)).map(|note| (date(h.day), note)))
    }
}

impl<'a> CalendarView<'a> {
    pub fn id(self) -> &'a str {
        self.data.id
    }

    pub fn known_until(self) -> CivilDate {
        date(self.data.known_until)
    }

    /// Is it a working day? An error outside the data.
    pub fn is_working(self, on: CivilDate) -> Result<bool, TimeError> {
        let day = on.to_epoch_days();
        self.check(day)?;
        Ok(self.working().contains(day))
    }

    /// The holiday on a day that this reading counts.
    pub fn holiday_name(self, on: CivilDate) -> Option<&'static str> {
        self.holiday_on(on.to_epoch_days())
    }

    /// Is it a day of the weekend in force then, make-up working days excepted?
    pub fn is_weekend(self, on: CivilDate) -> bool {
        let day = on.to_epoch_days();
        self.weekend_on(day) && self.data.make_up.binary_search(&day).is_err()
    }

    #[inline]
    pub(super) fn working(self) -> &'a DaySet {
        if self.firm { &self.data.firm } else { &self.data.legal }
    }

    /// An error unless there are data for the day.
    #[inline]
    pub(super) fn check(self, day: Day) -> Result<(), TimeError> {
        if day < self.data.first || day > self.data.last { Err(self.ends(day)) } else { Ok(()) }
    }

    #[cold]
    fn ends(self, day: Day) -> TimeError {
        TimeError::CalendarEnds {
            id: self.data.id.to_string(),
            asked: date(day),
            from: date(self.data.first),
            until: date(self.data.last),
        }
    }

    /// First working day on or after `day`.
    pub(super) fn working_from(self, day: Day) -> Result<Day, TimeError> {
        self.check(day)?;
        let set = self.working();
        set.select(set.rank(day)).ok_or_else(|| self.ends(self.data.last + 1))
    }

    /// The `n`-th working day on or after `first`, counted from 1.
    pub(super) fn nth_working(self, first: Day, n: u32) -> Result<Day, TimeError> {
        self.check(first)?;
        let set = self.working();
        let index = set.rank(first).checked_add(n.saturating_sub(1)).ok_or(TimeError::OutOfRange)?;
        set.select(index).ok_or_else(|| self.ends(self.data.last + 1))
    }

    /// Working days in `from..until`.
    pub(super) fn working_days(self, from: Day, until: Day) -> Result<u32, TimeError> {
        if until <= from {
            return Ok(0);
        }
        self.check(from)?;
        self.check(until - 1)?;
        Ok(self.working().rank(until) - self.working().rank(from))
    }

    pub(super) fn holiday_on(self, day: Day) -> Option<&'static str> {
        let at = self.data.holidays.binary_search_by_key(&day, |h| h.day).ok()?;
        let holiday = self.data.holidays[at];
        (!self.firm || holiday.doubt == Doubt::None).then(|| self.data.names[usize::from(holiday.name)])
    }

    pub(super) fn weekend_on(self, day: Day) -> bool {
        let at = self.data.weekends.partition_point(|w| w.from <= day);
        let Some(weekend) = at.checked_sub(1).map(|k| self.data.weekends[k]) else { return false };
        (if self.firm { weekend.firm } else { weekend.legal }) >> weekday(day) & 1 == 1
    }

    pub(super) fn is_make_up(self, day: Day) -> bool {
        self.data.make_up.binary_search(&day).is_ok()
    }

    /// First estimated holiday in `from..=until` that this reading counts. One on a day of rest decides nothing for those who ask
    /// for working days.
    pub(super) fn estimated_in(self, from: Day, until: Day, working_days_only: bool) -> Option<Day> {
        if self.firm {
            return None;
        }
        let at = self.data.estimated.partition_point(|&day| day < from);
        let inside = self.data.estimated[at..].iter().copied().take_while(|&day| day <= until);
        inside.into_iter().find(|&day| !working_days_only || self.data.firm.contains(day))
    }

    pub(super) fn known_until_day(self) -> Day {
        self.data.known_until
    }
}

/// 0 is Monday. 1970-01-01 was a Thursday.
#[inline]
pub(super) fn weekday(day: Day) -> u32 {
    (day + 3).rem_euclid(7) as u32
}

pub(super) fn is_sunday(day: Day) -> bool {
    weekday(day) == Weekday::Sun.num_days_from_monday()
}

fn date(day: Day) -> CivilDate {
    CivilDate::from_epoch_days(day).unwrap_or(if day < 0 { CivilDate::MIN } else { CivilDate::MAX })
}
