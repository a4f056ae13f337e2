//! Frames as they come off the wire: made up at random, cut anywhere, damaged, hostile. What must hold is in `tests/fuzz/checks`, which
//! the fuzz targets ask too.

#[path = "fuzz/checks/mod.rs"]
#[allow(dead_code)] // the other parsers have a corpus of their own
mod checks;
mod harness;
mod frames {
    pub mod hostile;
    pub mod made_up;
    pub mod on_redis;
    pub mod proxy_headers;
}
