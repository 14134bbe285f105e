//! The nouns: what happened, what somebody asserted about it, what the law asks, until when.
//!
//! Absent here: clocks, files, formats other than derives of serde and schemas, decisions. `rules` decides what a duty makes of an
//! incident, `escalation` whom to remind, `workflow` what is stored.

mod catalogue;
mod contract;
mod deadline;
mod duty;
mod entity;
mod fact;
mod incident;
mod notification;
mod obligation;

pub use catalogue::{FactCatalogue, FactDeclaration, nearest_of};
pub use contract::{Contract, ContractPeriod, Direction, THEIR_NOTICE, THEIR_TRIGGER, contract_trigger};
pub use deadline::{Deadline, DisputedReading, Started};
pub use duty::{
    Binding, CalendarSpan, Combination, Confidence, ContentItem, Duty, DutyId, DutyPeriod, DutyStatus, HoldRule, Order,
    Reach, RecipientKind, Recipients, Relative, Stage, Trigger,
};
pub use entity::Entity;
pub use fact::{Certainty, Count, Fact, FactType, Hold, Value};
pub use incident::{FactBook, Incident, IncidentId};
pub use notification::{Acknowledgement, Act, Delay, Filing, Waiver};
pub use obligation::{Channel, Obligation, Phase, Standing};

/// In answers an enum is one of its words.
macro_rules! schema_of_words {
    ($name:ident) => {
        $crate::law::schema_of_words!($name, $name::ALL.iter().map(|each| each.as_str()));
    };
    ($name:ident, $words:expr) => {
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let words: Vec<&str> = $words.collect();
                schemars::json_schema!({ "type": "string", "enum": words })
            }
        }
    };
}
pub(crate) use schema_of_words;

/// A place a law speaks of: ISO 3166-1 alpha-2 (`FR`), ISO 3166-2 (`US-CA`), or the id of a group (`EEA`, `CONTRACT`).
pub type Place = String;
