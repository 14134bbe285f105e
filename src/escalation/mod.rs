//! Decisions about people: whom to remind of what, until somebody has it and the filing is proven.
//!
//! Absent here: clocks, I/O, rendering. `now` is an argument; nothing derived from it is stored.

mod decide;
mod digest;
mod directory;
mod message;
mod policy;

pub use decide::{Decision, Subject, decide};
pub use digest::{DueRun, due_run};
pub use directory::Directory;
pub use message::{Also, Brief, DeliveryState, Event, Message, Outcome, Reason, Sent, Target, Told};
pub use policy::{EscalationPolicy, Person, Rota, Step, StepAt, Who, duration};
