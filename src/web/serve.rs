//! Connections. Whoever opens many and sends nothing, or a byte now and then, holds up nobody: heads have a time, an idle
//! connection has an end, and where there are too many the idlest makes room. How slowly a body may come is `body`'s affair.

use super::client::Peer;
use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::ConnectInfo;
use axum::http::Request;
use axum::serve::Listener;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::sync::{Notify, watch};
use tower_service::Service;

/// How long and how much.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a whole head, and for the next request of a connection.
    pub head: Duration,
    /// Connections at once.
    pub connections: usize,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { head: Duration::from_secs(30), connections: 4096 }
    }
}

/// Bytes of a head: more than any browser sends, less than what is worth holding for a stranger.
const HEAD: usize = 64 << 10;
/// The last words to somebody who is cut off.
const FAREWELL: Duration = Duration::from_secs(1);
const TOO_SLOW: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
const TOO_MANY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 5\r\ncontent-length: 0\r\n\r\n";

/// Answers the connections of `listener` until `until`, and then the requests that are under way.
pub async fn serve<L>(mut listener: L, app: Router, patience: Patience, until: impl Future<Output = ()>)
where
    L: Listener,
    Peer: for<'a> From<&'a L::Addr>,
{
    let open = Arc::new(Open::default());
    let (over, ending) = watch::channel(());
    let mut until = std::pin::pin!(until);
    loop {
        let (mut io, address) = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut until => break,
        };
        let Some(mut guest) = open.admit(patience.connections) else {
            tokio::spawn(async move { tokio::time::timeout(FAREWELL, io.write_all(TOO_MANY)).await });
            continue;
        };
        let (app, peer, mut ending) = (app.clone(), Peer::from(&address), ending.clone());
        tokio::spawn(async move {
            let place = guest.place.clone();
            let service = service_fn(move |request| answer(app.clone(), request, peer.clone(), place.clone()));
            let mut connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(patience.head)
                .max_buf_size(HEAD)
                .serve_connection(TokioIo::new(io), service);
            let ended = loop {
                tokio::select! {
                    ended = &mut connection => break Some(ended),
                    () = guest.cut() => break None,
                    // the sender is gone: no further request is taken
                    _ = ending.changed(), if guest.stays => {
                        guest.stays = false;
                        Pin::new(&mut connection).graceful_shutdown();
                    }
                }
            };
            match ended {
                Some(Err(error)) if error.is_timeout() => {
                    let parts = connection.into_parts();
                    // whoever had begun a head is told; an idle connection just ends
                    if !parts.read_buf.is_empty() {
                        let mut io = parts.io.into_inner();
                        let told = async { io.write_all(TOO_SLOW).await.and(io.shutdown().await) };
                        let _ = tokio::time::timeout(FAREWELL, told).await;
                    }
                }
                Some(Err(error)) => tracing::debug!(%error, "a connection ended badly"),
                _ => {}
            }
            drop(ending);
        });
    }
    drop((listener, ending));
    // a receiver is dropped with each connection that ends
    over.send_replace(());
    over.closed().await;
}

async fn answer(
    mut app: Router,
    request: Request<Incoming>,
    peer: Peer,
    place: Arc<Place>,
) -> Result<axum::http::Response<Body>, Infallible> {
    let busy = Busy::begin(place.clone());
    let mut request = request.map(|body| Coming::of(body, place));
    request.extensions_mut().insert(ConnectInfo(peer));
    let response = app.call(request).await?;
    Ok(response.map(|body| Body::new(Answering { body, _busy: busy })))
}

/// The connections there are, in the order in which they came.
#[derive(Debug, Default)]
struct Open(Mutex<(u64, BTreeMap<u64, Arc<Place>>)>);

/// What is known of a connection.
#[derive(Debug, Default)]
struct Place {
    /// Requests whose answers are under way.
    busy: AtomicUsize,
    /// Those of them whose body is still coming.
    coming: AtomicUsize,
    /// It had an answer before.
    served: AtomicBool,
    cut: Notify,
}

impl Place {
    /// Everything that was asked is answered, or not said to its end yet.
    fn is_waiting(&self) -> bool {
        self.busy.load(Ordering::Acquire) <= self.coming.load(Ordering::Acquire)
    }
}

impl Open {
    fn all(&self) -> MutexGuard<'_, (u64, BTreeMap<u64, Arc<Place>>)> {
        // every change is one insertion or removal
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more; where there is none, one on which nobody works makes room: first who never asked anything, then
    /// who has been here longest, then whose body is still coming. `None` when all are worked on.
    fn admit(self: &Arc<Open>, most: usize) -> Option<Guest> {
        let mut all = self.all();
        if all.1.len() >= most {
            let idle = |(_, place): &(&u64, &Arc<Place>)| place.is_waiting();
            let (number, place) = all
                .1
                .iter()
                .filter(idle)
                .min_by_key(|(number, place)| {
                    (place.busy.load(Ordering::Acquire) > 0, place.served.load(Ordering::Relaxed), **number)
                })
                .map(|(number, place)| (*number, place.clone()))?;
            place.cut.notify_one();
            all.1.remove(&number);
        }
        all.0 += 1;
        let (number, place) = (all.0, Arc::new(Place::default()));
        all.1.insert(number, place.clone());
        Some(Guest { open: self.clone(), number, place, stays: true })
    }
}

/// A connection's place, given back at its end.
struct Guest {
    open: Arc<Open>,
    number: u64,
    place: Arc<Place>,
    /// Nobody has asked for the end yet.
    stays: bool,
}

impl Guest {
    /// Ends when somebody else needs the place.
    async fn cut(&self) {
        self.place.cut.notified().await;
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.open.all().1.remove(&self.number);
    }
}

/// Counts a request until its answer is handed over, also one without end.
struct Busy(Arc<Place>);

impl Busy {
    fn begin(place: Arc<Place>) -> Busy {
        place.busy.fetch_add(1, Ordering::AcqRel);
        Busy(place)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.served.store(true, Ordering::Relaxed);
        self.0.busy.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The body of a request, until its end.
struct Coming {
    body: Incoming,
    /// `None` from its end on.
    place: Option<Arc<Place>>,
}

impl Coming {
    fn of(body: Incoming, place: Arc<Place>) -> Body {
        if body.is_end_stream() {
            return Body::empty();
        }
        place.coming.fetch_add(1, Ordering::AcqRel);
        Body::new(Coming { body, place: Some(place) })
    }

    fn end(&mut self) {
        if let Some(place) = self.place.take() {
            place.coming.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        self.end();
    }
}

impl HttpBody for Coming {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(frame, Poll::Ready(None | Some(Err(_)))) || self.body.is_end_stream() {
            self.end();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer, which keeps its connection busy.
struct Answering {
    body: Body,
    _busy: Busy,
}

impl HttpBody for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_idlest_makes_room() {
        let open = Arc::new(Open::default());
        let guests: Vec<Guest> = (0..3).map(|_| open.admit(3).expect("a place")).collect();
        // the first had an answer, the second is waiting for one, the third never asked
        drop(Busy::begin(guests[0].place.clone()));
        let busy = Busy::begin(guests[1].place.clone());
        let places = || open.all().1.keys().copied().collect::<Vec<_>>();
        let fourth = open.admit(3).expect("the third makes room");
        assert_eq!(places(), [1, 2, 4]);
        let also = Busy::begin(fourth.place.clone());
        let fifth = open.admit(3).expect("the first makes room");
        assert_eq!(places(), [2, 4, 5]);
        let last = Busy::begin(fifth.place.clone());
        assert!(open.admit(3).is_none(), "all are worked on");
        // a body that is still coming is nothing to work on
        guests[1].place.coming.fetch_add(1, Ordering::AcqRel);
        let sixth = open.admit(3).expect("the second makes room");
        assert_eq!(places(), [4, 5, 6]);
        drop((busy, also, last, guests, fourth, fifth, sixth));
        assert!(places().is_empty());
    }
}
