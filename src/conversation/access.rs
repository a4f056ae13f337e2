//! Who may say what on a listener in redis mode: users of mainstay's own, and commands that nobody may use there.
//!
//! What a client may not say never reaches a server. It is answered here, in its turn, in the words of a server with such ACL rules; inside
//! a transaction the server is sent something that it refuses as well ([`POISON`]), so that it is the server itself that aborts the
//! transaction, whatever happens meanwhile.
//!
//! | file | holds |
//! |---|---|
//! | `access/users.rs` | users, and the identity that mainstay has at the server for all of them |
//! | `access/denied.rs` | commands that are denied |
//! | `access/door.rs` | AUTH, HELLO and RESET where users are mainstay's own; bounds for who has not logged in |
//! | `access/guard.rs` | what a client that has logged in may not say |
//!
//! # What cannot be checked
//!
//! A command is known by its name. Under a new name (`rename-command`) it is another one, and what scripts and functions call is not looked
//! into: deny `EVAL`, `FCALL` and their kin as well where that matters. What follows MONITOR, SYNC, CLIENT REPLY OFF and SCRIPT DEBUG is no
//! conversation, so that nothing in it could be checked: where anything is restricted, these are refused.

mod denied;
mod door;
mod guard;
mod users;

pub use denied::Denied;
pub use users::{Gate, User, Users};

use std::sync::Arc;

/// See the module.
#[derive(Debug, Default)]
pub struct Access {
    /// Users of mainstay's own, where the listener has them.
    pub gate: Option<Arc<Gate>>,
    /// Commands that nobody may use.
    pub denied: Denied,
}

impl Access {
    /// None where nothing is restricted, which is told by one look.
    pub fn new(gate: Option<Arc<Gate>>, denied: Denied) -> Option<Self> {
        (gate.is_some() || !denied.is_empty()).then_some(Self { gate, denied })
    }
}

/// A command that no server has. Asked inside a transaction it makes the server abort that at its EXEC; its own reply is swallowed.
pub(super) const POISON: &[u8] = b"*1\r\n$16\r\nmainstay:refused\r\n";

/// What a replica says to a write.
pub(super) const READ_ONLY: &[u8] = b"-READONLY You can't write against a read only replica.\r\n";
