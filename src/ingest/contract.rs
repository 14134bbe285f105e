//! One contract as a table: inline in a report, in the configuration, or a row of a CSV. Read strictly, every fault named.

use super::node::{Kind, Node};
use super::{Pointer, Rejection};
use crate::law::{Contract, ContractPeriod, Direction, contract_trigger, nearest_of};
use crate::time::{CivilDate, Period, Unit};

/// What a contract may say, in the order of the register.
pub const CONTRACT_MEMBERS: [&str; 16] = [
    "id",
    "name",
    "direction",
    "duty",
    "starts",
    "period",
    "hours",
    "convention",
    "place",
    "address",
    "form",
    "clause",
    "citation",
    "ends",
    "notice_days_after_end",
    "assume_hours",
];

/// Members that are whole numbers; a CSV has no types of its own.
pub const CONTRACT_NUMBERS: [&str; 3] = ["hours", "notice_days_after_end", "assume_hours"];

/// Words people use for a member, and its name.
const OTHER_WORDS: [(&str, &str); 9] = [
    ("counterparty", "name"),
    ("trigger", "starts"),
    ("deadline", "period"),
    ("calendar", "place"),
    ("jurisdiction", "place"),
    ("email", "address"),
    ("text", "clause"),
    ("clause_text", "clause"),
    ("template", "duty"),
];

const LONGEST_TEXT: usize = 4000;
const MOST_HOURS: i128 = 8784;
const MOST_DAYS: i128 = 3660;

/// Reads one contract; a text alone is its id. What it names of the rule packs (template, convention, place) is checked by the caller.
pub fn contract(node: &Node, pointer: &Pointer, rejections: &mut Vec<Rejection>) -> Contract {
    let mut contract = Contract::named("");
    if node.text().is_some() {
        match id(node) {
            Ok(id) => return Contract::named(&id),
            Err(text) => rejections.push(Rejection::at(pointer, node, text)),
        }
        return contract;
    }
    let mut refuse = |name: &str, member: &Node, text: String| {
        rejections.push(Rejection::at(&pointer.child(name), member, text));
    };
    if !matches!(node.kind, Kind::Table(_)) {
        rejections.push(Rejection::at(pointer, node, format!("a contract is {}; give a table or an id", node.what())));
        return contract;
    }
    for (name, member) in node.members().iter().filter(|(_, member)| member.kind != Kind::Null) {
        if let Err(text) = read_member(&mut contract, name, member) {
            refuse(name, member, text);
        }
    }
    if let (Some(period), Some(hours)) = (node.member("period"), node.member("hours")) {
        let text = format!("`hours` is {} besides `period`; keep one", shown(hours));
        refuse("hours", period, text);
    }
    if contract.notice_days_after_end.is_some() && contract.ends.is_none() && node.member("ends").is_none() {
        refuse(
            "ends",
            node,
            "`notice_days_after_end` counts from `ends`, the last day of the policy period; add it".into(),
        );
    }
    if contract.id.is_empty() && node.member("id").is_none() {
        refuse("id", node, "a contract needs an `id`".to_string());
    }
    if contract.name.is_empty() {
        contract.name.clone_from(&contract.id);
    }
    contract
}

fn read_member(contract: &mut Contract, name: &str, member: &Node) -> Result<(), String> {
    match name {
        "id" => contract.id = id(member)?,
        "name" => contract.name = text(name, member)?,
        "direction" => contract.direction = direction(member)?,
        "duty" => contract.duty = Some(text(name, member)?),
        "starts" => contract.starts = Some(starts(member)?),
        "period" => contract.period = Some(period(member)?),
        "hours" => {
            let n = number(name, member, 1, MOST_HOURS)?;
            contract.period = Some(ContractPeriod::Within(Period { unit: Unit::Hour, n }));
        }
        "convention" => contract.convention = Some(text(name, member)?),
        "place" => contract.place = Some(text(name, member)?),
        "address" => contract.address = Some(text(name, member)?),
        "form" => contract.form = Some(text(name, member)?),
        "clause" => contract.clause = Some(text(name, member)?),
        "citation" => contract.citation = Some(text(name, member)?),
        "ends" => contract.ends = Some(date(name, member)?),
        "notice_days_after_end" => contract.notice_days_after_end = Some(number(name, member, 0, MOST_DAYS)?),
        "assume_hours" => contract.assume_hours = Some(number(name, member, 1, MOST_HOURS)?),
        other => return Err(stray_contract_member(other)),
    }
    Ok(())
}

/// Says which members there are, and the nearest one.
pub fn stray_contract_member(name: &str) -> String {
    let synonym = OTHER_WORDS.iter().find(|(word, _)| *word == name).map(|(_, member)| *member);
    let near = synonym.or_else(|| nearest_of(name, CONTRACT_MEMBERS.into_iter()).first().copied());
    let hint =
        near.map_or_else(|| format!("it has {}", CONTRACT_MEMBERS.join(", ")), |n| format!("did you mean `{n}`?"));
    format!("`{name}` is not a member of a contract; {hint}")
}

fn id(member: &Node) -> Result<String, String> {
    let id = text("id", member)?;
    // ids end the ids of obligations, `duty@contract`
    match id.chars().find(|c| matches!(c, '@' | '~' | '/') || c.is_control()) {
        Some(c) => Err(format!("`id` is `{}`; leave out `{}`", id.escape_debug(), c.escape_debug())),
        None => Ok(id),
    }
}

fn text(name: &str, member: &Node) -> Result<String, String> {
    let Some(text) = member.text() else { return Err(format!("`{name}` is {}; give a text", shown(member))) };
    let text = text.trim();
    match text.chars().count() {
        0 => Err(format!("`{name}` is empty; give a text or leave it out")),
        length if length > LONGEST_TEXT => {
            Err(format!("`{name}` is longer than {LONGEST_TEXT} characters; shorten it"))
        }
        _ => Ok(text.to_string()),
    }
}

fn direction(member: &Node) -> Result<Direction, String> {
    let word = text("direction", member)?;
    let words = Direction::ALL.iter().map(|d| format!("`{}`", d.as_str())).collect::<Vec<_>>().join(" or ");
    Direction::parse(&word).ok_or_else(|| format!("`direction` is `{word}`; it may be {words}"))
}

fn starts(member: &Node) -> Result<String, String> {
    let word = text("starts", member)?;
    contract_trigger(&word).map_err(|hint| format!("`starts` is `{word}`; {hint}"))
}

fn period(member: &Node) -> Result<ContractPeriod, String> {
    let Some(words) = member.text() else {
        return Err(format!("`period` is {}; give a text such as `24 hours`", shown(member)));
    };
    ContractPeriod::parse(words).map_err(|why| format!("`period` is `{words}`: {why}"))
}

fn number(name: &str, member: &Node, least: i128, most: i128) -> Result<u32, String> {
    match member.kind {
        Kind::Integer(n) if (least..=most).contains(&n) => Ok(n as u32),
        _ => Err(format!("`{name}` is {}; give a whole number from {least} to {most}", shown(member))),
    }
}

fn date(name: &str, member: &Node) -> Result<CivilDate, String> {
    let words =
        member.text().ok_or_else(|| format!("`{name}` is {}; give a date such as 2026-12-31", shown(member)))?;
    CivilDate::parse_from_str(words.trim(), "%Y-%m-%d")
        .map_err(|_| format!("`{name}` is `{words}`; give a date such as 2026-12-31"))
}

/// The user's own words where they are short, else what kind of thing it is.
fn shown(member: &Node) -> String {
    match &member.kind {
        Kind::Text(text) => format!("`{text}`"),
        Kind::Integer(n) => format!("`{n}`"),
        Kind::Fraction(n) => format!("`{n}`"),
        Kind::Bool(yes) => format!("`{yes}`"),
        _ => member.what().to_string(),
    }
}
