//! `GET /api/v1/stream`: server-sent events. `time` is the server's clock, `changed` offers a reload. No event carries
//! data of an incident: whoever wants it asks, and is checked.

use super::Shared;
use super::auth::Api;
use crate::rules::utc;
use crate::store::Store;
use axum::extract::State;
use axum::response::sse::{Event, Sse};
use futures_core::Stream;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::watch;

/// Often enough for a countdown, and for a proxy that closes silent connections.
const TIME_EVERY: Duration = Duration::from_secs(20);

pub async fn stream<S: Store>(
    State(web): State<Shared<S>>,
    Api(_): Api,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let changes = web.house.changed.subscribe();
    Sse::new(Events { web, waiting: None, idle: Some(changes), first: true })
}

type Waiting = Pin<Box<dyn Future<Output = (Option<u64>, watch::Receiver<u64>)> + Send>>;

/// The time at once, then a change or the time, whichever comes first.
struct Events<S> {
    web: Shared<S>,
    idle: Option<watch::Receiver<u64>>,
    waiting: Option<Waiting>,
    first: bool,
}

impl<S> Events<S> {
    fn time(&self) -> Event {
        Event::default().event("time").data(utc(self.web.now()))
    }
}

/// `None` when nothing changed for a while or nobody can change anything any more.
async fn next_change(mut changes: watch::Receiver<u64>) -> (Option<u64>, watch::Receiver<u64>) {
    let change = match tokio::time::timeout(TIME_EVERY, changes.changed()).await {
        Ok(Ok(())) => Some(*changes.borrow_and_update()),
        _ => None,
    };
    (change, changes)
}

impl<S: Store> Stream for Events<S> {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.first) {
            return Poll::Ready(Some(Ok(self.time())));
        }
        let mut waiting = match (self.waiting.take(), self.idle.take()) {
            (Some(waiting), _) => waiting,
            (None, Some(changes)) => Box::pin(next_change(changes)),
            (None, None) => return Poll::Ready(None),
        };
        match waiting.as_mut().poll(cx) {
            Poll::Pending => {
                self.waiting = Some(waiting);
                Poll::Pending
            }
            Poll::Ready((change, changes)) => {
                let event = match change {
                    Some(n) => Event::default().event("changed").id(n.to_string()).data(n.to_string()),
                    None => self.time(),
                };
                // a closed channel would otherwise answer at once, for ever
                self.idle = changes.has_changed().is_ok().then_some(changes);
                Poll::Ready(Some(Ok(event)))
            }
        }
    }
}
