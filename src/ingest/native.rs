//! Our own report: `{ title, entity, facts, source, reference, attachments }`, as JSON or TOML.

use super::contract::contract;
use super::facts::{self, Reading};
use super::node::{Format, Kind, Node, parse};
use super::{Pointer, Rejection};
use crate::law::{Contract, Entity, Fact, nearest_of};
use crate::time::Zone;

/// Which entity a report is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntityRef {
    /// Id of a configured entity.
    Id(String),
    Inline(Box<Entity>),
    Unstated,
}

/// A file named by a report. Its bytes arrive separately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    pub name: String,
    pub sha256: Option<String>,
}

/// What somebody told us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub title: String,
    pub entity: EntityRef,
    pub facts: Vec<Fact>,
    pub source: Option<String>,
    pub reference: Option<String>,
    pub attachments: Vec<Attachment>,
}

/// A question about an incident that exists: what if these facts held?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppose {
    pub incident: String,
    pub facts: Vec<Fact>,
}

const MEMBERS: [&str; 6] = ["title", "entity", "facts", "source", "reference", "attachments"];
const TITLE_LIMIT: usize = 300;

/// Reads a report. `title_required` is false for `assess`, where facts alone make sense.
pub fn report(text: &str, reading: &Reading<'_>, title_required: bool) -> Result<Report, Vec<Rejection>> {
    let (node, format) = document(text)?;
    let mut rejections = Vec::new();
    let report = read(&node, format, reading, title_required, &mut rejections);
    if rejections.is_empty() { Ok(report) } else { Err(rejections) }
}

/// Reads `{ "incident": ID, "suppose": { … } }`; `None` when the document is no such question.
pub fn suppose(text: &str, reading: &Reading<'_>) -> Result<Option<Suppose>, Vec<Rejection>> {
    let (node, format) = document(text)?;
    let Some(incident) = node.member("incident") else { return Ok(None) };
    let mut rejections = Vec::new();
    let root = Pointer::root();
    for (name, member) in node.members().iter().filter(|(n, _)| n != "incident" && n != "suppose") {
        rejections.push(Rejection::at(
            &root.child(name),
            member,
            format!("`{name}` does not belong beside `incident`; use `suppose`"),
        ));
    }
    let id = incident.text().map(str::to_string);
    if id.is_none() {
        rejections.push(Rejection::at(
            &root.child("incident"),
            incident,
            "`incident` is the id of an incident".to_string(),
        ));
    }
    let facts = match node.member("suppose") {
        Some(table) => facts::read(table, &root.child("suppose"), format, reading, &mut rejections),
        None => Vec::new(),
    };
    if rejections.is_empty() { Ok(Some(Suppose { incident: id.unwrap_or_default(), facts })) } else { Err(rejections) }
}

/// Reads a bare table of facts, or `{ "facts": { … } }`.
pub fn facts_only(text: &str, reading: &Reading<'_>) -> Result<Vec<Fact>, Vec<Rejection>> {
    let (node, format) = document(text)?;
    let mut rejections = Vec::new();
    let root = Pointer::root();
    let facts = match node.member("facts") {
        Some(table) if node.members().len() == 1 => {
            facts::read(table, &root.child("facts"), format, reading, &mut rejections)
        }
        _ => facts::read(&node, &root, format, reading, &mut rejections),
    };
    if rejections.is_empty() { Ok(facts) } else { Err(rejections) }
}

/// Where a fact stands in a document that was read: its pointer, and its line where the format tells.
pub fn locate(text: &str, key: &str) -> (Pointer, Option<usize>) {
    fn within(table: &Node, pointer: &Pointer, key: &str) -> Option<(Pointer, Option<usize>)> {
        table.members().iter().find_map(|(name, node)| {
            let here = pointer.child(name);
            match key.strip_prefix(name.as_str()) {
                Some("") => Some((here, node.line)),
                Some(rest) => within(node, &here, rest.strip_prefix('.')?),
                None => None,
            }
        })
    }
    let root = Pointer::root();
    let Ok((node, _)) = document(text) else { return (root, None) };
    let tables = ["facts", "suppose"].into_iter().filter_map(|name| Some((node.member(name)?, root.child(name))));
    let found = tables.filter_map(|(table, pointer)| within(table, &pointer, key)).next();
    found.or_else(|| within(&node, &root, key)).unwrap_or((root, None))
}

fn document(text: &str) -> Result<(Node, Format), Vec<Rejection>> {
    let (node, format) =
        parse(text).map_err(|e| vec![Rejection { pointer: String::new(), line: Some(e.line), text: e.text }])?;
    match node.kind {
        Kind::Table(_) => Ok((node, format)),
        _ => Err(vec![Rejection::at(&Pointer::root(), &node, format!("the report is {}; give a table", node.what()))]),
    }
}

fn read(
    node: &Node,
    format: Format,
    reading: &Reading<'_>,
    title_required: bool,
    rejections: &mut Vec<Rejection>,
) -> Report {
    let root = Pointer::root();
    let mut report = Report {
        title: String::new(),
        entity: EntityRef::Unstated,
        facts: Vec::new(),
        source: None,
        reference: None,
        attachments: Vec::new(),
    };
    for (name, member) in node.members() {
        let here = root.child(name);
        match name.as_str() {
            "title" => match member.text().map(str::trim) {
                Some(title) if !title.is_empty() && title.chars().count() <= TITLE_LIMIT => {
                    report.title = title.to_string()
                }
                Some("") => rejections.push(Rejection::at(
                    &here,
                    member,
                    "`title` is empty; say in one line what happened".into(),
                )),
                Some(_) => rejections.push(Rejection::at(
                    &here,
                    member,
                    format!("`title` is longer than {TITLE_LIMIT} characters; keep it to one line"),
                )),
                None => {
                    rejections.push(Rejection::at(&here, member, format!("`title` is {}; give a text", member.what())))
                }
            },
            "entity" => report.entity = entity_ref(member, &here, rejections),
            "facts" => report.facts = facts::read(member, &here, format, reading, rejections),
            "source" => report.source = optional_text(name, member, &here, rejections),
            "reference" => report.reference = optional_text(name, member, &here, rejections),
            "attachments" => report.attachments = attachments(member, &here, rejections),
            other => {
                let near = nearest_of(other, MEMBERS.into_iter());
                let hint = match near.first() {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if reading.catalogue.kind(other).is_some() => {
                        format!("did you mean `facts` with `{other}` inside?")
                    }
                    None => format!("it may have {}", MEMBERS.join(", ")),
                };
                rejections.push(Rejection::at(&here, member, format!("`{other}` is not a member of a report; {hint}")));
            }
        }
    }
    if title_required && node.member("title").is_none() {
        rejections.push(Rejection::at(
            &root.child("title"),
            node,
            "`title` is missing; say in one line what happened".into(),
        ));
    }
    report
}

fn optional_text(name: &str, node: &Node, pointer: &Pointer, rejections: &mut Vec<Rejection>) -> Option<String> {
    match &node.kind {
        Kind::Null => None,
        Kind::Text(text) if !text.trim().is_empty() => Some(text.clone()),
        _ => {
            rejections.push(Rejection::at(
                pointer,
                node,
                format!("`{name}` is {}; give a text or leave it out", node.what()),
            ));
            None
        }
    }
}

fn attachments(node: &Node, pointer: &Pointer, rejections: &mut Vec<Rejection>) -> Vec<Attachment> {
    let Kind::List(items) = &node.kind else {
        rejections.push(Rejection::at(pointer, node, format!("`attachments` is {}; give a list", node.what())));
        return Vec::new();
    };
    let mut found = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let here = pointer.child(&at.to_string());
        let stray = item.members().iter().find(|(n, _)| n != "name" && n != "sha256");
        if let Some(hash) = item.member("sha256").filter(|hash| hash.kind != Kind::Null && hash.text().is_none()) {
            let text = format!("`sha256` is {}; give 64 hexadecimal digits, or leave it out", hash.what());
            rejections.push(Rejection::at(&here.child("sha256"), hash, text));
        }
        match (item.member("name").and_then(Node::text), stray) {
            (Some(name), None) => found.push(Attachment {
                name: name.to_string(),
                sha256: item.member("sha256").and_then(Node::text).map(str::to_string),
            }),
            _ => rejections.push(Rejection::at(
                &here,
                item,
                "an attachment has `name` and, when known, `sha256`; its bytes are sent to /attachments".into(),
            )),
        }
    }
    found
}

fn entity_ref(node: &Node, pointer: &Pointer, rejections: &mut Vec<Rejection>) -> EntityRef {
    match &node.kind {
        Kind::Null => EntityRef::Unstated,
        Kind::Text(id) => EntityRef::Id(id.clone()),
        Kind::Table(_) => EntityRef::Inline(Box::new(entity(node, pointer, rejections))),
        _ => {
            rejections.push(Rejection::at(
                pointer,
                node,
                format!("`entity` is {}; give an id or a table", node.what()),
            ));
            EntityRef::Unstated
        }
    }
}

/// Reads an entity table, in a report or in the configuration. Places and roles are checked by the caller against the rulebook.
pub fn entity(node: &Node, pointer: &Pointer, rejections: &mut Vec<Rejection>) -> Entity {
    const KNOWN: [&str; 11] = [
        "id",
        "name",
        "roles",
        "sectors",
        "established_in",
        "main_establishment",
        "operates_in",
        "zone",
        "contracts",
        "policies",
        "policy",
    ];
    let mut entity = Entity::default();
    for (name, member) in node.members() {
        let here = pointer.child(name);
        let text = |rejections: &mut Vec<Rejection>| optional_text(name, member, &here, rejections);
        match name.as_str() {
            "id" => entity.id = text(rejections),
            "name" => entity.name = text(rejections).unwrap_or_default(),
            "main_establishment" => entity.main_establishment = text(rejections),
            "policy" => entity.policy = text(rejections),
            "zone" => {
                if let Some(zone) = text(rejections) {
                    match Zone::named(&zone) {
                        Ok(zone) => entity.zone = Some(zone),
                        Err(error) => rejections.push(Rejection::at(&here, member, error.to_string())),
                    }
                }
            }
            "roles" => entity.roles = words(name, member, &here, rejections),
            "sectors" => entity.sectors = words(name, member, &here, rejections),
            "established_in" => entity.established_in = words(name, member, &here, rejections),
            "operates_in" => entity.operates_in = words(name, member, &here, rejections),
            "policies" => entity.policies = words(name, member, &here, rejections),
            "contracts" => entity.contracts = contracts(member, &here, rejections),
            other => {
                let near = nearest_of(other, KNOWN.into_iter());
                let hint = near
                    .first()
                    .map_or_else(|| format!("it may have {}", KNOWN.join(", ")), |n| format!("did you mean `{n}`?"));
                rejections.push(Rejection::at(
                    &here,
                    member,
                    format!("`{other}` is not a member of an entity; {hint}"),
                ));
            }
        }
    }
    if entity.name.is_empty() {
        entity.name = entity.id.clone().unwrap_or_else(|| "the entity".to_string());
    }
    entity
}

fn words(name: &str, node: &Node, pointer: &Pointer, rejections: &mut Vec<Rejection>) -> Vec<String> {
    let Kind::List(items) = &node.kind else {
        if node.kind != Kind::Null {
            rejections.push(Rejection::at(pointer, node, format!("`{name}` is {}; give a list of words", node.what())));
        }
        return Vec::new();
    };
    let mut words: Vec<String> = Vec::new();
    for (at, item) in items.iter().enumerate() {
        match item.text() {
            Some(word) if words.iter().any(|w| w == word) => {}
            Some(word) => words.push(word.to_string()),
            None => rejections.push(Rejection::at(
                &pointer.child(&at.to_string()),
                item,
                format!("`{name}` holds {}; give words", item.what()),
            )),
        }
    }
    words
}

fn contracts(node: &Node, pointer: &Pointer, rejections: &mut Vec<Rejection>) -> Vec<Contract> {
    let Kind::List(items) = &node.kind else {
        rejections.push(Rejection::at(pointer, node, format!("`contracts` is {}; give a list", node.what())));
        return Vec::new();
    };
    items.iter().enumerate().map(|(at, item)| contract(item, &pointer.child(&at.to_string()), rejections)).collect()
}
