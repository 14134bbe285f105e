//! Connections: made when needed, asked whether they live before each use, replaced when they do not. A lost server is
//! an error of the calls under way; the next call connects again.

use super::settings::Settings;
use super::{Result, StoreError};
use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Object, PoolError, RecyclingMethod, Runtime};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::NoTls;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres_rustls::MakeRustlsConnect;

/// An error of the database's, which costs the transaction.
pub(super) type Sql<T> = std::result::Result<T, tokio_postgres::Error>;

/// Connections of one node at most. Writers use two of them, see [`super::PgStore`].
const CONNECTIONS: usize = 8;
/// For a free connection, a new one, and the answer of an idle one.
const WAIT: Duration = Duration::from_secs(20);
const CONNECT: Duration = Duration::from_secs(15);
const PING: Duration = Duration::from_secs(3);
/// For a whole call, and less than the service manager's patience. The server's own limits are shorter; this is for a
/// server that stopped in the middle of a word.
const CALL: Duration = Duration::from_secs(45);

/// A server may be set to acknowledge what it has not flushed. Stronger settings than `on` are kept.
const DURABLE: &str =
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

pub(super) struct Pool {
    connections: deadpool_postgres::Pool,
    place: String,
}

impl Pool {
    /// Connects nothing yet.
    pub fn new(settings: &Settings) -> Result<Pool> {
        // an idle connection may have died unnoticed: it is asked before it is used
        let recycle = ManagerConfig { recycling_method: RecyclingMethod::Verified };
        let server = settings.server.clone();
        let manager = if server.get_ssl_mode() == SslMode::Disable {
            Manager::from_config(server, NoTls, recycle)
        } else {
            Manager::from_config(server, tls(settings)?, recycle)
        };
        let connections = deadpool_postgres::Pool::builder(manager)
            .max_size(CONNECTIONS)
            .wait_timeout(Some(WAIT))
            .create_timeout(Some(CONNECT))
            .recycle_timeout(Some(PING))
            .post_create(Hook::async_fn(|client, _| {
                Box::pin(async { client.batch_execute(DURABLE).await.map_err(HookError::Backend) })
            }))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| StoreError::Backend(error.to_string()))?;
        Ok(Pool { connections, place: settings.place() })
    }

    pub async fn get(&self) -> Result<Object> {
        self.connections.get().await.map_err(|error| {
            let why = match error {
                PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => said(&error),
                other => other.to_string().to_lowercase(),
            };
            StoreError::Backend(format!(
                "the database `{}` cannot be reached: {why}; see that it runs, and check `[store].url`",
                self.place
            ))
        })
    }
}

/// `work`, or an error when it takes longer than any healthy database needs.
pub(super) async fn within<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(CALL, work).await.unwrap_or_else(|_| {
        Err(StoreError::Backend(format!(
            "the database did not answer within {} s; what was asked may still be found done",
            CALL.as_secs()
        )))
    })
}

fn tls(settings: &Settings) -> Result<MakeRustlsConnect> {
    let mut roots = rustls::RootCertStore::empty();
    match &settings.ca_file {
        Some(path) => {
            let unusable = |why: &dyn std::fmt::Display| {
                StoreError::Backend(format!("the certificates in `{}` cannot be used: {why}", path.display()))
            };
            for certificate in CertificateDer::pem_file_iter(path).map_err(|e| unusable(&e))? {
                roots.add(certificate.map_err(|e| unusable(&e))?).map_err(|e| unusable(&e))?;
            }
            if roots.is_empty() {
                return Err(unusable(&"there is none in it"));
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| StoreError::Backend(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// An error in the server's words, with the cause underneath and what to do about it.
pub(super) fn said(error: &tokio_postgres::Error) -> String {
    let Some(db) = error.as_db_error() else {
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(inner) = cause {
            // the layers of an error repeat each other
            let inner_text = inner.to_string();
            if !text.contains(&inner_text) {
                text = format!("{text}: {inner_text}");
            }
            cause = inner.source();
        }
        if text.contains("certificate") {
            text.push_str("; name the authority that signed it as `[store].ca_file`");
        }
        return text;
    };
    let advice = match *db.code() {
        SqlState::DISK_FULL => "; free space on the database server",
        SqlState::LOCK_NOT_AVAILABLE => "; another node or session holds the log: end it if it hangs",
        SqlState::QUERY_CANCELED => "; the database is overloaded or somebody holds a lock",
        SqlState::READ_ONLY_SQL_TRANSACTION => "; this server is a standby: name the primary in `[store].url`",
        SqlState::INSUFFICIENT_PRIVILEGE => "; the user must own the schema `breachclock` and its tables",
        SqlState::TOO_MANY_CONNECTIONS => "; raise max_connections of the server",
        _ => "",
    };
    let detail = db.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
    format!("{}{detail} ({}){advice}", db.message(), db.code().code())
}

pub(super) fn backend(error: tokio_postgres::Error) -> StoreError {
    StoreError::Backend(said(&error))
}
