//! The personal fields of an incident by the names people call them, and which of them hold what is to be erased.

use crate::evidence::{Disclosure, Hash, hex};
use crate::store::StoredEntry;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A value shorter than this is looked for as a whole, not inside other texts: it may be there by chance.
const QUOTED_FROM: usize = 12;

/// One commitment of one entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Number of the entry in the incident's stream.
    pub n: u64,
    pub kind: String,
    /// Inside the entry's body.
    pub pointer: String,
    pub commitment: Hash,
    /// `None` when it is erased.
    pub value: Option<Value>,
}

impl Field {
    /// The pointer that names this field alone.
    pub fn name(&self) -> String {
        format!("/{}{}", self.n, self.pointer)
    }

    /// The texts of its value: one, or those inside an object.
    fn texts(&self) -> Vec<&str> {
        fn walk<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
            match value {
                Value::String(text) => found.push(text),
                Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
                Value::Object(members) => members.values().for_each(|value| walk(value, found)),
                _ => {}
            }
        }
        let mut found = Vec::new();
        self.value.iter().for_each(|value| walk(value, &mut found));
        found
    }
}

/// All fields of a stream, in the order of its entries.
pub(super) fn fields(entries: &[StoredEntry], disclosures: &BTreeMap<Hash, Vec<u8>>) -> Vec<Field> {
    let mut found = Vec::new();
    for entry in entries {
        let read: Value = serde_json::from_slice(&entry.bytes).unwrap_or_default();
        let kind = read["type"].as_str().unwrap_or_default();
        walk(&read["body"], &mut String::new(), &mut |pointer, commitment| {
            let value = disclosures.get(&commitment).and_then(|bytes| Disclosure::from_bytes(bytes.clone()).read());
            found.push(Field {
                n: entry.n,
                kind: kind.to_string(),
                pointer: pointer.to_string(),
                commitment,
                value: value.map(|(_, value)| value),
            });
        });
    }
    found
}

fn walk(value: &Value, pointer: &mut String, visit: &mut impl FnMut(&str, Hash)) {
    let mut step = |name: &str, value: &Value| {
        let length = pointer.len();
        pointer.push('/');
        pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
        walk(value, pointer, visit);
        pointer.truncate(length);
    };
    match value {
        Value::Object(members) => match members.get("$c").and_then(Value::as_str).and_then(crate::evidence::unhex32) {
            Some(commitment) => visit(pointer, commitment),
            None => members.iter().for_each(|(name, value)| step(name, value)),
        },
        Value::Array(items) => items.iter().enumerate().for_each(|(at, item)| step(&at.to_string(), item)),
        _ => {}
    }
}

/// The fields that `asked` names: `/<entry>/<pointer>` one, `/<pointer>` those at that place of every entry.
///
/// # Errors
/// Why there is nothing personal at that place.
pub(super) fn named<'f>(asked: &str, fields: &'f [Field], entries: &[StoredEntry]) -> Result<Vec<&'f Field>, String> {
    let Some(rest) = asked.strip_prefix('/').filter(|rest| !rest.is_empty()) else {
        return Err(format!(
            "`{asked}` is no pointer; write `/<entry>/<field>` such as `/1/title`, as `breachclock evidence fields` lists them"
        ));
    };
    let (n, pointer) = match rest.split_once('/') {
        Some((n, pointer)) if n.parse::<u64>().is_ok() => (n.parse::<u64>().ok(), format!("/{pointer}")),
        _ => (None, asked.to_string()),
    };
    let there = |field: &&Field| n.is_none_or(|n| n == field.n) && field.pointer == pointer;
    let found: Vec<&Field> = fields.iter().filter(there).collect();
    if found.iter().any(|field| field.value.is_some()) {
        return Ok(found);
    }
    if !found.is_empty() {
        return Err(format!("`{asked}` is erased already"));
    }
    let body = |entry: &StoredEntry| serde_json::from_slice::<Value>(&entry.bytes).unwrap_or_default()["body"].take();
    let in_clear = entries
        .iter()
        .filter(|entry| n.is_none_or(|n| n == entry.n))
        .find_map(|entry| body(entry).pointer(&pointer).cloned().map(|_| (entry.n, body(entry))));
    Err(match in_clear {
        Some((_, body)) => {
            let key = pointer.strip_suffix("/value").and_then(|fact| body.pointer(fact)?.get("key")?.as_str());
            let what = key.map_or("it is no personal text".to_string(), |key| {
                format!("`{key}` is a fact that clocks may be counted from")
            });
            format!("`{asked}` cannot be erased: {what}, and stands in the log in clear")
        }
        None => format!("`{asked}` names no field of this incident; `breachclock evidence fields` lists them"),
    })
}

/// What is to be erased.
#[derive(Clone, Debug, Default)]
pub(super) struct Sought {
    /// Values, as they stand in the named fields.
    pub values: BTreeSet<String>,
    /// Names of people, looked for in every text.
    pub subjects: BTreeSet<String>,
    /// All that is personal, whatever it says.
    pub everything: bool,
}

impl Sought {
    /// Whether `text` holds something of it.
    pub fn is_in(&self, text: &str) -> bool {
        self.everything
            || self.values.iter().any(|value| value == text || value.len() >= QUOTED_FROM && text.contains(value))
            || self.subjects.iter().any(|name| is_named(name, text))
    }

    pub fn is_in_field(&self, field: &Field) -> bool {
        field.texts().into_iter().any(|text| self.is_in(text))
    }

    pub fn is_proof(&self, proof: &Hash) -> bool {
        self.everything || self.values.contains(&hex(proof))
    }

    /// Takes up the values of `fields`.
    pub fn add<'f>(&mut self, fields: impl IntoIterator<Item = &'f Field>) {
        let whole = |field: &'f Field| field.value.as_ref().and_then(Value::as_str);
        self.values.extend(fields.into_iter().filter_map(whole).filter(|text| !text.is_empty()).map(str::to_string));
    }
}

/// Whether `text` names `name`: its words side by side, in any case, not as a part of longer words.
pub(super) fn is_named(name: &str, text: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        let split = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        split.map(str::to_lowercase).collect()
    };
    let (name, text) = (words(name), words(text));
    !name.is_empty() && text.windows(name.len()).any(|part| part == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_found_by_whole_words() {
        let cases = [
            ("Jane Roe", "laptop of Jane Roe, stolen", true),
            ("jane  roe", "JANE\nROE", true),
            ("Jane Roe", "Jane Roebuck", false),
            ("Ann", "announced", false),
            ("Ann", "told (Ann)", true),
            ("j.roe@example.org", "mail to <J.Roe@example.org> bounced", true),
            ("Zoë", "zoë", true),
            ("  ", "anything", false),
        ];
        for (name, text, found) in cases {
            assert_eq!(is_named(name, text), found, "{name:?} in {text:?}");
        }
    }

    #[test]
    fn short_values_are_not_looked_for_inside_others() {
        let sought = |value: &str| Sought { values: BTreeSet::from([value.to_string()]), ..Sought::default() };
        assert!(sought("no").is_in("no") && !sought("no").is_in("nothing"));
        let long = "laptop of J. Roe";
        assert!(sought(long).is_in(&format!("Reminder: {long}")));
    }

    fn entry(n: u64, kind: &str, body: &str) -> StoredEntry {
        let bytes = format!(r#"{{"n":{n},"type":"{kind}","body":{body}}}"#).into_bytes();
        StoredEntry { idx: n, stream: "inc-1".into(), n, bytes }
    }

    #[test]
    fn fields_are_named_by_pointers() {
        let title = Disclosure::new(&[1; 32], "/title", &"lost laptop");
        let by = Disclosure::new(&[2; 32], "/facts/0/by", &"lea");
        let c = |d: &Disclosure| format!(r#"{{"$c":"{}"}}"#, hex(&d.commitment));
        let fact = format!(r#"{{"key":"times.aware","value":"2026-01-01T00:00:00Z","by":{}}}"#, c(&by));
        let entries = [
            entry(1, "incident.reported", &format!(r#"{{"title":{},"facts":[{fact}]}}"#, c(&title))),
            entry(2, "export.created", r#"{"actor":"x"}"#),
        ];
        let disclosures = BTreeMap::from([(title.commitment, title.bytes.clone())]);
        let fields = fields(&entries, &disclosures);
        let names: Vec<String> = fields.iter().map(Field::name).collect();
        assert_eq!(names, ["/1/title", "/1/facts/0/by"]);
        let ask = |asked: &str| named(asked, &fields, &entries).map(|found| found.len());
        assert_eq!((ask("/1/title"), ask("/title")), (Ok(1), Ok(1)));
        let refused = [
            ("/1/facts/0/by", "is erased already"),
            ("/1/facts/0/value", "`times.aware` is a fact that clocks may be counted from"),
            ("/2/actor", "no personal text"),
            ("/2/title", "names no field"),
            ("/nothing", "names no field"),
            ("title", "is no pointer"),
            ("/", "is no pointer"),
        ];
        for (asked, why) in refused {
            let error = ask(asked).expect_err(asked);
            assert!(error.contains(why), "{asked}: {error}");
        }
    }
}
