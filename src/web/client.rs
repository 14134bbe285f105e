//! Where a request comes from, as far as that is known: attempts are counted by it, and it is written nowhere.

use super::Shared;
use crate::store::Store;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use std::convert::Infallible;

/// The other end of a connection: an address without its port, or `local`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer(pub String);

const LOCAL: &str = crate::workflow::accounts::UNKNOWN;

impl From<&std::net::SocketAddr> for Peer {
    fn from(address: &std::net::SocketAddr) -> Peer {
        Peer(address.ip().to_canonical().to_string())
    }
}

impl From<&tokio::net::unix::SocketAddr> for Peer {
    fn from(_: &tokio::net::unix::SocketAddr) -> Peer {
        Peer(LOCAL.into())
    }
}

/// Who is at the other end: behind a proxy the last address it added to `X-Forwarded-For`, which nobody else can write.
pub struct Client(pub String);

impl Client {
    /// `None` when nothing distinguishes this one from others.
    pub fn of(parts: &Parts, behind_proxy: bool) -> Option<String> {
        let forwarded = || {
            let last = parts.headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
            let last = last.rsplit(',').next()?.trim();
            (!last.is_empty() && last.len() <= 64).then(|| last.to_string())
        };
        if behind_proxy {
            return forwarded();
        }
        let ConnectInfo(Peer(address)) = parts.extensions.get::<ConnectInfo<Peer>>()?;
        (address != LOCAL).then(|| address.clone())
    }
}

impl<S: Store> FromRequestParts<Shared<S>> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, web: &Shared<S>) -> Result<Client, Infallible> {
        Ok(Client(Client::of(parts, web.options.behind_proxy).unwrap_or_else(|| LOCAL.into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    #[test]
    fn nobody_chooses_the_own_address() {
        let parts = |forwarded: &[&str], peer: &str| {
            let mut request = Request::get("/");
            for value in forwarded {
                request = request.header("x-forwarded-for", *value);
            }
            let mut parts = request.body(()).expect("a request").into_parts().0;
            parts.extensions.insert(ConnectInfo(Peer(peer.into())));
            parts
        };
        let direct = parts(&["1.1.1.1"], "2.2.2.2");
        assert_eq!(Client::of(&direct, false).as_deref(), Some("2.2.2.2"));
        let proxied = parts(&["6.6.6.6", "7.7.7.7, 3.3.3.3"], "10.0.0.1");
        assert_eq!(Client::of(&proxied, true).as_deref(), Some("3.3.3.3"));
        assert_eq!(Client::of(&parts(&[], "10.0.0.1"), true), None);
        assert_eq!(Client::of(&parts(&["1.1.1.1"], LOCAL), false), None);
    }
}
