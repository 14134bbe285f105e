//! The real daemon held to its own `openapi.json` by schemathesis, see `support/contract.py`. That the document names what
//! the handlers read is asked in `document`.

use crate::support::site::Site;
use std::process::Command;
use std::time::Duration;

const REST: &str = r#"
[[rota]]
id = "oncall"
zone = "Europe/Paris"
handover = "Mon 09:00"
people = ["lea"]
[[policy]]
id = "default"
[[policy.step]]
at = "start"
notify = ["person:lea"]
"#;

#[test]
fn the_daemon_keeps_its_contract() {
    let python = std::env::var("BREACHCLOCK_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let dir = tempfile::tempdir().expect("a folder");
    let mails = format!("maildir:{}", dir.path().join("mail").display());
    let site = Site::within(dir.path(), &mails, REST);
    let mut daemon = site.start();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/house/support/contract.py");
    let output = Command::new(&python)
        .arg(script)
        .args([&daemon.url, &site.token])
        .arg(dir.path().join("contract"))
        .output()
        .unwrap_or_else(|error| panic!("`{python}` does not start: {error}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let help = "`python -m pip install schemathesis`, or run scripts/test.sh";
    assert!(output.status.success(), "the contract is not kept, or {help} is needed:\n{said}");
    assert!(daemon.lives());
    assert!(daemon.terminate(Duration::from_secs(20)).expect("ends").0.success());
    site.fsck();
}
