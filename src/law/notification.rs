//! What people did about an obligation: the statutory act, a decision against it, an acknowledgement.
//! Messages to our own people are not notifications; see `escalation::Message`.

use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The statutory act towards one recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filing {
    pub at: Timestamp,
    pub by: String,
    pub recorded_at: Timestamp,
    pub reference: Option<String>,
    /// SHA-256 of the proof that was handed in, when one was.
    pub proof: Option<[u8; 32]>,
    pub complete: bool,
    pub note: Option<String>,
}

/// A decision that the duty does not arise. Pending until the second approver agrees; the clock runs meanwhile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiver {
    pub reason: String,
    pub by: String,
    pub at: Timestamp,
    pub second_approver: Option<String>,
    pub approved_at: Option<Timestamp>,
    pub review_on: Option<String>,
    pub reopen_when: Vec<String>,
}

/// Someone has it until `until`; silences reminders meanwhile, ends nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    pub by: String,
    pub role: Option<String>,
    pub at: Timestamp,
    pub until: Timestamp,
}

/// Reasons for a late notice, as the law asks for them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delay {
    pub reason: String,
    pub by: String,
    pub at: Timestamp,
}

/// Everything people did about one obligation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    pub acknowledgements: Vec<Acknowledgement>,
    pub declined: Vec<(String, Timestamp)>,
    pub filings: Vec<Filing>,
    pub waiver: Option<Waiver>,
    pub delays: Vec<Delay>,
}

impl Act {
    /// Who has it at `now`: the latest lease that has not ended.
    pub fn holder(&self, now: Timestamp) -> Option<&Acknowledgement> {
        self.acknowledgements.iter().rev().find(|ack| ack.until > now)
    }
}
