//! Files that are replaced while mainstay runs (see `config/replaced.rs`), looked at every two seconds on a thread of its own: a file
//! system that hangs must not stop the checks with it.
//!
//! They are told apart by what the file system says of them: time, size and number, at the end of all links, since Kubernetes replaces
//! a folder by turning one link. Events of the kernel (inotify) would say nothing of network file systems, and of links only what
//! somebody thought of.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::config::Config;

/// How often they are looked at.
const EVERY: Duration = Duration::from_secs(2);

/// What came of a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing to do.
    Same,
    /// Something changed and is valid.
    Replaced {
        /// What it was read under.
        present: Box<Config>,
        /// The same with what stands in the files now.
        wanted: Box<Config>,
    },
    /// Something changed and is not valid, yet: a certificate is written before its key, or the other way round. Said once for the same
    /// fault, tried again at every look.
    Refused(String),
}

/// What tells a file from the one that was there before. Absent: there is none.
type Mark = Option<(u64, u64, u64, i64, i64, i64, i64)>;

/// The files of one configuration.
pub struct Files {
    config: Config,
    marks: Vec<(PathBuf, Mark)>,
    /// They are to be read even if they look the same: what was read last is not in force, or may be older than the marks.
    unsure: bool,
    said: Option<String>,
}

impl Files {
    /// Those of the configuration in force. The first look reads them: they may have changed since it was read.
    pub fn new(config: Config) -> Self {
        let marks = config.replaceable_files().into_iter().map(|path| (path, None)).collect();
        Self { config, marks, unsure: true, said: None }
    }

    /// One look.
    pub fn look(&mut self) -> Seen {
        if !self.have_changed() && !self.unsure {
            return Seen::Same;
        }
        match self.config.with_files_of_now() {
            Ok(wanted) => {
                (self.unsure, self.said) = (false, None);
                if wanted == self.config {
                    return Seen::Same;
                }
                let present = Box::new(std::mem::replace(&mut self.config, wanted.clone()));
                Seen::Replaced { present, wanted: Box::new(wanted) }
            }
            Err(faults) => {
                self.unsure = true;
                let faults = faults.to_string();
                if self.said.as_ref() == Some(&faults) {
                    return Seen::Same;
                }
                self.said = Some(faults.clone());
                Seen::Refused(faults)
            }
        }
    }

    /// Marks are taken before the files are read: what changes in between is seen at the next look.
    fn have_changed(&mut self) -> bool {
        let mut changed = false;
        for (path, before) in &mut self.marks {
            let now = std::fs::metadata(path).ok().map(|file| {
                (file.dev(), file.ino(), file.size(), file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec())
            });
            changed |= std::mem::replace(before, now) != now;
        }
        changed
    }
}

/// The thread that looks.
pub struct Watcher {
    configs: Sender<Config>,
    seen: mpsc::Receiver<Seen>,
}

impl Watcher {
    /// Begins with the files of `config`. Ends when dropped.
    pub fn start(config: Config) -> std::io::Result<Self> {
        let (configs, changes) = channel();
        let (sender, seen) = mpsc::channel(1);
        let mut files = Files::new(config);
        let watch = move || {
            loop {
                match changes.recv_timeout(EVERY) {
                    // Not looked at before the time is over: one that cannot be applied comes back at once.
                    Ok(config) => files = Files::new(config),
                    Err(RecvTimeoutError::Disconnected) => return,
                    Err(RecvTimeoutError::Timeout) => match files.look() {
                        Seen::Same => {}
                        seen => {
                            if sender.blocking_send(seen).is_err() {
                                return;
                            }
                        }
                    },
                }
            }
        };
        std::thread::Builder::new().name("files".into()).spawn(watch)?;
        Ok(Self { configs, seen })
    }

    /// From now on the files of this one.
    pub fn watch(&self, config: &Config) {
        // The thread ends only with this.
        let _ = self.configs.send(config.clone());
    }

    /// The next thing that somebody has to do something about.
    pub async fn seen(&mut self) -> Seen {
        match self.seen.recv().await {
            Some(seen) => seen,
            // Not to be reached, as the thread outlives this; and then there is nothing to be seen.
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
