//! Text to [`Rulebook`]. Every fault carries the file, the line and the pack's own words; all faults are reported at once.

mod duty;
mod shared;

use super::archive::manifest;
use super::book::{Group, Prepared, Rulebook};
use super::condition::{Atom, Condition};
use super::pack;
use super::reach::roles_named;
use super::trigger;
use crate::law::{Combination, DutyId, DutyPeriod, DutyStatus, FactCatalogue, Trigger, nearest_of};
use crate::time::Calendars;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

/// Something wrong in a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub file: String,
    /// 1-based; 0 when the fault has no line.
    pub line: usize,
    pub text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.text)
    }
}

/// One file of a rule folder: path relative to the folder, and text.
#[derive(Clone, Debug)]
pub struct SourceFile {
    pub path: String,
    pub text: String,
}

/// What a file is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    Conventions,
    Facts,
    Roles,
    Places,
    Authorities,
    NotModelled,
    /// Of drafts of notices: `draft` reads them, no date follows from them.
    Forms,
    Cases,
    Pack,
    Other,
}

pub fn kind_of(path: &str) -> FileKind {
    let name = path.rsplit('/').next().unwrap_or(path);
    let stem = name.strip_suffix(".toml");
    match (path, stem) {
        (_, None) => FileKind::Other,
        (p, _) if p.starts_with("calendars/") => FileKind::Other,
        (p, _) if p.starts_with("forms/") => FileKind::Forms,
        (p, _) if p.starts_with("authorities/") => FileKind::Authorities,
        (_, Some(s)) if s.ends_with(".cases") => FileKind::Cases,
        (_, Some(s)) if s == "conventions" || s.starts_with("conventions-") => FileKind::Conventions,
        (_, Some("facts")) => FileKind::Facts,
        (_, Some("roles")) => FileKind::Roles,
        (_, Some("places")) => FileKind::Places,
        (_, Some("NOT_MODELLED")) => FileKind::NotModelled,
        (p, _) if p.contains('/') => FileKind::Pack,
        _ => FileKind::Other,
    }
}

/// Compiles every file. `Err` holds every fault found.
pub fn load(files: &[SourceFile], calendars: Arc<Calendars>) -> Result<Rulebook, Vec<Fault>> {
    let mut loader = Loader { files, faults: Vec::new(), calendars };
    let book = loader.run();
    if loader.faults.is_empty() { Ok(book) } else { Err(loader.faults) }
}

struct Loader<'a> {
    files: &'a [SourceFile],
    faults: Vec<Fault>,
    calendars: Arc<Calendars>,
}

impl<'a> Loader<'a> {
    fn run(&mut self) -> Rulebook {
        let places = self.places();
        let mut roles = self.roles();
        let mut catalogue = FactCatalogue::default();
        for (file, facts) in self.parsed::<pack::FactsFile>(FileKind::Facts) {
            self.declare(&mut catalogue, file, &facts.fact);
        }
        let (conventions, convention_ids) = self.conventions();
        let authorities = self.authorities();
        let not_modelled =
            self.parsed::<BTreeMap<String, String>>(FileKind::NotModelled).into_iter().flat_map(|(_, m)| m).collect();

        let packs = self.parsed::<pack::PackFile>(FileKind::Pack);
        for (file, pack) in &packs {
            self.declare(&mut catalogue, file, &pack.fact);
            for role in &pack.role {
                roles.declare(&role.id, &role.question, role.refines.as_deref(), &file.path);
            }
        }
        let ids: Vec<String> = packs.iter().flat_map(|(_, p)| p.duty.iter().map(|d| d.id.clone())).collect();
        catalogue.set_families(ids.clone(), places.ids().map(str::to_string).collect());

        let mut book = Rulebook {
            duties: Vec::new(),
            by_id: HashMap::new(),
            conventions,
            places,
            roles,
            authorities,
            catalogue,
            calendars: self.calendars.clone(),
            packs: Vec::new(),
            groups: HashMap::new(),
            other_starts: HashMap::new(),
            by_role: BTreeMap::new(),
            for_anyone: Vec::new(),
            scope_of: Vec::new(),
            scopes: Vec::new(),
            touching: BTreeMap::new(),
            covered: BTreeSet::new(),
            without_duty: BTreeMap::new(),
            replaced_by: BTreeMap::new(),
            transposed_by: BTreeMap::new(),
            prepared: Vec::new(),
            not_modelled,
            version: String::new(),
            sha256: Sha256::digest(manifest(self.files).as_bytes()).into(),
        };
        for (file, pack) in packs {
            self.pack(&mut book, &convention_ids, file, pack);
        }
        self.link(&mut book);
        index(&mut book);
        book.version =
            book.packs.iter().filter_map(|p| p.reviewed.clone()).max().unwrap_or_else(|| "unreviewed".into());
        book
    }

    fn parsed<T: DeserializeOwned>(&mut self, kind: FileKind) -> Vec<(&'a SourceFile, T)> {
        let mut parsed = Vec::new();
        let files = self.files;
        for file in files.iter().filter(|f| kind_of(&f.path) == kind) {
            match toml::from_str(&file.text) {
                Ok(value) => parsed.push((file, value)),
                Err(error) => {
                    let line = error.span().map_or(0, |span| file.text[..span.start].matches('\n').count() + 1);
                    self.faults.push(Fault { file: file.path.clone(), line, text: error.message().to_string() });
                }
            }
        }
        parsed
    }

    /// Reports a fault at the line where `words` stand, after the line that names `near`.
    fn fault(&mut self, file: &SourceFile, near: &str, words: &str, text: String) {
        self.faults.push(Fault { file: file.path.clone(), line: line_of(&file.text, near, words), text });
    }

    /// Checks and joins references between duties.
    fn link(&mut self, book: &mut Rulebook) {
        let mut missing = Vec::new();
        let mut unions: Vec<(Vec<DutyId>, bool)> = Vec::new();
        let mut awaited: BTreeSet<DutyId> = BTreeSet::new();
        for (at, duty) in book.duties.iter().enumerate() {
            let mut refer = |ids: &[DutyId]| {
                missing.extend(
                    ids.iter()
                        .filter(|id| !book.by_id.contains_key(*id))
                        .map(|id| (duty.pack.clone(), duty.id.clone(), id.clone())),
                );
            };
            if let Trigger::Filed(ids) | Trigger::FiledLast(ids) | Trigger::Due(ids) = &duty.starts {
                refer(ids);
            }
            if let Some(relative) = &duty.relative {
                refer(&relative.to);
            }
            if let Some(notice) = &duty.delay_notice {
                refer(std::slice::from_ref(notice));
            }
            duty.conditions().for_each(|condition| {
                condition.atoms(&mut |atom| {
                    if let Atom::Filed { named, .. } = atom {
                        refer(std::slice::from_ref(named));
                        awaited.insert(named.clone());
                    }
                });
            });
            if let Some(Combination::EarliestOf(id) | Combination::LatestOf(id) | Combination::SameClockAs(id)) =
                &duty.combine
            {
                refer(std::slice::from_ref(id));
            }
            if let Some(Combination::EarliestOf(other) | Combination::LatestOf(other)) = &duty.combine {
                let latest = matches!(duty.combine, Some(Combination::LatestOf(_)));
                match unions.iter_mut().find(|(m, l)| *l == latest && (m.contains(other) || m.contains(&duty.id))) {
                    Some((members, _)) => members.extend([duty.id.clone(), other.clone()]),
                    None => unions.push((vec![duty.id.clone(), other.clone()], latest)),
                }
            }
            if let Some(baseline) = &duty.replaces {
                if book.by_id.contains_key(baseline) {
                    book.replaced_by.entry(baseline.clone()).or_default().push(at);
                    let pack = book.duties[book.by_id[baseline]].pack.clone();
                    book.transposed_by.entry(pack).or_default().push(at);
                } else {
                    missing.push((duty.pack.clone(), duty.id.clone(), baseline.clone()));
                }
            }
        }
        for (mut members, latest) in unions {
            members.sort_by_key(|id| book.by_id.get(id).copied().unwrap_or(usize::MAX));
            members.dedup();
            let group = Arc::new(Group { members: members.clone(), latest });
            for id in members {
                book.groups.insert(id, group.clone());
            }
        }
        book.other_starts = other_starts(book);
        // a condition reads an act as a trigger does
        let acts_for = awaited
            .into_iter()
            .map(|id| {
                let group = book.groups.get(&id).into_iter().flat_map(|group| &group.members);
                let same = group.filter(|member| **member != id).map(|member| (member.clone(), None));
                let national = book.replaced_by.get(&id).into_iter().flatten().map(|&at| &book.duties[at]);
                let acts = same.chain(national.map(|row| (row.id.clone(), Some(row.jurisdiction.clone())))).collect();
                (id, acts)
            })
            .collect();
        for duty in &mut book.duties {
            duty.conditions_mut().for_each(|condition| condition.join_filings(&acts_for));
        }
        let kept_open =
            book.duties.iter().filter(|duty| duty.open_while.is_some() && book.groups.contains_key(&duty.id));
        let kept_open: Vec<_> = kept_open.map(|duty| (duty.pack.clone(), duty.id.clone())).collect();
        for (pack, duty) in kept_open {
            let text = format!(
                "`{duty}` is one filing with others and has `open_while`: a filing discharges them all; take one away"
            );
            self.fault_of(&pack, &duty, "open_while", text);
        }
        for (pack, duty, id) in missing {
            let near = book.nearest_duties(&id.0).into_iter().map(str::to_string).collect::<Vec<_>>();
            let near: Vec<&str> = near.iter().map(String::as_str).collect();
            let text = format!("duty `{duty}` refers to `{id}`, which no pack has{}", did_you_mean(&near));
            self.fault_of(&pack, &duty, &id.0, text);
        }
    }

    /// Reports a fault of a duty that was loaded from `pack`.
    fn fault_of(&mut self, pack: &str, duty: &DutyId, words: &str, text: String) {
        let path = format!("{}.toml", pack.split('@').next().unwrap_or(pack));
        if let Some(file) = self.files.iter().find(|f| f.path == path) {
            self.fault(file, &duty.0, words, text);
        }
    }
}

/// What lets `plan` skip duties of other roles and places without reading them, and what every derivation repeats.
fn index(book: &mut Rulebook) {
    book.prepared = book
        .duties
        .iter()
        .map(|duty| Prepared {
            claimable: duty.conditions().any(Condition::may_be_claimed),
            roles: roles_named(duty).into_iter().map(str::to_string).collect(),
            arises: (!duty.when.is_empty()).then(|| format!("arises when {}", duty.when.text())),
            unless: duty.unless.as_ref().map(|unless| format!("unless {}", unless.text())),
        })
        .collect();
    let mut positions: BTreeMap<String, u16> = BTreeMap::new();
    for (at, duty) in book.duties.iter().enumerate() {
        let scope = duty.region.as_ref().unwrap_or(&duty.jurisdiction);
        let position = *positions.entry(scope.clone()).or_insert_with(|| {
            book.scopes.push(scope.clone());
            book.scopes.len() as u16 - 1
        });
        match duty.status {
            DutyStatus::NoDuty => {
                book.without_duty.insert(duty.jurisdiction.clone(), format!("{} ({})", duty.title, duty.citation));
            }
            DutyStatus::Proposed => {}
            _ => book.covered.extend([scope.clone(), duty.jurisdiction.clone()]),
        }
        book.scope_of.push(position);
        if duty.roles.is_empty() {
            book.for_anyone.push(at as u32);
        }
        for role in &duty.roles {
            book.by_role.entry(role.clone()).or_default().push(at as u32);
        }
    }
    let touching = |place: &str| {
        let scopes = book.scopes.iter().enumerate().filter(|(_, scope)| book.places.touch(place, scope));
        scopes.map(|(at, _)| at as u16).collect()
    };
    book.touching = book.places.ids().map(|place| (place.to_string(), touching(place))).collect();
}

/// First line that holds `words` at or after the first line that holds `near`; the latter when the words are not found.
fn line_of(text: &str, near: &str, words: &str) -> usize {
    let quoted = format!("\"{near}\"");
    let start = text.lines().position(|l| l.contains(&quoted)).unwrap_or(0);
    let found = text.lines().skip(start).position(|l| !words.is_empty() && l.contains(words));
    start + found.unwrap_or(0) + 1
}

fn one_of<'a>(field: &str, word: &str, allowed: impl IntoIterator<Item = &'a str>) -> String {
    let allowed: Vec<String> = allowed.into_iter().map(|w| format!("`{w}`")).collect();
    format!("`{field}` is `{word}`; it may be {}", allowed.join(", "))
}

fn unknown<'a>(what: &str, word: &str, known: impl Iterator<Item = &'a str>) -> String {
    format!("unknown {what} `{word}`{}", did_you_mean(&nearest_of(word, known)))
}

/// `; did you mean ...?`, or nothing.
pub fn did_you_mean(near: &[&str]) -> String {
    if near.is_empty() {
        return String::new();
    }
    format!("; did you mean {}?", near.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(" or "))
}

/// Twins: members of one filing under the earliest limit with the same texts and periods, which differ in what starts them.
fn other_starts(book: &Rulebook) -> HashMap<usize, Vec<String>> {
    let key = |at: usize| trigger::key(&book.duties[at].starts);
    let same = |a: &DutyPeriod<Condition>, b: &DutyPeriod<Condition>| {
        (a.from, a.until, a.undated, a.period) == (b.from, b.until, b.undated, b.period)
    };
    let twins = |a: usize, b: usize| {
        let (a, b) = (&book.duties[a], &book.duties[b]);
        a.periods.len() == b.periods.len() && a.periods.iter().zip(&b.periods).all(|(a, b)| same(a, b))
    };
    let mut starts = HashMap::new();
    for at in 0..book.duties.len() {
        let Some(group) = book.groups.get(&book.duties[at].id).filter(|group| !group.latest) else { continue };
        let Some(own) = key(at) else { continue };
        let members = group.members.iter().filter_map(|id| book.by_id.get(id).copied());
        let others: Vec<String> = members
            .filter(|&other| other != at && twins(at, other))
            .filter_map(key)
            .filter(|other| *other != own)
            .cloned()
            .collect();
        if !others.is_empty() {
            starts.insert(at, others);
        }
    }
    starts
}
