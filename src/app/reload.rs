//! What changes while mainstay runs: the configuration file, when somebody says so, and the files that it names, when they are replaced.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::{info, warn};

use super::files::Seen;
use super::{App, limits, systemd};
use crate::config::{self, Config};
use crate::route::{Event, rfc3339};

/// How long a reload waits for its file; shorter than what who asked for it waits.
const READ_WITHIN: Duration = Duration::from_secs(3);

/// Reads the file on a thread of its own: a pipe without a writer, or a file system that hangs, must not stop the checks with it.
async fn read_again(source: PathBuf) -> Result<Config, String> {
    let shown = source.display().to_string();
    let (sender, result) = oneshot::channel();
    // Not a task: the end of the runtime, and so of the process, would wait for it.
    let read = move || drop(sender.send(config::load(&source)));
    std::thread::Builder::new().name("reload".into()).spawn(read).map_err(|error| format!("cannot start a thread: {error}"))?;
    match timeout(READ_WITHIN, result).await {
        Ok(Ok(loaded)) => loaded.map_err(|faults| faults.to_string()),
        Ok(Err(_)) | Err(_) => {
            Err(format!("{shown}, or a file that it names, cannot be read: no end of it came within {READ_WITHIN:?}"))
        }
    }
}

/// A token that leaves the machine in clear text is read by others on its way.
pub(super) fn warn_of_clear_token(config: &Config) {
    let admin = &config.admin;
    if admin.token.is_some() && admin.tls.is_none() && !admin.bind.ip().to_canonical().is_loopback() {
        warn!(
            "whoever shows the token at the admin address {} sends it in clear text; add [admin.tls], or bind it to 127.0.0.1",
            admin.bind
        );
    }
}

impl App {
    /// Applies the file again. What did not change is not touched; a file that does not validate changes nothing.
    pub(super) async fn reload(&mut self) -> Result<Vec<String>, String> {
        systemd::notify_reloading();
        let result = self.try_reload().await;
        match &result {
            Ok(changes) if changes.is_empty() => info!("reload: nothing changed"),
            Ok(changes) => info!("reload: {}", changes.join("; ")),
            Err(why) => warn!("reload refused, nothing changed: {why}"),
        }
        if let Ok(changes) = &result {
            self.tell(changes);
        }
        systemd::notify("READY=1");
        result
    }

    async fn try_reload(&mut self) -> Result<Vec<String>, String> {
        let source =
            self.source.as_ref().ok_or("started without a file (--listen, --backend); restart it to change something")?;
        let wanted = read_again(source.clone()).await?;
        self.apply(wanted).await
    }

    /// From the configuration in force to `wanted`; says what changed. On an error nothing has changed.
    async fn apply(&mut self, wanted: Config) -> Result<Vec<String>, String> {
        // What can fail comes first.
        let access = self.access.borrow().renewed(&wanted.admin).map_err(|error| format!("[admin.tls]: {error}"))?;
        let mut changes = self.plan.apply(&self.config, &wanted).await.map_err(|error| format!("{error:#}"))?;
        if wanted.log.level != self.config.log.level {
            self.logging.set_level(&wanted.log.level)?;
            changes.push(format!("log.level is {}", wanted.log.level));
        }
        if (&wanted.admin.token, &wanted.admin.tls) != (&self.config.admin.token, &self.config.admin.tls) {
            self.access.send_replace(Arc::new(access));
            changes.push("admin: token or certificates changed".into());
            warn_of_clear_token(&wanted);
        }
        let fixed = [
            ("log.format", wanted.log.format != self.config.log.format),
            ("admin.bind", wanted.admin.bind != self.config.admin.bind),
            ("runtime.workers", wanted.runtime.workers != self.config.runtime.workers),
        ];
        for (key, _) in fixed.iter().filter(|(_, changed)| *changed) {
            changes.push(format!("{key} changes only with a restart"));
        }
        if let Err(error) = limits::sessions_max(&wanted, self.config.runtime.workers.max(1)) {
            warn!("{error:#}");
        }
        self.config = Config {
            log: config::Log { format: self.config.log.format, ..wanted.log },
            admin: config::Admin { bind: self.config.admin.bind, ..wanted.admin },
            runtime: config::Runtime { workers: self.config.runtime.workers, ..wanted.runtime },
            ..wanted
        };
        self.files.watch(&self.config);
        self.expiry.look(&self.config, &self.metrics, true);
        Ok(changes)
    }

    /// Applies files that were replaced, under the configuration in force: the file of the configuration is not looked at.
    pub(super) async fn replaced(&mut self, seen: Seen) {
        match seen {
            Seen::Same => {}
            Seen::Refused(why) => warn!("files were replaced and cannot be used yet, nothing changed: {why}"),
            // A reload came in between: the files were read for what is no longer in force, and are read again for what is.
            Seen::Replaced { present, .. } if *present != self.config => {}
            Seen::Replaced { wanted, .. } => match self.apply(*wanted).await {
                Ok(changes) => {
                    self.files_refused = None;
                    info!("files were replaced: {}", changes.join("; "));
                    self.tell(&changes);
                }
                Err(why) => {
                    if self.files_refused.as_ref() != Some(&why) {
                        warn!("files were replaced and cannot be used, nothing changed: {why}");
                    }
                    self.files_refused = Some(why);
                    // Read again at the next look, as they may be whole by then.
                    self.files.watch(&self.config);
                }
            },
        }
    }

    /// Whoever follows the events.
    fn tell(&self, changes: &[String]) {
        // Nobody listening is no fault.
        let _ = self.events.send(Event {
            at: rfc3339(SystemTime::now()),
            group: String::new(),
            kind: "reload".into(),
            epoch: 0,
            backend: None,
            message: if changes.is_empty() { "nothing changed".into() } else { changes.join("; ") },
        });
    }
}
