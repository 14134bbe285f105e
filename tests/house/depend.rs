//! Dates that one obligation gives another, and made-up acts that show how the rules are read: bounds handed on, the nearest
//! of several readings, chains in any order, texts of the past.

use breachclock::law::Standing;
use breachclock::rules::{Options, Rulebook, SourceFile, builtin, builtin_files, load};
use breachclock::time::Calendars;
use breachclock::workflow::check_law::{incidents_of_cases, run_cases};
use std::sync::Arc;

/// The shared files of the packs, and one made-up act with its cases.
fn act(pack: &str, cases: &str) -> (Rulebook, Vec<SourceFile>) {
    let own = |path: &str, text: &str| SourceFile { path: path.into(), text: text.into() };
    let mut files: Vec<SourceFile> =
        builtin_files().into_iter().filter(|f| !f.path.contains('/') && !f.path.contains("cases")).collect();
    files.push(own("xx/act.toml", pack));
    files.push(own("xx/act.cases.toml", cases));
    let book = load(&files, Arc::new(Calendars::builtin().clone())).unwrap_or_else(|faults| panic!("{faults:?}"));
    (book, files)
}

fn hold((book, files): &(Rulebook, Vec<SourceFile>), count: usize) {
    let outcomes = run_cases(book, files);
    assert_eq!(outcomes.len(), count, "cases were not found");
    let faults: Vec<String> =
        outcomes.iter().flat_map(|o| o.faults.iter().map(move |f| format!("{}: {f}", o.name))).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn texts() -> (Rulebook, Vec<SourceFile>) {
    act(include_str!("packs/texts.toml"), include_str!("packs/texts.cases.toml"))
}

#[test]
fn dates_that_depend_on_other_dates() {
    hold(&act(include_str!("packs/depend.toml"), include_str!("packs/depend.cases.toml")), 14);
}

#[test]
fn what_counts_as_a_performance_and_as_a_start() {
    let (book, files) = act(include_str!("packs/filings.toml"), include_str!("packs/filings.cases.toml"));
    hold(&(book.clone(), files.clone()), 6);
    let told = incidents_of_cases(&book, &files).into_iter().find(|told| told.incident.title.contains("open norm"));
    let told = told.expect("the case of the open norm");
    let plan = book.plan(&told.incident, told.now, told.options);
    let open = plan.obligations.iter().find(|o| o.duty.0 == "xx-open").expect("it is owed");
    let since = open.started_by.as_ref().map(|started| started.key.as_str());
    assert_eq!(since, Some("times.notified_by_provider"));
}

#[test]
fn texts_that_are_not_in_force_and_days_in_conditions() {
    hold(&texts(), 29);
}

#[test]
fn a_duty_in_its_own_case_with_one_thing_otherwise() {
    let (book, files) = texts();
    let varied = breachclock::workflow::vary::vary(&book, &files, "xx-twin").expect("a case wants it");
    assert_eq!(varied.case, "told on its first day");
    let stands = |what: &str| {
        let found = varied.variations.iter().find(|v| v.what == what);
        found.unwrap_or_else(|| panic!("`{what}` is not among {:#?}", varied.variations)).stands.join("; ")
    };
    assert_eq!(varied.stands, ["xx-twin@FR running, until 2026-01-16T11:00:00Z, counted from 2026-01-15T11:00:00Z"]);
    assert_eq!(stands("all of it so that the clock starts on 2026-01-14"), "");
    assert_eq!(
        stands("xx.licensed = yes"),
        "xx-twin@FR running, until 2026-01-16T11:00:00Z, counted from 2026-01-15T11:00:00Z, \
         may be ended by claiming xx.told_otherwise"
    );
    assert!(stands("role controller not stated").contains("asks entity.roles"));
    assert!(stands("times.notified_by_provider not known").contains("awaiting"));
    assert!(breachclock::workflow::vary::vary(&book, &files, "xx-none").is_none());
}

/// Whoever asks for everything sees more, and the rest unchanged.
fn all_changes_nothing(book: &Rulebook, files: &[SourceFile], every: usize) -> usize {
    let mut compared = 0;
    for told in incidents_of_cases(book, files).into_iter().step_by(every) {
        let shown = |all: bool| -> Vec<String> {
            let plan = book.plan(&told.incident, told.now, Options { all, ..told.options });
            let owed = plan.obligations.iter().filter(|o| !matches!(o.standing, Standing::NotApplicable));
            owed.map(|o| format!("{o:?}")).collect()
        };
        assert_eq!(shown(false), shown(true), "{}", told.incident.title);
        compared += 1;
    }
    compared
}

#[test]
fn asking_for_everything_changes_nothing_else() {
    let (book, files) = texts();
    assert_eq!(all_changes_nothing(&book, &files, 1), 29);
    let packs = builtin().expect("the packs load");
    assert!(all_changes_nothing(&packs, &builtin_files(), 120) > 30);
    // one alternative applies, the other does not and would be due earlier
    let luxembourg: Vec<SourceFile> =
        builtin_files().into_iter().filter(|f| f.path.contains("lu/") && f.path.contains("nis2.cases")).collect();
    assert!(all_changes_nothing(&packs, &luxembourg, 1) > 0);
}

#[test]
fn a_follow_up_says_why_it_does_not_apply() {
    let (book, files) = texts();
    let told = incidents_of_cases(&book, &files).into_iter().next().expect("a case");
    let plan = book.plan(&told.incident, told.now, Options { all: true, ..told.options });
    let because =
        |duty: &str| plan.obligations.iter().find(|o| o.duty.0 == duty).expect("is listed").because.join("; ");
    let first = because("xx-final");
    assert!(first.contains("no text of `xx-warning` is in force on 2026-01-10"), "{first}");
    let second = because("xx-closing");
    assert!(second.contains("`xx-final` does not apply: nothing starts this clock"), "{second}");
}

#[test]
fn the_branch_that_decides_is_the_one_that_is_shown() {
    let (book, files) = texts();
    let told = incidents_of_cases(&book, &files).into_iter().find(|t| t.incident.title.contains("has no number"));
    let told = told.expect("the case");
    let plan = book.plan(&told.incident, told.now, told.options);
    let answer = book.answer(&told.incident, &plan, told.now);
    let branches = answer.obligations.iter().find(|o| o.duty == "xx-branches").expect("is owed");
    assert_eq!(branches.period, None);
    let because = branches.because.join("; ");
    assert!(because.contains("says \"without undue delay\" and names no number"), "{because}");
    assert!(!because.contains("168 hours"), "{because}");
}
