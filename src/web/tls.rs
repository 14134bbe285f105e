//! TLS at our own door: a listener whose handshakes wait for nobody, and a certificate that is exchanged while it runs.
//!
//! Absent here: reading files, and when to read them again (`daemon::tls`).

use axum::serve::Listener;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, crypto};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// A handshake that takes longer is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// Handshakes under way at once; more wait in the system's queue.
const HANDSHAKES: usize = 256;

/// The certificate that is shown at present.
pub struct Certificate(RwLock<Arc<CertifiedKey>>);

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificate(..)")
    }
}

impl Certificate {
    /// From a chain and its key, both PEM.
    ///
    /// # Errors
    /// When one cannot be read, or the key is of another certificate.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Certificate, String> {
        Ok(Certificate(RwLock::new(Arc::new(read(chain, key)?))))
    }

    /// Shows another one from the next connection on. The old one stays when the new one cannot be used.
    ///
    /// # Errors
    /// As [`Certificate::from_pem`].
    pub fn exchange(&self, chain: &[u8], key: &[u8]) -> Result<(), String> {
        let read = Arc::new(read(chain, key)?);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(())
    }
}

fn read(chain: &[u8], key: &[u8]) -> Result<CertifiedKey, String> {
    let certificates: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_slice_iter(chain).collect();
    let certificates = certificates.map_err(|error| format!("the certificate is no PEM: {error}"))?;
    if certificates.is_empty() {
        return Err("the file of the certificate holds none; give the chain as PEM, the own certificate first".into());
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| format!("the key is no PEM: {error}"))?;
    CertifiedKey::from_der(certificates, key, &crypto::ring::default_provider())
        .map_err(|error| format!("certificate and key do not belong together, or cannot be used: {error}"))
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// Connections whose handshake is done.
pub struct TlsListener {
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: SocketAddr,
}

impl TlsListener {
    /// Takes connections from `listener`, TLS 1.2 and 1.3, until this is dropped.
    ///
    /// # Errors
    /// When the listener has no address any more.
    pub fn new(listener: TcpListener, certificate: Arc<Certificate>) -> io::Result<TlsListener> {
        let address = listener.local_addr()?;
        let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let mut config = config.with_no_client_auth().with_cert_resolver(certificate);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let (hand_over, ready) = mpsc::channel(HANDSHAKES);
        tokio::spawn(accept(listener, TlsAcceptor::from(Arc::new(config)), hand_over));
        Ok(TlsListener { ready, address })
    }
}

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    hand_over: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
) {
    let turns = Arc::new(Semaphore::new(HANDSHAKES));
    loop {
        let Ok(turn) = turns.clone().acquire_owned().await else { return };
        let (stream, address) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // too many open files passes; a busy loop would not help
                    tracing::warn!(%error, "a connection could not be taken");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    continue;
                }
            },
            () = hand_over.closed() => return,
        };
        let (acceptor, hand_over) = (acceptor.clone(), hand_over.clone());
        tokio::spawn(async move {
            let _turn = turn;
            match tokio::time::timeout(PATIENCE, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => _ = hand_over.send((stream, address)).await,
                // scanners do so all day
                Ok(Err(error)) => tracing::debug!(%error, "a handshake failed"),
                Err(_) => tracing::debug!("a handshake was given up"),
            }
        });
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(ready) => ready,
            // the task that takes connections never ends before this
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}
