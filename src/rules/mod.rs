//! Rule packs as text in, plans and explanations out. Pure functions over `law`.
//!
//! Absent here: any jurisdiction's name, clocks, files. The law is data under `jurisdictions/`.

mod answer;
mod archive;
mod ask;
mod book;
mod builtin;
mod clock;
mod compare;
mod compose;
mod condition;
mod contract;
mod counts;
mod coverage;
mod depend;
mod follow_up;
mod hold;
mod lint;
mod listing;
mod load;
mod names;
mod pack;
mod places;
mod plan;
mod questions;
mod reach;
mod remark;
mod roles;
mod schema;
mod texts;
mod trigger;
mod vary;

pub use answer::{
    Answer, Content, MightAppear, NotCovered, ObligationAnswer, RulebookName, Unsigned, Warning, due_label, hex,
    iso_duration, utc,
};
pub use archive::{archive, builtin_text, is_builtin, lacking, restore};
pub use book::{Authority, ConventionRecord, PackRecord, Rulebook};
pub use builtin::{builtin, builtin_files, builtin_packs};
pub use compare::{
    Dates, Drift, DutyChange, FieldChange, Limits, Seen, Shift, compare_books, compare_plans, compare_seen, limits_of,
    moves_later,
};
pub use condition::{Condition, Truth};
pub use contract::{OWN_CLAUSE, OwedAnswer, OwedToUs, contract_faults};
pub use coverage::{CoverageRow, InstrumentRow};
pub use lint::{EntityFault, contract_fact_faults, entity_faults, lint};
pub use listing::{DutyListing, Listing, PeriodListing};
pub use load::{Fault, FileKind, SourceFile, did_you_mean, kind_of, load};
pub use places::Places;
pub use plan::{Options, Plan};
pub use questions::Question;
pub use schema::{cases_schema, pack_schema};
pub use trigger::filed;
pub use vary::Variation;
