//! A witness of our own (C2SP tlog-witness) behind a small HTTP server. It shares no code with what it watches: it reads
//! notes, checks proofs (RFC 9162 section 2.1.4.2) and signs by itself.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use breachclock::evidence::{Cosigner, PublicKey};
use breachclock::notify::witness::{Settings, Witness as Client};
use ed25519_dalek::{Signer as _, SigningKey, Verifier as _, VerifyingKey};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

type Hash = [u8; 32];

/// What the server does with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mood {
    Cosigns,
    /// 503.
    Down,
    /// Takes the request and says nothing.
    Hangs,
    /// Answers this, whatever was asked.
    Says(u16, &'static str, Vec<u8>),
}

/// A log as it knows it.
#[derive(Clone, Debug)]
struct Seen {
    keys: Vec<VerifyingKey>,
    size: u64,
    root: Hash,
}

struct State {
    mood: Mood,
    logs: BTreeMap<String, Seen>,
    /// Old and new size of each request.
    asked: Vec<(u64, u64)>,
    /// Its clock.
    now: u64,
}

/// Serves until the test ends.
pub struct Witness {
    pub url: String,
    pub name: String,
    key: SigningKey,
    state: Arc<Mutex<State>>,
}

impl Witness {
    pub fn start(name: &str, seed: u8) -> Witness {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
        let url = format!("http://{}/prefix", listener.local_addr().expect("bound"));
        let state = State { mood: Mood::Cosigns, logs: BTreeMap::new(), asked: Vec::new(), now: 1_795_860_000 };
        let (key, state) = (SigningKey::from_bytes(&[seed; 32]), Arc::new(Mutex::new(state)));
        let (signer, shared, by) = (key.clone(), state.clone(), name.to_string());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (signer, shared, by) = (signer.clone(), shared.clone(), by.clone());
                std::thread::spawn(move || serve(stream, &by, &signer, &shared));
            }
        });
        Witness { url, name: name.into(), key, state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic")
    }

    pub fn set(&self, mood: Mood) {
        self.state().mood = mood;
    }

    pub fn set_clock(&self, seconds: i64) {
        self.state().now = seconds as u64;
    }

    /// Tells it of a log, or of another key of one.
    pub fn trust(&self, origin: &str, key: PublicKey) {
        let key = VerifyingKey::from_bytes(&key.0).expect("a key");
        let empty = Seen { keys: Vec::new(), size: 0, root: Sha256::digest([]).into() };
        self.state().logs.entry(origin.into()).or_insert(empty).keys.push(key);
    }

    /// Forgets what it saw of a log, and knows its keys still.
    pub fn forget(&self, origin: &str) {
        let mut state = self.state();
        let seen = state.logs.get_mut(origin).expect("a log it knows");
        (seen.size, seen.root) = (0, Sha256::digest([]).into());
    }

    /// The size that it saw last.
    pub fn saw(&self, origin: &str) -> u64 {
        self.state().logs.get(origin).map_or(0, |seen| seen.size)
    }

    /// The requests since the last call.
    pub fn asked(&self) -> Vec<(u64, u64)> {
        std::mem::take(&mut self.state().asked)
    }

    pub fn vkey(&self) -> String {
        let typed = [&[4][..], self.key.verifying_key().as_bytes()].concat();
        format!("{}+{}+{}", self.name, breachclock::evidence::hex(&id(&self.name, &typed)), STANDARD.encode(typed))
    }

    /// As the daemon is configured with it.
    pub fn client(&self) -> Client {
        let key = Cosigner::from_vkey(&self.vkey()).expect("a verifier key");
        Client::from_settings(&Settings { url: self.url.clone(), key, allow_private: true }).expect("usable")
    }
}

/// The line of a cosignature over `text`, the lines of a checkpoint.
pub fn cosign(name: &str, key: &SigningKey, time: u64, text: &str) -> String {
    let signature = key.sign(format!("cosignature/v1\ntime {time}\n{text}").as_bytes());
    let typed = [&[4][..], key.verifying_key().as_bytes()].concat();
    let blob = [&id(name, &typed)[..], &time.to_be_bytes(), &signature.to_bytes()].concat();
    format!("\u{2014} {name} {}\n", STANDARD.encode(blob))
}

fn id(name: &str, typed_key: &[u8]) -> [u8; 4] {
    let hash = Sha256::digest([name.as_bytes(), b"\n", typed_key].concat());
    [hash[0], hash[1], hash[2], hash[3]]
}

type Reply = (u16, &'static str, Vec<u8>);

fn serve(mut stream: TcpStream, name: &str, key: &SigningKey, state: &Mutex<State>) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
    let mut read = Vec::new();
    let mut part = [0; 4096];
    let (head, body) = loop {
        let Ok(n @ 1..) = stream.read(&mut part) else { return };
        read.extend_from_slice(&part[..n]);
        let Some(end) = read.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&read[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|l| l.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0usize);
        if read.len() >= end + 4 + length {
            break (head, String::from_utf8(read[end + 4..end + 4 + length].to_vec()).expect("text"));
        }
    };
    let (status, kind, body) = {
        let mut state = state.lock().expect("no panic");
        let known = match head.starts_with("post /prefix/add-checkpoint http/1.1") {
            true => add_checkpoint(&mut state, name, key, &body),
            false => (404, "text/plain", b"no such page\n".to_vec()),
        };
        match state.mood.clone() {
            Mood::Cosigns => known,
            Mood::Down => (503, "text/plain", b"later\n".to_vec()),
            Mood::Says(status, kind, body) => (status, kind, body),
            Mood::Hangs => {
                drop(state);
                std::thread::sleep(Duration::from_secs(40));
                return;
            }
        }
    };
    let head = format!(
        "HTTP/1.1 {status} Status\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
}

/// The answer, in the order of the specification. A witness in another mood saw nothing.
fn add_checkpoint(state: &mut State, name: &str, key: &SigningKey, body: &str) -> Reply {
    let refuse = |status, why: &str| (status, "text/plain", format!("{why}\n").into_bytes());
    let (old, proof, note) = request(body).expect("the request has its form");
    let (text, signatures) = note.split_once("\n\n").expect("a note");
    let text = format!("{text}\n");
    let [origin, size, root] = text.lines().collect::<Vec<_>>()[..] else { panic!("three lines: {text}") };
    let (size, root): (u64, Hash) = (size.parse().expect("a size"), hash(root).expect("a root"));
    state.asked.push((old, size));
    let now = state.now;
    let Some(seen) = state.logs.get_mut(origin) else { return refuse(404, "no such log") };
    let signed = |line: &str| {
        let blob = line.strip_prefix(&format!("\u{2014} {origin} ")).and_then(|blob| STANDARD.decode(blob).ok());
        let Some((key_id, signature)) = blob.as_ref().and_then(|blob| blob.split_first_chunk::<4>()) else {
            return false;
        };
        let Ok(signature) = ed25519_dalek::Signature::from_slice(signature) else { return false };
        seen.keys.iter().any(|key| {
            *key_id == id(origin, &[&[1][..], key.as_bytes()].concat())
                && key.verify(text.as_bytes(), &signature).is_ok()
        })
    };
    if !signatures.lines().any(signed) {
        return refuse(403, "no signature by a key of this log");
    }
    if state.mood != Mood::Cosigns {
        return refuse(500, "not in this mood");
    }
    if old > size {
        return refuse(400, "the old size is larger than the new one");
    }
    if old != seen.size {
        return (409, "text/x.tlog.size", format!("{}\n", seen.size).into_bytes());
    }
    let grown = match old {
        0 => proof.is_empty(),
        old if old == size => proof.is_empty() && root == seen.root,
        old => consistent(old, size, &proof, &seen.root, &root),
    };
    if !grown {
        return refuse(422, "what I saw before is no beginning of this");
    }
    (seen.size, seen.root) = (size, root);
    // a second key that nobody configured: to be ignored
    let other = cosign("other.example/key", &SigningKey::from_bytes(&[250; 32]), now, &text);
    (200, "text/plain", (other + &cosign(name, key, now, &text)).into_bytes())
}

/// Old size, proof and note; nothing when a line is not written the one way it may be.
fn request(body: &str) -> Option<(u64, Vec<Hash>, &str)> {
    let (head, note) = body.split_once("\n\n")?;
    let mut lines = head.split('\n');
    let old = lines.next()?.strip_prefix("old ")?;
    let number: u64 = old.parse().ok().filter(|n: &u64| n.to_string() == old)?;
    let proof = lines.map(hash).collect::<Option<Vec<Hash>>>()?;
    (proof.len() <= 63 && note.ends_with('\n')).then_some((number, proof, note))
}

fn hash(text: &str) -> Option<Hash> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

fn consistent(old: u64, new: u64, proof: &[Hash], old_root: &Hash, new_root: &Hash) -> bool {
    let pair = |left: &Hash, right: &Hash| -> Hash { Sha256::digest([&[1][..], left, right].concat()).into() };
    let mut path: Vec<Hash> = proof.to_vec();
    if old & (old - 1) == 0 {
        path.insert(0, *old_root);
    }
    let Some((first, rest)) = path.split_first() else { return false };
    let (mut at, mut last) = (old - 1, new - 1);
    while at & 1 == 1 {
        (at, last) = (at >> 1, last >> 1);
    }
    let (mut before, mut after) = (*first, *first);
    for sibling in rest {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            (before, after) = (pair(sibling, &before), pair(sibling, &after));
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            after = pair(&after, sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && before == *old_root && after == *new_root
}
