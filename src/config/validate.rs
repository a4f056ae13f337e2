//! Every fault with its key path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault;
pub struct Faults;
pub fn load() {}
pub fn parse() {}
