//! The real daemon as a child process.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub const BINARY: &str = env!("CARGO_BIN_EXE_breachclock");

pub struct Daemon {
    pub child: Child,
    pub url: String,
}

/// A test that fails leaves no daemon behind.
impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address").port()
}

/// A configuration with one entity, one person, mails as files, and `extra` at its end.
pub fn write_config(dir: &Path, port: u16, extra: &str) -> std::path::PathBuf {
    let file = dir.join("breachclock.toml");
    let text = format!(
        r#"
[server]
listen = "127.0.0.1:{port}"
[data]
dir = "data"
[log]
origin = "crash.test/log"
[smtp]
url = "maildir:{mail}"
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
[[policy]]
id = "default"
[[policy.step]]
at = "start"
notify = ["person:lea"]
{extra}"#,
        mail = dir.join("mail").display()
    );
    fs::write(&file, text).expect("the configuration is written");
    file
}

pub fn token(config: &Path) -> String {
    let output = Command::new(BINARY)
        .args(["token", "create", "--role", "admin", "--config"])
        .arg(config)
        .output()
        .expect("runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_string()
}

pub fn start(config: &Path, port: u16) -> Daemon {
    let mut child = Command::new(BINARY)
        .args(["serve", "--config"])
        .arg(config)
        .env("RUST_LOG", "warn")
        .stderr(Stdio::piped())
        .spawn()
        .expect("the daemon starts");
    let stderr = child.stderr.take().expect("piped");
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            eprintln!("daemon: {line}");
        }
    });
    for _ in 0..400 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Daemon { child, url: format!("http://127.0.0.1:{port}") };
        }
        if let Some(status) = child.try_wait().expect("waits") {
            panic!("the daemon ended with {status}");
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    panic!("the daemon does not listen");
}
