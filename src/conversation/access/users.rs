//! Users of mainstay's own. Applications log in as one of them and never know the password of the server.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use subtle::{Choice, ConstantTimeEq};

use crate::conversation::remembered::{Bytes, Login};

/// A user with one password. One that has several stands in the list several times.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// As it is given in AUTH; the one of an AUTH without a name is `default`.
    pub name: Box<str>,
    /// The SHA-256 of its password.
    pub hash: [u8; SHA256_OUTPUT_LEN],
}

/// A hash of a weak password is as good as the password.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Who may log in, and who mainstay is to the server on their behalf.
#[derive(Default)]
pub struct Users {
    users: Vec<User>,
    identity: Option<Login>,
}

/// It holds a password.
impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users").field("users", &self.users).finish_non_exhaustive()
    }
}

impl Users {
    /// These users. `identity`: the words behind AUTH (a name and a password, or a password alone) that let mainstay in at the server; empty
    /// where that asks nobody.
    pub fn new<'a>(users: Vec<User>, identity: impl IntoIterator<Item = &'a str>) -> Self {
        let words: Vec<Bytes> = identity.into_iter().map(|word| Box::from(word.as_bytes())).collect();
        Self { users, identity: Some(words).filter(|words| !words.is_empty()).map(|words| Login(words.into())) }
    }

    /// Is this the password of that user? It takes the same time whether there is such a user or not, and wherever the hashes differ.
    pub(in crate::conversation) fn admit(&self, name: &[u8], password: &[u8]) -> bool {
        let hash = digest(&SHA256, password);
        let is = |user: &User| user.name.as_bytes().ct_eq(name) & user.hash.ct_eq(hash.as_ref());
        self.users.iter().map(is).fold(Choice::from(0), |any, one| any | one).into()
    }

    pub(in crate::conversation) fn identity(&self) -> Option<Login> {
        self.identity.clone()
    }
}

/// The users of a listener as they are now. A reload changes them for who logs in from then on, on whichever connection; who has logged in
/// stays.
#[derive(Debug, Default)]
pub struct Gate(RwLock<Arc<Users>>);

impl Gate {
    /// These users.
    pub fn new(users: Users) -> Self {
        Self(RwLock::new(Arc::new(users)))
    }

    /// These from now on.
    pub fn replace(&self, users: Users) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(users);
    }

    pub(in crate::conversation) fn users(&self) -> Arc<Users> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str, password: &str) -> User {
        let hash = digest(&SHA256, password.as_bytes()).as_ref().try_into().expect("32 bytes");
        User { name: name.into(), hash }
    }

    #[test]
    fn a_user_is_let_in_by_each_of_its_passwords_and_by_nobody_elses() {
        let users = Users::new(vec![user("app", "one"), user("app", "two"), user("other", "three")], []);
        for (name, password, admitted) in [
            ("app", "one", true),
            ("app", "two", true),
            ("other", "three", true),
            ("app", "three", false),
            ("other", "one", false),
            ("nobody", "one", false),
            ("", "", false),
            ("App", "one", false),
            ("app", "one ", false),
        ] {
            assert_eq!(users.admit(name.as_bytes(), password.as_bytes()), admitted, "{name} {password}");
        }
        assert!(!Users::default().admit(b"", b""));
    }

    #[test]
    fn nothing_of_a_password_is_shown() {
        let users = Users::new(vec![user("app", "one")], ["mainstay", "hunter2"]);
        let shown = format!("{users:?} {:?}", Gate::new(Users::new(vec![user("app", "one")], ["hunter2"])));
        assert!(shown.contains("app") && !shown.contains("hunter2") && !shown.contains("hash"), "{shown}");
    }
}
