//! The printed report of a bundle: a document in JSON goes in, PDF/A-3 (tagged, PDF/UA-1) comes out.
//!
//! The layout is `report.typ`; the data is read there as a file, so a text that looks like markup stays text. There is
//! no file system, no package, no clock and no font but those compiled in: the same input gives the same bytes.
//! Absent: what stands in the report. The caller's document says it all.

mod world;

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
    let made_at = made_at(document)?;
    let world = Closed::new(document, attached);
    let set = typst::compile::<PagedDocument>(&world).output.map_err(|faults| words(&faults))?;
    let standards = PdfStandards::new(&[PdfStandard::A_3a, PdfStandard::Ua_1]).map_err(|fault| format!("{fault:?}"))?;
    let options = PdfOptions {
        ident: Smart::Custom(format!("{:x}", fingerprint(document))),
        timestamp: Some(Timestamp::new_utc(made_at)),
        standards,
        ..PdfOptions::default()
    };
    // the typesetter keeps what it computed for a next run of nearly the same text; ours is another incident
    let printed = typst_pdf::pdf(&set, &options).map_err(|faults| words(&faults));
    comemo::evict(0);
    printed
}

/// The `made_at` of the document, `YYYY-MM-DDThh:mm:ssZ`: the date of the PDF.
fn made_at(document: &[u8]) -> Result<Datetime, String> {
    let document: serde_json::Value =
        serde_json::from_slice(document).map_err(|fault| format!("the document is no JSON: {fault}"))?;
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

fn words(faults: &[SourceDiagnostic]) -> String {
    faults.iter().map(|fault| fault.message.to_string()).collect::<Vec<_>>().join("; ")
}
