//! A duty as a rule pack states it. Its instance for one incident is an [`Obligation`](super::Obligation).

use super::Place;
use crate::time::{CivilDate, Period};
use serde::{Deserialize, Serialize};
use std::borrow::Borrow;
use std::fmt;

/// Stable id of a duty, e.g. `xx-act-33-authority`; ids may contain dots and are never reused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DutyId(pub String);

/// Looked up by its text.
impl Borrow<str> for DutyId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DutyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Makes an enum whose variants are the words of a pack.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($variant),+ }

        impl $name {
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The pack's word.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }

            pub fn parse(word: &str) -> Option<$name> {
                Self::ALL.iter().copied().find(|v| v.as_str() == word)
            }
        }

        super::schema_of_words!($name);
    };
}
pub(super) use words;

words!(
    /// Whom the law names.
    RecipientKind {
        Authority = "authority",
        Csirt = "csirt",
        Regulator = "regulator",
        AttorneyGeneral = "attorney-general",
        LawEnforcement = "law-enforcement",
        ConsumerReportingAgencies = "consumer-reporting-agencies",
        Individuals = "individuals",
        Customers = "customers",
        Controller = "controller",
        DataOwner = "data-owner",
        Insurer = "insurer",
        Acquirer = "acquirer",
        Media = "media",
        Public = "public",
        InternalRecord = "internal-record",
        Other = "other",
    }
);

impl RecipientKind {
    /// Public recipients sit in a place whose zone ends the day; a private recipient's day ends in the notifier's zone.
    pub fn is_public_body(self) -> bool {
        use RecipientKind::*;
        matches!(self, Authority | Csirt | Regulator | AttorneyGeneral | LawEnforcement)
    }
}

words!(
    Stage {
        Single = "single",
        Initial = "initial",
        Intermediate = "intermediate",
        Final = "final",
        Update = "update",
    }
);

words!(
    /// Standing of the text, as recorded. Whether it runs on a date is decided by its periods.
    DutyStatus {
        InForce = "in force",
        NotYetApplicable = "adopted, not yet applicable",
        Voluntary = "voluntary",
        Proposed = "proposed",
        Repealed = "repealed",
        NoDuty = "no duty",
    }
);

words!(
    Confidence {
        High = "high",
        Medium = "medium",
        Low = "low",
    }
);

words!(
    Binding {
        Law = "law",
        Guidance = "guidance",
        Contract = "contract",
    }
);

words!(
    /// Why an instrument concerns an entity.
    Reach {
        Residents = "residents",
        Established = "established",
        Operates = "operates",
        Market = "market",
        Role = "role",
    }
);

words!(
    /// How many recipients a duty yields.
    Recipients {
        One = "one",
        LeadAuthority = "lead-authority",
        EachEstablished = "each-established",
        EachAffected = "each-affected",
        Main = "main",
        EachContract = "each-contract",
    }
);

words!(
    /// May a law-enforcement request suspend this notice?
    HoldRule {
        No = "no",
        LawEnforcement = "law-enforcement",
        LawEnforcementWritten = "law-enforcement-written",
    }
);

words!(
    /// Relation to another duty's performance.
    Order {
        With = "with",
        Before = "before",
        NotAfter = "not-after",
    }
);

/// The instant that starts the clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trigger {
    /// An instant fact, `times.…`.
    Fact(String),
    /// The first filing of whichever of these duties was performed.
    Filed(Vec<DutyId>),
    /// The latest filing: every update restarts the clock.
    FiledLast(Vec<DutyId>),
    /// An authority's request.
    Requested,
    /// The limit of whichever of these duties applies, performed or not.
    Due(Vec<DutyId>),
    /// The end of the calendar year or quarter of the instant fact.
    CalendarEnd { of: CalendarSpan, fact: String },
    /// Named by the contract.
    Contract,
}

words!(
    /// A span of the calendar whose end can start a clock.
    CalendarSpan {
        Year = "calendar-year-end",
        Quarter = "calendar-quarter-end",
    }
);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Combination {
    EarliestOf(DutyId),
    LatestOf(DutyId),
    SameClockAs(DutyId),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relative {
    pub order: Order,
    pub to: Vec<DutyId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentItem {
    pub item: String,
    /// Facts that fill it.
    pub from: Vec<String>,
    pub may_follow: bool,
}

/// One dated text of a duty: both dates inclusive, in the zone in which the clock starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DutyPeriod<When> {
    pub from: Option<CivilDate>,
    pub until: Option<CivilDate>,
    /// No date of application is fixed: the text never runs.
    pub undated: bool,
    /// Branch inside one text; `None` always fits.
    pub when: Option<When>,
    pub period: Option<Period>,
    /// Shorter guideline target inside the limit, in the unit of `period`.
    pub target: Option<u32>,
    /// Index into the rulebook's conventions; always set when `period` is.
    pub convention: Option<u16>,
    /// The open norm that applies besides or instead.
    pub promptly: Option<String>,
}

impl<When> DutyPeriod<When> {
    /// Is the text in force on `date`? Its branch is not asked.
    pub fn in_force(&self, date: CivilDate) -> bool {
        !self.undated && self.from.is_none_or(|from| from <= date) && self.until.is_none_or(|until| date <= until)
    }
}

/// A duty, generic over the compiled condition so that the noun does not know how conditions are evaluated.
#[derive(Clone, Debug)]
pub struct Duty<When> {
    pub id: DutyId,
    pub pack: String,
    pub title: String,
    pub jurisdiction: Place,
    pub region: Option<Place>,
    pub reach: Reach,
    pub regime: Option<String>,
    pub roles: Vec<String>,
    pub recipient: RecipientKind,
    pub recipient_name: String,
    pub recipients: Recipients,
    pub stage: Stage,
    pub starts: Trigger,
    /// A second instant fact from which the conservative limit is counted too: authorities read the start differently.
    pub conservative_starts: Option<String>,
    pub when: When,
    pub unless: Option<When>,
    pub min_affected: u64,
    /// While it holds, a filing does not discharge the duty: another piece is owed within the same limit.
    pub open_while: Option<When>,
    pub periods: Vec<DutyPeriod<When>>,
    pub combine: Option<Combination>,
    pub relative: Option<Relative>,
    pub replaces: Option<DutyId>,
    pub baseline: bool,
    pub law: String,
    pub citation: String,
    pub source_url: String,
    /// Why no address is given, when none is.
    pub no_url: String,
    pub status: DutyStatus,
    pub confidence: Confidence,
    pub binding: Binding,
    pub basis: String,
    pub notes: String,
    pub delay: String,
    /// The duty by which the recipient is told, before the limit, that it will be missed, where the law asks for that.
    pub delay_notice: Option<DutyId>,
    pub hold: HoldRule,
    /// An unwritten hold ends after so many days.
    pub oral_hold_days: Option<u32>,
    /// A written one ends after so many days.
    pub written_hold_days: Option<u32>,
    /// The period that begins when a hold ends, where the law gives one.
    pub after_hold: Option<DutyPeriod<When>>,
    /// That period only matters when the hold lasts beyond the limit.
    pub after_hold_only_past: bool,
    pub content: Vec<ContentItem>,
    pub reviewed: Option<CivilDate>,
}

impl<When> Duty<When> {
    /// Is any text in force on `date`, whichever of its branches fits?
    pub fn has_text(&self, date: CivilDate) -> bool {
        self.periods.iter().any(|text| text.in_force(date))
    }

    /// Every condition of the duty: when it arises, what removes it, what keeps it open, and the branches of its texts.
    pub fn conditions(&self) -> impl Iterator<Item = &When> {
        let branches = self.periods.iter().chain(&self.after_hold).filter_map(|text| text.when.as_ref());
        std::iter::once(&self.when).chain(&self.unless).chain(&self.open_while).chain(branches)
    }

    /// [`Duty::conditions`], to be changed.
    pub fn conditions_mut(&mut self) -> impl Iterator<Item = &mut When> {
        let branches = self.periods.iter_mut().chain(&mut self.after_hold).filter_map(|text| text.when.as_mut());
        std::iter::once(&mut self.when).chain(&mut self.unless).chain(&mut self.open_while).chain(branches)
    }

    /// A report to repeat: its own filing starts its clock anew, and only its condition ends it.
    pub fn recurs(&self) -> bool {
        matches!(&self.starts, Trigger::FiledLast(ids) if ids.contains(&self.id))
    }
}
