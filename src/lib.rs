//! mainstay, a failover proxy for Redis and Valkey.
#![forbid(unsafe_code)]

pub mod admin;
pub mod app;
pub mod config;
pub mod control;
pub mod metrics;
pub mod proxy;
pub mod resp;
pub mod route;
pub mod topology;
