//! Calendar files to shifts: `tests/vectors/ical/*.ics`, and beside each the shifts or the faults.

use crate::support::at;
use breachclock::ingest::ical::shifts;
use breachclock::time::Zone;
use std::path::Path;

/// Longer lists are shown by their ends.
const SHOWN: usize = 8;

fn written(text: &str) -> String {
    let (from, until) = (at("2026-03-01T00:00:00Z"), at("2028-03-01T00:00:00Z"));
    let lines: Vec<String> = match shifts(text, Zone::named("Europe/Berlin").expect("a zone"), from, until) {
        Ok(shifts) => shifts
            .iter()
            .map(|(from, until, who)| format!("{} {} {who}", from.format("%FT%TZ"), until.format("%FT%TZ")))
            .collect(),
        Err(faults) => faults.iter().map(ToString::to_string).collect(),
    };
    let shown = match lines.len() {
        n if n > SHOWN => {
            let between = format!("... {} more", n - SHOWN);
            [&lines[..SHOWN - 1], &[between], &lines[n - 1..]].concat()
        }
        _ => lines,
    };
    shown.iter().map(|line| format!("{line}\n")).collect()
}

#[test]
fn every_calendar_is_read_as_wanted() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/ical");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .expect("the folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "ics"))
        .collect();
    files.sort();
    assert!(files.len() >= 30, "{} files", files.len());
    let mut wrong = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path).expect("readable");
        let (got, want) = (written(&text), std::fs::read_to_string(path.with_extension("want")).unwrap_or_default());
        if got != want {
            wrong.push(format!("{}:\n--- wanted\n{want}--- read\n{got}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_file_cut_anywhere_is_a_fault_and_no_panic() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/ical/google-export.ics");
    let text = std::fs::read_to_string(path).expect("readable");
    let whole = written(&text);
    let end = text.trim_end().len();
    for cut in (0..end).filter(|cut| text.is_char_boundary(*cut)) {
        assert!(written(&text[..cut]).starts_with("line "), "cut at {cut}");
    }
    assert!(whole.starts_with("2026-"));
}
