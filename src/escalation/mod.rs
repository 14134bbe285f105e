//! Decisions about people: whom to remind of what, until somebody has it and the filing is proven.
//!
//! Absent here: clocks, I/O, rendering. `now` is an argument; nothing derived from it is stored.

mod compose;
mod decide;
mod delay;
mod digest;
mod directory;
mod lease;
mod message;
mod people;
mod policy;
pub mod readiness;
mod route;

pub use decide::{Decision, Subject, decide};
pub use delay::{NOTICE as DELAY_NOTICE, REASONS as REASONS_FOR_DELAY, Reasons};
pub use digest::{DueRun, due_run};
pub use directory::{Directory, Ladder};
pub use lease::lease_end;
pub use message::{
    Also, Ask, Asked, Brief, DeliveryState, Event, Extra, Message, Outcome, Quiet, Reason, Sent, Target, Told,
};
pub use people::{Group, Person, Rota, Shift};
pub use policy::{EscalationPolicy, QuietHours, Repeat, Step, StepAt, Waits, Who, duration};
pub use route::{Route, policy_for};
