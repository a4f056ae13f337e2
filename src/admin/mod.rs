//! The admin side: health, metrics and the API, over HTTP/1.1, on the control side's runtime.
//!
//! It owns no state. It reads the snapshots that others publish ([`crate::route`]) and hands commands to those who own what is
//! to be changed. A request is answered like this:
//!
//! | step | file |
//! |---|---|
//! | accept, bounded in number, size and time | `server.rs`, `connection.rs`, `limits.rs` |
//! | which place the path names | `place.rs` |
//! | may this request be answered at all | `guard.rs`, `access.rs` |
//! | what is said | `health.rs`, `api.rs`, `events.rs` |
//! | how it is written | `answer.rs` |
//!
//! Health, readiness and metrics answer everybody. Everything else needs the token or a client certificate where one is configured;
//! where none is, it answers on loopback only.

mod access;
mod answer;
mod api;
mod connection;
mod events;
mod guard;
mod health;
mod limits;
pub mod place;
mod server;

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::{broadcast, mpsc, watch};

use crate::metrics::Metrics;
use crate::route::{Directory, Event, ReloadRequest};

pub use access::Access;
pub use limits::Limits;
pub use server::{serve, serve_within};

/// Everything that the admin side can see and reach.
#[derive(Clone, Debug)]
pub struct Context {
    /// Who may steer. A reload sends another.
    pub access: watch::Receiver<Arc<Access>>,
    /// What `GET /metrics` gathers.
    pub metrics: Metrics,
    /// The groups and listeners in force.
    pub directory: watch::Receiver<Arc<Directory>>,
    /// What `GET /api/v1/events` passes on; each reader subscribes for itself.
    pub events: broadcast::Sender<Event>,
    /// Where `POST /api/v1/reload` asks. Bounded.
    pub reload: mpsc::Sender<ReloadRequest>,
    /// When the process started, by the wall clock.
    pub started: SystemTime,
    /// True as soon as every listener is bound and accepts.
    pub listening: watch::Receiver<bool>,
}
