//! TLS with real servers and other programs' ends.

#[path = "../harness/mod.rs"]
mod harness;

mod backends;
mod clients;
mod failover;
mod peers;
