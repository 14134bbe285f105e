//! Are there backups, and are they young enough?

use super::Line;
use crate::config::{Config, StoreKind};
use crate::daemon::backup::archive;
use crate::rules::utc;
use crate::time::Timestamp;
use crate::workflow::BackupPlan;

pub fn backups(config: &Config, now: Timestamp) -> Line {
    let check = "backups";
    let dir = config.data_dir.display();
    match (&config.backup, &config.store) {
        (Some(plan), _) => scheduled(plan, &config.origin, now),
        (None, StoreKind::Postgres(_)) => Line::unknown(
            check,
            "the database is PostgreSQL's to back up, and nothing here can see whether that is done".into(),
            &format!("run `pg_dump` regularly, and copy the folders `keys`, `rules` and `attachments` of `{dir}`"),
        ),
        (None, StoreKind::Sqlite) => Line::warning(
            check,
            format!("no backup of `{dir}` is configured"),
            "add `[backup]` with `dir`, `cron` and `keys`, on another machine's disk, and try to restore one",
        ),
    }
}

fn scheduled(plan: &BackupPlan, origin: &str, now: Timestamp) -> Line {
    let check = "backups";
    let dir = plan.dir.display();
    let all = match archive::list(&plan.dir, origin) {
        Ok(all) => all,
        Err(error) => {
            let text = format!("the folder `{dir}` cannot be read: {error}");
            return Line::fault(check, text, "mount or make it, as the user the daemon runs as");
        }
    };
    let Some((newest, _)) = all.last() else {
        let text = format!("there is no backup in `{dir}` yet");
        return Line::warning(check, text, "start the daemon: it makes one at once; or `breachclock backup`");
    };
    let keys = if plan.keys { "keys included" } else { "without keys: keep those elsewhere" };
    let text = format!("{} in `{dir}`, the newest of {} ({keys})", all.len(), utc(*newest));
    match plan.is_too_old(Some(*newest), *newest, now) {
        true => Line::fault(check, text, "see why the daemon makes none: its log says so, or it does not run"),
        false => Line::ok(check, text),
    }
}
