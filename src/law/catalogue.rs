//! The facts that may be asserted, with the question a person is asked for each. Packs declare them.

use super::FactType;
use super::contract::{CONTRACT_FAMILIES, THEIR_NOTICE, THEIR_TRIGGER};
use std::collections::BTreeMap;

/// Declaration of one fact key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FactDeclaration {
    pub key: String,
    pub kind: FactType,
    /// Allowed words of a choice or set; empty means any.
    pub values: Vec<String>,
    pub question: String,
    /// An instant that may lie ahead of now, such as the day from which a duty binds. No clock is counted from it.
    pub may_be_ahead: bool,
}

/// All declared keys, and the families of keys that carry an id: `affected.XX`, `times.filed.<duty-id>`, ...
#[derive(Clone, Debug, Default)]
pub struct FactCatalogue {
    declared: BTreeMap<String, FactDeclaration>,
    duty_ids: Vec<String>,
    places: Vec<String>,
}

/// Families whose keys end in the id of a duty, optionally `@place`.
const DUTY_FAMILIES: [(&str, FactType); 4] = [
    ("times.filed.", FactType::Instant),
    ("times.requested.", FactType::Instant),
    ("times.due.", FactType::Instant),
    ("waived.", FactType::Text),
];

impl FactCatalogue {
    pub fn declare(&mut self, declaration: FactDeclaration) -> Result<(), FactDeclaration> {
        match self.declared.get(&declaration.key) {
            Some(known) if *known != declaration => Err(known.clone()),
            _ => {
                self.declared.insert(declaration.key.clone(), declaration);
                Ok(())
            }
        }
    }

    /// Duty ids and places that may end a key; both sorted.
    pub fn set_families(&mut self, mut duty_ids: Vec<String>, mut places: Vec<String>) {
        duty_ids.sort();
        places.sort();
        (self.duty_ids, self.places) = (duty_ids, places);
    }

    pub fn iter(&self) -> impl Iterator<Item = &FactDeclaration> {
        self.declared.values()
    }

    pub fn get(&self, key: &str) -> Option<&FactDeclaration> {
        self.declared.get(key)
    }

    /// Type of `key`, also when it belongs to a family; `None` when nobody declared it.
    pub fn kind(&self, key: &str) -> Option<FactType> {
        if let Some(declaration) = self.declared.get(key) {
            return Some(declaration.kind);
        }
        if let Some(place) = key.strip_prefix("affected.") {
            return self.is_place(place).then_some(FactType::Count);
        }
        // which contracts there are is the register's affair: any id will do
        if let Some((_, kind)) =
            CONTRACT_FAMILIES.iter().find(|(prefix, _)| key.len() > prefix.len() && key.starts_with(prefix))
        {
            return Some(*kind);
        }
        DUTY_FAMILIES.iter().find_map(|(prefix, kind)| {
            let rest = key.strip_prefix(prefix)?;
            let (duty, place) = rest.rsplit_once('@').map_or((rest, None), |(d, p)| (d, Some(p)));
            let known = self.is_duty(duty) && place.is_none_or(|p| self.is_place(p) || !p.is_empty());
            known.then_some(*kind)
        })
    }

    /// The question a person is asked for `key`.
    pub fn question(&self, key: &str) -> String {
        if let Some(declaration) = self.declared.get(key) {
            return declaration.question.clone();
        }
        if let Some(place) = key.strip_prefix("affected.") {
            return format!("How many affected persons are resident in {place}?");
        }
        if let Some(part) = key.strip_prefix("entity.") {
            return match part {
                "roles" => "Which roles does the entity have?".to_string(),
                "established_in" => "Where is the entity established?".to_string(),
                "main_establishment" => "Where is the entity's main establishment?".to_string(),
                "operates_in" => "In which countries and states does the entity operate?".to_string(),
                "contracts" => "Which contracts ask the entity for notice?".to_string(),
                _ => format!("What is the entity's {}?", part.replace('_', " ")),
            };
        }
        if let Some(contract) = key.strip_prefix(THEIR_TRIGGER) {
            return format!("When did what starts the clause of contract `{contract}` happen at the counterparty?");
        }
        if let Some(contract) = key.strip_prefix(THEIR_NOTICE) {
            return format!("When did the counterparty of contract `{contract}` tell us?");
        }
        format!("What is known about `{key}`?")
    }

    /// Up to three known keys nearest to a mistyped one.
    pub fn nearest(&self, key: &str) -> Vec<&str> {
        if let Some((prefix, rest)) =
            DUTY_FAMILIES.iter().find_map(|(prefix, _)| key.strip_prefix(prefix).map(|rest| (prefix, rest)))
        {
            let _ = prefix;
            return nearest_of(rest, self.duty_ids.iter().map(String::as_str));
        }
        nearest_of(key, self.declared.keys().map(String::as_str))
    }

    fn is_place(&self, place: &str) -> bool {
        self.places.binary_search_by(|p| p.as_str().cmp(place)).is_ok()
    }

    fn is_duty(&self, duty: &str) -> bool {
        self.duty_ids.binary_search_by(|d| d.as_str().cmp(duty)).is_ok()
    }
}

/// Up to three of `known` within a small edit distance of `word`, nearest first.
pub fn nearest_of<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let limit = (word.len() / 3).clamp(2, 8);
    let mut near: Vec<(usize, &str)> =
        known.map(|k| (edit_distance(word, k), k)).filter(|(distance, _)| *distance <= limit).collect();
    near.sort();
    near.into_iter().take(3).map(|(_, k)| k).collect()
}

fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(ca != cb);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
