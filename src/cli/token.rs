//! `token`: made and revoked in the store itself. With SQLite the daemon must be stopped, which holds the data folder; with
//! PostgreSQL it may run, and sees the change within seconds.

use super::exit;
use crate::config::{Config, StoreKind};
use crate::daemon::{clock, open};
use crate::store::{PgStore, SqliteStore};
use crate::time::Timestamp;
use crate::workflow::{Caller, Role};
use std::path::PathBuf;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Make a token and print it once
    Create {
        #[arg(long)]
        config: PathBuf,
        /// reporter, responder, approver, auditor or admin
        #[arg(long)]
        role: String,
        /// What it is for; stands in the evidence as the actor
        #[arg(long, default_value = "")]
        label: String,
        /// Limit it to an entity; may be repeated
        #[arg(long = "entity")]
        entities: Vec<String>,
        /// Ends after this time, e.g. `90d`
        #[arg(long)]
        expires: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a calendar subscription and print its address once
    Calendar {
        #[arg(long)]
        config: PathBuf,
        /// What it is for, e.g. whose calendar
        #[arg(long, default_value = "")]
        label: String,
        /// Limit it to an entity; may be repeated
        #[arg(long = "entity")]
        entities: Vec<String>,
        /// Ends after this time; 400 days when left out
        #[arg(long)]
        expires: Option<String>,
    },
    /// End a token
    Revoke {
        #[arg(long)]
        config: PathBuf,
        id: String,
    },
    /// Every token, without its secret
    List {
        #[arg(long)]
        config: PathBuf,
        #[arg(long)]
        json: bool,
    },
}

pub fn run(command: Command) -> i32 {
    let path = match &command {
        Command::Create { config, .. }
        | Command::Calendar { config, .. }
        | Command::Revoke { config, .. }
        | Command::List { config, .. } => config.clone(),
    };
    let config = match super::configuration(&path) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let Ok(runtime) = super::serve::runtime() else { return exit::NEGATIVE };
    match config.store {
        StoreKind::Sqlite => runtime.block_on(run_in::<SqliteStore>(command, &config)),
        StoreKind::Postgres(_) => runtime.block_on(run_in::<PgStore>(command, &config)),
    }
}

async fn run_in<S: open::Backend>(command: Command, config: &Config) -> i32 {
    let house = match open::open::<S>(config).await {
        Ok(house) => house,
        Err(error) => {
            eprintln!("error: {}", error.text);
            return error.code;
        }
    };
    let (caller, now) = (Caller::system(), clock::now());
    let result = match command {
        Command::Create { role, label, entities, expires, json, .. } => {
            let Some(role) = Role::parse(&role) else {
                let allowed: Vec<&str> = Role::ALL.iter().map(|r| r.as_str()).collect();
                eprintln!("error: `{role}` is no role; it may be {}", allowed.join(", "));
                return exit::USAGE;
            };
            let expires_at = match expiry(expires.as_deref(), now) {
                Ok(at) => at,
                Err(code) => return code,
            };
            let label = if label.is_empty() { role.as_str().to_string() } else { label };
            house.create_token(&caller, role, &label, entities, expires_at, now).await.map(|(made, text)| match json {
                true => super::print_json(&serde_json::json!({
                    "id": made.id, "token": text, "role": made.role, "label": made.label,
                    "entities": made.entities, "expires_at": made.expires_at.map(crate::rules::utc),
                })),
                false => super::print(&format!("{text}\n")),
            })
        }
        Command::Calendar { label, entities, expires, .. } => {
            let expires_at = match expiry(expires.as_deref(), now) {
                Ok(at) => at,
                Err(code) => return code,
            };
            if let Some(id) = entities.iter().find(|id| config.entities.iter().all(|e| e.id.as_ref() != Some(*id))) {
                eprintln!("error: --entity: no [[entity]] has the id `{id}`");
                return exit::USAGE;
            }
            let caller = Caller { entities, ..caller };
            let made = house.create_calendar(&caller, &label, expires_at, now).await;
            made.map(|subscription| super::print(&format!("{}\n", subscription.url)))
        }
        Command::Revoke { id, .. } => house.revoke_token(&caller, &id, now).await,
        Command::List { json, .. } => house.tokens(&caller).await.map(|tokens| {
            if json {
                let rows: Vec<_> = tokens
                    .iter()
                    .map(|t| {
                        serde_json::json!({"id": t.id, "role": t.role, "label": t.label, "entities": t.entities,
                                "created_at": t.created_at, "expires_at": t.expires_at, "revoked_at": t.revoked_at})
                    })
                    .collect();
                super::print_json(&rows);
            } else {
                for t in tokens {
                    let state = if t.revoked_at.is_some() { "revoked" } else { "valid" };
                    super::print(&format!("{}  {:<10} {:<8} {}\n", t.id, t.role, state, t.label));
                }
            }
        }),
    };
    match result {
        Ok(()) => exit::DONE,
        Err(error) => {
            eprintln!("error: {error}");
            exit::NEGATIVE
        }
    }
}

/// When `--expires` ends.
fn expiry(text: Option<&str>, now: Timestamp) -> Result<Option<Timestamp>, i32> {
    let seconds = text.map(crate::escalation::duration).transpose().map_err(|error| {
        eprintln!("error: --expires: {error}");
        exit::USAGE
    })?;
    Ok(seconds.map(|seconds| now + chrono::Duration::seconds(seconds)))
}
