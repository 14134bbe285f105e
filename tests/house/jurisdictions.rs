//! Every pack loads, lints clean, and holds in its worked cases.

use breachclock::rules::{Fault, Rulebook, SourceFile, builtin, builtin_files, lint, load};
use breachclock::time::{Calendars, CivilDate};
use breachclock::workflow::check_law::run_cases;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[test]
fn the_built_in_packs_hold() {
    let book = builtin()
        .unwrap_or_else(|faults| panic!("{}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")));
    let findings = lint(&book, newest_review(&book));
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

/// The test must not begin to fail by itself: calendars are asked to reach two years beyond the newest review.
fn newest_review(book: &Rulebook) -> CivilDate {
    book.version.parse().expect("the packs carry a review date")
}

#[test]
fn every_researched_duty_is_in_a_pack_or_stands_with_the_reason() {
    let book = builtin().expect("the packs load");
    let missing: Vec<&str> = include_str!("duty_ids.txt")
        .lines()
        .filter(|id| book.duty(id).is_none() && !book.not_modelled().contains_key(*id))
        .collect();
    assert!(missing.is_empty(), "in no pack and not in NOT_MODELLED.toml: {}", missing.join(", "));
    let twice: Vec<&String> = book.not_modelled().keys().filter(|id| book.duty(id).is_some()).collect();
    assert!(twice.is_empty(), "modelled, and yet in NOT_MODELLED.toml: {twice:?}");
}

#[test]
fn every_known_mistake_is_caught_by_a_case() {
    #[derive(serde::Deserialize)]
    struct Traps {
        trap: BTreeMap<String, String>,
    }
    let traps: Traps = toml::from_str(include_str!("traps.toml")).expect("traps.toml reads");
    let book = builtin().expect("the packs load");
    let outcomes = run_cases(&book, &builtin_files());
    let caught: BTreeSet<&str> = outcomes.iter().flat_map(|o| o.traps.iter().map(String::as_str)).collect();
    let open: Vec<&String> = traps.trap.keys().filter(|id| !caught.contains(id.as_str())).collect();
    assert!(open.is_empty(), "no case names {open:?}");
    let unknown: Vec<&&str> = caught.iter().filter(|id| !traps.trap.contains_key(**id)).collect();
    assert!(unknown.is_empty(), "traps.toml does not know {unknown:?}");
}

#[test]
fn the_page_of_coverage_is_up_to_date() {
    let page = builtin().expect("the packs load").coverage_page();
    let committed = std::fs::read_to_string("jurisdictions/COVERAGE.md").unwrap_or_default();
    assert!(
        page == committed,
        "run `breachclock law coverage --markdown > jurisdictions/COVERAGE.md` and read the diff"
    );
}

/// A duty that falls away with a fact nobody stated is meant to: it stands in SILENCES.txt, and somebody read that line.
#[test]
fn no_duty_falls_silent_unnoticed() {
    let book = builtin().expect("the packs load");
    let page = breachclock::workflow::silences::page(&book, &builtin_files());
    let committed = std::fs::read_to_string("jurisdictions/SILENCES.txt").unwrap_or_default();
    let (are, were): (BTreeSet<&str>, BTreeSet<&str>) = (page.lines().collect(), committed.lines().collect());
    let new: Vec<&&str> = are.difference(&were).collect();
    assert!(
        new.is_empty(),
        "unknown is never no, but these duties now fall away when one thing is not known. Ask for it in the pack; only \
         where silence is meant run `breachclock law silences > jurisdictions/SILENCES.txt`:\n{new:#?}"
    );
    let gone: Vec<&&str> = were.difference(&are).collect();
    assert!(gone.is_empty(), "no longer silent, take them out of jurisdictions/SILENCES.txt:\n{gone:#?}");
}

/// What `lint` says of a pack that loads and is wrong: change of the good pack, and the words of the finding.
const WRONG: &[(&str, &str, &str)] = &[
    ("source_url = \"https://example.org/act\"", "", "has no `source_url`"),
    ("from = 2020-01-01", "from = 2020-01-01\nuntil = 2019-01-01", "ends on 2019-01-01, before it begins"),
    ("hours = 24", "hours = 24\ntarget = 30", "a target of 30 that is not inside the limit of 24"),
    ("starts = \"times.aware\"", "starts = \"filed:xx-test-1\"", "starts with its own filing"),
    ("starts = \"times.aware\"", "starts = \"calendar-year-end\"", "use a convention with that anchor"),
    ("starts = \"times.aware\"", "starts = \"times.xx_binds\"", "a clock cannot start in the future"),
    ("when = [\"personal_data\"]", "when = [\"personal_data\", \"not personal_data\"]", "exclude each other"),
    ("when = [\"personal_data\"]", "when = [\"risk = high\", \"risk != high\"]", "exclude each other"),
    ("when = [\"personal_data\"]", "when = [\"affected > 500\", \"affected <= 500\"]", "exclude each other"),
    (
        "when = [\"personal_data\"]",
        "when = [\"times.aware before 2026-07-01\", \"times.aware on or after 2026-07-01\"]",
        "exclude each other",
    ),
    ("when = [\"personal_data\"]", "when = [\"personal_data\"]\nunless = [\"personal_data\"]", "takes the same away"),
    ("when = [\"personal_data\"]", "when = [\"affected < 500\"]\nmin_affected = 500", "`min_affected` is 500"),
    ("when = [\"personal_data\"]", "when = [\"personal_data\"]\ncombine = \"same-clock-as:xx-test-1\"", "with itself"),
];

#[test]
fn lint_finds_what_parses_and_is_wrong() {
    let findings = |pack: &str| {
        let book = load_with(pack).unwrap_or_else(|faults| panic!("refused: {faults:?}\n{pack}"));
        lint(&book, newest_review(&book))
    };
    assert_eq!(findings(GOOD), Vec::<String>::new());
    for (from, to, words) in WRONG {
        let broken = GOOD.replace(from, to);
        assert_ne!(broken, GOOD, "`{from}` changes nothing");
        let found = findings(&broken);
        assert!(found.iter().any(|f| f.contains(words)), "`{to}`: no finding says `{words}`: {found:?}");
    }
    // a calendar that ends too soon for a count that asks it
    let book = load_with(&GOOD.replace("hours = 24", "working_days = 3").replace("elapsed-hours", "working-days"))
        .unwrap_or_else(|faults| panic!("{faults:?}"));
    let far: CivilDate = "2120-01-01".parse().expect("a date");
    assert!(lint(&book, far).iter().any(|f| f.contains("calendars: `FR` has no data after")), "{:?}", lint(&book, far));
}

const GOOD: &str = r#"[instrument]
id = "xx-test"
title = "A test act"
jurisdiction = "FR"
reviewed = 2026-01-01
[[fact]]
key = "times.xx_binds"
type = "instant"
may_be_ahead = true
question = "From when does the act bind the entity?"
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
source_url = "https://example.org/act"
status = "in force"
confidence = "high"
[[duty.period]]
from = 2020-01-01
hours = 24
convention = "elapsed-hours"
"#;

/// The shared files of the packs, and one pack.
fn load_with(pack: &str) -> Result<Rulebook, Vec<Fault>> {
    let mut files: Vec<SourceFile> =
        builtin_files().into_iter().filter(|f| !f.path.contains('/') && !f.path.contains("cases")).collect();
    files.push(SourceFile { path: "xx/test.toml".into(), text: pack.to_string() });
    load(&files, Arc::new(Calendars::builtin().clone()))
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
        ("when = [\"personal_data\"]", "when = [\"affected.XQ > 5\"]", 0, "XQ"),
        ("when = [\"personal_data\"]", "when = [\"affected.PR > 5\"]", 0, "place `PR` is `US-PR`"),
        ("when = [\"personal_data\"]", "when = [\"times.aware before 2026-02-30\"]", 0, "`2026-02-30` is no day"),
        ("when = [\"personal_data\"]", "when = [\"times.aware on or after 2026-7-1\"]", 0, "`2026-7-1` is no day"),
        ("when = [\"personal_data\"]", "when = [\"times.aware after 2026-07-01\"]", 0, "write `on or after`"),
        ("when = [\"personal_data\"]", "when = [\"personal_data before 2026-07-01\"]", 0, "reads it as instant"),
        ("type = \"instant\"\nmay_be", "type = \"yes-no\"\nmay_be", 0, "`may_be_ahead` is for facts of type `instant`"),
        ("when = [\"personal_data\"]", "when = [\"filed xx-tset-1\"]", 0, "did you mean `xx-test-1`"),
        (
            "when = [\"personal_data\"]",
            "when = [\"personal_data\"]\ncombine = \"earliest-of:xx-test-1\"\nopen_while = [\"personal_data\"]",
            0,
            "take one away",
        ),
        ("title = \"Tell somebody\"", "titel = \"Tell somebody\"", 0, "unknown field `titel`"),
    ];
    assert!(load_with(GOOD).is_ok(), "{:?}", load_with(GOOD).err());
    for (from, to, _, words) in cases {
        let broken = GOOD.replace(from, to);
        assert_ne!(broken, GOOD, "the case `{from}` changes nothing");
        let faults = load_with(&broken).err().unwrap_or_else(|| panic!("`{to}` was accepted"));
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

#[test]
fn a_second_code_stands_for_a_place_on_record() {
    let refused = |from: &str, to: &str| -> String {
        let mut files: Vec<SourceFile> = builtin_files().into_iter().filter(|f| f.path == "places.toml").collect();
        assert!(files[0].text.contains(from), "`{from}` changes nothing");
        files[0].text = files[0].text.replacen(from, to, 1);
        let faults = load(&files, Arc::new(Calendars::builtin().clone())).err().unwrap_or_default();
        faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let stranger = refused("same_as = \"US-PR\"", "same_as = \"US-XX\"");
    assert!(stranger.contains("`PR` is `same_as` `US-XX`, which is no other place on record"), "{stranger}");
    let twice = refused("members = [", "members = [\"PR\", ");
    assert!(twice.contains("place `PR` is `US-PR`: packs write the latter"), "{twice}");
}

/// Walks a TOML value along a schema; answers where a key stands that the schema does not have.
fn strangers(
    value: &toml::Value,
    schema: &serde_json::Value,
    root: &serde_json::Value,
    at: &str,
    found: &mut Vec<String>,
) {
    let schema = match schema["$ref"].as_str() {
        Some(reference) => &root["$defs"][reference.rsplit('/').next().expect("a name")],
        None => schema,
    };
    if let Some(choices) = schema["anyOf"].as_array() {
        let fits = |choice: &&serde_json::Value| match value {
            toml::Value::String(_) => choice["type"] == "string",
            toml::Value::Array(_) => choice["type"] == "array",
            _ => choice["type"] == "object",
        };
        let choice = choices.iter().find(fits).unwrap_or_else(|| panic!("{at}: no choice fits"));
        return strangers(value, choice, root, at, found);
    }
    match value {
        toml::Value::Table(table) if schema["properties"].is_object() => {
            for (key, member) in table {
                match schema["properties"].get(key) {
                    Some(inner) => strangers(member, inner, root, &format!("{at}/{key}"), found),
                    None => found.push(format!("{at}/{key}")),
                }
            }
            for key in schema["required"].as_array().into_iter().flatten().filter_map(|k| k.as_str()) {
                if !table.contains_key(key) {
                    found.push(format!("{at}: no {key}"));
                }
            }
        }
        toml::Value::Array(items) => items.iter().for_each(|item| strangers(item, &schema["items"], root, at, found)),
        toml::Value::String(word) => {
            if let Some(words) = schema["enum"].as_array()
                && !words.iter().any(|w| w == word.as_str())
            {
                found.push(format!("{at}: {word}"));
            }
        }
        _ => {}
    }
}

#[test]
fn the_schema_for_editors_knows_every_key_and_word_of_the_packs() {
    use breachclock::rules::{FileKind, cases_schema, kind_of, pack_schema};
    let (packs, cases) = (pack_schema(), cases_schema());
    for file in builtin_files() {
        let schema = match kind_of(&file.path) {
            FileKind::Pack => &packs,
            FileKind::Cases => &cases,
            _ => continue,
        };
        let value: toml::Value = toml::from_str(&file.text).expect("reads");
        let mut found = Vec::new();
        strangers(&value, schema, schema, "", &mut found);
        assert!(found.is_empty(), "{}: {found:?}", file.path);
    }
    // and it knows no key that packs do not have
    for key in packs["properties"]["duty"]["items"]["properties"].as_object().expect("properties").keys() {
        let words = format!("unknown field `{key}`");
        let pack = GOOD.replace("title = \"Tell somebody\"", &format!("title = \"Tell somebody\"\n{key} = false"));
        let faults = load_with(&pack).err().unwrap_or_default();
        assert!(!faults.iter().any(|f| f.text.contains(&words)), "{faults:?}");
    }
}
