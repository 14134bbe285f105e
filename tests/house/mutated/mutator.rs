//! Requests that are nearly right: a seeded mutator over the route table and requests that are right.

use serde_json::{Value, json};

/// xorshift: the same seed gives the same requests.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 11
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

#[derive(Clone, Debug)]
pub struct Request {
    pub method: Vec<u8>,
    pub path: Vec<u8>,
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub body: Vec<u8>,
    /// Says how long the body is; the truth when absent.
    pub length: Option<String>,
    pub chunked: bool,
}

impl Request {
    pub fn header(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.headers.push((name.into(), value.as_ref().to_vec()));
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes =
            [&self.method[..], b" ", &self.path, b" HTTP/1.1\r\nhost: breach.example\r\nconnection: close\r\n"]
                .concat();
        for (name, value) in &self.headers {
            bytes.extend([&name[..], b": ", value, b"\r\n"].concat());
        }
        if self.chunked {
            bytes.extend(b"transfer-encoding: chunked\r\n\r\n");
            for piece in self.body.chunks(7 + self.body.len() / 5) {
                bytes.extend(format!("{:x}\r\n", piece.len()).bytes());
                bytes.extend([piece, b"\r\n"].concat());
            }
            bytes.extend(b"0\r\n\r\n");
            return bytes;
        }
        let length = self.length.clone().unwrap_or_else(|| self.body.len().to_string());
        if self.length.is_some() || !self.body.is_empty() || self.method == b"POST" {
            bytes.extend(format!("content-length: {length}\r\n").bytes());
        }
        bytes.extend(b"\r\n");
        bytes.extend(&self.body);
        bytes
    }
}

const METHODS: [&str; 12] =
    ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT", "get", "PROPFIND", "G\0T"];

/// Pieces of an address.
const SEGMENTS: [&[u8]; 30] = [
    b"..",
    b".",
    b"",
    b"%2e%2e",
    b"..%2f..%2fetc%2fpasswd",
    b"%00",
    b"%ff%fe",
    b"\xff\xfe",
    b"%",
    b"%zz",
    b"%25%32%65",
    b"~",
    b"inc-",
    b"inc-~@",
    b"~~@@",
    b"%F0%9F%98%80",
    b"\xc3\xa9",
    b"%0d%0aset-cookie:x=y",
    b"'%20or%201=1--",
    b"{id}",
    b"{{7*7}}",
    b"<script>",
    b"-1",
    b"0",
    b"18446744073709551616",
    b"99999999999999999999999999",
    b"a.b.c.d",
    b".ics",
    b"%2F%2F",
    b";a=b",
];

/// Values of parameters, headers and fields.
const VALUES: [&str; 44] = [
    "",
    " ",
    "0",
    "-1",
    "1",
    "00",
    "18446744073709551615",
    "18446744073709551616",
    "9223372036854775807",
    "-9223372036854775808",
    "1e999",
    "0x10",
    "1_000",
    "٣",
    "NaN",
    "true",
    "null",
    "*",
    "\"3\"",
    "W/\"3\"",
    "\"",
    "%",
    "%00",
    "a\tb",
    "../../etc/passwd",
    "2026-03-28T01:00:00Z",
    "2026-03-29T02:30:00",
    "0000-00-00",
    "9999-12-31T23:59:60Z",
    "-262143-01-01T00:00:00Z",
    "+262142-12-31T23:59:59Z",
    "2026-02-30",
    "10000-01-01",
    "P1Y",
    "inc-none",
    "eu-gdpr-33-authority@FR",
    "acme-fr",
    "acme-xx",
    "running",
    "\u{202e}\u{0}\u{feff}",
    "é\u{301}",
    "<script>alert(1)</script>",
    "=cmd|' /C calc'!A0",
    "Bcc: x@y",
];

/// Names of parameters and members, known and not.
const NAMES: [&str; 40] = [
    "standing",
    "jurisdiction",
    "entity",
    "overdue",
    "due_before",
    "after",
    "limit",
    "from",
    "to",
    "index",
    "size",
    "profile",
    "withhold",
    "language",
    "zone",
    "name",
    "kind",
    "obligation",
    "by",
    "at",
    "how",
    "tool",
    "status",
    "format",
    "source",
    "token",
    "view",
    "group",
    "next",
    "id",
    "reference",
    "facts",
    "title",
    "proof",
    "documents",
    "lease_seconds",
    "__proto__",
    "constructor",
    "a[b]",
    "",
];

const HEADERS: [&str; 22] = [
    "authorization",
    "cookie",
    "content-type",
    "content-encoding",
    "accept",
    "accept-encoding",
    "accept-language",
    "idempotency-key",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "x-forwarded-for",
    "x-forwarded-host",
    "origin",
    "sec-fetch-site",
    "range",
    "expect",
    "referer",
    "te",
    "upgrade",
    "webhook-id",
    "x-pagerduty-signature",
];

const KINDS: [&str; 16] = [
    "application/json",
    "application/toml",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "multipart/form-data; boundary=",
    "multipart/form-data; boundary=x",
    "multipart/form-data; boundary=\"a\\\"b\"",
    "multipart/form-data; boundary=----------------------------------------------------------------------------------------x",
    "text/plain; charset=utf-16",
    "application/json; charset=\"",
    "message/rfc822",
    "image/png",
    "x",
    "/",
    "*/*",
    ";;;",
];

/// One request made wrong in one to four places.
pub fn mutate(right: &Request, dice: &mut Dice) -> Request {
    let mut request = right.clone();
    for _ in 0..1 + dice.below(4) {
        match dice.below(12) {
            0 => request.method = dice.pick(&METHODS).as_bytes().to_vec(),
            1 => path(&mut request.path, dice),
            2 | 3 => query(&mut request.path, dice),
            4 => header(&mut request, dice),
            5 => framing(&mut request, dice),
            6 => multipart(&mut request, dice),
            7 => bytes(&mut request.body, dice),
            _ => structure(&mut request, dice),
        }
    }
    // a line of the request ends at its end
    for part in std::iter::once(&mut request.path).chain(request.headers.iter_mut().map(|(_, value)| value)) {
        part.retain(|byte| !matches!(byte, b'\r' | b'\n'));
    }
    request.path.retain(|byte| *byte != b' ');
    request
}

fn path(path: &mut Vec<u8>, dice: &mut Dice) {
    let bare = path.split(|b| *b == b'?').next().unwrap_or_default().to_vec();
    let mut segments: Vec<Vec<u8>> = bare.split(|b| *b == b'/').map(<[u8]>::to_vec).collect();
    let at = 1 + dice.below(segments.len().saturating_sub(1));
    let piece = match dice.one_in(12) {
        true => vec![*dice.pick(b"a/.%~"); 1 << (4 + dice.below(9))],
        false => dice.pick(&SEGMENTS).to_vec(),
    };
    match dice.below(5) {
        0 => segments.insert(at.min(segments.len()), piece),
        1 if segments.len() > 2 => drop(segments.remove(at.min(segments.len() - 1))),
        2 => segments.push(piece),
        3 => {
            let last = segments.len() - 1;
            segments[at.min(last)].extend(piece);
        }
        _ => {
            let last = segments.len() - 1;
            segments[at.min(last)] = piece;
        }
    }
    *path = segments.join(&b'/');
}

fn encoded(text: &str, dice: &mut Dice) -> String {
    if dice.one_in(4) {
        return text.to_string();
    }
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { (b as char).to_string() } else { format!("%{b:02x}") })
        .collect()
}

fn query(path: &mut Vec<u8>, dice: &mut Dice) {
    for _ in 0..1 + dice.below(3) {
        path.push(if path.contains(&b'?') { b'&' } else { b'?' });
        let (name, value) = (*dice.pick(&NAMES), *dice.pick(&VALUES));
        let pair = match dice.below(8) {
            0 => format!("{name}&=&&={value}"),
            1 => format!("{name}={}", value.repeat(1 + dice.below(300))),
            2 => format!("{name}=%ff%fe{value}"),
            _ => format!("{}={}", encoded(name, dice), encoded(value, dice)),
        };
        path.extend(pair.bytes());
    }
}

fn header(request: &mut Request, dice: &mut Dice) {
    let name = *dice.pick(&HEADERS);
    if dice.one_in(4) {
        request.headers.retain(|(known, _)| known != name.as_bytes());
        return;
    }
    let value: Vec<u8> = match (name, dice.below(6)) {
        ("content-type", _) => dice.pick(&KINDS).bytes().collect(),
        ("content-encoding", _) => {
            dice.pick(&["gzip", "deflate", "br", "zstd", "identity", "gzip, gzip, gzip"]).bytes().collect()
        }
        ("expect", _) => dice.pick(&["100-continue", "x"]).bytes().collect(),
        (_, 0) => vec![b'x'; 1 << dice.below(13)],
        (_, 1) => b"\xff\xfe\x80".to_vec(),
        (_, 2) => format!("Bearer {}", dice.pick(&VALUES)).into_bytes(),
        (_, 3) => format!("breachclock={}; breachclock={}", dice.pick(&VALUES), dice.pick(&VALUES)).into_bytes(),
        _ => dice.pick(&VALUES).bytes().collect(),
    };
    if dice.one_in(3) {
        request.headers.retain(|(known, _)| known != name.as_bytes());
    }
    request.header(name, value);
}

fn framing(request: &mut Request, dice: &mut Dice) {
    match dice.below(5) {
        0 => request.chunked = true,
        1 => {
            request.length =
                Some((*dice.pick(&["0", "1", "-1", "x", "999999999999", "18446744073709551616", "3, 3", ""])).into())
        }
        2 => request.body.clear(),
        // more than a body may have
        3 => request.body = request.body.iter().copied().chain(std::iter::repeat(b' ')).take(70 << 10).collect(),
        _ => request.headers.clear(),
    }
}

/// A form as `multipart/form-data`, its fields in files and in parts with odd headers.
fn multipart(request: &mut Request, dice: &mut Dice) {
    let boundary = *dice.pick(&["x", "--", "a b", "xx\"y", "\u{e9}"]);
    let mut body = Vec::new();
    let fields: Vec<(String, String)> = String::from_utf8_lossy(&request.body)
        .split('&')
        .filter_map(|f| f.split_once('='))
        .map(|(n, v)| (n.into(), v.into()))
        .collect();
    for (name, value) in fields.iter().chain([&("proof".to_string(), (*dice.pick(&VALUES)).to_string())]) {
        let disposition = match dice.below(6) {
            0 => format!("form-data; name=\"{name}\"; filename=\"../../x\""),
            1 => format!("form-data; name={name}"),
            2 => "form-data".to_string(),
            3 => format!("form-data; name=\"{name}"),
            _ => format!("form-data; name=\"{name}\""),
        };
        body.extend(format!("--{boundary}\r\ncontent-disposition: {disposition}\r\n\r\n{value}\r\n").bytes());
    }
    if !dice.one_in(4) {
        body.extend(format!("--{boundary}--\r\n").bytes());
    }
    request.headers.retain(|(name, _)| name != b"content-type");
    request.header("content-type", format!("multipart/form-data; boundary={boundary}"));
    request.body = body;
}

fn bytes(body: &mut Vec<u8>, dice: &mut Dice) {
    for _ in 0..1 + dice.below(3) {
        let at = dice.below(body.len() + 1);
        match dice.below(6) {
            0 => body.truncate(at),
            1 if at < body.len() => body[at] ^= 1 << dice.below(8),
            2 => body.insert(at, dice.below(256) as u8),
            3 => {
                let piece = body[at..body.len().min(at + 40)].to_vec();
                body.splice(at..at, piece);
            }
            4 => drop(body.splice(at..at, b"\xed\xa0\x80\x00\xff".iter().copied())),
            _ => drop(body.splice(at..at, dice.pick(&VALUES).bytes())),
        }
    }
}

/// A value that is of the wrong kind, or too much of the right one.
fn nasty(dice: &mut Dice) -> Value {
    match dice.below(12) {
        0 => Value::Null,
        1 => json!(dice.one_in(2)),
        2 => json!(-1),
        3 => json!(u64::MAX),
        4 => json!(1e300),
        5 => json!([]),
        6 => json!({}),
        7 => (0..60).fold(json!("deep"), |inside, _| json!([inside])),
        8 => (0..60).fold(json!("deep"), |inside, _| json!({ "value": inside })),
        9 => json!("x".repeat(1 << (4 + dice.below(9)))),
        10 => json!(vec![*dice.pick(&VALUES); 1 + dice.below(40)]),
        _ => json!(dice.pick(&VALUES)),
    }
}

fn structure(request: &mut Request, dice: &mut Dice) {
    let Ok(mut value) = serde_json::from_slice::<Value>(&request.body) else {
        return fields(&mut request.body, dice);
    };
    for _ in 0..1 + dice.below(3) {
        change(&mut value, dice);
    }
    let text = value.to_string();
    request.body = match dice.below(12) {
        // what no value of a JSON reader can be
        0 => text.replacen(':', ": 1e999, \"again\":", 1),
        1 => text.replacen('"', "\"\\ud800", 2),
        2 => text.replacen("{", "{\"title\":\"twice\",\"title\":\"twice\",", 1),
        3 => text.replacen("true", "99999999999999999999999999999999", 1),
        _ => text,
    }
    .into_bytes();
}

/// Something somewhere inside is exchanged, added, renamed or taken away.
fn change(value: &mut Value, dice: &mut Dice) {
    match value {
        Value::Object(members) if !members.is_empty() && !dice.one_in(6) => {
            let names: Vec<String> = members.keys().cloned().collect();
            let name = dice.pick(&names).clone();
            match dice.below(7) {
                0 => drop(members.remove(&name)),
                1 => {
                    let kept = members.remove(&name).unwrap_or_default();
                    members.insert((*dice.pick(&NAMES)).into(), kept);
                }
                2 => drop(members.insert((*dice.pick(&NAMES)).into(), nasty(dice))),
                3 => drop(members.insert((*dice.pick(&VALUES)).into(), nasty(dice))),
                _ => change(members.get_mut(&name).expect("its own name"), dice),
            }
        }
        Value::Array(items) if !items.is_empty() && !dice.one_in(4) => {
            let at = dice.below(items.len());
            match dice.one_in(3) {
                true => items.push(nasty(dice)),
                false => change(&mut items[at], dice),
            }
        }
        other => *other = nasty(dice),
    }
}

/// The fields of a form.
fn fields(body: &mut Vec<u8>, dice: &mut Dice) {
    let text = String::from_utf8_lossy(body).into_owned();
    let mut pairs: Vec<String> = text.split('&').map(str::to_string).collect();
    let at = dice.below(pairs.len());
    let name = pairs[at].split('=').next().unwrap_or_default().to_string();
    let value = match dice.one_in(8) {
        true => "%41".repeat(1 << (4 + dice.below(9))),
        false => {
            let value = *dice.pick(&VALUES);
            encoded(value, dice)
        }
    };
    match dice.below(4) {
        0 => pairs.push(format!("{}={value}", dice.pick(&NAMES))),
        1 => pairs.push(format!("{name}={value}")),
        2 => drop(pairs.remove(at)),
        _ => pairs[at] = format!("{name}={value}"),
    }
    *body = pairs.join("&").into_bytes();
}
