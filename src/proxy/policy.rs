//! What a listener was configured to be, immutable: a reload makes another one, sessions keep theirs.

use std::sync::Arc;
use std::time::Duration;

use super::entrance::Entrance;
use crate::config::{Fallback, ListenerRoute, Mode};
use crate::conversation::Access;
use crate::metrics::ListenerMetrics;
use crate::route::{ListenerEntry, Moment, Route};

/// One listener's rules for its sessions.
#[derive(Debug)]
pub struct Policy {
    /// Name, address, group, limit, and the count of open sessions.
    pub listener: Arc<ListenerEntry>,
    /// Which backends its traffic goes to.
    pub route: ListenerRoute,
    /// What is done with what clients send.
    pub mode: Mode,
    /// Redis mode: sessions share upstreams where they can.
    pub shared_connections: bool,
    /// See [`crate::config::Listener::verify_alignment`].
    pub verify_alignment: bool,
    /// What stands before it; None where everybody enters at once.
    pub entrance: Option<Entrance>,
    /// Redis mode: what clients may say, where that is not everything.
    pub access: Option<Access>,
    /// To a backend.
    pub connect_timeout: Duration,
    /// Without a byte in either direction.
    pub idle_timeout: Duration,
    /// Quiet time before the first keepalive probe, on both sides.
    pub keepalive: Duration,
    /// Resolved handles.
    pub metrics: ListenerMetrics,
}

impl Policy {
    /// Only reads, of replicas where there are.
    pub fn reads(&self) -> bool {
        matches!(self.route, ListenerRoute::Replica { .. })
    }

    /// Bytes that a replica may be behind.
    pub fn max_lag(&self) -> u64 {
        match self.route {
            ListenerRoute::Primary => u64::MAX,
            ListenerRoute::Replica { max_lag, .. } => max_lag,
        }
    }

    /// Who reads a replica that becomes the primary stays there. Where requests are followed they read another one.
    pub fn keeps_promoted(&self) -> bool {
        self.mode == Mode::Tcp && matches!(self.route, ListenerRoute::Replica { fallback: Fallback::Primary, .. })
    }
}

/// What becomes of a client that has no upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Connect it.
    Attach,
    /// Let it wait.
    Park,
    /// The window is over: close it at once.
    Refuse,
}

/// Park, attach or refuse: the one place where this is decided. `suspected`: traffic hinted at a change that control has not yet looked
/// into.
/// `waiting_since`: when this client began to wait.
pub fn admission(route: &Route, suspected: bool, waiting_since: Moment, now: Moment) -> Admission {
    match &route.primary {
        // Without a window nobody waits, so a mere suspicion refuses nobody either.
        Ok(primary) if primary.takes_new && (route.hold_window.is_zero() || !suspected) => Admission::Attach,
        // There is a primary, but this client may not, or could not, be connected to it: its own waiting time counts.
        Ok(_) if now < waiting_since + route.hold_window => Admission::Park,
        Err(vacancy) if now < vacancy.since + route.hold_window => Admission::Park,
        Ok(_) | Err(_) => Admission::Refuse,
    }
}

/// Park or refuse a client that only reads replicas, while there is none for it. Where there are some, they are too far behind for its
/// listener, or could not be connected to: then its own waiting time counts.
pub fn read_admission(route: &Route, waiting_since: Moment, now: Moment) -> Admission {
    let since = if route.reads.replicas.is_empty() { route.reads.since } else { waiting_since };
    if now < since + route.hold_window { Admission::Park } else { Admission::Refuse }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::command::Commands;
    use crate::route::{Departure, Endpoint, Primary, Reads, Vacancy, Way};

    fn route(primary: Result<Primary, Vacancy>) -> Route {
        Route {
            epoch: 0,
            primary,
            reads: Reads::none(Moment::default()),
            hold_window: Duration::from_millis(100),
            hold_max_bytes: 1,
            hint_interval: Duration::from_millis(50),
        }
    }

    fn primary(takes_new: bool) -> Result<Primary, Vacancy> {
        Ok(Primary {
            backend: "a".into(),
            way: Way { endpoint: Endpoint::Tcp(([127, 0, 0, 1], 1).into()), tls: None },
            takes_new,
            commands: Commands::shipped(),
            login: None,
        })
    }

    #[test]
    fn the_window_counts_from_the_loss_of_the_primary_and_not_per_client() {
        let at = Moment::from_millis;
        let vacant = route(Err(Vacancy { since: at(1000), why: String::new(), left: Departure::Gone }));
        assert_eq!(admission(&vacant, false, at(1099), at(1099)), Admission::Park);
        assert_eq!(admission(&vacant, false, at(1099), at(1100)), Admission::Refuse);
    }

    #[test]
    fn a_suspected_or_draining_primary_takes_nobody_new_for_as_long_as_the_window() {
        let at = Moment::from_millis;
        assert_eq!(admission(&route(primary(true)), false, at(0), at(9999)), Admission::Attach);
        for (route, suspected) in [(route(primary(true)), true), (route(primary(false)), false)] {
            assert_eq!(admission(&route, suspected, at(0), at(99)), Admission::Park);
            assert_eq!(admission(&route, suspected, at(0), at(100)), Admission::Refuse);
        }
    }

    #[test]
    fn without_a_window_a_suspicion_refuses_nobody() {
        let route = Route { hold_window: Duration::ZERO, ..route(primary(true)) };
        assert_eq!(admission(&route, true, Moment::default(), Moment::default()), Admission::Attach);
    }
}
