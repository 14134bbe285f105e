//! The register as CSV (RFC 4180): one line for each duty, with its breach; one for a breach without duties.
//!
//! Spreadsheet programs run what looks like a formula. A cell that could begin one gets an apostrophe in front, as OWASP
//! advises, so that a title somebody reported is never executed on the desk of whoever opens the file.

use super::{BREACH_COLUMNS, Breach, OWED_COLUMNS};
use std::borrow::Cow;

/// The table as UTF-8, with headings.
pub fn write(breaches: &[Breach]) -> Vec<u8> {
    let mut out = Vec::new();
    line(&mut out, BREACH_COLUMNS.into_iter().chain(OWED_COLUMNS));
    for breach in breaches {
        if breach.obligations.is_empty() {
            line(&mut out, breach.cells().into_iter().chain([""; OWED_COLUMNS.len()]));
        }
        for owed in &breach.obligations {
            line(&mut out, breach.cells().into_iter().chain(owed.cells()));
        }
    }
    out
}

fn line<'c>(out: &mut Vec<u8>, cells: impl Iterator<Item = &'c str>) {
    for (at, cell) in cells.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.push(b'"');
        out.extend_from_slice(harmless(cell).replace('"', "\"\"").as_bytes());
        out.push(b'"');
    }
    out.extend_from_slice(b"\r\n");
}

/// `cell` as text that no spreadsheet program takes for a formula.
pub fn harmless(cell: &str) -> Cow<'_, str> {
    // some programs skip blanks first, and take the full-width forms for the same
    let first =
        cell.trim_start_matches(|c: char| c.is_whitespace() || c.is_control() || c == '\u{feff}').chars().next();
    let begins = cell.starts_with(['\t', '\r', '\n']);
    let formula = first.is_some_and(|c| "=+-@\u{ff1d}\u{ff0b}\u{ff0d}\u{ff20}|%".contains(c));
    if begins || formula { Cow::Owned(format!("'{cell}")) } else { Cow::Borrowed(cell) }
}

#[cfg(test)]
mod tests {
    use super::super::Owed;
    use super::*;

    #[test]
    fn formulas_are_text() {
        for (cell, wanted) in [
            ("Tape lost", "Tape lost"),
            ("", ""),
            ("a=b", "a=b"),
            ("=1+1", "'=1+1"),
            ("+41 22 000", "'+41 22 000"),
            ("-2", "'-2"),
            ("@SUM(A1)", "'@SUM(A1)"),
            (" \t=cmd|' /C calc'!A0", "' \t=cmd|' /C calc'!A0"),
            ("\u{feff}=1", "'\u{feff}=1"),
            ("\u{ff1d}1", "'\u{ff1d}1"),
            ("\rx", "'\rx"),
            ("|calc", "'|calc"),
        ] {
            assert_eq!(harmless(cell), wanted, "{cell:?}");
        }
    }

    #[test]
    fn lines() {
        let breach =
            |title: &str, obligations: Vec<Owed>| Breach { title: title.into(), obligations, ..Breach::default() };
        let owed = Owed { duty: "Notice, \"initial\"".into(), ..Owed::default() };
        let table = String::from_utf8(write(&[
            breach("=HYPERLINK(\"http://x\")", vec![owed.clone(), owed]),
            breach("two\nlines", Vec::new()),
        ]))
        .expect("UTF-8");
        assert_eq!(table.matches("\r\n").count(), 4);
        assert_eq!(table.matches("\"'=HYPERLINK(\"\"http://x\"\")\"").count(), 2);
        assert_eq!(table.matches("\"Notice, \"\"initial\"\"\"").count(), 2);
        assert!(table.contains("\"two\nlines\""));
        let columns = BREACH_COLUMNS.len() + OWED_COLUMNS.len();
        assert_eq!(table.lines().next().map(|l| l.split(',').count()), Some(columns));
    }
}
