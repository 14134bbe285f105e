//! `[store]`: which backend keeps the data.

use super::Checker;
use crate::store::postgres;
use serde::Deserialize;
use std::path::PathBuf;

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStore {
    url: String,
    password: Option<String>,
    ca_file: Option<PathBuf>,
    /// Another database, for the data keys of the disclosures.
    keys: Option<String>,
}

/// Where incidents, messages and the evidence log are kept. Keys and rule texts stay in the data folder in any case.
#[derive(Clone, Debug)]
pub enum StoreKind {
    /// One file in the data folder.
    Sqlite,
    /// A database that several nodes may share.
    Postgres(Box<postgres::Settings>),
}

impl Checker<'_> {
    pub(super) fn store(&mut self, raw: Option<RawStore>) -> StoreKind {
        let Some(RawStore { url: written, password, ca_file, keys }) = raw.filter(|raw| raw.url != "sqlite") else {
            return StoreKind::Sqlite;
        };
        // the whole URL may be a secret, or only the password
        let url = self.secret(&written).0;
        let password = password.map(|password| self.secret(&password).0);
        if url.is_empty() {
            return StoreKind::Sqlite; // the fault is told already
        }
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            // what follows the scheme may hold a password
            let scheme = url.split(':').next().unwrap_or_default();
            self.fault(&written, format!("`[store].url` begins with `{scheme}`; write `sqlite` or `postgres://…`"));
            return StoreKind::Sqlite;
        }
        let ca_file = ca_file.map(|file| self.base.join(file));
        let keys = keys.and_then(|written| {
            let url = self.secret(&written).0;
            let parsed = postgres::Settings::parse(&url, None, ca_file.as_deref());
            parsed.map_err(|why| self.fault(&written, format!("`[store].keys` {why}"))).ok()
        });
        match postgres::Settings::parse(&url, password.as_deref(), ca_file.as_deref()) {
            Ok(settings) => StoreKind::Postgres(Box::new(match keys {
                Some(keys) => settings.with_keys(keys),
                None => settings,
            })),
            Err(why) => {
                self.fault(&written, format!("`[store].url` {why}"));
                StoreKind::Sqlite
            }
        }
    }
}
