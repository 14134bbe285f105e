//! Properties of counts and calendars, and that the data in the binary is the data in the repository.

use breachclock::time::{
    Anchor, Calendar, CalendarText, Calendars, CivilDate, Close, Convention, MinMode, MinWorkingDays, MonthRule,
    Period, Roll, RollDays, Shift, Start, TimeError, Timestamp, Unit, Zone, count,
};
use chrono::{Datelike, Duration};
use proptest::prelude::*;

const ZONES: [&str; 10] = [
    "Europe/Paris",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "America/Santiago",
    "Africa/Cairo",
    "America/Havana",
    "Pacific/Chatham",
    "Antarctica/Troll",
    "Asia/Tokyo",
];
const CALENDARS: [&str; 8] = ["FR", "US-FED", "AE", "CN", "JP-GOV", "BN", "IL", "WEEKEND"];

fn zone() -> impl Strategy<Value = Zone> {
    prop::sample::select(&ZONES[..]).prop_map(|name| Zone::named(name).unwrap())
}

fn calendar() -> impl Strategy<Value = &'static Calendar> {
    prop::sample::select(&CALENDARS[..]).prop_map(|id| Calendars::builtin().get(id).unwrap())
}

/// To the second, from 2000 to 2035.
fn trigger() -> impl Strategy<Value = Timestamp> {
    (946_684_800i64..2_051_222_400).prop_map(|s| Timestamp::from_timestamp(s, 0).unwrap())
}

fn convention() -> impl Strategy<Value = Convention> {
    let minimum = prop::option::of((1u32..4, 1u32..4).prop_map(|(n, if_days_ge)| MinWorkingDays {
        n,
        if_days_ge,
        mode: MinMode::Whole,
    }));
    let noon = chrono::NaiveTime::from_hms_opt(12, 0, 0).unwrap();
    (
        prop::sample::select(Start::ALL),
        prop::sample::select(Shift::ALL),
        prop::sample::select(MonthRule::ALL),
        prop::sample::select(vec![Close::EndOfDay, Close::At(noon)]),
        prop::sample::select(vec![Roll::None, Roll::Close, Roll::SameTime, Roll::At(noon)]),
        prop::sample::select(RollDays::ALL),
        minimum,
    )
        .prop_map(|(start, shift, month, close, roll, roll_days, min_working_days)| Convention {
            start,
            anchor: Anchor::Event,
            shift,
            month,
            close,
            roll,
            roll_days,
            min_working_days,
        })
}

fn short_period() -> impl Strategy<Value = Period> {
    prop_oneof![
        (1u32..200).prop_map(|n| Period { unit: Unit::Hour, n }),
        (1u32..80).prop_map(|n| Period { unit: Unit::WorkingHour, n }),
        (1u32..70).prop_map(|n| Period { unit: Unit::Day, n }),
        (1u32..40).prop_map(|n| Period { unit: Unit::WorkingDay, n }),
        (1u32..9).prop_map(|n| Period { unit: Unit::Week, n }),
        (1u32..14).prop_map(|n| Period { unit: Unit::Month, n }),
        (1u32..4).prop_map(|n| Period { unit: Unit::Year, n }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Hours without roll: later events never have earlier limits, and a limit is never short of its hours.
    #[test]
    fn hours_are_monotone(zone in zone(), at in trigger(), gap in 0i64..200_000, n in 1u32..200, start in prop::sample::select(&[Start::Instant, Start::NextHour, Start::NextHourIncl][..])) {
        let convention = Convention { start, ..Convention::elapsed() };
        let none = Calendars::builtin().get("NONE").unwrap();
        let due = |at| count(at, Period { unit: Unit::Hour, n }, &convention, zone, none.legal()).unwrap().due;
        let (first, second) = (due(at), due(at + Duration::seconds(gap)));
        prop_assert!(first <= second);
        let elapsed = first - at;
        prop_assert!(elapsed >= Duration::hours(n.into()) && elapsed <= Duration::hours(i64::from(n) + 1) + Duration::minutes(60));
    }

    /// The conservative reading is never later than the legal one, whatever the rule.
    #[test]
    fn conservative_is_never_later(zone in zone(), at in trigger(), period in short_period(), convention in convention(), calendar in calendar()) {
        let legal = count(at, period, &convention, zone, calendar.legal()).unwrap();
        let careful = count(at, period, &convention.conservative(period.unit), zone, calendar.firm()).unwrap();
        prop_assert!(careful.due <= legal.due, "{careful:?} {legal:?}");
    }

    /// Days that end at 24:00 end at the start of a local day, and the last day is the day before.
    #[test]
    fn days_end_where_a_local_day_starts(zone in zone(), at in trigger(), n in 1u32..60) {
        let none = Calendars::builtin().get("NONE").unwrap();
        let counted = count(at, Period { unit: Unit::Day, n }, &Convention::default(), zone, none.legal()).unwrap();
        prop_assert_eq!(counted.due, zone.day_start(counted.last_day.succ_opt().unwrap()));
        prop_assert_eq!(zone.local(counted.due - Duration::nanoseconds(1)).date(), counted.last_day);
        prop_assert_eq!((counted.last_day - zone.local(at).date()).num_days(), i64::from(n));
    }

    /// Working days counted one after the other give the same day.
    #[test]
    fn working_days_equal_a_walk(zone in zone(), at in trigger(), n in 1u32..60, calendar in calendar()) {
        let counted = count(at, Period { unit: Unit::WorkingDay, n }, &Convention::default(), zone, calendar.legal()).unwrap();
        let mut day = zone.local(at).date();
        let mut left = n;
        while left > 0 {
            day = day.succ_opt().unwrap();
            left -= u32::from(calendar.is_working(day).unwrap());
        }
        prop_assert_eq!(counted.last_day, day);
    }

    /// A month ends on the day of the same number, or on the last day of the month when there is none.
    #[test]
    fn months_are_clipped(zone in zone(), at in trigger(), n in 1u32..30) {
        let none = Calendars::builtin().get("NONE").unwrap();
        let event = zone.local(at).date();
        let last = count(at, Period { unit: Unit::Month, n }, &Convention::default(), zone, none.legal()).unwrap().last_day;
        prop_assert_eq!((last.year() * 12 + last.month0() as i32) - (event.year() * 12 + event.month0() as i32), n as i32);
        prop_assert!(last.day() == event.day() || (last.day() < event.day() && last.succ_opt().unwrap().day() == 1));
    }

    /// After a roll the last day is allowed, and no allowed day was passed over.
    #[test]
    fn rolls_stop_at_the_first_allowed_day(zone in zone(), at in trigger(), n in 1u32..60, calendar in calendar(), roll in prop::sample::select(vec![Roll::Close, Roll::SameTime])) {
        let period = Period { unit: Unit::Day, n };
        let plain = count(at, period, &Convention::default(), zone, calendar.legal()).unwrap();
        let rolled = count(at, period, &Convention { roll, ..Convention::default() }, zone, calendar.legal()).unwrap();
        prop_assert!(calendar.is_working(rolled.last_day).unwrap());
        let mut day = plain.last_day;
        while day < rolled.last_day {
            prop_assert!(!calendar.is_working(day).unwrap());
            day = day.succ_opt().unwrap();
        }
    }

    /// A minimum of working days is kept.
    #[test]
    fn minimum_of_working_days(zone in zone(), at in trigger(), n in 2u32..20, wanted in 1u32..5, calendar in calendar()) {
        let minimum = MinWorkingDays { n: wanted, if_days_ge: 2, mode: MinMode::Whole };
        let convention = Convention { min_working_days: Some(minimum), ..Convention::default() };
        let counted = count(at, Period { unit: Unit::Day, n }, &convention, zone, calendar.legal()).unwrap();
        let first = zone.local(counted.counting_from).date();
        let inside = first.iter_days().take_while(|d| *d <= counted.last_day).filter(|d| calendar.is_working(*d).unwrap()).count();
        prop_assert!(inside >= wanted as usize);
    }
}

#[test]
fn every_built_in_calendar_reads() {
    let calendars = Calendars::builtin();
    let mut days = 0;
    for id in calendars.ids() {
        let calendar = calendars.get(id).unwrap_or_else(|e| panic!("{e}"));
        assert!(
            calendar.known_from() < calendar.known_until() && calendar.known_until() <= calendar.data_until(),
            "{id}"
        );
        assert!(!calendar.citations().is_empty(), "{id} has no source");
        days += calendar.holidays().count();
        // long closures exist, a month without a working day does not
        if id.contains('-') {
            continue;
        }
        let mut idle = 0;
        let from = calendar.known_from().max(day("2015-01-01"));
        for day in from.iter_days().take_while(|d| *d <= calendar.data_until().min(day("2035-12-31"))) {
            idle = if calendar.is_working(day).unwrap() { 0 } else { idle + 1 };
            assert!(idle < 32, "{id}: a month without a working day before {day}");
        }
    }
    assert!(calendars.ids().count() > 800 && days > 500_000, "{} calendars, {days} days", calendars.ids().count());
    for id in [
        "NONE",
        "WEEKEND",
        "NL-ATW",
        "JP-GOV",
        "US-FED",
        "US-5USC6103",
        "US-FRB",
        "US-NYSE",
        "EU-TARGET",
        "CA-FED",
        "BR-OPT",
    ] {
        calendars.get(id).unwrap();
    }
}

/// The text built into the binary says what the files say, comments and blank lines aside.
#[test]
fn the_pack_equals_the_files() {
    let root = std::path::Path::new("jurisdictions/calendars");
    let pack = std::fs::read_to_string(root.join("all.pack")).unwrap();
    let mut named = Vec::new();
    for part in pack.split("==> ").skip(1) {
        let (name, packed) = part.split_once('\n').unwrap();
        let text = std::fs::read_to_string(root.join(name)).unwrap();
        let wanted: String = text
            .lines()
            .map(str::trim_end)
            .filter(|l| !l.is_empty() && !l.starts_with('#'))
            .map(|l| format!("{l}\n"))
            .collect();
        assert!(packed == wanted, "all.pack is older than {name}; run `python3 scripts/gen_calendars.py --pack`");
        named.push(name.to_string());
    }
    for folder in ["countries", "overlay"] {
        for file in std::fs::read_dir(root.join(folder)).unwrap() {
            let name = format!("{folder}/{}", file.unwrap().file_name().to_string_lossy());
            assert!(named.contains(&name), "{name} is not in all.pack; run `python3 scripts/gen_calendars.py --pack`");
        }
    }
}

fn day(text: &str) -> CivilDate {
    text.parse().unwrap()
}

/// Days on which a spurious holiday or weekend would make a limit late, and days the package has wrong.
#[test]
fn named_days() {
    let works = |id: &str, on: &str| Calendars::builtin().get(id).unwrap().is_working(day(on)).unwrap();
    for (id, on, working) in [
        ("NL", "2026-05-05", true),
        ("NL-ATW", "2026-05-05", false),
        ("NL-ATW", "2026-04-03", false),
        ("AE", "2021-12-31", false),
        ("AE", "2022-01-02", false),
        ("AE", "2022-01-07", true),
        ("AE", "2021-12-26", true),
        ("SA", "2013-06-27", false),
        ("SA", "2013-06-29", false),
        ("SA", "2013-07-04", true),
        ("MY-01", "2024-12-27", false),
        ("MY-01", "2025-01-03", true),
        ("IR", "2026-11-28", true),
        ("IR", "2026-11-26", true),
        ("NP", "2026-11-29", true),
        ("BN", "2026-11-28", true),
        ("JP", "2026-12-29", true),
        ("JP-GOV", "2026-12-29", false),
        ("JP-GOV", "2027-01-04", true),
        ("US-FED", "2025-12-26", false),
        ("US-5USC6103", "2025-12-26", true),
        ("US-FRB", "2027-12-24", true),
        ("US-NYSE", "2027-12-31", true),
        ("US-NYSE", "2026-04-03", false),
        ("US-FED", "2026-04-03", true),
        ("CN", "2026-02-14", true),
        ("CN", "2026-02-16", false),
        ("DE", "2026-08-15", false),
        ("DE", "2025-08-15", true),
        ("DE-BY", "2026-01-06", false),
        ("DE-BE", "2026-01-06", true),
        ("GB-SCT", "2026-11-30", false),
        ("GB-ENG", "2026-11-30", true),
        ("BR", "2026-02-17", true),
        ("BR-OPT", "2026-02-17", false),
        ("EU-TARGET", "2026-05-14", true),
        ("ZA", "2026-08-10", false),
    ] {
        assert_eq!(works(id, on), working, "{id} {on}");
    }
    let firm = |id: &str, on: &str| Calendars::builtin().get(id).unwrap().firm().is_working(day(on)).unwrap();
    assert!(firm("US-FED", "2025-12-26") && !firm("US-FED", "2025-12-25"));
    assert!(firm("BR-OPT", "2026-02-17") && firm("HK", "2026-02-21"));
}

#[test]
fn past_the_horizon_is_never_silent() {
    let convention = Convention { roll: Roll::Close, ..Convention::default() };
    let ask = |id: &str, at: &str, n: u32| {
        let calendar = Calendars::builtin().get(id).unwrap();
        count(at.parse().unwrap(), Period { unit: Unit::WorkingDay, n }, &convention, Zone::UTC, calendar.legal())
    };
    assert!(!ask("CN", "2026-11-02T00:00:00Z", 3).unwrap().uncertain);
    let past = ask("CN", "2026-12-28T00:00:00Z", 5).unwrap();
    assert!(past.uncertain && past.steps.iter().any(|s| s.kind() == "horizon"));
    assert!(matches!(ask("LK", "2026-12-28T00:00:00Z", 5), Err(TimeError::CalendarEnds { .. })));
    let moon = ask("SA", "2027-03-01T00:00:00Z", 10).unwrap();
    assert!(moon.uncertain && moon.steps.iter().any(|s| s.kind() == "estimated-day"), "{moon:?}");
    // hours and plain days do not ask, and so do not fail
    let lanka = Calendars::builtin().get("LK").unwrap();
    let hours = count(
        "2039-01-01T00:00:00Z".parse().unwrap(),
        Period { unit: Unit::Hour, n: 72 },
        &Convention::elapsed(),
        Zone::UTC,
        lanka.legal(),
    );
    assert_eq!(hours.unwrap().due, "2039-01-04T00:00:00Z".parse::<Timestamp>().unwrap());
}

#[test]
fn huge_numbers_are_errors_not_panics() {
    let none = Calendars::builtin().get("NONE").unwrap();
    for &unit in Unit::ALL {
        for n in [0, u32::MAX] {
            for at in
                ["1970-01-01T00:00:00Z", "2149-12-31T23:59:59Z", "+262000-01-01T00:00:00Z", "0001-01-01T00:00:00Z"]
            {
                let at = at.parse().unwrap();
                for zone in [Zone::UTC, Zone::named("Europe/Paris").unwrap()] {
                    let _ = count(
                        at,
                        Period { unit, n },
                        &Convention { roll: Roll::Close, ..Convention::default() },
                        zone,
                        none.legal(),
                    );
                }
            }
        }
    }
}

#[test]
fn overlays_add_and_amend() {
    let text = |text: &str| vec![CalendarText { file: "own.txt".into(), text: text.into() }];
    let own = "name a Company day\nname x Closed\ncalendar ACME Acme\nbased_on DE\ncite works agreement\n2026 0706a\n\namend FR\ncite own\n2026 0713x -0714\n";
    let calendars = Calendars::with_overlay(&text(own)).unwrap();
    let acme = calendars.get("ACME").unwrap();
    assert_eq!(acme.holiday_name(day("2026-07-06")), Some("Company day"));
    assert_eq!(acme.holiday_name(day("2026-12-25")), Some("Christmas Day"));
    let france = calendars.get("FR").unwrap();
    assert!(!france.is_working(day("2026-07-13")).unwrap() && france.is_working(day("2026-07-14")).unwrap());
    assert!(calendars.version().contains("own.txt"));
    for (wrong, wanted) in [
        ("calendar A A\nbased_on DE\n2026 1332a\n", "own.txt:3"),
        ("calendar A A\nbased_on DE\n2026 0101a\n", "`a` has no name"),
        ("calendar A A\nweekend sat sun\n", "no `years` line"),
        ("amend DX\nweekend sat sun\n", "own.txt:1: `DX` is not a calendar"),
        ("calendar DE D\nweekend sat sun\n", "`DE` is defined already"),
        ("calendar A A\nbased_on A\n", "based on"),
        ("calendar A A\nyears 2020-2030\nweekend sat son\n", "own.txt:3: `son` is not a day of the week"),
        ("calendar A A\nbased_on DE\nholiday 2026-01-01\n", "own.txt:3: `holiday` is not known here"),
    ] {
        let error = Calendars::with_overlay(&text(wrong)).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
    assert!(Calendars::builtin().get("de-by").unwrap_err().to_string().contains("`DE-BY`"));
}
