//! Who is told when: steps relative to the conservative limit, to the window, or to the start.

use crate::time::{Fold, Timestamp, Zone};
use chrono::{Duration, NaiveTime, Timelike};
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

/// Time between repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    Seconds(i64),
    /// Share of the window from start to limit, in percent: the same policy then suits an hour and two months.
    Share(u8),
}

impl Repeat {
    /// Shares become no shorter and no longer than these.
    const SHORTEST: i64 = 5 * 60;
    const LONGEST: i64 = 2 * 86_400;

    /// Reads `30m` or `10%`.
    pub fn parse(text: &str) -> Result<Repeat, String> {
        let Some(share) = text.trim().strip_suffix('%') else {
            return duration(text).map(Repeat::Seconds).map_err(|_| Repeat::wrong(text));
        };
        match share.trim().parse() {
            Ok(share @ 1..=100) => Ok(Repeat::Share(share)),
            _ => Err(Repeat::wrong(text)),
        }
    }

    fn wrong(text: &str) -> String {
        format!("`{text}` is no time between repeats; write `30m`, `4h` or a share of the window such as `10%`")
    }

    /// Seconds for a window of `window` seconds; a clock without a limit repeats a share every two days.
    pub fn seconds(self, window: Option<i64>) -> i64 {
        match self {
            Repeat::Seconds(seconds) => seconds,
            Repeat::Share(share) => window
                .map_or(Repeat::LONGEST, |w| w.saturating_mul(i64::from(share)) / 100)
                .clamp(Repeat::SHORTEST, Repeat::LONGEST),
        }
    }
}

/// Whom a step tells.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    Person(String),
    Role(String),
    Rota(String),
    Group(String),
    Webhook(String),
    Channel(String),
}

impl Who {
    pub fn parse(text: &str) -> Result<Who, String> {
        let (kind, id) = text.split_once(':').filter(|(_, id)| !id.is_empty()).unwrap_or_default();
        let id = id.to_string();
        match kind {
            "person" => Ok(Who::Person(id)),
            "role" => Ok(Who::Role(id)),
            "rota" => Ok(Who::Rota(id)),
            "group" => Ok(Who::Group(id)),
            "webhook" => Ok(Who::Webhook(id)),
            "channel" => Ok(Who::Channel(id)),
            _ => Err(format!(
                "`{text}` names nobody; write `person:ID`, `role:ROLE`, `rota:ID`, `group:ID`, `channel:ID` or `webhook:ID`"
            )),
        }
    }

    /// Stands for people, not for a place.
    pub fn is_people(&self) -> bool {
        !matches!(self, Who::Webhook(_) | Who::Channel(_))
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Person(id) => write!(f, "person:{id}"),
            Who::Role(id) => write!(f, "role:{id}"),
            Who::Rota(id) => write!(f, "rota:{id}"),
            Who::Group(id) => write!(f, "group:{id}"),
            Who::Webhook(id) => write!(f, "webhook:{id}"),
            Who::Channel(id) => write!(f, "channel:{id}"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The policy's own words for `at`.
    pub name: String,
    pub at: StepAt,
    pub notify: Vec<Who>,
    /// Channels to use, in the order of trying; empty means each person's own.
    pub channels: Vec<String>,
    /// Time between repeats until somebody acknowledges.
    pub repeat: Option<Repeat>,
    /// Roles that must acknowledge, each of them; empty means anyone.
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
    pub quiet_hours: Option<QuietHours>,
    /// Share of the time left, in percent, after which an unconfirmed message is followed by the next way.
    pub fall_over_percent: u8,
    /// Internal target for norms without a number, seconds after the start.
    pub open_norm_target_seconds: Option<i64>,
    /// When people are warned to send a notice of delay, where the law wants one before the limit: a share of the window
    /// or a time before the limit. `None`: a quarter of the window ahead, at least an hour and at most two days.
    pub delay_notice_at: Option<StepAt>,
    /// Seconds between reminders that ask for the reasons of a late filing.
    pub reasons_every_seconds: i64,
}

impl EscalationPolicy {
    /// An unconfirmed message is followed by the next way after this share of the time left.
    pub const FALL_OVER_PERCENT: u8 = 5;
    /// The step added past the limit; see [`EscalationPolicy::never_silent`].
    pub const OVERDUE: &str = "overdue";
    const OVERDUE_REPEAT_SECONDS: i64 = 1800;
    pub(super) const OVERDUE_LEASE_SECONDS: i64 = 1800;
    pub const REASONS_EVERY_SECONDS: i64 = 86_400;

    pub fn new(id: &str, steps: Vec<Step>) -> EscalationPolicy {
        EscalationPolicy {
            id: id.to_string(),
            steps,
            include_unverified: false,
            quiet_hours: None,
            fall_over_percent: EscalationPolicy::FALL_OVER_PERCENT,
            open_norm_target_seconds: None,
            delay_notice_at: None,
            reasons_every_seconds: EscalationPolicy::REASONS_EVERY_SECONDS,
        }
    }

    /// Adds what no policy may lack: from the limit on, everybody it names hears again and again until the filing.
    #[must_use]
    pub fn never_silent(mut self) -> EscalationPolicy {
        let nags = |step: &Step| matches!(step.at, StepAt::Due(after) if after >= 0) && step.repeat.is_some();
        if self.steps.is_empty() || self.steps.iter().any(nags) {
            return self;
        }
        let mut notify: Vec<Who> = self.steps.iter().flat_map(|step| step.notify.clone()).collect();
        notify.sort();
        notify.dedup();
        self.steps.push(Step {
            name: EscalationPolicy::OVERDUE.to_string(),
            at: StepAt::Due(0),
            notify,
            channels: Vec::new(),
            repeat: Some(Repeat::Seconds(EscalationPolicy::OVERDUE_REPEAT_SECONDS)),
            needs: Vec::new(),
            lease_seconds: EscalationPolicy::OVERDUE_LEASE_SECONDS,
        });
        self
    }
}

/// Hours in which people sleep: a message waits for their end as long as the limit leaves time for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuietHours {
    pub zone: Zone,
    /// Minutes after midnight, local; `from` may be later than `to`: over midnight.
    pub from: u16,
    pub to: u16,
}

impl QuietHours {
    /// Of the window this share, and at least this many seconds, must be left after the quiet hours.
    const LEAVE_PERCENT: i64 = 25;
    const LEAVE_AT_LEAST: i64 = 4 * 3600;

    /// When the quiet hours end that `at` falls into.
    pub fn end_of(&self, at: Timestamp) -> Option<Timestamp> {
        let local = self.zone.local(at);
        let minute = (local.num_seconds_from_midnight() / 60) as u16;
        let over_midnight = self.from > self.to;
        let inside = match over_midnight {
            true => minute >= self.from || minute < self.to,
            false => minute >= self.from && minute < self.to,
        };
        if !inside {
            return None;
        }
        let tomorrow = over_midnight && minute >= self.from;
        let day = local.date() + Duration::days(i64::from(tomorrow));
        let end = day.and_time(NaiveTime::MIN) + Duration::minutes(i64::from(self.to));
        // a gap moves the end behind it, a repeated hour ends at its first pass
        self.zone.resolve(end, Fold::First).ok().filter(|end| *end > at)
    }

    /// Whether a message due at `at` may wait until the end of the quiet hours it falls into; `None` when it falls into
    /// none. `start` and `limit` are those of its clock.
    pub fn waits(&self, at: Timestamp, start: Timestamp, limit: Option<Timestamp>) -> Option<Waits> {
        let until = self.end_of(at)?;
        let Some(limit) = limit else { return Some(Waits::Until(until)) };
        let window = (limit - start).num_seconds().max(0);
        let leave = (window * QuietHours::LEAVE_PERCENT / 100).max(QuietHours::LEAVE_AT_LEAST);
        let fits = until + Duration::seconds(leave) <= limit;
        Some(if fits { Waits::Until(until) } else { Waits::Not(until) })
    }
}

/// What quiet hours mean for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    Until(Timestamp),
    /// It is sent in spite of them; they end here.
    Not(Timestamp),
}
