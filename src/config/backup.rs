//! `[backup]`: copies of the data folder, made by the daemon.

use super::watchdog::too_often;
use super::{Checker, StoreKind};
use crate::escalation::{Directory, Who};
use crate::time::{Recurrence, Zone};
use crate::workflow::BackupPlan;
use serde::Deserialize;
use std::path::PathBuf;

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBackup {
    dir: PathBuf,
    cron: String,
    zone: Option<String>,
    keep: Option<u32>,
    /// No default: whoever has a backup with keys can sign in the installation's name.
    keys: Option<bool>,
    #[serde(default)]
    alarm_to: Vec<String>,
}

const KEEP: u32 = 14;

impl Checker<'_> {
    /// `alive_to` hears of a missing backup when nobody else is named.
    pub(super) fn backup(
        &mut self,
        raw: Option<RawBackup>,
        store: &StoreKind,
        directory: &Directory,
        alive_to: &[Who],
    ) -> Option<BackupPlan> {
        let raw = raw?;
        if !matches!(store, StoreKind::Sqlite) {
            let text = "`[backup]` copies the SQLite database, and `[store].url` names PostgreSQL: back that up with `pg_dump`, \
                        and the folder `[data].dir` with your own means";
            self.fault("[backup]", text);
            return None;
        }
        let zone = raw.zone.as_deref().map_or(Ok(Zone::UTC), Zone::named).unwrap_or_else(|error| {
            self.fault(raw.zone.as_deref().unwrap_or_default(), error.to_string());
            Zone::UTC
        });
        let when = match Recurrence::parse(&raw.cron, zone) {
            Ok(when) if too_often(&when) => {
                let text = format!("`cron` of `[backup]` is `{}`, more often than every 15 minutes", raw.cron);
                self.fault(&raw.cron, text);
                None
            }
            Ok(when) if when.next_after(chrono::DateTime::UNIX_EPOCH).is_none() => {
                self.fault(&raw.cron, format!("`cron` of `[backup]` is `{}`, a day that never comes", raw.cron));
                None
            }
            Ok(when) => Some(when),
            Err(error) => {
                self.fault(&raw.cron, error.to_string());
                None
            }
        };
        let keep = raw.keep.unwrap_or(KEEP);
        if keep == 0 {
            self.fault("keep", "`[backup].keep` is 0; keep one at least");
        }
        if raw.keys.is_none() {
            let text = "`[backup].keys` is missing: write `true` when whoever has a backup may sign in this installation's name, \
                        else `false`, and keep the folder `keys` elsewhere";
            self.fault("[backup]", text);
        }
        let alarm_to = match raw.alarm_to.is_empty() {
            true => alive_to.to_vec(),
            false => self.who("alarm_to", &raw.alarm_to, directory),
        };
        if alarm_to.is_empty() {
            let text =
                "nobody hears when a backup is missing; fill `[backup].alarm_to`, as in `alarm_to = [\"role:dpo\"]`";
            self.fault("[backup]", text);
        }
        let keys = raw.keys.unwrap_or_default();
        Some(BackupPlan { when: when?, dir: self.base.join(raw.dir), keep, keys, alarm_to })
    }
}
