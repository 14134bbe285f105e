//! `certification.txt`: what the log knows of its records, around blanks that a person fills in and signs.
//!
//! The text is data (`bundle/words.toml`). Absent: the sum of `SHA256SUMS`, which lists this file, and every judgement.

use super::report::Counts;
use super::{ExportInput, hex, sha256};
use std::collections::BTreeMap;

/// The template for one bundle, whose other files are `files`.
pub(super) fn text(
    input: &ExportInput<'_>,
    stream: &str,
    made_at: &str,
    counts: Counts,
    files: &BTreeMap<String, Vec<u8>>,
) -> String {
    let sum = |name: &str| files.get(name).map(|bytes| hex(&sha256(bytes))).unwrap_or_default();
    let [disclosed, erased, withheld] = [counts.disclosed, counts.erased, counts.withheld].map(|n| n.to_string());
    // the name of the organisation comes last: what it says in braces is no gap
    input.report.words.fill(
        "certification",
        &[
            ("product", input.product),
            ("incident", stream),
            ("origin", &input.checkpoint.origin),
            ("entries", &input.entries.len().to_string()),
            ("size", &input.checkpoint.size.to_string()),
            ("root", &input.checkpoint.root_base64()),
            ("made_at", made_at),
            ("exporter", input.exporter),
            ("profile", &input.report.profile),
            ("disclosed", &disclosed),
            ("withheld", &withheld),
            ("erased", &erased),
            ("checkpoint_sha256", &sum("checkpoint.txt")),
            ("index_sha256", &sum("bundle.json")),
            ("report_sha256", &sum("report.html")),
            ("log_fingerprint", &input.log_key.public().fingerprint()),
            ("export_fingerprint", &input.export_key.public().fingerprint()),
            ("controller", &one_line(&input.report.controller)),
        ],
    )
}

/// A name cannot begin lines of its own; one that nobody gave is a blank.
fn one_line(name: &str) -> String {
    match name.split_whitespace().collect::<Vec<_>>().join(" ") {
        empty if empty.is_empty() => "_".repeat(40),
        name => name,
    }
}
