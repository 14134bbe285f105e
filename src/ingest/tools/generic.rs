//! Any JSON: the operator's `[ingest.map]` says where the title, the reference and the facts stand.

use super::mapping::Mapping;
use super::place::Place;
use super::{Item, Scribe};

pub(super) fn read(item: &Place<'_>, mapping: &Mapping, scribe: &mut Scribe<'_>) -> Option<Item> {
    let at = mapping.field("reference").unwrap_or("/reference");
    // a case that cannot be known again would be opened anew by every delivery
    let reference = match item.pointed(at) {
        Some(place) => place,
        None => {
            let mut fault = item.fault(format!("`{at}` is missing; it says which case this is about"));
            fault.pointer = format!("{}{at}", item.pointer.0);
            scribe.faults.push(fault);
            return None;
        }
    };
    let title = item.pointed(mapping.field("title").unwrap_or("/title"));
    let title = title.and_then(|place| super::line(&place.word()?, super::TITLE_CHARS));
    let case = scribe.case_named(&reference, title, "reported".into())?;
    Some(Item::Case(Box::new(case)))
}
