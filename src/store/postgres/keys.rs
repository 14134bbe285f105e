//! Data keys on a database server: in a schema of their own, or with `[store].keys` in another database, so that a dump of
//! the one holds nothing of the other.

use super::Result;
use super::batch::{all, run};
use super::pool::{Pool, backend, within};
use super::settings::Settings;
use crate::store::keys::{DataKey, Keeper, KeyId, Pool as Unused, Remembered, Sheet, missing};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Left out of a dump by `pg_dump --exclude-schema=breachclock_keys`.
const SCRIPT: &str = "
    CREATE SCHEMA IF NOT EXISTS breachclock_keys;
    CREATE TABLE IF NOT EXISTS breachclock_keys.sheet (number bigint PRIMARY KEY, wrapped bytea NOT NULL);
";
/// Two nodes that start together make the schema one after the other: `BCky`.
const LOCK: i64 = 0x4243_6b79;

/// The table, the keys that nobody has used, and the sheets that were read last.
pub(super) struct ServerKeys {
    keeper: Keeper,
    pool: Pool,
    unused: Mutex<Unused>,
    remembered: Mutex<Remembered>,
}

impl ServerKeys {
    /// # Errors
    /// When the keys there were wrapped under another key.
    pub async fn open(settings: &Settings, keeper: Keeper) -> Result<ServerKeys> {
        let pool = Pool::new(settings.keys())?;
        let any = within(async {
            let mut client = pool.get().await?;
            let sql = client.transaction().await.map_err(backend)?;
            run(&sql, "SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await.map_err(backend)?;
            sql.batch_execute(SCRIPT).await.map_err(backend)?;
            let any = all(&sql, "SELECT number, wrapped FROM breachclock_keys.sheet LIMIT 1", &[]).await;
            sql.commit().await.map_err(backend)?;
            any.map_err(backend)
        })
        .await?;
        for row in any {
            let (number, wrapped): (i64, &[u8]) = (row.try_get(0).map_err(backend)?, row.try_get(1).map_err(backend)?);
            Sheet::unwrap(number, wrapped, &keeper)?;
        }
        Ok(ServerKeys { keeper, pool, unused: Mutex::default(), remembered: Mutex::default() })
    }

    fn unused(&self) -> MutexGuard<'_, Unused> {
        self.unused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This many keys that were never used; makes a sheet when there are not enough.
    pub async fn take(&self, count: usize) -> Result<Vec<(KeyId, DataKey)>> {
        loop {
            if let Some(keys) = self.unused().take(count) {
                return Ok(keys);
            }
            // two callers may both make some: then there are more
            let sheets = self.unused().more(count, &self.keeper);
            let (numbers, wrapped): (Vec<i64>, Vec<Vec<u8>>) =
                sheets.iter().map(|(number, sheet)| (*number, sheet.wrap(*number, &self.keeper))).unzip();
            let insert = "INSERT INTO breachclock_keys.sheet (number, wrapped)
                          SELECT * FROM unnest($1::bigint[], $2::bytea[])";
            within(async { run(&self.pool.get().await?, insert, &[&numbers, &wrapped]).await.map_err(backend) })
                .await?;
            self.unused().add(sheets);
        }
    }

    /// The keys that are left of these.
    ///
    /// # Errors
    /// When a whole sheet is missing: keys are destroyed one by one, sheets are lost.
    pub async fn find(&self, ids: impl IntoIterator<Item = KeyId>) -> Result<BTreeMap<KeyId, DataKey>> {
        let ids: BTreeSet<KeyId> = ids.into_iter().collect();
        let wanted: BTreeSet<i64> = ids.iter().map(|id| id.sheet).collect();
        let mut sheets: BTreeMap<i64, Sheet> = BTreeMap::new();
        let unread: Vec<i64> = {
            let remembered = self.remembered();
            wanted.into_iter().filter(|number| remembered.get(*number).is_none()).collect()
        };
        if !unread.is_empty() {
            sheets = self.read(&unread).await?;
            if sheets.len() < unread.len() {
                return Err(missing());
            }
        }
        let mut remembered = self.remembered();
        let mut found = BTreeMap::new();
        for id in ids {
            let sheet = sheets.get(&id.sheet).or_else(|| remembered.get(id.sheet)).ok_or_else(missing)?;
            found.extend(sheet.key(id.place).map(|key| (id, key)));
        }
        sheets.into_iter().for_each(|(number, sheet)| remembered.put(number, sheet));
        Ok(found)
    }

    async fn read(&self, numbers: &[i64]) -> Result<BTreeMap<i64, Sheet>> {
        let select = "SELECT number, wrapped FROM breachclock_keys.sheet WHERE number = ANY ($1)";
        let rows = within(async { all(&self.pool.get().await?, select, &[&numbers]).await.map_err(backend) }).await?;
        let sheet = |row: &tokio_postgres::Row| {
            let (number, wrapped): (i64, &[u8]) = (row.try_get(0).map_err(backend)?, row.try_get(1).map_err(backend)?);
            Ok((number, Sheet::unwrap(number, wrapped, &self.keeper)?))
        };
        rows.iter().map(sheet).collect()
    }

    /// Destroys keys. Ones that are gone already are no error. The table is written anew, as the server keeps old rows for
    /// a while; what its own write-ahead log and its standbys keep is wrapped under the key-encryption key.
    pub async fn destroy(&self, ids: &[KeyId]) -> Result<()> {
        let mut places: BTreeMap<i64, Vec<u8>> = BTreeMap::new();
        ids.iter().for_each(|id| places.entry(id.sheet).or_default().push(id.place));
        within(async {
            let mut client = self.pool.get().await?;
            let sql = client.transaction().await.map_err(backend)?;
            for (number, places) in places {
                // nodes that destroy keys of one sheet do it one after the other
                let select = "SELECT wrapped FROM breachclock_keys.sheet WHERE number = $1 FOR UPDATE";
                let rows = all(&sql, select, &[&number]).await.map_err(backend)?;
                let Some(row) = rows.first() else { continue };
                let mut sheet = Sheet::unwrap(number, row.try_get(0).map_err(backend)?, &self.keeper)?;
                places.into_iter().for_each(|place| sheet.destroy(place));
                let wrapped = sheet.wrap(number, &self.keeper);
                let update = "UPDATE breachclock_keys.sheet SET wrapped = $2 WHERE number = $1";
                run(&sql, update, &[&number, &wrapped]).await.map_err(backend)?;
            }
            sql.commit().await.map_err(backend)?;
            client.batch_execute("VACUUM FULL breachclock_keys.sheet").await.map_err(backend)
        })
        .await?;
        self.remembered().forget();
        Ok(())
    }
}
