//! A contract that asks for notice, from the operator's register: what its clause says, in the terms the engine counts in.
//!
//! Words are read strictly. What a clause says beside a number belongs into its text; nothing here guesses a number.

use super::{FactType, Place, nearest_of};
use crate::time::{CivilDate, Period, Unit};
use serde::{Deserialize, Serialize};

super::duty::words!(
    /// Who owes the notice.
    Direction {
        WeOwe = "we-owe",
        TheyOwe = "they-owe",
    }
);

/// One clause of one contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contract {
    pub id: String,
    /// The counterparty, as shown.
    pub name: String,
    pub direction: Direction,
    /// The template of the packs it follows, e.g. `contract-dpa-processor-notice`; `None` is a clause of its own kind.
    pub duty: Option<String>,
    /// The instant fact its clause counts from, `times.…`; `None` leaves it to the template.
    pub starts: Option<String>,
    pub period: Option<ContractPeriod>,
    /// A row of the conventions; `None` counts as [`ContractPeriod`]'s unit usually is.
    pub convention: Option<String>,
    /// Where its working days and its midnight are those of; `None`: weekends alone, and the notifier's midnight.
    pub place: Option<Place>,
    /// Where the notice goes: a mail address, a portal, or a postal address.
    pub address: Option<String>,
    /// The form it asks for, in its words.
    pub form: Option<String>,
    /// The text of the clause.
    pub clause: Option<String>,
    pub citation: Option<String>,
    /// Last day of an insurance period, inclusive.
    pub ends: Option<CivilDate>,
    /// Calendar days after `ends` within which notice must be given at the latest.
    pub notice_days_after_end: Option<u32>,
    /// The operator's policy for a clause without a number: a target in hours. Never a limit.
    pub assume_hours: Option<u32>,
}

impl Contract {
    /// A contract of which nothing but the id is known.
    pub fn named(id: &str) -> Contract {
        Contract {
            id: id.to_string(),
            name: id.to_string(),
            direction: Direction::WeOwe,
            duty: None,
            starts: None,
            period: None,
            convention: None,
            place: None,
            address: None,
            form: None,
            clause: None,
            citation: None,
            ends: None,
            notice_days_after_end: None,
            assume_hours: None,
        }
    }

    /// The number it names, when it names one.
    pub fn number(&self) -> Option<Period> {
        match self.period {
            Some(ContractPeriod::Within(period)) => Some(period),
            _ => None,
        }
    }
}

/// How long a clause gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContractPeriod {
    Within(Period),
    /// An open norm in the contract's words, without a number.
    Promptly(String),
}

/// What a period without a number may say.
const OPEN_NORMS: [&str; 11] = [
    "immediately",
    "forthwith",
    "promptly",
    "without delay",
    "without undue delay",
    "without unreasonable delay",
    "as soon as possible",
    "as soon as practicable",
    "as soon as reasonably possible",
    "as soon as reasonably practicable",
    "in a timely manner",
];

/// Words of a unit, the plural included. A bare `m` is missing on purpose: minutes or months?
const UNITS: [(Unit, &[&str]); 8] = [
    (Unit::Minute, &["minute", "minutes", "min"]),
    (Unit::Hour, &["hour", "hours", "h", "hr", "hrs"]),
    (Unit::WorkingHour, &["working hour", "working hours", "business hour", "business hours"]),
    (Unit::Day, &["day", "days", "calendar day", "calendar days", "d"]),
    (
        Unit::WorkingDay,
        &["working day", "working days", "business day", "business days", "banking day", "banking days"],
    ),
    (Unit::Week, &["week", "weeks"]),
    (Unit::Month, &["month", "months"]),
    (Unit::Year, &["year", "years"]),
];

/// No clause gives longer: what is above is a slip of the pen.
const LONGEST_YEARS: u64 = 10;

impl ContractPeriod {
    /// Reads `24 hours`, `72 h`, `2 working days`, `within 5 business days` or an open norm such as `promptly`. The error
    /// says what is wrong with the words and which ones are read.
    pub fn parse(text: &str) -> Result<ContractPeriod, String> {
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        if OPEN_NORMS.contains(&words.as_str()) {
            return Ok(ContractPeriod::Promptly(words));
        }
        let amount = words.strip_prefix("within ").unwrap_or(&words);
        let digits = amount.find(|c: char| !c.is_ascii_digit()).unwrap_or(amount.len());
        let (number, unit) = amount.split_at(digits);
        let refuse =
            |why: &str| Err(format!("{why}; write a number and a unit such as {UNIT_EXAMPLES}, or one of {}", norms()));
        if number.is_empty() {
            let spelled = UNITS.iter().any(|(_, words)| words.iter().any(|w| amount.ends_with(&format!(" {w}"))));
            return refuse(match amount.contains(|c: char| c.is_ascii_digit()) {
                true => "it says more than one number and its unit, and the rest belongs into `clause`",
                false if spelled => "the number is not in digits",
                false => "it is no period",
            });
        }
        let unit = unit.trim_start();
        if unit.is_empty() {
            return refuse("it has no unit");
        }
        let Some((unit, _)) = UNITS.iter().find(|(_, words)| words.contains(&unit)) else {
            let near = nearest_of(unit, UNITS.iter().flat_map(|(_, words)| words.iter().copied()));
            return match near.first() {
                Some(near) if unit.len() > 3 => refuse(&format!("`{unit}` is no unit, did you mean `{near}`?")),
                _ => refuse(&format!("`{unit}` is no unit")),
            };
        };
        match number.parse::<u32>() {
            Ok(0) => refuse("it is zero"),
            Ok(n) if u64::from(n) <= LONGEST_YEARS * per_year(*unit) => {
                Ok(ContractPeriod::Within(Period { unit: *unit, n }))
            }
            _ => refuse(&format!("it is longer than {LONGEST_YEARS} years")),
        }
    }

    /// As people write it.
    pub fn text(&self) -> String {
        match self {
            ContractPeriod::Within(period) => format!("{} {}", period.n, period.unit.words(period.n)),
            ContractPeriod::Promptly(words) => words.clone(),
        }
    }
}

const UNIT_EXAMPLES: &str = "`24 hours`, `2 working days`, `10 days`, `1 month`";

fn norms() -> String {
    OPEN_NORMS.map(|norm| format!("`{norm}`")).join(", ")
}

/// How many of a unit a year has at most; only to catch slips.
fn per_year(unit: Unit) -> u64 {
    match unit {
        Unit::Minute => 366 * 24 * 60,
        Unit::Hour | Unit::WorkingHour => 366 * 24,
        Unit::Day | Unit::WorkingDay => 366,
        Unit::Week => 53,
        Unit::Month => 12,
        Unit::Year => 1,
    }
}

/// Trigger words of clauses, and the instant each means.
const TRIGGERS: [(&str, &str); 10] = [
    ("suspicion", "times.detected"),
    ("detection", "times.detected"),
    ("awareness", "times.aware"),
    ("discovery", "times.aware"),
    ("knowledge", "times.aware"),
    ("confirmation", "times.determined"),
    ("determination", "times.determined"),
    ("claim", "times.claim_received"),
    ("occurrence", "times.occurred_from"),
    ("resolution", "times.ended"),
];

/// The instant a clause's trigger word means; a `times.…` key means itself. The error names the words.
pub fn contract_trigger(word: &str) -> Result<String, String> {
    let lower = word.trim().to_lowercase();
    if lower.starts_with("times.") {
        return Ok(lower);
    }
    if let Some((_, key)) = TRIGGERS.iter().find(|(known, _)| *known == lower) {
        return Ok(key.to_string());
    }
    let known = TRIGGERS.map(|(known, _)| format!("`{known}`")).join(", ");
    let near = nearest_of(&lower, TRIGGERS.iter().map(|(known, _)| *known));
    let hint = near.first().map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
    Err(format!("{hint}it may be {known}, or a `times.…` key"))
}

/// Facts about what a counterparty owes us, by contract id: when its clause began to run for them, and when they told us.
pub const THEIR_TRIGGER: &str = "times.counterparty_trigger.";
pub const THEIR_NOTICE: &str = "times.counterparty_notice.";

/// Families of fact keys that end in the id of a contract.
pub(super) const CONTRACT_FAMILIES: [(&str, FactType); 2] =
    [(THEIR_TRIGGER, FactType::Instant), (THEIR_NOTICE, FactType::Instant)];

#[cfg(test)]
mod tests {
    use super::*;

    /// One text a line: `text | what it means`, or `text | ! words of the error`.
    const PERIODS: &str = include_str!("../../tests/vectors/contract/periods.txt");

    #[test]
    fn periods_are_read_strictly() {
        let mut seen = 0;
        for line in PERIODS.lines().filter(|l| !l.trim_start().starts_with('#') && !l.is_empty()) {
            let (text, want) = line.rsplit_once(" | ").unwrap_or_else(|| panic!("no ` | ` in `{line}`"));
            let read = ContractPeriod::parse(text);
            match (want.strip_prefix("! "), &read) {
                (Some(words), Err(error)) => assert!(error.contains(words), "`{text}`: {error}"),
                (None, Ok(period)) => assert_eq!(period.text(), want, "`{text}`"),
                _ => panic!("`{text}`: {read:?}, wanted {want}"),
            }
            seen += 1;
        }
        assert!(seen > 40, "{seen} lines");
    }

    #[test]
    fn trigger_words_mean_one_instant_each() {
        assert_eq!(contract_trigger("Suspicion").as_deref(), Ok("times.detected"));
        assert_eq!(contract_trigger("discovery").as_deref(), Ok("times.aware"));
        assert_eq!(contract_trigger("times.ended").as_deref(), Ok("times.ended"));
        assert!(contract_trigger("suspicon").is_err_and(|e| e.contains("did you mean `suspicion`")));
        assert!(contract_trigger("whenever").is_err_and(|e| e.contains("`awareness`")));
    }
}
