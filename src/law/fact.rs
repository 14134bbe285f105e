//! A fact is asserted by someone at a time and superseded by a later assertion; it is never edited.

use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// How sure the person asserting a fact was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Certainty {
    Suspected,
    Estimated,
    Confirmed,
}

impl Certainty {
    pub const ALL: [Certainty; 3] = [Certainty::Suspected, Certainty::Estimated, Certainty::Confirmed];

    /// The word used in reports and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Certainty::Suspected => "suspected",
            Certainty::Estimated => "estimated",
            Certainty::Confirmed => "confirmed",
        }
    }
}

super::schema_of_words!(Certainty);

/// A number of persons: exact when both bounds are equal, open above when `at_most` is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    pub at_least: u64,
    pub at_most: Option<u64>,
}

impl Count {
    pub const UNKNOWN: Count = Count { at_least: 0, at_most: None };

    pub fn exactly(n: u64) -> Count {
        Count { at_least: n, at_most: Some(n) }
    }

    /// The overlap of two statements about the same number; `None` when they contradict each other.
    pub fn intersect(self, other: Count) -> Option<Count> {
        let at_least = self.at_least.max(other.at_least);
        let at_most = match (self.at_most, other.at_most) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        match at_most {
            Some(most) if most < at_least => None,
            _ => Some(Count { at_least, at_most }),
        }
    }
}

/// A law-enforcement authority's request to delay notices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    pub from: Option<Timestamp>,
    pub until: Option<Timestamp>,
    pub by: String,
    pub written: bool,
}

/// What a fact says. `Instant` keeps the zone it was stated in, if one was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Value {
    YesNo(bool),
    Choice(String),
    Set(Vec<String>),
    Count(Count),
    Instant(Timestamp),
    Text(String),
    Hold(Hold),
}

/// The declared type of a fact key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FactType {
    YesNo,
    Choice,
    Set,
    Count,
    Instant,
    Text,
    Hold,
}

impl FactType {
    pub fn as_str(self) -> &'static str {
        match self {
            FactType::YesNo => "yes-no",
            FactType::Choice => "choice",
            FactType::Set => "set",
            FactType::Count => "count",
            FactType::Instant => "instant",
            FactType::Text => "text",
            FactType::Hold => "hold",
        }
    }

    pub fn parse(word: &str) -> Option<FactType> {
        use FactType::*;
        [YesNo, Choice, Set, Count, Instant, Text, Hold].into_iter().find(|t| t.as_str() == word)
    }
}

/// One assertion. `value: None` withdraws an earlier one: the fact is unknown again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    pub key: String,
    pub value: Option<Value>,
    pub certainty: Certainty,
    pub asserted_by: String,
    pub asserted_at: Timestamp,
    pub note: Option<String>,
}
