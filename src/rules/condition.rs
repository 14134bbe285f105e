//! Three-valued conditions over facts: yes, no, or unknown with the facts that are missing.
//!
//! The form is the one a lawyer writes in a pack (see `jurisdictions/README.md`); there is no general language.

use super::counts;
use super::places::{Places, Whereabouts};
use super::roles::Standings;
use crate::law::{DutyId, Entity, FactBook, Place};
use crate::time::{CivilDate, Timestamp, Zone};
use chrono::Duration;
use std::collections::BTreeMap;

/// Kleene's third value: a missing fact is never "no".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    Yes,
    No,
    Unknown,
}

impl Truth {
    pub fn of(yes: bool) -> Truth {
        if yes { Truth::Yes } else { Truth::No }
    }

    pub fn and(self, other: Truth) -> Truth {
        match (self, other) {
            (Truth::No, _) | (_, Truth::No) => Truth::No,
            (Truth::Yes, Truth::Yes) => Truth::Yes,
            _ => Truth::Unknown,
        }
    }
}

impl std::ops::Not for Truth {
    type Output = Truth;
    fn not(self) -> Truth {
        match self {
            Truth::Yes => Truth::No,
            Truth::No => Truth::Yes,
            Truth::Unknown => Truth::Unknown,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    None(Vec<Condition>),
    Atom(Atom),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    More,
    AtLeast,
    Less,
    AtMost,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Atom {
    YesNo {
        key: String,
        want: bool,
    },
    Choice {
        key: String,
        among: Vec<String>,
        want: bool,
    },
    HasAny {
        key: String,
        items: Vec<String>,
    },
    HasAll {
        key: String,
        items: Vec<String>,
    },
    /// `key: None` is the count in the obligation's own place.
    Affected {
        place: Option<String>,
        comparison: Comparison,
        n: u64,
    },
    /// A count fact that is not `affected.…`.
    Number {
        key: String,
        comparison: Comparison,
        n: u64,
    },
    Known {
        key: String,
        want: bool,
    },
    /// `a` is later than `hours` after `b` (or, with `later: false`, within them).
    Order {
        a: String,
        b: String,
        hours: i64,
        later: bool,
    },
    /// The instant lies before `day` begins in the duty's zone (or, with `before: false`, not before that).
    Day {
        key: String,
        day: CivilDate,
        before: bool,
    },
    Role(String),
    /// The entity states this role or a finer one; a wider one alone is a no, not an unknown.
    StatesRole(String),
    Sector(String),
    OperatesIn(String),
    EstablishedIn(String),
    Filed {
        named: DutyId,
        /// What counts as it: what is one filing with it, and where they stand for it, rows of national law.
        others: Vec<(DutyId, Option<Place>)>,
    },
}

/// What a condition is evaluated against.
pub struct Scene<'a> {
    pub facts: &'a FactBook,
    /// A fact taken for a yes, whatever is stated.
    pub supposed: Option<&'a str>,
    pub entity: &'a Entity,
    /// The obligation's place.
    pub place: &'a str,
    pub places: &'a Places,
    pub whereabouts: &'a Whereabouts<'a>,
    pub standings: &'a Standings<'a>,
    pub counts: &'a counts::Counts<'a>,
    /// The zone in which the duty's texts change; worked out only when a condition asks for it.
    pub zone: &'a dyn Fn() -> Zone,
}

impl Condition {
    /// Evaluates, adding the keys that decide to `missing` when the answer is unknown.
    pub fn truth(&self, scene: &Scene<'_>, missing: &mut Vec<String>) -> Truth {
        let before = missing.len();
        let answer = match self {
            Condition::All(parts) => {
                let mut answer = Truth::Yes;
                for part in parts {
                    answer = answer.and(part.truth(scene, missing));
                    if answer == Truth::No {
                        break;
                    }
                }
                answer
            }
            Condition::Any(parts) => !none_of(parts, scene, missing),
            Condition::None(parts) => none_of(parts, scene, missing),
            Condition::Atom(atom) => atom.truth(scene, missing),
        };
        if answer != Truth::Unknown {
            // a decided group does not ask for the facts its parts missed
            missing.truncate(before);
        }
        answer
    }

    /// The condition as read by a person; the pack's own words.
    pub fn text(&self) -> String {
        let join = |parts: &[Condition], word: &str| {
            parts
                .iter()
                .map(|p| match p {
                    Condition::Any(inner) | Condition::All(inner) if inner.len() > 1 => format!("({})", p.text()),
                    _ => p.text(),
                })
                .collect::<Vec<_>>()
                .join(word)
        };
        match self {
            Condition::All(parts) => join(parts, " and "),
            Condition::Any(parts) => join(parts, " or "),
            Condition::None(parts) => format!("none of: {}", join(parts, "; ")),
            Condition::Atom(atom) => atom.text(),
        }
    }

    pub fn is_empty(&self) -> bool {
        matches!(self, Condition::All(parts) if parts.is_empty())
    }

    /// Facts nobody has stated by which this could be claimed: `K is known` beside `K` in one `all`, what else stands there
    /// not being a no. `claimed` says whether it helps whoever relies on it that the condition holds.
    pub fn claims<'c>(&'c self, claimed: bool, scene: &Scene<'_>, found: &mut Vec<&'c str>) {
        match self {
            Condition::All(parts) => {
                let known = |part: &'c Condition| match part {
                    Condition::Atom(Atom::Known { key, want: true }) => Some(key.as_str()),
                    _ => None,
                };
                let keys: Vec<&str> = parts.iter().filter_map(known).collect();
                let claims = |part: &'c Condition| match part {
                    Condition::Atom(Atom::YesNo { key, want: true }) => keys.contains(&key.as_str()),
                    part => known(part).is_some() || !matches!(part, Condition::Atom(_)),
                };
                let decided = |part: &'c Condition| !claims(part) && part.truth(scene, &mut Vec::new()) == Truth::No;
                if parts.iter().any(decided) {
                    return;
                }
                for part in parts {
                    match part {
                        Condition::Atom(Atom::YesNo { key, want: true })
                            if claimed && claims(part) && scene.facts.yes_no(key).is_none() =>
                        {
                            found.push(key);
                        }
                        part => part.claims(claimed, scene, found),
                    }
                }
            }
            Condition::Any(parts) => parts.iter().for_each(|part| part.claims(claimed, scene, found)),
            Condition::None(parts) => parts.iter().for_each(|part| part.claims(!claimed, scene, found)),
            Condition::Atom(_) => {}
        }
    }

    /// Does any `K is known` stand in it, without which nothing can be claimed?
    pub fn may_be_claimed(&self) -> bool {
        let mut found = false;
        self.atoms(&mut |atom| found |= matches!(atom, Atom::Known { want: true, .. }));
        found
    }

    /// Roles that are asked for, in order; not those whose absence is.
    pub fn roles(&self) -> Vec<&str> {
        match self {
            Condition::All(parts) | Condition::Any(parts) => parts.iter().flat_map(Condition::roles).collect(),
            Condition::Atom(Atom::Role(role) | Atom::StatesRole(role)) => vec![role],
            Condition::None(_) | Condition::Atom(_) => Vec::new(),
        }
    }

    /// Calls `visit` for each atom.
    pub fn atoms<'a>(&'a self, visit: &mut dyn FnMut(&'a Atom)) {
        match self {
            Condition::All(parts) | Condition::Any(parts) | Condition::None(parts) => {
                parts.iter().for_each(|part| part.atoms(visit));
            }
            Condition::Atom(atom) => visit(atom),
        }
    }

    /// Lets `filed X` see the acts that count as X.
    pub(super) fn join_filings(&mut self, acts_for: &BTreeMap<DutyId, Vec<(DutyId, Option<Place>)>>) {
        match self {
            Condition::All(parts) | Condition::Any(parts) | Condition::None(parts) => {
                parts.iter_mut().for_each(|part| part.join_filings(acts_for));
            }
            Condition::Atom(Atom::Filed { named, others }) => {
                others.extend(acts_for.get(named).into_iter().flatten().cloned());
            }
            Condition::Atom(_) => {}
        }
    }
}

fn none_of(parts: &[Condition], scene: &Scene<'_>, missing: &mut Vec<String>) -> Truth {
    let mut answer = Truth::Yes;
    for part in parts {
        answer = answer.and(!part.truth(scene, missing));
        if answer == Truth::No {
            break;
        }
    }
    answer
}

/// The instant stated for `key`. A filing is recorded as that towards a place; of a report that recurs the latest counts.
fn instant(key: &str, scene: &Scene<'_>) -> Option<Timestamp> {
    match key.strip_prefix("times.filed.") {
        Some(duty) => super::trigger::filed_last(scene.facts, duty, scene.place).map(|filed| filed.at),
        None => scene.facts.instant(key),
    }
}

impl Atom {
    fn truth(&self, scene: &Scene<'_>, missing: &mut Vec<String>) -> Truth {
        let facts = scene.facts;
        let mut unknown = |key: &str| {
            if !missing.iter().any(|m| m == key) {
                missing.push(key.to_string());
            }
            Truth::Unknown
        };
        match self {
            Atom::YesNo { key, want } if scene.supposed == Some(key) => Truth::of(*want),
            Atom::YesNo { key, want } => match facts.yes_no(key) {
                Some(yes) => Truth::of(yes == *want),
                None => unknown(key),
            },
            Atom::Choice { key, among, want } => match facts.choice(key) {
                Some(word) => Truth::of(among.iter().any(|a| a == word) == *want),
                None => unknown(key),
            },
            Atom::HasAny { key, items } => match facts.set(key) {
                Some(set) => Truth::of(items.iter().any(|i| set.contains(i))),
                None => unknown(key),
            },
            Atom::HasAll { key, items } => match facts.set(key) {
                Some(set) => Truth::of(items.iter().all(|i| set.contains(i))),
                None => unknown(key),
            },
            Atom::Affected { place, comparison, n } => {
                let place = place.as_deref().unwrap_or(scene.place);
                match counts::compare(scene.counts.in_place(place), *comparison, *n) {
                    Truth::Unknown => unknown(&counts::key_of(scene.places, place)),
                    decided => decided,
                }
            }
            Atom::Number { key, comparison, n } => match facts.count(key) {
                Some(count) => match counts::compare(count, *comparison, *n) {
                    Truth::Unknown => unknown(key),
                    decided => decided,
                },
                None => unknown(key),
            },
            Atom::Known { key, want } => {
                // one authority's request may be recorded as that of its place, as the trigger reads it; while it is not
                // known which of a union's places the duty is owed in, a request from any of them counts
                let of_place = || {
                    let theirs = |place: &str| facts.get(&format!("{key}@{place}")).is_some();
                    key.starts_with("times.requested.")
                        && (theirs(scene.place) || scene.places.inside(scene.place).any(theirs))
                };
                let known = scene.supposed == Some(key)
                    || facts.get(key).is_some()
                    || of_place()
                    || instant(key, scene).is_some();
                Truth::of(known == *want)
            }
            Atom::Order { a, b, hours, later } => match (instant(a, scene), instant(b, scene)) {
                (Some(a), Some(b)) => Truth::of((a > b + Duration::hours(*hours)) == *later),
                (None, _) => unknown(a),
                (_, None) => unknown(b),
            },
            Atom::Day { key, day, before } => match instant(key, scene) {
                Some(at) => Truth::of(((scene.zone)().local(at).date() < *day) == *before),
                None => unknown(key),
            },
            Atom::Role(role) => match scene.standings.get(role) {
                Truth::Unknown => unknown("entity.roles"),
                decided => decided,
            },
            Atom::StatesRole(role) => Truth::of(scene.standings.get(role) == Truth::Yes),
            Atom::Sector(_) if scene.entity.sectors.is_empty() => unknown("entity.sectors"),
            Atom::Sector(sector) => Truth::of(scene.entity.sectors.iter().any(|s| s == sector)),
            Atom::OperatesIn(place) => match scene.whereabouts.operates_in(place) {
                Truth::Unknown => unknown("entity.operates_in"),
                decided => decided,
            },
            Atom::EstablishedIn(place) => match scene.whereabouts.established_in(place) {
                Truth::Unknown => unknown("entity.established_in"),
                decided => decided,
            },
            Atom::Filed { named, others } => {
                let filed = |act: &DutyId| super::trigger::filed(facts, &act.0, scene.place).is_some();
                // an act of one state's law is none of another's
                let here =
                    |home: &Option<Place>| home.as_ref().is_none_or(|home| scene.places.touch(home, scene.place));
                Truth::of(filed(named) || others.iter().any(|(act, home)| here(home) && filed(act)))
            }
        }
    }

    fn text(&self) -> String {
        match self {
            Atom::YesNo { key, want: true } => key.clone(),
            Atom::YesNo { key, want: false } => format!("not {key}"),
            Atom::Choice { key, among, want } if among.len() == 1 => {
                format!("{key} {} {}", if *want { "=" } else { "!=" }, among[0])
            }
            Atom::Choice { key, among, want } => {
                format!("{key} {} {}", if *want { "in" } else { "not in" }, among.join(", "))
            }
            Atom::HasAny { key, items } if items.len() == 1 => format!("{key} has {}", items[0]),
            Atom::HasAny { key, items } => format!("{key} has any of {}", items.join(", ")),
            Atom::HasAll { key, items } => format!("{key} has all of {}", items.join(", ")),
            Atom::Affected { place: None, comparison, n } => format!("affected {} {n}", comparison.sign()),
            Atom::Affected { place: Some(p), comparison, n } => format!("affected.{p} {} {n}", comparison.sign()),
            Atom::Number { key, comparison, n } => format!("{key} {} {n}", comparison.sign()),
            Atom::Known { key, want } => format!("{key} is {}", if *want { "known" } else { "unknown" }),
            Atom::Order { a, b, hours, later: true } => format!("{a} later than {hours} hours after {b}"),
            Atom::Order { a, b, hours, later: false } => format!("{a} within {hours} hours of {b}"),
            Atom::Day { key, day, before: true } => format!("{key} before {day}"),
            Atom::Day { key, day, before: false } => format!("{key} on or after {day}"),
            Atom::Role(role) => format!("role {role}"),
            Atom::StatesRole(role) => format!("states role {role}"),
            Atom::Sector(sector) => format!("sector {sector}"),
            Atom::OperatesIn(place) => format!("operates in {place}"),
            Atom::EstablishedIn(place) => format!("established in {place}"),
            Atom::Filed { named, .. } => format!("filed {named}"),
        }
    }

    /// Reads one line of a pack. The error says what the forms are.
    pub fn parse(line: &str) -> Result<Atom, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let items = |from: usize| -> Vec<String> {
            words[from..].join(" ").split(',').map(|w| w.trim().to_string()).filter(|w| !w.is_empty()).collect()
        };
        let key = |at: usize| words[at].to_string();
        Ok(match words.as_slice() {
            ["role", role] => Atom::Role(role.to_string()),
            ["states", "role", role] => Atom::StatesRole(role.to_string()),
            ["sector", sector] => Atom::Sector(sector.to_string()),
            ["operates", "in", place] => Atom::OperatesIn(place.to_string()),
            ["established", "in", place] => Atom::EstablishedIn(place.to_string()),
            ["filed", duty] => Atom::Filed { named: DutyId(duty.to_string()), others: Vec::new() },
            [_] => Atom::YesNo { key: key(0), want: true },
            ["not", _] => Atom::YesNo { key: key(1), want: false },
            [_, "is", word @ ("known" | "unknown")] => Atom::Known { key: key(0), want: *word == "known" },
            [_, "=", ..] if words.len() > 2 => Atom::Choice { key: key(0), among: items(2), want: true },
            [_, "!=", ..] if words.len() > 2 => Atom::Choice { key: key(0), among: items(2), want: false },
            [_, "in", ..] if words.len() > 2 => Atom::Choice { key: key(0), among: items(2), want: true },
            [_, "not", "in", ..] if words.len() > 3 => Atom::Choice { key: key(0), among: items(3), want: false },
            [_, "has", "any", "of", ..] if words.len() > 4 => Atom::HasAny { key: key(0), items: items(4) },
            [_, "has", "all", "of", ..] if words.len() > 4 => Atom::HasAll { key: key(0), items: items(4) },
            [_, "has", ..] if words.len() > 2 => Atom::HasAny { key: key(0), items: items(2) },
            [_, "later", "than", hours, "hours", "after", b] => {
                Atom::Order { a: key(0), b: b.to_string(), hours: number(hours)? as i64, later: true }
            }
            [_, "within", hours, "hours", "of", b] => {
                Atom::Order { a: key(0), b: b.to_string(), hours: number(hours)? as i64, later: false }
            }
            [_, "before", day] if is_number(day) => Atom::Day { key: key(0), day: date(day)?, before: true },
            [_, "on", "or", "after", day] => Atom::Day { key: key(0), day: date(day)?, before: false },
            [_, "after", day] if is_number(day) => {
                return Err(format!("`{line}` leaves open whether that day counts: write `on or after` and a day"));
            }
            [_, "before", b] => Atom::Order { a: b.to_string(), b: key(0), hours: 0, later: true },
            [_, "after", b] => Atom::Order { a: key(0), b: b.to_string(), hours: 0, later: true },
            [what, sign, n] => {
                let comparison = Comparison::parse(sign)
                    .ok_or_else(|| format!("`{sign}` in `{line}` is no comparison: use >, >=, < or <="))?;
                let n = number(n)?;
                match *what {
                    "affected" => Atom::Affected { place: None, comparison, n },
                    _ => match what.strip_prefix("affected.") {
                        Some(place) => Atom::Affected { place: Some(place.to_string()), comparison, n },
                        None => Atom::Number { key: key(0), comparison, n },
                    },
                }
            }
            _ => {
                return Err(format!(
                    "`{line}` is not a condition; write `key`, `not key`, `key = value`, `key has value`, \
                     `affected >= 500`, `role name`, `key is known`, `a later than 24 hours after b` or \
                     `a before 2026-07-01`"
                ));
            }
        })
    }

    /// Fact keys the atom reads, for lint.
    pub fn keys(&self) -> Vec<&str> {
        match self {
            Atom::YesNo { key, .. }
            | Atom::Choice { key, .. }
            | Atom::HasAny { key, .. }
            | Atom::HasAll { key, .. }
            | Atom::Number { key, .. }
            | Atom::Known { key, .. }
            | Atom::Day { key, .. } => vec![key],
            Atom::Order { a, b, .. } => vec![a, b],
            _ => vec![],
        }
    }
}

impl Comparison {
    fn parse(sign: &str) -> Option<Comparison> {
        Some(match sign {
            ">" => Comparison::More,
            ">=" => Comparison::AtLeast,
            "<" => Comparison::Less,
            "<=" => Comparison::AtMost,
            _ => return None,
        })
    }

    fn sign(self) -> &'static str {
        match self {
            Comparison::More => ">",
            Comparison::AtLeast => ">=",
            Comparison::Less => "<",
            Comparison::AtMost => "<=",
        }
    }
}

/// A day rather than the name of a fact.
fn is_number(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit())
}

fn date(word: &str) -> Result<CivilDate, String> {
    let day: Option<CivilDate> = word.parse().ok();
    // the parser also takes `2026-7-1`; a pack writes a day in one way
    let day = day.filter(|day| day.to_string() == word);
    day.ok_or_else(|| format!("`{word}` is no day: write it as 2026-07-01"))
}

fn number(word: &str) -> Result<u64, String> {
    word.replace('_', "").parse().map_err(|_| format!("`{word}` is not a whole number"))
}
