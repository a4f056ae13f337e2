//! The bodies of scripts that clients sent, so that they can be loaded into the next primary: EVALSHA fails there otherwise.

/// Of one group, for one worker.
#[derive(Debug, Default)]
pub struct Scripts {}
