//! Groups with Sentinels, on real ones: what they say is heard, and changes nothing that facts contradict.

#[path = "../harness/mod.rs"]
mod harness;

mod absence;
mod discovery;
mod failover;
mod liar;
mod lies;
mod partition;
mod secured;
mod speed;

use harness::*;

/// A primary, its replicas, and three Sentinels of which two decide.
struct Watched {
    family: Vec<Redis>,
    sentinels: Sentinels,
}

/// Soon enough for a test, late enough for a busy machine.
const DOWN_AFTER_MS: u64 = 1000;

impl Watched {
    fn new(replicas: usize) -> Self {
        let family = Redis::family(replicas);
        let sentinels = Sentinels::start(3, 2, &family[0], replicas, DOWN_AFTER_MS);
        Self { family, sentinels }
    }

    /// With these backends and these Sentinels, clients held for long.
    fn setup(&self) -> Setup {
        Setup::of(&self.family).sentinel(&self.sentinels.section()).hold("window = \"20s\"")
    }
}

/// What the Sentinels say together, as `status` shows it.
fn word(mainstay: &Mainstay) -> serde_json::Value {
    mainstay.group()["sentinel"].clone()
}

/// The states of all Sentinels that are known, sorted.
fn states(mainstay: &Mainstay) -> Vec<String> {
    let group = mainstay.group();
    let sentinels = group["sentinels"].as_array().cloned().unwrap_or_default();
    let mut states: Vec<String> = sentinels.iter().map(|one| one["state"].as_str().unwrap_or_default().to_owned()).collect();
    states.sort();
    states
}

/// Waits until a majority names the primary.
#[track_caller]
fn wait_until_agreed(mainstay: &Mainstay) {
    wait_until(PATIENCE, "a majority of the Sentinels names the primary", || {
        let group = mainstay.group();
        group["primary"].is_string() && group["sentinel"]["backend"] == group["primary"]
    });
}
