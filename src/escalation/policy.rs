//! Who is told when: steps relative to the conservative limit, to the window, or to the start.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;

/// When a step is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepAt {
    /// Seconds after the clock started.
    Start(i64),
    /// Seconds before (negative) or after the conservative limit.
    Due(i64),
    /// Share of the window from start to the conservative limit, in percent.
    Share(u8),
}

impl StepAt {
    /// Reads `start`, `start+30m`, `due-4h`, `due`, `due+1h`, `75%`.
    pub fn parse(text: &str) -> Result<StepAt, String> {
        let wrong = || {
            format!(
                "`{text}` is no step; write `start`, `start+30m`, `due-4h`, `due`, `due+1h` or a share such as `75%`"
            )
        };
        if let Some(share) = text.strip_suffix('%') {
            let share: u8 = share.trim().parse().map_err(|_| wrong())?;
            return if share <= 100 { Ok(StepAt::Share(share)) } else { Err(wrong()) };
        }
        let (word, sign, rest) = match text.find(['+', '-']) {
            Some(at) => (&text[..at], if text.as_bytes()[at] == b'-' { -1 } else { 1 }, Some(&text[at + 1..])),
            None => (text, 1, None),
        };
        let seconds = rest.map_or(Ok(0), |rest| duration(rest).map_err(|_| wrong()))? * sign;
        match (word.trim(), sign) {
            ("due", _) => Ok(StepAt::Due(seconds)),
            ("start", 1) => Ok(StepAt::Start(seconds)),
            _ => Err(wrong()),
        }
    }
}

/// Reads `90s`, `30m`, `4h`, `2d` to seconds.
pub fn duration(text: &str) -> Result<i64, String> {
    let text = text.trim();
    let wrong = || format!("`{text}` is no duration; write `90s`, `30m`, `4h` or `2d`");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let n: i64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    if n < 0 { Err(wrong()) } else { n.checked_mul(seconds).ok_or_else(wrong) }
}

/// Whom a step tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    Person(String),
    Role(String),
    Rota(String),
    Webhook(String),
}

impl Who {
    pub fn parse(text: &str) -> Result<Who, String> {
        match text.split_once(':') {
            Some(("person", id)) if !id.is_empty() => Ok(Who::Person(id.to_string())),
            Some(("role", id)) if !id.is_empty() => Ok(Who::Role(id.to_string())),
            Some(("rota", id)) if !id.is_empty() => Ok(Who::Rota(id.to_string())),
            Some(("webhook", id)) if !id.is_empty() => Ok(Who::Webhook(id.to_string())),
            _ => Err(format!("`{text}` names nobody; write `person:ID`, `role:ID`, `rota:ID` or `webhook:ID`")),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Person(id) => write!(f, "person:{id}"),
            Who::Role(id) => write!(f, "role:{id}"),
            Who::Rota(id) => write!(f, "rota:{id}"),
            Who::Webhook(id) => write!(f, "webhook:{id}"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The policy's own words for `at`.
    pub name: String,
    pub at: StepAt,
    pub notify: Vec<Who>,
    /// Channels to use; empty means each person's own.
    pub channels: Vec<String>,
    /// Seconds between repeats until somebody acknowledges.
    pub repeat_seconds: Option<i64>,
    /// Roles that must acknowledge; empty means anyone.
    pub needs: Vec<String>,
    pub lease_seconds: i64,
}

/// Steps in the order in which the policy states them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EscalationPolicy {
    pub id: String,
    pub steps: Vec<Step>,
    /// Remind about obligations of rows that are not verified.
    pub include_unverified: bool,
}

/// A person who can be told.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    pub id: String,
    pub name: String,
    #[serde(default)]
    pub roles: Vec<String>,
    pub email: Option<String>,
    pub zone: Option<String>,
    #[serde(default)]
    pub channels: Vec<String>,
    /// Their own addresses on channels, by the channel's id: a number, a topic, a user name.
    #[serde(default)]
    pub addresses: BTreeMap<String, String>,
    pub deputy: Option<String>,
}

/// People taking turns, a week each, from a hand-over instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rota {
    pub id: String,
    pub zone: crate::time::Zone,
    /// Day of the week (Monday 0) and minutes after midnight, local.
    pub handover: (u8, u16),
    pub people: Vec<String>,
}
