//! An HTTP receiver for the tests of notifiers: real sockets, and every request as it came.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// What arrived.
#[derive(Debug)]
pub struct Request {
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Request {
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
            .unwrap_or_else(|| panic!("no `{name}`: {self:?}"))
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

/// An HTTP receiver that gives every request the same answer.
pub struct Hook {
    pub port: u16,
    pub requests: Receiver<Request>,
}

impl Hook {
    pub fn start(answer: &str) -> Hook {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let (sender, requests) = channel();
        let answer = answer.to_string();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (sender, answer) = (sender.clone(), answer.clone());
                std::thread::spawn(move || serve(stream, &sender, &answer));
            }
        });
        Hook { port, requests }
    }

    pub fn request(&self) -> Request {
        self.requests.recv_timeout(Duration::from_secs(10)).expect("a request arrives")
    }
}

/// Answers every request on a connection with `answer`; an empty one closes it.
pub fn serve(stream: impl Read + Write, sender: &Sender<Request>, answer: &str) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            match stream.read_line(&mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) if line.trim().is_empty() => break,
                Ok(_) => head.push(line.trim().to_string()),
            }
        }
        let headers: Vec<(String, String)> = head[1..]
            .iter()
            .filter_map(|line| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_string())))
            .collect();
        let length =
            headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, v)| v.parse().expect("a number"));
        let mut body = vec![0; length];
        stream.read_exact(&mut body).expect("the whole body");
        let _ = sender.send(Request { line: head[0].clone(), headers, body: String::from_utf8(body).expect("text") });
        if answer.is_empty() || stream.get_mut().write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
