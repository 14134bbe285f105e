//! Clients that are slow, endless or many: they are answered or cut off, and others are served meanwhile.

use crate::web::{MAX_BODY, Server};
use breachclock::web::Patience;
use breachclock::workflow::Role;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SOON: Patience = Patience { head: Duration::from_millis(600), connections: 64 };
const MOMENT: Duration = Duration::from_secs(10);

/// Sends `start`, then one of `drops` every 50 ms until the other side ends it. Answers what came back, and after how long.
async fn drip(address: SocketAddr, start: &[u8], drops: &[u8]) -> (String, Duration) {
    let (began, mut answer) = (Instant::now(), Vec::new());
    let mut stream = TcpStream::connect(address).await.expect("connects");
    stream.write_all(start).await.expect("sends");
    let (mut piece, mut at) = ([0; 4096], 0);
    loop {
        tokio::select! {
            read = stream.read(&mut piece) => match read {
                Ok(n @ 1..) => answer.extend_from_slice(&piece[..n]),
                _ => return (String::from_utf8_lossy(&answer).into_owned(), began.elapsed()),
            },
            () = tokio::time::sleep(Duration::from_millis(50)), if !drops.is_empty() => {
                let _ = stream.write_all(&drops[at..=at]).await;
                at = (at + 1) % drops.len();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_never_ends_is_answered_and_silence_is_not() {
    let server = Server::impatient(SOON).await;
    let (slow, spent) = drip(server.address, b"GET /login HTTP/1.1\r\nhost: x\r\n", b"x-a: b\r\n").await;
    assert!(slow.starts_with("HTTP/1.1 408 ") && spent < MOMENT, "{spent:?}: {slow}");
    let (silent, spent) = drip(server.address, b"", b"").await;
    assert!(silent.is_empty() && spent < MOMENT, "{spent:?}: {silent}");
    // after an answer a connection waits as long for the next request
    let (kept, spent) = drip(server.address, b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n", b"").await;
    assert!(kept.starts_with("HTTP/1.1 200 ") && kept.ends_with("alive\n") && spent < MOMENT, "{spent:?}: {kept}");
    let (long, _) = drip(server.address, format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(70_000)).as_bytes(), b"").await;
    assert!(long.starts_with("HTTP/1.1 414 ") || long.starts_with("HTTP/1.1 431 "), "{long}");
    let many = format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "a: b\r\n".repeat(200));
    let (many, _) = drip(server.address, many.as_bytes(), b"").await;
    assert!(many.starts_with("HTTP/1.1 431 "), "{many}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_are_slow_or_never_end_are_refused() {
    let server = Server::start().await;
    let head = |framing: &str| {
        let bearer = server.token(Role::Reporter);
        format!(
            "POST /api/v1/incidents HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {bearer}\r\n{framing}\r\n\r\n"
        )
    };
    // chunks without end: refused as soon as there are too many
    let chunk = format!("400\r\n{}\r\n", "x".repeat(1024));
    let endless = head("transfer-encoding: chunked") + &chunk.repeat(MAX_BODY / 1024 + 2);
    let (answer, spent) = drip(server.address, endless.as_bytes(), b"").await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && spent < MOMENT, "{spent:?}: {answer}");
    // announced and never sent, a byte now and then: both at once, they take half a minute
    let (announced, chunked) = (head("content-length: 20000"), head("transfer-encoding: chunked"));
    let ((slow, _), (dripping, spent)) = tokio::join!(
        drip(server.address, announced.as_bytes(), b" "),
        drip(server.address, chunked.as_bytes(), b"1\r\n \r\n"),
    );
    for answer in [slow, dripping] {
        assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("problem:too-slow"), "{answer}");
    }
    assert!(spent < Duration::from_secs(60), "{spent:?}");
}

#[tokio::test]
async fn what_is_compressed_is_not_unpacked() {
    let server = Server::start().await;
    // the beginning of a gzip file: a bomb would go on
    let body = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xed, 0xc1];
    let bearer = format!("Bearer {}", server.token(Role::Reporter));
    let headers =
        [("authorization", bearer.as_str()), ("content-encoding", "gzip"), ("content-type", "application/json")];
    for path in ["/api/v1/incidents", "/api/v1/assess", "/api/v1/ingest/generic"] {
        let reply = server.send("POST", path, &headers, &body).await;
        assert!(matches!(reply.status, 400 | 415 | 422), "{path}: {} {}", reply.status, reply.body);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_says_nothing_keeps_nobody_out() {
    let server = Server::impatient(Patience { head: Duration::from_secs(60), ..SOON }).await;
    let mut crowd = Vec::new();
    for n in 0..400 {
        let mut stream = TcpStream::connect(server.address).await.expect("connects");
        // some say nothing, some begin a head, some a body, of a form that anybody may send
        let said: &[u8] = match n % 3 {
            0 => b"",
            1 => b"GET / HTTP/1.1\r\nx: ",
            _ => b"POST /login HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\nlogin=",
        };
        let _ = stream.write_all(said).await;
        crowd.push(stream);
        if n % 50 == 0 {
            let began = Instant::now();
            assert_eq!(server.send("GET", "/healthz", &[], b"").await.status, 200);
            assert_eq!(server.get(Role::Auditor, "/api/v1/me").await.status, 200);
            assert!(began.elapsed() < MOMENT);
        }
    }
    // a report comes through all the same
    server.breach("In a crowd").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_all_are_worked_on_the_next_is_told_to_come_again() {
    let server = Server::impatient(Patience { head: Duration::from_secs(60), connections: 4 }).await;
    let stream = format!(
        "GET /api/v1/stream HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n",
        server.token(Role::Reporter)
    );
    let mut listeners = Vec::new();
    for _ in 0..4 {
        let mut connection = TcpStream::connect(server.address).await.expect("connects");
        connection.write_all(stream.as_bytes()).await.expect("sends");
        let mut piece = [0; 16];
        connection.read_exact(&mut piece).await.expect("the stream begins");
        listeners.push(connection);
    }
    let (answer, _) = drip(server.address, b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n", b"").await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: 5"), "{answer}");
    drop(listeners.pop());
    let began = Instant::now();
    // that somebody left is noticed when something is written to them, or at once
    while server
        .raw(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", false, false)
        .await
        .starts_with(b"HTTP/1.1 503")
    {
        assert!(began.elapsed() < Duration::from_secs(40));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
