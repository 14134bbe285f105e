//! Time stamps: what we ask is what `openssl` reads, what it answers is what we accept, and nothing else is.

use crate::support::tsa::{self, Tsa};
use breachclock::evidence::tsp::{self, Roots, check, request};
use breachclock::evidence::{hex, sha256};
use proptest::prelude::*;
use std::process::Command;
use std::sync::OnceLock;

const NONCE: [u8; 8] = [0xff, 1, 2, 3, 4, 5, 6, 0x87];
const DATA: &[u8] = b"breach.example.org/test\n7\nroot\n";

fn rsa() -> &'static Tsa {
    static TSA: OnceLock<Tsa> = OnceLock::new();
    TSA.get_or_init(|| Tsa::new(tsa::RSA))
}

fn roots(tsa: &Tsa) -> Roots {
    Roots::from_pem(&tsa.root_pem()).expect("a certificate")
}

fn refused(response: &[u8], roots: &Roots) -> String {
    check(response, &sha256(DATA), Some(NONCE), roots).expect_err("must be refused").to_string()
}

#[test]
fn openssl_reads_the_query() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("q"), request(&sha256(DATA), NONCE)).expect("written");
    let output = Command::new("openssl").args(["ts", "-query", "-in", "q", "-text"]).current_dir(dir.path()).output();
    let text = String::from_utf8(output.expect("openssl").stdout).expect("text").replace([' ', '-', '\n'], "");
    for wanted in ["Version:1", "HashAlgorithm:sha256", "Nonce:0x7F01020304050687", "Certificaterequired:yes"] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    // the hex dump is broken into lines with offsets; its halves stand whole
    let hash = hex(&sha256(DATA));
    assert!(text.contains(&hash[..32]) && text.contains(&hash[32..]), "{text}");
}

#[test]
fn stamps_of_each_kind_of_key() {
    for (key, digest) in [(tsa::RSA, "sha256"), (tsa::RSA, "sha512"), (tsa::P256, "sha256"), (tsa::P384, "sha384")] {
        let tsa = Tsa::with(key, tsa::STAMPING, digest);
        let response = tsa.reply(&request(&sha256(DATA), NONCE));
        let before = breachclock::daemon::clock::now();
        let stamp = check(&response, &sha256(DATA), Some(NONCE), &roots(&tsa))
            .unwrap_or_else(|fault| panic!("{key} {digest}: it {fault}"));
        assert!(stamp.trusted && stamp.policy == "1.2.3.4.1", "{stamp:?}");
        assert_eq!(stamp.certificates.len(), 2, "the signer's, and the root as configured");
        let apart = stamp.at.timestamp() - before.timestamp();
        assert!(apart.abs() <= 2, "{apart} s");
        // without a root the signature is checked, and who it is stays open
        let open = check(&response, &sha256(DATA), None, &Roots::default()).expect("holds");
        assert!(!open.trusted && open.at == stamp.at);
        // the authority's own certificate, or what it carried, is as good as its root
        let own = Roots::from_pem(tsp::pem(&stamp.certificates[..1]).as_bytes()).expect("a certificate");
        assert!(check(&response, &sha256(DATA), None, &own).expect("holds").trusted);
    }
}

#[test]
fn what_does_not_fit_is_refused_with_the_reason() {
    let (tsa, other) = (rsa(), Tsa::new(tsa::P256));
    let good = tsa.reply(&request(&sha256(DATA), NONCE));
    let known = roots(tsa);
    assert!(check(&good, &sha256(DATA), Some(NONCE), &known).is_ok());
    let error = check(&good, &sha256(b"another"), Some(NONCE), &known).expect_err("another hash");
    assert!(error.to_string().contains("is over something else"), "{error}");
    let error = check(&good, &sha256(DATA), Some([1; 8]), &known).expect_err("another nonce");
    assert!(error.to_string().contains("nonce differs"), "{error}");
    assert!(refused(&good, &roots(&other)).contains("does not lead to a trusted certificate"));
    // a root of the same name with another key
    let twin = Tsa::new(tsa::RSA);
    assert!(refused(&good, &roots(&twin)).contains("does not lead to a trusted certificate"));

    let query = request(&sha256(DATA), NONCE);
    let mut without_certificate = query.clone();
    without_certificate.truncate(query.len() - 3);
    without_certificate[1] -= 3;
    assert!(refused(&tsa.reply(&without_certificate), &known).contains("does not carry the certificate"));

    // a hash the authority does not take
    let mut sha1 = query.clone();
    sha1[18] = 9;
    assert!(refused(&tsa.reply(&sha1), &known).contains("refused by the authority with status 2"));
    // a stamp of a time at which its certificate was not valid
    let early = tsa.reply_at(&query, "2020-01-01 00:00:00");
    assert!(refused(&early, &known).contains("its certificate was not valid"), "{}", refused(&early, &known));
    // a stamp made late in the certificate's life is judged by the time it states, whatever the present
    let late = breachclock::daemon::clock::now() + chrono::TimeDelta::days(3000);
    let late = tsa.reply_at(&query, &late.format("%Y-%m-%d %H:%M:%S").to_string());
    assert!(check(&late, &sha256(DATA), Some(NONCE), &known).is_ok());

    let long = vec![0x30; tsp::LONGEST + 1];
    assert!(refused(&long, &known).contains("65536 at most"));
    for (bytes, words) in [
        (&b""[..], "DER is broken"),
        (b"<html>busy</html>", "DER is broken"),
        (&[0x30, 0x03, 2, 1, 0], "DER is broken"),
        (&[0x30, 0x05, 0x30, 3, 2, 1, 0], "holds no token"),
        (&[0x30, 0x05, 0x30, 3, 2, 1, 3], "refused by the authority with status 3"),
        (&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], "DER is broken"),
    ] {
        assert!(refused(bytes, &known).contains(words), "{bytes:?}: {}", refused(bytes, &known));
    }
    let mut longer = good.clone();
    longer.push(0);
    assert!(refused(&longer, &known).contains("DER is broken"), "nothing may follow");
}

#[test]
fn roots_are_certificates() {
    for (text, words) in [
        ("", "holds no certificate"),
        ("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", "cannot be read"),
        ("-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n", "is no PEM file"),
    ] {
        let error = Roots::from_pem(text.as_bytes()).expect_err(text);
        assert!(error.to_string().contains(words), "{text}: {error}");
    }
}

/// Changes of a token, as positions in thousandths of it.
#[derive(Clone, Debug)]
enum Change {
    Flip(u16, u8),
    Cut(u16),
    Drop(u16),
    Insert(u16, u8),
    Swap(u16, u16),
}

fn change() -> impl Strategy<Value = Change> {
    let at = 0u16..1000;
    prop_oneof![
        4 => (at.clone(), 1u8..).prop_map(|(at, bits)| Change::Flip(at, bits)),
        1 => at.clone().prop_map(Change::Cut),
        1 => at.clone().prop_map(Change::Drop),
        1 => (at.clone(), any::<u8>()).prop_map(|(at, byte)| Change::Insert(at, byte)),
        1 => (at.clone(), at).prop_map(|(a, b)| Change::Swap(a, b)),
    ]
}

fn mutate(token: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut bytes = token.to_vec();
    for change in changes {
        let place = |at: u16| (usize::from(at) * bytes.len() / 1000).min(bytes.len().saturating_sub(1));
        if bytes.is_empty() {
            break;
        }
        match *change {
            Change::Flip(at, bits) => {
                let at = place(at);
                bytes[at] ^= bits;
            }
            Change::Cut(at) => bytes.truncate(place(at)),
            Change::Drop(at) => drop(bytes.remove(place(at))),
            Change::Insert(at, byte) => bytes.insert(place(at), byte),
            Change::Swap(a, b) => {
                let (a, b) = (place(a), place(b));
                bytes.swap(a, b);
            }
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    /// Whatever is done to a token: no panic, and what is still accepted says the same.
    #[test]
    fn changed_tokens_are_refused_or_say_the_same(changes in prop::collection::vec(change(), 1..4), ec: bool) {
        static GOOD: OnceLock<Vec<(Vec<u8>, Roots)>> = OnceLock::new();
        let good = GOOD.get_or_init(|| {
            let make = |tsa: &Tsa| (tsa.reply(&request(&sha256(DATA), NONCE)), roots(tsa));
            vec![make(rsa()), make(&Tsa::new(tsa::P256))]
        });
        let (token, known) = &good[usize::from(ec)];
        let whole = check(token, &sha256(DATA), Some(NONCE), known).expect("good");
        let changed = mutate(token, &changes);
        if let Ok(stamp) = check(&changed, &sha256(DATA), Some(NONCE), known) {
            prop_assert_eq!((stamp.at, stamp.policy, stamp.serial), (whole.at, whole.policy, whole.serial));
            prop_assert_eq!(&stamp.certificates[0], &whole.certificates[0]);
        }
    }

    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(check(&bytes, &sha256(DATA), None, &Roots::default()).is_err());
    }
}
