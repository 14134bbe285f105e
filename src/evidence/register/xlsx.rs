//! The register as a workbook: breaches, duties, statistics, and what the workbook is of. Every cell is text: nothing is ever a formula.

use super::statistics::{Spread, Statistics};
use super::{BREACH_COLUMNS, Breach, OWED_COLUMNS, Scope};
use crate::evidence::EvidenceError;
use rust_xlsxwriter::{DocProperties, Format, Workbook, Worksheet, XlsxError};

/// Longest text a cell may hold.
const CELL: usize = 32_767;

/// The workbook's bytes. The same arguments give the same bytes.
///
/// # Errors
/// When there are more rows than a sheet has.
pub fn write(scope: &Scope, breaches: &[Breach], statistics: &Statistics) -> Result<Vec<u8>, EvidenceError> {
    build(scope, breaches, statistics)
        .map_err(|error| EvidenceError::Zip(format!("the workbook cannot be written: {error}")))
}

fn build(scope: &Scope, breaches: &[Breach], statistics: &Statistics) -> Result<Vec<u8>, XlsxError> {
    let mut book = Workbook::new();
    // else the machine's clock is read
    let epoch = rust_xlsxwriter::ExcelDateTime::from_ymd(2000, 1, 1)?;
    book.set_properties(&DocProperties::new().set_title("Register of breaches").set_creation_datetime(&epoch));
    let sheet = book.add_worksheet().set_name("Breaches")?;
    heading(sheet, &BREACH_COLUMNS)?;
    for (at, breach) in breaches.iter().enumerate() {
        row(sheet, at as u32 + 1, breach.cells().into_iter())?;
    }
    let sheet = book.add_worksheet().set_name("Obligations")?;
    let columns: Vec<&str> = ["breach", "title"].into_iter().chain(OWED_COLUMNS).collect();
    heading(sheet, &columns)?;
    let owed = breaches.iter().flat_map(|breach| breach.obligations.iter().map(move |owed| (breach, owed)));
    for (at, (breach, owed)) in owed.enumerate() {
        let cells = [breach.id.as_str(), breach.title.as_str()].into_iter().chain(owed.cells());
        row(sheet, at as u32 + 1, cells)?;
    }
    numbers(book.add_worksheet().set_name("Statistics")?, statistics)?;
    let sheet = book.add_worksheet().set_name("About")?;
    let or_all = |text: &Option<String>| text.clone().unwrap_or_else(|| "all".into());
    let about = [
        ("log", scope.origin.clone()),
        ("from", or_all(&scope.from)),
        ("until", or_all(&scope.until)),
        ("status", or_all(&scope.status)),
        ("entity", or_all(&scope.entity)),
        ("made at", scope.made_at.clone()),
        ("made by", scope.made_by.clone()),
    ];
    for (at, (name, value)) in about.iter().enumerate() {
        row(sheet, at as u32, [*name, value.as_str()].into_iter())?;
    }
    book.save_to_buffer()
}

fn numbers(sheet: &mut Worksheet, statistics: &Statistics) -> Result<(), XlsxError> {
    const COLUMNS: [&str; 14] = [
        "jurisdiction",
        "obligations",
        "on time",
        "late",
        "missed",
        "on-time rate",
        "to know, n",
        "to know, median h",
        "to know, p90 h",
        "to decide, median h",
        "to decide, p90 h",
        "to notify, n",
        "to notify, median h",
        "to notify, p90 h",
    ];
    heading(sheet, &COLUMNS)?;
    let all = ("all", &statistics.on_time, &statistics.time_to_notify, Some(statistics));
    let each =
        statistics.by_jurisdiction.iter().map(|j| (j.jurisdiction.as_str(), &j.on_time, &j.time_to_notify, None));
    for (at, (place, on_time, notify, whole)) in std::iter::once(all).chain(each).enumerate() {
        let at = at as u32 + 1;
        sheet.write_string(at, 0, place)?;
        for (column, n) in [on_time.obligations, on_time.on_time, on_time.late, on_time.missed].into_iter().enumerate()
        {
            sheet.write_number(at, column as u16 + 1, n as f64)?;
        }
        let mut number = |column: u16, value: Option<f64>| match value {
            Some(value) => sheet.write_number(at, column, value).map(|_| ()),
            None => Ok(()),
        };
        number(5, on_time.rate)?;
        let hours = |seconds: Option<i64>| seconds.map(|s| s as f64 / 3600.0);
        if let Some(whole) = whole {
            let (know, decide): (&Spread, &Spread) = (&whole.time_to_know, &whole.time_to_decide);
            number(6, Some(know.n as f64))?;
            number(7, hours(know.median_seconds))?;
            number(8, hours(know.p90_seconds))?;
            number(9, hours(decide.median_seconds))?;
            number(10, hours(decide.p90_seconds))?;
        }
        number(11, Some(notify.n as f64))?;
        number(12, hours(notify.median_seconds))?;
        number(13, hours(notify.p90_seconds))?;
    }
    Ok(())
}

fn heading(sheet: &mut Worksheet, columns: &[&str]) -> Result<(), XlsxError> {
    let bold = Format::new().set_bold();
    for (at, name) in columns.iter().enumerate() {
        sheet.write_string_with_format(0, at as u16, *name, &bold)?;
        sheet.set_column_width(at as u16, 18)?;
    }
    sheet.set_freeze_panes(1, 0)?;
    Ok(())
}

fn row<'c>(sheet: &mut Worksheet, at: u32, cells: impl Iterator<Item = &'c str>) -> Result<(), XlsxError> {
    for (column, cell) in cells.enumerate().filter(|(_, cell)| !cell.is_empty()) {
        match cell.char_indices().nth(CELL - 1) {
            None => sheet.write_string(at, column as u16, cell)?,
            Some((end, _)) => sheet.write_string(at, column as u16, format!("{}…", &cell[..end]))?,
        };
    }
    Ok(())
}
