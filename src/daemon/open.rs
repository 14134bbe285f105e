//! Opening a house: data folder, keys, rule packs, store; with the log checked against its last signed checkpoint.

use super::backup::restore;
use super::ids::SystemEntropy;
use super::shelf::FolderShelf;
use super::{clock, keys, packs};
use crate::config::{Config, StoreKind};
use crate::draft::Forms;
use crate::evidence::{Made, PublicKey};
use crate::notify;
use crate::notify::identity::Provider;
use crate::rules::{Fault, Rulebook, SourceFile};
use crate::store::{Keeper, PgStore, ReadOnly, SqliteStore, Store, StoreError};
use crate::workflow::fsck::StoreReport;
use crate::workflow::{self, Exercise, House, Settings, Stats, replay};
use crate::workflow::{Doors, Federation};
use std::os::unix::fs::DirBuilderExt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, RwLock};

/// Why a house could not be opened, with the exit code of the contract.
#[derive(Debug)]
pub struct OpenError {
    pub code: i32,
    pub text: String,
}

impl OpenError {
    fn config(text: impl Into<String>) -> OpenError {
        OpenError { code: 78, text: text.into() }
    }
}

/// A store that a configuration can name. Callers choose it once: `match config.store`.
pub trait Backend: Store + Sized {
    /// Opens what `config` names; `key` signs the checkpoints of its log, `keeper` wraps its data keys.
    fn open_for(
        config: &Config,
        key: &PublicKey,
        keeper: Keeper,
    ) -> impl Future<Output = Result<Self, StoreError>> + Send;

    /// The same for looking, also when the log is damaged at its end.
    fn open_damaged(
        config: &Config,
        key: &PublicKey,
        keeper: Keeper,
    ) -> impl Future<Output = Result<Self, StoreError>> + Send {
        Self::open_for(config, key, keeper)
    }
}

impl Backend for SqliteStore {
    // its log shows by its checkpoints whose it is, see `House::check_log`
    async fn open_for(config: &Config, _key: &PublicKey, keeper: Keeper) -> Result<SqliteStore, StoreError> {
        SqliteStore::open_with(&config.data_dir, &config.origin, keeper)
    }

    async fn open_damaged(config: &Config, _key: &PublicKey, keeper: Keeper) -> Result<SqliteStore, StoreError> {
        SqliteStore::open_damaged(&config.data_dir, &config.origin, keeper)
    }
}

impl Backend for PgStore {
    async fn open_for(config: &Config, key: &PublicKey, keeper: Keeper) -> Result<PgStore, StoreError> {
        match &config.store {
            StoreKind::Postgres(settings) => PgStore::open(settings, &config.origin, key, keeper).await,
            StoreKind::Sqlite => Err(StoreError::Backend("`[store].url` names no PostgreSQL database".into())),
        }
    }
}

/// Opens everything a configuration names. Refuses a log whose root does not match its last signed checkpoint.
pub async fn open<S: Backend>(config: &Config) -> Result<House<S>, OpenError> {
    let mut house = assemble(config, async |key: &PublicKey, keeper| S::open_for(config, key, keeper).await).await?;
    house.check_log().await.map_err(|text| OpenError {
        code: 1,
        text: format!("{text}. `breachclock serve --read-only` shows what is there, and writes nothing"),
    })?;
    house.stats.last_verification.store(clock::now().timestamp_micros(), Ordering::Relaxed);
    let changes = house.find_key_changes().await;
    house.key_changes = changes.map_err(|error| OpenError { code: 1, text: error.to_string() })?;
    Ok(house)
}

/// Opens a house to look at: nothing is written to its log, whatever state that is in. Answers what is wrong with it.
pub async fn open_to_read<S: Backend>(config: &Config) -> Result<(House<ReadOnly<S>>, Option<String>), OpenError> {
    if matches!(config.store, StoreKind::Sqlite) && !config.data_dir.join(crate::store::sqlite::FILE).exists() {
        return Err(OpenError::config(format!("there is no database in `{}`", config.data_dir.display())));
    }
    let open = async |key: &PublicKey, keeper| S::open_damaged(config, key, keeper).await.map(ReadOnly);
    let mut house = assemble(config, open).await?;
    // what is damaged may not tell
    house.key_changes = house.find_key_changes().await.unwrap_or_default();
    let wrong = house.check_log().await.err();
    Ok((house, wrong))
}

/// A house around the store that `opened` gives. The log is not checked.
async fn assemble<S: Store>(
    config: &Config,
    opened: impl AsyncFnOnce(&PublicKey, Keeper) -> Result<S, StoreError>,
) -> Result<House<S>, OpenError> {
    if restore::is_unfinished(&config.data_dir) {
        return Err(OpenError {
            code: 1,
            text: format!(
                "a restore into `{}` was begun and did not come to its end; run `breachclock restore` again",
                config.data_dir.display()
            ),
        });
    }
    let (book, files, forms) = load_rules(config)?;
    // evidence and keys are for the daemon alone; a folder that is there keeps the rights its owner gave it
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&config.data_dir).map_err(|error| {
        OpenError::config(format!("the data folder `{}` cannot be made: {error}", config.data_dir.display()))
    })?;
    let archive = packs::archive(&config.data_dir, &files).map_err(|error| {
        OpenError::config(format!("the rule texts cannot be kept in `{}`: {error}", config.data_dir.display()))
    })?;
    let entropy = SystemEntropy::new();
    let key = if config.drill { keys::beside } else { keys::load_or_create };
    let log_key = key(&config.data_dir, "log", &entropy).map_err(OpenError::config)?;
    let export_key = key(&config.data_dir, "export", &entropy).map_err(OpenError::config)?;
    let keeper = keys::keeper(&config.data_dir, config.drill, &entropy).map_err(OpenError::config)?;
    let store = opened(&log_key.public(), keeper).await.map_err(|error| OpenError {
        code: if matches!(error, StoreError::Locked(_)) { 69 } else { 1 },
        text: error.to_string(),
    })?;
    let house = House {
        store: Arc::new(store),
        book: RwLock::new(Arc::new(book)),
        forms: RwLock::new(Arc::new(forms)),
        settings: Settings {
            origin: config.origin.clone(),
            public_url: config.public_url.clone(),
            entities: config.entities.clone(),
            directory: config.directory.clone(),
            policies: config.policies.clone(),
            routes: config.routes.clone(),
            webhooks: config.webhooks.iter().map(|w| (w.id.clone(), w.events.clone())).collect(),
            ingest: config.ingest.clone(),
            drill: config.drill.then_some(Exercise { wall: clock::wall_of }),
            overview: crate::config::overview(config),
        },
        entropy: Box::new(entropy),
        log_key,
        export_key,
        archive,
        attachments: Arc::new(FolderShelf::of(&config.data_dir)),
        earlier: Default::default(),
        changed: tokio::sync::watch::channel(0).0,
        stats: Stats::default(),
        key_changes: Vec::new(),
        anchors: super::anchor::authorities(config).map_err(OpenError::config)?,
        witnesses: super::anchor::witnesses(config).map_err(OpenError::config)?,
        doors: doors(config).map_err(OpenError::config)?,
    };
    Ok(house)
}

/// The rule packs of a configuration, which name everything the configuration does.
fn load_rules(config: &Config) -> Result<(Rulebook, Vec<SourceFile>, Forms), OpenError> {
    let faulty = |faults: Vec<Fault>| {
        let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
        OpenError::config(format!("the rule packs have faults:\n{}", lines.join("\n")))
    };
    let (book, files) = packs::of_config(config).map_err(faulty)?;
    let forms = packs::forms(&book, &files).map_err(faulty)?;
    let faults = crate::config::check_against(config, &book);
    if !faults.is_empty() {
        let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
        return Err(OpenError::config(lines.join("\n")));
    }
    Ok((book, files, forms))
}

/// The rule packs of a configuration; nothing is kept of them.
pub fn rulebook(config: &Config) -> Result<Rulebook, OpenError> {
    load_rules(config).map(|(book, ..)| book)
}

/// The rule packs and forms of a configuration, read and checked again; texts of packs are kept for exports.
pub fn rules(config: &Config) -> Result<(Rulebook, Forms), OpenError> {
    let (book, files, forms) = load_rules(config)?;
    // only the texts on disk are needed: the house's finder reads the same folder
    let _finder = packs::archive(&config.data_dir, &files)
        .map_err(|error| OpenError::config(format!("the rule texts cannot be kept: {error}")))?;
    Ok((book, forms))
}

/// The settings of `notify`, from the configuration.
pub fn notify_settings(config: &Config) -> notify::Settings {
    notify::Settings {
        smtp: config.mail.as_ref().map(|m| notify::email::Settings {
            url: m.url.clone(),
            from: m.from.clone(),
            username: m.username.clone(),
            password: m.password.as_ref().map(|p| notify::Secret::new(p.0.clone())),
            ca_file: m.ca_file.clone(),
            hello: None,
            connections: 4,
            receipts: m.receipts,
            read_receipts: m.read_receipts,
        }),
        webhooks: config
            .webhooks
            .iter()
            .map(|w| notify::webhook::Settings {
                id: w.id.clone(),
                url: w.url.clone(),
                secret: notify::Secret::new(w.secret.0.clone()),
                events: w.events.clone(),
                allow_private: w.allow_private,
                allow_hosts: w.allow_hosts.clone(),
                ca_file: None,
            })
            .collect(),
        channels: config.channels.clone(),
    }
}

/// Who may come in, and the provider that says who somebody is.
fn doors(config: &Config) -> Result<Doors, String> {
    let federation = config.oidc.as_ref().map(|oidc| {
        let provider = Provider::from_settings(&oidc.provider, oidc.client_secret.0.clone());
        let provider = provider.map_err(|fault| format!("`[oidc]`: {}", fault.problem))?;
        Ok::<_, String>(Arc::new(Federation { provider, meaning: oidc.meaning.clone() }))
    });
    let mut doors = Doors::new(config.require_factor);
    doors.second_approver = config.require_second_approver;
    doors.federation = federation.transpose()?;
    Ok(doors)
}

/// Records the start: version, rule packs, zone data. Everything later in the log was decided with these.
pub async fn record_start<S: Store>(house: &House<S>) -> Result<(), String> {
    let now = clock::now();
    house.clock_against_log(now).await.map_err(|error| error.to_string())?;
    let book = house.book();
    let detail = crate::detail! {
        "version": env!("CARGO_PKG_VERSION"),
        "rulebook": Made::of(crate::rules::hex(&book.sha256)),
        "rulebook_version": Made::of(book.version.clone()),
        "tzdb": crate::time::tzdb_version(),
    };
    house.record_system("daemon.started", detail, now).await.map_err(|error| error.to_string())
}

/// Rebuilds log, tree and records from the entries and compares; nothing is written. With `replay`, computes every deadline
/// again. A data folder with SQLite must not be in use; a PostgreSQL database may be.
pub async fn fsck<S: Backend>(config: &Config, replay: bool) -> Result<StoreReport, OpenError> {
    let broken = |error: &dyn std::fmt::Display| OpenError { code: 1, text: error.to_string() };
    let log_key = keys::load_or_create(&config.data_dir, "log", &SystemEntropy::new()).map_err(OpenError::config)?;
    let keeper = keys::keeper(&config.data_dir, config.drill, &SystemEntropy::new()).map_err(OpenError::config)?;
    let store = S::open_for(config, &log_key.public(), keeper).await.map_err(|e| broken(&e))?;
    let rules = config.data_dir.join("rules");
    let mut books =
        replay::books(move |hash| std::fs::read(rules.join(format!("{}.json", crate::rules::hex(hash)))).ok());
    let books: Option<&mut replay::Books<'_>> = if replay { Some(&mut books) } else { None };
    workflow::fsck::check(&store, &config.origin, &log_key.public(), books).await.map_err(|e| broken(&e))
}
