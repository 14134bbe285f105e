//! What can be wrong with evidence handed to us. Texts say what to do next; users' words stand in backticks.

use std::fmt;

/// An input of the evidence layer that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EvidenceError {
    /// A log's name cannot stand in a checkpoint.
    Origin(String),
    /// A key file or verifier key cannot be read.
    Key(String),
    /// A checkpoint's text does not follow its format, or its signature is not the log's.
    Checkpoint(String),
    /// An export cannot be made from what was given.
    Export(String),
    /// A ZIP file cannot be read as a bundle.
    Zip(String),
}

impl fmt::Display for EvidenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EvidenceError::Origin(text)
            | EvidenceError::Key(text)
            | EvidenceError::Checkpoint(text)
            | EvidenceError::Export(text)
            | EvidenceError::Zip(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for EvidenceError {}
