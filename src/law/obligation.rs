//! A duty's instance for one incident and one recipient.

use super::{Binding, Confidence, Deadline, DutyId, Place, RecipientKind, Stage, Started};
use crate::time::{Period, Timestamp, Zone};
use schemars::JsonSchema;

/// Where an obligation stands. "overdue" is not here: it is computed from `now`, never stored.
#[derive(Clone, Debug)]
pub enum Standing {
    /// Applies and its clock runs. `None`: an open norm, without a number.
    Running(Option<Deadline>),
    /// Applies, but the act or instant that starts its clock has not happened.
    Awaiting {
        projected_due: Option<Timestamp>,
        projected_conservative: Option<Timestamp>,
    },
    /// A missing fact decides; dated as if it applied.
    Possible(Option<Deadline>),
    /// Performed.
    Discharged {
        at: Timestamp,
        deadline: Option<Deadline>,
    },
    /// Somebody decided, with reasons, that it does not arise.
    Waived {
        reason: String,
        deadline: Option<Deadline>,
    },
    /// It was shown earlier and a later fact ended it.
    Withdrawn,
    NotApplicable,
}

impl Standing {
    /// What [`as_str`](Standing::as_str) answers.
    pub const WORDS: [&'static str; 7] =
        ["running", "awaiting", "possible", "discharged", "waived", "withdrawn", "not-applicable"];

    pub fn as_str(&self) -> &'static str {
        match self {
            Standing::Running(_) => "running",
            Standing::Awaiting { .. } => "awaiting",
            Standing::Possible(_) => "possible",
            Standing::Discharged { .. } => "discharged",
            Standing::Waived { .. } => "waived",
            Standing::Withdrawn => "withdrawn",
            Standing::NotApplicable => "not-applicable",
        }
    }

    pub fn deadline(&self) -> Option<&Deadline> {
        match self {
            Standing::Running(deadline) | Standing::Possible(deadline) => deadline.as_ref(),
            Standing::Discharged { deadline, .. } | Standing::Waived { deadline, .. } => deadline.as_ref(),
            _ => None,
        }
    }

    /// A clock a person must still do something about.
    pub fn is_open(&self) -> bool {
        matches!(self, Standing::Running(_) | Standing::Possible(_) | Standing::Awaiting { .. })
    }
}

super::schema_of_words!(Standing, Standing::WORDS.into_iter());

/// Where `now` lies against the two limits. Computed when read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    InTime,
    PastConservative,
    Late,
}

impl Phase {
    pub const ALL: [Phase; 3] = [Phase::InTime, Phase::PastConservative, Phase::Late];

    pub fn at(due: Timestamp, conservative_due: Timestamp, now: Timestamp) -> Phase {
        // both limits are exclusive: the instant itself is too late
        if now >= due {
            Phase::Late
        } else if now >= conservative_due {
            Phase::PastConservative
        } else {
            Phase::InTime
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Phase::InTime => "in-time",
            Phase::PastConservative => "past-conservative",
            Phase::Late => "late",
        }
    }
}

super::schema_of_words!(Phase);

/// How a recipient is reached, from the tables of authorities.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, JsonSchema)]
#[schemars(rename = "RecipientChannel")]
pub struct Channel {
    /// Portal, form or page.
    pub url: Option<String>,
    pub email: Option<String>,
    /// In which the recipient takes notices, ISO 639-1; empty when not on record.
    pub languages: Vec<String>,
    pub notes: Option<String>,
}

/// One obligation, as planned from the facts known.
#[derive(Clone, Debug)]
pub struct Obligation {
    /// `<duty-id>@<place>`, unique inside the incident.
    pub id: String,
    pub duty: DutyId,
    pub jurisdiction: Place,
    pub stage: Stage,
    pub recipient: RecipientKind,
    pub recipient_name: String,
    pub channel: Option<Channel>,
    pub standing: Standing,
    pub zone: Zone,
    pub started_by: Option<Started>,
    /// Bounds of the legal limit where a trigger or count is uncertain.
    pub earliest: Option<Timestamp>,
    pub latest: Option<Timestamp>,
    /// Its clock has surely started, only since when is not known: limits that are not later than the true ones allow, legal
    /// and conservative.
    pub bound: Option<(Timestamp, Timestamp)>,
    /// The conservative limit it would have if its clock started now; `None` once it has started, or waits for an act.
    pub if_started_now: Option<Timestamp>,
    /// Set when the limits shown are older ones: what the rulebook in force says instead, once that is signed off.
    pub unsigned: Option<(Option<Timestamp>, Option<Timestamp>)>,
    pub promptly: Option<String>,
    /// What the operator's policy sets where there is no number: a target, never a limit.
    pub internal_target: Option<Timestamp>,
    pub depends_on: Vec<DutyId>,
    pub combines: Vec<DutyId>,
    pub binding: Binding,
    pub confidence: Confidence,
    pub unverified: bool,
    pub held: Option<(Option<Timestamp>, String)>,
    pub missing: Vec<String>,
    /// Facts nobody has stated by which an exception may be claimed: with a yes it falls away.
    pub claimable: Vec<String>,
    pub because: Vec<String>,
    /// Conventions used, for the citation of steps.
    pub convention: Option<String>,
    /// The period counted: that of the branch which decides, or of the nearest while several may.
    pub period: Option<Period>,
}

impl Obligation {
    /// The legal and the conservative limit: of the count, or, where since when the clock runs is not known, the last
    /// instants at which they can be.
    pub fn limits(&self) -> Option<(Timestamp, Timestamp)> {
        self.standing.deadline().map(|d| (d.due, d.conservative_due)).or(self.bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_standing_is_among_the_words() {
        let all = [
            Standing::Running(None),
            Standing::Awaiting { projected_due: None, projected_conservative: None },
            Standing::Possible(None),
            Standing::Discharged { at: Timestamp::UNIX_EPOCH, deadline: None },
            Standing::Waived { reason: String::new(), deadline: None },
            Standing::Withdrawn,
            Standing::NotApplicable,
        ];
        assert_eq!(all.each_ref().map(Standing::as_str), Standing::WORDS);
    }
}
