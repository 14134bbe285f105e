//! The printed report: PDF/A-3 with the machine index attached, made by a crate of its own behind the feature `pdf`,
//! because a typesetter is heavier than all the rest of the program.

use super::document::Document;

/// The document as PDF with `attached` files (name, bytes) inside; `None` in a program without the feature. The same
/// input gives the same bytes.
#[cfg(feature = "pdf")]
pub fn pdf(document: &Document, attached: &[(&str, &[u8])]) -> Option<Result<Vec<u8>, String>> {
    let data = serde_json::to_vec(document).expect("a document has a JSON form");
    Some(breachclock_report_pdf::print(&data, attached).map_err(|why| format!("the report cannot be printed: {why}")))
}

/// Absent from this program: build it with `--features pdf`.
#[cfg(not(feature = "pdf"))]
pub fn pdf(_document: &Document, _attached: &[(&str, &[u8])]) -> Option<Result<Vec<u8>, String>> {
    None
}
