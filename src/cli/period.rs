//! `breachclock period`: counts one period, or JSON lines of them. Reads no clock and stores nothing.

use super::exit;
use crate::time::{
    self, Calendars, CivilDate, Convention, Fold, MinMode, MinWorkingDays, Period, Step, TimeError, Timestamp, Unit,
    Zone, nearest,
};
use serde_json::{Map, Value, json};
use std::io::{BufRead, Write};
use std::str::FromStr;

/// Counts one period, or a JSON object a line (see `--batch`)
#[derive(clap::Args)]
pub struct Args {
    /// JSON lines to answer: id, rule, trigger, zone, calendar, fold; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["unit", "n", "trigger", "zone"])]
    pub batch: Option<String>,
    /// Answer a single period as JSON too
    #[arg(long)]
    pub json: bool,
    /// minute, hour, working_hour, day, working_day, week, month, year
    #[arg(long, required_unless_present = "batch")]
    pub unit: Option<String>,
    /// How many
    #[arg(long, required_unless_present = "batch")]
    pub n: Option<String>,
    /// instant, next_hour, next_hour_incl, next_day, same_day
    #[arg(long)]
    pub start: Option<String>,
    /// event, year_end, quarter_end
    #[arg(long)]
    pub anchor: Option<String>,
    /// none, next_wd
    #[arg(long)]
    pub shift: Option<String>,
    /// event_date, start_date
    #[arg(long)]
    pub month: Option<String>,
    /// instant, 24:00, HH:MM
    #[arg(long)]
    pub close: Option<String>,
    /// none, close, same_time, at:HH:MM
    #[arg(long)]
    pub roll: Option<String>,
    /// nonworking, sun+hol, hol
    #[arg(long)]
    pub roll_days: Option<String>,
    /// Least number of working days inside: N:IF_DAYS_GE, with :whole or :touch for hours, as in 2:2
    #[arg(long, value_name = "N:DAYS[:MODE]")]
    pub min_wd: Option<String>,
    /// Local time of the event, as in 2026-03-27T16:20:00
    #[arg(long, required_unless_present = "batch")]
    pub trigger: Option<String>,
    /// IANA zone, as in Europe/Paris
    #[arg(long, required_unless_present = "batch")]
    pub zone: Option<String>,
    /// Calendar id: ISO 3166, NONE, WEEKEND, …
    #[arg(long)]
    pub calendar: Option<String>,
    /// Reading of a local time that occurs twice or never: earliest, 0, 1
    #[arg(long)]
    pub fold: Option<String>,
}

/// Runs the command; answers the exit code.
pub fn run(args: Args, stdin: &mut dyn BufRead, stdout: &mut dyn Write, stderr: &mut dyn Write) -> i32 {
    let Some(path) = &args.batch else { return single(&args, stdout, stderr) };
    if path == "-" {
        return batch(stdin, stdout, stderr);
    }
    match std::fs::File::open(path) {
        Ok(file) if file.metadata().is_ok_and(|m| m.is_dir()) => {
            let _ = writeln!(stderr, "error: `{path}` is a folder; give a file of JSON lines");
            exit::NO_INPUT
        }
        Ok(file) => batch(&mut std::io::BufReader::new(file), stdout, stderr),
        Err(error) => {
            let _ = writeln!(stderr, "error: `{path}` cannot be read: {error}");
            exit::NO_INPUT
        }
    }
}

/// Answers every line in order; a bad line is answered with its error and does not stop the others.
fn batch(input: &mut dyn BufRead, stdout: &mut dyn Write, stderr: &mut dyn Write) -> i32 {
    let mut out = std::io::BufWriter::with_capacity(1 << 16, stdout);
    let mut failed = false;
    let mut bytes = Vec::new();
    for number in 1.. {
        bytes.clear();
        match input.read_until(b'\n', &mut bytes) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => {
                let _ = out.flush();
                let _ = writeln!(stderr, "error: line {number} cannot be read: {error}");
                return exit::NO_INPUT;
            }
        }
        let answer = match std::str::from_utf8(&bytes) {
            Ok(text) => {
                let text = text.trim_start_matches('\u{feff}').trim();
                if text.is_empty() {
                    continue;
                }
                answer_line(text, number)
            }
            Err(_) => Err(json!({ "id": null, "line": number, "error": "the line is not UTF-8 text" })),
        };
        failed |= answer.is_err();
        let (Ok(answer) | Err(answer)) = answer;
        if let Err(error) = writeln!(out, "{answer}") {
            return unwritable(&error, stderr);
        }
    }
    match out.flush() {
        Err(error) => unwritable(&error, stderr),
        Ok(()) if failed => exit::REJECTED,
        Ok(()) => exit::DONE,
    }
}

/// Whoever reads the answers may stop early; anything else is worth a word.
fn unwritable(error: &std::io::Error, stderr: &mut dyn Write) -> i32 {
    if error.kind() == std::io::ErrorKind::BrokenPipe {
        return exit::DONE;
    }
    let _ = writeln!(stderr, "error: the answers cannot be written: {error}");
    exit::NEGATIVE
}

/// One line of a batch: `Ok` with the answer, `Err` with the error object, both ready to print.
pub fn answer_line(line: &str, number: usize) -> Result<Value, Value> {
    let fail = |id: Value, error: String| json!({ "id": id, "line": number, "error": error });
    let parsed: Value = serde_json::from_str(line).map_err(|e| fail(Value::Null, format!("not a JSON object: {e}")))?;
    let Value::Object(members) = parsed else {
        return Err(fail(Value::Null, "a line must be a JSON object, `{…}`".to_string()));
    };
    let id = members.get("id").cloned().unwrap_or(Value::Null);
    match Question::read(&members).and_then(|question| question.answer()) {
        Ok(Answer { counted, zone, .. }) => Ok(as_json(&id, &counted, zone)),
        Err(error) => Err(fail(id, error)),
    }
}

fn as_json(id: &Value, counted: &time::Counted, zone: Zone) -> Value {
    json!({
        "id": id,
        "due_utc": utc(counted.due),
        "due_local": zone.rfc3339(counted.due),
        "last_day": counted.last_day.to_string(),
        "uncertain": counted.uncertain,
        "steps": counted.steps.iter().map(|step| step_json(step, zone)).collect::<Vec<_>>(),
    })
}

fn step_json(step: &Step, zone: Zone) -> Value {
    let mut object = Map::new();
    object.insert("kind".into(), step.kind().into());
    object.insert("text".into(), step.text(zone).into());
    if let Some(result) = step.result(zone) {
        object.insert("result".into(), result.into());
    }
    if let Some(at) = step.at() {
        object.insert("at".into(), utc(at).into());
    }
    Value::Object(object)
}

fn utc(at: Timestamp) -> String {
    at.format("%Y-%m-%dT%H:%M:%S%.fZ").to_string()
}

/// What a line asks.
struct Question<'c> {
    period: Period,
    convention: Convention,
    zone: Zone,
    trigger: Timestamp,
    calendar: &'c time::Calendar,
}

struct Answer<'c> {
    counted: time::Counted,
    zone: Zone,
    calendar: &'c time::Calendar,
}

/// Members of `rule`; a misspelt one would change the count silently, so others are refused.
const RULE: [&str; 10] = ["unit", "n", "start", "anchor", "shift", "month", "close", "roll", "roll_days", "min_wd"];

impl Question<'static> {
    fn read(line: &Map<String, Value>) -> Result<Question<'static>, String> {
        let rule = match line.get("rule") {
            Some(Value::Object(rule)) => rule,
            Some(_) => return Err("`rule` must be an object such as {\"unit\": \"hour\", \"n\": 72}".to_string()),
            None => return Err("`rule` is missing: an object such as {\"unit\": \"hour\", \"n\": 72}".to_string()),
        };
        if let Some(unknown) = rule.keys().find(|k| !RULE.contains(&k.as_str())) {
            let near = nearest(unknown, RULE).first().map_or(String::new(), |n| format!("; did you mean `{n}`?"));
            return Err(format!("`{unknown}` is not a member of `rule`{near}; allowed: {}", quoted(&RULE)));
        }
        let unit: Unit =
            word(rule, "unit")?.ok_or_else(|| missing("unit", &words(Unit::ALL.iter().map(|u| u.as_str()))))?;
        let period = Period { unit, n: number(rule.get("n"), "n")? };
        let convention = convention(rule, unit)?;

        let zone = match line.get("zone") {
            Some(Value::String(name)) => Zone::named(name).map_err(|e| format!("`zone`: {e}"))?,
            Some(other) => {
                return Err(format!("`zone`: {other} is not a text; write an IANA name such as \"Europe/Paris\""));
            }
            None => return Err("`zone` is missing: an IANA name such as \"Europe/Paris\"".to_string()),
        };
        let fold = fold(line.get("fold"))?;
        let trigger = match line.get("trigger") {
            Some(Value::String(text)) => trigger(text, zone, fold)?,
            Some(other) => {
                return Err(format!(
                    "`trigger`: {other} is not a text; write a local time such as \"2026-03-27T16:20:00\""
                ));
            }
            None => return Err("`trigger` is missing: a local time such as \"2026-03-27T16:20:00\"".to_string()),
        };
        let id = match line.get("calendar") {
            Some(Value::String(id)) => id.as_str(),
            Some(Value::Null) | None if !convention.asks_calendar(unit) => "NONE",
            Some(Value::Null) | None => {
                return Err("`calendar` is missing: an id such as \"WEEKEND\" or \"NONE\"".to_string());
            }
            Some(other) => {
                return Err(format!("`calendar`: {other} is not a text; write an id such as \"WEEKEND\" or \"NONE\""));
            }
        };
        let calendar = Calendars::builtin().get(id).map_err(|e| format!("`calendar`: {e}"))?;
        Ok(Question { period, convention, zone, trigger, calendar })
    }

    fn answer(self) -> Result<Answer<'static>, String> {
        let counted = time::count(self.trigger, self.period, &self.convention, self.zone, self.calendar.legal())
            .map_err(|error: TimeError| error.to_string())?;
        Ok(Answer { counted, zone: self.zone, calendar: self.calendar })
    }
}

/// The parameters of a rule; what is left out has the plainest value for the unit.
fn convention(rule: &Map<String, Value>, unit: Unit) -> Result<Convention, String> {
    let plain = if unit.is_elapsed() { Convention::elapsed() } else { Convention::default() };
    Ok(Convention {
        start: word(rule, "start")?.unwrap_or(plain.start),
        anchor: word(rule, "anchor")?.unwrap_or(plain.anchor),
        shift: word(rule, "shift")?.unwrap_or(plain.shift),
        month: word(rule, "month")?.unwrap_or(plain.month),
        close: word(rule, "close")?.unwrap_or(plain.close),
        roll: word(rule, "roll")?.unwrap_or(plain.roll),
        roll_days: word(rule, "roll_days")?.unwrap_or(plain.roll_days),
        min_working_days: minimum(rule.get("min_wd"))?,
    })
}

fn minimum(value: Option<&Value>) -> Result<Option<MinWorkingDays>, String> {
    let members = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(word)) if word == "none" => return Ok(None),
        Some(Value::Object(members)) => members,
        Some(other) => {
            return Err(format!("`min_wd`: {other} is not null or an object such as {{\"n\": 2, \"if_days_ge\": 2}}"));
        }
    };
    if let Some(unknown) = members.keys().find(|k| !["n", "if_days_ge", "mode"].contains(&k.as_str())) {
        return Err(format!("`{unknown}` is not a member of `min_wd`; allowed: `n`, `if_days_ge`, `mode`"));
    }
    Ok(Some(MinWorkingDays {
        n: number(members.get("n"), "min_wd.n")?,
        if_days_ge: number(members.get("if_days_ge"), "min_wd.if_days_ge")?,
        mode: word(members, "mode")?.unwrap_or(MinMode::Whole),
    }))
}

fn word<T: FromStr<Err = TimeError>>(members: &Map<String, Value>, field: &str) -> Result<Option<T>, String> {
    match members.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => text.parse().map(Some).map_err(|e: TimeError| e.to_string()),
        // the error of a word nobody uses names the allowed ones
        Some(other) => match other.to_string().parse::<T>() {
            Ok(_) => Err(format!("`{field}`: {other} must be a text")),
            Err(error) => Err(error.to_string()),
        },
    }
}

fn number(value: Option<&Value>, field: &str) -> Result<u32, String> {
    match value {
        None | Some(Value::Null) => Err(format!("`{field}` is missing: a whole number")),
        Some(value) => value
            .as_u64()
            .and_then(|n| u32::try_from(n).ok())
            .ok_or_else(|| format!("`{field}`: {value} is not a whole number from 0 to {}", u32::MAX)),
    }
}

fn fold(value: Option<&Value>) -> Result<Fold, String> {
    Ok(match value {
        None | Some(Value::Null) => Fold::Earliest,
        Some(Value::String(word)) if word == "earliest" => Fold::Earliest,
        Some(value) if *value == json!(0) || *value == json!("0") => Fold::First,
        Some(value) if *value == json!(1) || *value == json!("1") => Fold::Second,
        Some(other) => return Err(format!("{other} is not a value of `fold`; allowed: `earliest`, `0`, `1`")),
    })
}

/// A local time, to the second or finer; one with an offset is taken as the instant it is.
fn trigger(text: &str, zone: Zone, fold: Fold) -> Result<Timestamp, String> {
    let local = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M"]
        .iter()
        .find_map(|format| chrono::NaiveDateTime::parse_from_str(text, format).ok());
    if let Some(local) = local {
        return zone.resolve(local, fold).map_err(|e| format!("`trigger`: {e}"));
    }
    if let Ok(instant) = chrono::DateTime::parse_from_rfc3339(text) {
        return Ok(instant.with_timezone(&chrono::Utc));
    }
    let hint = if text.parse::<CivilDate>().is_ok() { "; the time of day is missing" } else { "" };
    Err(format!("`trigger`: `{text}` is not a local time; write `2026-03-27T16:20:00`{hint}"))
}

fn missing(field: &str, allowed: &str) -> String {
    format!("`{field}` is missing; allowed: {allowed}")
}

fn words<'a>(all: impl Iterator<Item = &'a str>) -> String {
    all.map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", ")
}

fn quoted(all: &[&str]) -> String {
    words(all.iter().copied())
}

/// The single-period form: the same question, asked with flags.
fn single(args: &Args, stdout: &mut dyn Write, stderr: &mut dyn Write) -> i32 {
    let asked = line_of(args).and_then(|line| Question::read(&line)).and_then(Question::answer);
    let Answer { counted, zone, calendar } = match asked {
        Ok(answer) => answer,
        Err(error) => {
            let _ = writeln!(stderr, "error: {error}");
            return exit::REJECTED;
        }
    };
    let mut text = String::new();
    if args.json {
        let mut answer = as_json(&Value::Null, &counted, zone);
        answer.as_object_mut().expect("an object was made").shift_remove("id");
        text.push_str(&format!("{answer}\n"));
    } else {
        for step in &counted.steps {
            text.push_str(&format!("{:<22} {}\n", step.kind(), step.text(zone)));
        }
        text.push_str(&format!("{:<22} {} = {}\n", "too late from", zone.rfc3339(counted.due), utc(counted.due)));
        text.push_str(&format!("{:<22} {}\n", "last day", counted.last_day));
        if counted.uncertain {
            text.push_str(&format!("{:<22} yes, see above\n", "uncertain"));
        }
        text.push_str(&format!(
            "{:<22} calendar {} ({}), time zones {}\n",
            "data",
            calendar.id(),
            calendar.version(),
            time::tzdb_version()
        ));
    }
    match stdout.write_all(text.as_bytes()) {
        Ok(()) => exit::DONE,
        Err(error) => unwritable(&error, stderr),
    }
}

/// The flags as a line of a batch.
fn line_of(args: &Args) -> Result<Map<String, Value>, String> {
    let mut rule = Map::new();
    let flags = [
        ("unit", &args.unit),
        ("start", &args.start),
        ("anchor", &args.anchor),
        ("shift", &args.shift),
        ("month", &args.month),
        ("close", &args.close),
        ("roll", &args.roll),
        ("roll_days", &args.roll_days),
    ];
    for (name, value) in flags {
        if let Some(value) = value {
            rule.insert(name.to_string(), value.as_str().into());
        }
    }
    if let Some(n) = &args.n {
        let n: u32 = n.parse().map_err(|_| format!("`n`: `{n}` is not a whole number from 0 to {}", u32::MAX))?;
        rule.insert("n".to_string(), n.into());
    }
    if let Some(text) = args.min_wd.as_deref().filter(|&text| text != "none") {
        rule.insert("min_wd".to_string(), minimum_of(text)?);
    }
    let mut line = Map::new();
    line.insert("rule".to_string(), Value::Object(rule));
    let flags = [("trigger", &args.trigger), ("zone", &args.zone), ("calendar", &args.calendar), ("fold", &args.fold)];
    for (name, value) in flags {
        if let Some(value) = value {
            line.insert(name.to_string(), value.as_str().into());
        }
    }
    Ok(line)
}

fn minimum_of(text: &str) -> Result<Value, String> {
    let mut parts = text.split(':');
    let mut next_number = || parts.next().and_then(|p| p.parse::<u32>().ok());
    let (Some(n), Some(if_days_ge)) = (next_number(), next_number()) else {
        return Err(format!(
            "`min_wd`: `{text}` is not understood; write N:DAYS or N:DAYS:MODE, as in `2:2` or `2:2:touch`"
        ));
    };
    let mut value = json!({ "n": n, "if_days_ge": if_days_ge });
    if let Some(mode) = parts.next() {
        value["mode"] = mode.into();
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(input: &str) -> (i32, Vec<Value>) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = batch(&mut input.as_bytes(), &mut out, &mut err);
        let lines = String::from_utf8(out).unwrap();
        (code, lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect())
    }

    const GOOD: &str = r#"{"id":"a","rule":{"unit":"hour","n":72,"start":"next_hour"},"trigger":"2026-03-27T16:20:00","zone":"Europe/Paris","calendar":"FR","why":"ignored"}"#;

    #[test]
    fn answers_in_order_and_goes_on_after_a_bad_line() {
        let bad = GOOD.replace("Europe/Paris", "Europe/Pari").replace("\"a\"", "\"b\"");
        let (code, answers) = ask(&format!("{GOOD}\n\n{bad}\n{{\n{GOOD}"));
        assert_eq!(code, exit::REJECTED);
        assert_eq!(answers.len(), 4);
        assert_eq!(answers[0]["due_utc"], "2026-03-30T16:00:00Z");
        assert_eq!(answers[0]["due_local"], "2026-03-30T18:00:00+02:00");
        assert_eq!(answers[0]["last_day"], "2026-03-30");
        assert_eq!(answers[0]["uncertain"], false);
        assert_eq!(answers[0]["steps"][0]["kind"], "excluded-hour");
        assert_eq!(answers[1]["line"], 3);
        assert_eq!(answers[1]["id"], "b");
        assert!(answers[1]["error"].as_str().unwrap().contains("did you mean `Europe/Paris`"), "{}", answers[1]);
        assert_eq!((&answers[2]["id"], &answers[2]["line"]), (&Value::Null, &json!(4)));
        assert_eq!(answers[3], answers[0]);
        assert_eq!(ask(GOOD).0, exit::DONE);
    }

    #[test]
    fn bad_values_are_named_with_what_is_allowed() {
        for (from, to, wanted) in [
            ("next_hour", "nexthour", "`nexthour` is not a value of `start`; allowed: `instant`, `next_hour`"),
            ("\"hour\"", "\"hours\"", "`hours` is not a value of `unit`"),
            ("72", "-1", "`n`: -1 is not a whole number"),
            ("72", "7.5", "`n`: 7.5 is not a whole number"),
            ("\"FR\"", "\"FRA\"", "`calendar`: `FRA` is not a calendar; did you mean `FR`"),
            ("T16:20:00", "", "the time of day is missing"),
            ("\"start\"", "\"starts\"", "`starts` is not a member of `rule`; did you mean `start`?"),
            ("\"calendar\"", "\"fold\":2,\"calendar\"", "2 is not a value of `fold`; allowed: `earliest`, `0`, `1`"),
            ("\"zone\"", "\"zoen\"", "`zone` is missing"),
        ] {
            let line = GOOD.replacen(from, to, 1);
            let error = answer_line(&line, 1).expect_err(&line)["error"].as_str().unwrap().to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }

    #[test]
    fn a_single_period_reads_like_a_receipt() {
        let text = |n: &str| Some(n.to_string());
        let args = Args {
            batch: None,
            json: false,
            unit: text("day"),
            n: text("2"),
            start: None,
            anchor: None,
            shift: None,
            month: None,
            close: None,
            roll: text("close"),
            roll_days: None,
            min_wd: text("2:2"),
            trigger: text("2026-12-24T10:00:00"),
            zone: text("Europe/Berlin"),
            calendar: text("DE"),
            fold: None,
        };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        assert_eq!(run(args, &mut &b""[..], &mut out, &mut err), exit::DONE, "{}", String::from_utf8_lossy(&err));
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains("minimum-working-days") && out.contains("2026-12-30T00:00:00+01:00"), "{out}");
    }
}
