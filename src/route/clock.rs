//! One clock for decisions: time since this process began to look, counted by `CLOCK_BOOTTIME`.
//!
//! `std::time::Instant` reads `CLOCK_MONOTONIC`, which stands still while the machine sleeps. A proxy that wakes up from such
//! a sleep must see that its facts are old, so the fence and the election read a clock that goes on. Neither is moved by an
//! operator who sets the date.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

/// The origin by both clocks.
static ORIGIN: OnceLock<(Duration, SystemTime)> = OnceLock::new();

fn boot_time() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(time.tv_sec.max(0) as u64, time.tv_nsec.max(0) as u32)
}

/// A point in time, as the time passed since the first call of [`Moment::now`] in this process.
///
/// Decision code takes moments as arguments and never calls [`Moment::now`]; tests make them up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(Duration);

impl Moment {
    /// Reads the clock. Does not enter the kernel where the vDSO serves `CLOCK_BOOTTIME` (Linux 5.3 and later).
    pub fn now() -> Self {
        let now = boot_time();
        Self(now.saturating_sub(ORIGIN.get_or_init(|| (now, SystemTime::now())).0))
    }

    /// The wall clock at this moment, for people: as it was set when the origin was taken.
    pub fn wall(self) -> SystemTime {
        ORIGIN.get_or_init(|| (boot_time(), SystemTime::now())).1 + self.0
    }

    /// The moment `millis` milliseconds after the origin.
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// The moment `micros` microseconds after the origin.
    pub const fn from_micros(micros: u64) -> Self {
        Self(Duration::from_micros(micros))
    }

    /// Whole microseconds since the origin; what the fence stores in an atomic.
    pub const fn as_micros(self) -> u64 {
        self.0.as_micros() as u64
    }

    /// Whole milliseconds since the origin.
    pub const fn as_millis(self) -> u64 {
        self.0.as_millis() as u64
    }

    /// The time from `earlier` to `self`; zero where `earlier` is the later one.
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl std::ops::Add<Duration> for Moment {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}
