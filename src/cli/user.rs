//! `user`: accounts, in the store itself; see `token` for when the daemon may run meanwhile.

use super::exit;
use crate::config::{Config, StoreKind};
use crate::daemon::{clock, open};
use crate::store::{PgStore, SqliteStore};
use crate::workflow::{AccountChange, AccountView, Caller, NewAccount};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Where {
    #[arg(long)]
    config: PathBuf,
}

#[derive(clap::Subcommand)]
pub enum Command {
    /// Make an account and print the address of its invitation once
    Create {
        #[command(flatten)]
        at: Where,
        /// What the person types to log in: a-z, 0-9, `.`, `_`, `-`
        login: String,
        /// reporter, responder, approver, auditor or admin
        #[arg(long)]
        role: String,
        /// The person's name; the login when left out
        #[arg(long)]
        name: Option<String>,
        /// Id of the [[person]] whose acts these are
        #[arg(long)]
        person: Option<String>,
        /// Limit it to an entity; may be repeated
        #[arg(long = "entity")]
        entities: Vec<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Change role, entities, name or person
    Change {
        #[command(flatten)]
        at: Where,
        login: String,
        #[arg(long)]
        role: Option<String>,
        #[arg(long)]
        name: Option<String>,
        /// An empty one takes the person away
        #[arg(long)]
        person: Option<String>,
        /// Limit it to these entities
        #[arg(long = "entity", conflicts_with = "all_entities")]
        entities: Vec<String>,
        /// Limit it no longer
        #[arg(long)]
        all_entities: bool,
    },
    /// Another invitation, for one that was lost or a password that was forgotten
    Invite {
        #[command(flatten)]
        at: Where,
        login: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// End every session, and let nobody in with this account
    Disable {
        #[command(flatten)]
        at: Where,
        login: String,
    },
    /// Let the account in again
    Enable {
        #[command(flatten)]
        at: Where,
        login: String,
    },
    /// Every account
    List {
        #[command(flatten)]
        at: Where,
        #[arg(long)]
        json: bool,
    },
}

pub fn run(command: Command) -> i32 {
    let (Command::Create { at, .. }
    | Command::Change { at, .. }
    | Command::Invite { at, .. }
    | Command::Disable { at, .. }
    | Command::Enable { at, .. }
    | Command::List { at, .. }) = &command;
    let config = match super::configuration(&at.config) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let Ok(runtime) = super::serve::runtime() else { return exit::NEGATIVE };
    match config.store {
        StoreKind::Sqlite => runtime.block_on(run_in::<SqliteStore>(command, &config)),
        StoreKind::Postgres(_) => runtime.block_on(run_in::<PgStore>(command, &config)),
    }
}

fn invited((account, invitation): (AccountView, String), json: bool) {
    match json {
        true => super::print_json(&serde_json::json!({ "account": account, "invitation": invitation })),
        false => super::print(&format!("{invitation}\n")),
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
    let disabled = |disabled| AccountChange { disabled: Some(disabled), ..AccountChange::default() };
    let done = match command {
        Command::Create { login, role, name, person, entities, json, .. } => {
            let name = name.unwrap_or_else(|| login.clone());
            let made = house.create_account(&caller, NewAccount { login, name, person, role, entities }, now).await;
            made.map(|made| invited(made, json))
        }
        Command::Change { login, role, name, person, entities, all_entities, .. } => {
            let entities = (all_entities || !entities.is_empty()).then_some(entities);
            let change = AccountChange { name, person, role, entities, disabled: None };
            house.change_account(&caller, &login, change, now).await.map(drop)
        }
        Command::Invite { login, json, .. } => {
            let made = house.invite(&caller, &login, now).await;
            made.map(|made| invited(made, json))
        }
        Command::Disable { login, .. } => house.change_account(&caller, &login, disabled(true), now).await.map(drop),
        Command::Enable { login, .. } => house.change_account(&caller, &login, disabled(false), now).await.map(drop),
        Command::List { json, .. } => house.accounts(&caller).await.map(|accounts| {
            if json {
                return super::print_json(&accounts);
            }
            for a in accounts {
                let scope = if a.entities.is_empty() { "all".to_string() } else { a.entities.join(",") };
                super::print(&format!("{:<20} {:<10} {:<8} {:<16} {}\n", a.login, a.role, a.state, scope, a.name));
            }
        }),
    };
    match done {
        Ok(()) => exit::DONE,
        Err(trouble @ crate::workflow::Trouble::Rejected(_)) => {
            eprintln!("error: {trouble}");
            exit::REJECTED
        }
        Err(trouble) => {
            eprintln!("error: {trouble}");
            exit::NEGATIVE
        }
    }
}
