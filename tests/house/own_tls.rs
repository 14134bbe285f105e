//! TLS at our own door: what `openssl s_client` and `curl` see, a certificate that is renewed while the daemon runs, and
//! somebody who opens connections and says nothing.

use crate::support::daemon::{binary, free_port, start_by, write_config};
use crate::support::tsa::openssl;
use std::io::Read;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

fn certificate(dir: &Path, name: &str) {
    openssl(
        dir,
        &format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -out {name}.pem -days 30 \
             -subj /CN={name} -addext subjectAltName=IP:127.0.0.1"
        ),
    );
}

/// The subject that is shown, by `openssl s_client`.
fn shown(port: u16, version: &str) -> String {
    let script = format!(
        "openssl s_client -connect 127.0.0.1:{port} {version} </dev/null 2>/dev/null | openssl x509 -noout -subject 2>&1"
    );
    let output = Command::new("sh").args(["-c", &script]).output().expect("sh");
    String::from_utf8_lossy(&output.stdout).trim().replace(' ', "")
}

fn until(what: &str, test: impl Fn() -> bool) {
    let began = Instant::now();
    while !test() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn tls_with_a_certificate_that_is_renewed() {
    let dir = tempfile::tempdir().expect("a folder");
    certificate(dir.path(), "first");
    certificate(dir.path(), "second");
    let at = |name: &str| dir.path().join(name);
    for end in ["pem", "key"] {
        std::fs::copy(at(&format!("first.{end}")), at(&format!("own.{end}"))).expect("copied");
    }
    let port = free_port();
    let config = write_config(dir.path(), port, "[tls]\ncertificate = \"own.pem\"\nkey = \"own.key\"\n");
    let mut kim = binary();
    kim.args(["user", "create", "kim", "--role", "responder", "--json", "--config"]).arg(&config);
    let made: serde_json::Value = serde_json::from_slice(&kim.output().expect("runs").stdout).expect("JSON");
    let invitation = made["invitation"].as_str().expect("an address").to_string();
    let mut command = binary();
    command.args(["serve", "--config"]).arg(&config);
    let daemon = start_by(command, port);
    until("TLS answers", || shown(port, "").contains("CN=first"));
    assert!(shown(port, "-tls1_2").contains("CN=first") && !shown(port, "-tls1_1").contains("CN="));
    let curl = |path: &str| {
        let address = format!("https://127.0.0.1:{port}{path}");
        let output =
            Command::new("curl").args(["-sS", "-i", "--cacert", "own.pem", &address]).current_dir(dir.path()).output();
        String::from_utf8_lossy(&output.expect("curl").stdout).into_owned()
    };
    let login = curl("/login");
    assert!(login.starts_with("HTTP/1.1 200") && login.contains("strict-transport-security"), "{login}");

    // the session's cookie is for this host alone, and for TLS alone
    let form = "password=correct+horse+battery&again=correct+horse+battery";
    let taken = Command::new("curl")
        .args(["-sS", "-i", "--cacert", "own.pem", "-H", "sec-fetch-site: same-origin", "-d", form, &invitation])
        .current_dir(dir.path())
        .output();
    let taken = String::from_utf8_lossy(&taken.expect("curl").stdout).to_lowercase();
    let cookie = taken.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap_or_else(|| panic!("{taken}"));
    assert!(cookie.starts_with("__host-"), "{cookie}");
    let flags: Vec<&str> = cookie.split(';').skip(1).map(str::trim).collect();
    for flag in ["path=/", "secure", "httponly", "samesite=lax"] {
        assert!(flags.contains(&flag), "{flag}: {cookie}");
    }
    assert!(!flags.iter().any(|flag| flag.starts_with("domain")), "{cookie}");

    // the readiness check speaks TLS too
    let doctor = binary().args(["doctor", "--config"]).arg(&config).output().expect("runs");
    let doctor = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(doctor.contains(&format!("runs at `127.0.0.1:{port}`")), "{doctor}");

    // connections that say nothing keep nobody else out
    let mut silent: Vec<TcpStream> =
        (0..300).map(|_| TcpStream::connect(("127.0.0.1", port)).expect("connects")).collect();
    drop(silent.split_off(200));
    assert!(curl("/healthz").starts_with("HTTP/1.1 200"));
    // and are given up
    silent[0].set_read_timeout(Some(Duration::from_secs(15))).expect("set");
    assert_eq!(silent[0].read(&mut [0; 8]).expect("closed"), 0);
    drop(silent);

    // one half of a new pair changes nothing; both do
    std::fs::copy(at("second.pem"), at("own.pem")).expect("copied");
    daemon.signal("HUP");
    std::thread::sleep(Duration::from_millis(500));
    assert!(shown(port, "").contains("CN=first"));
    std::fs::copy(at("second.key"), at("own.key")).expect("copied");
    daemon.signal("HUP");
    until("the new certificate is shown", || shown(port, "").contains("CN=second"));
}

#[test]
fn a_public_address_needs_tls_or_a_proxy_and_a_bad_certificate_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    certificate(dir.path(), "own");
    certificate(dir.path(), "other");
    let said = |listen: &str, extra: &str, verb: &[&str]| {
        let config = write_config(dir.path(), 1, extra);
        let text = std::fs::read_to_string(&config).expect("written").replace("127.0.0.1:1\"", &format!("{listen}\""));
        std::fs::write(&config, text).expect("written");
        let output = binary().args(verb).arg(&config).output().expect("runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let check: &[&str] = &["config", "check"];
    let (code, words) = said("0.0.0.0:7272", "", check);
    assert!(code == Some(78) && words.contains("name a certificate under `[tls]`"), "{words}");
    let tls = "[tls]\ncertificate = \"own.pem\"\nkey = \"own.key\"\n";
    assert_eq!(said("0.0.0.0:7272", tls, check).0, Some(0));
    let proxied = "0.0.0.0:7272\"\nbehind_proxy = true\npublic_url = \"https://breach.example";
    assert_eq!(said(proxied, "", check).0, Some(0));
    let port = free_port();
    for (extra, wanted) in [
        ("[tls]\ncertificate = \"none.pem\"\nkey = \"own.key\"\n", "none.pem` cannot be read"),
        ("[tls]\ncertificate = \"own.pem\"\nkey = \"other.key\"\n", "do not belong together"),
        ("[tls]\ncertificate = \"own.key\"\nkey = \"own.key\"\n", "holds none"),
    ] {
        let (code, words) = said(&format!("127.0.0.1:{port}"), extra, &["serve", "--config"]);
        assert!(code == Some(78) && words.contains(wanted), "{wanted}: {code:?} {words}");
    }
}

#[test]
fn what_an_included_file_says_of_the_door_counts() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("door.toml"), "[access]\nsecond_factor = \"maybe\"\n").expect("written");
    let config = write_config(dir.path(), 1, "");
    let text = std::fs::read_to_string(&config).expect("written");
    std::fs::write(&config, format!("include = [\"door.toml\"]\n{text}")).expect("written");
    let output = binary().args(["config", "check"]).arg(&config).output().expect("runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.code() == Some(78) && said.contains("second_factor"), "{said}");
}
