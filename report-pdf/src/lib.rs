//! The printed report of a bundle: a document in JSON goes in, PDF/A-3 (tagged, PDF/UA-1) comes out.
//!
//! The layout is `report.typ`; the data is read there as a file, so a text that looks like markup stays text. There is
//! no file system, no package, no clock and no font but those compiled in: the same input gives the same bytes.
//! Absent: what stands in the report. The caller's document says it all.

mod letters;
mod world;

use serde_json::Value;
use typst::WorldExt;
use typst::diag::SourceDiagnostic;
use typst::foundations::{Datetime, Smart};
use typst_layout::PagedDocument;
use typst_pdf::{PdfOptions, PdfStandard, PdfStandards, Timestamp};
use world::Closed;

/// Sets the document and prints it. `document` is the JSON of the report (see the caller's `Document`); each of
/// `attached` (plain file name, bytes) is kept inside the PDF and comes out byte for byte.
///
/// # Errors
/// In words, when the document is no such JSON or cannot be set within the standard.
pub fn print(document: &[u8], attached: &[(&str, &[u8])]) -> Result<Vec<u8>, String> {
    let mut read: Value =
        serde_json::from_slice(document).map_err(|fault| format!("the document is no JSON: {fault}"))?;
    let made_at = made_at(&read)?;
    if letters::replace_unknown(&mut read) {
        letters::say_so(&mut read);
    }
    let shown = serde_json::to_vec(&read).expect("what was read as JSON is JSON");
    let world = Closed::new(&shown, attached);
    let set = typst::compile::<PagedDocument>(&world).output.map_err(|faults| words(&world, &faults))?;
    let standards = PdfStandards::new(&[PdfStandard::A_3a, PdfStandard::Ua_1]).map_err(|fault| format!("{fault:?}"))?;
    let options = PdfOptions {
        ident: Smart::Custom(format!("{:x}", fingerprint(document))),
        timestamp: Some(Timestamp::new_utc(made_at)),
        standards,
        ..PdfOptions::default()
    };
    // the typesetter keeps what it computed for a next run of nearly the same text; ours is another incident
    let printed = typst_pdf::pdf(&set, &options).map_err(|faults| words(&world, &faults));
    comemo::evict(0);
    printed
}

/// The `made_at` of the document, `YYYY-MM-DDThh:mm:ssZ`: the date of the PDF.
fn made_at(document: &Value) -> Result<Datetime, String> {
    let text = document["made_at"].as_str().unwrap_or_default();
    let part = |from: usize, to: usize| text.get(from..to).and_then(|digits| digits.parse::<u16>().ok());
    let read = || {
        let small = |from, to| part(from, to).and_then(|n| u8::try_from(n).ok());
        Datetime::from_ymd_hms(
            i32::from(part(0, 4)?),
            small(5, 7)?,
            small(8, 10)?,
            small(11, 13)?,
            small(14, 16)?,
            small(17, 19)?,
        )
    };
    read().ok_or_else(|| format!("`made_at` is `{text}`: write it as `2026-03-02T09:20:00Z`"))
}

/// FNV-1a: the same document has the same identity, on every machine.
fn fingerprint(document: &[u8]) -> u64 {
    document.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// What is wrong, with the line of the layout that was being set.
fn words(world: &Closed, faults: &[SourceDiagnostic]) -> String {
    let line = |fault: &SourceDiagnostic| match world.range(fault.span) {
        Some(range) => format!("line {}: {}", world.line_of(range.start), fault.message),
        None => fault.message.to_string(),
    };
    faults.iter().map(line).collect::<Vec<_>>().join("; ")
}
