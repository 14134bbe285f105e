//! Which addresses and hosts a request may be sent to: the guard against being led into the operator's own network.
//!
//! Every address a name resolves to is checked, and exactly the checked addresses are connected to: the check runs
//! inside the resolver, so that there is no second look-up for an attacker to answer differently.

use crate::notify::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// Looks a host name up.
pub type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// An address that is not on the public internet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressFault {
    pub address: IpAddr,
    /// What the address is, e.g. `loopback`.
    pub kind: &'static str,
}

impl fmt::Display for AddressFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AddressFault { address, kind } = self;
        write!(f, "`{address}` is a {kind} address; set `allow_private = true` if the receiver is meant to be inside")
    }
}

impl std::error::Error for AddressFault {}

/// A host that is not on the operator's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFault {
    host: String,
}

impl HostFault {
    /// Is `host` on the list? An empty list allows every host; `*.example.org` stands for every name below it.
    pub fn check(host: &str, allowed: &[String]) -> Result<(), HostFault> {
        let name = host.trim_end_matches('.').to_ascii_lowercase();
        let fits = |entry: &String| match entry.to_ascii_lowercase().strip_prefix('*') {
            Some(suffix) => suffix.starts_with('.') && name.len() > suffix.len() && name.ends_with(suffix),
            None => entry.eq_ignore_ascii_case(&name),
        };
        let known = allowed.is_empty() || allowed.iter().any(fits);
        if known { Ok(()) } else { Err(HostFault { host: name }) }
    }
}

impl fmt::Display for HostFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not among `allow_hosts`; add it there if it is meant", self.host)
    }
}

impl std::error::Error for HostFault {}

/// IPv4 ranges that are not global unicast (IANA special-purpose registry), as network, prefix length, name.
const SPECIAL_V4: [(Ipv4Addr, u32, &str); 15] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8, "unspecified"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "private"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "carrier-grade NAT"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "loopback"),
    // 169.254.169.254 is the metadata service of most clouds
    (Ipv4Addr::new(169, 254, 0, 0), 16, "link-local or metadata"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "private"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "protocol assignment"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "documentation"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "6to4 relay"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "private"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "benchmarking"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "documentation"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "documentation"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "multicast"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "reserved or broadcast"),
];

/// Is this an address on the public internet? Addresses that carry an IPv4 address inside are judged by it.
pub fn check_address(address: IpAddr) -> Result<(), AddressFault> {
    let kind = match address {
        IpAddr::V4(v4) => special_v4(v4),
        IpAddr::V6(v6) => special_v6(v6),
    };
    kind.map_or(Ok(()), |kind| Err(AddressFault { address, kind }))
}

fn special_v4(address: Ipv4Addr) -> Option<&'static str> {
    let inside = |network: Ipv4Addr, bits: u32| (u32::from(address) ^ u32::from(network)) >> (32 - bits) == 0;
    // the metadata service of one cloud lies in public space
    if address == Ipv4Addr::new(168, 63, 129, 16) {
        return Some("metadata");
    }
    SPECIAL_V4.iter().find(|(network, bits, _)| inside(*network, *bits)).map(|(_, _, kind)| *kind)
}

fn special_v6(address: Ipv6Addr) -> Option<&'static str> {
    let s = address.segments();
    let tail = Ipv4Addr::from(((s[6] as u32) << 16) | s[7] as u32);
    match s {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("unspecified"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("loopback"),
        // IPv4-mapped; the obsolete IPv4-compatible form and SIIT are never public
        [0, 0, 0, 0, 0, 0xffff, ..] => special_v4(tail),
        [0, 0, 0, 0, ..] => Some("reserved"),
        // NAT64: the well-known prefix carries an address, the local-use one (RFC 8215) is local by definition
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => special_v4(tail),
        [0x64, 0xff9b, ..] => Some("local NAT64"),
        [0x100, ..] => Some("discard-only"),
        // Teredo, ORCHID, benchmarking and the rest of the protocol assignments
        [0x2001, b, ..] if b < 0x200 => Some("protocol assignment"),
        [0x2001, 0xdb8, ..] | [0x3fff, ..] => Some("documentation"),
        // 6to4 carries an address in its second and third group
        [0x2002, high, low, ..] => special_v4(Ipv4Addr::from(((high as u32) << 16) | low as u32)),
        [a, ..] if a & 0xfe00 == 0xfc00 => Some("unique local"),
        [a, ..] if a & 0xffc0 == 0xfe80 => Some("link-local"),
        [a, ..] if a & 0xffc0 == 0xfec0 => Some("site-local"),
        [a, ..] if a & 0xff00 == 0xff00 => Some("multicast"),
        [a, ..] if a & 0xe000 != 0x2000 => Some("unassigned"),
        _ => None,
    }
}

/// A resolver that answers only with checked addresses: one bad address among them fails the whole look-up.
#[derive(Clone)]
pub struct GuardedResolver {
    lookup: Lookup,
    allow_private: bool,
    allow_hosts: Arc<[String]>,
}

impl GuardedResolver {
    /// Uses the system's resolver.
    pub fn system(allow_private: bool, allow_hosts: &[String]) -> GuardedResolver {
        let lookup: Lookup = Arc::new(|host| {
            Box::pin(async move { Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect()) })
        });
        GuardedResolver { lookup, allow_private, allow_hosts: allow_hosts.into() }
    }

    /// Uses `lookup`, for tests of names that lead inside.
    #[cfg(test)]
    pub fn with_lookup(lookup: Lookup, allow_private: bool) -> GuardedResolver {
        GuardedResolver { lookup, allow_private, allow_hosts: Arc::default() }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let GuardedResolver { lookup, allow_private, allow_hosts } = self.clone();
        Box::pin(async move {
            HostFault::check(name.as_str(), &allow_hosts)?;
            let addresses = lookup(name.as_str().to_string()).await?;
            if !allow_private {
                addresses.iter().try_for_each(|address| check_address(*address))?;
            }
            let checked: Addrs = Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(checked)
        })
    }
}
