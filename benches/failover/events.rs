//! The four ways in which a primary changes.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::ValueEnum;
use rustix::process::Signal;

use crate::verdict::Timeline;
use crate::world::{World, follow};

/// What happens to the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Event {
    /// `FAILOVER`: Redis hands over by itself, losing nothing.
    Planned,
    /// `kill -9` under three Sentinels.
    Crash,
    /// SIGSTOP, another is promoted, then the old one goes on as if nothing had been.
    Stop,
    /// A replica is promoted beside the living primary.
    SecondMaster,
}

/// An operator, or a Sentinel, needs at least this long to notice a stopped server.
const STOPPED_BEFORE_PROMOTION: Duration = Duration::from_millis(1500);
/// The stopped server comes back when everyone has settled on the new one.
const STOPPED_AFTER_PROMOTION: Duration = Duration::from_secs(4);
/// With two masters clients see no error; they are watched for this long.
const WATCHED_WITH_TWO_MASTERS: Duration = Duration::from_secs(6);

impl Event {
    /// For headings.
    pub fn title(self) -> &'static str {
        match self {
            Self::Planned => "Planned: `FAILOVER`",
            Self::Crash => "Crash: `kill -9` under three Sentinels",
            Self::Stop => "SIGSTOP: another promoted after 1.5 s, the old primary continued after 4 s more",
            Self::SecondMaster => "Second master: a replica promoted beside the living primary",
        }
    }

    /// Sentinels undo what others do, so they are there only where they act.
    pub fn needs_sentinels(self) -> bool {
        self == Self::Crash
    }

    /// Makes it happen, and returns when nothing more happens to the servers. `world.primary` is the new one then.
    pub fn happen(self, world: &mut World) -> Result<Timeline> {
        let poller = world.poll_replicas()?;
        let old = world.primary;
        let heir = world.replicas()[0];
        let event = Instant::now();
        let old_is_mute = match self {
            Self::Planned => {
                let address = world.redis[heir].address;
                world.redis[old].ask(&["FAILOVER", "TO", &address.ip().to_string(), &address.port().to_string()])?;
                Some(Instant::now())
            }
            Self::Crash => {
                world.redis[old].kill()?;
                Some(Instant::now())
            }
            Self::Stop => {
                world.redis[old].signal(Signal::STOP)?;
                let mute = Instant::now();
                sleep(STOPPED_BEFORE_PROMOTION);
                promote(world, heir, old)?;
                Some(mute)
            }
            Self::SecondMaster => {
                promote(world, heir, old)?;
                None
            }
        };
        let (visible, address) = poller.wait()?;
        world.primary = world.index_of(address)?;
        let mut old_speaks_again = None;
        match self {
            Self::Planned | Self::Crash => {}
            Self::Stop => {
                sleep(STOPPED_AFTER_PROMOTION);
                old_speaks_again = Some(Instant::now());
                world.redis[old].signal(Signal::CONT)?;
                sleep(WATCHED_WITH_TWO_MASTERS);
            }
            Self::SecondMaster => sleep(WATCHED_WITH_TWO_MASTERS),
        }
        Ok(Timeline { event, old_is_mute, old_speaks_again, visible })
    }

    /// Brings a killed server back.
    pub fn repair(self, world: &mut World, old: usize) -> Result<()> {
        match self {
            Self::Crash => world.revive(old),
            Self::Planned | Self::Stop | Self::SecondMaster => Ok(()),
        }
    }
}

/// The heir becomes a primary; the third server follows it, as Sentinel would have it.
fn promote(world: &World, heir: usize, old: usize) -> Result<()> {
    world.redis[heir].ask(&["REPLICAOF", "NO", "ONE"])?;
    for replica in world.replicas() {
        if replica != heir && replica != old {
            follow(&world.redis[replica], world.redis[heir].address)?;
        }
    }
    Ok(())
}
