//! Deadlines computed again, from the entries of one incident and the rule packs alone, against what the log says.
//!
//! Rules are pure: the same facts under the same packs give the same dates. Absent: trust in the entries themselves, which
//! is for `evidence::verify` and `evidence::fsck`.

use super::evidence_of::computed;
use super::rebuild::{Rebuilt, Shown, instant, list, text};
use crate::evidence::{Hash, hex, unhex32};
use crate::rules::{self, Options, Rulebook, moves_later};
use crate::time::{self, Timestamp};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Finds the rulebook of a hash, or says why it is not at hand.
pub type Books<'b> = dyn FnMut(&Hash) -> Result<Arc<Rulebook>, String> + 'b;

/// Rulebooks out of texts that `find` has by their hash, or that are built into this program. Each is read once.
pub fn books(find: impl Fn(&Hash) -> Option<Vec<u8>>) -> impl FnMut(&Hash) -> Result<Arc<Rulebook>, String> {
    let mut known: BTreeMap<Hash, Result<Arc<Rulebook>, String>> = BTreeMap::new();
    move |hash| {
        let find = |hash: &Hash| find(hash).or_else(|| rules::builtin_text(hash));
        let read = || rules::restore(hash, &find).map(Arc::new).ok_or_else(|| absent(hash, &find));
        known.entry(*hash).or_insert_with(read).clone()
    }
}

fn absent(hash: &Hash, find: &dyn Fn(&Hash) -> Option<Vec<u8>>) -> String {
    let name = hex(hash);
    match rules::lacking(hash, find) {
        None => format!("the list of rule texts {name} is not at hand"),
        Some((0, _)) => {
            format!("this version does not understand the rule packs {name}; use the one that computed them")
        }
        Some((lacking, of)) => format!(
            "{lacking} of the {of} rule texts of {name} are neither given nor built into this program; use the version that \
             computed it"
        ),
    }
}

/// What computing again found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replay {
    /// `deadline.computed` entries met.
    pub entries: u64,
    /// Obligations computed again and found equal.
    pub equal: u64,
    /// Obligations that go by the limit of an earlier rulebook: found to be no later than what the packs give now.
    pub kept: u64,
    /// What differs.
    pub differences: Vec<Difference>,
    /// Entries that could not be computed again: number in the stream, and why.
    pub not_replayed: Vec<(u64, String)>,
}

/// An obligation of which the log says something else than the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Number of the entry in its stream.
    pub n: u64,
    pub obligation: String,
    pub what: String,
}

impl Replay {
    pub fn is_ok(&self) -> bool {
        self.differences.is_empty()
    }

    pub fn add(&mut self, other: Replay) {
        self.entries += other.entries;
        self.equal += other.equal;
        self.kept += other.kept;
        self.differences.extend(other.differences);
        self.not_replayed.extend(other.not_replayed);
    }
}

/// Computes each `deadline.computed` entry of one stream again. `entries` are its exact lines in order, `shown` the
/// personal values at hand by their commitment.
pub fn replay<'e>(
    entries: impl IntoIterator<Item = &'e [u8]>,
    shown: &BTreeMap<Hash, Vec<u8>>,
    books: &mut Books<'_>,
) -> Replay {
    let shown = Shown::new(shown);
    let mut replay = Replay::default();
    let mut rebuilt: Option<Rebuilt> = None;
    // a body that cannot be read leaves nothing to compute from
    let mut broken: Option<String> = None;
    for (line, n) in entries.into_iter().zip(1..) {
        let entry: Json = serde_json::from_slice(line).unwrap_or_default();
        let rebuilt = rebuilt.get_or_insert_with(|| Rebuilt::new(entry["stream"].as_str().unwrap_or_default()));
        if entry["type"] == "deadline.computed" {
            replay.entries += 1;
            let outcome = match &broken {
                None => compare(&entry["body"], rebuilt, books),
                Some(why) => Err(why.clone()),
            };
            match outcome {
                Ok(Compared { equal, kept, differences, .. }) => {
                    (replay.equal, replay.kept) = (replay.equal + equal, replay.kept + kept);
                    let told = |(obligation, what)| Difference { n, obligation, what };
                    replay.differences.extend(differences.into_iter().map(told));
                }
                Err(why) => replay.not_replayed.push((n, why)),
            }
        }
        if let Err(why) = rebuilt.apply(&entry, &shown) {
            broken.get_or_insert(format!("entry {n} cannot be read: {why}"));
        }
    }
    replay
}

#[derive(Default)]
struct Compared {
    equal: u64,
    kept: u64,
    /// Obligation, and what differs.
    differences: Vec<(String, String)>,
}

fn compare(body: &Json, rebuilt: &Rebuilt, books: &mut Books<'_>) -> Result<Compared, String> {
    if !rebuilt.whole_entity {
        return Err("roles and places of the entity are not shown (`/profile`)".into());
    }
    let hash = unhex32(text(&body["rulebook"])?).ok_or("`rulebook` is no SHA-256 value")?;
    let now = instant(&body["now"])?;
    let book = books(&hash)?;
    let plan = book.plan(&rebuilt.incident, now, Options::default());
    let as_json = |o| serde_json::to_value(computed(o)).unwrap_or_default();
    let mut again: BTreeMap<&str, Json> = plan.obligations.iter().map(|o| (o.id.as_str(), as_json(o))).collect();
    let mut compared = Compared::default();
    let mut seen = BTreeSet::new();
    for said in list(&body["obligations"])? {
        let id = text(&said["id"])?;
        if !seen.insert(id) {
            compared.differences.push((id.to_string(), "stands twice in the entry".into()));
        }
        let found = again.remove(id);
        match found {
            Some(found) if found == *said => compared.equal += 1,
            found if rebuilt.kept.contains(id) => match found.is_none_or(|found| no_later(said, &found)) {
                true => compared.kept += 1,
                false => {
                    let what = "goes by an earlier limit, which is later than the one the packs give";
                    compared.differences.push((id.to_string(), what.into()));
                }
            },
            Some(found) => compared.differences.push((id.to_string(), told(said, &found))),
            None => compared.differences.push((id.to_string(), "does not follow from the facts and packs".into())),
        }
    }
    for (id, found) in again {
        let due = found["due"].as_str().or(found["standing"].as_str()).unwrap_or_default();
        compared.differences.push((id.to_string(), format!("is missing in the entry; the packs give {due}")));
    }
    match doubt(body, rebuilt, &book) {
        Some(why) if !compared.differences.is_empty() => Err(why),
        _ => Ok(compared),
    }
}

/// Why a difference would prove nothing.
fn doubt(body: &Json, rebuilt: &Rebuilt, book: &Rulebook) -> Option<String> {
    let hidden: Vec<String> = rebuilt.hidden_facts().map(|key| format!("`{key}`")).collect();
    if !hidden.is_empty() {
        return Some(format!("facts it may depend on are erased or withheld: {}", hidden.join(", ")));
    }
    for (what, said, have) in [
        ("zone data", &body["tzdb"], time::tzdb_version()),
        ("calendars", &body["calendars"], book.calendars().version()),
    ] {
        if *said != have {
            return Some(format!(
                "it differs, and was computed with other {what} ({said}) than this program has ({have})"
            ));
        }
    }
    None
}

fn no_later(said: &Json, found: &Json) -> bool {
    let limits = |o: &Json| {
        let at = |name: &str| -> Option<Timestamp> { instant(&o[name]).ok() };
        (at("due"), at("conservative_due"))
    };
    !moves_later(limits(found), limits(said))
}

/// The members in which two computations differ.
fn told(said: &Json, found: &Json) -> String {
    let members = |o: &Json| o.as_object().map(|o| o.keys().cloned().collect::<BTreeSet<_>>()).unwrap_or_default();
    let all: BTreeSet<String> = members(said).union(&members(found)).cloned().collect();
    let differs = |name: &&String| said[name.as_str()] != found[name.as_str()];
    let line = |name: &String| format!("`{name}` is {}, computed again {}", said[name.as_str()], found[name.as_str()]);
    all.iter().filter(differs).map(line).collect::<Vec<_>>().join("; ")
}
