//! The load generator for latencies: requests leave at their times, whether or not earlier ones were answered. A closed loop would stop
//! asking while the proxy stalls, and so miss exactly the slow ones.
//!
//! A latency counts from the moment the request is handed to the kernel. How much later that was than it should have been is the
//! generator's fault and no proxy's; it is reported beside, so that a reader sees that it kept its times.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime};

use crate::load::{Address, Connection, Measured, PATIENCE, Workload, connect};
use crate::schedule::Schedule;

/// Token of the timer, which no connection has.
const TIMER: Token = Token(usize::MAX);

/// A request under way.
struct Sent {
    at: Instant,
    /// Whether it left within the window.
    counts: bool,
}

/// Sends single requests, `rate` a second over all connections in turn: `warm_up` unmeasured, then `window` measured. Returns as well how
/// late they left, in microseconds, ascending.
pub fn run<T>(
    address: Address<'_>,
    workload: Workload,
    (rate, seed): (f64, u64),
    warm_up: Duration,
    window: Duration,
    mut probe: impl FnMut() -> Result<T>,
) -> Result<(Measured<T>, Vec<u32>)> {
    ensure!(workload.pipeline == 1, "latencies are those of single requests");
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(workload.clients + 1);
    // Not the time-out of the poll, which is in whole milliseconds.
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
    poll.registry().register(&mut SourceFd(&timer.as_raw_fd()), TIMER, Interest::READABLE)?;
    let expected = workload.expected();
    let mut scratch = vec![0; 64 * 1024];
    let mut connections = connect(address, workload, &poll)?;
    let address = address.0;
    meet(&mut connections, &mut poll, &mut events, &mut scratch, workload)?;

    let mut under_way: Vec<VecDeque<Sent>> = connections.iter().map(|_| VecDeque::new()).collect();
    let (mut latencies_micros, mut late_micros) = (Vec::with_capacity(1 << 18), Vec::with_capacity(1 << 18));
    let (mut opened, mut closed) = (None, None);
    let mut schedule = Schedule::new(rate, seed);
    let (mut due, mut turn, mut unanswered) = (schedule.next_due(), 0, 0);
    let start = Instant::now();
    loop {
        let mut now = start.elapsed();
        if opened.is_none() && now >= warm_up {
            opened = Some((now, probe()?));
        }
        if closed.is_none() && now >= warm_up + window {
            closed = Some((now, probe()?));
        }
        while due <= now && due < warm_up + window {
            let place = turn % connections.len();
            let at = Instant::now();
            connections[place].begin(at)?;
            ensure!(
                connections[place].has_sent_all(),
                "the kernel did not take a request whole: is the value too long for this?"
            );
            let counts = due >= warm_up;
            if counts {
                late_micros.push(micros((at - start).saturating_sub(due))?);
            }
            under_way[place].push_back(Sent { at, counts });
            (turn, unanswered, due) = (turn + 1, unanswered + 1, schedule.next_due());
            now = start.elapsed();
        }
        if closed.is_some() && unanswered == 0 {
            break;
        }
        // Once all has been sent only replies are awaited.
        if closed.is_none() {
            let next = due.min(if opened.is_none() { warm_up } else { warm_up + window });
            arm(&timer, next.saturating_sub(start.elapsed()))?;
        }
        wait(&mut poll, &mut events, address)?;
        for event in &events {
            if event.token() == TIMER {
                continue; // arming it anew clears it
            }
            let place = event.token().0;
            let replies = connections[place].read(&mut scratch, &expected).with_context(|| format!("a client of {address}"))?;
            let now = Instant::now();
            for _ in 0..replies {
                let sent = under_way[place].pop_front().context("a reply to nothing")?;
                unanswered -= 1;
                if sent.counts {
                    latencies_micros.push(micros(now - sent.at)?);
                }
            }
        }
    }
    latencies_micros.sort_unstable();
    late_micros.sort_unstable();
    let ((opened, before), (closed, after)) = opened.zip(closed).context("the window never opened")?;
    let operations = latencies_micros.len() as u64;
    Ok((Measured { operations, elapsed: closed - opened, latencies_micros, probed: (before, after) }, late_micros))
}

/// One request on each connection, so that whatever a proxy does for a new one is behind it.
fn meet(
    connections: &mut [Connection],
    poll: &mut Poll,
    events: &mut Events,
    scratch: &mut [u8],
    workload: Workload,
) -> Result<()> {
    let mut unanswered = connections.len();
    for connection in &mut *connections {
        connection.begin(Instant::now())?;
    }
    while unanswered > 0 {
        wait(poll, events, "a server of this benchmark")?;
        for event in &*events {
            unanswered -= connections[event.token().0].read(scratch, &workload.expected())?;
        }
    }
    Ok(())
}

fn wait(poll: &mut Poll, events: &mut Events, whom: impl std::fmt::Display) -> Result<()> {
    match poll.poll(events, Some(PATIENCE)) {
        Ok(()) if events.is_empty() => bail!("no reply from {whom} for {PATIENCE:?}"),
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Rings once, after `wait`.
fn arm(timer: &impl std::os::fd::AsFd, wait: Duration) -> Result<()> {
    // Zero would disarm it.
    let wait = wait.max(Duration::from_nanos(1));
    let value = Timespec { tv_sec: i64::try_from(wait.as_secs())?, tv_nsec: i64::from(wait.subsec_nanos()) };
    let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
    timerfd_settime(timer, TimerfdTimerFlags::empty(), &once)?;
    Ok(())
}

fn micros(duration: Duration) -> Result<u32> {
    Ok(u32::try_from(duration.as_micros())?)
}
