//! From what a listener is configured to allow to what its sessions go by.

use std::sync::Arc;

use crate::config::{self, Config, Credentials};
use crate::conversation::{Access, Denied, Gate, User, Users};
use crate::proxy::policy::Policy;

/// What clients of a listener may say. Users of mainstay's own stay behind the same gate across reloads: who logs in from now on is asked
/// by the new list, on old connections as on new ones.
pub fn access(config: &Config, listener: &config::Listener, before: Option<&Policy>) -> Option<Access> {
    let gate = listener.auth.as_ref().map(|auth| {
        let group = config.groups.iter().find(|group| group.name == listener.group);
        let identity = auth.identity.as_ref().or(group.and_then(|group| group.credentials.as_ref()));
        let users = users(auth, identity);
        match before.and_then(|policy| policy.access.as_ref()?.gate.clone()) {
            Some(gate) => {
                gate.replace(users);
                gate
            }
            None => Arc::new(Gate::new(users)),
        }
    });
    Access::new(gate, Denied::new(listener.deny_commands.iter().map(String::as_str)))
}

fn users(auth: &config::ListenerAuth, identity: Option<&Credentials>) -> Users {
    let user = |user: &config::User| User { name: user.name.as_str().into(), hash: user.password_sha256 };
    let words = identity
        .into_iter()
        .flat_map(|Credentials { username, password }| username.as_deref().into_iter().chain(std::iter::once(password.expose())));
    Users::new(auth.users.iter().map(user).collect(), words)
}
