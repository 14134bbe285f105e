//! Forms as data, and which of them serves a duty.
//!
//! A form says for each of its fields which facts, or which of the incident's own data, fill it. `read.rs` makes it of text.

use super::value::Pattern;
use super::words::Words;
use crate::law::{RecipientKind, Stage};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Every form, what fills the content items of duties, and the words of each language.
#[derive(Clone, Debug, Default)]
pub struct Forms {
    pub(super) forms: Vec<Form>,
    pub(super) items: Vec<Item>,
    pub(super) words: BTreeMap<String, Words>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema, Deserialize)]
#[schemars(rename = "FormKind")]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Questions and answers, for an authority.
    Form,
    /// Paragraphs: a letter, or the text of a report.
    Prose,
}

#[derive(Clone, Debug)]
pub struct Form {
    pub id: String,
    /// `{}` in it is the title of the duty.
    pub title: String,
    pub kind: Kind,
    /// ISO 639-1.
    pub language: String,
    /// Where its fields are from, in words.
    pub source: String,
    pub source_url: String,
    /// Day on which somebody compared it with its source; `None` while nobody could open that.
    pub checked: Option<String>,
    /// For whoever completes the draft.
    pub note: String,
    /// Whom it names as contact: roles of the configuration, the first that somebody has.
    pub contact: Vec<String>,
    pub(super) serves: Vec<Serves>,
    pub(super) sections: Vec<Section>,
}

/// Duties a form is for: every list that is not empty must hold.
#[derive(Clone, Debug, Default)]
pub struct Serves {
    /// Ids; `*` stands for anything.
    pub duties: Vec<String>,
    /// Packs without their date, likewise.
    pub packs: Vec<String>,
    pub stages: Vec<Stage>,
    pub recipients: Vec<RecipientKind>,
}

#[derive(Clone, Debug)]
pub struct Section {
    pub title: String,
    /// Stages of notices it belongs to; empty: every one.
    pub stages: Vec<Stage>,
    /// A sentence of the frame.
    pub text: String,
    /// Groups of content items of the duty that stand here; `*` takes what no other section takes.
    pub content: Vec<String>,
    pub fields: Vec<Field>,
}

#[derive(Clone, Debug)]
pub struct Field {
    /// As the official form numbers it; empty where it has no number.
    pub number: String,
    pub label: String,
    pub question: String,
    /// One part each; of the alternatives in a part the first that is known. Empty: only a person can say.
    pub from: Vec<Vec<String>>,
    /// In a letter: the sentence around the value.
    pub sentence: Option<Pattern>,
    pub render: Render,
    pub ranges: Vec<Range>,
    pub yes: Option<String>,
    pub no: Option<String>,
    pub may_follow: bool,
    /// Characters the official form takes.
    pub max_length: Option<usize>,
    pub only: Option<Only>,
}

/// What fills a content item, found by its words.
#[derive(Clone, Debug)]
pub struct Item {
    /// Lower case; the whole item is one of these,
    pub is: Vec<String>,
    /// or one of these stands in it.
    pub says: Vec<String>,
    pub group: String,
    /// A remark of the pack about the notice, no part of it.
    pub remark: bool,
    pub field: Field,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Render {
    /// By the type of the fact.
    #[default]
    Auto,
    /// An instant as its local day.
    Date,
    /// A set line by line.
    List,
}

/// A number as one of the form's ranges.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// Included; without it, every larger number.
    pub up_to: Option<u64>,
    pub says: String,
}

/// When a field is asked at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Only {
    /// The earliest reading of the limit has passed.
    Late,
    /// Something was filed before.
    Later,
}

/// The duty somebody wants a draft for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub duty: &'a str,
    /// With or without its date.
    pub pack: &'a str,
    pub stage: Stage,
    pub recipient: RecipientKind,
    /// In which the recipient takes notices, when that is on record.
    pub languages: &'a [String],
}

impl Forms {
    pub fn iter(&self) -> impl Iterator<Item = &Form> {
        self.forms.iter()
    }

    /// The forms that serve the duty, the closest first: one that names it before one that names its pack, before one for
    /// every duty of its kind; the recipient's language before English before others.
    pub fn serving(&self, asked: &Asked<'_>) -> Vec<&Form> {
        let mut found: Vec<(u8, &Form)> =
            self.forms.iter().filter_map(|form| Some((form.closeness(asked)?, form))).collect();
        let language = |form: &Form| {
            let theirs = asked.languages.contains(&form.language);
            (!theirs, form.language != "en", form.id.clone())
        };
        found.sort_by_key(|(closeness, form)| (std::cmp::Reverse(*closeness), language(form)));
        found.into_iter().map(|(_, form)| form).collect()
    }

    pub(super) fn has_words(&self, form: &Form) -> bool {
        self.words.contains_key(&form.language)
    }

    pub fn words(&self, form: &Form) -> &Words {
        &self.words[&form.language]
    }

    /// What fills a content item; the first that fits.
    pub(super) fn item(&self, text: &str) -> Option<&Item> {
        let text = text.to_lowercase();
        let text = text.trim();
        self.items.iter().find(|item| {
            item.is.iter().any(|whole| whole == text) || item.says.iter().any(|words| stands_in(words, text))
        })
    }
}

impl Form {
    /// `None` when it does not serve the duty.
    fn closeness(&self, asked: &Asked<'_>) -> Option<u8> {
        self.serves.iter().filter_map(|serves| serves.closeness(asked)).max()
    }

    /// The title of a notice of this duty.
    pub fn title_of(&self, duty: &str) -> String {
        self.title.replace("{}", duty)
    }

    pub fn is_prose(&self) -> bool {
        self.kind == Kind::Prose
    }
}

impl Serves {
    pub(super) fn closeness(&self, asked: &Asked<'_>) -> Option<u8> {
        let pack = asked.pack.split('@').next().unwrap_or(asked.pack);
        let fits = |patterns: &[String], text: &str| patterns.is_empty() || patterns.iter().any(|p| glob(p, text));
        let holds = fits(&self.duties, asked.duty)
            && fits(&self.packs, pack)
            && (self.stages.is_empty() || self.stages.contains(&asked.stage))
            && (self.recipients.is_empty() || self.recipients.contains(&asked.recipient));
        let named = self.duties.iter().any(|id| id == asked.duty);
        let near = !self.duties.is_empty() || !self.packs.is_empty();
        let some = !self.stages.is_empty() || !self.recipients.is_empty();
        holds.then_some(if named {
            3
        } else if near {
            2
        } else {
            u8::from(some)
        })
    }
}

/// Do the words stand in the text, and not inside other words?
fn stands_in(words: &str, text: &str) -> bool {
    let edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
    text.match_indices(words)
        .any(|(at, _)| edge(text[..at].chars().next_back()) && edge(text[at + words.len()..].chars().next()))
}

/// `*` stands for any characters.
pub(super) fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, text, want) in [
            ("a-b", "a-b", true),
            ("a-b", "a-bc", false),
            ("*-b", "a-b", true),
            ("a-*", "a-", true),
            ("a-*-c", "a-b-c", true),
            ("a-*-c", "a-c", false),
            ("*", "", true),
            ("ab*ba", "aba", false),
            ("*/nis", "de/nis", true),
        ] {
            assert_eq!(glob(pattern, text), want, "{pattern} {text}");
        }
    }
}
