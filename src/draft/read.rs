//! Text to [`Forms`]. Every fault carries file and line; all are reported at once.

use super::forms::{Asked, Field, Form, Forms, Item, Kind, Only, Range, Render, Section, Serves};
use super::own::OWN;
use super::value::Pattern;
use super::words::Words;
use crate::law::{FactCatalogue, FactType, RecipientKind, Stage, nearest_of};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use toml::Spanned;

/// Something wrong in a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub file: String,
    /// 1-based; 0 when the fault has no line.
    pub line: usize,
    pub text: String,
}

/// One file of `forms/`.
#[derive(Clone, Copy, Debug)]
pub struct FormText<'a> {
    /// Relative to the folder of rule packs.
    pub path: &'a str,
    pub text: &'a str,
    /// It is held to the rulebook: every duty and fact it names must exist there. The built-in files are held to the
    /// built-in packs by their own tests, and serve what of them an operator keeps.
    pub strict: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FormFile {
    id: Spanned<String>,
    title: String,
    kind: Kind,
    language: Spanned<String>,
    source: String,
    source_url: Spanned<String>,
    checked: Option<toml::value::Date>,
    #[serde(default)]
    note: String,
    #[serde(default)]
    contact: Vec<String>,
    serves: Vec<Spanned<ServesFile>>,
    section: Vec<SectionFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServesFile {
    #[serde(default)]
    duties: Vec<Spanned<String>>,
    #[serde(default)]
    packs: Vec<Spanned<String>>,
    #[serde(default)]
    stages: Vec<Spanned<String>>,
    #[serde(default)]
    recipients: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SectionFile {
    #[serde(default)]
    title: String,
    #[serde(default)]
    stages: Vec<Spanned<String>>,
    #[serde(default)]
    text: String,
    #[serde(default)]
    content: Vec<String>,
    #[serde(default)]
    field: Vec<FieldFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldFile {
    #[serde(default)]
    number: String,
    label: Spanned<String>,
    #[serde(default)]
    question: String,
    #[serde(default)]
    from: Vec<Spanned<String>>,
    sentence: Option<Pattern>,
    #[serde(default)]
    render: Render,
    #[serde(default)]
    ranges: Vec<Range>,
    yes: Option<String>,
    no: Option<String>,
    #[serde(default)]
    may_follow: bool,
    max_length: Option<usize>,
    only: Option<Only>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ItemsFile {
    item: Vec<ItemFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ItemFile {
    #[serde(default)]
    is: Vec<Spanned<String>>,
    #[serde(default)]
    says: Vec<Spanned<String>>,
    #[serde(default)]
    group: String,
    #[serde(default)]
    remark: bool,
    #[serde(default)]
    from: Vec<Spanned<String>>,
    sentence: Option<Pattern>,
    #[serde(default)]
    render: Render,
    yes: Option<String>,
    no: Option<String>,
    only: Option<Only>,
}

/// Compiles every file.
///
/// # Errors
/// Every fault found.
pub fn read(files: &[FormText<'_>], catalogue: &FactCatalogue, duties: &[Asked<'_>]) -> Result<Forms, Vec<Fault>> {
    let mut reader = Reader { catalogue, duties, faults: Vec::new(), forms: Forms::default() };
    for file in files.iter().filter(|f| name(f.path) == "words.toml") {
        let words: BTreeMap<String, Words> = reader.parsed(file).unwrap_or_default();
        reader.forms.words.extend(words);
    }
    for file in files {
        match name(file.path) {
            "words.toml" => {}
            "items.toml" => reader.items(file),
            _ => reader.form(file),
        }
    }
    if reader.faults.is_empty() { Ok(reader.forms) } else { Err(reader.faults) }
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

struct Reader<'a> {
    catalogue: &'a FactCatalogue,
    duties: &'a [Asked<'a>],
    faults: Vec<Fault>,
    forms: Forms,
}

impl Reader<'_> {
    fn parsed<T: DeserializeOwned>(&mut self, file: &FormText<'_>) -> Option<T> {
        match toml::from_str(file.text) {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                self.fault(file, error.span().map(|span| span.start), error.message().to_string());
                None
            }
        }
    }

    fn fault(&mut self, file: &FormText<'_>, at: Option<usize>, text: String) {
        let line = at.map_or(0, |at| file.text[..at].matches('\n').count() + 1);
        self.faults.push(Fault { file: file.path.to_string(), line, text });
    }

    fn items(&mut self, file: &FormText<'_>) {
        let Some(items) = self.parsed::<ItemsFile>(file) else { return };
        for item in items.item {
            let lower = |words: &[Spanned<String>]| words.iter().map(|w| w.get_ref().trim().to_lowercase()).collect();
            let (is, says): (Vec<String>, Vec<String>) = (lower(&item.is), lower(&item.says));
            if says.iter().chain(&is).any(String::is_empty) || (is.is_empty() && says.is_empty()) {
                let at = item.is.iter().chain(&item.says).chain(&item.from).next().map(|words| words.span().start);
                self.fault(file, at, "`is` or `says` is empty: give the item, or words that stand in it".to_string());
            }
            let from = self.sources(file, &item.from);
            let group = if item.group.is_empty() { "other".to_string() } else { item.group };
            let field = Field {
                number: String::new(),
                label: String::new(),
                question: String::new(),
                from,
                sentence: item.sentence,
                render: item.render,
                ranges: Vec::new(),
                yes: item.yes,
                no: item.no,
                may_follow: false,
                max_length: None,
                only: item.only,
            };
            self.forms.items.push(Item { is, says, group, remark: item.remark, field });
        }
    }

    fn form(&mut self, file: &FormText<'_>) {
        let Some(form) = self.parsed::<FormFile>(file) else { return };
        let at = |span: &std::ops::Range<usize>| Some(span.start);
        if self.forms.forms.iter().any(|f| f.id == *form.id.get_ref()) {
            let text = format!("another form has the id `{}` too; choose another", form.id.get_ref());
            self.fault(file, at(&form.id.span()), text);
        }
        if !self.forms.words.contains_key(form.language.get_ref()) {
            let known: Vec<&str> = self.forms.words.keys().map(String::as_str).collect();
            let text = format!(
                "`forms/words.toml` has no words of the language `{}`; it has {}",
                form.language.get_ref(),
                known.join(", ")
            );
            self.fault(file, at(&form.language.span()), text);
        }
        if !form.source_url.get_ref().starts_with("https://") && !form.source_url.get_ref().starts_with("http://") {
            let text = format!("`source_url` is `{}`; give the address of its source", form.source_url.get_ref());
            self.fault(file, at(&form.source_url.span()), text);
        }
        let serves = form.serves.iter().map(|serves| self.serves(file, serves)).collect();
        let sections = form.section.into_iter().map(|section| self.section(file, section)).collect();
        self.forms.forms.push(Form {
            id: form.id.into_inner(),
            title: form.title,
            kind: form.kind,
            language: form.language.into_inner(),
            source: form.source,
            source_url: form.source_url.into_inner(),
            checked: form.checked.map(|day| day.to_string()),
            note: form.note,
            contact: form.contact,
            serves,
            sections,
        });
    }

    fn serves(&mut self, file: &FormText<'_>, spanned: &Spanned<ServesFile>) -> Serves {
        let (found, start) = (spanned.get_ref(), Some(spanned.span().start));
        let mut serves = Serves {
            duties: found.duties.iter().map(|d| d.get_ref().clone()).collect(),
            packs: found.packs.iter().map(|p| p.get_ref().clone()).collect(),
            ..Serves::default()
        };
        serves.stages = self.stages(file, &found.stages);
        for word in &found.recipients {
            match RecipientKind::parse(word.get_ref()) {
                Some(recipient) => serves.recipients.push(recipient),
                None => {
                    let known = RecipientKind::ALL.iter().map(|r| r.as_str());
                    self.unknown(file, word, "recipient", known.collect());
                }
            }
        }
        if !file.strict {
            return serves;
        }
        // what names a duty that does not exist would never be seen to be wrong
        for id in &found.duties {
            let alone = Serves { duties: vec![id.get_ref().clone()], ..Serves::default() };
            if !self.duties.iter().any(|duty| alone.closeness(duty).is_some()) {
                let near = nearest_of(id.get_ref(), self.duties.iter().map(|d| d.duty));
                let text = format!("no rule pack has a duty `{}`{}", id.get_ref(), did_you_mean(&near));
                self.fault(file, Some(id.span().start), text);
            }
        }
        if !self.duties.iter().any(|duty| serves.closeness(duty).is_some()) {
            self.fault(file, start, "this `[[serves]]` fits no duty; name others, or take it out".to_string());
        }
        serves
    }

    fn stages(&mut self, file: &FormText<'_>, words: &[Spanned<String>]) -> Vec<Stage> {
        let mut stages = Vec::new();
        for word in words {
            match Stage::parse(word.get_ref()) {
                Some(stage) => stages.push(stage),
                None => {
                    let known = Stage::ALL.iter().map(|s| s.as_str());
                    self.unknown(file, word, "stage", known.collect());
                }
            }
        }
        stages
    }

    fn section(&mut self, file: &FormText<'_>, section: SectionFile) -> Section {
        let fields = section.field.into_iter().map(|field| self.field(file, field)).collect();
        let stages = self.stages(file, &section.stages);
        Section { title: section.title, stages, text: section.text, content: section.content, fields }
    }

    fn field(&mut self, file: &FormText<'_>, field: FieldFile) -> Field {
        let from = self.sources(file, &field.from);
        let kinds: Vec<FactType> = from.iter().flatten().filter_map(|key| self.kind(key)).collect();
        let wrong = |need: FactType| !kinds.is_empty() && !kinds.contains(&need);
        let mut complain = |what: &str, need: FactType| {
            let text = format!("`{what}` is for a fact of type `{}`, and no fact in `from` is one", need.as_str());
            self.fault(file, Some(field.label.span().start), text);
        };
        if !field.ranges.is_empty() && wrong(FactType::Count) {
            complain("ranges", FactType::Count);
        }
        if field.render == Render::Date && wrong(FactType::Instant) {
            complain("render = \"date\"", FactType::Instant);
        }
        if (field.yes.is_some() || field.no.is_some()) && wrong(FactType::YesNo) {
            complain("yes", FactType::YesNo);
        }
        Field {
            number: field.number,
            label: field.label.into_inner(),
            question: field.question,
            from,
            sentence: field.sentence,
            render: field.render,
            ranges: field.ranges,
            yes: field.yes,
            no: field.no,
            may_follow: field.may_follow,
            max_length: field.max_length,
            only: field.only,
        }
    }

    /// `a | b` is the first of them that is known.
    fn sources(&mut self, file: &FormText<'_>, from: &[Spanned<String>]) -> Vec<Vec<String>> {
        let mut parts = Vec::new();
        for part in from {
            let keys: Vec<String> = part.get_ref().split('|').map(|key| key.trim().to_string()).collect();
            let unknown: Vec<&String> = keys.iter().filter(|key| !self.is_source(key)).collect();
            for key in unknown {
                if file.strict || key.starts_with("own.") || key.is_empty() {
                    let own = OWN.iter().map(|(name, _)| *name);
                    let declared = self.catalogue.iter().map(|d| d.key.as_str());
                    let near = nearest_of(key, own.chain(declared));
                    let text = format!("no pack declares the fact `{key}`{}", did_you_mean(&near));
                    self.fault(file, Some(part.span().start), text);
                }
            }
            parts.push(keys);
        }
        parts
    }

    fn is_source(&self, key: &str) -> bool {
        match key.starts_with("own.") {
            true => OWN.iter().any(|(name, _)| *name == key),
            false => key == "affected.*" || self.catalogue.kind(key).is_some(),
        }
    }

    fn kind(&self, key: &str) -> Option<FactType> {
        if key == "affected.*" { Some(FactType::Count) } else { self.catalogue.kind(key) }
    }

    fn unknown(&mut self, file: &FormText<'_>, word: &Spanned<String>, what: &str, known: Vec<&str>) {
        let text = format!("`{}` is no {what}; it may be {}", word.get_ref(), known.join(", "));
        self.fault(file, Some(word.span().start), text);
    }
}

fn did_you_mean(near: &[&str]) -> String {
    if near.is_empty() {
        return String::new();
    }
    format!("; did you mean {}?", near.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(" or "))
}
