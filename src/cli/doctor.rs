//! `doctor`: is this installation ready?

use super::exit;
use crate::config;
use crate::daemon::clock;
use crate::daemon::doctor::{self, Line, State};
use crate::rules::utc;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    #[arg(long)]
    config: PathBuf,
    /// Also send a marked test message to everybody the policies name, every webhook and every channel
    #[arg(long)]
    send: bool,
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
            answer(&doctor::unusable(&faults), args.json);
            return exit::BAD_CONFIG;
        }
    };
    let Ok(runtime) = super::serve::runtime() else { return exit::NEGATIVE };
    let lines = runtime.block_on(doctor::examine(&config, args.send));
    answer(&lines, args.json);
    if count(&lines, State::Fault) == 0 { exit::DONE } else { exit::NEGATIVE }
}

fn count(lines: &[Line], state: State) -> usize {
    lines.iter().filter(|line| line.state == state).count()
}

fn answer(lines: &[Line], json: bool) {
    let [faults, warnings, unknown] = [State::Fault, State::Warning, State::Unknown].map(|state| count(lines, state));
    if json {
        super::print_json(&serde_json::json!({
            "ok": faults == 0, "now": utc(clock::now()), "faults": faults, "warnings": warnings, "unknown": unknown,
            "checks": lines,
        }));
        return;
    }
    let mut text = String::new();
    for line in lines {
        text.push_str(&format!(
            "{:<8} {}: {}\n",
            line.state.as_str(),
            line.check,
            line.text.replace('\n', "\n         ")
        ));
        if let Some(remedy) = &line.remedy {
            text.push_str(&format!("         > {remedy}\n"));
        }
    }
    let verdict = if faults == 0 { "ready" } else { "NOT ready" };
    text.push_str(&format!("\n{verdict}: {faults} fault(s), {warnings} warning(s), {unknown} unknown\n"));
    super::print(&text);
}
