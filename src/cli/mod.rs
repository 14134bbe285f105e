//! The command line. Every command answers with one of the contract's exit codes.

mod answers;
mod assess;
mod attachments;
mod backup;
mod bundle_in;
mod check;
mod client;
mod config_check;
mod demo;
mod doctor;
mod drill;
mod erase;
mod evidence;
mod evidence_check;
mod incident;
mod law;
mod law_diff;
mod mail;
mod man;
mod obligation;
mod period;
mod register;
mod serve;
mod token;
mod user;

use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Exit codes of the contract.
pub mod exit {
    pub const DONE: i32 = 0;
    /// The answer is negative: verification failed, a check found faults.
    pub const NEGATIVE: i32 = 1;
    pub const USAGE: i32 = 2;
    pub const REJECTED: i32 = 65;
    pub const NO_INPUT: i32 = 66;
    pub const UNREACHABLE: i32 = 69;
    pub const NOT_PERMITTED: i32 = 77;
    pub const BAD_CONFIG: i32 = 78;
}

/// Legal clocks for data breaches: who must be told what by when, reminders until it is done, and proof.
#[derive(Parser)]
#[command(name = "breachclock", version, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything with a sample organisation and incident, no set-up
    Demo(demo::Args),
    /// Run the daemon
    Serve {
        /// Configuration file
        #[arg(long)]
        config: PathBuf,
        /// Only show what is there: nothing is recorded, nobody is told; for a log that does not match its checkpoint
        #[arg(long)]
        read_only: bool,
    },
    /// Facts in, obligations with deadlines and derivations out; stores nothing
    Assess(assess::Args),
    /// Count one period, or JSON lines of them
    Period(period::Args),
    /// The rule packs: list, show, check, diff, coverage, schema
    #[command(subcommand)]
    Law(law::Command),
    /// Report and read incidents (talks to a server)
    #[command(subcommand)]
    Incident(incident::IncidentCommand),
    /// Acknowledge, record filings and decisions (talks to a server)
    #[command(subcommand)]
    Obligation(obligation::ObligationCommand),
    /// Ask a server from a second host whether everything due was sent; exit code 1 when not, 69 when it does not answer
    Check(check::Args),
    /// Mail that comes back: bounces, receipts, replies (talks to a server)
    #[command(subcommand)]
    Mail(mail::Command),
    /// Export, verify and check the evidence
    #[command(subcommand)]
    Evidence(evidence::Command),
    /// Copy everything into one file, with the signed checkpoint; the daemon may run
    Backup(backup::BackupArgs),
    /// Make a data folder from a backup, and say in the log what was lost
    Restore(backup::RestoreArgs),
    /// The register of breaches for a period, as CSV, XLSX or JSON (talks to a server)
    Register(register::RegisterArgs),
    /// On-time rate, time to know, to decide, to notify (talks to a server)
    Statistics(register::StatisticsArgs),
    /// Hold an exercise on accelerated time: real channels, every message marked DRILL
    Drill(drill::Args),
    /// Is this installation ready? Mail, webhooks, clock, people, rule packs; each with its remedy
    Doctor(doctor::Args),
    /// Check a configuration
    #[command(subcommand)]
    Config(config_check::Command),
    /// API tokens
    #[command(subcommand)]
    Token(token::Command),
    /// People who log in
    #[command(subcommand)]
    User(user::Command),
    /// Print shell completions
    Completions { shell: clap_complete::Shell },
    /// Print the manual page, or write one per command
    Man(man::Args),
}

/// Parses the arguments, does what they say, and answers the exit code.
pub fn run() -> i32 {
    // TLS needs a provider of cryptography; a second installation answers with the first one
    let _ = rustls::crypto::ring::default_provider().install_default();
    match Cli::parse().command {
        Command::Demo(args) => demo::run(args),
        Command::Serve { config, read_only } => serve::run(&config, read_only),
        Command::Assess(args) => assess::run(args),
        Command::Period(args) => period::run(
            args,
            &mut std::io::stdin().lock(),
            &mut std::io::stdout().lock(),
            &mut std::io::stderr().lock(),
        ),
        Command::Law(command) => law::run(command),
        Command::Incident(command) => incident::incident(command),
        Command::Obligation(command) => obligation::obligation(command),
        Command::Check(args) => check::run(args),
        Command::Mail(command) => mail::run(command),
        Command::Evidence(command) => evidence::run(command),
        Command::Backup(args) => backup::backup(args),
        Command::Restore(args) => backup::restore(args),
        Command::Register(args) => register::register(args),
        Command::Statistics(args) => register::statistics(args),
        Command::Drill(args) => drill::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Config(command) => config_check::run(command),
        Command::Token(command) => token::run(command),
        Command::User(command) => user::run(command),
        Command::Man(args) => man::run(args),
        Command::Completions { shell } => {
            use clap::CommandFactory;
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "breachclock", &mut script);
            // a reader that has enough is no fault
            print(&String::from_utf8_lossy(&script));
            exit::DONE
        }
    }
}

/// Reads a file, or standard input for `-`. The error is printed; the code is the contract's.
fn read_input(path: &str) -> Result<String, i32> {
    use std::io::Read;
    let mut text = String::new();
    let read = if path == "-" {
        std::io::stdin().lock().read_to_string(&mut text).map(|_| ())
    } else {
        std::fs::read_to_string(path).map(|t| text = t)
    };
    match read {
        Ok(()) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            eprintln!("error: `{path}` is not UTF-8 text");
            Err(exit::REJECTED)
        }
        Err(error) => {
            eprintln!("error: `{path}` cannot be read: {error}");
            Err(exit::NO_INPUT)
        }
    }
}

/// A configuration that can be run on; faults are printed.
fn configuration(path: &std::path::Path) -> Result<crate::config::Config, i32> {
    if !path.exists() {
        eprintln!("error: `{}` does not exist", path.display());
        return Err(exit::NO_INPUT);
    }
    crate::config::load(path).map_err(|faults| {
        faults.iter().for_each(|fault| eprintln!("error: {fault}"));
        exit::BAD_CONFIG
    })
}

/// Errors of libraries and our own words, on standard error; `RUST_LOG` says how many.
fn log_to_stderr(default: &str) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| default.into());
    // whoever read standard error may be gone: a line that nobody takes must not end the task that says it
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    lines.log_internal_errors(false).init();
}

/// Prints without failing on a closed pipe.
fn print(text: &str) {
    use std::io::Write;
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

fn print_json(value: &impl serde::Serialize) {
    print(&format!("{}\n", serde_json::to_string_pretty(value).expect("answers serialise")));
}

/// A rulebook with the files it was read from.
type Loaded = (crate::rules::Rulebook, Vec<crate::rules::SourceFile>);

/// The built-in rulebook, or the one in a folder; faults are printed.
fn rulebook(dir: Option<&std::path::Path>) -> Result<Loaded, i32> {
    use crate::daemon::packs::{Folder, load_dir};
    loaded(match dir {
        None => crate::rules::builtin().map(|book| (book, crate::rules::builtin_files())),
        Some(dir) => load_dir(dir, Folder::Either),
    })
}

/// The rulebook a configuration names; faults are printed.
fn rulebook_of(config: &crate::config::Config) -> Result<Loaded, i32> {
    loaded(crate::daemon::packs::of_config(config))
}

/// The forms of notices beside a rulebook; faults are printed.
fn forms_of(book: &crate::rules::Rulebook, files: &[crate::rules::SourceFile]) -> Result<crate::draft::Forms, i32> {
    loaded(crate::daemon::packs::forms(book, files))
}

fn loaded<T>(loaded: Result<T, Vec<crate::rules::Fault>>) -> Result<T, i32> {
    loaded.map_err(|faults| {
        for fault in &faults {
            eprintln!("error: {fault}");
        }
        eprintln!("{} fault(s) in the rule packs; correct them and run `breachclock law check`", faults.len());
        exit::BAD_CONFIG
    })
}
