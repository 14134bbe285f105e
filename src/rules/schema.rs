//! JSON Schema of packs and worked cases, for editors that complete and check TOML while one types.
//!
//! The words come from the same enums that `load` reads; what only `load` can decide (do the references exist, do the keys
//! have the right type) is not here.

use crate::law::{Binding, Confidence, DutyStatus, FactType, HoldRule, Order, Reach, RecipientKind, Recipients, Stage};
use serde_json::{Map, Value, json};

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Schema of `<cc>/<instrument>.toml`.
pub fn pack_schema() -> Value {
    json!({
        "$schema": DIALECT,
        "title": "breachclock rule pack",
        "type": "object",
        "additionalProperties": false,
        "required": ["instrument"],
        "properties": {
            "instrument": instrument(),
            "fact": list(fact()),
            "role": list(role()),
            "duty": list(duty()),
        },
        "$defs": { "clause": clause() },
    })
}

/// Schema of `<cc>/<instrument>.cases.toml`.
pub fn cases_schema() -> Value {
    let instant = json!({ "type": "string", "description": "RFC 3339 with an offset" });
    let want = object(
        &["duty"],
        json!({
            "duty": text("id of the duty"),
            "place": text("jurisdiction of the obligation; may be left out when there is one"),
            "standing": { "enum": ["running", "awaiting", "possible", "discharged", "waived", "not-applicable"] },
            "due": instant, "conservative_due": instant, "projected_due": instant,
            "internal_target": instant,
            "missing": { "type": "array", "items": { "type": "string" } },
            "claimable": { "type": "array", "items": { "type": "string" } },
            "unverified": { "type": "boolean" }, "promptly": { "type": "boolean" },
            "no_due": { "type": "boolean" }, "held": { "type": "boolean" },
            "binding": words(Binding::ALL.iter().map(|v| v.as_str())),
            "period": text("the period that was counted, such as `30 days`"),
            "recipient_name": { "type": "string" },
            "content": text("words some content item must hold"),
            "why": { "type": "string" },
        }),
    );
    let owed = object(
        &["contract"],
        json!({
            "contract": text("id of a contract under which the counterparty owes us notice"),
            "standing": { "enum": ["awaited", "late", "received"] },
            "due": instant,
        }),
    );
    let case = object(
        &["name", "now", "want"],
        json!({
            "name": { "type": "string" },
            "why": text("reasoning and source"),
            "trap": { "type": "array", "items": { "type": "string" }, "description": "mistakes this case would catch" },
            "now": instant,
            "entity": { "type": "object" },
            "facts": { "type": "object" },
            "then": { "type": "array", "items": { "type": "object" }, "description": "later assertions" },
            "include_proposed": { "type": "boolean" },
            "want": list(want),
            "they_owe": list(owed),
        }),
    );
    json!({
        "$schema": DIALECT,
        "title": "breachclock worked cases",
        "type": "object",
        "additionalProperties": false,
        "properties": { "case": list(case) },
    })
}

fn instrument() -> Value {
    object(
        &["id", "title", "jurisdiction"],
        json!({
            "id": { "type": "string" }, "title": { "type": "string" }, "law": { "type": "string" },
            "jurisdiction": text("place or region the instrument belongs to"),
            "reviewed": date("when somebody last compared the pack with the law"),
            "region": text("group of places it covers; absent: the jurisdiction itself"),
            "reach": words(Reach::ALL.iter().map(|v| v.as_str())),
            "regime": text("key into authorities/*.toml"),
            "recipients": words(Recipients::ALL.iter().map(|v| v.as_str())),
            "binding": words(Binding::ALL.iter().map(|v| v.as_str())),
            "notes": { "type": "string" },
        }),
    )
}

fn fact() -> Value {
    use FactType::*;
    let kinds = [YesNo, Choice, Set, Count, Instant, Text, Hold];
    object(
        &["key", "type", "question"],
        json!({
            "key": { "type": "string" },
            "type": words(kinds.iter().map(|k| k.as_str())),
            "values": { "type": "array", "items": { "type": "string" } },
            "question": text("as a person is asked"),
            "may_be_ahead": { "type": "boolean", "description": "an instant that may lie ahead of now; no clock starts from it" },
        }),
    )
}

fn role() -> Value {
    object(
        &["id", "question"],
        json!({
            "id": { "type": "string" },
            "refines": text("the wider role: an entity that states only that one is asked"),
            "question": { "type": "string" },
        }),
    )
}

fn duty() -> Value {
    let clause = json!({ "$ref": "#/$defs/clause" });
    let parts = [
        json!({
            "id": text("stable; never reused for another duty"),
            "title": text("a few words, used in headings and mails"),
            "law": { "type": "string" }, "jurisdiction": { "type": "string" }, "region": { "type": "string" },
            "reach": words(Reach::ALL.iter().map(|v| v.as_str())),
            "regime": { "type": "string" },
            "roles": { "type": "array", "items": { "type": "string" }, "description": "any of" },
            "recipient": words(RecipientKind::ALL.iter().map(|v| v.as_str())),
            "recipient_name": { "type": "string" },
            "recipients": words(Recipients::ALL.iter().map(|v| v.as_str())),
            "stage": words(Stage::ALL.iter().map(|v| v.as_str())),
            "starts": {
                "type": "string",
                "description": "the instant that starts the clock",
                "pattern": "^(times\\.[a-z0-9_.-]+|(filed|filed-last|due):.+|requested|calendar-year-end|calendar-quarter-end|contract)$",
            },
            "year_of": text("with a calendar end: the instant fact whose year or quarter it is"),
            "conservative_starts": text("a second instant fact from which the careful limit is counted too"),
            "when": clause, "unless": clause, "open_while": clause,
            "min_affected": { "type": "integer", "minimum": 0, "description": "\"more than 500\" is 501" },
        }),
        json!({
            "period": list(period(true)),
            "combine": { "type": "string", "pattern": "^(earliest-of|latest-of|same-clock-as):.+$" },
            "relative": object(&["order", "to"], json!({
                "order": words(Order::ALL.iter().map(|v| v.as_str())),
                "to": text("ids joined by ` | `: whichever was performed"),
            })),
            "replaces": text("the directive's row this one stands for in its place"),
            "baseline": { "type": "boolean" },
            "citation": { "type": "string", "minLength": 1 },
            "source_url": { "type": "string" },
            "no_url": text("why there is no `source_url`"),
            "status": words(DutyStatus::ALL.iter().map(|v| v.as_str())),
            "confidence": words(Confidence::ALL.iter().map(|v| v.as_str())),
            "binding": words(Binding::ALL.iter().map(|v| v.as_str())),
            "basis": text("what the recorder read"),
            "notes": { "type": "string" }, "delay": { "type": "string" },
            "delay_notice": text("duty by which the recipient is told, before the limit, that it will be missed"),
            "hold": words(HoldRule::ALL.iter().map(|v| v.as_str())),
            "oral_hold_days": { "type": "integer", "minimum": 1 },
            "written_hold_days": { "type": "integer", "minimum": 1 },
            "after_hold": period(false),
            "after_hold_only_past": { "type": "boolean" },
            "content": { "type": "array", "items": { "anyOf": [
                { "type": "string" },
                object(&["item"], json!({
                    "item": { "type": "string" },
                    "from": { "type": "array", "items": { "type": "string" } },
                    "may_follow": { "type": "boolean" },
                })),
            ] } },
            "reviewed": date("when somebody last compared this row with the law"),
        }),
    ];
    let properties: Map<String, Value> =
        parts.iter().filter_map(Value::as_object).flatten().map(|(key, value)| (key.clone(), value.clone())).collect();
    let required = ["id", "title", "recipient", "recipient_name", "stage", "citation", "status", "confidence"];
    object(&required, Value::Object(properties))
}

/// A dated text, or the amount that begins when a hold ends.
fn period(dated: bool) -> Value {
    let units = ["minutes", "hours", "working_hours", "days", "working_days", "weeks", "months", "years"];
    let mut properties: Map<String, Value> =
        units.iter().map(|unit| (unit.to_string(), json!({ "type": "integer", "minimum": 0 }))).collect();
    properties.insert("convention".into(), text("a row of conventions*.toml; needed with a number"));
    if dated {
        properties.insert("from".into(), date("first day of the text"));
        properties.insert("until".into(), date("its last day"));
        properties.insert("undated".into(), json!({ "type": "boolean" }));
        properties.insert("when".into(), json!({ "$ref": "#/$defs/clause" }));
        properties.insert("target".into(), json!({ "type": "integer", "minimum": 0 }));
        properties.insert("promptly".into(), text("the open norm in the text's words"));
    }
    object(&[], Value::Object(properties))
}

fn clause() -> Value {
    let group = json!({ "type": "array", "items": { "$ref": "#/$defs/clause" } });
    json!({ "anyOf": [
        { "type": "string", "description": "one line, e.g. `affected > 500` or `times.aware before 2026-07-01`" },
        { "type": "array", "items": { "$ref": "#/$defs/clause" }, "description": "all of these" },
        object(&[], json!({ "all": group, "any": group, "none": group })),
    ] })
}

fn object(required: &[&str], properties: Value) -> Value {
    json!({ "type": "object", "additionalProperties": false, "required": required, "properties": properties })
}

fn list(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

fn text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

fn date(description: &str) -> Value {
    json!({ "description": format!("a date such as 2026-11-23: {description}") })
}

fn words<'a>(words: impl Iterator<Item = &'a str>) -> Value {
    json!({ "enum": words.collect::<Vec<_>>() })
}
