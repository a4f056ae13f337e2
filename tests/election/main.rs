//! Who is primary: decided on what real Redis said (the recordings of `tests/facts/`) and on made-up worlds.
//!
//! Each test plays a recording and asks, before each thing that was done to the servers, what was decided until then. Read it
//! beside `tests/facts/README.md`, which says what the servers showed.

mod council;
mod identity;
mod judge;
mod planned;
mod promotions;
mod properties;
mod replay;
mod restarts;
mod sentinels;
mod start;
mod truth;
mod world;
