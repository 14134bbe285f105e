//! Data keys in a file of their own beside the database: another file, so that a copy of the one holds nothing of the other.
//!
//! After a key is destroyed the file is written anew: SQLite overwrites what it frees, but not the copies that moving rows
//! between pages leaves behind.

use super::super::keys::{DataKey, Keeper, KeyId, Pool, Remembered, Sheet, missing};
use super::{Result, backend, settings};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

const FILE: &str = "keys.db";
/// `BCky`: what `file` and `PRAGMA application_id` show.
const APPLICATION_ID: i64 = 0x4243_6b79;

/// The file, the keys that nobody has used, and the sheets that were read last.
pub(super) struct FileKeys {
    keeper: Keeper,
    pool: Mutex<Pool>,
    file: Mutex<Shelf>,
}

impl fmt::Debug for FileKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileKeys(..)")
    }
}

struct Shelf {
    sql: Connection,
    remembered: Remembered,
}

impl FileKeys {
    /// Opens the keys of the store in `dir`, and makes the file when there is none.
    ///
    /// # Errors
    /// When it belongs to another program, or was wrapped under another key.
    pub fn open(dir: &Path, keeper: Keeper) -> Result<FileKeys> {
        let file = dir.join(FILE);
        settings::make_private(&file)?;
        let sql = settings::keys(&file)?;
        let number =
            |pragma: &str| sql.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, i64>(0)).map_err(backend);
        let tables: i64 = sql.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(backend)?;
        if tables > 0 && number("application_id")? != APPLICATION_ID {
            return Err(super::StoreError::Backend(format!("`{}` belongs to another program", file.display())));
        }
        sql.execute_batch(&format!(
            "BEGIN IMMEDIATE;
             PRAGMA application_id = {APPLICATION_ID};
             CREATE TABLE IF NOT EXISTS sheet (number INTEGER PRIMARY KEY, wrapped BLOB NOT NULL) STRICT;
             COMMIT;"
        ))
        .map_err(backend)?;
        let any: Option<(i64, Vec<u8>)> = sql
            .query_row("SELECT number, wrapped FROM sheet LIMIT 1", [], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
            .map_err(backend)?;
        if let Some((number, wrapped)) = any {
            Sheet::unwrap(number, &wrapped, &keeper)?;
        }
        let file = Mutex::new(Shelf { sql, remembered: Remembered::default() });
        Ok(FileKeys { keeper, pool: Mutex::default(), file })
    }

    fn file(&self) -> MutexGuard<'_, Shelf> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This many keys that were never used. Blocks for one durable write when a sheet has to be made.
    pub fn take(&self, count: usize) -> Result<Vec<(KeyId, DataKey)>> {
        let pool = || self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(keys) = pool().take(count) {
            return Ok(keys);
        }
        let mut shelf = self.file();
        loop {
            // somebody else may have made some while we waited for the file
            if let Some(keys) = pool().take(count) {
                return Ok(keys);
            }
            let sheets = pool().more(count, &self.keeper);
            let made = shelf.sql.transaction().map_err(backend)?;
            for (number, sheet) in &sheets {
                made.prepare_cached("INSERT INTO sheet (number, wrapped) VALUES (?1, ?2)")
                    .and_then(|mut insert| insert.execute(params![number, sheet.wrap(*number, &self.keeper)]))
                    .map_err(backend)?;
            }
            made.commit().map_err(backend)?;
            pool().add(sheets);
        }
    }

    /// The keys that are left of these.
    ///
    /// # Errors
    /// When a whole sheet is missing: keys are destroyed one by one, sheets are lost.
    pub fn find(&self, ids: impl IntoIterator<Item = KeyId>) -> Result<BTreeMap<KeyId, DataKey>> {
        let mut shelf = self.file();
        let mut found = BTreeMap::new();
        for id in ids.into_iter().collect::<BTreeSet<_>>() {
            if shelf.remembered.get(id.sheet).is_none() {
                let sheet = shelf.read(id.sheet, &self.keeper)?.ok_or_else(missing)?;
                shelf.remembered.put(id.sheet, sheet);
            }
            let key = shelf.remembered.get(id.sheet).and_then(|sheet| sheet.key(id.place));
            found.extend(key.map(|key| (id, key)));
        }
        Ok(found)
    }

    /// Destroys keys: when this returns they are in no file. Ones that are gone already are no error.
    pub fn destroy(&self, ids: &[KeyId]) -> Result<()> {
        let mut places: BTreeMap<i64, Vec<u8>> = BTreeMap::new();
        ids.iter().for_each(|id| places.entry(id.sheet).or_default().push(id.place));
        let mut shelf = self.file();
        shelf.remembered.forget();
        let mut sheets = Vec::with_capacity(places.len());
        for (number, places) in places {
            let Some(mut sheet) = shelf.read(number, &self.keeper)? else { continue };
            places.into_iter().for_each(|place| sheet.destroy(place));
            sheets.push((number, sheet.wrap(number, &self.keeper)));
        }
        let done = shelf.sql.transaction().map_err(backend)?;
        for (number, wrapped) in sheets {
            done.prepare_cached("UPDATE sheet SET wrapped = ?2 WHERE number = ?1")
                .and_then(|mut update| update.execute(params![number, wrapped]))
                .map_err(backend)?;
        }
        done.commit().map_err(backend)?;
        shelf.sql.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);").map_err(backend)
    }
}

impl Shelf {
    fn read(&self, number: i64, keeper: &Keeper) -> Result<Option<Sheet>> {
        let wrapped: Option<Vec<u8>> = self
            .sql
            .prepare_cached("SELECT wrapped FROM sheet WHERE number = ?1")
            .and_then(|mut find| find.query_row([number], |row| row.get(0)).optional())
            .map_err(backend)?;
        wrapped.map(|wrapped| Sheet::unwrap(number, &wrapped, keeper)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::sha256;

    #[test]
    fn keys_are_found_again_until_they_are_destroyed() {
        let dir = tempfile::tempdir().expect("a folder");
        let open = || FileKeys::open(dir.path(), Keeper::of_tests()).expect("opens");
        let keys = open();
        let taken = keys.take(600).expect("keys");
        let value = |n: usize| format!("value {n}").into_bytes();
        let sealed: Vec<Vec<u8>> =
            taken.iter().enumerate().map(|(n, (_, key))| key.seal(&sha256(&value(n)), &value(n))).collect();
        drop(keys);
        let keys = open();
        let ids = || taken.iter().map(|(id, _)| *id);
        let found = keys.find(ids()).expect("found");
        for (n, (id, _)) in taken.iter().enumerate() {
            assert_eq!(found[id].open(&sha256(&value(n)), &sealed[n]), Some(value(n)));
        }
        let gone = [taken[3].0, taken[500].0];
        keys.destroy(&gone).expect("destroyed");
        keys.destroy(&gone).expect("and again");
        for keys in [&keys, &open()] {
            let found = keys.find(ids()).expect("found");
            assert_eq!(found.len(), 598);
            assert!(gone.iter().all(|id| !found.contains_key(id)));
        }
        let fresh: BTreeSet<KeyId> = open().take(600).expect("keys").into_iter().map(|(id, _)| id).collect();
        assert!(ids().all(|id| !fresh.contains(&id)), "a key was handed out twice");
        assert!(keys.find([KeyId { sheet: 1, place: 0 }]).is_err(), "a lost sheet is not an erased value");
    }

    #[test]
    fn another_key_encryption_key_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let open = |kek: u8| FileKeys::open(dir.path(), Keeper::new([kek; 32], |bytes| bytes.fill(9)));
        open(1).expect("opens").take(1).expect("a key");
        let error = open(2).map(drop).expect_err("refused").to_string();
        assert!(error.contains("keys/disclosures.key"), "{error}");
        open(1).expect("opens again");
    }
}
