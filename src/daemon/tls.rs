//! The files of the certificate: read at the start, and again when one changes or on SIGHUP, so that whoever renews it need
//! not know that we run.

use crate::config::Tls;
use crate::web::Certificate;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// # Errors
/// When a file cannot be read, or what it holds cannot be used; with the file's name.
pub fn load(tls: &Tls) -> Result<Arc<Certificate>, String> {
    let (chain, key) = files(tls)?;
    Certificate::from_pem(&chain, &key).map(Arc::new).map_err(|why| named(tls, &why))
}

fn files(tls: &Tls) -> Result<(Vec<u8>, Vec<u8>), String> {
    let read =
        |path: &Path| std::fs::read(path).map_err(|error| format!("`{}` cannot be read: {error}", path.display()));
    Ok((read(&tls.certificate)?, read(&tls.key)?))
}

fn named(tls: &Tls, why: &str) -> String {
    format!("`{}` with `{}`: {why}", tls.certificate.display(), tls.key.display())
}

/// Shows the new certificate when the files change. One that cannot be used leaves the old one in place and says why.
pub async fn keep_fresh(tls: Tls, certificate: Arc<Certificate>, mut stop: watch::Receiver<bool>) {
    let changed = |path: &Path| std::fs::metadata(path).and_then(|about| about.modified()).ok();
    let stamp = |tls: &Tls| -> [Option<SystemTime>; 2] { [changed(&tls.certificate), changed(&tls.key)] };
    let mut seen = stamp(&tls);
    let Ok(mut hangup) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()) else { return };
    loop {
        let asked = tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => false,
            _ = hangup.recv() => true,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let present = stamp(&tls);
        if present == seen && !asked {
            continue;
        }
        let exchanged =
            files(&tls).and_then(|(chain, key)| certificate.exchange(&chain, &key).map_err(|why| named(&tls, &why)));
        match exchanged {
            Ok(()) => {
                seen = present;
                tracing::info!("the certificate was read again");
            }
            // certificate and key are written one after the other: the next look finds both
            Err(error) => tracing::error!("the old certificate stays in use: {error}"),
        }
    }
}
