//! The HTTP face of [`workflow`](crate::workflow): a JSON interface under `/api/v1`, and pages rendered on the server.
//!
//! Absent here: clocks (`Options::now` is injected), decisions, SQL. A handler reads the request, calls one verb of
//! [`House`], and writes the answer. Looking never acts: every change is a POST.

mod accounts;
mod answers;
mod assess;
mod assets;
mod attachments;
mod auth;
mod body;
mod calendar;
mod client;
mod dashboard;
mod drafts;
mod erase;
mod error;
mod evidence;
mod health;
mod inbound;
mod incidents;
mod ingest;
mod kept;
mod multipart;
mod obligations;
mod openapi;
mod pace;
mod query;
mod register;
mod repeat;
mod router;
mod sent;
mod serve;
mod stream;
mod tls;

use crate::store::Store;
use crate::time::Timestamp;
use crate::workflow::House;
use std::sync::Arc;
use std::time::Duration;

pub use client::Peer;
pub use router::ROUTES;
pub use serve::{Patience, serve};
pub use tls::{Certificate, TlsListener};

/// What the web layer needs besides the house.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The clock, injected: nothing here reads one.
    pub now: fn() -> Timestamp,
    /// Bytes a request body may have; more is answered with 413.
    pub max_body: usize,
    /// A body may take so long, and longer by what came of it.
    pub patience: Duration,
    /// Cookies only over TLS. Set when the server has TLS or stands behind a proxy that has.
    pub secure_cookies: bool,
    /// Whether every request comes from a proxy, which writes in `X-Forwarded-For` whom it serves.
    pub behind_proxy: bool,
}

/// What every handler can reach.
pub(crate) struct Web<S> {
    pub house: Arc<House<S>>,
    pub options: Options,
    pub pace: pace::Pace,
    pub memory: repeat::Memory,
    pub kept: kept::Kept,
}

impl<S> Web<S> {
    fn now(&self) -> Timestamp {
        (self.options.now)()
    }
}

pub(crate) type Shared<S> = Arc<Web<S>>;

/// Every route with its guards: security headers outermost, then the net that turns a panic into a 500.
pub fn router<S: Store>(house: Arc<House<S>>, options: Options) -> axum::Router {
    router::build(Arc::new(Web {
        house,
        options,
        pace: Default::default(),
        memory: Default::default(),
        kept: Default::default(),
    }))
}
