//! The processes and the folder of the demo, and how all of it goes away: at the end, after Ctrl-C, after a panic.

use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Everything that has to be gone afterwards.
pub struct Stage {
    processes: Mutex<Vec<(String, Child)>>,
    folder: Mutex<Option<TempDir>>,
    path: PathBuf,
    closing: AtomicBool,
    leaving: Mutex<()>,
}

impl Stage {
    /// An empty stage that clears itself on SIGINT, SIGTERM and when any thread panics.
    pub fn set() -> io::Result<Arc<Self>> {
        let folder = tempfile::Builder::new().prefix("mainstay-demo-").tempdir()?;
        let path = folder.path().to_owned();
        let (processes, folder) = (Mutex::default(), Mutex::new(Some(folder)));
        let stage = Arc::new(Self { processes, folder, path, closing: AtomicBool::new(false), leaving: Mutex::default() });

        let on_panic = Arc::clone(&stage);
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            report(panic);
            on_panic.leave(101);
        }));

        let on_signal = Arc::clone(&stage);
        thread::spawn(move || {
            wait_for_signal().expect("signals can be waited for");
            eprintln!("\nstopping everything");
            on_signal.leave(130);
        });
        Ok(stage)
    }

    /// The temporary folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Starts `program`, which is called `name` from now on; its output goes to `name.log`.
    ///
    /// Call it from the main thread: the kernel kills the process when the *thread* that started it ends, however the demo
    /// dies. A process group of its own keeps a Ctrl-C in the terminal from it, so that we decide the order.
    pub fn start(&self, name: &str, program: &Path, arguments: &[&str]) -> io::Result<()> {
        use std::os::unix::process::CommandExt;

        let log = File::create(self.log(name))?;
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program)
            .args(arguments)
            .current_dir(&self.path)
            .stdin(Stdio::null())
            .stderr(log.try_clone()?)
            .stdout(log)
            .process_group(0)
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("cannot start {} for {name}: {error}", program.display())))?;
        self.processes.lock().expect("nothing panics under this lock").push((name.to_owned(), child));
        Ok(())
    }

    /// `kill -9`.
    pub fn kill(&self, name: &str) -> io::Result<()> {
        let mut processes = self.processes.lock().expect("nothing panics under this lock");
        for (_, child) in processes.iter_mut().filter(|(started, _)| started == name) {
            child.kill()?;
            child.wait()?;
        }
        processes.retain(|(started, _)| started != name);
        Ok(())
    }

    /// The name of a process that ended although nobody killed it.
    pub fn lost(&self) -> Option<String> {
        let mut processes = self.processes.lock().expect("nothing panics under this lock");
        let ended = processes.iter_mut().find_map(|(name, child)| matches!(child.try_wait(), Ok(Some(_))).then_some(name));
        ended.cloned()
    }

    /// The last lines that `name` wrote.
    pub fn last_words(&self, name: &str) -> String {
        let log = std::fs::read_to_string(self.log(name)).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    fn log(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}.log"))
    }

    /// Waits until `done`, or says what did not happen.
    pub fn wait_for(&self, what: &str, patience: Duration, mut done: impl FnMut() -> bool) -> Result<(), String> {
        let deadline = Instant::now() + patience;
        while !done() {
            if let Some(name) = self.lost() {
                return Err(format!("{name} ended by itself. Its last words:\n{}", self.last_words(&name)));
            }
            if Instant::now() > deadline {
                return Err(format!("{what}: not within {patience:?}. mainstay's log:\n{}", self.last_words("mainstay")));
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Ends every process and removes the folder.
    pub fn clear(&self) {
        self.closing.store(true, Ordering::SeqCst);
        let processes = std::mem::take(&mut *self.processes.lock().expect("nothing panics under this lock"));
        for (_, mut child) in processes {
            let _ = child.kill();
            let _ = child.wait();
        }
        drop(self.folder.lock().expect("nothing panics under this lock").take());
    }

    /// Clears and ends the demo. Whoever comes second, because its servers are vanishing, waits until the first has ended it.
    pub fn leave(&self, status: i32) -> ! {
        let _held_until_the_end = self.leaving.lock();
        self.clear();
        std::process::exit(status)
    }

    /// Threads that watch servers stay quiet from here on.
    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }
}

fn wait_for_signal() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Ok(())
    })
}

/// `count` ports that are free now, each another.
pub fn free_ports(count: usize) -> io::Result<Vec<u16>> {
    let listeners: Vec<_> = (0..count).map(|_| TcpListener::bind(("127.0.0.1", 0))).collect::<io::Result<_>>()?;
    listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}
