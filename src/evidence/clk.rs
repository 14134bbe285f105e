//! Was the clock right? What the machine said of it when an entry was made: the last member, `clk`, of the bodies whose
//! time matters most.
//!
//! Absent: reading a clock. The daemon hands in what it knows; a program that runs on synthetic time knows nothing.

use super::Id;
use serde::Serialize;

/// Member order is part of the format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Clk {
    /// `synchronised`, `unsynchronised` or `unknown`, as a time service on the machine said when it was last asked.
    pub sync: &'static str,
    /// Who said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Id<'static>>,
    /// How far off the clock is at most, in microseconds, as its time service estimates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_us: Option<u64>,
    /// Which run of the machine: other entries with the same word were made in the same one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot: Option<Id<'static>>,
    /// Microseconds of that run, by a clock that nobody can set and that counts on while the machine sleeps: between two
    /// entries of one run it passes as the wall clock does, unless that was set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub up_us: Option<u64>,
}

impl Default for Clk {
    fn default() -> Clk {
        Clk { sync: "unknown", source: None, error_us: None, boot: None, up_us: None }
    }
}
