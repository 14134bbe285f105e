//! What the rule packs in force changed against those before: in the text of duties, and for each open incident.

use super::{Answered, Caller, House, Right, Trouble};
use crate::rules::{DutyChange, Options, Shift, compare_books, compare_plans, hex};
use crate::store::{Query, Store};
use crate::time::Timestamp;

/// Incidents read per round.
const BATCH: u32 = 200;

/// A rulebook that was in force here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownBook {
    pub sha256: [u8; 32],
    pub version: String,
    /// When it came into force; `None` when only incidents tell of it.
    pub since: Option<String>,
}

/// What changed for one open incident.
pub struct IncidentShifts {
    pub id: String,
    pub title: String,
    pub shifts: Vec<Shift>,
    /// Obligations whose older limits stand until somebody signs the change off.
    pub waiting: Vec<String>,
}

/// The comparison; without `from` there is nothing to compare with.
pub struct LawChanges {
    /// Every earlier rulebook known here, newest first.
    pub known: Vec<KnownBook>,
    pub from: Option<KnownBook>,
    /// The packs of `from` are at hand and can be read.
    pub readable: bool,
    pub duties: Vec<DutyChange>,
    pub incidents: Vec<IncidentShifts>,
}

impl<S: Store> House<S> {
    /// Compares the rulebook in force with `wanted`, or with the one before it.
    ///
    /// # Errors
    /// 404 when `wanted` was never in force here.
    pub async fn law_changes(&self, caller: &Caller, wanted: Option<[u8; 32]>, now: Timestamp) -> Answered<LawChanges> {
        self.permit(caller, Right::Read)?;
        let book = self.book();
        let mut known = self.activated().await?;
        let mut visible = Vec::new();
        let mut after = None;
        loop {
            let batch = self.store.list(Query { open_only: true, after, limit: BATCH, ..Query::default() }).await?;
            after = batch.last().map(|dossier| dossier.record.incident.id.clone());
            let last = batch.len() < BATCH as usize;
            visible.extend(batch.into_iter().filter(|d| caller.may_see(&d.record.incident.entity)));
            if last {
                break;
            }
        }
        for dossier in &visible {
            let hashes = dossier.record.kept.iter().map(|kept| kept.from).chain([dossier.record.rulebook]);
            for sha256 in hashes.filter(|hash| *hash != book.sha256 && *hash != [0; 32]) {
                if !known.iter().any(|k| k.sha256 == sha256) {
                    known.push(KnownBook { sha256, version: String::new(), since: None });
                }
            }
        }
        known.retain(|k| k.sha256 != book.sha256);
        let from =
            match wanted {
                None => known.first().cloned(),
                Some(hash) => {
                    let found = known.iter().find(|k| k.sha256 == hash).cloned();
                    Some(found.ok_or_else(|| {
                        Trouble::NotFound(format!("rulebook `{}` that was in force here", hex(&hash)))
                    })?)
                }
            };
        let earlier = from.as_ref().and_then(|from| self.earlier_book(&from.sha256));
        let mut incidents = Vec::new();
        for dossier in visible.iter().filter(|_| earlier.is_some()) {
            let incident = &dossier.record.incident;
            let plan = |book: &crate::rules::Rulebook| book.plan(incident, now, Options::default());
            let Some(earlier) = &earlier else { continue };
            let shifts = compare_plans(&plan(earlier), &plan(&book));
            if !shifts.is_empty() {
                let standing = self.plan_record(&book, &dossier.record, now);
                let waiting = super::rulebook::waiting(&standing).map(str::to_string).collect();
                let (id, title) = (incident.id.0.clone(), incident.title.clone());
                incidents.push(IncidentShifts { id, title, shifts, waiting });
            }
        }
        let duties = earlier.as_ref().map(|earlier| compare_books(earlier, &book)).unwrap_or_default();
        Ok(LawChanges { known, readable: earlier.is_some(), from, duties, incidents })
    }

    /// Rulebooks that came into force, by an activation or at a start: the one in force last comes first.
    async fn activated(&self) -> Answered<Vec<KnownBook>> {
        let tells = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            text.contains("\"rules.activated\"") || text.contains("\"daemon.started\"")
        };
        let mut known: Vec<KnownBook> = Vec::new();
        for entry in self.store.stream(super::evidence_of::SYSTEM).await?.iter().filter(|e| tells(&e.bytes)) {
            let Ok(entry) = serde_json::from_slice::<serde_json::Value>(&entry.bytes) else { continue };
            let body = &entry["body"];
            let Some(sha256) = body["rulebook"].as_str().and_then(unhex) else { continue };
            let version = body["rulebook_version"].as_str().unwrap_or_default().to_string();
            // a start with the same packs is no change
            let at = known.iter().position(|k| k.sha256 == sha256);
            let since = entry["ts"].as_str().map(str::to_string);
            let book = at.map_or(KnownBook { sha256, version, since }, |at| known.remove(at));
            known.push(book);
        }
        known.reverse();
        Ok(known)
    }
}

/// 64 hexadecimal digits as bytes.
pub fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}
