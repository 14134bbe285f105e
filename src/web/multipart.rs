//! What a form sends: `application/x-www-form-urlencoded`, or `multipart/form-data` (RFC 7578) when it has a file.
//! Absent here: streaming and temporary files. The body is in memory already, and bounded; a form that outgrows the bound loses
//! the field that does it, and keeps the rest.

use super::Shared;
use super::body::Raw;
use super::error::{Answer, Problem};
use super::query::encode;
use crate::store::Store;
use axum::body::{Body, Bytes};
use axum::extract::{Form, FromRequest, Request};
use axum::http::header;
use std::time::Duration;

/// Bytes of a form that are read only to be dropped.
const MOST_DROPPED: usize = 64 << 20;

/// More fields than any form of ours has.
const MAX_FIELDS: usize = 64;

/// What is never written into a page: a form that comes back is typed anew here.
const SECRET: [&str; 7] = ["password", "again", "old", "present", "present-code", "code", "token"];

/// The fields of a form, as text; and its files. The name of a file that was chosen stands among the texts.
#[derive(Debug, Default)]
pub struct Fields {
    pairs: Vec<(String, String)>,
    files: Vec<(String, Vec<u8>)>,
    /// A field that holds more than is taken, and how much that is. It is not among the others.
    over: Option<(String, usize)>,
}

/// How much of a form is taken.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    pub text: usize,
    /// Of each file; with nothing a file is left out.
    pub file: usize,
}

/// What was read of a form, and whether something is missing at its end.
type Beginning = (Bytes, bool);

impl<S: Store> FromRequest<Shared<S>> for Fields {
    type Rejection = Problem;

    async fn from_request(request: Request, web: &Shared<S>) -> Result<Fields, Problem> {
        let kind = kind(&request);
        let Raw(bytes) = Raw::from_request(request, web).await?;
        Fields::read(&kind, (bytes, false)).await
    }
}

fn kind(request: &Request) -> String {
    request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default().to_string()
}

impl Fields {
    /// A form of which so much is taken as there is room for. What is too large is named and left out, the rest is there.
    ///
    /// # Errors
    /// 400 for what is no form, 408 for what comes too slowly.
    pub async fn within(request: Request, room: Room, patience: Duration) -> Answer<Fields> {
        let kind = kind(&request);
        let limit = room.text + if is_multipart(&kind) { room.file } else { 0 };
        let read = Raw::beginning(request, limit, limit + MOST_DROPPED, patience).await?;
        let mut fields = Fields::read(&kind, read).await?;
        if let Some(at) = fields.files.iter().position(|(_, bytes)| room.file > 0 && bytes.len() > room.file) {
            fields.over = Some((fields.files.remove(at).0, room.file));
        }
        if let Some((_, limit)) = &mut fields.over {
            *limit = if room.file > 0 && is_multipart(&kind) { room.file } else { room.text };
        }
        let mut taken = 0;
        let too_long = fields.pairs.iter().position(|(name, value)| {
            taken += name.len() + value.len();
            taken > room.text
        });
        if let Some(at) = too_long {
            fields.over = Some((fields.pairs.remove(at).0, room.text));
        }
        Ok(fields)
    }

    async fn read(kind: &str, read: Beginning) -> Answer<Fields> {
        if !is_multipart(kind) {
            return urlencoded(read).await;
        }
        let boundary = boundary(kind).ok_or_else(|| Problem::bad_request("the form names no boundary"))?;
        parts(&read.0, boundary, read.1)
    }

    /// The fields that [`Fields::encoded`] wrote.
    ///
    /// # Errors
    /// 400 for another text.
    pub async fn decoded(text: &str) -> Answer<Fields> {
        urlencoded((Bytes::from(text.to_string()), false)).await
    }

    /// The texts as one line, without what is secret: to be carried along, and read by [`Fields::decoded`].
    pub fn encoded(&self) -> String {
        let pairs = self.pairs.iter().filter(|(name, _)| !SECRET.contains(&name.as_str()));
        let pairs: Vec<String> = pairs.map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        pairs.join("&")
    }

    /// Every field with a text, but what is secret.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        let shown = |(name, value): &(String, String)| !SECRET.contains(&name.as_str()) && !value.trim().is_empty();
        self.pairs.iter().filter(move |pair| shown(pair)).map(|(name, value)| (name.as_str(), value.trim()))
    }

    /// The field that holds more than is taken, and how much that is.
    pub fn over(&self) -> Option<(&str, usize)> {
        self.over.as_ref().map(|(name, limit)| (name.as_str(), *limit))
    }

    /// Whether a file was chosen.
    pub fn has_file(&self) -> bool {
        !self.files.is_empty() || self.over.is_some()
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.pairs.push((name.to_string(), value.to_string()));
    }

    /// What was filled in; `None` for a field left blank.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.trim()).filter(|v| !v.is_empty())
    }

    /// What was typed, blanks and all: for passwords.
    pub fn exact(&self, name: &str) -> &str {
        self.pairs.iter().rev().find(|(n, _)| n == name).map_or("", |(_, v)| v.as_str())
    }

    /// The file of a field; `None` when nothing was chosen.
    pub fn file(&self, name: &str) -> Option<&[u8]> {
        self.files.iter().find(|(n, _)| n == name).map(|(_, bytes)| bytes.as_slice()).filter(|b| !b.is_empty())
    }

    pub fn all<'f>(&'f self, name: &'f str) -> impl Iterator<Item = &'f str> {
        self.pairs.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.trim()).filter(|v| !v.is_empty())
    }
}

fn is_multipart(kind: &str) -> bool {
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("multipart/form-data")
}

async fn urlencoded((bytes, is_cut): Beginning) -> Answer<Fields> {
    let (bytes, over) = match is_cut {
        false => (bytes, None),
        true => {
            // the field that was cut through, and whatever came after it, is not there
            let whole = bytes.iter().rposition(|b| *b == b'&').unwrap_or(0);
            let name: String = String::from_utf8_lossy(&bytes[whole..]).chars().take(100).collect();
            let name = name.trim_start_matches('&').split('=').next().unwrap_or_default().to_string();
            (bytes.slice(..whole), Some((name, 0)))
        }
    };
    let request = Request::post("/")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(bytes))
        .map_err(|_| Problem::internal())?;
    let read = Form::<Vec<(String, String)>>::from_request(request, &()).await;
    let Form(pairs) = read.map_err(|_| Problem::bad_request("the form cannot be read"))?;
    Ok(Fields { pairs, files: Vec::new(), over })
}

fn boundary(kind: &str) -> Option<&str> {
    let value = kind.split(';').map(str::trim).find_map(|p| {
        let (name, value) = p.split_once('=')?;
        name.eq_ignore_ascii_case("boundary").then_some(value.trim_matches('"'))
    })?;
    (!value.is_empty() && value.len() <= 70).then_some(value)
}

fn parts(bytes: &[u8], boundary: &str, is_cut: bool) -> Answer<Fields> {
    let broken = || Problem::bad_request("the form is cut off or damaged; send it again");
    let delimiter = format!("--{boundary}").into_bytes();
    let separator = format!("\r\n--{boundary}").into_bytes();
    let start = find(bytes, &delimiter).ok_or_else(broken)?;
    let mut rest = &bytes[start + delimiter.len()..];
    let mut fields = Fields::default();
    while !rest.starts_with(b"--") {
        let Some(part) = rest.strip_prefix(b"\r\n") else {
            return if is_cut { Ok(fields) } else { Err(broken()) };
        };
        let (part, after) = match find(part, &separator) {
            Some(end) => (&part[..end], Some(&part[end + separator.len()..])),
            None if is_cut => (part, None),
            None => return Err(broken()),
        };
        let Some(blank) = find(part, b"\r\n\r\n") else {
            return if after.is_none() { Ok(fields) } else { Err(broken()) };
        };
        let head = std::str::from_utf8(&part[..blank]).map_err(|_| broken())?;
        let content = &part[blank + 4..];
        let name = parameter(head, "name").ok_or_else(broken)?;
        let file = parameter(head, "filename");
        if let Some(chosen) = file.clone().filter(|chosen| !chosen.is_empty()) {
            fields.pairs.push((name.clone(), chosen));
        }
        let Some(after) = after else {
            fields.over = Some((name, 0));
            return Ok(fields);
        };
        match file {
            Some(_) => fields.files.push((name, content.to_vec())),
            None => {
                let text = std::str::from_utf8(content).map_err(|_| Problem::bad_request("the form is not UTF-8"))?;
                fields.pairs.push((name, text.to_string()));
            }
        }
        if fields.pairs.len() + fields.files.len() > MAX_FIELDS {
            return Err(Problem::bad_request(format!("the form has more than {MAX_FIELDS} fields")));
        }
        rest = after;
    }
    Ok(fields)
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|w| w == wanted)
}

/// `name="…"` of the `Content-Disposition` line.
fn parameter(head: &str, wanted: &str) -> Option<String> {
    let line = head.split("\r\n").find(|l| l.to_ascii_lowercase().starts_with("content-disposition:"))?;
    line.split(';').map(str::trim).find_map(|p| {
        let (name, value) = p.split_once('=')?;
        name.eq_ignore_ascii_case(wanted).then(|| value.trim_matches('"').to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &[u8] = b"--XX\r\nContent-Disposition: form-data; name=\"at\"\r\n\r\n2026-03-28T02:14\r\n\
        --XX\r\nContent-Disposition: form-data; name=\"proof\"; filename=\"a.pdf\"\r\nContent-Type: application/pdf\r\n\r\n\x00\xff\r\n--X\r\n\
        --XX--\r\n";

    #[test]
    fn fields_and_files() {
        let fields = parts(FORM, "XX", false).expect("a form");
        assert_eq!(fields.get("at"), Some("2026-03-28T02:14"));
        assert_eq!(fields.file("proof"), Some(b"\x00\xff\r\n--X".as_slice()));
        assert_eq!(fields.get("proof"), Some("a.pdf"), "the name of the file");
        assert_eq!(boundary("multipart/form-data; boundary=\"a b\""), Some("a b"));
    }

    #[test]
    fn damage_is_refused_wherever_it_is_cut() {
        for cut in 0..FORM.len() - 4 {
            assert!(parts(&FORM[..cut], "XX", false).is_err(), "{cut}");
        }
        for cut in 1..FORM.len() {
            let _ = parts(&FORM[cut..], "XX", false);
        }
    }

    #[test]
    fn a_form_that_is_too_large_keeps_what_came_before() {
        for cut in 4..FORM.len() - 4 {
            let fields = parts(&FORM[..cut], "XX", true).unwrap_or_else(|p| panic!("{cut}: {}", p.detail));
            let over = fields.over().map(|(name, _)| name);
            assert!(fields.file("proof").is_none() && matches!(over, None | Some("at" | "proof")), "{cut}");
            assert_eq!(fields.get("at").is_some(), over != Some("at") && cut > 70, "{cut}");
        }
    }

    #[tokio::test]
    async fn fields_are_carried_along_without_secrets() {
        let mut fields = Fields::default();
        for (name, value) in [("title", "a & b = c\r\nü"), ("password", "secret"), ("x", ""), ("x", "2")] {
            fields.set(name, value);
        }
        let line = fields.encoded();
        assert_eq!(line, "title=a%20%26%20b%20%3D%20c%0D%0A%C3%BC&x=&x=2");
        assert_eq!(Fields::decoded(&line).await.expect("fields").encoded(), line);
    }

    #[tokio::test]
    async fn plain_forms() {
        let fields = urlencoded((Bytes::from_static(b"title=a+b%26c&n=&x=1&x=2"), false)).await.expect("a form");
        assert_eq!((fields.get("title"), fields.get("n")), (Some("a b&c"), None));
        assert_eq!(fields.all("x").collect::<Vec<_>>(), ["1", "2"]);
        let cut = urlencoded((Bytes::from_static(b"title=a&note=much+too+lo"), true)).await.expect("a form");
        assert_eq!((cut.get("title"), cut.get("note"), cut.over()), (Some("a"), None, Some(("note", 0))));
    }
}
