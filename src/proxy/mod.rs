//! The data path: from accept to close.
//!
//! | file | holds |
//! |---|---|
//! | [`acceptor`] | the accepting thread: `max_connections`, descriptors, which worker gets a socket |
//! | [`entrance`] | who may connect, and what a connection has to go through |
//! | [`reception`] | PROXY headers and TLS handshakes, on a thread of their own |
//! | [`refusals`] | what is said of clients that do not get in |
//! | [`place`] | a place among the sessions, taken at accept |
//! | [`bind`] | listening sockets: bound, or handed over by systemd |
//! | [`worker`] | one thread, one runtime; what it is told |
//! | [`lanes`] | what a worker has of one group: its route, its sessions, its parked queue |
//! | [`local`] | what the tasks of one worker share: scratch buffer, coarse clock |
//! | [`tally`] | what is counted while requests pass, without atomics |
//! | [`policy`] | what a listener was configured to be, and whether a client is attached, parked or refused |
//! | [`session`] | the lifecycle: accept → park → attach → splice → end |
//! | [`tcp_mode`] | a session in tcp mode until it is spliced: park, attach |
//! | [`redis_mode`] | a session in redis mode: a conversation, and an upstream where it needs one |
//! | [`splice`] | bytes between client and upstream, fence and hints on the way |
//! | [`unblock`] | ends blocking commands on a primary that was replaced |
//! | [`upstream`] | connecting to a backend |
//! | [`transport`] | TCP and unix sockets in one enum, with abort and lingering close |

pub mod acceptor;
pub mod bind;
pub mod entrance;
pub mod lanes;
pub mod local;
pub mod place;
pub mod policy;
pub mod reception;
pub mod redis_mode;
pub mod refusals;
pub mod session;
pub mod splice;
pub mod tally;
pub mod tcp_mode;
pub mod transport;
pub mod trunk;
pub mod unblock;
pub mod upstream;
pub mod worker;
