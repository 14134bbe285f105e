//! A time-stamping authority of our own: keys and answers by `openssl ts`, behind a small HTTP server.

use breachclock::notify::authority::{Authority, Settings};
use breachclock::store::MemoryStore;
use breachclock::workflow::House;
use breachclock::workflow::anchor::Anchors;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How the authority's key is made: arguments of `openssl req -newkey`.
pub const RSA: &str = "rsa:2048";
pub const P256: &str = "ec -pkeyopt ec_paramgen_curve:P-256";
pub const P384: &str = "ec -pkeyopt ec_paramgen_curve:P-384";
/// What its certificate is for.
pub const STAMPING: &str =
    "extendedKeyUsage=critical,timeStamping\nkeyUsage=critical,digitalSignature\nbasicConstraints=CA:FALSE\n";

/// What the server does with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mood {
    Stamps,
    /// 503.
    Down,
    /// Takes the request and says nothing.
    Hangs,
    /// Answers 200 with these bytes.
    Says(Vec<u8>),
}

/// A folder with root, certificate and key. The folder goes with it.
pub struct Tsa {
    dir: tempfile::TempDir,
    /// `openssl ts` numbers its answers in a file.
    turn: Mutex<()>,
}

impl Tsa {
    pub fn new(key: &str) -> Tsa {
        Tsa::with(key, STAMPING, "sha256")
    }

    /// With other extensions in its certificate, or another digest in its signature.
    pub fn with(key: &str, extensions: &str, digest: &str) -> Tsa {
        let dir = tempfile::tempdir().expect("a folder");
        let at = |name: &str| dir.path().join(name);
        openssl(
            dir.path(),
            "req -x509 -newkey rsa:2048 -nodes -keyout root.key -out root.pem -days 3650 -subj /CN=Root \
             -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign",
        );
        openssl(dir.path(), &format!("req -newkey {key} -nodes -keyout tsa.key -out tsa.csr -subj /CN=TSA"));
        fs::write(at("tsa.ext"), extensions).expect("written");
        openssl(
            dir.path(),
            "x509 -req -in tsa.csr -CA root.pem -CAkey root.key -CAcreateserial -days 3650 -extfile tsa.ext -out tsa.pem",
        );
        let config = format!(
            "[tsa]\ndefault_tsa = one\n[one]\nserial = serial\nsigner_cert = tsa.pem\nsigner_key = tsa.key\n\
             certs = root.pem\nsigner_digest = {digest}\ndefault_policy = 1.2.3.4.1\ndigests = sha256, sha384\n\
             accuracy = secs:1\ness_cert_id_alg = sha256\n"
        );
        fs::write(at("tsa.cnf"), config).expect("written");
        fs::write(at("serial"), "01\n").expect("written");
        Tsa { dir, turn: Mutex::default() }
    }

    pub fn root(&self) -> PathBuf {
        self.dir.path().join("root.pem")
    }

    pub fn root_pem(&self) -> Vec<u8> {
        fs::read(self.root()).expect("made")
    }

    /// The answer to a query, both DER.
    pub fn reply(&self, query: &[u8]) -> Vec<u8> {
        self.reply_with(query, &[])
    }

    /// The same by a machine whose clock shows something else, as `faketime` writes it.
    pub fn reply_at(&self, query: &[u8], time: &str) -> Vec<u8> {
        self.reply_with(query, &["faketime", time])
    }

    fn reply_with(&self, query: &[u8], before: &[&str]) -> Vec<u8> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let at = |name: &str| self.dir.path().join(name);
        fs::write(at("q.tsq"), query).expect("written");
        let _ = fs::remove_file(at("r.tsr"));
        let words: Vec<&str> = before
            .iter()
            .copied()
            .chain("openssl ts -reply -config tsa.cnf -queryfile q.tsq -out r.tsr".split(' '))
            .collect();
        // paths in its configuration are read from the present folder
        let status = Command::new(words[0])
            .args(&words[1..])
            .current_dir(self.dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(status.expect("openssl is installed").success(), "{words:?}");
        fs::read(at("r.tsr")).expect("answered")
    }
}

pub fn openssl(dir: &Path, arguments: &str) {
    let output = Command::new("openssl").args(arguments.split_whitespace()).current_dir(dir).output();
    let output = output.expect("openssl is installed");
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The authority behind `http://127.0.0.1:…/tsr`; it serves until the test ends.
pub struct Server {
    pub url: String,
    mood: Arc<Mutex<Mood>>,
    asked: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Server {
    pub fn start(tsa: Arc<Tsa>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
        let url = format!("http://{}/tsr", listener.local_addr().expect("bound"));
        let (mood, asked) = (Arc::new(Mutex::new(Mood::Stamps)), Arc::new(Mutex::new(Vec::new())));
        let (shared, queries) = (mood.clone(), asked.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (tsa, mood, queries) = (tsa.clone(), shared.clone(), queries.clone());
                std::thread::spawn(move || serve(stream, &tsa, &mood, &queries));
            }
        });
        Server { url, mood, asked }
    }

    pub fn set(&self, mood: Mood) {
        *self.mood.lock().expect("no panic") = mood;
    }

    /// Queries received so far.
    pub fn asked(&self) -> Vec<Vec<u8>> {
        self.asked.lock().expect("no panic").clone()
    }
}

fn serve(mut stream: TcpStream, tsa: &Tsa, mood: &Mutex<Mood>, asked: &Mutex<Vec<Vec<u8>>>) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
    let mut read = Vec::new();
    let mut part = [0; 4096];
    let (head, length) = loop {
        let Ok(n @ 1..) = stream.read(&mut part) else { return };
        read.extend_from_slice(&part[..n]);
        let Some(end) = read.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&read[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|l| l.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0usize);
        if read.len() >= end + 4 + length {
            break (head, (end + 4, length));
        }
    };
    let query = read[length.0..length.0 + length.1].to_vec();
    asked.lock().expect("no panic").push(query.clone());
    let mood = mood.lock().expect("no panic").clone();
    let (status, body) = match mood {
        Mood::Hangs => {
            std::thread::sleep(Duration::from_secs(40));
            return;
        }
        Mood::Down => ("503 Service Unavailable", b"later".to_vec()),
        Mood::Says(bytes) => ("200 OK", bytes),
        Mood::Stamps if head.contains("content-type: application/timestamp-query") => ("200 OK", tsa.reply(&query)),
        Mood::Stamps => ("415 Unsupported Media Type", Vec::new()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/timestamp-reply\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
}

/// A named authority as the daemon is configured with it; without `ca` its root is not known.
pub fn authority(server: &Server, ca: Option<&Tsa>, name: &str) -> Authority {
    let settings = Settings {
        name: name.into(),
        url: server.url.clone(),
        ca_file: ca.map(Tsa::root),
        allow_private: true,
        plain_http: true,
    };
    Authority::from_settings(&settings).expect("usable")
}

/// A house whose log these authorities stamp.
pub fn witnessed(authorities: Vec<Authority>) -> House<MemoryStore> {
    let mut house = super::house(MemoryStore::new("test.example/log"), super::settings(Vec::new()));
    house.anchors = Anchors::new(authorities, 3600);
    house
}
