//! Every golden vector of `tests/vectors/time/*.jsonl`: rule, trigger, zone and calendar in, exact instants out.

use breachclock::time::{self, Calendars, Convention, Fold, Period, Timestamp, Zone};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn vectors() -> Vec<(PathBuf, usize, Value)> {
    let folder = Path::new("tests/vectors/time");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "jsonl"));
    files.sort();
    let mut found = Vec::new();
    for file in files {
        for (number, line) in std::fs::read_to_string(&file).unwrap().lines().enumerate() {
            if !line.trim().is_empty() {
                let value =
                    serde_json::from_str(line).unwrap_or_else(|e| panic!("{}:{}: {e}", file.display(), number + 1));
                found.push((file.clone(), number + 1, value));
            }
        }
    }
    assert!(found.len() >= 287, "only {} vectors found", found.len());
    found
}

/// What a vector asks, read with the serde of the types themselves.
fn question(vector: &Value) -> (Timestamp, Period, Convention, Zone, &'static time::Calendar) {
    let mut rule = vector["rule"].as_object().unwrap().clone();
    let period = Period {
        unit: serde_json::from_value(rule.remove("unit").unwrap()).unwrap(),
        n: serde_json::from_value(rule.remove("n").unwrap()).unwrap(),
    };
    let convention: Convention = serde_json::from_value(rule.into()).unwrap();
    let zone = Zone::named(vector["zone"].as_str().unwrap()).unwrap();
    let fold = match &vector["fold"] {
        Value::Number(n) if n.as_u64() == Some(0) => Fold::First,
        Value::Number(n) if n.as_u64() == Some(1) => Fold::Second,
        _ => Fold::Earliest,
    };
    let trigger = zone.resolve(vector["trigger"].as_str().unwrap().parse().unwrap(), fold).unwrap();
    (trigger, period, convention, zone, Calendars::builtin().get(vector["calendar"].as_str().unwrap()).unwrap())
}

fn utc(at: Timestamp) -> String {
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[test]
fn every_vector_comes_out_to_the_second() {
    let mut wrong = Vec::new();
    for (file, number, vector) in vectors() {
        let (trigger, period, convention, zone, calendar) = question(&vector);
        let place = format!("{}:{number} {}", file.display(), vector["id"]);
        // where the trigger is deemed to happen later, the vector gives the deemed instant
        if convention.shift == time::Shift::None && utc(trigger) != vector["trigger_utc"].as_str().unwrap() {
            wrong.push(format!("{place}: trigger {}, wanted {}", utc(trigger), vector["trigger_utc"]));
        }
        match time::count(trigger, period, &convention, zone, calendar.legal()) {
            Ok(counted) => {
                let got = [utc(counted.due), zone.rfc3339(counted.due), counted.last_day.to_string()];
                let wanted = ["due_utc", "due_local", "last_day"].map(|k| vector[k].as_str().unwrap().to_string());
                if got != wanted {
                    wrong.push(format!("{place}: {got:?}, wanted {wanted:?} ({})", vector["why"]));
                }
            }
            Err(error) => wrong.push(format!("{place}: {error}")),
        }
    }
    assert!(wrong.is_empty(), "{} vectors differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_conservative_reading_is_never_later() {
    for (file, number, vector) in vectors() {
        let (trigger, period, convention, zone, calendar) = question(&vector);
        let legal = time::count(trigger, period, &convention, zone, calendar.legal()).unwrap();
        let careful =
            time::count(trigger, period, &convention.conservative(period.unit), zone, calendar.firm()).unwrap();
        assert!(careful.due <= legal.due, "{}:{number} {}", file.display(), vector["id"]);
    }
}

#[test]
fn every_step_can_be_read() {
    for (_, _, vector) in vectors() {
        let (trigger, period, convention, zone, calendar) = question(&vector);
        let counted = time::count(trigger, period, &convention, zone, calendar.legal()).unwrap();
        assert!(!counted.steps.is_empty(), "{}", vector["id"]);
        for step in counted.steps {
            let text = step.text(zone);
            assert!(text.len() > 10 && !text.ends_with('.') && !text.contains('`'), "{text}");
        }
    }
}

#[test]
fn hours_of_the_grid_add_up_to_the_period() {
    let mut seen = 0;
    for (_, _, vector) in vectors() {
        let (trigger, period, convention, zone, calendar) = question(&vector);
        let sum = |rows: Vec<time::GridDay>| rows.iter().filter_map(|r| r.counted.parse::<f64>().ok()).sum::<f64>();
        let rows = time::grid(trigger, period, &convention, zone, calendar.legal()).unwrap();
        let exact = match period.unit {
            time::Unit::Minute => f64::from(period.n) / 60.0,
            time::Unit::Hour | time::Unit::WorkingHour | time::Unit::Day | time::Unit::WorkingDay => {
                f64::from(period.n)
            }
            _ => continue,
        };
        seen += 1;
        assert!((sum(rows) - exact).abs() < 0.05, "{}", vector["id"]);
    }
    assert!(seen > 100);
}

#[test]
fn the_sample_receipt() {
    let zone = Zone::named("Europe/Paris").unwrap();
    let trigger = "2026-03-27T15:20:00Z".parse().unwrap();
    let convention = Convention { start: time::Start::NextHour, ..Convention::elapsed() };
    let calendar = Calendars::builtin().get("FR").unwrap();
    let period = Period { unit: time::Unit::Hour, n: 72 };
    let rows = time::grid(trigger, period, &convention, zone, calendar.legal()).unwrap();
    let counted: Vec<&str> = rows.iter().map(|r| &*r.counted).collect();
    assert_eq!(counted, ["7", "24", "23", "18"]);
    assert_eq!((&*rows[0].excluded, rows[2].missing.as_str()), ("16", "02"));
}
