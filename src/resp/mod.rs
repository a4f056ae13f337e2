//! Bytes only: what Redis' protocol says, without sockets and without opinions.

pub mod command;
pub mod frames;
pub mod info;
pub mod proxy_header;
pub mod reply;
