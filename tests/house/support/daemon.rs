//! The real daemon as a child process.

use super::faketime::Clock;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

pub const BINARY: &str = env!("CARGO_BIN_EXE_breachclock");

pub struct Daemon {
    pub child: Child,
    pub url: String,
}

impl Daemon {
    /// Sends a signal by its name, such as `STOP`.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().expect("kill").success());
    }

    pub fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    pub fn lives(&mut self) -> bool {
        self.child.try_wait().expect("waits").is_none()
    }

    /// Asks it to end. Answers how it ended and how long that took; `None` when it did not within `patience`.
    pub fn terminate(&mut self, patience: Duration) -> Option<(ExitStatus, Duration)> {
        let asked = Instant::now();
        self.signal("TERM");
        while asked.elapsed() < patience {
            if let Some(status) = self.child.try_wait().expect("waits") {
                return Some((status, asked.elapsed()));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // a test that failed leaves nothing behind; a second end does nothing
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port nobody listens on, below those the system gives to outgoing connections: a daemon that is started again finds
/// it free.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = (std::process::id() % 1000) as u16 * 20;
    for _ in 0..2000 {
        let port = 10_000 + (base + NEXT.fetch_add(1, Ordering::Relaxed)) % 22_000;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free");
}

/// A configuration with one entity, one person, mails as files, and `extra` at its end.
pub fn write_config(dir: &Path, port: u16, extra: &str) -> PathBuf {
    let start = "[[policy]]\nid = \"default\"\n[[policy.step]]\nat = \"start\"\nnotify = [\"person:lea\"]\n";
    write_config_with(dir, port, &format!("maildir:{}", dir.join("mail").display()), &format!("{start}{extra}"))
}

/// A configuration with one entity, one person, a way for mails, and `rest` at its end.
pub fn write_config_with(dir: &Path, port: u16, smtp: &str, rest: &str) -> PathBuf {
    let file = dir.join("breachclock.toml");
    let text = format!(
        r#"
[server]
listen = "127.0.0.1:{port}"
# on a clock that runs fast half a minute is nothing
patience = "1d"
[data]
dir = "data"
[log]
origin = "crash.test/log"
[smtp]
url = "{smtp}"
from = "Test <test@acme.example>"
[[entity]]
id = "acme-fr"
name = "Acme SAS"
roles = ["controller"]
established_in = ["FR"]
main_establishment = "FR"
zone = "Europe/Paris"
[[person]]
id = "lea"
name = "Lea Fontaine"
roles = ["security-lead"]
email = "lea@acme.example"
{rest}"#
    );
    fs::write(&file, text).expect("the configuration is written");
    file
}

pub fn token(config: &Path) -> String {
    let output = binary().args(["token", "create", "--role", "admin", "--config"]).arg(config).output().expect("runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_string()
}

/// The program under test: the one built with the tests, or the one named in `BREACHCLOCK_TEST_BINARY`.
pub fn binary() -> Command {
    Command::new(std::env::var_os("BREACHCLOCK_TEST_BINARY").unwrap_or_else(|| BINARY.into()))
}

pub fn start(config: &Path, port: u16) -> Daemon {
    start_by(serve(config, None), port)
}

/// The command that runs the daemon, on a clock of its own.
pub fn serve(config: &Path, clock: Option<&Clock>) -> Command {
    let mut command = binary();
    command.args(["serve", "--config"]).arg(config);
    if let Some(clock) = clock {
        clock.apply(&mut command);
    }
    command
}

/// Starts the daemon and waits until it listens.
pub fn start_by(command: Command, port: u16) -> Daemon {
    let mut daemon = spawn(command, port);
    for _ in 0..400 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return daemon;
        }
        if let Some(status) = daemon.child.try_wait().expect("waits") {
            panic!("the daemon ended with {status}");
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    panic!("the daemon does not listen");
}

/// Starts the daemon and waits for nothing.
pub fn spawn(mut command: Command, port: u16) -> Daemon {
    let mut child = command.env("RUST_LOG", "warn").stderr(Stdio::piped()).spawn().expect("the daemon starts");
    let stderr = child.stderr.take().expect("piped");
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            eprintln!("daemon: {line}");
        }
    });
    Daemon { child, url: format!("http://127.0.0.1:{port}") }
}
