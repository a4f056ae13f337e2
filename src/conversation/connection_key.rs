//! What makes one upstream as good as another for sessions that share.

use std::fmt;

use super::remembered::{Bytes, Login, request};

/// What makes one connection to a primary as good as another: who is logged in, which database is selected, which protocol is spoken.
#[derive(Clone, Default)]
pub struct ConnectionKey {
    pub(super) login: Option<Login>,
    pub(super) database: Option<Bytes>,
    /// Who selected it, where that was somebody else: who is logged in now may not be allowed to.
    pub(super) selected_by: Option<Option<Login>>,
    pub(super) resp3: bool,
}

/// It holds passwords.
impl fmt::Debug for ConnectionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionKey").field("database", &self.database).field("resp3", &self.resp3).finish_non_exhaustive()
    }
}

impl PartialEq for ConnectionKey {
    fn eq(&self, other: &Self) -> bool {
        let same_selector = match (&self.selected_by, &other.selected_by) {
            (None, None) => true,
            (Some(mine), Some(others)) => is_same(mine.as_ref(), others.as_ref()),
            _ => false,
        };
        let same = is_same(self.login.as_ref(), other.login.as_ref()) && same_selector;
        same && self.database == other.database && self.resp3 == other.resp3
    }
}

/// The same user, by the same words.
pub(super) fn is_same(one: Option<&Login>, other: Option<&Login>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(Login(mine)), Some(Login(others))) => same_secrets(mine, others),
        _ => false,
    }
}

/// `AUTH` with these words.
pub(super) fn auth(Login(words): &Login) -> Vec<u8> {
    request(std::iter::once(&b"AUTH"[..]).chain(words.iter().map(|word| &**word)))
}

/// In a time that tells nothing of where they differ.
fn same_secrets(mine: &[Bytes], others: &[Bytes]) -> bool {
    let differ = |(mine, others): (&Bytes, &Bytes)| {
        let bytes = mine.iter().zip(others.iter());
        usize::from(mine.len() != others.len()) | usize::from(bytes.fold(0, |all, (a, b)| all | (a ^ b)))
    };
    mine.len() == others.len() && mine.iter().zip(others).map(differ).fold(0, |all, one| all | one) == 0
}

impl ConnectionKey {
    /// The requests that make a new connection one of this kind. Each is answered once, with an error where it is refused.
    pub fn opening(&self) -> Vec<Vec<u8>> {
        let mut steps = Vec::new();
        let select = self.database.as_ref().map(|database| request([b"SELECT", &**database]));
        if let Some(selector) = &self.selected_by {
            steps.extend(selector.as_ref().map(auth));
            steps.extend(select.clone());
        }
        steps.extend(self.login.as_ref().map(auth));
        if self.resp3 {
            steps.push(request(["HELLO", "3"]));
        }
        steps.extend(select.filter(|_| self.selected_by.is_none()));
        steps
    }
}
