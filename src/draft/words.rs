//! Words a form's language needs: `jurisdictions/forms/words.toml`, one table per language.

use super::value::Pattern;
use serde::Deserialize;
use std::collections::BTreeMap;

/// One language. A pattern holds `{}` where the value goes, in order.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Words {
    pub yes: String,
    pub no: String,
    /// Joins the last two of several.
    pub and: String,
    /// Between thousands.
    pub group: String,
    /// An estimated number.
    pub about: Pattern,
    pub at_least: Pattern,
    pub at_most: Pattern,
    /// Two places.
    pub between: String,
    pub suspected: Pattern,
    pub estimated: Pattern,
    /// `{weekday}`, `{day}`, `{month}`, `{year}`, `{time}`, `{zone}`, `{utc}`.
    pub instant: String,
    pub date: String,
    /// From Monday.
    pub weekdays: Vec<String>,
    pub months: Vec<String>,
    /// A gap whose part has a name.
    pub not_known_of: Pattern,
    pub not_known: String,
    pub to_write: String,
    pub withheld: String,
    pub erased: String,
    pub undecided: Pattern,
    pub may_follow: String,
    pub none_on_record: String,
    /// The mark on every page.
    pub draft: Pattern,
    /// Before it in an exercise.
    pub drill: String,
    pub to: String,
    pub by: String,
    pub under: String,
    pub compared: String,
    pub new: String,
    pub was: Pattern,
    pub unchanged: String,
    pub sources: String,
    /// Heads what is for whoever completes the draft.
    pub aside: String,
    pub too_long: String,
    /// Of a form that nobody has compared with its source.
    pub not_compared: String,
    /// What a value of a fact is called; without an entry the value itself.
    pub values: BTreeMap<String, String>,
    /// What a fact or one of our own data is called beside others.
    pub keys: BTreeMap<String, String>,
}

impl Words {
    pub fn value(&self, word: &str) -> String {
        self.values.get(word).cloned().unwrap_or_else(|| word.replace('-', " "))
    }

    pub fn key(&self, key: &str) -> String {
        self.keys.get(key).cloned().unwrap_or_else(|| key.replace(['.', '_', '-'], " "))
    }

    /// "a, b and c".
    pub fn list(&self, items: &[String]) -> String {
        match items {
            [] => String::new(),
            [one] => one.clone(),
            [rest @ .., last] => format!("{} {} {last}", rest.join(", "), self.and),
        }
    }
}
