//! The warnings that a test provokes, by a part of their text. A test names what it provokes; everything else fails it.

/// A primary was lost or withdrawn.
pub const LOST: &[&str] = &["withdrawn"];
/// A backend does not answer its checks, or not as it should.
pub const CHECKS_FAIL: &[&str] = &["check"];
/// Two backends say role:master and nothing proves one of them.
pub const CONFLICT: &[&str] = &["conflict", "rival"];
/// Nobody can be elected.
pub const NOBODY: &[&str] = &["no primary"];
/// mainstay itself stood still.
pub const STALLED: &[&str] = &["stall", "stood still"];
/// Descriptors run out, or will.
pub const DESCRIPTORS: &[&str] = &["descriptor"];
/// The data set shrank over a restart.
pub const RETURNED_EMPTY: &[&str] = &["returned empty"];
/// A reload was refused.
pub const REFUSED_RELOAD: &[&str] = &["reload"];
/// Sessions were cut at the end of the drain.
pub const CUT: &[&str] = &["cut"];
/// -LOADING
pub const LOADING: &[&str] = &["loading"];
/// -BUSY
pub const BUSY: &[&str] = &["busy"];
/// The password is refused.
pub const AUTH: &[&str] = &["auth"];
