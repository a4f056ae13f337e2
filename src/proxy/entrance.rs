//! Who may connect to a listener, and what a connection has to go through before it is a session.

use std::net::{IpAddr, SocketAddr};

use prometheus::IntCounter;

use crate::config::Network;
use crate::metrics::{ArrivalRefusal, CloseReason};
use crate::tls;

/// What stands before a listener that does not take everybody as they come.
#[derive(Debug)]
pub struct Entrance {
    /// Who may connect; absent: everybody.
    pub allow: Option<Vec<Network>>,
    /// Who has to begin with a PROXY header, and is believed what it says.
    pub proxies: Vec<Network>,
    /// Clients speak TLS.
    pub tls: Option<tls::Acceptor>,
    /// `mainstay_arrivals_refused_total`
    pub refused: [IntCounter; ArrivalRefusal::ALL.len()],
}

/// What becomes of a connection that was just accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meeting {
    /// It is a session at once.
    Enters,
    /// It has something to go through: a PROXY header first, or none.
    Waits {
        /// A header comes first.
        header: bool,
    },
    /// Its address is not allowed.
    Refused,
}

impl Entrance {
    /// None where everybody enters at once.
    pub fn new(
        allow: Option<Vec<Network>>,
        proxies: Vec<Network>,
        tls: Option<tls::Acceptor>,
        refused: impl FnOnce() -> [IntCounter; ArrivalRefusal::ALL.len()],
    ) -> Option<Self> {
        let is_open = allow.is_none() && proxies.is_empty() && tls.is_none();
        (!is_open).then(|| Self { allow, proxies, tls, refused: refused() })
    }

    /// Somebody connects. A proxy's own address counts only where its header names no other.
    pub fn meets(&self, peer: Option<SocketAddr>) -> Meeting {
        let address = peer.map(|peer| peer.ip());
        if address.is_some_and(|address| self.is_proxy(address)) {
            Meeting::Waits { header: true }
        } else if !self.allows(address) {
            Meeting::Refused
        } else if self.tls.is_some() {
            Meeting::Waits { header: false }
        } else {
            Meeting::Enters
        }
    }

    /// Has to begin with a PROXY header.
    pub fn is_proxy(&self, address: IpAddr) -> bool {
        self.proxies.iter().any(|network| network.contains(address))
    }

    /// Who comes over a unix socket has no address; the permissions of the socket said already who may.
    pub fn allows(&self, address: Option<IpAddr>) -> bool {
        match (&self.allow, address) {
            (Some(networks), Some(address)) => networks.iter().any(|network| network.contains(address)),
            (None, _) | (Some(_), None) => true,
        }
    }
}

impl ArrivalRefusal {
    /// As what its end counts in `mainstay_sessions_closed_total`.
    pub fn close_reason(self) -> CloseReason {
        match self {
            Self::Network | Self::Crowd => CloseReason::Refused,
            Self::Header | Self::Handshake | Self::Time => CloseReason::Error,
            Self::Left => CloseReason::Client,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entrance(allow: Option<&[&str]>, proxies: &[&str]) -> Entrance {
        let networks = |all: &[&str]| all.iter().map(|one| one.parse().unwrap()).collect();
        let refused = crate::metrics::Metrics::new().arrivals_refused("a");
        Entrance { allow: allow.map(networks), proxies: networks(proxies), tls: None, refused }
    }

    fn meets(entrance: &Entrance, peer: &str) -> Meeting {
        entrance.meets(Some(SocketAddr::new(peer.parse().unwrap(), 1)))
    }

    #[test]
    fn who_connects_is_told_by_the_address_in_any_of_its_clothes() {
        let entrance = entrance(Some(&["10.0.0.0/8", "fd00::/8"]), &["192.168.0.5"]);
        for (peer, meeting) in [
            ("10.1.2.3", Meeting::Enters),
            ("::ffff:10.1.2.3", Meeting::Enters),
            ("fd12::1", Meeting::Enters),
            ("11.1.2.3", Meeting::Refused),
            ("::1", Meeting::Refused),
            ("192.168.0.5", Meeting::Waits { header: true }),
            ("::ffff:192.168.0.5", Meeting::Waits { header: true }),
            ("192.168.0.6", Meeting::Refused),
        ] {
            assert_eq!(meets(&entrance, peer), meeting, "{peer}");
        }
        assert_eq!(entrance.meets(None), Meeting::Enters);
    }

    #[test]
    fn without_a_list_everybody_may_and_only_proxies_wait() {
        let entrance = entrance(None, &["192.168.0.0/24"]);
        assert_eq!(meets(&entrance, "1.2.3.4"), Meeting::Enters);
        assert_eq!(meets(&entrance, "192.168.0.77"), Meeting::Waits { header: true });
    }
}
