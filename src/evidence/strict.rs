//! The readers' own parser: one spelling per value, or an error. Used by `verify` and `fsck`, never by a writer.
//!
//! Refused: duplicate members, floats, integers of 2^53 and more, white space between tokens, envelope members out
//! of order. What two readers could understand differently, none may accept.

use super::{Hash, unhex32};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeSet;
use std::fmt;

/// A JSON value. Members keep their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Int(i64),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads compact JSON, the whole of `text`.
    pub(super) fn parse(text: &str) -> Result<Json, String> {
        compact(text)?;
        Json::parse_spaced(text)
    }

    /// The same, white space allowed: for the index, which is written to be read by people too.
    pub(super) fn parse_spaced(text: &str) -> Result<Json, String> {
        serde_json::from_str(text).map_err(|e| e.to_string())
    }

    pub(super) fn get(&self, key: &str) -> Option<&Json> {
        match self {
            Json::Object(members) => members.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        if let Json::Text(text) = self { Some(text) } else { None }
    }

    pub(super) fn as_hash(&self) -> Option<Hash> {
        self.as_text().and_then(unhex32)
    }

    /// Calls `visit` with each member of each object inside, this one included: name, value.
    pub(super) fn walk(&self, visit: &mut impl FnMut(&str, &Json)) {
        match self {
            Json::List(items) => items.iter().for_each(|item| item.walk(visit)),
            Json::Object(members) => members.iter().for_each(|(name, value)| {
                visit(name, value);
                value.walk(visit);
            }),
            _ => {}
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

const LIMIT: u64 = 1 << 53;
/// Members compared one by one; more are kept in a set.
const FEW: usize = 32;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without floats")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Json, E> {
        if value.unsigned_abs() < LIMIT { Ok(Json::Int(value)) } else { Err(E::custom("an integer is too large")) }
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Json, E> {
        if value < LIMIT { Ok(Json::Int(value as i64)) } else { Err(E::custom("an integer is too large")) }
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_string()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members: Vec<(String, Json)> = Vec::new();
        // a hostile file may have millions
        let mut many = BTreeSet::new();
        while let Some((name, value)) = map.next_entry::<String, Json>()? {
            let twice = match members.len() {
                0..FEW => members.iter().any(|(seen, _)| *seen == name),
                FEW => {
                    many.extend(members.iter().map(|(seen, _)| seen.clone()));
                    !many.insert(name.clone())
                }
                _ => !many.insert(name.clone()),
            };
            if twice {
                return Err(A::Error::custom(format!("member `{}` stands twice", name.escape_debug())));
            }
            members.push((name, value));
        }
        Ok(Json::Object(members))
    }
}

fn compact(text: &str) -> Result<(), String> {
    let (mut inside, mut escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if inside => escaped = true,
            b'"' => inside = !inside,
            b' ' | b'\t' | b'\n' | b'\r' if !inside => return Err("white space between tokens".into()),
            _ => {}
        }
    }
    Ok(())
}

/// The envelope of an entry, borrowed from its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Envelope<'a> {
    pub log: &'a str,
    pub idx: u64,
    pub stream: &'a str,
    pub n: u64,
    pub prev: Hash,
    pub ts: &'a str,
    pub kind: &'a str,
    /// The body's text, braces included; not parsed.
    pub body: &'a str,
}

/// Reads one line: exact members in exact order, one LF at its end.
pub(super) fn envelope(line: &[u8]) -> Result<Envelope<'_>, &'static str> {
    let line = std::str::from_utf8(line).map_err(|_| "it is no UTF-8")?;
    let line = line.strip_suffix('\n').ok_or("it does not end with a line feed")?;
    if memchr::memchr(b'\n', line.as_bytes()).is_some() {
        return Err("it has more than one line");
    }
    let rest = line.strip_prefix(r#"{"v":1,"log":""#).ok_or("it does not start with `{\"v\":1,\"log\":`")?;
    let (log, rest) = until(rest, "\",\"idx\":", NAME).ok_or("`log` or `idx` is not in its place")?;
    let (idx, rest) = until(rest, ",\"stream\":\"", DIGIT).ok_or("`idx` or `stream` is not in its place")?;
    let (stream, rest) = until(rest, "\",\"n\":", NAME).ok_or("`stream` or `n` is not in its place")?;
    let (n, rest) = until(rest, ",\"prev\":\"", DIGIT).ok_or("`n` or `prev` is not in its place")?;
    let (prev, rest) = split(rest, 64, "\",\"ts\":\"").ok_or("`prev` or `ts` is not in its place")?;
    let (ts, rest) = split(rest, 27, "\",\"type\":\"").ok_or("`ts` or `type` is not in its place")?;
    let (kind, rest) = until(rest, "\",\"nonce\":\"", KIND).ok_or("`type` or `nonce` is not in its place")?;
    let (nonce, rest) = split(rest, 22, "\",\"body\":").ok_or("`nonce` or `body` is not in its place")?;
    let body =
        rest.strip_suffix('}').filter(|b| b.starts_with('{') && b.ends_with('}')).ok_or("`body` is no object")?;
    if !nonce.bytes().all(|c| CLASS[usize::from(c)] & NONCE != 0) {
        return Err("`nonce` is not 128 bits in base64url");
    }
    if !is_utc_micros(ts) {
        return Err("`ts` is no instant with six decimals and `Z`");
    }
    let prev = unhex32(prev).ok_or("`prev` is no SHA-256 value")?;
    let (idx, n) = (number(idx).ok_or("`idx` is no index")?, number(n).ok_or("`n` is no number")?);
    Ok(Envelope { log, idx, stream, n, prev, ts, kind, body })
}

/// Classes of bytes, a bit each: the header of every entry of a log goes through here.
const DIGIT: u8 = 1;
const NAME: u8 = 2;
const KIND: u8 = 4;
const NONCE: u8 = 8;
const CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut c = 0;
    while c < 256 {
        class[c] = match c as u8 {
            b'0'..=b'9' => DIGIT | NAME | KIND | NONCE,
            b'a'..=b'z' | b'-' => NAME | KIND | NONCE,
            b'A'..=b'Z' | b'_' => NAME | NONCE,
            b'.' => NAME | KIND,
            b'/' | b':' => NAME,
            _ => 0,
        };
        c += 1;
    }
    class
};

/// Splits at `end`, which follows a non-empty run of bytes of `class`.
fn until<'a>(text: &'a str, end: &str, class: u8) -> Option<(&'a str, &'a str)> {
    let length = text.bytes().position(|c| CLASS[usize::from(c)] & class == 0).filter(|length| *length > 0)?;
    Some((&text[..length], text[length..].strip_prefix(end)?))
}

/// Splits at `end`, which follows `length` bytes.
fn split<'a>(text: &'a str, length: usize, end: &str) -> Option<(&'a str, &'a str)> {
    let (field, rest) = text.split_at_checked(length)?;
    Some((field, rest.strip_prefix(end)?))
}

/// Decimal digits without leading zeros, below 2^53.
pub(super) fn number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|c| c.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|value| plain && *value < LIMIT)
}

fn is_utc_micros(ts: &str) -> bool {
    const SHAPE: &[u8] = b"0000-00-00T00:00:00.000000Z";
    ts.len() == SHAPE.len()
        && ts.bytes().zip(SHAPE).all(|(have, want)| if *want == b'0' { have.is_ascii_digit() } else { have == *want })
}
