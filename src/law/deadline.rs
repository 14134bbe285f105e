//! A deadline carries its derivation: no date without the way it was found.

use super::Certainty;
use crate::time::{Step, Timestamp};

/// The instant that started a clock, and how sure we are of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    pub key: String,
    pub at: Timestamp,
    pub certainty: Certainty,
    pub by: String,
}

/// One instant a disputed reading leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisputedReading {
    pub id: String,
    pub text: String,
    pub due: Timestamp,
}

/// Both instants are exclusive: the first at which it is too late. `conservative_due <= due`.
#[derive(Clone, Debug)]
pub struct Deadline {
    pub due: Timestamp,
    pub conservative_due: Timestamp,
    pub counting_from: Timestamp,
    pub steps: Vec<Step>,
    pub contested: Vec<DisputedReading>,
    /// A calendar was asked beyond what is announced, or over an estimated day.
    pub uncertain: bool,
}
