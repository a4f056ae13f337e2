//! mainstay, a failover proxy for Redis and Valkey: applications connect to one address, mainstay takes them to the server that is
//! *rightly* the primary, and to no other.
//!
//! # The flow
//!
//! Observations flow in, pure code decides, one route flows out:
//!
//! ```text
//!   backends ──INFO──▶ control::probe ──outcome──▶ control::coordinator ◀──hints── proxy::splice
//!                                                       │      ▲                        ▲
//!                                               events  ▼      │ steps                  │ bytes
//!                                                    topology::group                    │
//!                                                  (pure: who is primary)               │
//!                                                       │                               │
//!                                     route::Route, route::Fence                        │
//!                                                       ▼                               │
//!   clients ──▶ proxy::acceptor ──▶ proxy::worker ──▶ proxy::lanes ──▶ proxy::session ──┘──▶ the primary
//! ```
//!
//! A change of primary takes two steps. *Withdraw*: control raises the fence and publishes a route without a primary; every worker
//! resets what is older and acknowledges. *Grant*: only then is the next primary published.
//!
//! # The map
//!
//! | room | holds |
//! |---|---|
//! | [`config`] | the configuration, as written and as meant; every fault with its place |
//! | [`resp`] | bytes only: where frames end, what commands do, INFO texts and error replies |
//! | [`route`] | the words that control, proxy and admin share: Route, Fence, Hint, status |
//! | [`metrics`] | every metric, registered once |
//! | [`tls`] | TLS to backends, Sentinels and clients; what is wrong with a certificate |
//! | [`topology`] | pure decisions over facts and time: who is primary |
//! | [`conversation`] | pure: what a session is in the middle of, what to replay, what may be asked again (redis mode) |
//! | [`control`] | the IO that drives `topology`: checks, the coordinator of a group |
//! | [`proxy`] | the data path: accept, park, attach, splice, end |
//! | [`admin`] | HTTP: metrics, health, API |
//! | [`app`] | the composition root: threads, reload, signals |
//!
//! # Where each rule lives
//!
//! | rule | file |
//! |---|---|
//! | how a check can end; what counts as failed | `topology/facts.rs` |
//! | `rise`, `fall` | `topology/health.rs` |
//! | when a group is in doubt, and how often it is asked | `topology/doubt.rs` |
//! | 1 nothing is primary until proved; 2 who is eligible; 3 among several | `topology/election.rs` |
//! | 2 rivals and how they become eligible again | `topology/rivals.rs` |
//! | 3a proof of succession | `topology/lineage.rs` |
//! | 3b the Sentinels | what they say together in `topology/sentinel.rs`, what follows in `topology/word.rs` |
//! | 4 when a primary is lost | `topology/loss.rs` |
//! | what a command does, and whether it may be asked again | `resp/command/`, asked of the server in `control/asking.rs` |
//! | 5 hints | seen in `resp/reply.rs`, `resp/command.rs` and `proxy/splice.rs`, answered in `control/suspicion.rs` |
//! | a refusal withheld until control has looked | `proxy/redis_mode/doubt.rs` |
//! | 6 every decision can be explained | `topology/history.rs`, `control/snapshot.rs`, `control/journal.rs` |
//! | epoch, withdraw and grant | `topology/group.rs`, carried out by `control/coordinator.rs` |
//! | fence | `route/fence.rs`, asked in `proxy/splice.rs`, `proxy/redis_mode.rs` and `proxy/trunk.rs`, acknowledged in `proxy/lanes.rs` |
//! | what may travel over a shared upstream, and what needs its own | `conversation/sharing.rs` |
//! | whose a reply of a shared upstream is; batches, fairness | `proxy/trunk.rs`, `proxy/trunk/reading.rs` |
//! | which upstreams are interchangeable | `ConnectionKey` in `conversation/`, `proxy/trunk/pool.rs` |
//! | who may connect; PROXY headers and handshakes before a client is a session | `proxy/entrance.rs`, `proxy/reception.rs` |
//! | users of mainstay's own, denied commands | `conversation/access/`, asked of where a request comes in |
//! | what a name that changes makes of a group | `control/roster.rs`, asked in `control/resolve.rs`, carried out in `control/naming.rs` |
//! | park, attach or refuse | `proxy/policy.rs`, the queue in `proxy/lanes/queue.rs` |
//!
//! # The law
//!
//! `config`, `resp`, `topology`, `conversation`, `route` and `metrics` are at the bottom (`topology` and `conversation` may use `resp` and
//! `route`, and `route` names what `resp` knows of commands). `proxy` never imports
//! `control` or `admin`; `control` never imports `proxy`; `admin` sees `route`, `config` and `metrics`; only `app` knows all. A test
//! reads the imports and enforces it (`tests/house.rs`).
#![forbid(unsafe_code)]

pub mod admin;
pub mod app;
pub mod config;
pub mod control;
pub mod conversation;
pub mod metrics;
pub mod proxy;
pub mod resp;
pub mod route;
pub mod tls;
pub mod topology;
