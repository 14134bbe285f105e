//! Holds entries to `docs/schemas/entry.json`. Reads as much of JSON Schema as that file uses, and breaks at a word of it
//! that it does not know; `tests/house/entry_types.rs` compares it with a foreign validator.

use breachclock::store::Store;
use serde_json::Value;
use std::sync::LazyLock;

pub static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/schemas/entry.json");
    serde_json::from_str(&std::fs::read_to_string(file).expect("the schema")).expect("JSON")
});

/// Every entry is as the schema says.
pub async fn holds<S: Store>(store: &S) {
    assert_eq!(faults_of_log(store).await, Vec::<String>::new(), "see docs/schemas/entry.json");
}

/// What is wrong with the entries of a whole log, one line each.
pub async fn faults_of_log<S: Store>(store: &S) -> Vec<String> {
    written(store).await.iter().flat_map(|line| faults(line)).collect()
}

/// The entries that the program wrote. Those of tests that play another writer have a nonce of zeros.
pub async fn written<S: Store>(store: &S) -> Vec<Vec<u8>> {
    let size = store.head().await.expect("a head").size;
    let entries = store.entries(0..size).await.expect("the entries");
    let zeros = format!("\"nonce\":\"{}\"", "A".repeat(22));
    let lines = entries.into_iter().map(|entry| entry.bytes);
    lines.filter(|line| !String::from_utf8_lossy(line).contains(&zeros)).collect()
}

/// What is wrong with one entry.
pub fn faults(line: &[u8]) -> Vec<String> {
    let entry: Value = serde_json::from_slice(line).expect("an entry is JSON");
    let mut found = Vec::new();
    judge(&SCHEMA, &entry, &format!("{} {}", entry["stream"], entry["type"]), &mut found);
    found
}

fn judge(schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    let holds = |schema: &Value| {
        let mut found = Vec::new();
        judge(schema, value, at, &mut found);
        found.is_empty()
    };
    let rules = schema.as_object().expect("a schema is an object");
    for (word, rule) in rules {
        match word.as_str() {
            "$schema" | "$defs" | "title" | "description" | "then" => {}
            "$ref" => {
                let name = rule.as_str().and_then(|name| name.strip_prefix("#/$defs/")).expect("a name");
                judge(&SCHEMA["$defs"][name], value, at, found);
            }
            "type" if fits(rule.as_str().expect("one type"), value) => {}
            "const" if rule == value => {}
            "enum" if rule.as_array().is_some_and(|known| known.contains(value)) => {}
            "minimum" if value.as_i64().zip(rule.as_i64()).is_none_or(|(n, least)| n >= least) => {}
            "maximum" if value.as_i64().zip(rule.as_i64()).is_none_or(|(n, most)| n <= most) => {}
            "pattern" if value.as_str().is_none_or(|text| matches(rule.as_str().expect("a pattern"), text)) => {}
            "anyOf" if rule.as_array().expect("schemas").iter().any(holds) => {}
            "type" | "const" | "enum" | "minimum" | "maximum" | "pattern" | "anyOf" => {
                found.push(format!("{at}: {value} is not {word} {rule}"));
            }
            "allOf" => rule.as_array().expect("schemas").iter().for_each(|each| judge(each, value, at, found)),
            "if" if holds(rule) => judge(&rules["then"], value, at, found),
            "if" => {}
            "items" => {
                let items = value.as_array().into_iter().flatten().enumerate();
                items.for_each(|(n, item)| judge(rule, item, &format!("{at}/{n}"), found));
            }
            "required" => {
                let names = rule.as_array().expect("names").iter().filter_map(Value::as_str);
                let missing = names.filter(|name| value.is_object() && value.get(name).is_none());
                missing.for_each(|name| found.push(format!("{at}: `{name}` is missing")));
            }
            "properties" => {
                for (name, rule) in rule.as_object().expect("schemas") {
                    value.get(name).into_iter().for_each(|value| judge(rule, value, &format!("{at}/{name}"), found));
                }
            }
            "additionalProperties" => {
                let known = |name: &&String| schema["properties"].get(name.as_str()).is_some();
                for (name, value) in value.as_object().into_iter().flatten().filter(|(name, _)| !known(name)) {
                    match rule {
                        Value::Bool(false) => found.push(format!("{at}: `{name}` is not known")),
                        rule => judge(rule, value, &format!("{at}/{name}"), found),
                    }
                }
            }
            other => panic!("`{other}` of JSON Schema is not read here"),
        }
    }
}

fn fits(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "null" => value.is_null(),
        other => panic!("`{other}` is no type that is read here"),
    }
}

/// The patterns of the file, by hand.
fn matches(pattern: &str, text: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|c| c.is_ascii_digit());
    let moment = |text: &str, fraction: std::ops::RangeInclusive<usize>| {
        let (whole, rest) = text.split_at_checked(19).unwrap_or_default();
        let shape: String = whole.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        let micros =
            rest.strip_suffix('Z').map(|rest| rest.strip_prefix('.').unwrap_or(if rest.is_empty() { "" } else { "x" }));
        shape == "0000-00-00T00:00:00" && micros.is_some_and(|f| digits(f) && fraction.contains(&f.len()))
    };
    let word = |text: &str, others: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c));
    match pattern {
        "^[0-9a-f]{64}$" => breachclock::evidence::unhex32(text).is_some(),
        "^[A-Za-z0-9._-]{1,100}$" => (1..=100).contains(&text.len()) && word(text, "._-"),
        "^[A-Za-z0-9_-]{22}$" => text.len() == 22 && word(text, "_-"),
        r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z$" => moment(text, 6..=6),
        r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z$" => moment(text, 0..=9),
        other => panic!("`{other}` is no pattern that is read here"),
    }
}
