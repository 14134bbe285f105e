//! The words of a witness: C2SP tlog-witness, `add-checkpoint`.
//!
//! ```text
//! old 9                                  ─► 200  lines of cosignatures
//! <consistency proof, a hash a line>     ─► 409  `13`: what it saw last; ask again from there
//!                                        ─► 403, 404  it does not know key or name of the log
//! <checkpoint, a signed note>            ─► 422  what it saw before is no beginning of this log
//! ```
//! Absent: connections (`notify::witness`), and when to ask (`workflow::witness`).

use super::cosign::{Cosignature, Cosigner};
use super::{Checkpoint, Hash};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt;

/// More of an answer is not read: sixteen lines, each as long as a post-quantum signature makes it.
pub const LONGEST: usize = 128 * 1024;
/// Of an answer that holds a size.
const SIZE: &str = "text/x.tlog.size";
/// Words of a witness that are repeated to people.
const SAID: usize = 200;

/// What is sent: `checkpoint` grew from `old` entries, as `proof` shows ([`super::merkle::consistency`]).
pub fn request(old: u64, proof: &[Hash], checkpoint: &Checkpoint) -> Vec<u8> {
    let proof: String = proof.iter().map(|hash| STANDARD.encode(hash) + "\n").collect();
    format!("old {old}\n{proof}\n{}", checkpoint.note).into_bytes()
}

/// What a witness says to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Cosigned(Cosignature),
    /// It saw the log at another size than the one named: ask again from there, if the log is that large.
    Knows(u64),
    /// What it saw before is no beginning of this log.
    OtherLog(Words),
    /// It does not know the name of the log, or none of the keys that signed.
    Unknown(Words),
    /// It could not, or not now.
    Failed(Words),
}

/// Why there is no cosignature.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// In our words: may stand in an entry.
    pub what: String,
    /// The first line of its own, for people.
    pub said: String,
}

impl From<String> for Words {
    fn from(what: String) -> Words {
        Words { what, said: String::new() }
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.said.as_str() {
            "" => f.write_str(&self.what),
            said => write!(f, "{}: {said}", self.what),
        }
    }
}

/// An answer as it came.
#[derive(Clone, Debug)]
pub struct Answer<'a> {
    pub status: u16,
    pub content_type: &'a str,
    pub body: &'a [u8],
}

/// Reads the answer of `cosigner` to a request about `checkpoint` that named `old`.
pub fn read(answer: &Answer<'_>, cosigner: &Cosigner, checkpoint: &Checkpoint, old: u64) -> Reply {
    let words = |what: String| Words { what, said: first_line(answer.body) };
    match answer.status {
        200 => {
            let found = std::str::from_utf8(answer.body).map_err(|_| "it is no text");
            match found.and_then(|lines| cosigner.find(lines, checkpoint)) {
                Ok(Some(cosignature)) => Reply::Cosigned(cosignature),
                Ok(None) => Reply::Failed("its answer holds no cosignature of the configured `key`".to_string().into()),
                Err(why) => Reply::Failed(format!("its answer does not hold: {why}").into()),
            }
        }
        409 => match size(answer) {
            Some(size) if size != old => Reply::Knows(size),
            // until version 1.0.0 of the protocol another root of the same size was answered so
            _ if old == checkpoint.size => Reply::OtherLog(words("409".into())),
            Some(_) => Reply::Failed("it refuses the size that it says it knows (409)".to_string().into()),
            None => Reply::Failed(words("it answers 409 without the size that it knows".into())),
        },
        422 => Reply::OtherLog(words("422".into())),
        status @ (403 | 404) => Reply::Unknown(words(status.to_string())),
        status => Reply::Failed(words(format!("it answers {status}"))),
    }
}

fn size(answer: &Answer<'_>) -> Option<u64> {
    let text = std::str::from_utf8(answer.body).ok().filter(|_| answer.content_type == SIZE)?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.parse().ok().filter(|size: &u64| size.to_string() == text)
}

/// The first line of a body that explains.
fn first_line(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let line: String = text.lines().next().unwrap_or_default().chars().filter(|c| !c.is_control()).take(SAID).collect();
    line.trim().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::SigningKey;

    /// The example of C2SP tlog-witness: its request is the one we make.
    #[test]
    fn a_request_is_written_as_the_specification_has_it() {
        let note = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
                    — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n";
        let checkpoint = Checkpoint::parse(note).expect("a checkpoint").claimed().clone();
        let lines = ["PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=", "jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk="];
        let proof = lines.map(|line| STANDARD.decode(line).ok().and_then(|hash| hash.try_into().ok()).expect("a hash"));
        let wanted = format!("old 20852014\n{}\n{}\n\n{note}", lines[0], lines[1]);
        assert_eq!(String::from_utf8_lossy(&request(20_852_014, &proof, &checkpoint)), wanted);
        assert!(request(0, &[], &checkpoint).starts_with(b"old 0\n\nexample.com/behind-the-sofa\n"));
    }

    #[test]
    fn each_answer_has_its_meaning() {
        let key = SigningKey::from_seed(&[1; 32]);
        let checkpoint = Checkpoint::sign("a.example/log", 9, [3; 32], &key).expect("a log");
        let cosigner = Cosigner { name: "w.example/1".into(), key: SigningKey::from_seed(&[2; 32]).public() };
        let read = |status, content_type, body: &str, old| {
            let answer = Answer { status, content_type, body: body.as_bytes() };
            match super::read(&answer, &cosigner, &checkpoint, old) {
                Reply::OtherLog(words) => format!("another log, {words}"),
                Reply::Unknown(words) => format!("unknown, {words}"),
                Reply::Failed(words) => format!("failed, {words}"),
                other => format!("{other:?}"),
            }
        };
        for (status, kind, body, old, wanted) in [
            (409, SIZE, "5\n", 3, "Knows(5)"),
            (409, SIZE, "0\n", 3, "Knows(0)"),
            (409, SIZE, "12\n", 3, "Knows(12)"),
            (409, SIZE, "12", 3, "Knows(12)"),
            (409, SIZE, "012\n", 3, "failed, "),
            (409, SIZE, "-1\n", 3, "failed, "),
            (409, SIZE, "\n", 3, "failed, "),
            (409, SIZE, "3\n", 3, "failed, "),
            (409, "text/plain", "12\n", 3, "failed, "),
            (409, "text/plain", "root differs", 9, "another log, 409: root differs"),
            (409, SIZE, "9\n", 9, "another log, 409"),
            (409, SIZE, "4\n", 9, "Knows(4)"),
            (422, "text/plain", "bad proof\nmore", 3, "another log, 422: bad proof"),
            (403, "", "", 3, "unknown, 403"),
            (404, "", "\u{1b}[1mno", 3, "unknown, 404: [1mno"),
            (400, "", "", 3, "failed, "),
            (429, "", "", 3, "failed, "),
            (503, "", "later", 3, "failed, it answers 503: later"),
            (302, "", "", 3, "failed, "),
            (200, "", "", 3, "failed, "),
            (200, "", "hello\n", 3, "failed, "),
            (200, "", "— other.example AAAAAAA=\n", 3, "failed, its answer holds no cosignature"),
        ] {
            let found = read(status, kind, body, old);
            assert!(found.starts_with(wanted), "{status} {body:?}: {found}, not {wanted}");
        }
    }
}
