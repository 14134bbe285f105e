//! Dates that one obligation gives another: bounds handed on, the nearest of several readings, chains in any order.

use breachclock::rules::{SourceFile, builtin_files, load};
use breachclock::time::Calendars;
use breachclock::workflow::check_law::run_cases;
use std::sync::Arc;

#[test]
fn dates_that_depend_on_other_dates() {
    let own = |path: &str, text: &str| SourceFile { path: path.into(), text: text.into() };
    let mut files: Vec<SourceFile> =
        builtin_files().into_iter().filter(|f| !f.path.contains('/') && !f.path.contains("cases")).collect();
    files.push(own("xx/depend.toml", include_str!("packs/depend.toml")));
    files.push(own("xx/depend.cases.toml", include_str!("packs/depend.cases.toml")));
    let book = load(&files, Arc::new(Calendars::builtin().clone())).unwrap_or_else(|faults| panic!("{faults:?}"));
    let outcomes = run_cases(&book, &files);
    assert_eq!(outcomes.len(), 14, "cases were not found");
    let faults: Vec<String> =
        outcomes.iter().flat_map(|o| o.faults.iter().map(move |f| format!("{}: {f}", o.name))).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
