//! How the server is reached: the URL of the configuration, checked.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_postgres::config::{Config, Host, SslMode, TargetSessionAttrs};

/// Every table lives in this schema, whatever else the database holds.
pub(super) const SCHEMA: &str = "breachclock";

/// What the server ends by itself. The last one matters most: a node that stops in the middle of a commit must not keep
/// the others from the log. Options of the URL come later and win.
const LIMITS: &str = "-c search_path=breachclock -c statement_timeout=30s -c lock_timeout=15s \
                      -c idle_in_transaction_session_timeout=15s -c client_min_messages=warning";

/// Where the database is and how it is spoken to. Debug shows no password.
#[derive(Clone)]
pub struct Settings {
    pub(super) server: Config,
    /// Certificates of the authorities to believe, instead of the system's.
    pub(super) ca_file: Option<PathBuf>,
    /// Another database, for the data keys.
    keys: Option<Box<Settings>>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "postgres::Settings({})", self.place())
    }
}

impl Settings {
    /// Keeps the data keys in the database of `keys` instead of a schema beside the rest.
    #[must_use]
    pub fn with_keys(self, keys: Settings) -> Settings {
        Settings { keys: Some(Box::new(keys)), ..self }
    }

    /// Where the data keys are.
    pub(super) fn keys(&self) -> &Settings {
        self.keys.as_deref().unwrap_or(self)
    }

    /// Reads `postgres://user@host:port/database?sslmode=require`. A `password` beside the URL replaces the one inside;
    /// `ca_file` does the same for `sslrootcert`. Opens nothing. An error names what to write instead and no password.
    ///
    /// `sslmode=require` checks the server's certificate and its name, unlike libpq; `verify-full` is another word for it.
    /// Without `sslmode` only this machine is spoken to in the clear.
    pub fn parse(url: &str, password: Option<&str>, ca_file: Option<&Path>) -> Result<Settings, String> {
        let (rest, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut sslmode, mut rootcert, mut others) = (None, None, Vec::new());
        for part in query.split('&').filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                Some(("sslmode", mode)) => sslmode = Some(mode),
                Some(("sslrootcert", path)) => rootcert = Some(PathBuf::from(path)),
                _ => others.push(part),
            }
        }
        let plain = if others.is_empty() { rest.to_string() } else { format!("{rest}?{}", others.join("&")) };
        let mut server: Config = plain.parse().map_err(|error: tokio_postgres::Error| {
            // the library's words quote keys and values, never the password
            let why = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            format!("is no PostgreSQL URL: {why}; write `postgres://user@host/database?sslmode=require`")
        })?;
        if server.get_hosts().is_empty() && server.get_hostaddrs().is_empty() {
            return Err("names no host; write `postgres://user@host/database`, \
                        or `postgres://user@/database?host=/run/postgresql` for a socket"
                .into());
        }
        if server.get_dbname().is_none_or(str::is_empty) {
            return Err("names no database; write it behind the host: `postgres://user@host/database`".into());
        }
        let local = server.get_hosts().iter().all(is_local) && server.get_hostaddrs().iter().all(|a| a.is_loopback());
        server.ssl_mode(match sslmode {
            Some("disable") => SslMode::Disable,
            Some("require" | "verify-full") => SslMode::Require,
            None if local => SslMode::Disable,
            None => SslMode::Require,
            Some(other) => {
                return Err(format!(
                    "has `sslmode={other}`; write `sslmode=require` (the certificate is checked) or `sslmode=disable`"
                ));
            }
        });
        if let Some(password) = password {
            server.password(password);
        }
        let wanted = server.get_options().unwrap_or_default();
        let options = format!("{LIMITS} {wanted}");
        server.options(options.trim_end());
        if server.get_application_name().is_none() {
            server.application_name("breachclock");
        }
        // a standby takes no writes; of several hosts the one that does is found
        server.target_session_attrs(TargetSessionAttrs::ReadWrite);
        if server.get_connect_timeout().is_none() {
            server.connect_timeout(Duration::from_secs(5));
        }
        // a peer that vanished without a word is noticed after this, not after the kernel's quarter of an hour
        server.tcp_user_timeout(Duration::from_secs(20)).keepalives_idle(Duration::from_secs(30));
        Ok(Settings { server, ca_file: ca_file.map(Path::to_path_buf).or(rootcert), keys: None })
    }

    /// Host and database, for messages.
    pub fn place(&self) -> String {
        let host = |host: &Host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        };
        let hosts: Vec<String> = if self.server.get_hosts().is_empty() {
            self.server.get_hostaddrs().iter().map(ToString::to_string).collect()
        } else {
            self.server.get_hosts().iter().map(host).collect()
        };
        format!("{}/{}", hosts.join(","), self.server.get_dbname().unwrap_or_default())
    }
}

fn is_local(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost"
                || name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_faults_say_what_to_write() {
        use SslMode::{Disable, Require};
        for (url, mode, place) in [
            ("postgres://bc@db.example.org/breach", Require, "db.example.org/breach"),
            ("postgresql://bc:pw@db.example.org:5433/breach?sslmode=require", Require, "db.example.org/breach"),
            ("postgres://bc@a,b/breach?sslmode=verify-full&connect_timeout=3", Require, "a,b/breach"),
            ("postgres://bc@db.example.org/breach?sslmode=disable", Disable, "db.example.org/breach"),
            ("postgres://bc@127.0.0.1/breach", Disable, "127.0.0.1/breach"),
            ("postgres://bc@localhost/breach?sslmode=require", Require, "localhost/breach"),
            ("postgres://bc@/breach?host=/run/postgresql", Disable, "/run/postgresql/breach"),
            ("postgres://bc@localhost,db.example.org/breach", Require, "localhost,db.example.org/breach"),
        ] {
            let settings = Settings::parse(url, None, None).unwrap_or_else(|error| panic!("{url}: {error}"));
            assert_eq!((settings.server.get_ssl_mode(), settings.place().as_str()), (mode, place), "{url}");
        }
        for (url, word) in [
            ("postgres://bc@db.example.org/breach?sslmode=prefer", "`sslmode=prefer`; write `sslmode=require`"),
            ("postgres://bc@db.example.org", "names no database"),
            ("postgres://bc@/breach", "names no host"),
            ("postgres://bc@db.example.org:port/breach", "no PostgreSQL URL"),
            ("postgres://bc@db.example.org/breach?sslcert=x", "no PostgreSQL URL: unknown option `sslcert`"),
        ] {
            let error = Settings::parse(url, None, None).expect_err(url);
            assert!(error.contains(word), "{url}: {error}");
        }
    }

    #[test]
    fn passwords_and_authorities_beside_the_url_win_and_are_not_shown() {
        let url = "postgres://bc:inside@db.example.org/breach?sslmode=require&sslrootcert=/a.pem";
        let settings = Settings::parse(url, None, None).expect("reads");
        assert_eq!(settings.server.get_password(), Some(&b"inside"[..]));
        assert_eq!(settings.ca_file.as_deref(), Some(Path::new("/a.pem")));
        let settings = Settings::parse(url, Some("beside"), Some(Path::new("/b.pem"))).expect("reads");
        assert_eq!(settings.server.get_password(), Some(&b"beside"[..]));
        assert_eq!(settings.ca_file.as_deref(), Some(Path::new("/b.pem")));
        assert!(!format!("{settings:?}").contains("side"));
    }
}
