//! The schemas of what is answered, as the types say it.

use crate::ingest::tools::Tool;
use crate::web::answers::{
    CreatedToken, Entries, Invited, Items, Me, Numbers, PersonalFields, Readiness, Revoked, TokenView,
};
use crate::web::error::Problem;
use crate::workflow::erase::{Erased, HoldView, Withheld};
use crate::workflow::export::Preview;
use crate::workflow::log::LogProof;
use crate::workflow::{
    AccountView, AckOffer, Assessed, Attached, AttachmentKind, AttachmentView, BreachStatus, Changed, DecisionView,
    Drafted, IncidentSummary, ObligationView, Page, Register, RegisterFormat, Reported, Role, StatusView, TimelineItem,
    calendar, inbound, ingest,
};
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Pages whose names are not those of what they hold.
const PAGES: [(&str, &str); 2] = [("IncidentSummaryPage", "IncidentPage"), ("TimelineItemPage", "Timeline")];

/// Every schema by its name: of the answers, of what stands in them, and of the words that requests share with them.
pub fn shapes() -> BTreeMap<String, Value> {
    let settings = SchemaSettings::draft2020_12()
        .for_serialize()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .with_transform(RecursiveTransform(plain));
    let mut generator = settings.into_generator();
    macro_rules! know {
        ($($shape:ty),+ $(,)?) => { $(generator.subschema_for::<$shape>();)+ };
    }
    know!(
        AckOffer,
        Assessed,
        Attached,
        AttachmentKind,
        BreachStatus,
        Changed,
        CreatedToken,
        Drafted,
        Entries,
        Erased,
        HoldView,
        Invited,
        Items<ingest::Ingested>,
        LogProof,
        Me,
        Numbers,
        Page<AccountView>,
        Page<AttachmentView>,
        Page<DecisionView>,
        Page<IncidentSummary>,
        Page<ObligationView>,
        Page<TimelineItem>,
        Page<TokenView>,
        PersonalFields,
        Preview,
        Problem,
        Readiness,
        Register<'static>,
        RegisterFormat,
        Reported,
        Revoked,
        Role,
        StatusView,
        Tool,
        Withheld,
        calendar::Subscription,
        inbound::Received,
    );
    let mut shapes: BTreeMap<String, Value> = generator.take_definitions(true).into_iter().collect();
    for (from, to) in PAGES {
        let page = shapes.remove(from).expect("the page is known above");
        shapes.insert(to.into(), page);
    }
    shapes
}

/// Widths as OpenAPI names them; descriptions first, and without the line breaks of the source.
fn plain(schema: &mut Schema) {
    if let Some(Value::String(format)) = schema.get_mut("format") {
        match format.as_str() {
            "uint8" | "uint16" => *format = "int32".into(),
            "uint" | "uint32" | "uint64" => *format = "int64".into(),
            _ => {}
        }
    }
    let Some(members) = schema.as_object_mut() else { return };
    if let Some(Value::String(text)) = members.shift_remove("description") {
        members.shift_insert(0, "description".into(), text.replace('\n', " ").into());
    }
}

/// Stands for an entry, which is answered as it was written.
pub enum Entry {}

impl JsonSchema for Entry {
    fn schema_name() -> Cow<'static, str> {
        "Entry".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An evidence entry, parsed; `idx`, `sha256` and `leaf_hash` are added. The bundle has the exact bytes.",
            "type": "object",
            "properties": {
                "idx": { "type": "integer", "format": "int64", "minimum": 0 },
                "sha256": { "type": "string" },
                "leaf_hash": { "type": "string" },
            },
            "required": ["idx", "sha256", "leaf_hash"],
            "additionalProperties": true,
        })
    }
}
