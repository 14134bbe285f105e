//! Erasure in the database: the rows without the values, then the keys, then the space that old rows take.

use super::batch::{Batch, all, maybe, run};
use super::commit::write_incident;
use super::keys::ServerKeys;
use super::pool::{Sql, backend, within};
use super::{Result, text};
use crate::store::keys::KeyId;
use crate::store::prepared::{PreparedErasure, PreparedText};
use crate::store::sealed;
use deadpool_postgres::Object;

/// Entries whose disclosures are sealed in one transaction, when they are sealed afterwards.
const STEP: i64 = 1000;

/// Writes an incident without the values and answers its new version.
pub(super) async fn write(batch: &mut Batch<'_>, erasure: &PreparedErasure) -> Sql<Result<u64>> {
    let version = match write_incident(batch, &erasure.incident).await? {
        Ok(version) => version,
        Err(refused) => return Ok(Err(refused)),
    };
    let row = batch.row(&erasure.incident.id);
    let sql = &batch.sql;
    let select =
        "SELECT disclosure.idx, body FROM entry JOIN disclosure ON disclosure.idx = entry.idx WHERE stream = $1";
    for found in all(sql, select, &[&row]).await? {
        let (idx, body): (i64, &[u8]) = (found.try_get(0)?, found.try_get(1)?);
        let (rest, keys) = match sealed::without(body, &erasure.commitments) {
            Ok(parts) => parts,
            Err(error) => return Ok(Err(error)),
        };
        if keys.is_empty() {
            continue;
        }
        match rest {
            Some(body) => run(sql, "UPDATE disclosure SET body = $2 WHERE idx = $1", &[&idx, &body]).await?,
            None => run(sql, "DELETE FROM disclosure WHERE idx = $1", &[&idx]).await?,
        };
        let (sheets, places): (Vec<i64>, Vec<i32>) = keys.iter().map(|key| (key.sheet, i32::from(key.place))).unzip();
        let doom = "INSERT INTO key_to_destroy (sheet, place) SELECT * FROM unnest($1::bigint[], $2::integer[])
                    ON CONFLICT DO NOTHING";
        run(sql, doom, &[&sheets, &places]).await?;
    }
    // no key: it says that tables are to be cleared, also when no disclosure was among the erased values
    run(sql, "INSERT INTO key_to_destroy (sheet, place) VALUES (0, 0) ON CONFLICT DO NOTHING", &[]).await?;
    for PreparedText { stream, key, body, detail } in &erasure.messages {
        let detail = detail.as_deref().map(text);
        let update = "UPDATE message SET body = $3
                      WHERE incident = (SELECT id FROM stream WHERE name = $1) AND key = $2 RETURNING id";
        if let Some(found) = maybe(sql, update, &[stream, &&key[..], body]).await? {
            let id: i64 = found.try_get(0)?;
            run(sql, "UPDATE outbox SET detail = $2 WHERE id = $1", &[&id, &detail]).await?;
        }
    }
    run(sql, "UPDATE accepted SET request = NULL WHERE incident = $1", &[&row]).await?;
    if let Some(key) = &erasure.reference {
        run(sql, "DELETE FROM accepted WHERE key = $2 AND incident = $1", &[&row, &&key[..]]).await?;
    }
    Ok(Ok(version))
}

/// After an erasure was committed: destroys the keys and lets the server clear old rows. May be repeated.
pub(super) async fn clear(client: &Object, keys: &ServerKeys) -> Result<()> {
    let rows = within(async { all(client, "SELECT sheet, place FROM key_to_destroy", &[]).await.map_err(backend) });
    let rows = rows.await?;
    if rows.is_empty() {
        return Ok(());
    }
    let mut doomed = Vec::with_capacity(rows.len());
    for row in &rows {
        let (sheet, place): (i64, i32) = (row.try_get(0).map_err(backend)?, row.try_get(1).map_err(backend)?);
        doomed.push(KeyId { sheet, place: u8::try_from(place).unwrap_or(u8::MAX) });
    }
    keys.destroy(&doomed).await?;
    let (sheets, places): (Vec<i64>, Vec<i32>) = doomed.iter().map(|id| (id.sheet, i32::from(id.place))).unzip();
    let delete = "DELETE FROM key_to_destroy USING unnest($1::bigint[], $2::integer[]) AS done (sheet, place)
                  WHERE key_to_destroy.sheet = done.sheet AND key_to_destroy.place = done.place";
    within(async {
        client.batch_execute("VACUUM record, message, outbox, disclosure, accepted").await.map_err(backend)?;
        run(client, delete, &[&sheets, &places]).await.map_err(backend)
    })
    .await?;
    Ok(())
}

/// Seals what an earlier version stored in clear. Nodes that start together do it one after the other.
pub(super) async fn seal_plain(client: &mut Object, keys: &ServerKeys) -> Result<()> {
    let mut sealed_some = false;
    loop {
        let sql = client.transaction().await.map_err(backend)?;
        let select = "SELECT idx, body FROM disclosure_plain ORDER BY idx LIMIT $1 FOR UPDATE";
        let rows = all(&sql, select, &[&STEP]).await.map_err(backend)?;
        if rows.is_empty() {
            break;
        }
        let (mut places, mut bodies) = (Vec::new(), Vec::new());
        for row in &rows {
            let disclosures = sealed::read_plain(row.try_get(1).map_err(backend)?)?;
            let mut taken = keys.take(disclosures.len()).await?.into_iter();
            places.push(row.try_get::<_, i64>(0).map_err(backend)?);
            bodies.push(sealed::seal(&disclosures, &mut taken));
        }
        let insert = "INSERT INTO disclosure (idx, body) SELECT * FROM unnest($1::bigint[], $2::bytea[])";
        run(&sql, insert, &[&places, &bodies]).await.map_err(backend)?;
        run(&sql, "DELETE FROM disclosure_plain WHERE idx = ANY ($1)", &[&places]).await.map_err(backend)?;
        sql.commit().await.map_err(backend)?;
        sealed_some = true;
    }
    if sealed_some {
        tracing::info!("the disclosures that were stored in clear are sealed now");
        client.batch_execute("VACUUM FULL disclosure_plain").await.map_err(backend)?;
    }
    Ok(())
}
