//! What a connection was told about itself, so that the next one can be told the same.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::connection_key::{ConnectionKey, auth, is_same};
use super::request::Own;
use crate::resp::command::{Channels, Kind};

/// One piece of bytes.
pub(super) type Bytes = Box<[u8]>;

/// What changes when a command of the client succeeds.
pub(super) enum Effect {
    /// `HELLO`: each part where it was given.
    Hello {
        version: Option<u8>,
        login: Option<Login>,
        name: Option<Bytes>,
    },
    Login(Login),
    Select(Bytes),
    Name(Bytes),
    Info(Bytes, Bytes),
    NoEvict(Bytes),
    NoTouch(Bytes),
    /// All arguments behind `CLIENT TRACKING`.
    Tracking(Vec<Bytes>),
    Subscribe(Channels, Vec<Bytes>),
    /// Without names: from all.
    Unsubscribe(Channels, Vec<Bytes>),
    Reset,
}

impl Effect {
    /// Bytes that it takes, roughly.
    pub(super) fn len(&self) -> usize {
        let all = |words: &[Bytes]| words.iter().map(|word| word.len() + BYTES_A_NAME).sum();
        size_of::<Self>()
            + match self {
                Self::Hello { login, name, .. } => {
                    login.as_ref().map_or(0, |Login(words)| all(words)) + name.as_ref().map_or(0, |name| name.len())
                }
                Self::Login(Login(words)) => all(words),
                Self::Tracking(words) | Self::Subscribe(_, words) | Self::Unsubscribe(_, words) => all(words),
                Self::Select(word) | Self::Name(word) | Self::NoEvict(word) | Self::NoTouch(word) => word.len(),
                Self::Info(key, value) => key.len() + value.len(),
                Self::Reset => 0,
            }
    }

    pub(super) fn is_about_channels(&self) -> bool {
        matches!(self, Self::Subscribe(..) | Self::Unsubscribe(..))
    }

    /// Nothing of an earlier one of its kind is left behind it.
    pub(super) fn overwrites(&self) -> bool {
        match self {
            Self::Login(_) | Self::Select(_) | Self::Name(_) | Self::NoEvict(_) | Self::NoTouch(_) | Self::Tracking(_) => true,
            Self::Hello { .. } | Self::Info(..) | Self::Subscribe(..) | Self::Unsubscribe(..) | Self::Reset => false,
        }
    }
}

/// The arguments behind `AUTH`.
#[derive(Clone)]
pub(super) struct Login(pub Arc<[Bytes]>);

/// See the module.
#[derive(Default)]
pub(super) struct Remembered {
    version: Option<u8>,
    /// Who mainstay is to the server on this connection, where users are mainstay's own. Then `login` is nobody.
    pub identity: Option<Login>,
    login: Option<Login>,
    database: Option<Bytes>,
    /// See [`ConnectionKey`].
    selected_by: Option<Option<Login>>,
    name: Option<Bytes>,
    info: Vec<(Bytes, Bytes)>,
    no_evict: Option<Bytes>,
    no_touch: Option<Bytes>,
    tracking: Option<Vec<Bytes>>,
    subscriptions: [BTreeSet<Bytes>; 3],
    subscription_bytes: usize,
}

/// It holds passwords.
impl fmt::Debug for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remembered").finish_non_exhaustive()
    }
}

/// It holds passwords.
impl fmt::Debug for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Effect")
    }
}

/// The arguments of a request that mainstay writes, as an array of bulks.
pub(super) fn request<T: AsRef<[u8]>>(arguments: impl IntoIterator<Item = T>) -> Vec<u8> {
    let mut bodies = Vec::new();
    let mut count = 0;
    for argument in arguments {
        let argument = argument.as_ref();
        bodies.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        bodies.extend_from_slice(argument);
        bodies.extend_from_slice(b"\r\n");
        count += 1;
    }
    let mut request = format!("*{count}\r\n").into_bytes();
    request.append(&mut bodies);
    request
}

/// What a name costs beside its own bytes, roughly.
const BYTES_A_NAME: usize = 32;

const KINDS: [(Channels, &str); 3] =
    [(Channels::Plain, "SUBSCRIBE"), (Channels::Pattern, "PSUBSCRIBE"), (Channels::Shard, "SSUBSCRIBE")];

fn place(channels: Channels) -> usize {
    match channels {
        Channels::Plain => 0,
        Channels::Pattern => 1,
        Channels::Shard => 2,
    }
}

impl Remembered {
    /// What it has in common with connections that are as good.
    pub(super) fn key(&self) -> ConnectionKey {
        let database = self.database.clone().filter(|database| **database != *b"0");
        let selected_by = self.selected_by.clone().filter(|_| database.is_some());
        ConnectionKey {
            login: self.login.clone().or_else(|| self.identity.clone()),
            database,
            selected_by,
            resp3: self.speaks_resp3(),
        }
    }

    /// It has told the server who it is.
    pub(super) fn logs_in(&self) -> bool {
        self.login.is_some() || self.identity.is_some()
    }

    /// The server treats this connection in another way than others.
    pub(super) fn is_special(&self) -> bool {
        [&self.no_evict, &self.no_touch].into_iter().flatten().any(|on| on.eq_ignore_ascii_case(b"on"))
    }

    /// RESP 3 was agreed on.
    pub(super) fn speaks_resp3(&self) -> bool {
        self.version == Some(3)
    }

    pub(super) fn tracks(&self) -> bool {
        self.tracking.is_some()
    }

    pub(super) fn subscribes(&self) -> bool {
        self.subscriptions.iter().any(|names| !names.is_empty())
    }

    /// Subscriptions of one kind.
    pub(super) fn count(&self, channels: Channels) -> usize {
        self.subscriptions[place(channels)].len()
    }

    /// Bytes remembered for subscriptions, roughly.
    pub(super) fn subscription_bytes(&self) -> usize {
        self.subscription_bytes
    }

    /// A command succeeded.
    pub(super) fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::Hello { version, login, name } => {
                self.version = version.or(self.version);
                login.into_iter().for_each(|login| self.log_in(login));
                self.name = name.or(self.name.take());
            }
            Effect::Login(login) => self.log_in(login),
            Effect::Select(database) => (self.database, self.selected_by) = (Some(database), None),
            Effect::Name(name) => self.name = Some(name),
            Effect::Info(key, value) => {
                self.info.retain(|(known, _)| !known.eq_ignore_ascii_case(&key));
                self.info.push((key, value));
            }
            Effect::NoEvict(on) => self.no_evict = Some(on),
            Effect::NoTouch(on) => self.no_touch = Some(on),
            Effect::Tracking(arguments) => {
                let on = arguments.first().is_some_and(|word| word.eq_ignore_ascii_case(b"on"));
                self.tracking = on.then_some(arguments);
            }
            Effect::Subscribe(channels, names) => {
                for name in names {
                    let bytes = name.len() + BYTES_A_NAME;
                    self.subscription_bytes += if self.subscriptions[place(channels)].insert(name) { bytes } else { 0 };
                }
            }
            Effect::Unsubscribe(channels, names) => {
                let subscribed = &mut self.subscriptions[place(channels)];
                let names = if names.is_empty() { subscribed.iter().cloned().collect() } else { names };
                for name in names {
                    self.subscription_bytes -= if subscribed.remove(&name) { name.len() + BYTES_A_NAME } else { 0 };
                }
            }
            Effect::Reset => *self = Self { identity: self.identity.take(), ..Self::default() },
        }
    }

    fn log_in(&mut self, login: Login) {
        let is_another = !is_same(self.login.as_ref(), Some(&login));
        let before = self.login.replace(login);
        if is_another && self.database.is_some() && self.selected_by.is_none() {
            self.selected_by = Some(before);
        }
    }

    /// The part of [`Self::replay`] that a server takes also while a script keeps it busy.
    pub(super) fn replay_bare(&self) -> Vec<(Own, bool, Vec<u8>)> {
        let version = |version: u8| (Own::State, true, request(["HELLO", version.to_string().as_str()]));
        let identity = self.identity.iter().map(|identity| (Own::Identity, true, auth(identity)));
        let login = |login| (Own::State, true, auth(login));
        identity.chain(self.login.iter().map(login)).chain(self.version.map(version)).collect()
    }

    /// The requests that tell a new connection all of it, in order; `true` for those that go alone: what follows a login must not run
    /// if it is refused. Subscriptions come last, as RESP 2 takes little else after them.
    pub(super) fn replay(&self) -> Vec<(Own, bool, Vec<u8>)> {
        let mut steps = Vec::new();
        if let Some(selector) = &self.selected_by {
            steps.extend(selector.iter().map(|login| (Own::State, true, auth(login))));
            steps.extend(self.database.iter().map(|database| (Own::State, true, request([b"SELECT", &**database]))));
        }
        steps.extend(self.replay_bare());
        let named = self.name.iter().map(|name| request([b"CLIENT", &b"SETNAME"[..], name]));
        let informed = self.info.iter().map(|(key, value)| request([b"CLIENT", &b"SETINFO"[..], key, value]));
        steps.extend(named.chain(informed).map(|bytes| (Own::Name, false, bytes)));
        let mut say = |words: &[&[u8]]| steps.push((Own::State, false, request(words)));
        if let Some(on) = &self.no_evict {
            say(&[b"CLIENT", b"NO-EVICT", on]);
        }
        if let Some(on) = &self.no_touch {
            say(&[b"CLIENT", b"NO-TOUCH", on]);
        }
        if let Some(database) = self.database.as_ref().filter(|_| self.selected_by.is_none()) {
            say(&[b"SELECT", database]);
        }
        if let Some(tracking) = &self.tracking {
            let words: Vec<&[u8]> =
                [&b"CLIENT"[..], b"TRACKING"].into_iter().chain(tracking.iter().map(|word| &**word)).collect();
            say(&words);
        }
        for (channels, command) in KINDS {
            let names = &self.subscriptions[place(channels)];
            if !names.is_empty() {
                let words = std::iter::once(command.as_bytes()).chain(names.iter().map(|name| &**name));
                steps.push((Own::Subscriptions(channels), false, request(words)));
            }
        }
        steps
    }
}

/// What a state-changing request will change if it succeeds. `arguments` begin with the command's name. None where it changes nothing, or
/// where the server will refuse it.
pub(super) fn effect_of(kind: Kind, arguments: &[Bytes]) -> Option<Effect> {
    let nth = |index: usize| arguments.get(index).cloned();
    match kind {
        Kind::Hello => hello(arguments),
        Kind::Auth => (arguments.len() > 1).then(|| Effect::Login(Login(arguments[1..].into()))),
        Kind::Select => nth(1).map(Effect::Select),
        Kind::ClientSetName => nth(2).map(Effect::Name),
        Kind::ClientSetInfo => nth(2).zip(nth(3)).map(|(key, value)| Effect::Info(key, value)),
        Kind::ClientNoEvict => nth(2).map(Effect::NoEvict),
        Kind::ClientNoTouch => nth(2).map(Effect::NoTouch),
        Kind::ClientTracking => Some(Effect::Tracking(arguments.get(2..)?.to_vec())),
        Kind::Subscribe(channels) => Some(Effect::Subscribe(channels, arguments.get(1..)?.to_vec())),
        Kind::Unsubscribe(channels) => Some(Effect::Unsubscribe(channels, arguments.get(1..)?.to_vec())),
        Kind::Reset => Some(Effect::Reset),
        Kind::Plain
        | Kind::Tame
        | Kind::ClientReply
        | Kind::Quit
        | Kind::Multi
        | Kind::Exec
        | Kind::Discard
        | Kind::Watch
        | Kind::Unwatch
        | Kind::Blocking(_)
        | Kind::Script(_)
        | Kind::ScriptLoad
        | Kind::ScriptFlush
        | Kind::Scan(_)
        | Kind::Wait
        | Kind::Connection(_)
        | Kind::Oversight
        | Kind::Opaque => None,
    }
}

/// `HELLO [version [AUTH user password] [SETNAME name]]`
fn hello(arguments: &[Bytes]) -> Option<Effect> {
    let version = match arguments.get(1) {
        Some(version) => Some(std::str::from_utf8(version).ok()?.parse().ok()?),
        None => None,
    };
    let (mut login, mut name) = (None, None);
    let mut rest = arguments.get(2..).unwrap_or_default();
    while let Some(word) = rest.first() {
        if word.eq_ignore_ascii_case(b"AUTH") && rest.len() > 2 {
            login = Some(Login(rest[1..3].into()));
            rest = &rest[3..];
        } else if word.eq_ignore_ascii_case(b"SETNAME") && rest.len() > 1 {
            name = Some(rest[1].clone());
            rest = &rest[2..];
        } else {
            return None;
        }
    }
    Some(Effect::Hello { version, login, name })
}

/// Has an effect that must be remembered, so that its arguments are needed whole.
pub(super) fn changes_connection(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Hello
            | Kind::Auth
            | Kind::Select
            | Kind::ClientSetName
            | Kind::ClientSetInfo
            | Kind::ClientNoEvict
            | Kind::ClientNoTouch
            | Kind::ClientTracking
            | Kind::Subscribe(_)
            | Kind::Unsubscribe(_)
            | Kind::Reset
    )
}
