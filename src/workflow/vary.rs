//! A duty in its own worked case, with one thing otherwise at a time.

use super::check_law::told;
use crate::ingest::{self, Kind, Node};
use crate::rules::{FileKind, Rulebook, SourceFile, Variation, kind_of};
use serde::Serialize;

/// The worked case, how the duty stands in it, and what each change makes of it.
#[derive(Clone, Debug, Serialize)]
pub struct Varied {
    pub file: String,
    pub line: usize,
    pub case: String,
    pub stands: Vec<String>,
    pub variations: Vec<Variation>,
}

/// In the first case that wants the duty `id` running, or else wants it at all, of the cases beside its pack if they do;
/// `None` when no case does.
pub fn vary(book: &Rulebook, files: &[SourceFile], id: &str) -> Option<Varied> {
    let duty = book.duty(id)?;
    let beside = format!("{}.cases.toml", duty.pack.split('@').next().unwrap_or_default());
    let cases = || files.iter().filter(|f| kind_of(&f.path) == FileKind::Cases);
    let (file, case) = best(cases().filter(|f| f.path == beside), id).or_else(|| best(cases(), id))?;
    let told = told(book, &case).ok()?;
    Some(Varied {
        file: file.path.clone(),
        line: case.line.unwrap_or(0),
        case: told.incident.title.clone(),
        stands: book.stands(id, &told.incident, told.now, told.options),
        variations: book.vary(duty, &told.incident, told.now, told.options),
    })
}

/// The case among these that tells most of the duty `id`.
fn best<'f>(files: impl Iterator<Item = &'f SourceFile>, id: &str) -> Option<(&'f SourceFile, Node)> {
    let mut found: Option<(usize, &SourceFile, Node)> = None;
    for file in files {
        let Ok(document) = ingest::toml(&file.text) else { continue };
        let Some(Kind::List(cases)) = document.member("case").map(|n| &n.kind) else { continue };
        for case in cases {
            let Some(rank) = wanted(case, id).map(rank) else { continue };
            if found.as_ref().is_none_or(|(best, ..)| rank < *best) {
                found = Some((rank, file, case.clone()));
            }
        }
    }
    found.map(|(_, file, case)| (file, case))
}

/// The standing in which the case wants the duty.
fn wanted<'c>(case: &'c Node, id: &str) -> Option<&'c str> {
    let Some(Kind::List(wants)) = case.member("want").map(|n| &n.kind) else { return None };
    let text = |want: &'c Node, key: &str| want.member(key).and_then(Node::text);
    let want = wants.iter().find(|want| text(want, "duty") == Some(id))?;
    Some(text(want, "standing").unwrap_or("running"))
}

/// The ordinary case tells most.
fn rank(standing: &str) -> usize {
    ["running", "possible", "awaiting", "discharged"].iter().position(|s| *s == standing).unwrap_or(4)
}
