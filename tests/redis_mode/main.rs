//! Redis mode over real servers: what a client sees of its one connection while the primary changes, stays away, or dies.

#[path = "../harness/mod.rs"]
mod harness;

mod bulk;
mod ends;
mod holding;
mod moving;

use harness::*;

/// A listener in redis mode.
const REDIS_MODE: &str = "mode = \"redis\"";
/// The primary goes away by itself and nobody succeeds: what mainstay says to those who ask.
const REFUSED: &str = "MASTERDOWN mainstay: ";

/// A group of these servers behind a listener in redis mode.
fn redis_mode<'a>(servers: impl IntoIterator<Item = &'a Redis>) -> Setup {
    Setup::of(servers).listener(REDIS_MODE)
}

/// Clients that wait for a primary.
fn held(mainstay: &Mainstay) -> f64 {
    mainstay.metric("mainstay_held", &[])
}

/// Holds that ended so.
fn held_total(mainstay: &Mainstay, outcome: &str) -> f64 {
    mainstay.metric("mainstay_held_total", &[&format!("outcome={outcome:?}")])
}

/// Connections that mainstay has for its clients.
fn upstreams(mainstay: &Mainstay) -> f64 {
    mainstay.metric("mainstay_upstreams", &[])
}

/// Sends a command and does not wait for its reply.
#[track_caller]
fn send(client: &mut Client, words: &[&str]) {
    client.send(&client::command(words)).expect("the connection stands");
}

/// The primary becomes a replica of a stranger: it is lost, and nobody succeeds yet.
fn demote(primary: &Redis) -> Redis {
    let stranger = Redis::start(&[]);
    primary.follow(&stranger);
    stranger
}
