//! What a test configures mainstay to be: one group, one listener, and what the test cares about.

use super::http::WayIn;
use super::{Mainstay, Redis};

/// A configuration in the making. Keys that a test does not set keep their defaults.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The backends of the group `jobs`.
    pub backends: Vec<String>,
    /// The address of the listener `sidekiq`; a free port unless set.
    pub bind: Option<String>,
    /// Lines of `[log]`.
    pub log: String,
    /// Lines of `[admin]`.
    pub admin: String,
    /// How the tests themselves are let in there.
    pub way_in: WayIn,
    /// Lines of `[runtime]`.
    pub runtime: String,
    /// Lines of `[[group]]`.
    pub group: String,
    /// Lines of `[group.check]`.
    pub check: String,
    /// Lines of `[group.hold]`.
    pub hold: String,
    /// Lines of `[group.sentinel]`, and what follows it; the section is left out while this is empty.
    pub sentinel: String,
    /// Lines of `[[listener]]`.
    pub listener: String,
    /// Further groups and listeners, as TOML.
    pub more: String,
    /// What is put before mainstay on the command line.
    pub wrapper: Vec<String>,
    /// Environment of mainstay.
    pub environment: Vec<(String, String)>,
    /// Parts of the warnings that the test provokes.
    pub expected: Vec<String>,
}

impl Setup {
    /// A group of these servers.
    pub fn of<'a>(servers: impl IntoIterator<Item = &'a Redis>) -> Self {
        Self::at(servers.into_iter().map(Redis::address))
    }

    /// A group of these addresses.
    pub fn at(backends: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            backends: backends.into_iter().map(Into::into).collect(),
            bind: None,
            log: String::new(),
            admin: String::new(),
            way_in: WayIn::default(),
            runtime: String::new(),
            group: String::new(),
            check: String::new(),
            hold: String::new(),
            sentinel: String::new(),
            listener: String::new(),
            more: String::new(),
            wrapper: Vec::new(),
            environment: Vec::new(),
            expected: Vec::new(),
        }
    }

    /// Where the listener listens.
    pub fn bind(mut self, bind: impl Into<String>) -> Self {
        self.bind = Some(bind.into());
        self
    }

    /// Lines of `[log]`.
    pub fn log(mut self, lines: &str) -> Self {
        self.log = lines.into();
        self
    }

    /// Lines of `[admin]`, and how the tests get in there.
    pub fn admin(mut self, lines: &str, way_in: WayIn) -> Self {
        (self.admin, self.way_in) = (lines.into(), way_in);
        self
    }

    /// Lines of `[runtime]`.
    pub fn runtime(mut self, lines: &str) -> Self {
        self.runtime = lines.into();
        self
    }

    /// Lines of `[[group]]`.
    pub fn group(mut self, lines: &str) -> Self {
        self.group = lines.into();
        self
    }

    /// Lines of `[group.check]`.
    pub fn check(mut self, lines: &str) -> Self {
        self.check = lines.into();
        self
    }

    /// Lines of `[group.hold]`.
    pub fn hold(mut self, lines: &str) -> Self {
        self.hold = lines.into();
        self
    }

    /// Lines of `[group.sentinel]`.
    pub fn sentinel(mut self, lines: &str) -> Self {
        self.sentinel = lines.into();
        self
    }

    /// Lines of `[[listener]]`.
    pub fn listener(mut self, lines: &str) -> Self {
        self.listener = lines.into();
        self
    }

    /// Further groups and listeners.
    pub fn more(mut self, toml: impl Into<String>) -> Self {
        self.more = toml.into();
        self
    }

    /// A program that runs mainstay, and its arguments.
    pub fn wrapper(mut self, words: &[&str]) -> Self {
        self.wrapper = words.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// An environment variable of mainstay.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Warnings that the test provokes; see [`super::expected`].
    pub fn expecting(mut self, parts: &[&[&str]]) -> Self {
        self.expected.extend(parts.concat().iter().map(|part| (*part).to_owned()));
        self
    }

    /// Starts mainstay with it and waits until it is ready.
    #[track_caller]
    pub fn start(self) -> Mainstay {
        Mainstay::start(self)
    }

    /// Starts mainstay and waits until `primary` is its primary.
    #[track_caller]
    pub fn start_on(self, primary: &Redis) -> Mainstay {
        let mainstay = Mainstay::start(self);
        mainstay.wait_for_primary(&primary.address());
        mainstay
    }

    /// The configuration file.
    pub fn toml(&self, admin: &str, bind: &str) -> String {
        let backends: Vec<String> = self.backends.iter().map(|backend| format!("{backend:?}")).collect();
        let Self { log, admin: lines, runtime, group, check, hold, listener, more, .. } = self;
        let sentinel = if self.sentinel.is_empty() { String::new() } else { format!("[group.sentinel]\n{}\n", self.sentinel) };
        // Left out where the Sentinels know them.
        let backends = if backends.is_empty() { String::new() } else { format!("backends = [{}]", backends.join(", ")) };
        format!(
            "[log]\nformat = \"json\"\n{log}\n\n[admin]\nbind = \"{admin}\"\n{lines}\n\n[runtime]\n{runtime}\n\n\
             [[group]]\nname = \"jobs\"\n{backends}\n{group}\n[group.check]\n{check}\n[group.hold]\n{hold}\n\n{sentinel}\
             [[listener]]\nname = \"sidekiq\"\nbind = \"{bind}\"\ngroup = \"jobs\"\n{listener}\n{more}\n"
        )
    }
}
