//! What the packs cover and what they do not, for `law coverage` and `jurisdictions/COVERAGE.md`.

use super::book::Rulebook;
use crate::law::{Confidence, Duty, DutyStatus};
use serde::Serialize;
use std::collections::BTreeMap;

/// One instrument in one jurisdiction.
#[derive(Clone, Debug, Default, Serialize)]
pub struct InstrumentRow {
    pub pack: String,
    pub title: String,
    pub duties: usize,
    pub in_force: usize,
    /// Adopted, not yet applicable.
    pub to_come: usize,
    pub proposed: usize,
    pub voluntary: usize,
    pub repealed: usize,
    pub high: usize,
    pub medium: usize,
    /// Rows of low confidence: shown as possible, never run by themselves.
    pub unverified: usize,
    pub reviewed: Option<String>,
}

/// One jurisdiction.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CoverageRow {
    pub jurisdiction: String,
    pub name: String,
    pub duties: usize,
    pub in_force: usize,
    pub unverified: usize,
    /// Why it is known that no general duty exists.
    pub no_duty: Option<String>,
    pub instruments: Vec<InstrumentRow>,
}

impl Rulebook {
    /// Jurisdictions with their instruments, in the order of their codes.
    pub fn coverage(&self) -> Vec<CoverageRow> {
        let mut rows: BTreeMap<&str, CoverageRow> = BTreeMap::new();
        for duty in self.duties() {
            let row = rows.entry(&duty.jurisdiction).or_insert_with(|| CoverageRow {
                jurisdiction: duty.jurisdiction.clone(),
                name: self.place_name(&duty.jurisdiction),
                ..CoverageRow::default()
            });
            if duty.status == DutyStatus::NoDuty {
                row.no_duty = Some(duty.title.clone());
                continue;
            }
            row.duties += 1;
            row.in_force += usize::from(duty.status == DutyStatus::InForce);
            row.unverified += usize::from(duty.confidence == Confidence::Low);
            let pack = duty.pack.split('@').next().unwrap_or(&duty.pack);
            let instrument = match row.instruments.iter_mut().find(|i| i.pack == pack) {
                Some(instrument) => instrument,
                None => {
                    let title = self.packs.iter().find(|p| p.id == pack).map_or("", |p| p.title.as_str());
                    row.instruments.push(InstrumentRow {
                        pack: pack.to_string(),
                        title: title.to_string(),
                        ..InstrumentRow::default()
                    });
                    row.instruments.last_mut().expect("pushed on the line before")
                }
            };
            count(instrument, duty);
        }
        rows.into_values().collect()
    }

    fn place_name(&self, place: &str) -> String {
        self.places().get(place).map_or_else(|| place.to_string(), |p| p.name.clone())
    }

    /// Places on record of which no pack speaks, with their names.
    pub fn uncovered(&self) -> Vec<(String, String)> {
        let spoken_of = |place: &str| {
            let inside = format!("{place}-");
            std::iter::once(place)
                .chain(self.places().around(place))
                .any(|p| self.covered.contains(p) || self.without_duty.contains_key(p))
                || self.covered.range(inside.clone()..).next().is_some_and(|p| p.starts_with(&inside))
        };
        let places = self.places().ids().filter(|p| !self.places().is_region(p) && !spoken_of(p));
        places.map(|p| (p.to_string(), self.place_name(p))).collect()
    }

    /// The committed page: generated, never edited.
    pub fn coverage_page(&self) -> String {
        let rows = self.coverage();
        let duties: usize = rows.iter().map(|r| r.duties).sum();
        let mut page = format!(
            "# Coverage\n\nMade by `breachclock law coverage --markdown`; do not edit. {duties} duties of {} instruments in \
             {} jurisdictions. *Unverified* rows have low confidence: they are shown as possible and never run by \
             themselves. A place that is not listed is a risk that is shown, never \"no duty\".\n\n\
             | jurisdiction | instrument | duties | in force | to come | proposed | voluntary | repealed | confidence high / medium / unverified | reviewed |\n\
             |---|---|---|---|---|---|---|---|---|---|\n",
            self.packs.len(),
            rows.iter().filter(|r| r.duties > 0).count(),
        );
        let cell = |text: &str| text.replace('|', "\\|");
        for row in &rows {
            for i in &row.instruments {
                page.push_str(&format!(
                    "| {} {} | {} (`{}`) | {} | {} | {} | {} | {} | {} | {} / {} / {} | {} |\n",
                    row.jurisdiction,
                    cell(&row.name),
                    cell(&i.title),
                    i.pack,
                    i.duties,
                    i.in_force,
                    i.to_come,
                    i.proposed,
                    i.voluntary,
                    i.repealed,
                    i.high,
                    i.medium,
                    i.unverified,
                    i.reviewed.as_deref().unwrap_or("never"),
                ));
            }
        }
        page.push_str("\n## No general duty on record\n\n| jurisdiction | what is known |\n|---|---|\n");
        for row in rows.iter().filter(|r| r.no_duty.is_some()) {
            let why = self.without_duty.get(&row.jurisdiction).map_or("", String::as_str);
            page.push_str(&format!("| {} {} | {} |\n", row.jurisdiction, cell(&row.name), cell(why)));
        }
        page.push_str("\n## Rows of the researched tables that no pack repeats\n\n| row | why |\n|---|---|\n");
        for (id, why) in self.not_modelled() {
            page.push_str(&format!("| `{id}` | {} |\n", cell(why)));
        }
        page.push_str("\n## Not covered\n\nNo rule pack speaks of these places; ask counsel there.\n\n");
        let places: Vec<String> = self.uncovered().into_iter().map(|(id, name)| format!("{name} ({id})")).collect();
        page.push_str(&if places.is_empty() { "None of the places on record.".into() } else { places.join(", ") });
        page.push('\n');
        page
    }
}

fn count<When>(row: &mut InstrumentRow, duty: &Duty<When>) {
    row.duties += 1;
    match duty.status {
        DutyStatus::InForce => row.in_force += 1,
        DutyStatus::NotYetApplicable => row.to_come += 1,
        DutyStatus::Proposed => row.proposed += 1,
        DutyStatus::Voluntary => row.voluntary += 1,
        DutyStatus::Repealed => row.repealed += 1,
        DutyStatus::NoDuty => {}
    }
    match duty.confidence {
        Confidence::High => row.high += 1,
        Confidence::Medium => row.medium += 1,
        Confidence::Low => row.unverified += 1,
    }
    // the oldest review speaks for the instrument
    let reviewed = duty.reviewed.map(|d| d.to_string());
    row.reviewed = match (row.reviewed.take(), reviewed) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
}
