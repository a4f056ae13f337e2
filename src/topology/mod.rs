//! Which backend is rightly the primary: pure decisions over facts and time. No sockets, no clock, no tokio.
//!
//! | file | holds |
//! |---|---|
//! | [`facts`] | what one check can end with |
//! | [`health`] | rise and fall of one backend |
//! | [`lineage`] | who continues whose history: proof of succession |
//! | [`election`] | the choosing rule |
//! | [`group`] | the order of events: lost, withdrawn, elected; rivals; stalls |
//! | [`doubt`] | how often to ask |
//! | [`loss`] | when a primary is lost |
//! | `rivals` | who is barred, and until when |
//! | `renaming` | a backend under another name; what is remembered of those that left |
//! | `operator` | `mainstay elect`, maintenance |
//! | [`replicas`] | which replicas may be read |
//! | [`sentinel`] | what the Sentinels say together |
//! | `word` | what follows from that |
//! | [`history`] | failovers and their timelines |

pub mod doubt;
pub mod election;
pub mod facts;
pub mod group;
pub mod health;
pub mod history;
pub mod lineage;
pub mod loss;
mod operator;
mod renaming;
pub mod replicas;
mod rivals;
pub mod sentinel;
mod word;

pub use election::{Backend, Rules};
pub use facts::{Facts, Outcome, Role};
pub use group::{Group, Step};
pub use loss::Cause;
