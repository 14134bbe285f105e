//! Numbered scripts, only ever added; each is run once, and recorded with its SHA-256. Nodes that start together do it
//! one after the other.

use super::batch::{all, maybe, one, run};
use super::pool::backend;
use super::settings::SCHEMA;
use super::{Result, StoreError};
use crate::evidence::sha256;
use deadpool_postgres::{Object, Transaction};

/// Held during a migration, until its transaction ends: `BClk`.
const LOCK: i64 = 0x4243_6c6b;

/// The oldest server with everything that is used here and that its makers still looked after when this was written.
const OLDEST: i32 = 13;

/// Name and text, in order; number `n` stands at `n - 1`.
const SCRIPTS: &[(&str, &str)] = &[
    ("0001_first", include_str!("migrations/0001_first.sql")),
    ("0002_anchor", include_str!("migrations/0002_anchor.sql")),
    ("0003_sealed", include_str!("migrations/0003_sealed.sql")),
    ("0004_account", include_str!("migrations/0004_account.sql")),
];

/// Brings the database to the newest form, in one transaction. Refuses a server that is too old, a database that is not
/// UTF-8, a schema of another program, of a newer version, and one whose scripts were changed after they ran.
pub(super) async fn migrate(client: &mut Object) -> Result<()> {
    let sql = client.transaction().await.map_err(backend)?;
    run(&sql, "SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await.map_err(backend)?;
    check_server(&sql).await?;
    let done = forms(&sql).await?;
    if done.len() > SCRIPTS.len() {
        return Err(StoreError::Backend(format!(
            "the database has form {}, this version knows {}; run a newer one",
            done.len(),
            SCRIPTS.len()
        )));
    }
    for (at, (name, script)) in SCRIPTS.iter().enumerate() {
        let sum = sha256(script.as_bytes());
        match done.get(at) {
            Some(recorded) if recorded[..] == sum => continue,
            Some(_) => {
                return Err(StoreError::Backend(format!(
                    "migration `{name}` ran in another text; run the version that made the database"
                )));
            }
            None => {
                sql.batch_execute(script).await.map_err(backend)?;
                let number = at as i32 + 1;
                run(
                    &sql,
                    "INSERT INTO migration (number, name, sha256) VALUES ($1, $2, $3)",
                    &[&number, name, &&sum[..]],
                )
                .await
                .map_err(backend)?;
            }
        }
    }
    sql.commit().await.map_err(backend)
}

async fn check_server(sql: &Transaction<'_>) -> Result<()> {
    let row = one(
        sql,
        "SELECT current_setting('server_version_num')::integer / 10000, current_setting('server_encoding'),
                current_setting('fsync')",
        &[],
    )
    .await
    .map_err(backend)?;
    let (version, encoding, fsync): (i32, String, String) = (row.get(0), row.get(1), row.get(2));
    if version < OLDEST {
        return Err(StoreError::Backend(format!("the server is PostgreSQL {version}; use {OLDEST} or newer")));
    }
    if encoding != "UTF8" {
        return Err(StoreError::Backend(format!(
            "the database is encoded as `{encoding}`; make one with `createdb --encoding=UTF8 --template=template0`"
        )));
    }
    if fsync == "off" {
        tracing::warn!("the server runs with fsync=off: what it says it keeps can be lost with the power");
    }
    Ok(())
}

/// Hashes of the scripts that ran. Makes the schema and the table of migrations when there is neither.
async fn forms(sql: &Transaction<'_>) -> Result<Vec<Vec<u8>>> {
    let known = "SELECT count(*), count(*) FILTER (WHERE relname = 'migration')
                 FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE nspname = $1";
    let row = one(sql, known, &[&SCHEMA]).await.map_err(backend)?;
    let (relations, migration): (i64, i64) = (row.get(0), row.get(1));
    if migration == 0 {
        if relations > 0 {
            return Err(StoreError::Backend(format!(
                "the schema `{SCHEMA}` of the database belongs to another program; choose another database"
            )));
        }
        let schema = maybe(sql, "SELECT 1 FROM pg_namespace WHERE nspname = $1", &[&SCHEMA]).await.map_err(backend)?;
        if schema.is_none() {
            sql.batch_execute(&format!("CREATE SCHEMA {SCHEMA}")).await.map_err(backend)?;
        }
        let table = "CREATE TABLE migration (number integer PRIMARY KEY, name text NOT NULL, sha256 bytea NOT NULL)";
        sql.batch_execute(table).await.map_err(backend)?;
    }
    let rows = all(sql, "SELECT sha256 FROM migration ORDER BY number", &[]).await.map_err(backend)?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
