//! The composition root: the only file that knows everyone. It builds the threads, applies reloads, and ends the process in order.
//!
//! Threads: this one is the control side (checks, coordinators, admin, signals), one accepts, and each worker has one. They meet only
//! in the types of [`crate::route`] and in the orders that are sent from here.

mod access;
mod expiry;
mod files;
mod limits;
mod logging;
mod plan;
mod reload;
mod systemd;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tracing::{error, info};

use crate::admin;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::proxy::acceptor::{self, Capacity};
use crate::proxy::worker::{self, Order};
use crate::route::{Directory, Event, ReloadRequest};
use expiry::Expiry;
use files::Watcher;
use plan::Plan;
use reload::warn_of_clear_token;

/// Events that a slow reader of `/api/v1/events` may lag behind.
const EVENTS_MAX: usize = 1024;
/// How often removed groups and listeners are looked at, and the end of a drain.
const HOUSEKEEPING: Duration = Duration::from_millis(100);
/// How long cut sessions may take to say good-bye.
const FAREWELL: Duration = Duration::from_millis(1500);

/// Serves until a signal ends it. `source`: the file to read again on a reload.
pub fn run(config: Config, source: Option<PathBuf>) -> anyhow::Result<()> {
    let (logging, _written_at_the_end) = logging::init(&config.log)?;
    end_on_panic();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start a runtime")?;
    let result = runtime.block_on(serve(config, source, logging));
    // Does not wait for a resolver that hangs.
    runtime.shutdown_background();
    result
}

/// A panic anywhere leaves a proxy that nobody can vouch for: the process ends, its supervisor starts another.
fn end_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        error!("ending the process: {panic}");
        std::process::abort();
    }));
}

async fn serve(config: Config, source: Option<PathBuf>, logging: logging::Handle) -> anyhow::Result<()> {
    let metrics = Metrics::new();
    let workers_wanted = match config.runtime.workers {
        0 => limits::cores(),
        workers => workers,
    };
    let capacity = Capacity { total: Arc::new(AtomicUsize::new(0)), max: limits::sessions_max(&config, workers_wanted)? };
    let admin = tokio::net::TcpListener::bind(config.admin.bind).await.with_context(|| {
        format!("cannot bind [admin] to {}; is another mainstay running? choose another address", config.admin.bind)
    })?;
    let mut workers = Vec::new();
    for index in 0..workers_wanted {
        let (handle, _thread) =
            worker::spawn(index, metrics.clone(), capacity.total.clone()).context("cannot start a worker thread")?;
        workers.push(handle);
    }
    let (acceptor, _thread) = acceptor::spawn(workers.clone(), capacity.clone()).context("cannot start the accepting thread")?;
    let (events, _) = broadcast::channel(EVENTS_MAX);
    let (directory, directory_receiver) = watch::channel(Arc::new(Directory { workers: workers_wanted, ..Directory::default() }));
    let (reload, reloads) = mpsc::channel(4);
    let (listening, listening_receiver) = watch::channel(false);
    let (access, access_receiver) = watch::channel(Arc::new(admin::Access::new(&config.admin).context("[admin.tls]")?));
    let context = admin::Context {
        access: access_receiver,
        metrics: metrics.clone(),
        directory: directory_receiver,
        events: events.clone(),
        reload,
        started: SystemTime::now(),
        listening: listening_receiver,
    };
    let mut plan = Plan::new(metrics.clone(), workers, acceptor, events.clone(), directory);
    plan.start(&config).await?;
    let mut signals = Signals::new().context("cannot wait for signals")?;
    tokio::spawn(admin::serve(admin, context));
    listening.send_replace(true);
    info!(
        version = env!("CARGO_PKG_VERSION"),
        workers = workers_wanted,
        groups = config.groups.len(),
        listeners = config.listeners.len(),
        "mainstay is listening; admin on {}",
        config.admin.bind
    );
    warn_of_clear_token(&config);
    let files = Watcher::start(config.clone()).context("cannot start the thread that looks at files")?;
    let (files_refused, expiry, ready) = (None, Expiry::default(), false);
    let mut app =
        App { config, source, logging, metrics, plan, files, files_refused, expiry, capacity, access, events, reloads, ready };
    app.run(&mut signals).await;
    app.drain(&mut signals).await;
    Ok(())
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

struct App {
    config: Config,
    source: Option<PathBuf>,
    logging: logging::Handle,
    metrics: Metrics,
    plan: Plan,
    files: Watcher,
    /// The last change of files that could not be applied, so that it is said once.
    files_refused: Option<String>,
    expiry: Expiry,
    capacity: Capacity,
    access: watch::Sender<Arc<admin::Access>>,
    events: broadcast::Sender<Event>,
    reloads: mpsc::Receiver<ReloadRequest>,
    /// systemd was told so.
    ready: bool,
}

impl App {
    /// Until the first signal to stop.
    async fn run(&mut self, signals: &mut Signals) {
        loop {
            tokio::select! {
                _ = signals.terminate.recv() => return,
                _ = signals.interrupt.recv() => return,
                _ = signals.hangup.recv() => {
                    let _ = self.reload().await;
                }
                Some(request) = self.reloads.recv() => {
                    let result = self.reload().await;
                    // Who asked may have gone.
                    let _ = request.send(result);
                }
                seen = self.files.seen() => self.replaced(seen).await,
                () = tokio::time::sleep(HOUSEKEEPING) => {}
            }
            self.plan.keep_house();
            self.expiry.look(&self.config, &self.metrics, false);
            if !self.ready && self.plan.first_rounds_done() {
                self.ready = true;
                systemd::notify("READY=1");
            }
        }
    }

    /// Stops accepting, lets sessions end, then cuts them. A second signal cuts at once.
    async fn drain(&mut self, signals: &mut Signals) {
        systemd::notify("STOPPING=1");
        self.plan.stop_accepting().await;
        let open = || self.capacity.total.load(Ordering::Relaxed);
        let timeout = self.config.runtime.drain_timeout;
        info!(sessions = open(), "stopping: no new clients; the present ones have {} s to end", timeout.as_secs_f32());
        let deadline = Instant::now() + timeout;
        while open() > 0 {
            tokio::select! {
                () = signals.stop() => {
                    info!(sessions = open(), "second signal: cutting");
                    break;
                }
                () = sleep_until(deadline) => {
                    info!(sessions = open(), "drain_timeout is over: cutting");
                    break;
                }
                () = tokio::time::sleep(HOUSEKEEPING) => {}
            }
        }
        if open() > 0 {
            self.plan.order(|| Order::CutAll);
            let deadline = Instant::now() + FAREWELL;
            while open() > 0 && Instant::now() < deadline {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        info!("stopped");
    }
}
