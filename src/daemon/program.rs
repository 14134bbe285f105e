//! Other programs of the machine, asked for what only they know.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A program that has not answered by then says nothing.
const PATIENCE: Duration = Duration::from_secs(5);

/// Standard output of a program that ended well in time.
pub fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let mut child = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let end = Instant::now() + PATIENCE;
    loop {
        match child.try_wait() {
            Ok(Some(_)) => break,
            Ok(None) if Instant::now() < end => std::thread::sleep(Duration::from_millis(20)),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
        }
    }
    // a few lines: they fit into the pipe, nobody waits for a reader
    let output = child.wait_with_output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_that_fail_hang_or_are_missing_say_nothing() {
        assert_eq!(output("echo", &["yes"]).as_deref(), Some("yes\n"));
        assert_eq!(output("false", &[]), None);
        assert_eq!(output("no-such-program-of-breachclock", &[]), None);
        let started = Instant::now();
        assert_eq!(output("sleep", &["60"]), None);
        assert!(started.elapsed() < PATIENCE + Duration::from_secs(5));
    }
}
