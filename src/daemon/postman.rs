//! The maildir of the sender's address: what is new in it is handed in, and then lies in `cur`, where it stays.
//!
//! A file that is no mail goes aside into the folder `.unreadable` (one that mail readers show), with an entry in the
//! evidence. While the store fails, mail stays in `new` and is tried again; nothing is deleted, ever.

use super::clock;
use crate::store::{Store, StoreError};
use crate::workflow::inbound::Outcome;
use crate::workflow::{Caller, House, Trouble};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Maildirs have no bell.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A larger file is no reply anybody wrote.
const LARGEST: u64 = 25 << 20;
/// Where files go that cannot be read as mail.
const ASIDE: &str = ".unreadable";

/// Looks until `stop` turns true.
pub async fn postman<S: Store>(house: Arc<House<S>>, maildir: PathBuf, mut stop: watch::Receiver<bool>) {
    // files that can neither be handed in nor moved: named once, not every five seconds
    let mut stuck = BTreeSet::new();
    while !super::run::is_over(&stop) {
        if let Err(error) = round(&house, &maildir, &mut stuck).await {
            tracing::error!(%error, maildir = %maildir.display(), "inbound mail waits");
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }
}

/// Hands in every new mail once. Ends early when the store fails.
async fn round<S: Store>(house: &House<S>, maildir: &Path, stuck: &mut BTreeSet<String>) -> Result<(), String> {
    let folder = maildir.to_path_buf();
    let new = blocking(move || new_mails(&folder)).await.map_err(|error| format!("cannot be listed: {error}"))?;
    for name in new.into_iter().filter(|name| !stuck.contains(name)).collect::<Vec<_>>() {
        let path = maildir.join("new").join(&name);
        let read = blocking(move || read(&path)).await;
        let handed_in = match read {
            Ok(raw) => hand_in(house, &raw).await?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => Err(error.to_string()),
        };
        let moved = match &handed_in {
            Ok(flags) => keep(maildir, &name, "cur", flags).await,
            Err(why) => {
                tracing::warn!(file = %name, %why, "a file of the maildir cannot be handed in; it goes into {ASIDE}");
                let detail = crate::detail! { "file": crate::evidence::Made::of(name.clone()) };
                house.record_system("mail.unreadable", detail, clock::now()).await.map_err(|e| e.to_string())?;
                keep(maildir, &name, &format!("{ASIDE}/cur"), "").await
            }
        };
        if let Err(error) = moved {
            tracing::error!(file = %name, %error, "the file cannot be moved; correct the rights of the maildir");
            stuck.insert(name);
        }
    }
    Ok(())
}

/// The maildir flags the mail gets, or why nothing can be done with it. Fails when it should be tried again.
async fn hand_in<S: Store>(house: &House<S>, raw: &[u8]) -> Result<Result<&'static str, String>, String> {
    match house.receive_mail(&Caller::system(), raw, clock::now()).await {
        // what is not for us stays unseen, so that a person looks at it
        Ok(received) if received.outcome == Outcome::NotOurs => Ok(Ok("")),
        Ok(received) => {
            let incident = received.incident.unwrap_or_default();
            tracing::info!(%incident, outcome = ?received.outcome, "inbound mail");
            Ok(Ok("S"))
        }
        Err(Trouble::Store(error @ StoreError::Backend(_))) => Err(error.to_string()),
        Err(trouble) => Ok(Err(trouble.to_string())),
    }
}

fn new_mails(maildir: &Path) -> io::Result<Vec<String>> {
    for part in ["tmp", "new", "cur"] {
        fs::create_dir_all(maildir.join(part))?;
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(maildir.join("new"))? {
        // names are made by the delivering server from digits and host names
        if let Ok(name) = entry?.file_name().into_string()
            && !name.starts_with('.')
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let size = fs::metadata(path)?.len();
    if size > LARGEST {
        return Err(io::Error::other(format!("it has {size} bytes; more than {LARGEST} are not read")));
    }
    fs::read(path)
}

/// Moves a mail out of `new`.
async fn keep(maildir: &Path, name: &str, folder: &str, flags: &str) -> io::Result<()> {
    let (from, to) = (maildir.join("new").join(name), maildir.join(folder));
    let base = name.split(':').next().unwrap_or(name).to_string();
    let flags = flags.to_string();
    blocking(move || {
        fs::create_dir_all(&to)?;
        // names are unique by convention; a rename that replaced a mail would lose it
        let mut place = to.join(format!("{base}:2,{flags}"));
        for n in 1.. {
            if !place.exists() {
                break;
            }
            place = to.join(format!("{base}_{n}:2,{flags}"));
        }
        fs::rename(&from, place)
    })
    .await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
