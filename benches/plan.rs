//! `plan` for an incident that reaches thirty jurisdictions, with its explanation, and loading the built-in packs.
//! Goals: plan ≤ 300 µs, load ≤ 100 ms.

use breachclock::ingest::{self, Reading};
use breachclock::law::{Entity, FactBook, Incident, IncidentId};
use breachclock::rules::{Options, Rulebook, builtin};
use breachclock::time::Zone;
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;

const PLACES: [&str; 30] = [
    "FR", "DE", "NL", "BE", "ES", "IT", "PT", "AT", "PL", "SE", "DK", "FI", "IE", "CZ", "GR", "GB", "CH", "BR", "SG",
    "JP", "AU", "IN", "US-CA", "US-TX", "US-NY", "US-FL", "US-CO", "US-WA", "NO", "HU",
];

/// Seventy more: the bench of one incident that touches a hundred jurisdictions.
const MORE: [&str; 70] = [
    "IS", "LI", "EE", "LV", "LT", "SK", "SI", "HR", "RO", "BG", "MT", "CY", "LU", "TR", "UA", "RS", "AL", "MK", "BA",
    "GE", "AM", "IL", "SA", "AE", "QA", "KW", "BH", "OM", "EG", "ZA", "NG", "KE", "GH", "RW", "MU", "CA", "CA-QC",
    "MX", "AR", "CL", "CO", "PE", "UY", "EC", "CR", "PA", "CN", "HK", "TW", "KR", "TH", "VN", "MY", "ID", "PH", "NZ",
    "US-IL", "US-MA", "US-OH", "US-PA", "US-GA", "US-NJ", "US-VA", "US-NC", "US-MI", "US-AZ", "US-MD", "US-OR",
    "US-IN", "US-TN",
];

fn incident(book: &Rulebook, places: &[&str]) -> Incident {
    let now = chrono::DateTime::from_timestamp(1_774_660_440, 0).expect("an instant");
    let affected: String = places.iter().map(|p| format!(r#", "affected.{p}": 1200"#)).collect();
    let facts = format!(
        r#"{{"personal_data": true, "risk": "high", "kinds": ["confidentiality"], "data": ["name", "national-id", "health"],
            "encrypted": false, "harm_unlikely": false, "significant": true, "major": true, "material": true,
            "times.detected": "2026-03-27T10:00:00Z", "times.aware": "2026-03-27T15:20:00Z",
            "times.determined": "2026-03-27T16:00:00Z", "times.material": "2026-03-27T17:00:00Z",
            "times.classified_major": "2026-03-27T17:30:00Z"{affected}}}"#
    );
    let reading = Reading { catalogue: book.catalogue(), now, by: "bench" };
    let mut asserted = FactBook::default();
    for fact in ingest::facts_only(&facts, &reading).expect("valid facts") {
        asserted.assert(fact);
    }
    Incident {
        id: IncidentId("bench".into()),
        title: "bench".into(),
        entity: Entity {
            name: "Bench".into(),
            roles: ["controller", "financial-entity", "essential-entity", "sec-registrant"].map(String::from).to_vec(),
            sectors: vec!["finance".into()],
            established_in: vec!["FR".into()],
            main_establishment: Some("FR".into()),
            operates_in: places.iter().map(|p| p.to_string()).collect(),
            zone: Zone::named("Europe/Paris").ok(),
            ..Entity::default()
        },
        source: None,
        reference: None,
        opened_at: now,
        opened_by: "bench".into(),
        closed_at: None,
        facts: asserted,
    }
}

fn benches(c: &mut Criterion) {
    let book = builtin().expect("the built-in packs load");
    let hundred: Vec<&str> = PLACES.into_iter().chain(MORE).collect();
    let wide = incident(&book, &hundred);
    let incident = incident(&book, &PLACES);
    let now = incident.opened_at;
    let found = book.plan(&incident, now, Options::default()).obligations.len();
    eprintln!("{found} obligations in {} jurisdictions", PLACES.len());
    c.bench_function("plan/30-jurisdictions", |b| b.iter(|| book.plan(black_box(&incident), now, Options::default())));
    c.bench_function("plan/30-jurisdictions-explained", |b| {
        b.iter(|| {
            let plan = book.plan(black_box(&incident), now, Options::default());
            plan.obligations.iter().map(|o| book.explain(&incident, o, now)).collect::<Vec<_>>()
        });
    });
    let found = book.plan(&wide, now, Options::default()).obligations.len();
    eprintln!("{found} obligations in {} jurisdictions", hundred.len());
    c.bench_function("plan/100-jurisdictions", |b| b.iter(|| book.plan(black_box(&wide), now, Options::default())));
    c.bench_function("assess/100-jurisdictions", |b| {
        b.iter(|| {
            let plan = book.plan(black_box(&wide), now, Options::default());
            book.explained(&wide, &plan, now).len()
        })
    });
    c.bench_function("assess/100-jurisdictions-with-questions", |b| {
        b.iter(|| {
            let plan = book.plan(black_box(&wide), now, Options::default());
            book.answer(&wide, &plan, now).obligations.len()
        })
    });
    c.bench_function("load/built-in-packs", |b| b.iter(|| builtin().expect("loads")));
}

criterion_group! { name = group; config = Criterion::default().sample_size(20); targets = benches }
criterion_main!(group);
