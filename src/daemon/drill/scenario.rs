//! The scenario of an exercise: what is reported, and who does what when. Written in TOML; `default.toml` explains it.

use crate::escalation::{StepAt, duration};
use crate::law::Entity;
use crate::time::Timestamp;
use chrono::{DateTime, Duration};
use serde::Deserialize;

/// The built-in one.
const DEFAULT: &str = include_str!("default.toml");
/// People of each place where the entity acts, in the built-in scenario: enough for every threshold of a low count.
const AFFECTED_EACH: i64 = 2000;

#[derive(Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    #[serde(default)]
    pub why: String,
    /// Default: the present.
    start: Option<String>,
    /// Default: the last act, or the nearest limit when there is none.
    end: Option<String>,
    report: toml::Table,
    #[serde(default)]
    then: Vec<RawAct>,
}

#[derive(Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
struct RawAct {
    at: String,
    assert: Option<toml::Table>,
    ack: Option<Ack>,
    file: Option<File>,
}

#[derive(Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub struct Ack {
    #[serde(default = "nearest")]
    pub obligation: String,
    #[serde(default = "told")]
    pub by: String,
    pub lease: Option<String>,
    #[serde(default)]
    pub decline: bool,
}

#[derive(Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub struct File {
    #[serde(default = "nearest")]
    pub obligation: String,
    /// When the notice was given, if not at the instant of the act.
    pub at: Option<String>,
}

fn nearest() -> String {
    "nearest".to_string()
}

fn told() -> String {
    "told".to_string()
}

/// What happens at an instant.
#[derive(Clone, Debug)]
pub enum Deed {
    /// Facts, as the text of a report's `facts`.
    Assert(toml::Table),
    Ack(Ack),
    File(File),
}

/// Every instant known.
#[derive(Clone, Debug)]
pub struct Timed {
    /// In the order of time.
    pub acts: Vec<(Timestamp, Deed)>,
    pub end: Timestamp,
}

/// The window that relative instants are counted in.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Of the exercise.
    pub start: Timestamp,
    /// When the clock of the nearest limit started, and that limit; none when the report starts no clock with a limit.
    pub nearest: Option<(Timestamp, Timestamp)>,
}

impl Scenario {
    /// Reads a scenario; `file` is named in errors.
    pub fn read(text: &str, file: &str) -> Result<Scenario, String> {
        let scenario: Scenario = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            format!("{file}:{line}: {}", error.message())
        })?;
        for act in &scenario.then {
            let deeds = [act.assert.is_some(), act.ack.is_some(), act.file.is_some()];
            if deeds.iter().filter(|is| **is).count() != 1 {
                return Err(format!("{file}: the act at `{}` needs exactly one of `assert`, `ack` and `file`", act.at));
            }
        }
        Ok(scenario)
    }

    /// The built-in scenario at `entity`: with affected people wherever it acts, as far as `is_known` knows the fact.
    pub fn built_in(entity: &Entity, is_known: impl Fn(&str) -> bool) -> Scenario {
        let mut scenario = Scenario::read(DEFAULT, "the built-in scenario").expect("a test reads it");
        if let Some(id) = &entity.id {
            scenario.report.insert("entity".into(), id.clone().into());
        }
        if let Some(facts) = scenario.report.get_mut("facts").and_then(toml::Value::as_table_mut) {
            for place in entity.establishments().chain(entity.operates_in.iter().map(String::as_str)) {
                let key = format!("affected.{place}");
                if is_known(&key) {
                    let count = toml::Table::from_iter([("at_least".to_string(), AFFECTED_EACH.into())]);
                    facts.insert(key, count.into());
                }
            }
        }
        scenario
    }

    /// When it begins; `present` when it does not say.
    pub fn start(&self, present: Timestamp) -> Result<Timestamp, String> {
        self.start.as_deref().map_or(Ok(present), |text| {
            let at = DateTime::parse_from_rfc3339(text);
            at.map(|at| at.to_utc())
                .map_err(|_| format!("`start` is `{text}`; write an instant such as `2026-03-27T15:20:00Z`"))
        })
    }

    /// The report, marked, as text for the ordinary intake.
    pub fn report(&self, start: Timestamp) -> Result<String, String> {
        let mut report = self.report.clone();
        let title = report.get("title").and_then(toml::Value::as_str).unwrap_or("an exercise");
        let marked = if title.starts_with("DRILL") { title.to_string() } else { format!("DRILL: {title}") };
        report.insert("title".into(), marked.into());
        if let Some(facts) = report.get_mut("facts").and_then(toml::Value::as_table_mut) {
            fix_instants(facts, false, start, start)?;
        }
        toml::to_string(&report).map_err(|error| error.to_string())
    }

    pub fn timed(&self, window: Window) -> Result<Timed, String> {
        let mut acts = Vec::new();
        for act in &self.then {
            let deed = match (&act.assert, &act.ack, &act.file) {
                (Some(facts), ..) => Deed::Assert(facts.clone()),
                (_, Some(ack), _) => Deed::Ack(ack.clone()),
                (.., Some(file)) => Deed::File(file.clone()),
                _ => continue,
            };
            acts.push((moment(&act.at, window)?, deed));
        }
        acts.sort_by_key(|(at, _)| *at);
        if let Some((at, _)) = acts.iter().find(|(at, _)| *at < window.start) {
            return Err(format!("an act at {} comes before the exercise begins", crate::rules::utc(*at)));
        }
        let last = acts.last().map(|(at, _)| *at);
        let end = match (&self.end, last, window.nearest) {
            (Some(text), ..) => moment(text, window)?,
            (None, Some(last), _) => last,
            (None, None, Some((_, limit))) => limit,
            (None, None, None) => {
                return Err("nothing happens in it: give acts, an `end`, or facts that start a clock".into());
            }
        };
        if end <= window.start {
            return Err("it ends before it begins; correct `start` or `end`".into());
        }
        Ok(Timed { acts, end })
    }
}

/// Facts of an act, as text for the ordinary intake: `start` and `now` in them replaced.
pub fn facts(facts: &toml::Table, start: Timestamp, now: Timestamp) -> Result<String, String> {
    let mut facts = facts.clone();
    fix_instants(&mut facts, false, start, now)?;
    toml::to_string(&facts).map_err(|error| error.to_string())
}

/// An instant of the scenario: RFC 3339, `+2h`, or the words of a policy's step.
pub fn moment(text: &str, window: Window) -> Result<Timestamp, String> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.to_utc());
    }
    let wrong = || format!("`{text}` is no instant; write `+2h`, `50%`, `due-4h` or `2026-03-27T15:20:00Z`");
    if let Some(after) = text.strip_prefix('+') {
        return Ok(window.start + Duration::seconds(duration(after).map_err(|_| wrong())?));
    }
    let step = StepAt::parse(text).map_err(|_| wrong())?;
    if let StepAt::Start(seconds) = step {
        return Ok(window.start + Duration::seconds(seconds));
    }
    let (started, limit) = window
        .nearest
        .ok_or_else(|| format!("`{text}` counts to a limit, and the report starts no clock with one; write `+2h`"))?;
    Ok(match step {
        StepAt::Start(seconds) => window.start + Duration::seconds(seconds),
        StepAt::Due(seconds) => limit + Duration::seconds(seconds),
        StepAt::Share(percent) => {
            let share = (limit - started).num_seconds() * i64::from(percent) / 100;
            (started + Duration::seconds(share)).max(window.start)
        }
    })
}

/// Replaces `start-55m` and `now-10m` wherever a fact is an instant: below keys that begin with `times`.
fn fix_instants(table: &mut toml::Table, inside: bool, start: Timestamp, now: Timestamp) -> Result<(), String> {
    for (key, value) in table.iter_mut() {
        let inside = inside || key == "times" || key.starts_with("times.");
        match value {
            toml::Value::Table(deeper) => fix_instants(deeper, inside, start, now)?,
            toml::Value::String(text) if inside => {
                if let Some(at) = relative(text, start, now)? {
                    *text = at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn relative(text: &str, start: Timestamp, now: Timestamp) -> Result<Option<Timestamp>, String> {
    let (base, rest) = match (text.strip_prefix("start"), text.strip_prefix("now")) {
        (Some(rest), _) => (start, rest),
        (_, Some(rest)) => (now, rest),
        _ => return Ok(None),
    };
    let seconds = |text: &str| duration(text).map_err(|error| format!("`{rest}`: {error}"));
    Ok(Some(match (rest.strip_prefix('-'), rest.strip_prefix('+')) {
        (Some(before), _) => base - Duration::seconds(seconds(before)?),
        (_, Some(after)) => base + Duration::seconds(seconds(after)?),
        _ if rest.is_empty() => base,
        _ => return Ok(None),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("RFC 3339")
    }

    fn window() -> Window {
        let start = at("2026-03-27T16:00:00Z");
        Window { start, nearest: Some((at("2026-03-27T15:00:00Z"), at("2026-03-30T15:00:00Z"))) }
    }

    #[test]
    fn instants() {
        for (text, wanted) in [
            ("+2h", "2026-03-27T18:00:00Z"),
            ("start", "2026-03-27T16:00:00Z"),
            ("start+30m", "2026-03-27T16:30:00Z"),
            ("50%", "2026-03-29T03:00:00Z"),
            // a share that lies before the report is when the report comes
            ("0%", "2026-03-27T16:00:00Z"),
            ("due-4h", "2026-03-30T11:00:00Z"),
            ("due+1d", "2026-03-31T15:00:00Z"),
            ("2026-04-01T00:00:00+02:00", "2026-03-31T22:00:00Z"),
        ] {
            assert_eq!(moment(text, window()), Ok(at(wanted)), "{text}");
        }
        for wrong in ["later", "+2", "-2h", "120%", ""] {
            assert!(moment(wrong, window()).is_err(), "{wrong}");
        }
        let open = Window { nearest: None, ..window() };
        assert!(moment("50%", open).expect_err("no limit").contains("+2h"));
        assert!(moment("+2h", open).is_ok());
    }

    #[test]
    fn facts_are_told_relative_to_start_and_now() {
        let scenario = Scenario::read(
            "[report]\ntitle = \"x\"\n[report.facts]\n\"times.aware\" = \"start-55m\"\ndata = [\"name\"]\n\
             [report.facts.times]\ndetected = { value = \"start\", by = \"start\" }",
            "s.toml",
        )
        .expect("reads");
        let report = scenario.report(at("2026-03-27T16:00:00Z")).expect("a report");
        assert!(report.contains("DRILL: x"), "{report}");
        assert!(report.contains("\"times.aware\" = \"2026-03-27T15:05:00Z\""), "{report}");
        assert!(report.contains("\"2026-03-27T16:00:00Z\""), "{report}");
        let table: toml::Table = toml::from_str("\"times.ended\" = \"now-10m\"\nnote = \"now\"").expect("a table");
        let text = facts(&table, at("2026-03-27T16:00:00Z"), at("2026-03-28T16:00:00Z")).expect("facts");
        assert!(text.contains("2026-03-28T15:50:00Z") && text.contains("note = \"now\""), "{text}");
    }

    #[test]
    fn what_a_scenario_may_not_say() {
        let with = |then: &str| format!("[report]\ntitle = \"x\"\n{then}");
        for (text, words) in [
            (with("[[then]]\nat = \"+1h\"\n"), "exactly one of"),
            (with("[[then]]\nat = \"+1h\"\nack = {}\nfile = {}\n"), "exactly one of"),
            (with("[[then]]\nat = \"+1h\"\nacknowledge = {}\n"), "s.toml:4"),
            ("then = 1".to_string(), "s.toml:1"),
        ] {
            let error = Scenario::read(&text, "s.toml").expect_err("refused");
            assert!(error.contains(words), "{error}");
        }
        let late =
            Scenario::read(&with("[[then]]\nat = \"2020-01-01T00:00:00Z\"\nfile = {}\n"), "s.toml").expect("reads");
        assert!(late.timed(window()).expect_err("before the start").contains("before"));
        let empty = Scenario::read(&with(""), "s.toml").expect("reads");
        assert_eq!(empty.timed(window()).expect("ends at the limit").end, at("2026-03-30T15:00:00Z"));
        assert!(empty.timed(Window { nearest: None, ..window() }).is_err());
    }

    #[test]
    fn the_built_in_scenario_reads_and_is_in_order() {
        let entity = Entity { operates_in: vec!["FR".into(), "??".into()], ..Entity::default() };
        let scenario = Scenario::built_in(&entity, |key| key == "affected.FR");
        let report = scenario.report(at("2026-03-27T16:00:00Z")).expect("a report");
        assert!(report.contains("affected.FR") && !report.contains("affected.??"), "{report}");
        let timed = scenario.timed(window()).expect("timed");
        assert_eq!(timed.acts.len(), 4);
        assert!(timed.acts.windows(2).all(|two| two[0].0 < two[1].0) && timed.acts[3].0 < timed.end);
    }
}
