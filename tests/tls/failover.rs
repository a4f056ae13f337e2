//! Failovers between servers that speak TLS, under traffic.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::harness::expected::DOWN;
use crate::harness::*;

fn pair(certificates: &Certificates) -> (TlsRedis, TlsRedis) {
    let more = ["tls-auth-clients no"];
    let first = TlsRedis::start(certificates, "server", &more);
    let second = TlsRedis::replica_of(&first, certificates, "server", &more);
    (first, second)
}

fn setup(certificates: &Certificates, servers: [&TlsRedis; 2], listener: &str) -> Setup {
    Setup::at(servers.map(TlsRedis::address)).group(&certificates.group("")).listener(listener)
}

#[test]
fn in_redis_mode_nobody_notices_a_planned_failover() {
    for listener in ["mode = \"redis\"", "mode = \"redis\"\nshared_connections = true"] {
        let certificates = Certificates::new();
        let (first, second) = pair(&certificates);
        let mainstay = setup(&certificates, [&first, &second], listener).start();
        mainstay.wait_for_primary(&first.address());
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let writers: Vec<_> = (0..8)
                .map(|writer| {
                    let (mainstay, stop) = (&mainstay, &stop);
                    scope.spawn(move || {
                        let (mut client, mut count) = (mainstay.client(), 0);
                        while !stop.load(Ordering::Relaxed) {
                            count += 1;
                            assert_eq!(client.must(&["INCR", &format!("count:{writer}")]), Reply::Int(count));
                        }
                        count
                    })
                })
                .collect();
            wait_until(PATIENCE, "they write", || first.redis.info("db0").contains("keys=8"));
            first.redis.failover_to(&second.redis);
            mainstay.wait_for_primary(&second.address());
            thread::sleep(ms(200));
            stop.store(true, Ordering::Relaxed);
            for (writer, thread) in writers.into_iter().enumerate() {
                let count = thread.join().expect("it did not notice");
                assert_eq!(second.redis.command(&["GET", &format!("count:{writer}")]).text(), count.to_string());
            }
        });
    }
}

#[test]
fn in_tcp_mode_sessions_end_and_the_next_ones_reach_the_new_primary() {
    let certificates = Certificates::new();
    let (mut first, second) = pair(&certificates);
    let mainstay = setup(&certificates, [&first, &second], "").expecting(&[DOWN]).start();
    mainstay.wait_for_primary(&first.address());
    let mut client = mainstay.client();
    client.must(&["SET", "before", "1"]);
    second.redis.wait_in_step(&first.redis);
    first.redis.kill9();
    second.redis.promote();
    mainstay.wait_for_primary(&second.address());
    assert_ne!(client.end(PATIENCE), Gone::Silent, "a session of the old primary is closed");
    let mut client = mainstay.client();
    assert_eq!(client.must(&["GET", "before"]).text(), "1");
    client.must(&["SET", "after", "1"]);
}

#[test]
fn hundreds_of_sessions_that_reconnect_resume_instead_of_shaking_hands_in_full() {
    let certificates = Certificates::new();
    let server = TlsRedis::start(&certificates, "server", &["tls-auth-clients no", "maxclients 1000"]);
    let mainstay = Setup::at([server.address()]).group(&certificates.group("")).start();
    mainstay.wait_for_primary(&server.address());
    for _ in 0..2 {
        let mut clients: Vec<Client> = (0..100).map(|_| mainstay.client()).collect();
        for client in &mut clients {
            client.must(&["PING"]);
        }
    }
}
