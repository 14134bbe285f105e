//! Logging in at a provider of identities that takes every code as often as it comes: what it does not refuse, we do. A real
//! one is in `tests/browser/provider.test.mjs`.

use crate::web::{Reply, Server};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use breachclock::notify::identity::{Meaning, Provider, Settings};
use breachclock::store::Store;
use breachclock::workflow::{Doors, Federation};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Signs for whoever brings a code, with the nonce that was meant for it.
struct Lax {
    issuer: String,
    key: Vec<u8>,
    public: Vec<u8>,
    /// Seconds since 1970, as the server takes it.
    now: i64,
    nonces: Mutex<BTreeMap<String, String>>,
    exchanges: Mutex<usize>,
}

impl Lax {
    fn start(now: i64) -> Arc<Lax> {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("a key");
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.as_ref(), &random).expect("a key");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let issuer = format!("http://{}", listener.local_addr().expect("an address"));
        let (key, public) = (key.as_ref().to_vec(), pair.public_key().as_ref().to_vec());
        let (nonces, exchanges) = Default::default();
        let lax = Arc::new(Lax { issuer, key, public, now, nonces, exchanges });
        let serving = lax.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                serving.serve(stream);
            }
        });
        lax
    }

    fn serve(&self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        let (mut line, mut length) = (String::new(), 0);
        stream.read_line(&mut line).expect("a line");
        let path = line.split(' ').nth(1).unwrap_or_default().to_string();
        loop {
            let mut header = String::new();
            stream.read_line(&mut header).expect("a header");
            match header.trim().to_ascii_lowercase().split_once(':') {
                Some(("content-length", value)) => length = value.trim().parse().expect("a number"),
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).expect("the body");
        let answer = self.answer(&path, &String::from_utf8(body).expect("text")).to_string();
        let head = format!("content-type: application/json\r\ncontent-length: {}\r\nconnection: close", answer.len());
        let _ = write!(stream.get_mut(), "HTTP/1.1 200 OK\r\n{head}\r\n\r\n{answer}");
    }

    fn answer(&self, path: &str, body: &str) -> Value {
        let issuer = &self.issuer;
        match path {
            "/.well-known/openid-configuration" => json!({
                "issuer": issuer, "authorization_endpoint": format!("{issuer}/auth"),
                "token_endpoint": format!("{issuer}/token"), "jwks_uri": format!("{issuer}/keys"),
            }),
            "/keys" => {
                let half = |from: usize| URL_SAFE_NO_PAD.encode(&self.public[from..from + 32]);
                json!({ "keys": [{ "kty": "EC", "crv": "P-256", "alg": "ES256", "x": half(1), "y": half(33) }] })
            }
            "/token" => {
                *self.exchanges.lock().expect("a lock") += 1;
                let code = body.split('&').find_map(|pair| pair.strip_prefix("code=")).unwrap_or_default();
                let nonce = self.nonces.lock().expect("a lock").get(code).cloned();
                let claims = json!({
                    "iss": issuer, "sub": "lea", "aud": "breachclock", "name": "Lea", "groups": ["soc"],
                    "iat": self.now, "exp": self.now + 300, "nonce": nonce,
                });
                let key = EncodingKey::from_ec_der(&self.key);
                let token = jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims, &key).expect("signs");
                json!({ "access_token": "a", "token_type": "Bearer", "id_token": token })
            }
            other => json!({ "error": format!("nothing at {other}") }),
        }
    }

    /// A code for whoever was sent here with `nonce`.
    fn gives(&self, code: &str, nonce: &str) {
        self.nonces.lock().expect("a lock").insert(code.into(), nonce.into());
    }

    fn exchanges(&self) -> usize {
        *self.exchanges.lock().expect("a lock")
    }
}

/// A browser that was sent to the provider: its cookie, and the state and nonce it carries.
async fn begin(server: &Server) -> (String, String, String) {
    let sent = server.send("GET", "/login/provider?next=%2Fincidents", &[], b"").await;
    assert_eq!(sent.status, 303, "{}", sent.body);
    let address = sent.header("location");
    let carried = |name: &str| {
        let pairs = address.split_once('?').expect("a query").1.split('&');
        pairs.filter_map(|pair| pair.split_once('=')).find(|(n, _)| *n == name).expect("carried").1.to_string()
    };
    let cookie = sent.header("set-cookie").split(';').next().expect("a cookie").to_string();
    (cookie, carried("state"), carried("nonce"))
}

async fn come_back(server: &Server, cookie: &str, code: &str, state: &str) -> Reply {
    let path = format!("/login/callback?code={code}&state={state}");
    server.send("GET", &path, &[("cookie", cookie)], b"").await
}

/// How many entries of the kind the log holds.
async fn entries(server: &Server, kind: &str) -> usize {
    let entries = server.house.store.stream("_system").await.expect("a stream");
    let is_kind = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).expect("JSON")["type"] == kind;
    entries.iter().filter(|entry| is_kind(&entry.bytes)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_opens_one_session_in_the_browser_that_asked_for_it() {
    let lax = Lax::start(crate::support::at("2026-03-28T01:13:30Z").timestamp());
    let settings = Settings {
        issuer: lax.issuer.clone(),
        client_id: "breachclock".into(),
        scopes: "openid".into(),
        redirect: "https://breach.example/login/callback".into(),
        allow_private: true,
        ca_file: None,
    };
    let provider = Provider::from_settings(&settings, "a secret".into()).expect("a provider");
    let meaning = Meaning {
        label: "Acme".into(),
        role_claim: "groups".into(),
        roles: vec![("soc".into(), "responder".into())],
        ..Meaning::default()
    };
    let mut doors = Doors::new(false);
    doors.federation = Some(Arc::new(Federation { provider, meaning }));
    let server = Server::with_doors(doors).await;
    let refused = |reply: &Reply, what: &str| {
        assert_eq!(reply.status, 409, "{what}: {}", reply.body);
        assert!(reply.body.contains("begin again"), "{what}: {}", reply.body);
        assert!(!reply.header("set-cookie").starts_with("breachclock="), "{what}: {}", reply.header("set-cookie"));
    };

    let (here, state, nonce) = begin(&server).await;
    let (there, other_state, _) = begin(&server).await;
    lax.gives("c1", &nonce);
    for (cookie, state, what) in [
        (&here, &other_state, "the state of another browser"),
        (&there, &state, "in another browser"),
        (&String::new(), &state, "in a browser that began nothing"),
        (&"breachclock-errand=forged".to_string(), &state, "a ticket that is not ours"),
        (&here, &String::new(), "without a state"),
    ] {
        refused(&come_back(&server, cookie, "c1", state).await, what);
    }
    assert_eq!((lax.exchanges(), entries(&server, "session.opened").await), (0, 0), "no code went to the provider");

    let opened = come_back(&server, &here, "c1", &state).await;
    assert_eq!((opened.status, opened.header("location")), (303, "/incidents"), "{}", opened.body);
    let session = opened.header("set-cookie").split(';').next().unwrap_or_default().to_string();
    let me = server.send("GET", "/api/v1/me", &[("cookie", &session)], b"").await;
    assert_eq!((me.status, &me.json()["role"]), (200, &json!("responder")), "{}", me.body);

    // the address stands in the history of the browser, and whoever finds it there has the cookie too
    lax.gives("c2", &nonce);
    for code in ["c1", "c1", "c2"] {
        refused(&come_back(&server, &here, code, &state).await, "the same state again");
    }
    assert_eq!((lax.exchanges(), entries(&server, "session.opened").await), (1, 1));
    assert_eq!(entries(&server, "login.failed").await, 1, "one entry a minute");
}
