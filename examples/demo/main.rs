//! `make demo`: two failovers on real Redis servers, seen by Redis, by mainstay and by the clients.
//!
//! Act one is a planned `FAILOVER`; in act two three Sentinels join and the primary is killed. In this order, because running
//! Sentinels take a `FAILOVER` that they did not order for a fault, and fail over once more.

mod cast;
mod resp;
mod stage;
mod timeline;
mod watch;
mod workload;

use std::error::Error;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use cast::{Cast, PATIENCE, address};
use resp::Reply;
use stage::Stage;
use timeline::{Timeline, millis, thousands};
use workload::{Tally, Workload};

/// Of each mode.
const CLIENTS: usize = 4;
/// The clients of a mode are called 1, 2, ... with this before it.
const MODES: [(&str, &str); 2] = [("tcp mode", ""), ("redis mode", "R")];
/// The clients write for so long before and after each event.
const BREATH: Duration = Duration::from_millis(700);

fn main() {
    let result = Stage::set().map_err(Into::into).and_then(|stage| {
        let played = play(&stage);
        if stage.is_closing() {
            // A signal came first; its thread ends the process when everything is gone.
            stage.leave(130);
        }
        stage.clear();
        played.map(|timeline| timeline.say("\nEvery process is stopped and the temporary folder removed."))
    });
    if let Err(error) = result {
        eprintln!("\nThe demo did not work: {error}");
        std::process::exit(1);
    }
}

fn play(stage: &Arc<Stage>) -> Result<Arc<Timeline>, Box<dyn Error>> {
    let cast = Cast::new()?;
    let timeline = Arc::new(Timeline::new(cast.names(), stage));
    timeline.say("Starting a Redis primary, two replicas, and mainstay in front of them.");
    cast.start_redis(stage)?;
    let config = cast.start_mainstay(stage)?;
    for redis in &cast.redis {
        timeline.print(&format!("  {} is {}\n", redis.name, address(redis.port)));
    }
    timeline.print(&format!("\nmainstay.toml, all of it:\n\n{}\n", config.trim_end()));
    for redis in &cast.redis {
        watch::role(redis.name, redis.port, stage, &timeline);
    }
    watch::mainstay(cast.admin_port, stage, &timeline);
    let start = |((mode, prefix), port)| Workload::start(mode, names(prefix), port, &timeline);
    let workloads: Vec<Workload> = MODES.into_iter().zip(cast.mainstay_ports).map(start).collect();
    thread::sleep(BREATH);

    let mut seen = act_one(stage, &cast, &timeline, &workloads)?;
    seen.extend(act_two(stage, &cast, &timeline, &workloads)?);
    let rest: u64 = workloads.into_iter().map(|workload| workload.stop().acknowledged).sum();
    let total = rest + seen.iter().map(|seen| seen.tally.acknowledged).sum::<u64>();
    summary(&cast, &timeline, total, &seen)?;
    Ok(timeline)
}

/// What the clients of one mode saw of one act.
struct Seen {
    act: &'static str,
    mode: &'static str,
    tally: Tally,
}

fn take_seen(act: &'static str, workloads: &[Workload]) -> Vec<Seen> {
    workloads.iter().map(|workload| Seen { act, mode: workload.mode, tally: workload.take_tally() }).collect()
}

fn names(prefix: &str) -> impl Iterator<Item = String> {
    (1..=CLIENTS).map(move |number| format!("{prefix}{number}"))
}

fn act_one(stage: &Stage, cast: &Cast, timeline: &Timeline, workloads: &[Workload]) -> Result<Vec<Seen>, Box<dyn Error>> {
    let [old, new, other] = &cast.redis;
    timeline.heading(
        "Act one: a planned failover",
        &format!(
            "{CLIENTS} clients (1 to {CLIENTS}) write through a listener in tcp mode, {CLIENTS} more (R1 to R{CLIENTS}) through one in redis mode, a few hundred\n\
             times a second each. An operator asks redis-a to hand over to redis-b, say before a kernel update. Redis pauses\n\
             writes until redis-b has everything, then they swap. That pause is Redis' own: a fraction of a second, at times\n\
             one. Look at what comes after it, and at who says nothing at all: a client speaks up when it has an error."
        ),
    );
    timeline.begin();
    timeline.note("operator", &format!("sends FAILOVER TO {} to {}", address(new.port), address(old.port)));
    let answer = resp::ask_once(old.port, &["FAILOVER", "TO", "127.0.0.1", &new.port.to_string(), "TIMEOUT", "10000"])?;
    if let Reply::Error(error) = answer {
        return Err(format!("redis-a refused the failover: {error}").into());
    }
    stage.wait_for("redis-b is promoted", PATIENCE, || cast.says_master(new.port))?;
    // FAILOVER swaps two servers and leaves the others where they are: redis-c would go on copying from redis-a.
    thread::sleep(BREATH / 2);
    timeline.note("operator", &format!("tells {} to replicate from {} as well", address(other.port), address(new.port)));
    resp::ask_once(other.port, &["REPLICAOF", "127.0.0.1", &new.port.to_string()])?;
    settle(stage, cast, timeline, workloads, new.port)?;
    stage.wait_for("both others replicate from redis-b", PATIENCE, || cast.in_step_with(new.port))?;
    Ok(take_seen("planned failover", workloads))
}

fn act_two(
    stage: &Arc<Stage>,
    cast: &Cast,
    timeline: &Arc<Timeline>,
    workloads: &[Workload],
) -> Result<Vec<Seen>, Box<dyn Error>> {
    let old = &cast.redis[1];
    timeline.heading(
        "Act two: a crash",
        "Three Redis Sentinels join. They promote a replica when they have not heard from the primary for one second.\n\
         mainstay does not talk to them: it sees for itself what they did. Then redis-b is killed with kill -9. Who had a\n\
         write on its way loses the connection, in redis mode too: nobody can know whether that write ran. All else waits.",
    );
    cast.start_sentinels(stage, old.port)?;
    watch::sentinels(&cast.sentinel_ports, stage, timeline);
    thread::sleep(BREATH);
    timeline.begin();
    timeline.note("operator", &format!("kills {} (kill -9)", address(old.port)));
    stage.kill(old.name)?;
    let mut elected = None;
    stage.wait_for("mainstay elects the promoted server", PATIENCE, || {
        let group = watch::group_status(cast.admin_port);
        elected = group.and_then(|group| group.primary).filter(|primary| *primary != address(old.port));
        elected.is_some()
    })?;
    let new = elected.as_deref().and_then(|elected| cast.by_address(elected)).ok_or("mainstay elected a stranger")?;
    settle(stage, cast, timeline, workloads, new.port)?;
    Ok(take_seen("crash", workloads))
}

/// Waits until mainstay has elected the server at `port` and every client writes again, then ends the timeline of the act.
fn settle(stage: &Stage, cast: &Cast, timeline: &Timeline, workloads: &[Workload], port: u16) -> Result<(), Box<dyn Error>> {
    let elected = || watch::group_status(cast.admin_port).and_then(|group| group.primary) == Some(address(port));
    stage.wait_for("mainstay elects the new primary", PATIENCE, elected)?;
    let all_served = || workloads.iter().all(Workload::all_served);
    stage.wait_for("every client writes again", PATIENCE, all_served)?;
    thread::sleep(BREATH);
    stage.wait_for("every client still writes", PATIENCE, all_served)?;
    timeline.end();
    if let Some(record) = watch::group_status(cast.admin_port).and_then(|group| group.failovers.last().cloned()) {
        let after = |at: Option<u64>| at.map_or("?".to_owned(), |at| format!("{} ms", at.saturating_sub(record.lost_ms)));
        timeline.say(&format!(
            "\nmainstay's own record: {} lost ({}); {} first seen as master after {}, elected after {}, first client byte after {}",
            record.from,
            record.cause,
            record.to.as_deref().unwrap_or("nobody"),
            after(record.first_seen_ms),
            after(record.elected_ms),
            after(record.first_byte_ms),
        ));
    }
    Ok(())
}

fn summary(cast: &Cast, timeline: &Timeline, total: u64, seen: &[Seen]) -> Result<(), Box<dyn Error>> {
    timeline.heading("Summary", "What mainstay says now (mainstay status):");
    timeline.print(&cast::mainstay_status(cast.admin_port)?);
    timeline.say(&format!("\nWhat the clients saw, {CLIENTS} of each mode:\n"));
    for Seen { act, mode, tally } in seen {
        let errors: Vec<String> = tally.errors.iter().map(|(what, count)| format!("{count} x {what}")).collect();
        let errors = if errors.is_empty() { "none".to_owned() } else { errors.join(", ") };
        timeline.say(&format!("  {act:<17} {mode:<11} longest pause {:>9}   errors: {errors}", millis(tally.longest_pause)));
    }
    let primary = watch::group_status(cast.admin_port).and_then(|group| group.primary).ok_or("there is no primary at the end")?;
    let last = cast.by_address(&primary).ok_or("mainstay elected a stranger")?;
    // A set holds a write that was repeated once, so what is found are the acknowledged ones and nothing else.
    let found = cast::writes_found(last.port, MODES.into_iter().flat_map(|(_, prefix)| names(prefix)))?;
    timeline.say(&format!("\n  writes acknowledged        {:>9}", thousands(total)));
    timeline.say(&format!("  found again on {}     {:>9}", last.name, thousands(found)));
    let lost = total.saturating_sub(found);
    if lost > 0 {
        timeline.say(&format!("  lost with redis-b's crash  {:>9}   Redis answers first and replicates after", thousands(lost)));
    }
    Ok(())
}
