//! Bytes to [`Report`]: what somebody told us, checked, or refused whole with every fault named.
//!
//! Absent here: I/O, clocks, and any decision about what the facts mean.

mod contract;
mod facts;
pub mod ical;
pub mod mail_in;
mod native;
mod node;
pub mod tools;

pub use contract::{CONTRACT_MEMBERS, CONTRACT_NUMBERS, contract, stray_contract_member};
pub use facts::{Reading, instant, read};
pub use native::{Attachment, EntityRef, Report, Suppose, entity, facts_only, locate, report, suppose};
pub use node::{Format, Kind, Node, SyntaxError, json, parse, toml};

use std::fmt;

/// RFC 6901 pointer to a place in a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pointer(pub String);

impl Pointer {
    pub fn root() -> Pointer {
        Pointer::default()
    }

    pub fn child(&self, name: &str) -> Pointer {
        Pointer(format!("{}/{}", self.0, name.replace('~', "~0").replace('/', "~1")))
    }
}

/// One fault of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    pub pointer: String,
    /// 1-based, where the format tells.
    pub line: Option<usize>,
    pub text: String,
}

impl Rejection {
    pub fn at(pointer: &Pointer, node: &Node, text: String) -> Rejection {
        Rejection { pointer: pointer.0.clone(), line: node.line, text }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.pointer.is_empty() {
            write!(f, "{}: ", self.pointer)?;
        }
        f.write_str(&self.text)
    }
}
