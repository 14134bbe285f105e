//! Request bodies and headers, read with every fault named: pointer, line, and the sender's own words.

use super::Shared;
use super::error::{Answer, Problem};
use crate::ingest::{self, Kind, Node, Pointer, Rejection};
use crate::law::nearest_of;
use crate::store::Store;
use crate::time::Timestamp;
use crate::workflow::{Terms, Trouble};
use axum::body::{Body, Bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use futures_util::StreamExt;
use std::pin::pin;
use std::time::Duration;
use tokio::time::sleep;

/// Longest idempotency key, in characters.
const MAX_KEY: usize = 255;

/// A body may take longer than the server's patience by what came of it at this many bytes a second.
const SLOWEST: u64 = 8 << 10;

/// The body as it arrived, never more than the limit.
pub struct Raw(pub Bytes);

impl<S: Store> FromRequest<Shared<S>> for Raw {
    type Rejection = Problem;

    async fn from_request(request: Request, web: &Shared<S>) -> Result<Raw, Problem> {
        Raw::within(request, web.options.max_body, web.options.patience).await
    }
}

impl Raw {
    /// The body, never more than `limit` bytes.
    ///
    /// # Errors
    /// 413 when it is longer, as soon as that is known; 408 when it comes too slowly; 400 when it ends early.
    pub async fn within(request: Request, limit: usize, patience: Duration) -> Result<Raw, Problem> {
        let announced =
            request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|bytes| bytes > limit as u64) {
            return Err(Problem::too_large(limit));
        }
        match Raw::gather(request.into_body(), limit, limit, patience).await? {
            (bytes, false) => Ok(Raw(bytes.into())),
            (_, true) => Err(Problem::too_large(limit)),
        }
    }

    /// The first `limit` bytes of a body, and whether there were more. What comes after them is read and dropped, up to `most`
    /// in all: a browser that is answered while it still sends shows a broken connection, not the answer.
    ///
    /// # Errors
    /// 408 when it comes too slowly; 400 when it ends early.
    pub async fn beginning(request: Request, limit: usize, most: usize, patience: Duration) -> Answer<(Bytes, bool)> {
        let (bytes, is_cut) = Raw::gather(request.into_body(), limit, most, patience).await?;
        Ok((bytes.into(), is_cut))
    }

    async fn gather(body: Body, limit: usize, most: usize, patience: Duration) -> Answer<(Vec<u8>, bool)> {
        let (mut stream, mut bytes, mut came) = (body.into_data_stream(), Vec::new(), 0);
        let mut patience = pin!(sleep(patience));
        loop {
            let piece: Bytes = tokio::select! {
                piece = stream.next() => match piece {
                    None => return Ok((bytes, came > limit)),
                    Some(piece) => piece.map_err(|_| Problem::bad_request("the body ended early; send it again"))?,
                },
                () = &mut patience => return Err(Problem::too_slow()),
            };
            came += piece.len();
            bytes.extend_from_slice(&piece[..piece.len().min(limit - bytes.len())]);
            if came > most {
                return Ok((bytes, true));
            }
            let longer = Duration::from_micros(piece.len() as u64 * 1_000_000 / SLOWEST);
            let until = patience.deadline() + longer;
            patience.as_mut().reset(until);
        }
    }
}

/// The body as text.
pub struct Text(pub String);

impl<S: Store> FromRequest<Shared<S>> for Text {
    type Rejection = Problem;

    async fn from_request(request: Request, web: &Shared<S>) -> Result<Text, Problem> {
        let Raw(bytes) = Raw::from_request(request, web).await?;
        match String::from_utf8(bytes.into()) {
            Ok(text) => Ok(Text(text)),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                Err(Problem::bad_request(format!("the body is not UTF-8 from byte {at} on; send it as UTF-8")))
            }
        }
    }
}

/// The one parameter of the path.
pub struct Id(pub String);

impl<S: Store> FromRequestParts<Shared<S>> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, web: &Shared<S>) -> Result<Id, Problem> {
        let found: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, web).await;
        found.map(|Path(id)| Id(id)).map_err(|_| Problem::not_found("there is no such thing: the address is not UTF-8"))
    }
}

/// `Idempotency-Key`, passed through as sent.
///
/// # Errors
/// 400 when it is empty, longer than 255 characters or not printable ASCII.
pub fn idempotency(headers: &HeaderMap) -> Answer<Option<&str>> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    match value.to_str().map(str::trim) {
        Ok(key) if !key.is_empty() && key.len() <= MAX_KEY => Ok(Some(key)),
        _ => Err(Problem::bad_request(format!("`Idempotency-Key` has 1 to {MAX_KEY} printable ASCII characters"))),
    }
}

/// The version in `If-Match: "3"`; `*` asks for nothing.
///
/// # Errors
/// 400 when it is no version of ours.
pub fn if_match(headers: &HeaderMap) -> Answer<Option<u64>> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let shown = String::from_utf8_lossy(value.as_bytes()).trim().to_string();
    if shown == "*" {
        return Ok(None);
    }
    let version = shown.strip_prefix('"').and_then(|v| v.strip_suffix('"')).and_then(|v| v.parse().ok());
    let fault =
        || Problem::bad_request(format!("`If-Match` is `{shown}`; give the ETag of the incident, such as `\"3\"`"));
    version.map(Some).ok_or_else(fault)
}

/// Both of them.
///
/// # Errors
/// 400 when either is none of ours.
pub fn terms(headers: &HeaderMap) -> Answer<Terms<'_>> {
    Ok(Terms { version: if_match(headers)?, key: idempotency(headers)? })
}

/// The members of a small body, taken one by one; what is left over or wrong is reported together.
pub struct Members {
    node: Node,
    known: &'static [&'static str],
    faults: Vec<Rejection>,
}

impl Members {
    /// Reads a table in JSON or TOML with no other members than `known`. An empty body is an empty table.
    ///
    /// # Errors
    /// 400 when it cannot be read at all.
    pub fn read(text: &str, known: &'static [&'static str]) -> Answer<Members> {
        let text = if text.trim().is_empty() { "{}" } else { text };
        let unreadable =
            |line, text| Problem::from(Trouble::Rejected(vec![Rejection { pointer: String::new(), line, text }]));
        let (node, _) = ingest::parse(text).map_err(|e| unreadable(Some(e.line), e.text))?;
        if !matches!(node.kind, Kind::Table(_)) {
            return Err(unreadable(node.line.or(Some(1)), format!("the body is {}; give a table", node.what())));
        }
        let mut members = Members { node, known, faults: Vec::new() };
        for (name, member) in members.node.members() {
            if known.contains(&name.as_str()) {
                continue;
            }
            let hint = match nearest_of(name, known.iter().copied()).first() {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("it may have {}", known.join(", ")),
            };
            let text = format!("`{name}` is not a member of this request; {hint}");
            members.faults.push(Rejection::at(&Pointer::root().child(name), member, text));
        }
        Ok(members)
    }

    fn take<T>(
        &mut self,
        name: &str,
        wanted: &str,
        read: impl FnOnce(&Node) -> Result<T, Option<String>>,
    ) -> Option<T> {
        debug_assert!(self.known.contains(&name), "{name} is read but not listed");
        let member = self.node.member(name).filter(|m| m.kind != Kind::Null)?;
        match read(member) {
            Ok(value) => Some(value),
            Err(said) => {
                let text = said.unwrap_or_else(|| format!("`{name}` is {}; give {wanted}", member.what()));
                self.faults.push(Rejection::at(&Pointer::root().child(name), member, text));
                None
            }
        }
    }

    /// A text that says something; blanks around it are dropped.
    pub fn text(&mut self, name: &str) -> Option<String> {
        self.take(name, "a text", |m| match m.text().map(str::trim) {
            Some("") => Err(Some(format!("`{name}` is empty; give a text or leave it out"))),
            Some(text) => Ok(text.to_string()),
            None => Err(None),
        })
    }

    /// A text that may be empty, to take something away.
    pub fn any_text(&mut self, name: &str) -> Option<String> {
        self.take(name, "a text", |m| m.text().map(|text| text.trim().to_string()).ok_or(None))
    }

    /// Whether the member is there.
    pub fn has(&self, name: &str) -> bool {
        self.node.member(name).is_some_and(|m| m.kind != Kind::Null)
    }

    pub fn flag(&mut self, name: &str) -> Option<bool> {
        self.take(name, "true or false", |m| match m.kind {
            Kind::Bool(yes) => Ok(yes),
            _ => Err(None),
        })
    }

    pub fn whole(&mut self, name: &str) -> Option<i64> {
        self.take(name, "a whole number", |m| match m.kind {
            Kind::Integer(n) => i64::try_from(n).map_err(|_| None),
            _ => Err(None),
        })
    }

    /// An instant with its offset.
    pub fn instant(&mut self, name: &str) -> Option<Timestamp> {
        self.take(name, "an instant such as `2026-03-27T16:20:00+01:00`", |m| match m.text() {
            Some(text) => ingest::instant(text, None).map_err(|e| Some(format!("`{name}`: {e}"))),
            None => Err(None),
        })
    }

    pub fn words(&mut self, name: &str) -> Vec<String> {
        let read = |m: &Node| match &m.kind {
            Kind::List(items) => items.iter().map(|i| i.text().map(str::to_string).ok_or(None)).collect(),
            _ => Err(None),
        };
        self.take(name, "a list of texts", read).unwrap_or_default()
    }

    /// A list of whole numbers of zero or more.
    pub fn wholes(&mut self, name: &str) -> Vec<u64> {
        let number = |i: &Node| match i.kind {
            Kind::Integer(n) => u64::try_from(n).map_err(|_| None),
            _ => Err(None),
        };
        let read = |m: &Node| match &m.kind {
            Kind::List(items) => items.iter().map(number).collect(),
            _ => Err(None),
        };
        self.take(name, "a list of whole numbers", read).unwrap_or_default()
    }

    /// How many faults were found so far.
    pub fn faults(&self) -> usize {
        self.faults.len()
    }

    /// Adds a fault found by the caller.
    pub fn fault(&mut self, name: &str, text: String) {
        let node = self.node.member(name).unwrap_or(&self.node);
        self.faults.push(Rejection::at(&Pointer::root().child(name), node, text));
    }

    /// # Errors
    /// 422 with every fault found.
    pub fn finish(self) -> Answer<()> {
        if self.faults.is_empty() { Ok(()) } else { Err(Trouble::Rejected(self.faults).into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_has_its_time_and_its_size() {
        let endless = |every: u64| {
            let pieces = futures_util::stream::unfold((), move |()| async move {
                sleep(Duration::from_millis(every)).await;
                Some((Ok::<_, std::convert::Infallible>(Bytes::from_static(&[b'x'; 100])), ()))
            });
            Body::from_stream(pieces)
        };
        let status = async |body, limit| match Raw::gather(body, limit, limit, Duration::from_millis(200)).await {
            Ok((_, true)) => 413,
            Ok((bytes, false)) => bytes.len(),
            Err(problem) => problem.status.into(),
        };
        assert_eq!(status(endless(1), 1000).await, 413);
        assert_eq!(status(endless(50), 100_000).await, 408, "slower than the slowest");
        assert_eq!(status(Body::from("short"), 5).await, 5);
        assert_eq!(status(Body::empty(), 0).await, 0);
        let long = Raw::gather(Body::from("much too long"), 4, 100, Duration::from_millis(200)).await.expect("read");
        assert_eq!(long, (b"much".to_vec(), true), "the rest is read and dropped");
    }

    #[test]
    fn all_faults_are_named_at_once() {
        let text = "{\n \"at\": \"yesterday\",\n \"complete\": \"yes\",\n \"referense\": \"x\"\n}";
        let mut members = Members::read(text, &["at", "complete", "reference"]).expect("a table");
        assert_eq!(members.instant("at"), None);
        assert_eq!(members.flag("complete"), None);
        assert_eq!(members.text("reference"), None);
        let problem = members.finish().expect_err("faults");
        let named: Vec<_> = problem.errors.iter().map(|e| e.pointer.as_str()).collect();
        assert_eq!((problem.status, named), (422, vec!["/referense", "/at", "/complete"]));
        assert!(problem.errors[0].detail.contains("did you mean `reference`?"), "{:?}", problem.errors);
    }

    #[test]
    fn unreadable_bodies_are_400_and_empty_ones_are_empty() {
        for text in ["{", "[1, 2]", "{\"a\":1,\"a\":2}", "\u{0}"] {
            assert_eq!(Members::read(text, &["a"]).err().map(|p| p.status), Some(400), "{text:?}");
        }
        assert!(Members::read(" \n", &["a"]).expect("empty").finish().is_ok());
    }

    #[test]
    fn headers() {
        let with = |name: &'static str, value: &str| {
            HeaderMap::from_iter([(name.parse().expect("name"), value.parse().expect("value"))])
        };
        assert_eq!(if_match(&with("if-match", "\"7\"")).expect("read"), Some(7));
        assert_eq!(if_match(&with("if-match", "*")).expect("read"), None);
        assert!(if_match(&with("if-match", "W/\"7\"")).is_err());
        assert_eq!(idempotency(&with("idempotency-key", "k-1")).expect("read"), Some("k-1"));
        assert!(idempotency(&with("idempotency-key", "")).is_err());
        assert!(idempotency(&with("idempotency-key", &"x".repeat(256))).is_err());
    }
}
