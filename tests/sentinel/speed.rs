//! Clients write in redis mode while Sentinel fails over: what they see, and how soon they are served.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::harness::expected::*;
use super::*;

/// One write of a client.
struct Written {
    key: String,
    begun: Instant,
    ended: Instant,
}

/// What one client saw.
#[derive(Default)]
struct Seen {
    writes: Vec<Written>,
    errors: Vec<String>,
    closed: usize,
}

/// Writes one key after the other until told to stop.
fn write(address: &str, name: &str, over: &AtomicBool) -> Seen {
    let (mut seen, mut number) = (Seen::default(), 0);
    let mut client = Client::connect(address);
    while !over.load(Ordering::SeqCst) {
        number += 1;
        let (key, begun) = (format!("{name}:{number}"), Instant::now());
        match client.ask(&["SET", &key, "v"]) {
            Ok(reply) if reply == Reply::ok() => seen.writes.push(Written { key, begun, ended: Instant::now() }),
            Ok(reply) => seen.errors.push(reply.text()),
            Err(_) => {
                // What was on its way to the old primary has an unknown fate, and is not sent again.
                seen.closed += 1;
                client = Client::connect(address);
            }
        }
    }
    seen
}

/// One failover under four writing clients.
struct Run {
    /// SENTINEL FAILOVER was answered → a majority of the Sentinels names the new one.
    agreed: Duration,
    /// A majority names it → the first write is answered. Negative where mainstay knew before this test did.
    served: f64,
    seen: Vec<Seen>,
    /// From then on every write goes to the new one.
    moved: Instant,
}

fn run(watched: &Watched, mainstay: &Mainstay, old: usize, new: usize) -> Run {
    let over = AtomicBool::new(false);
    let (listen, over) = (mainstay.listen.clone(), &over);
    let port = watched.family[new].port.to_string();
    let mut clients: Vec<Client> = watched.sentinels.all.iter().map(|sentinel| Client::connect(&sentinel.address())).collect();
    thread::scope(|scope| {
        let names = ["a", "b", "c", "d"].map(|name| format!("{old}{new}{name}{}", mainstay.epoch()));
        let listen = &listen;
        let writers: Vec<_> = names.into_iter().map(|name| scope.spawn(move || write(listen, &name, over))).collect();
        thread::sleep(ms(300));
        assert_eq!(clients[0].must(&["SENTINEL", "FAILOVER", "jobs"]), Reply::ok());
        let begun = Instant::now();
        let agreed = loop {
            let named = |client: &mut Client| {
                let reply = client.must(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "jobs"]);
                usize::from(reply.items().get(1).is_some_and(|named| named.text() == port))
            };
            if clients.iter_mut().map(named).sum::<usize>() >= 2 {
                break Instant::now();
            }
            assert!(begun.elapsed() < PATIENCE, "the Sentinels do not agree");
            thread::sleep(Duration::from_micros(500));
        };
        mainstay.wait_for_primary(&watched.family[new].address());
        let moved = Instant::now();
        thread::sleep(ms(300));
        over.store(true, Ordering::SeqCst);
        let seen: Vec<Seen> = writers.into_iter().map(|writer| writer.join().expect("it does not panic")).collect();
        // The new one was not served before the longest wait of each writer was over.
        let longest = |seen: &Seen| seen.writes.iter().max_by_key(|write| write.ended - write.begun).map(|write| write.ended);
        let first = seen.iter().filter_map(longest).min().expect("each has written");
        let served = match first.checked_duration_since(agreed) {
            Some(after) => after.as_secs_f64() * 1000.0,
            None => -(agreed - first).as_secs_f64() * 1000.0,
        };
        Run { agreed: agreed - begun, served, seen, moved }
    })
}

/// A group in redis mode.
fn start(watched: &Watched) -> Mainstay {
    let setup = watched.setup().listener("mode = \"redis\"").expecting(&[CONFLICT, SENTINEL, LOADING, SILENT]);
    let mainstay = setup.start_on(&watched.family[0]);
    wait_until_agreed(&mainstay);
    mainstay
}

#[test]
fn writers_in_redis_mode_are_held_and_served_by_the_promoted_one() {
    let watched = Watched::new(1);
    let mainstay = start(&watched);
    let run = run(&watched, &mainstay, 0, 1);
    let mut promoted = watched.family[1].client();
    for seen in &run.seen {
        assert_eq!(seen.errors, Vec::<String>::new());
        // A write that was on its way to the old primary when another took its place: nobody knows whether it ran.
        assert!(seen.closed <= 1, "closed {} times", seen.closed);
        for write in seen.writes.iter().filter(|write| write.begun >= run.moved) {
            assert_eq!(promoted.must(&["EXISTS", &write.key]), Reply::Int(1), "{}", write.key);
        }
        assert!(seen.writes.iter().any(|write| write.begun >= run.moved), "it writes on");
    }
    // Generous: other tests run beside this one.
    assert!(run.served < 500.0, "first write {} ms after the majority agreed", run.served);
}

#[test]
#[ignore = "takes five minutes: prints how soon the first write is served, over 20 failovers by Sentinel"]
fn twenty_failovers_by_sentinel_measured() {
    let watched = Watched::new(1);
    let mainstay = start(&watched);
    let (mut served, mut agreed, mut closed, mut errors) = (Vec::new(), Vec::new(), 0, 0);
    for number in 0..20 {
        let (old, new) = (number % 2, (number + 1) % 2);
        wait_until(PATIENCE * 3, "all is well again", || {
            watched.sentinels.are_content_with(&watched.family[old], 1)
                && watched.family[new].info("master_link_status") == "up"
                && mainstay.group()["sentinel"]["backend"] == mainstay.group()["primary"]
        });
        let run = run(&watched, &mainstay, old, new);
        closed += run.seen.iter().map(|seen| seen.closed).sum::<usize>();
        errors += run.seen.iter().map(|seen| seen.errors.len()).sum::<usize>();
        println!("{number:>2}: agreed after {:>5} ms, first write {:>6.1} ms later", run.agreed.as_millis(), run.served);
        served.push(run.served);
        agreed.push(run.agreed.as_millis());
    }
    served.sort_by(f64::total_cmp);
    agreed.sort_unstable();
    let (p50, p99) = (served[served.len() / 2], served[served.len() - 1]);
    println!("majority agreed -> first write served: p50 {p50:.1} ms, p99 {p99:.1} ms (20 runs, 4 writers)");
    println!(
        "SENTINEL FAILOVER -> majority agreed: p50 {} ms; {closed} connections closed, {errors} errors",
        agreed[agreed.len() / 2]
    );
}
