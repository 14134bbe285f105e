//! Is this installation ready? One line for each thing looked at, each with what to do about it.
//!
//! Looking tells nobody anything; only `send` sends marked test messages.

mod backups;
mod machine;
mod own_tls;
mod server;
mod ways;
mod witnesses;

use super::ids::SystemEntropy;
use super::{clock, open};
use crate::config::{Config, ConfigFault};
use crate::escalation::readiness::{Finding, Grade, walk};
use crate::notify::words;
use crate::rules::Rulebook;
use crate::time::{CivilDate, Timestamp};
use chrono::{Duration, Timelike};
use serde::Serialize;

/// Policies are walked this far ahead.
const DAYS: u32 = 14;
/// Law that nobody compared with its texts for longer may have moved on.
const PACKS_DAYS: i32 = 180;
/// A limit may lie this far ahead: calendars must reach it.
const HORIZON_DAYS: i32 = 365;
/// Days that are not announced by then make dates uncertain soon.
const ANNOUNCED_DAYS: i32 = 60;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Ok,
    Warning,
    Fault,
    /// Nobody could be asked.
    Unknown,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Warning => "warning",
            State::Fault => "fault",
            State::Unknown => "unknown",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    pub check: String,
    pub state: State,
    pub text: String,
    pub remedy: Option<String>,
}

impl Line {
    fn new(check: &str, state: State, text: String, remedy: Option<&str>) -> Line {
        Line { check: check.to_string(), state, text, remedy: remedy.map(str::to_string) }
    }

    fn ok(check: &str, text: String) -> Line {
        Line::new(check, State::Ok, text, None)
    }

    fn warning(check: &str, text: String, remedy: &str) -> Line {
        Line::new(check, State::Warning, text, Some(remedy))
    }

    fn fault(check: &str, text: String, remedy: &str) -> Line {
        Line::new(check, State::Fault, text, Some(remedy))
    }

    fn unknown(check: &str, text: String, remedy: &str) -> Line {
        Line::new(check, State::Unknown, text, Some(remedy))
    }
}

/// The lines of a configuration that cannot be used: nothing else can be looked at then.
pub fn unusable(faults: &[ConfigFault]) -> Vec<Line> {
    let line =
        |fault: &ConfigFault| Line::fault("configuration", fault.to_string(), "correct it; nothing starts until then");
    faults.iter().map(line).collect()
}

/// Looks at everything. With `send` test messages go out.
pub async fn examine(config: &Config, send: bool) -> Vec<Line> {
    let now = clock::now();
    let mut lines = vec![Line::ok("configuration", format!("`{}` is valid", config.file))];
    match open::rulebook(config) {
        Ok(book) => {
            lines.extend(law(config, &book, now));
        }
        Err(error) => {
            lines.push(Line::fault("rule packs", error.text, "correct them; `breachclock law check` says more"))
        }
    }
    lines.extend(machine::data_folder(&config.data_dir));
    lines.extend(ways::database(config).await);
    lines.push(machine::zone_data());
    // programs are waited for: not on the threads that serve
    let asked = tokio::task::spawn_blocking(|| [machine::clock(), machine::systemd_watchdog()]).await;
    lines.extend(asked.into_iter().flatten());
    lines.push(server::daemon(&config.listen, config.tls.as_ref(), now).await);
    lines.extend(ways::heartbeats(config).await);
    lines.extend(ways::time_stamps(config).await);
    lines.extend(witnesses::witnesses(config).await);
    lines.extend(ways::mail(config).await);
    lines.extend(ways::webhooks(config).await);
    lines.extend(ways::channels(config).await);
    if send {
        let id = crate::workflow::ulid(&SystemEntropy::new(), now);
        lines.extend(ways::send(config, &id).await);
    }
    lines.push(backups::backups(config, now));
    lines.extend(people(config, now));
    lines
}

/// Rule packs, what the configuration names of them, their age, and the calendars.
fn law(config: &Config, book: &Rulebook, now: Timestamp) -> Vec<Line> {
    let faults = crate::config::check_against(config, book);
    let mut lines: Vec<Line> =
        faults.iter().map(|f| Line::fault("configuration", f.to_string(), "correct the word")).collect();
    lines.push(Line::ok("rule packs", format!("{} duties load, {}", book.duties().len(), book.version)));
    lines.extend(age(&book.version, now));
    lines.extend(calendars(config, book, now));
    lines
}

fn age(reviewed: &str, now: Timestamp) -> Option<Line> {
    let today = CivilDate::from_epoch_days((now.timestamp().div_euclid(86_400)) as i32)?;
    let check = "pack age";
    let Ok(date) = reviewed.parse::<CivilDate>() else {
        return Some(Line::warning(check, "no rule pack says when it was reviewed".into(), "update the rule packs"));
    };
    let days = today.to_epoch_days() - date.to_epoch_days();
    let text = format!("the newest rule pack was reviewed on {date}, {days} days ago");
    Some(match days > PACKS_DAYS {
        true => Line::warning(check, text, "update breachclock or the packs in `[rules].dir`: laws change"),
        false => Line::ok(check, text),
    })
}

/// The calendars of the places where the entities act: do they reach far enough?
fn calendars(config: &Config, book: &Rulebook, now: Timestamp) -> Vec<Line> {
    let check = "calendars";
    let today = now.timestamp().div_euclid(86_400) as i32;
    let mut places: Vec<&str> = Vec::new();
    for entity in &config.entities {
        for place in entity.establishments().chain(entity.operates_in.iter().map(String::as_str)) {
            places.extend([Some(place), place.split_once('-').map(|(country, _)| country)].into_iter().flatten());
        }
    }
    places.sort_unstable();
    places.dedup();
    let remedy = "update breachclock, or add the announced days under `[rules].dir`";
    let mut lines = Vec::new();
    let mut looked = 0;
    for place in places.into_iter().filter(|place| book.calendars().check(place).is_ok()) {
        looked += 1;
        match book.calendars().get(place) {
            Err(error) => lines.push(Line::fault(check, error.to_string(), remedy)),
            Ok(calendar) => {
                let (ends, known) = (calendar.data_until(), calendar.known_until());
                if ends.to_epoch_days() - today < HORIZON_DAYS {
                    let text = format!("the calendar of {place} ends on {ends}: limits behind it cannot be counted");
                    lines.push(Line::fault(check, text, remedy));
                } else if known.to_epoch_days() - today < ANNOUNCED_DAYS {
                    let text =
                        format!("in {place} holidays are announced until {known}; later dates are marked uncertain");
                    lines.push(Line::warning(check, text, remedy));
                }
            }
        }
    }
    if lines.is_empty() {
        lines.push(Line::ok(check, format!("{looked} calendars reach beyond a year")));
    }
    lines
}

/// Would everybody be told, at every hour of the next days?
fn people(config: &Config, now: Timestamp) -> Vec<Line> {
    let hour = now
        - Duration::seconds(i64::from(now.minute() * 60 + now.second()))
        - Duration::nanoseconds(i64::from(now.nanosecond()));
    let found = walk(&config.policies, &config.directory, hour, DAYS);
    let mut lines: Vec<Line> = found.iter().map(said).collect();
    for policy in &config.policies {
        if !found.iter().any(|f| f.policy == policy.id && f.grade == Grade::Fault) {
            let text =
                format!("every step reaches somebody at every hour of the next {DAYS} days, Sunday at 03:00 included");
            lines.push(Line::ok(&format!("people, policy {}", policy.id), text));
        }
    }
    lines
}

fn said(finding: &Finding) -> Line {
    let step = finding.step.as_ref().map(|step| format!("step `{step}`: ")).unwrap_or_default();
    let when = match finding.spans.as_slice() {
        [] => String::new(),
        [first, more @ ..] => {
            let label = |at: Timestamp| words::short_label(at, first.zone);
            let times = match more.len() {
                0 => String::new(),
                n => format!(", and {n} more time(s) in {DAYS} days"),
            };
            format!(" from {} to {}{times}", label(first.from), label(first.until))
        }
    };
    let state = match finding.grade {
        Grade::Warning => State::Warning,
        Grade::Fault => State::Fault,
    };
    let check = format!("people, policy {}", finding.policy);
    Line::new(&check, state, format!("{step}{}{when}", finding.text), Some(&finding.remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_of_packs() {
        let now: Timestamp = "2026-11-28T08:00:00Z".parse().expect("RFC 3339");
        for (reviewed, wanted) in [
            ("2026-11-28", State::Ok),
            ("2026-06-01", State::Ok),
            ("2026-05-31", State::Warning),
            ("unreviewed", State::Warning),
        ] {
            assert_eq!(age(reviewed, now).expect("a line").state, wanted, "{reviewed}");
        }
    }
}
