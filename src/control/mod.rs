//! The IO that drives `topology/`: checks flow in, steps flow out.
//!
//! | file | holds |
//! |---|---|
//! | [`coordinator`] | the one owner of a group's state; carries out withdraw and grant |
//! | `handle` | starting a group, and what others hold of it |
//! | [`probe`] | one task a backend that asks for the facts |
//! | `asking` | what a backend's commands do |
//! | `login` | AUTH |
//! | `sentinel` | what Sentinels are asked and say |
//! | `suspicion` | what traffic noticed |
//! | `wire` | a question and its answer on one connection |
//! | `extent` | where a long answer ends |
//! | [`resolve`] | where names lead |
//! | `roster` | who belongs to a group, as far as names decide it |
//! | `naming` | the coordinator's part in that |
//! | `journal` | what is logged, counted and sent to `/api/v1/events` |
//! | `snapshot` | what `status` shows |

mod asking;
mod connectors;
pub mod coordinator;
pub mod extent;
mod handle;
mod journal;
mod login;
mod mismatch;
mod naming;
pub mod probe;
mod publishing;
pub mod resolve;
mod roster;
mod sentinel;
mod snapshot;
mod suspicion;
mod wire;

pub use handle::{GroupHandle, spawn};
