//! The nouns: what happened, what somebody asserted about it, what the law asks, until when.
//!
//! Absent here: clocks, files, formats other than serde derives, decisions. `rules` decides what a duty makes of an
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

/// A place a law speaks of: ISO 3166-1 alpha-2 (`FR`), ISO 3166-2 (`US-CA`), or the id of a group (`EEA`, `CONTRACT`).
pub type Place = String;
