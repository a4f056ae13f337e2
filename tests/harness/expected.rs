//! The warnings that a test provokes, by a part of their line in the log. A test names what it provokes; everything else fails it.

/// A primary was lost by itself: it is down, was restarted or loads its data set.
pub const LOST: &[&str] = &["primary withdrawn"];
/// Two backends say role:master and nothing proves one of them.
pub const CONFLICT: &[&str] = &["conflict:"];
/// A shared connection broke under writes.
pub const SHARED_LOST: &[&str] = &["shared connection to "];
/// Several say role:master and nobody is elected.
pub const TIE: &[&str] = &["no primary:"];
/// mainstay itself stood still.
pub const STALLED: &[&str] = &["stood still"];
/// Descriptors run out, or will.
pub const DESCRIPTORS: &[&str] = &["open files", "for want of a resource"];
/// The data set shrank over a restart.
pub const RETURNED_EMPTY: &[&str] = &["returned empty"];
/// A reload was refused.
pub const REFUSED_RELOAD: &[&str] = &["reload"];
/// A file was replaced and is not valid.
pub const NOT_USABLE: &[&str] = &["files were replaced and cannot be used"];
/// A certificate ends soon.
pub const EXPIRES: &[&str] = &["the certificate in "];
/// Sessions were cut at the end of the drain.
pub const CUT: &[&str] = &["cut"];
/// A backend is down: its connections break, then nobody listens.
pub const DOWN: &[&str] = &[r#""outcome":"refused""#, r#""outcome":"closed""#];
/// A backend does not answer in time.
pub const SILENT: &[&str] = &[r#""outcome":"silent""#];
/// A backend loads its data set.
pub const LOADING: &[&str] = &[r#""outcome":"loading""#];
/// A backend runs a long script.
pub const BUSY: &[&str] = &[r#""outcome":"busy""#];
/// A backend and mainstay do not come together by TLS.
pub const TLS: &[&str] = &[r#""outcome":"tls_mismatch""#];
/// A client did not come through the reception.
pub const NOT_RECEIVED: &[&str] = &["refused: 127.0.0.1"];
/// A backend refuses the password.
pub const AUTH: &[&str] = &[r#""outcome":"auth_refused""#];
/// Something else than Redis answers.
pub const NOT_REDIS: &[&str] = &[r#""outcome":"not_redis""#];
/// Something is wrong with a Sentinel, or with what they say together.
pub const SENTINEL: &[&str] = &["\"sentinel\":", "the Sentinels "];
