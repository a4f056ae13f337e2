use std::sync::atomic::{AtomicBool, AtomicU64};

use tokio::sync::{mpsc, watch};

use super::*;
use crate::metrics::Metrics;
use crate::route::{Departure, Endpoint, Fence, FirstByte, Primary, Reads, Vacancy};

fn route(epoch: Epoch, primary: Result<Primary, Vacancy>) -> Arc<Route> {
    let (hold_window, hint_interval) = (Duration::ZERO, Duration::from_millis(50));
    let reads = Reads::none(Moment::default());
    Arc::new(Route { epoch, primary, reads, hold_window, hold_max_bytes: 1, hint_interval })
}

/// Lanes whose task never has its turn, and what control publishes for them.
fn lanes(published: Arc<Route>) -> (Lanes, watch::Sender<Arc<Route>>) {
    let (sender, route) = watch::channel(published);
    let link = GroupLink {
        name: "jobs".into(),
        route,
        fence: Arc::new(Fence::new(0, 1)),
        reads_until: Arc::default(),
        suspected: Arc::new(AtomicBool::new(false)),
        looked: Arc::new(AtomicU64::new(0)),
        acknowledged: Arc::default(),
        hints: mpsc::channel(1).0,
        held_bytes: Arc::default(),
        held: Arc::default(),
        is_read: Arc::default(),
        first_byte: Arc::new(FirstByte::default()),
    };
    let local = Rc::new(Local::new(0, Arc::default(), Arc::default()));
    (Lanes::new(link, local, Metrics::default().hold("jobs")), sender)
}

#[test]
fn nobody_is_sent_away_for_want_of_a_primary_that_was_published_already() {
    let since = Moment::from_millis(0);
    let (lanes, sender) = lanes(route(1, Err(Vacancy { since, why: "lost".into(), left: Departure::Gone })));
    assert_eq!(lanes.admit(ListenerRoute::Primary, None), Admission::Refuse, "there is no window");
    let primary = Primary {
        backend: "a".into(),
        way: Way { endpoint: Endpoint::Tcp(([127, 0, 0, 1], 1).into()), tls: None },
        takes_new: true,
        commands: Commands::shipped(),
        login: None,
    };
    sender.send_replace(route(1, Ok(primary)));
    assert_eq!(lanes.admit(ListenerRoute::Primary, None), Admission::Park, "its task has yet to follow");
}
