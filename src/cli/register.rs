//! `register` and `statistics`, through a server.

use super::client::{Connection, Method, Server, explain};
use super::exit;
use serde_json::Value;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Scope {
    /// First day on which a breach became known, e.g. `2026-01-01`
    #[arg(long)]
    from: Option<String>,
    /// Last day, included
    #[arg(long)]
    until: Option<String>,
    /// open, closed, overdue; all when left out
    #[arg(long)]
    status: Option<String>,
    /// Id of an entity of the configuration
    #[arg(long)]
    entity: Option<String>,
}

impl Scope {
    fn query(&self) -> String {
        let pairs = [("from", &self.from), ("until", &self.until), ("status", &self.status), ("entity", &self.entity)];
        let given = pairs.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        given.map(|(name, value)| format!("&{name}={}", crate::notify::links::escape(value))).collect()
    }
}

#[derive(clap::Args)]
pub struct RegisterArgs {
    #[command(flatten)]
    scope: Scope,
    /// csv, xlsx, json, html, or pdf from a program built with `--features pdf`
    #[arg(long, default_value = "csv")]
    format: String,
    /// File to write; else standard output
    #[arg(short, long)]
    output: Option<PathBuf>,
    #[command(flatten)]
    to: Connection,
}

#[derive(clap::Args)]
pub struct StatisticsArgs {
    #[command(flatten)]
    scope: Scope,
    #[command(flatten)]
    to: Connection,
}

pub fn register(args: RegisterArgs) -> i32 {
    let format = if args.to.wants_json() { "json" } else { args.format.as_str() };
    if ["xlsx", "pdf"].contains(&format) && args.output.is_none() {
        eprintln!("error: `{format}` is no text; name a file with `--output`");
        return exit::USAGE;
    }
    let path = format!("/api/v1/register?format={}{}", crate::notify::links::escape(format), args.scope.query());
    let bytes = match Server::new(&args.to).and_then(|server| server.call_bytes(Method::GET, &path, None)) {
        Ok((status, bytes)) if status.is_success() => bytes,
        Ok((status, bytes)) => return explain(status, &serde_json::from_slice(&bytes).unwrap_or_default()),
        Err(code) => return code,
    };
    match &args.output {
        None => super::print(&String::from_utf8_lossy(&bytes)),
        Some(file) => {
            if let Err(error) = std::fs::write(file, &bytes) {
                eprintln!("error: `{}` cannot be written: {error}", file.display());
                return exit::NEGATIVE;
            }
            super::print(&format!("{}  {} bytes\n", file.display(), bytes.len()));
        }
    }
    exit::DONE
}

pub fn statistics(args: StatisticsArgs) -> i32 {
    let query = args.scope.query();
    let path = format!("/api/v1/statistics?{}", query.trim_start_matches('&'));
    match Server::new(&args.to).and_then(|server| server.get(&path)) {
        Ok(answer) if args.to.wants_json() => super::print_json(&answer),
        Ok(answer) => super::print(&in_words(&answer["statistics"])),
        Err(code) => return code,
    }
    exit::DONE
}

fn in_words(numbers: &Value) -> String {
    let mut text = format!("{} breaches, {} open\n", numbers["breaches"], numbers["open"]);
    for (name, key) in [("to know", "time_to_know"), ("to decide", "time_to_decide")] {
        text.push_str(&format!("{name:<10} {}\n", spread(&numbers[key])));
    }
    text.push_str(&format!("{:<10} {}\n", "to notify", spread(&numbers["time_to_notify"])));
    text.push_str(&format!("{:<10} {}\n", "all", on_time(numbers)));
    for place in numbers["by_jurisdiction"].as_array().into_iter().flatten() {
        let name = place["jurisdiction"].as_str().unwrap_or_default();
        text.push_str(&format!("{name:<10} {}; to notify {}\n", on_time(place), spread(&place["time_to_notify"])));
    }
    text
}

fn on_time(of: &Value) -> String {
    let o = &of["on_time"];
    let rate = o["rate"].as_f64().map_or("-".to_string(), |rate| format!("{:.1} %", rate * 100.0));
    format!("on time {rate} ({} of {}), late {}, missed {}", o["on_time"], o["obligations"], o["late"], o["missed"])
}

fn spread(of: &Value) -> String {
    let hours = |key: &str| of[key].as_f64().map_or("-".to_string(), |seconds| format!("{:.1} h", seconds / 3600.0));
    format!("median {}, p90 {} (n {})", hours("median_seconds"), hours("p90_seconds"), of["n"])
}
