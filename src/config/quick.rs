//! A configuration without a file.

use super::fault::Faults;
use super::file::{Place, Walk, Written};
use super::group::addresses;
use super::secret::Secret;
use super::validate::binds_apart;
use super::{Admin, BindAddress, Config, Credentials, Group, Listener, Log, Mode, Runtime, credentials};

impl Config {
    /// `mainstay run --listen ADDR --backend ADDR...`: one listener, one group, both called `default`, and every default.
    /// `mode` comes with whether the listener's sessions share connections.
    pub fn quick(
        listen: &str,
        backends: &[String],
        (mode, shared_connections): (Mode, bool),
        username: Option<String>,
        password: Option<Secret>,
    ) -> Result<Self, Faults> {
        let (walk, _) = Walk::begin("", "command line");
        let place = |key: &str| Place { line: None, key: key.into() };
        let bind = listen.parse::<BindAddress>();
        let bind = bind.map_err(|fault| walk.fault(&place("--listen"), fault.wrong, fault.right)).ok();
        let written = backends.iter().map(|value| Written { value: value.as_str(), place: place("--backend") });
        let addresses = addresses(&walk, &place("--backend"), written.collect(), "name at least one");
        let username = username.filter(|name| credentials::check_username(&walk, &place("$MAINSTAY_USERNAME"), name));
        if username.is_some() && password.is_none() {
            walk.fault(&place("$MAINSTAY_USERNAME"), "there is a user but no password", "set MAINSTAY_PASSWORD as well");
        }
        if shared_connections && mode != Mode::Redis {
            walk.fault(&place("--shared-connections"), "this works in redis mode only", "say --mode redis");
        }
        let mut group = Group::new("default", addresses);
        group.credentials = password.map(|password| Credentials { username, password });
        let listeners = bind.map(|bind| Listener { mode, shared_connections, ..Listener::new("default", bind, "default") });
        let listeners: Vec<_> = listeners.into_iter().collect();
        let (log, admin, runtime) = (Log::default(), Admin::default(), Runtime::default());
        for listener in &listeners {
            binds_apart(&walk, &place("--listen"), &listener.bind, [(&BindAddress::Tcp(admin.bind), "admin.bind")]);
        }
        match walk.end() {
            None => Ok(Self { log, admin, runtime, groups: vec![group], listeners }),
            Some(faults) => Err(faults),
        }
    }
}
