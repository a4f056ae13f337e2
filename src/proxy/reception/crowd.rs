//! How many may be in the reception, in all and from one source.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Each may take some 30 KiB in a TLS handshake.
const ALL_MAX: usize = 2048;
/// Of one address. Far more than a machine's pools open in the same moment when a failover has cut them all; one machine alone cannot fill
/// the reception.
const SOURCE_MAX: usize = 256;
/// Of one trusted proxy, behind which many clients stand.
const PROXY_MAX: usize = 1024;

/// Where somebody comes from: who is connected, not whom a header names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// None for unix sockets.
    address: Option<IpAddr>,
    is_proxy: bool,
}

impl Source {
    /// A machine has a whole IPv6 network of 64 bits to itself.
    pub fn of(peer: Option<SocketAddr>, is_proxy: bool) -> Self {
        let network = |address: IpAddr| match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from(u128::from(address) >> 64 << 64)),
            v4 => v4,
        };
        Self { address: peer.map(|peer| network(peer.ip())), is_proxy }
    }

    /// A trusted proxy, which says first for whom it connects.
    pub fn is_proxy(self) -> bool {
        self.is_proxy
    }

    fn most(self) -> usize {
        if self.is_proxy { PROXY_MAX } else { SOURCE_MAX }
    }
}

/// What is full. Goes on from the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// All places are taken.
    All,
    /// As many as one source may have.
    Source(usize),
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => write!(
                f,
                "comes while {ALL_MAX} others are in their TLS handshakes or PROXY headers; no more are let in at a time"
            ),
            Self::Source(most) => {
                write!(
                    f,
                    "has {most} connections already that have not finished their TLS handshakes or PROXY headers; its newest are closed"
                )
            }
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Crowd {
    all: usize,
    sources: HashMap<Source, usize>,
}

impl Crowd {
    /// One more.
    pub fn enter(&mut self, source: Source) -> Result<(), Full> {
        let here = self.sources.get(&source).copied().unwrap_or_default();
        if here >= source.most() {
            return Err(Full::Source(source.most()));
        }
        if self.all >= ALL_MAX {
            return Err(Full::All);
        }
        self.all += 1;
        self.sources.insert(source, here + 1);
        Ok(())
    }

    /// One of those that entered is through, or gone.
    pub fn leave(&mut self, source: Source) {
        self.all -= 1;
        let left = self.sources.get_mut(&source).map(|here| {
            *here -= 1;
            *here
        });
        if left == Some(0) {
            self.sources.remove(&source);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(address: &str, is_proxy: bool) -> Source {
        Source::of(Some(SocketAddr::new(address.parse().unwrap(), 1)), is_proxy)
    }

    #[test]
    fn one_source_cannot_fill_the_reception_and_all_together_can() {
        let mut crowd = Crowd::default();
        let mut enter = |address: &str, count: usize| (0..count).filter(|_| crowd.enter(source(address, false)).is_ok()).count();
        assert_eq!(enter("10.0.0.1", 1000), SOURCE_MAX);
        assert_eq!(enter("::ffff:10.0.0.1", 1), 0, "the same");
        assert_eq!(enter("fd00::1", 200) + enter("fd00::ffff:2", 200), SOURCE_MAX, "one network");
        for number in 2..100 {
            enter(&format!("10.0.0.{number}"), SOURCE_MAX);
        }
        assert_eq!(crowd.enter(source("10.0.1.1", false)), Err(Full::All));
        crowd.leave(source("10.0.0.1", false));
        assert_eq!(crowd.enter(source("10.0.1.1", false)), Ok(()));
    }

    #[test]
    fn a_trusted_proxy_may_have_more_and_who_has_left_takes_no_memory() {
        let (mut crowd, proxy) = (Crowd::default(), source("10.0.0.1", true));
        assert_eq!((0..2000).filter(|_| crowd.enter(proxy).is_ok()).count(), PROXY_MAX);
        (0..PROXY_MAX).for_each(|_| crowd.leave(proxy));
        assert_eq!((crowd.all, crowd.sources.len()), (0, 0));
    }
}
