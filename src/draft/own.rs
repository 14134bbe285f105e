//! What fills a field besides facts: the entity, the recipient, notices given before, the contact of the configuration.

use super::value::instant;
use super::words::Words;
use crate::law::{ContentItem, Delay, FactBook, Incident, Obligation, RecipientKind, Stage};
use crate::time::Timestamp;

/// Names of our own data, and what each is.
pub const OWN: &[(&str, &str)] = &[
    ("own.entity", "name of the entity"),
    ("own.sectors", "sectors of the entity"),
    ("own.roles", "roles of the entity"),
    ("own.established_in", "where the entity is established"),
    ("own.main_establishment", "its main establishment"),
    ("own.contact", "a person of the configuration with one of the form's roles"),
    ("own.title", "title of the incident"),
    ("own.incident", "id of the incident"),
    ("own.reference", "the incident's reference in another system"),
    ("own.recipient", "name of the recipient"),
    ("own.law", "the law and the provision"),
    ("own.stage", "stage of the notice"),
    ("own.today", "when the draft was made"),
    ("own.delay_reasons", "recorded reasons for a delay"),
    ("own.earlier_reference", "the recipient's reference of the earlier notice"),
    ("own.earlier_notice", "when the earlier notice was given"),
    ("own.told_individuals", "notices given to the people affected"),
    ("own.told_others", "notices given to others"),
];

/// Of these a change says nothing: they are another at each stage.
const PASSING: &[&str] = &["own.today", "own.stage", "own.law", "own.earlier_reference", "own.earlier_notice"];

pub(super) fn passes(key: &str) -> bool {
    PASSING.contains(&key)
}

/// Everything a draft is made of: one obligation of one incident, as things stood at one time.
#[derive(Clone)]
pub struct Case<'a> {
    pub incident: &'a Incident,
    /// The incident's, or what was known of them at an earlier time.
    pub facts: &'a FactBook,
    pub obligation: &'a Obligation,
    /// The duty's title, law, citation and content.
    pub title: &'a str,
    pub law: &'a str,
    pub citation: &'a str,
    pub content: &'a [ContentItem],
    pub stage: Stage,
    pub contact: Contact,
    pub delays: &'a [Delay],
    /// Notices of this incident given so far, in order.
    pub told: &'a [Told],
    pub now: Timestamp,
    /// What stands where a text was erased.
    pub erased: &'a str,
}

/// The contact person, as far as the caller may see one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contact {
    Person(String),
    Nobody,
    /// The caller's role does not see addresses of the configuration.
    Withheld,
}

/// A notice that was given.
#[derive(Clone, Debug)]
pub struct Told {
    /// Id inside the incident.
    pub obligation: String,
    pub title: String,
    pub recipient: RecipientKind,
    pub recipient_name: String,
    pub at: Timestamp,
    pub reference: Option<String>,
    /// It is the notice this one follows.
    pub is_earlier: bool,
}

/// Our own datum in words, or why there is none.
pub(super) fn own(case: &Case<'_>, key: &str, words: &Words) -> Result<String, String> {
    let entity = &case.incident.entity;
    let gap = || words.not_known.clone();
    let text = |text: &str| if text.is_empty() { Err(gap()) } else { Ok(text.to_string()) };
    let list = |items: &[String]| {
        let items: Vec<String> = items.iter().map(|item| words.value(item)).collect();
        text(&words.list(&items))
    };
    let earlier = || case.told.iter().rev().find(|told| told.is_earlier);
    let shown = match key {
        "own.entity" => text(&entity.name),
        "own.sectors" => list(&entity.sectors),
        "own.roles" => list(&entity.roles),
        "own.established_in" => text(&entity.establishments().collect::<Vec<_>>().join(", ")),
        "own.main_establishment" => text(entity.main_establishment.as_deref().unwrap_or_default()),
        "own.contact" => match &case.contact {
            Contact::Person(person) => Ok(person.clone()),
            Contact::Nobody => Err(gap()),
            Contact::Withheld => Err(words.withheld.clone()),
        },
        "own.title" => text(&case.incident.title),
        "own.incident" => text(&case.incident.id.0),
        "own.reference" => text(case.incident.reference.as_deref().unwrap_or_default()),
        "own.recipient" => text(&case.obligation.recipient_name),
        "own.law" => text(&format!("{}, {}", case.law, case.citation)),
        "own.stage" => text(&words.value(case.stage.as_str())),
        "own.today" => Ok(instant(case.now, case.obligation.zone, words)),
        "own.delay_reasons" => {
            let reasons: Vec<&str> = case.delays.iter().map(|d| d.reason.as_str()).collect();
            text(&reasons.join("\n"))
        }
        "own.earlier_reference" => {
            let mut named = case.told.iter().rev().filter(|told| told.is_earlier);
            text(named.find_map(|told| told.reference.as_deref()).unwrap_or_default())
        }
        "own.earlier_notice" => earlier().map(|told| instant(told.at, case.obligation.zone, words)).ok_or_else(gap),
        "own.told_individuals" => notices(case, words, is_people),
        "own.told_others" => notices(case, words, |kind| !is_people(kind)),
        _ => Err(gap()),
    };
    match shown {
        Ok(said) if said == case.erased => Err(words.erased.clone()),
        other => other,
    }
}

fn is_people(kind: RecipientKind) -> bool {
    matches!(kind, RecipientKind::Individuals | RecipientKind::Customers)
}

/// What was filed with recipients of a kind, apart from this obligation's own.
fn notices(case: &Case<'_>, words: &Words, which: impl Fn(RecipientKind) -> bool) -> Result<String, String> {
    let told = case.told.iter().filter(|t| which(t.recipient) && t.obligation != case.obligation.id && !t.is_earlier);
    let lines: Vec<String> = told
        .map(|t| {
            let at = instant(t.at, case.obligation.zone, words);
            let reference = t.reference.as_ref().map(|r| format!(" ({r})")).unwrap_or_default();
            format!("{}, {at}{reference}", t.recipient_name)
        })
        .collect();
    Ok(if lines.is_empty() { words.none_on_record.clone() } else { lines.join("\n") })
}
