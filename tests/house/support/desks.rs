//! Receivers that behave as told: a mail server that may fall silent, and a webhook.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Where a mail server stops answering; the connection stays open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    Never,
    Greeting,
    Recipient,
    /// After the mail: nobody knows whether it was taken.
    Mail,
}

/// A mail as it came in.
#[derive(Clone, Debug)]
pub struct Mail {
    /// Left side of the Message-ID.
    pub id: String,
    pub date: String,
    /// The plain text part, decoded.
    pub text: String,
}

pub struct MailDesk {
    pub url: String,
    shared: Arc<Shared>,
}

struct Shared {
    silence: Mutex<Silence>,
    taken: Mutex<Vec<Mail>>,
    /// Conversations in which it fell silent.
    silent: AtomicUsize,
}

impl MailDesk {
    pub fn open() -> MailDesk {
        MailDesk::open_at(0)
    }

    /// On a port of one's choice.
    pub fn open_at(port: u16) -> MailDesk {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("a free port");
        let url = format!("smtp://{}", listener.local_addr().expect("an address"));
        let (silence, taken) = (Mutex::new(Silence::Never), Mutex::new(Vec::new()));
        let shared = Arc::new(Shared { silence, taken, silent: AtomicUsize::new(0) });
        let desk = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let desk = desk.clone();
                // a client that goes away ends its conversation
                thread::spawn(move || drop(desk.converse(stream)));
            }
        });
        MailDesk { url, shared }
    }

    pub fn set(&self, silence: Silence) {
        *lock(&self.shared.silence) = silence;
    }

    pub fn taken(&self) -> Vec<Mail> {
        lock(&self.shared.taken).clone()
    }

    pub fn silent(&self) -> usize {
        self.shared.silent.load(Ordering::SeqCst)
    }
}

impl Shared {
    /// Whether to say nothing at this point: then it waits until the client goes.
    fn falls_silent(&self, point: Silence, stream: &mut impl Read) -> bool {
        if *lock(&self.silence) != point {
            return false;
        }
        self.silent.fetch_add(1, Ordering::SeqCst);
        while stream.read(&mut [0; 1024]).is_ok_and(|n| n > 0) {}
        true
    }

    fn converse(&self, stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut say = stream.try_clone()?;
        let mut lines = BufReader::new(stream);
        if self.falls_silent(Silence::Greeting, &mut lines) {
            return Ok(());
        }
        say.write_all(b"220 desk.example\r\n")?;
        loop {
            let mut line = String::new();
            if lines.read_line(&mut line)? == 0 {
                return Ok(());
            }
            match line.get(..4).unwrap_or_default().to_ascii_uppercase().as_str() {
                "RCPT" => {
                    if self.falls_silent(Silence::Recipient, &mut lines) {
                        return Ok(());
                    }
                    say.write_all(b"250 ok\r\n")?;
                }
                "DATA" => {
                    say.write_all(b"354 go on\r\n")?;
                    let mut mail = Vec::new();
                    while !mail.ends_with(b"\r\n.\r\n") {
                        if lines.read_until(b'\n', &mut mail)? == 0 {
                            return Ok(());
                        }
                    }
                    if self.falls_silent(Silence::Mail, &mut lines) {
                        return Ok(());
                    }
                    lock(&self.taken).push(read_mail(&String::from_utf8_lossy(&mail)));
                    say.write_all(b"250 taken\r\n")?;
                }
                "QUIT" => return say.write_all(b"221 bye\r\n"),
                _ => say.write_all(b"250 ok\r\n")?,
            }
        }
    }
}

/// Reads a mail of ours; line ends of either kind.
pub fn read_mail(mail: &str) -> Mail {
    let mail = mail.replace("\r\n", "\n");
    let header = |name: &str| {
        let line = mail.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim().to_string()
    };
    let id = header("Message-ID:").trim_matches(['<', '>']).split('@').next().unwrap_or_default().to_string();
    let plain = mail.split("\n\n").skip(2).collect::<Vec<_>>().join("\n\n");
    let plain = plain.split("\n--=_").next().unwrap_or_default();
    Mail { id, date: header("Date:"), text: unquoted(plain) }
}

fn unquoted(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'=' => {
                let pair: Vec<u8> = rest.by_ref().take_while(|b| *b != b'\n').take(2).collect();
                let digits = std::str::from_utf8(&pair).ok().filter(|digits| digits.len() == 2);
                bytes.extend(digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()));
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A webhook that takes everything.
pub struct HookDesk {
    pub url: String,
    taken: Arc<Mutex<Vec<String>>>,
}

impl HookDesk {
    pub fn open() -> HookDesk {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let taken = Arc::new(Mutex::new(Vec::new()));
        let desk = taken.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let desk = desk.clone();
                thread::spawn(move || drop(answer(stream, &desk)));
            }
        });
        HookDesk { url, taken }
    }

    /// Bodies.
    pub fn taken(&self) -> Vec<String> {
        lock(&self.taken).clone()
    }
}

fn answer(stream: TcpStream, desk: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut say = stream.try_clone()?;
    let mut lines = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if lines.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        lines.read_exact(&mut body)?;
        lock(desk).push(String::from_utf8_lossy(&body).into_owned());
        say.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")?;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
