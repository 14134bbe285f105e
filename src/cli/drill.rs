//! `drill`: an exercise, and its report as text, `report.md` and `report.json`.

use super::exit;
use crate::config;
use crate::daemon::drill::{self, MAX_SPEED, Options};
use crate::notify::words;
use crate::time::{Timestamp, Zone};
use crate::workflow::exercise::{DrillReport, Length, Moment};
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    /// Configuration whose people, policies and channels are exercised; its database is not touched
    #[arg(long)]
    config: PathBuf,
    /// What happens, in TOML; left out, a personal-data breach at the first entity
    #[arg(long)]
    scenario: Option<PathBuf>,
    /// Hours that pass in an hour; left out, the exercise takes about four minutes
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_SPEED)))]
    speed: Option<u32>,
    /// Serve the pages here, so that participants can acknowledge by the links in their messages
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Folder for store, keys and report; left out, a new one below `drills` in the data folder
    #[arg(long)]
    out: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> i32 {
    if !args.config.exists() {
        eprintln!("error: `{}` does not exist", args.config.display());
        return exit::NO_INPUT;
    }
    let config = match config::load(&args.config) {
        Ok(config) => config,
        Err(faults) => {
            faults.iter().for_each(|fault| eprintln!("error: {fault}"));
            return exit::BAD_CONFIG;
        }
    };
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "error".into()))
        .with_writer(std::io::stderr)
        .init();
    let Ok(runtime) = super::serve::runtime() else { return exit::NEGATIVE };
    let json = args.json;
    let options = Options { scenario: args.scenario, speed: args.speed, listen: args.listen, out: args.out };
    match runtime.block_on(hold(config, options)) {
        Ok((report, out)) => {
            let text = text(&report);
            let written = std::fs::write(out.join("report.md"), &text)
                .and_then(|()| std::fs::write(out.join("report.json"), pretty(&report)));
            match json {
                true => super::print_json(&report),
                false => super::print(&text),
            }
            if let Err(error) = written {
                eprintln!("error: the report cannot be written into `{}`: {error}", out.display());
                return exit::NEGATIVE;
            }
            eprintln!("report in {}", out.display());
            if report.ok { exit::DONE } else { exit::NEGATIVE }
        }
        Err(trouble) => {
            eprintln!("error: {}", trouble.text);
            trouble.code
        }
    }
}

async fn hold(config: config::Config, options: Options) -> Result<(DrillReport, PathBuf), drill::Trouble> {
    let drill = drill::prepare(config, options).await?;
    let span = (drill.end - drill.start).num_seconds();
    eprintln!(
        "DRILL: real messages go out now, each of them marked.\n{}\n{} pass in {} at speed {}; Ctrl-C ends it early, with a report.",
        drill.scenario,
        words::duration(span),
        short_duration(span / i64::from(drill.speed) + 1),
        drill.speed,
    );
    match &drill.url {
        Some(url) => eprintln!(
            "participants acknowledge by the links in their messages; pages at {url}, log in with the text of {}",
            drill.out.join("token").display()
        ),
        None => eprintln!("messages carry no links; with --listen participants could acknowledge themselves"),
    }
    let (stop, stopped) = tokio::sync::watch::channel(false);
    tokio::spawn(async move {
        super::serve::signalled().await;
        let _ = stop.send(true);
        // the sender must outlive the exercise
        std::future::pending::<()>().await;
    });
    let out = drill.out.clone();
    Ok((drill.hold(stopped).await?, out))
}

fn short_duration(seconds: i64) -> String {
    if seconds < 120 { format!("{seconds} s") } else { words::duration(seconds) }
}

fn pretty(report: &DrillReport) -> String {
    serde_json::to_string_pretty(report).expect("a report serialises") + "\n"
}

/// The report for people: Markdown that reads as plain text.
fn text(report: &DrillReport) -> String {
    let words = Words { zone: Zone::named(&report.zone).unwrap_or(Zone::UTC) };
    let mut text = format!("# DRILL: {}\n\n", report.title.trim_start_matches("DRILL:").trim());
    let mut line = |words: String| {
        text.push_str(&words);
        text.push('\n');
    };
    line(match (report.ok, report.interrupted) {
        (true, false) => "Every step reached somebody, and every message got through.".into(),
        (true, true) => "Ended early. Until then every step reached somebody, and every message got through.".into(),
        (false, _) => format!("NOT READY, {} fault(s):\n", report.faults.len()),
    });
    report.faults.iter().for_each(|fault| line(format!("- {fault}")));
    line(format!(
        "\nAn exercise at {}, from {} to {}, at speed {}: {} of synthetic time.",
        report.entity,
        words.both(&report.started),
        words.both(&report.ended),
        report.speed,
        words.span(&report.started, &report.ended),
    ));

    line("\n## Deadlines\n".into());
    for row in &report.deadlines {
        let filed = row.filed.as_ref().map(|m| format!(", filed {}", words.short(&m.at))).unwrap_or_default();
        let limit = words.short(&row.conservative_due);
        line(format!(
            "- {}: act before {limit}{filed} ({}; {})",
            row.outcome.to_uppercase(),
            row.title,
            row.obligation
        ));
    }
    if report.deadlines.is_empty() {
        line("No clock with a limit ran.".into());
    }

    line("\n## Steps\n".into());
    for row in &report.steps {
        let told = if row.reached { row.told.join(", ") } else { "NOBODY".into() };
        let late = row.late.map(|l| format!(", LATE by {}", words.length(l))).unwrap_or_default();
        let due = words.short(&row.due.at);
        line(format!("- `{}` due {due}{late}: {told}; {} message(s) ({})", row.step, row.messages, row.obligation));
    }

    line("\n## People\n".into());
    for row in &report.people {
        let first = row.first.as_ref().map(|m| format!(", first {}", words.both(m))).unwrap_or_default();
        line(format!("- {}: {} of {} message(s) got through{first}", row.name, row.delivered, row.messages));
        for answer in &row.answers {
            let after =
                answer.after.map(|l| format!(", {} after the first message", words.length(l))).unwrap_or_default();
            line(format!("  - {} {}{after} ({})", answer.what, words.both(&answer.at), answer.obligation));
        }
    }
    let names = |names: &[String]| if names.is_empty() { "nobody".to_string() } else { names.join(", ") };
    line(format!("\nTold and never answered: {}.", names(&report.never_acknowledged)));
    line(format!("In the policy and never reached: {}.", names(&report.never_reached)));

    line("\n## Messages\n".into());
    line("| synthetic | real (UTC) | to | way | step | state |\n|---|---|---|---|---|---|".into());
    for row in &report.messages {
        let repeat = if row.repeat > 0 { format!(" #{}", row.repeat) } else { String::new() };
        let tries = if row.attempts > 1 { format!(", {} attempts", row.attempts) } else { String::new() };
        let after = row.settled_after.map(|l| format!(" after {:.1} s", l.wall_seconds)).unwrap_or_default();
        let (at, wall) = (words.short(&row.sent.at), clock_time(&row.sent.wall));
        line(format!(
            "| {at} | {wall} | {} | {} | {}{repeat} | {}{after}{tries} |",
            row.to, row.way, row.step, row.state
        ));
    }
    if !report.notes.is_empty() {
        line("\n## What the scenario could not do\n".into());
        report.notes.iter().for_each(|note| line(format!("- {note}")));
    }
    let whole = if report.log_whole { "whole" } else { "NOT whole" };
    line(format!("\nThe log of the exercise, {}, has {} entries and is {whole}.", report.origin, report.log_entries));
    text
}

struct Words {
    zone: Zone,
}

impl Words {
    fn instant(text: &str) -> Option<Timestamp> {
        text.parse().ok()
    }

    /// `Fri 27 Mar, 16:20 CET`.
    fn short(&self, text: &str) -> String {
        Words::instant(text).map_or_else(|| text.to_string(), |at| words::short_label(at, self.zone))
    }

    fn both(&self, moment: &Moment) -> String {
        format!("{} (real {})", self.short(&moment.at), clock_time(&moment.wall))
    }

    fn length(&self, length: Length) -> String {
        format!("{} (real {:.1} s)", words::duration(length.seconds), length.wall_seconds)
    }

    fn span(&self, from: &Moment, until: &Moment) -> String {
        let seconds = |moment: &Moment| Words::instant(&moment.at).map_or(0, |at| at.timestamp());
        words::duration(seconds(until) - seconds(from))
    }
}

/// `14:03:22` of an instant in UTC.
fn clock_time(text: &str) -> String {
    Words::instant(text).map_or_else(|| text.to_string(), |at| at.format("%H:%M:%S").to_string())
}
