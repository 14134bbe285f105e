//! What a count costs. Every group is meant to be compared within one run.

use breachclock::time::{
    Calendars, Close, Convention, MinMode, MinWorkingDays, Period, Roll, Start, Timestamp, Unit, Zone, count,
};
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;

fn counting(c: &mut Criterion) {
    let calendars = Calendars::builtin();
    let paris = Zone::named("Europe/Paris").unwrap();
    let france = calendars.get("FR").unwrap();
    let trigger: Timestamp = "2026-03-27T15:20:00Z".parse().unwrap();
    let days = Convention {
        roll: Roll::Close,
        min_working_days: Some(MinWorkingDays { n: 2, if_days_ge: 2, mode: MinMode::Whole }),
        ..Convention::default()
    };
    let hours = Convention { start: Start::NextHour, close: Close::Instant, ..Convention::elapsed() };
    let cases = [
        ("72 hours", Period { unit: Unit::Hour, n: 72 }, hours),
        ("30 working days with roll", Period { unit: Unit::WorkingDay, n: 30 }, days),
        ("one month with roll", Period { unit: Unit::Month, n: 1 }, days),
        ("24 working hours", Period { unit: Unit::WorkingHour, n: 24 }, Convention::elapsed()),
    ];
    let mut group = c.benchmark_group("count");
    for (name, period, convention) in cases {
        group.bench_function(name, |b| {
            b.iter(|| count(black_box(trigger), period, &convention, paris, france.legal()).unwrap());
        });
    }
    // 200 obligations of one incident, each with its own zone, calendar and kind of period
    let places: Vec<_> = [
        ("Europe/Berlin", "DE"),
        ("America/New_York", "US-FED"),
        ("Asia/Tokyo", "JP-GOV"),
        ("Europe/London", "GB-ENG"),
    ]
    .into_iter()
    .map(|(zone, id)| (Zone::named(zone).unwrap(), calendars.get(id).unwrap()))
    .collect();
    group.bench_function("batch of 200", |b| {
        b.iter(|| {
            for k in 0..200 {
                let (zone, calendar) = places[k % places.len()];
                let (_, period, convention) = &cases[k / places.len() % cases.len()];
                black_box(count(black_box(trigger), *period, convention, zone, calendar.legal()).unwrap());
            }
        });
    });
    group.bench_function("words of a derivation", |b| {
        let counted = count(trigger, Period { unit: Unit::WorkingDay, n: 30 }, &days, paris, france.legal()).unwrap();
        b.iter(|| counted.steps.iter().map(|step| step.text(black_box(paris)).len()).sum::<usize>());
    });
    group.finish();
}

criterion_group!(benches, counting);
criterion_main!(benches);
