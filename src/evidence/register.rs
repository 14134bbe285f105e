//! The register of breaches, and what it says in numbers.
//!
//! A breach stands in it with its facts, its effects and the action taken, and with everything that was owed: when it was
//! due, when it was done, why late, why not at all. Tables for other programs are made in [`delimited`] and [`xlsx`], what is
//! printed and kept in [`printed`].
//!
//! Absent: where breaches come from, the words of the law, and the present.

pub mod delimited;
pub mod printed;
pub mod statistics;
pub mod xlsx;

use super::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

/// Whether something is so; silence is not no.
const SAID: [&str; 3] = ["yes", "no", "unknown"];

/// One breach.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Breach {
    pub id: String,
    pub title: String,
    pub entity: String,
    /// `open` or `closed`.
    #[schemars(extend("enum" = ["open", "closed"]))]
    pub status: &'static str,
    #[schemars(with = "Timestamp")]
    pub reported_at: String,
    pub reported_by: String,
    #[schemars(with = "Option<Timestamp>")]
    pub closed_at: Option<String>,
    /// When it became known: the instant by which the period is chosen.
    #[schemars(with = "Timestamp")]
    pub known_at: String,
    /// When it was known by the entity's clock, as a day.
    #[schemars(extend("format" = "date"))]
    pub known_on: String,
    pub facts: Facts,
    pub effects: Effects,
    /// What was done against it, its effects and a repetition.
    pub remedial_action: String,
    #[schemars(with = "Option<Timestamp>")]
    pub contained_at: Option<String>,
    pub obligations: Vec<Owed>,
    #[serde(skip)]
    pub times: Times,
}

/// The facts of a breach. What nobody stated is empty, or `unknown` where silence could be taken for no.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
#[schemars(rename = "BreachFacts")]
pub struct Facts {
    pub description: String,
    #[schemars(with = "Option<Timestamp>")]
    pub occurred_from: Option<String>,
    #[schemars(with = "Option<Timestamp>")]
    pub occurred_until: Option<String>,
    #[schemars(with = "Option<Timestamp>")]
    pub detected_at: Option<String>,
    #[schemars(with = "Option<Timestamp>")]
    pub aware_at: Option<String>,
    #[schemars(extend("enum" = SAID))]
    pub personal_data: &'static str,
    /// Confidentiality, integrity, availability.
    pub kinds: String,
    pub data: String,
    #[schemars(extend("enum" = SAID))]
    pub special_categories: &'static str,
    #[schemars(extend("enum" = SAID))]
    pub encrypted: &'static str,
    /// Persons, all of them.
    pub affected: String,
    /// Persons by place of residence, as `FR 1200; DE 30`.
    pub affected_by_place: String,
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
#[schemars(rename = "BreachEffects")]
pub struct Effects {
    pub description: String,
    pub risk: String,
    #[schemars(extend("enum" = SAID))]
    pub service_disrupted: &'static str,
    #[schemars(extend("enum" = SAID))]
    pub cross_border: &'static str,
}

/// One duty of a breach, and what became of it.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
#[schemars(rename = "BreachObligation")]
pub struct Owed {
    pub id: String,
    pub duty: String,
    pub citation: String,
    pub jurisdiction: String,
    pub recipient: String,
    #[schemars(with = "crate::law::Standing")]
    pub standing: &'static str,
    /// `on time`, `late`, `missed`, or empty while it is not decided.
    #[schemars(extend("enum" = ["on time", "late", "missed", ""]))]
    pub outcome: &'static str,
    #[schemars(with = "Option<Timestamp>")]
    pub due: Option<String>,
    #[schemars(with = "Option<Timestamp>")]
    pub conservative_due: Option<String>,
    #[schemars(with = "Option<Timestamp>")]
    pub filed_at: Option<String>,
    pub filed_by: String,
    pub reference: String,
    /// Reasons for the delay, each with who gave it and when.
    pub delay_reasons: String,
    /// The decision not to notify: its reasons, who took it, who agreed, when it is looked at again.
    pub not_notified: Option<NotNotified>,
    #[serde(skip)]
    pub times: OwedTimes,
}

/// A decision not to notify.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct NotNotified {
    /// `approved`, or `pending` the second approver.
    #[schemars(extend("enum" = ["approved", "pending"]))]
    pub state: &'static str,
    pub reason: String,
    pub by: String,
    #[schemars(with = "Timestamp")]
    pub at: String,
    pub second_approver: String,
    #[schemars(with = "Option<Timestamp>")]
    pub approved_at: Option<String>,
    pub review_on: String,
}

/// Instants of a breach that are counted with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// When it began.
    pub occurred: Option<Timestamp>,
    /// When it was known: awareness, else detection.
    pub known: Option<Timestamp>,
    /// When it was first decided what it is: determined, filed, or decided against.
    pub decided: Option<Timestamp>,
}

/// Instants of a duty that are counted with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwedTimes {
    pub started: Option<Timestamp>,
    pub due: Option<Timestamp>,
    pub filed: Option<Timestamp>,
    /// It runs: past its limit nobody has done it.
    pub running: bool,
}

impl OwedTimes {
    /// How it came out at `now`. Limits are exclusive: the instant itself is too late.
    pub fn outcome(&self, now: Timestamp) -> Option<Outcome> {
        match (self.due?, self.filed) {
            (due, Some(filed)) if filed < due => Some(Outcome::OnTime),
            (_, Some(_)) => Some(Outcome::Late),
            (due, None) => (self.running && now >= due).then_some(Outcome::Missed),
        }
    }
}

/// How a duty with a limit came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    OnTime,
    /// Done, after the legal limit.
    Late,
    /// The legal limit has passed, and nobody has recorded that it was done.
    Missed,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::OnTime => "on time",
            Outcome::Late => "late",
            Outcome::Missed => "missed",
        }
    }
}

/// What a register is of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "RegisterScope")]
pub struct Scope {
    pub origin: String,
    /// First and last day, both included; by each entity's clock.
    #[schemars(extend("format" = "date"))]
    pub from: Option<String>,
    #[schemars(extend("format" = "date"))]
    pub until: Option<String>,
    #[schemars(extend("enum" = ["open", "closed", "overdue", null]))]
    pub status: Option<String>,
    pub entity: Option<String>,
    #[schemars(with = "Timestamp")]
    pub made_at: String,
    pub made_by: String,
}

/// The columns of a breach, with their headings.
pub(super) const BREACH_COLUMNS: [&str; 25] = [
    "breach",
    "title",
    "entity",
    "status",
    "reported_at",
    "reported_by",
    "closed_at",
    "known_at",
    "facts",
    "occurred_from",
    "occurred_until",
    "detected_at",
    "aware_at",
    "personal_data",
    "kinds",
    "data",
    "special_categories",
    "encrypted",
    "affected",
    "affected_by_place",
    "effects",
    "risk",
    "service_disrupted",
    "remedial_action",
    "contained_at",
];

/// The columns of a duty.
pub(super) const OWED_COLUMNS: [&str; 20] = [
    "obligation",
    "duty",
    "citation",
    "jurisdiction",
    "recipient",
    "standing",
    "outcome",
    "due",
    "conservative_due",
    "filed_at",
    "filed_by",
    "reference",
    "delay_reasons",
    "not_notified",
    "not_notified_reason",
    "decided_by",
    "decided_at",
    "second_approver",
    "approved_at",
    "review_on",
];

impl Breach {
    /// In the order of [`BREACH_COLUMNS`].
    pub(super) fn cells(&self) -> Vec<&str> {
        fn or_empty(text: &Option<String>) -> &str {
            text.as_deref().unwrap_or_default()
        }
        let (f, e) = (&self.facts, &self.effects);
        vec![
            &self.id,
            &self.title,
            &self.entity,
            self.status,
            &self.reported_at,
            &self.reported_by,
            or_empty(&self.closed_at),
            &self.known_at,
            &f.description,
            or_empty(&f.occurred_from),
            or_empty(&f.occurred_until),
            or_empty(&f.detected_at),
            or_empty(&f.aware_at),
            f.personal_data,
            &f.kinds,
            &f.data,
            f.special_categories,
            f.encrypted,
            &f.affected,
            &f.affected_by_place,
            &e.description,
            &e.risk,
            e.service_disrupted,
            &self.remedial_action,
            or_empty(&self.contained_at),
        ]
    }
}

impl Owed {
    /// In the order of [`OWED_COLUMNS`].
    pub(super) fn cells(&self) -> Vec<&str> {
        fn or_empty(text: &Option<String>) -> &str {
            text.as_deref().unwrap_or_default()
        }
        let mut cells = vec![
            self.id.as_str(),
            &self.duty,
            &self.citation,
            &self.jurisdiction,
            &self.recipient,
            self.standing,
            self.outcome,
            or_empty(&self.due),
            or_empty(&self.conservative_due),
            or_empty(&self.filed_at),
            &self.filed_by,
            &self.reference,
            &self.delay_reasons,
        ];
        match &self.not_notified {
            Some(n) => cells.extend([
                n.state,
                &n.reason,
                &n.by,
                &n.at,
                &n.second_approver,
                or_empty(&n.approved_at),
                &n.review_on,
            ]),
            None => cells.extend([""; 7]),
        }
        cells
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_has_its_cell() {
        assert_eq!(Breach::default().cells().len(), BREACH_COLUMNS.len());
        assert_eq!(Owed::default().cells().len(), OWED_COLUMNS.len());
        let decided = Owed { not_notified: Some(NotNotified::default()), ..Owed::default() };
        assert_eq!(decided.cells().len(), OWED_COLUMNS.len());
    }

    #[test]
    fn outcomes() {
        let at = |hour: i64| chrono::DateTime::from_timestamp(3600 * hour, 0).expect("an instant");
        let now = at(100);
        for (due, filed, running, wanted) in [
            (None, Some(at(1)), false, None),
            (Some(at(10)), Some(at(9)), false, Some(Outcome::OnTime)),
            // the limit is exclusive
            (Some(at(10)), Some(at(10)), false, Some(Outcome::Late)),
            (Some(at(100)), None, true, Some(Outcome::Missed)),
            (Some(at(101)), None, true, None),
            // waived, or only possible: nothing was missed
            (Some(at(10)), None, false, None),
        ] {
            let times = OwedTimes { started: None, due, filed, running };
            assert_eq!(times.outcome(now), wanted, "{times:?}");
        }
    }
}
