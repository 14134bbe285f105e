//! Every pack loads, lints clean, and holds in its worked cases.

use breachclock::rules::{SourceFile, builtin, builtin_files, lint, load};
use breachclock::time::Calendars;
use breachclock::workflow::check_law::run_cases;
use std::collections::BTreeSet;
use std::sync::Arc;

#[test]
fn the_built_in_packs_hold() {
    let book = builtin()
        .unwrap_or_else(|faults| panic!("{}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")));
    let findings = lint(&book);
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    let outcomes = run_cases(&book, &builtin_files());
    let failed: Vec<String> = outcomes
        .iter()
        .flat_map(|o| o.faults.iter().map(move |fault| format!("{}:{}: case `{}`: {fault}", o.file, o.line, o.name)))
        .collect();
    assert!(failed.is_empty(), "{} of {} cases:\n{}", failed.len(), outcomes.len(), failed.join("\n"));
    let shown: BTreeSet<&str> = outcomes.iter().flat_map(|o| o.duties.iter().map(String::as_str)).collect();
    let unproven: Vec<&str> = book
        .duties()
        .iter()
        .filter(|d| d.status != breachclock::law::DutyStatus::NoDuty)
        .map(|d| d.id.0.as_str())
        .filter(|id| !shown.contains(id))
        .collect();
    assert!(unproven.is_empty(), "duties without a worked case: {}", unproven.join(", "));
}

#[test]
fn a_fault_names_file_line_and_words() {
    // each broken pack says what it must be refused with
    let cases: &[(&str, &str, usize, &str)] = &[
        ("starts = \"times.aware\"", "starts = \"times.awre\"", 0, "times.awre"),
        ("recipient = \"authority\"", "recipient = \"autority\"", 0, "`recipient` is `autority`"),
        ("convention = \"elapsed-hours\"", "convention = \"elapsd-hours\"", 0, "did you mean `elapsed-hours`"),
        ("hours = 24", "hours = 24\ndays = 1", 0, "two amounts"),
        ("when = [\"personal_data\"]", "when = [\"personal_dta\"]", 0, "did you mean `personal_data`"),
        ("citation = \"s. 1\"", "citation = \"\"", 0, "no citation"),
        ("title = \"Tell somebody\"", "titel = \"Tell somebody\"", 0, "unknown field `titel`"),
    ];
    let good = r#"[instrument]
id = "xx-test"
title = "A test act"
jurisdiction = "FR"
[[duty]]
id = "xx-test-1"
title = "Tell somebody"
roles = ["controller"]
recipient = "authority"
recipient_name = "the authority"
stage = "single"
starts = "times.aware"
when = ["personal_data"]
citation = "s. 1"
status = "in force"
confidence = "high"
[[duty.period]]
from = 2020-01-01
hours = 24
convention = "elapsed-hours"
"#;
    let with = |pack: &str| {
        let mut files: Vec<SourceFile> =
            builtin_files().into_iter().filter(|f| !f.path.contains('/') && !f.path.contains("cases")).collect();
        files.push(SourceFile { path: "xx/test.toml".into(), text: pack.to_string() });
        load(&files, Arc::new(Calendars::builtin().clone()))
    };
    assert!(with(good).is_ok(), "{:?}", with(good).err());
    for (from, to, _, words) in cases {
        let broken = good.replace(from, to);
        assert_ne!(broken, good, "the case `{from}` changes nothing");
        let faults = with(&broken).err().unwrap_or_else(|| panic!("`{to}` was accepted"));
        let fault = faults
            .iter()
            .find(|f| f.text.contains(words))
            .unwrap_or_else(|| panic!("`{to}`: no fault says {words}: {faults:?}"));
        assert_eq!(fault.file, "xx/test.toml");
        let line =
            broken.lines().position(|l| l.contains(to.lines().last().unwrap_or(to))).expect("the changed line") + 1;
        assert!(
            fault.line == line || fault.text.contains("two amounts") && fault.line > 0,
            "`{to}` stands on line {line}, the fault says {}",
            fault.line
        );
    }
}
