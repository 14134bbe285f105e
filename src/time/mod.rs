//! Calendar arithmetic: zones, calendars of working days, kinds of periods, ways of counting, and the count itself.
//!
//! What is absent: a clock (nothing here knows what time it is now), files, the host's zone database, logging, randomness,
//! and any idea of law. No jurisdiction is named in this code; ids of calendars and zones come from data.
//!
//! Every limit is exclusive: `due` is the first instant at which it is too late.

mod calendar;
mod convention;
mod count;
mod error;
mod grid;
mod local;
mod nearest;
mod period;
mod recurrence;
mod step;
mod text;
mod zone;

pub use calendar::{Calendar, CalendarText, CalendarView, Calendars, HolidayNote};
pub use convention::{Anchor, Close, Convention, MinMode, MinWorkingDays, MonthRule, Roll, RollDays, Shift, Start};
pub use count::{Counted, count};
pub use error::TimeError;
pub use grid::{GridDay, grid};
pub use local::Fold;
pub use nearest::nearest;
pub use period::{Period, Unit};
pub use recurrence::Recurrence;
pub use step::{Excluded, Step};
pub use text::{push_clock, push_short_day, rfc3339_utc};
pub use zone::{Transition, Zone, tzdb_version, zone_names};

/// An instant. Sub-second parts are kept; nothing here rounds.
pub type Timestamp = chrono::DateTime<chrono::Utc>;

/// A date without a zone.
pub type CivilDate = chrono::NaiveDate;
