//! Our zone data against chrono-tz, which has an older database: every difference must be one we know of.

use breachclock::time::{Timestamp, Zone, tzdb_version};
use chrono::{Offset, TimeZone};

/// Zones that differ from chrono-tz 0.10.4 between 1970 and 2040, and since when ours is the later reading of the law.
const KNOWN: &[(&str, &str)] = &[
    ("Africa/Casablanca", "on UTC+0 since 20 September 2026"),
    ("Africa/El_Aaiun", "on UTC+0 since 20 September 2026"),
    ("America/Bogota", "history of May 1992 corrected"),
    ("America/Edmonton", "stays on UTC-6 from November 2026"),
    ("America/Ensenada", "history of 1970 to 1975 corrected"),
    ("America/Havana", "stays on UTC-4 in the winter of 2026/27"),
    ("America/Inuvik", "stays on UTC-6 from November 2026"),
    ("America/Rainy_River", "stays on UTC-5 from November 2026"),
    ("America/Santa_Isabel", "history of 1970 to 1975 corrected"),
    ("America/Tijuana", "history of 1970 to 1975 corrected"),
    ("America/Vancouver", "stays on UTC-7 from November 2026"),
    ("America/Winnipeg", "stays on UTC-5 from November 2026"),
    ("America/Yellowknife", "stays on UTC-6 from November 2026"),
    ("Asia/Tehran", "history of May 1979 corrected"),
    ("Canada/Central", "link: stays on UTC-5 from November 2026"),
    ("Canada/Mountain", "link: stays on UTC-6 from November 2026"),
    ("Canada/Pacific", "link: stays on UTC-7 from November 2026"),
    ("Cuba", "link: stays on UTC-4 in the winter of 2026/27"),
    ("Europe/Chisinau", "changes clocks with the European Union since 2022"),
    ("Europe/Tiraspol", "link: changes clocks with the European Union since 2022"),
    ("Iran", "link: history of May 1979 corrected"),
    ("Mexico/BajaNorte", "link: history of 1970 to 1975 corrected"),
];

#[test]
fn differences_to_chrono_tz_are_known() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let (from, until) = (at("1970-01-01T00:00:00Z"), at("2040-01-01T00:00:00Z"));
    let mut differing = Vec::new();
    for zone in chrono_tz::TZ_VARIANTS {
        let ours = Zone::named(zone.name()).unwrap_or_else(|e| panic!("{e}"));
        let differs = |at: Timestamp| {
            zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc() != ours.offset_seconds(at)
        };
        // our changes from both sides, and a grid whose hours and weekdays vary for changes only the other has
        let second = chrono::Duration::seconds(1);
        let changes = ours.transitions_between(from, until);
        if changes.iter().any(|change| differs(change.at) || differs(change.at - second))
            || (0..70 * 24).any(|k| differs(from + chrono::Duration::hours(k * 365)))
        {
            differing.push(zone.name());
        }
    }
    let known: Vec<&str> = KNOWN.iter().map(|k| k.0).collect();
    let unknown: Vec<_> = differing.iter().filter(|z| !known.contains(z)).collect();
    let gone: Vec<_> = known.iter().filter(|z| !differing.contains(z)).collect();
    assert!(unknown.is_empty(), "differ from chrono-tz without a reason on record: {unknown:?}");
    assert!(gone.is_empty(), "no longer differ, remove them: {gone:?}");
}

/// First instants of dates whose midnight is missing, repeated, or which do not exist; and both readings of odd local times.
#[test]
fn days_start_where_the_law_lets_them_end() {
    for (zone, date, start) in [
        ("Africa/Cairo", "2026-04-24", "2026-04-23T22:00:00Z"),
        ("America/Santiago", "2026-09-06", "2026-09-06T04:00:00Z"),
        ("America/Havana", "2025-11-02", "2025-11-02T04:00:00Z"),
        ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00Z"),
        ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00:00Z"),
        // clocks went back at 00:01, to 23:01 of the day before: the first midnight counts
        ("America/St_Johns", "2010-11-07", "2010-11-07T02:30:00Z"),
        ("Pacific/Kwajalein", "1993-08-21", "1993-08-21T12:00:00Z"),
        ("UTC", "2026-01-01", "2026-01-01T00:00:00Z"),
    ] {
        let zone = Zone::named(zone).unwrap();
        assert_eq!(zone.day_start(date.parse().unwrap()), start.parse::<Timestamp>().unwrap(), "{zone} {date}");
    }
    assert!(Zone::named("Pacific/Apia").unwrap().skips("2011-12-30".parse().unwrap()));
}

#[test]
fn odd_local_times_have_two_readings() {
    use breachclock::time::{Fold, TimeError};
    let read = |zone: &str, local: &str, fold| Zone::named(zone).unwrap().resolve(local.parse().unwrap(), fold);
    for (zone, local, earliest, first, second) in [
        ("Europe/Berlin", "2026-10-25T02:30:00", "00:30", "00:30", "01:30"),
        ("Europe/Berlin", "2026-03-29T02:30:00", "00:30", "01:30", "00:30"),
        ("Australia/Lord_Howe", "2026-04-05T01:45:00", "14:45", "14:45", "15:15"),
        ("Australia/Lord_Howe", "2026-10-04T02:15:00", "15:15", "15:45", "15:15"),
        ("Antarctica/Troll", "2026-03-29T02:00:00", "00:00", "02:00", "00:00"),
    ] {
        let clock = |fold| read(zone, local, fold).unwrap().format("%H:%M").to_string();
        assert_eq!(
            [clock(Fold::Earliest), clock(Fold::First), clock(Fold::Second)],
            [earliest, first, second],
            "{zone} {local}"
        );
        let strict = read(zone, local, Fold::Strict).unwrap_err();
        assert!(matches!(strict, TimeError::NoSuchLocalTime { .. } | TimeError::AmbiguousLocalTime { .. }), "{strict}");
    }
    assert_eq!(Zone::named("europe/berlin").unwrap(), Zone::named("Europe/Berlin").unwrap());
    assert_eq!(Zone::named("UTC").unwrap(), Zone::UTC);
    assert!(Zone::named("Europe/Berlim").unwrap_err().to_string().contains("`Europe/Berlin`"));
}

#[test]
fn the_database_is_current() {
    assert!(tzdb_version() >= "2026f", "{}", tzdb_version());
}
