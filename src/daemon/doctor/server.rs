//! The daemon itself, asked over the address it listens on. `/readyz` and `/metrics` need no token.

use super::{Line, own_tls};
use crate::config::{Listen, Tls};
use crate::time::Timestamp;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const PATIENCE: Duration = Duration::from_secs(5);
const ANSWER_BYTES: u64 = 256 * 1024;

pub async fn daemon(listen: &Listen, tls: Option<&Tls>, now: Timestamp) -> Line {
    let place = match listen {
        Listen::Tcp(address) => address.to_string(),
        Listen::Unix(path) => path.display().to_string(),
    };
    let ready = match get(listen, tls, "/readyz").await {
        Ok(answer) => answer,
        Err(error) => {
            let text = format!("no daemon answers at `{place}` ({error}): nobody is reminded of anything");
            return Line::warning("daemon", text, "start it: `breachclock serve --config FILE`, or the systemd unit");
        }
    };
    let metrics = get(listen, tls, "/metrics").await.unwrap_or_default();
    judge(&place, &ready, &metrics, now)
}

fn judge(place: &str, ready: &str, metrics: &str, now: Timestamp) -> Line {
    let check = "daemon";
    let Ok(ready) = serde_json::from_str::<serde_json::Value>(ready) else {
        let text = format!("what answers at `{place}` is no breachclock");
        return Line::fault(check, text, "choose another `[server].listen`, or stop the other program");
    };
    let faults: Vec<&str> = ready["faults"].as_array().into_iter().flatten().filter_map(|f| f.as_str()).collect();
    if ready["ready"] != true {
        let text = format!("runs at `{place}` and is not well: {}", faults.join("; "));
        return Line::fault(check, text, "see its log; the page /readiness says more");
    }
    let value = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        line.trim().parse::<f64>().ok()
    };
    let ago = value("breachclock_timer_loop_last_success_timestamp_seconds").map(|at| now.timestamp() as f64 - at);
    let ago = ago.map(|s| format!(", last loop {s:.0} s ago")).unwrap_or_default();
    let failed = value("breachclock_messages_failed_total").unwrap_or_default();
    let sent = value("breachclock_messages_handed_over_total").unwrap_or_default();
    let text = format!("runs at `{place}`{ago}, {sent} message(s) handed over and {failed} failed since its start");
    match failed > 0.0 {
        true => Line::warning(check, text, "see the incidents' pages for the messages that failed"),
        false => Line::ok(check, text),
    }
}

/// Body of an answer. One request on a connection of its own: no client library speaks to both kinds of address.
async fn get(listen: &Listen, tls: Option<&Tls>, path: &str) -> io::Result<String> {
    let asked = async {
        match listen {
            Listen::Tcp(address) => {
                let stream = tokio::net::TcpStream::connect(address).await?;
                match tls {
                    None => ask(stream, path).await,
                    Some(tls) => ask(own_tls::connect(stream, tls).await?, path).await,
                }
            }
            Listen::Unix(socket) => ask(tokio::net::UnixStream::connect(socket).await?, path).await,
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.map_err(|_| io::Error::other("no answer in time"))?
}

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, path: &str) -> io::Result<String> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES).read_to_end(&mut answer).await?;
    let text = String::from_utf8_lossy(&answer);
    Ok(text.split_once("\r\n\r\n").map(|(_, body)| body.to_string()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn answers() {
        let now = Timestamp::from_timestamp(1_780_000_010, 0).expect("an instant");
        let metrics = |failed: u32| {
            format!(
                "# HELP x\nbreachclock_timer_loop_last_success_timestamp_seconds 1780000000\nbreachclock_messages_failed_total {failed}\n"
            )
        };
        let well = r#"{"ready":true,"faults":[]}"#;
        for (ready, metrics, state, words) in [
            (well, metrics(0), State::Ok, "last loop 10 s ago"),
            (well, metrics(2), State::Warning, "2 failed"),
            (well, String::new(), State::Ok, "runs at"),
            (r#"{"ready":false,"faults":["the store failed"]}"#, metrics(0), State::Fault, "the store failed"),
            ("<html>", String::new(), State::Fault, "no breachclock"),
        ] {
            let line = judge("here", ready, &metrics, now);
            assert_eq!(line.state, state, "{line:?}");
            assert!(line.text.contains(words), "{line:?}");
        }
    }
}
