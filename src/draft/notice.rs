//! The draft: every field of a form with its value, the facts it is from, what is missing, and what changed since the
//! notice before.

use super::forms::{Field, Form, Forms, Item, Kind, Only, Render, Section};
use super::own::{self, Case};
use super::value::{self, Manner};
use super::words::Words;
use crate::law::{Certainty, ContentItem};
use crate::time::{CivilDate, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeSet;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Notice {
    pub form: FormName,
    pub title: String,
    /// The recipient.
    pub to: String,
    /// The entity that gives the notice.
    pub by: String,
    pub law: String,
    /// Instants are written in it.
    pub zone: String,
    /// When the draft was made, in the words of its language.
    pub made_at: String,
    /// The notice whose contents this one takes over.
    pub follows: Option<Follows>,
    /// Fields that need nothing more.
    pub filled: usize,
    /// All fields.
    pub of: usize,
    pub sections: Vec<NoticeSection>,
    pub fields: Vec<NoticeField>,
    /// What the pack says about the notice besides its contents.
    pub remarks: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "DraftForm")]
pub struct FormName {
    pub id: String,
    pub title: String,
    pub kind: Kind,
    pub language: String,
    pub source: String,
    pub source_url: String,
    /// Day on which somebody compared it with its source.
    #[schemars(with = "Option<CivilDate>")]
    pub checked: Option<String>,
    pub note: String,
}

/// The notice before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "NoticeBefore")]
pub struct Follows {
    pub obligation: String,
    pub title: String,
    pub at: String,
    pub reference: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "DraftSection")]
pub struct NoticeSection {
    pub title: String,
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "DraftField")]
pub struct NoticeField {
    /// Position of its section.
    pub section: usize,
    /// As the official form numbers it; empty where it has none.
    pub number: String,
    pub label: String,
    pub question: String,
    pub state: State,
    /// What is known of it; `null` when nothing is.
    pub value: Option<String>,
    /// Facts and own data it is from, known or not.
    pub from: Vec<String>,
    /// What the notice before said, where that was something else.
    pub previous: Option<String>,
    pub may_follow: bool,
    pub max_length: Option<usize>,
    /// Characters more than the official form takes.
    pub too_long_by: Option<usize>,
    pub parts: Vec<Part>,
    /// Who asserted each fact, when and how surely.
    pub sources: Vec<SourceRef>,
    /// The sentence of a letter before and after the value.
    #[serde(skip)]
    pub around: Option<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "DraftFieldState")]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Known, and the notice before did not say it, if there was one.
    Filled,
    Missing,
    /// Missing, and the law lets it follow.
    MayFollow,
    /// The notice before said something else.
    Changed,
    Unchanged,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            State::Filled => "filled",
            State::Missing => "missing",
            State::MayFollow => "may-follow",
            State::Changed => "changed",
            State::Unchanged => "unchanged",
        }
    }

    pub fn is_gap(self) -> bool {
        matches!(self, State::Missing | State::MayFollow)
    }
}

/// One answer inside a field: a value, or a gap that says what it waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "DraftFieldPart")]
pub struct Part {
    /// Empty when it stands alone.
    pub label: String,
    pub value: Option<String>,
    pub gap: Option<String>,
    pub from: Vec<String>,
    pub previous: Option<String>,
    #[serde(skip)]
    standing: Compared,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compared {
    NotTold,
    Same,
    Other,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "DraftFieldSource")]
pub struct SourceRef {
    pub key: String,
    pub by: Option<String>,
    pub at: Option<String>,
    #[schemars(with = "Option<Certainty>")]
    pub certainty: Option<&'static str>,
}

/// The notice before: what was known when it was given, and which of it its form said.
pub struct Earlier<'a> {
    pub case: Case<'a>,
    /// Keys whose values it told; see [`Notice::told`].
    pub told: BTreeSet<String>,
    pub obligation: String,
    pub title: String,
    pub at: Timestamp,
    pub reference: Option<String>,
}

impl Notice {
    /// The facts and own data whose values stand in it.
    pub fn told(&self) -> BTreeSet<String> {
        let known = self.fields.iter().flat_map(|field| &field.parts).filter(|part| part.value.is_some());
        known.flat_map(|part| part.from.iter().cloned()).collect()
    }

    pub fn gaps(&self) -> usize {
        self.of - self.filled
    }
}

/// Fills `form` with what `case` knows. `earlier` are the notices before, the newest first.
pub fn make(forms: &Forms, form: &Form, case: &Case<'_>, earlier: &[Earlier<'_>]) -> Notice {
    let words = forms.words(form);
    let mut maker = Maker { forms, form, case, earlier, words, fields: Vec::new(), remarks: Vec::new() };
    let here = |section: &&Section| section.stages.is_empty() || section.stages.contains(&case.stage);
    let sections: Vec<&Section> = form.sections.iter().filter(here).collect();
    for (at, section) in sections.iter().enumerate() {
        for field in &section.fields {
            maker.field(at, field, &field.label);
        }
        maker.content(at, section);
    }
    let (fields, remarks) = (maker.fields, maker.remarks);
    let zone = case.obligation.zone;
    Notice {
        form: FormName {
            id: form.id.clone(),
            title: form.title_of(case.title),
            kind: form.kind,
            language: form.language.clone(),
            source: form.source.clone(),
            source_url: form.source_url.clone(),
            checked: form.checked.clone(),
            note: form.note.clone(),
        },
        title: form.title_of(case.title),
        to: case.obligation.recipient_name.clone(),
        by: own::own(case, "own.entity", words).unwrap_or_else(|gap| gap),
        law: format!("{}, {}", case.law, case.citation),
        zone: zone.name().to_string(),
        made_at: value::instant(case.now, zone, words),
        follows: earlier.first().map(|e| Follows {
            obligation: e.obligation.clone(),
            title: e.title.clone(),
            at: value::instant(e.at, zone, words),
            reference: e.reference.clone(),
        }),
        filled: fields.iter().filter(|f| !f.state.is_gap()).count(),
        of: fields.len(),
        sections: sections.iter().map(|s| NoticeSection { title: s.title.clone(), text: s.text.clone() }).collect(),
        fields,
        remarks,
    }
}

struct Maker<'a> {
    forms: &'a Forms,
    form: &'a Form,
    case: &'a Case<'a>,
    earlier: &'a [Earlier<'a>],
    words: &'a Words,
    fields: Vec<NoticeField>,
    remarks: Vec<String>,
}

impl<'a> Maker<'a> {
    /// The content items of the duty that stand in this section.
    fn content(&mut self, at: usize, section: &Section) {
        if section.content.is_empty() {
            return;
        }
        let elsewhere = |group: &str| self.form.sections.iter().any(|s| s.content.iter().any(|g| g == group));
        let mut seen: Vec<*const Item> = Vec::new();
        let mut found: Vec<(&ContentItem, Option<&Item>)> = Vec::new();
        for content in self.case.content {
            let item = self.forms.item(&content.item);
            let group = item.map_or("other", |item| item.group.as_str());
            let here = section.content.iter().any(|g| g == group || (g == "*" && !elsewhere(group)));
            // two items that say the same would make a letter say it twice
            let again = self.form.is_prose() && item.is_some_and(|i| seen.contains(&std::ptr::from_ref(i)));
            if here && !again {
                seen.extend(item.map(std::ptr::from_ref));
                found.push((content, item));
            }
        }
        for (content, item) in found {
            if item.is_some_and(|item| item.remark) {
                self.remarks.push(content.item.clone());
                continue;
            }
            let mut field = item.map_or_else(plain, |item| item.field.clone());
            // what the pack names comes first, with the alternatives that the words of the item give it
            let (named, more): (Vec<_>, Vec<_>) =
                field.from.iter().cloned().partition(|part| part.iter().any(|key| content.from.contains(key)));
            let of = |key: &String| named.iter().find(|part| part.contains(key)).cloned();
            let own = content.from.iter().map(|key| of(key).unwrap_or_else(|| vec![key.clone()]));
            field.from = own.chain(more).collect();
            field.from.dedup();
            field.may_follow |= content.may_follow;
            self.field(at, &field, &content.item);
        }
    }

    fn field(&mut self, section: usize, field: &Field, label: &str) {
        let asked = match field.only {
            None => true,
            Some(Only::Later) => !self.earlier.is_empty(),
            Some(Only::Late) => {
                let past = self.case.obligation.limits().is_some_and(|(_, conservative)| self.case.now >= conservative);
                past || !self.case.delays.is_empty()
            }
        };
        if !asked {
            return;
        }
        let several = field.from.len() > 1;
        let parts: Vec<Part> = field.from.iter().map(|keys| self.part(field, keys, several, label)).collect();
        let known: Vec<&Part> = parts.iter().filter(|part| part.value.is_some()).collect();
        let before = |keep: &dyn Fn(&Part) -> bool| -> Option<String> {
            let lines: Vec<String> = parts.iter().filter(|p| keep(p)).filter_map(said_before).collect();
            (!lines.is_empty()).then(|| lines.join("\n"))
        };
        let state = if known.len() < parts.len() || parts.is_empty() {
            if field.may_follow { State::MayFollow } else { State::Missing }
        } else if parts.iter().any(|p| p.standing == Compared::Other) {
            State::Changed
        } else if parts.iter().all(|p| p.standing == Compared::Same) {
            State::Unchanged
        } else if parts.iter().any(|p| p.standing == Compared::Same) {
            State::Changed
        } else {
            State::Filled
        };
        let value = (!known.is_empty()).then(|| known.iter().map(|p| labelled(&p.label, p.value.as_deref())).collect());
        let value: Option<String> = value.map(|lines: Vec<String>| lines.join("\n"));
        let length = value.as_deref().map_or(0, |v| v.chars().count());
        let sources = parts.iter().flat_map(|part| &part.from).map(|key| self.source(key)).collect();
        let (front, back) = field.sentence.as_ref().map(|s| s.split()).unzip();
        self.fields.push(NoticeField {
            section,
            number: field.number.clone(),
            label: label.to_string(),
            question: field.question.clone(),
            state,
            previous: before(&|part| part.standing == Compared::Other),
            from: parts.iter().flat_map(|p| p.from.iter().cloned()).collect(),
            may_follow: field.may_follow,
            max_length: field.max_length,
            too_long_by: field.max_length.and_then(|most| length.checked_sub(most)).filter(|more| *more > 0),
            value,
            parts,
            sources,
            around: front.zip(back).map(|(a, b)| (a.to_string(), b.to_string())),
        });
    }

    /// One part: the first of its alternatives that is known.
    fn part(&self, field: &Field, keys: &[String], several: bool, asks: &str) -> Part {
        let label = |key: &str| if several { self.words.key(key) } else { String::new() };
        let mut telling = None;
        for key in keys {
            match self.known(self.case, field, key) {
                Ok((value, from)) => {
                    let (standing, previous) = self.compare(field, keys, &value);
                    return Part { label: label(key), value: Some(value), gap: None, from, previous, standing };
                }
                // that something is withheld or erased says more than that it is not known
                Err(gap) if gap != self.words.not_known => telling = telling.or(Some(gap)),
                Err(_) => {}
            }
        }
        let key = keys.first().map_or("", String::as_str);
        let gap = match telling {
            Some(gap) => gap,
            _ if several => self.words.not_known_of.with(&self.words.key(key)),
            // between sentences nothing else says what is missing
            _ if self.form.is_prose() => self.words.not_known_of.with(asks),
            _ => self.words.not_known.clone(),
        };
        let previous = self.said_before(field, keys);
        let standing = if previous.is_some() { Compared::Other } else { Compared::NotTold };
        Part { label: label(key), value: None, gap: Some(gap), from: keys.to_vec(), previous, standing }
    }

    fn compare(&self, field: &Field, keys: &[String], value: &str) -> (Compared, Option<String>) {
        match self.said_before(field, keys) {
            None => (Compared::NotTold, None),
            Some(before) if before == value => (Compared::Same, None),
            Some(before) => (Compared::Other, Some(before)),
        }
    }

    /// What the latest notice that told one of these keys said under it.
    fn said_before(&self, field: &Field, keys: &[String]) -> Option<String> {
        let said = |earlier: &Earlier<'_>| {
            let told = |from: &[String]| from.iter().any(|key| earlier.told.contains(key));
            let lasting = keys.iter().filter(|key| !own::passes(key));
            let mut known = lasting.filter_map(|key| self.known(&earlier.case, field, key).ok());
            known.find(|(_, from)| told(from)).map(|(value, _)| value)
        };
        self.earlier.iter().find_map(said)
    }

    /// The value of one key, with the keys it is really from: `affected.*` is each place.
    fn known(&self, case: &Case<'_>, field: &Field, key: &str) -> Result<(String, Vec<String>), String> {
        if key.starts_with("own.") {
            return own::own(case, key, self.words).map(|said| (said, vec![key.to_string()]));
        }
        let manner = Manner {
            words: self.words,
            zone: case.obligation.zone,
            render: field.render,
            ranges: &field.ranges,
            yes: field.yes.as_deref(),
            no: field.no.as_deref(),
        };
        let said = |key: &str| {
            let fact = case.facts.assertion(key)?;
            let value = fact.value.as_ref()?;
            Some((fact, value))
        };
        if let Some(prefix) = key.strip_suffix('*') {
            let each = case.facts.with_prefix(prefix).filter(|fact| !fact.key.ends_with(".total"));
            let mut lines = Vec::new();
            let mut from = Vec::new();
            for fact in each {
                let Some(value) = &fact.value else { continue };
                let place = fact.key.strip_prefix(prefix).unwrap_or(&fact.key);
                lines.push(format!("{place}: {}", value::in_words(value, fact.certainty, manner)?));
                from.push(fact.key.clone());
            }
            return if lines.is_empty() { Err(self.words.not_known.clone()) } else { Ok((lines.join("\n"), from)) };
        }
        let (fact, value) = said(key).ok_or_else(|| self.words.not_known.clone())?;
        let text = value::in_words(value, fact.certainty, manner)?;
        match text.is_empty() {
            true => Err(self.words.not_known.clone()),
            // an erased text says so of itself; it must never go out as an answer
            false if value::in_words(value, Certainty::Confirmed, manner)? == case.erased => {
                Err(self.words.erased.clone())
            }
            false => Ok((text, vec![key.to_string()])),
        }
    }

    fn source(&self, key: &str) -> SourceRef {
        let fact = self.case.facts.assertion(key).filter(|fact| fact.value.is_some());
        SourceRef {
            key: key.to_string(),
            by: fact.map(|f| f.asserted_by.clone()),
            at: fact.map(|f| value::instant(f.asserted_at, self.case.obligation.zone, self.words)),
            certainty: fact.map(|f| f.certainty.as_str()),
        }
    }
}

/// What the duty's content items ask for, one field each, in the words of the page.
pub fn checklist(forms: &Forms, case: &Case<'_>, earlier: &[Earlier<'_>]) -> Vec<NoticeField> {
    let form = Form {
        id: String::new(),
        title: String::new(),
        kind: Kind::Form,
        language: "en".to_string(),
        source: String::new(),
        source_url: String::new(),
        checked: None,
        note: String::new(),
        contact: Vec::new(),
        serves: Vec::new(),
        sections: vec![Section {
            title: String::new(),
            stages: Vec::new(),
            text: String::new(),
            content: vec!["*".to_string()],
            fields: Vec::new(),
        }],
    };
    if forms.has_words(&form) { make(forms, &form, case, earlier).fields } else { Vec::new() }
}

/// Of an item nobody has mapped: only a person can say it.
fn plain() -> Field {
    Field {
        number: String::new(),
        label: String::new(),
        question: String::new(),
        from: Vec::new(),
        sentence: None,
        render: Render::Auto,
        ranges: Vec::new(),
        yes: None,
        no: None,
        may_follow: false,
        max_length: None,
        only: None,
    }
}

fn said_before(part: &Part) -> Option<String> {
    part.previous.as_ref().map(|before| labelled(&part.label, Some(before)))
}

fn labelled(label: &str, value: Option<&str>) -> String {
    let value = value.unwrap_or_default();
    if label.is_empty() { value.to_string() } else { format!("{label}: {value}") }
}
