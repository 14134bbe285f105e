//! What a form sends: `application/x-www-form-urlencoded`, or `multipart/form-data` (RFC 7578) when it has a file.
//! Absent here: streaming and temporary files. The body is in memory already, and bounded.

use super::Shared;
use super::body::Raw;
use super::error::{Answer, Problem};
use crate::store::Store;
use axum::body::{Body, Bytes};
use axum::extract::{Form, FromRequest, Request};
use axum::http::header;

/// More fields than any form of ours has.
const MAX_FIELDS: usize = 64;

/// The fields of a form, as text; and its files.
#[derive(Debug, Default)]
pub struct Fields {
    pairs: Vec<(String, String)>,
    files: Vec<(String, Vec<u8>)>,
}

impl<S: Store> FromRequest<Shared<S>> for Fields {
    type Rejection = Problem;

    async fn from_request(request: Request, web: &Shared<S>) -> Result<Fields, Problem> {
        let kind =
            request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default().to_string();
        let Raw(bytes) = Raw::from_request(request, web).await?;
        let bare = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match bare.as_str() {
            "multipart/form-data" => {
                let boundary = boundary(&kind).ok_or_else(|| Problem::bad_request("the form names no boundary"))?;
                parts(&bytes, boundary)
            }
            _ => urlencoded(bytes).await,
        }
    }
}

impl Fields {
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

async fn urlencoded(bytes: Bytes) -> Answer<Fields> {
    let request = Request::post("/")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(bytes))
        .map_err(|_| Problem::internal())?;
    let read = Form::<Vec<(String, String)>>::from_request(request, &()).await;
    let Form(pairs) = read.map_err(|_| Problem::bad_request("the form cannot be read"))?;
    Ok(Fields { pairs, files: Vec::new() })
}

fn boundary(kind: &str) -> Option<&str> {
    let value = kind.split(';').map(str::trim).find_map(|p| {
        let (name, value) = p.split_once('=')?;
        name.eq_ignore_ascii_case("boundary").then_some(value.trim_matches('"'))
    })?;
    (!value.is_empty() && value.len() <= 70).then_some(value)
}

fn parts(bytes: &[u8], boundary: &str) -> Answer<Fields> {
    let broken = || Problem::bad_request("the form is cut off or damaged; send it again");
    let delimiter = format!("--{boundary}").into_bytes();
    let separator = format!("\r\n--{boundary}").into_bytes();
    let start = find(bytes, &delimiter).ok_or_else(broken)?;
    let mut rest = &bytes[start + delimiter.len()..];
    let mut fields = Fields::default();
    while !rest.starts_with(b"--") {
        rest = rest.strip_prefix(b"\r\n").ok_or_else(broken)?;
        let end = find(rest, &separator).ok_or_else(broken)?;
        let (part, after) = (&rest[..end], &rest[end + separator.len()..]);
        let blank = find(part, b"\r\n\r\n").ok_or_else(broken)?;
        let head = std::str::from_utf8(&part[..blank]).map_err(|_| broken())?;
        let content = &part[blank + 4..];
        let name = parameter(head, "name").ok_or_else(broken)?;
        match parameter(head, "filename") {
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
        let fields = parts(FORM, "XX").expect("a form");
        assert_eq!(fields.get("at"), Some("2026-03-28T02:14"));
        assert_eq!(fields.file("proof"), Some(b"\x00\xff\r\n--X".as_slice()));
        assert_eq!(boundary("multipart/form-data; boundary=\"a b\""), Some("a b"));
    }

    #[test]
    fn damage_is_refused_wherever_it_is_cut() {
        for cut in 0..FORM.len() - 4 {
            assert!(parts(&FORM[..cut], "XX").is_err(), "{cut}");
        }
        for cut in 1..FORM.len() {
            let _ = parts(&FORM[cut..], "XX");
        }
    }

    #[tokio::test]
    async fn plain_forms() {
        let fields = urlencoded(Bytes::from_static(b"title=a+b%26c&n=&x=1&x=2")).await.expect("a form");
        assert_eq!((fields.get("title"), fields.get("n")), (Some("a b&c"), None));
        assert_eq!(fields.all("x").collect::<Vec<_>>(), ["1", "2"]);
    }
}
