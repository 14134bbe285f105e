//! Fact values as reports state them: plain, or wrapped with who says so and how sure they are.

use super::node::{Format, Kind, Node};
use super::{Pointer, Rejection};
use crate::law::{Certainty, Count, Fact, FactCatalogue, FactType, Hold, Value, nearest_of};
use crate::time::{Fold, Timestamp, Zone};

/// A trigger may be this much later than `now`: clocks of senders differ.
pub(super) const FUTURE_TOLERANCE_SECONDS: i64 = 300;

/// What reading facts needs to know besides the document.
pub struct Reading<'a> {
    pub catalogue: &'a FactCatalogue,
    pub now: Timestamp,
    /// Who asserts what the document does not attribute.
    pub by: &'a str,
}

/// Reads the table of facts, adding every rejection to `rejections`.
pub fn read(
    table: &Node,
    pointer: &Pointer,
    format: Format,
    reading: &Reading<'_>,
    rejections: &mut Vec<Rejection>,
) -> Vec<Fact> {
    let mut facts = Vec::new();
    if !matches!(table.kind, Kind::Table(_)) {
        rejections.push(Rejection::at(
            pointer,
            table,
            format!("`facts` is {}; give a table of keys and values", table.what()),
        ));
        return facts;
    }
    read_members("", table, pointer, format, reading, rejections, &mut facts);
    facts
}

fn read_members(
    prefix: &str,
    table: &Node,
    pointer: &Pointer,
    format: Format,
    reading: &Reading<'_>,
    rejections: &mut Vec<Rejection>,
    facts: &mut Vec<Fact>,
) {
    for (name, node) in table.members() {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let here = pointer.child(name);
        match reading.catalogue.kind(&key) {
            Some(kind) => match fact(&key, kind, node, &here, reading) {
                Ok(fact) => {
                    if facts.iter().any(|f: &Fact| f.key == key) {
                        rejections.push(Rejection::at(&here, node, format!("`{key}` is given twice; keep one")));
                    } else {
                        facts.push(fact);
                    }
                }
                Err(rejection) => rejections.push(rejection),
            },
            // TOML tables flatten to dotted keys; a table with `value` is a wrapper around an unknown key
            None if format == Format::Toml && matches!(node.kind, Kind::Table(_)) && node.member("value").is_none() => {
                read_members(&key, node, &here, format, reading, rejections, facts);
            }
            None => {
                let near = reading.catalogue.nearest(&key);
                let hint = if near.is_empty() {
                    "; `breachclock law list` shows what is asked".to_string()
                } else {
                    format!(
                        "; did you mean {}?",
                        near.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(" or ")
                    )
                };
                rejections.push(Rejection::at(&here, node, format!("no fact has the key `{key}`{hint}")));
            }
        }
    }
}

fn fact(key: &str, kind: FactType, node: &Node, pointer: &Pointer, reading: &Reading<'_>) -> Result<Fact, Rejection> {
    let (value_node, wrapper) = match node.member("value") {
        Some(value) => (value, Some(node)),
        None => (node, None),
    };
    let mut fact = Fact {
        key: key.to_string(),
        value: None,
        certainty: Certainty::Confirmed,
        asserted_by: reading.by.to_string(),
        asserted_at: reading.now,
        note: None,
    };
    let mut zone = None;
    if let Some(wrapper) = wrapper {
        for (name, member) in wrapper.members() {
            let here = pointer.child(name);
            let text = || {
                member
                    .text()
                    .ok_or_else(|| Rejection::at(&here, member, format!("`{name}` is {}; give a text", member.what())))
            };
            match name.as_str() {
                "value" => {}
                "zone" => zone = Some(Zone::named(text()?).map_err(|e| Rejection::at(&here, member, e.to_string()))?),
                "certainty" => {
                    let word = text()?;
                    fact.certainty = Certainty::ALL.into_iter().find(|c| c.as_str() == word).ok_or_else(|| {
                        let text =
                            format!("`certainty` is `{word}`; it may be `suspected`, `estimated` or `confirmed`");
                        Rejection::at(&here, member, text)
                    })?;
                }
                "by" => fact.asserted_by = text()?.to_string(),
                "at" => fact.asserted_at = instant(text()?, None).map_err(|e| Rejection::at(&here, member, e))?,
                "note" => fact.note = Some(text()?.to_string()),
                other => {
                    let text = format!(
                        "`{other}` is not a member of a fact; it may have value, zone, certainty, by, at, note"
                    );
                    return Err(Rejection::at(&here, member, text));
                }
            }
        }
    }
    let here = if wrapper.is_some() { pointer.child("value") } else { pointer.clone() };
    fact.value = value(key, kind, value_node, zone, &here, reading)?;
    Ok(fact)
}

fn value(
    key: &str,
    kind: FactType,
    node: &Node,
    zone: Option<Zone>,
    pointer: &Pointer,
    reading: &Reading<'_>,
) -> Result<Option<Value>, Rejection> {
    let reject = |text: String| Err(Rejection::at(pointer, node, text));
    if node.kind == Kind::Null {
        return Ok(None);
    }
    let declared = reading.catalogue.get(key).map(|d| d.values.as_slice()).unwrap_or_default();
    let allowed = |word: &str| -> Result<(), String> {
        if declared.is_empty() || declared.iter().any(|d| d == word) {
            return Ok(());
        }
        let near = nearest_of(word, declared.iter().map(String::as_str));
        let hint = near.first().map_or(String::new(), |n| format!(" (did you mean `{n}`?)"));
        Err(format!(
            "`{key}` cannot be `{word}`{hint}; it may be {}",
            declared.iter().map(|d| format!("`{d}`")).collect::<Vec<_>>().join(", ")
        ))
    };
    Ok(Some(match (kind, &node.kind) {
        (FactType::YesNo, Kind::Bool(yes)) => Value::YesNo(*yes),
        (FactType::YesNo, _) => {
            return reject(format!("`{key}` is {}; give true or false, or leave it out when unknown", node.what()));
        }
        (FactType::Choice, Kind::Text(word)) => match allowed(word) {
            Ok(()) => Value::Choice(word.clone()),
            Err(text) => return reject(text),
        },
        (FactType::Choice, _) => return reject(format!("`{key}` is {}; give one of its words", node.what())),
        (FactType::Text, Kind::Text(text)) if !text.trim().is_empty() => Value::Text(text.clone()),
        (FactType::Text, _) => return reject(format!("`{key}` needs a text")),
        (FactType::Set, Kind::List(items)) => {
            let mut words: Vec<String> = Vec::with_capacity(items.len());
            for (at, item) in items.iter().enumerate() {
                let here = pointer.child(&at.to_string());
                let Some(word) = item.text() else {
                    return Err(Rejection::at(
                        &here,
                        item,
                        format!("`{key}` holds {}; give a list of words", item.what()),
                    ));
                };
                allowed(word).map_err(|text| Rejection::at(&here, item, text))?;
                if !words.iter().any(|w| w == word) {
                    words.push(word.to_string());
                }
            }
            Value::Set(words)
        }
        (FactType::Set, _) => return reject(format!("`{key}` is {}; give a list of words", node.what())),
        (FactType::Count, _) => Value::Count(count(key, node, pointer)?),
        (FactType::Instant, Kind::Text(text)) => {
            let at = instant(text, zone).or_else(|error| reject_instant(pointer, node, key, error))?;
            let may_be_ahead =
                key.starts_with("times.due.") || reading.catalogue.get(key).is_some_and(|d| d.may_be_ahead);
            if !may_be_ahead && (at - reading.now).num_seconds() > FUTURE_TOLERANCE_SECONDS {
                return reject(format!(
                    "`{key}` is `{text}`, later than now ({}): a clock cannot start in the future; check the date, the year and the offset",
                    reading.now.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
                ));
            }
            Value::Instant(at)
        }
        (FactType::Instant, _) => {
            return reject(format!("`{key}` is {}; give an instant such as `2026-03-27T16:20:00+01:00`", node.what()));
        }
        (FactType::Hold, Kind::Table(_)) => Value::Hold(hold(key, node, zone, pointer)?),
        (FactType::Hold, _) => {
            return reject(format!("`{key}` is {}; give a table with from, until, by, written", node.what()));
        }
    }))
}

fn reject_instant(pointer: &Pointer, node: &Node, key: &str, error: String) -> Result<Timestamp, Rejection> {
    Err(Rejection::at(pointer, node, format!("`{key}`: {error}")))
}

fn count(key: &str, node: &Node, pointer: &Pointer) -> Result<Count, Rejection> {
    let whole = |node: &Node, pointer: &Pointer| -> Result<u64, Rejection> {
        match node.kind {
            Kind::Integer(n) => u64::try_from(n).map_err(|_| {
                Rejection::at(pointer, node, format!("`{key}` is `{n}`; a number of persons is zero or more"))
            }),
            _ => Err(Rejection::at(pointer, node, format!("`{key}` is {}; give a whole number", node.what()))),
        }
    };
    let Kind::Table(members) = &node.kind else {
        return whole(node, pointer).map(Count::exactly);
    };
    let mut bounds = Count::UNKNOWN;
    for (name, member) in members {
        let here = pointer.child(name);
        match name.as_str() {
            "at_least" => bounds.at_least = whole(member, &here)?,
            "at_most" => bounds.at_most = Some(whole(member, &here)?),
            other => {
                let text = format!("`{other}` is not a member of a count; it has at_least, at_most or both");
                return Err(Rejection::at(&here, member, text));
            }
        }
    }
    if members.is_empty() {
        return Err(Rejection::at(pointer, node, format!("`{key}` is an empty table; give at_least, at_most or both")));
    }
    if bounds.at_most.is_some_and(|most| most < bounds.at_least) {
        return Err(Rejection::at(pointer, node, format!("`{key}` has at_least above at_most")));
    }
    Ok(bounds)
}

fn hold(key: &str, node: &Node, zone: Option<Zone>, pointer: &Pointer) -> Result<Hold, Rejection> {
    let mut hold = Hold { from: None, until: None, by: String::new(), written: false };
    for (name, member) in node.members() {
        let here = pointer.child(name);
        let when = || match &member.kind {
            Kind::Null => Ok(None),
            Kind::Text(text) => {
                instant(text, zone).map(Some).map_err(|e| Rejection::at(&here, member, format!("`{name}`: {e}")))
            }
            _ => Err(Rejection::at(&here, member, format!("`{name}` is {}; give an instant", member.what()))),
        };
        match (name.as_str(), &member.kind) {
            ("from", _) => hold.from = when()?,
            ("until", _) => hold.until = when()?,
            ("by", Kind::Text(by)) => hold.by = by.clone(),
            ("written", Kind::Bool(written)) => hold.written = *written,
            ("by", _) => return Err(Rejection::at(&here, member, "`by` names the authority that asked".to_string())),
            ("written", _) => return Err(Rejection::at(&here, member, "`written` is true or false".to_string())),
            (other, _) => {
                return Err(Rejection::at(
                    &here,
                    member,
                    format!("`{other}` is not a member of a hold; it has from, until, by, written"),
                ));
            }
        }
    }
    if hold.by.trim().is_empty() {
        return Err(Rejection::at(pointer, node, format!("`{key}` needs `by`: which authority asked for the delay")));
    }
    if let (Some(from), Some(until)) = (hold.from, hold.until)
        && until <= from
    {
        return Err(Rejection::at(pointer, node, format!("`{key}` ends before it begins")));
    }
    Ok(hold)
}

/// RFC 3339 with an offset; or a civil time, with the zone it was read in.
pub fn instant(text: &str, zone: Option<Zone>) -> Result<Timestamp, String> {
    if let Ok(at) = chrono::DateTime::parse_from_rfc3339(text) {
        return Ok(at.with_timezone(&chrono::Utc));
    }
    let civil = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M"]
        .iter()
        .find_map(|form| chrono::NaiveDateTime::parse_from_str(text, form).ok());
    match (civil, zone) {
        (Some(civil), Some(zone)) => zone.resolve(civil, Fold::Strict).map_err(|e| e.to_string()),
        (Some(_), None) => Err(format!(
            "`{text}` has no offset; write it as `{text}+01:00` or `{text}Z`, or wrap it: {{ \"value\": \"{text}\", \"zone\": \"Europe/Paris\" }}"
        )),
        (None, _) => Err(format!("`{text}` is not an instant; write it like `2026-03-27T16:20:00+01:00`")),
    }
}
