//! Failovers between servers that speak TLS, under traffic.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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

/// A TLS server before a plain Redis, which counts handshakes: all, and those that resumed an earlier session.
struct Relay {
    port: u16,
    counts: Arc<[AtomicUsize; 2]>,
    _runtime: tokio::runtime::Runtime,
}

impl Relay {
    fn before(redis: &Redis, acceptor: ::mainstay::tls::Acceptor) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let counts: Arc<[AtomicUsize; 2]> = Arc::default();
        let (counted, address) = (counts.clone(), redis.address());
        runtime.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (acceptor, counted, address) = (acceptor.clone(), counted.clone(), address.clone());
                tokio::spawn(async move {
                    let Ok(mut client) = acceptor.accept(socket).await else { return };
                    counted[0].fetch_add(1, Ordering::Relaxed);
                    counted[1].fetch_add(usize::from(client.is_resumed()), Ordering::Relaxed);
                    let Ok(mut server) = tokio::net::TcpStream::connect(address).await else { return };
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Self { port, counts, _runtime: runtime }
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Handshakes in full.
    fn full(&self) -> usize {
        self.counts[0].load(Ordering::Relaxed) - self.counts[1].load(Ordering::Relaxed)
    }
}

#[test]
fn hundreds_of_sessions_resume_instead_of_shaking_hands_in_full_with_a_new_primary() {
    let (certificates, family) = (Certificates::new(), Redis::family(1));
    let relays: Vec<Relay> = family.iter().map(|redis| Relay::before(redis, certificates.acceptor("server", false))).collect();
    let mainstay =
        Setup::at(relays.iter().map(Relay::address)).group(&certificates.group("")).listener("mode = \"redis\"").start();
    mainstay.wait_for_primary(&relays[0].address());
    let mut clients: Vec<Client> = (0..300).map(|_| mainstay.client()).collect();
    for client in &mut clients {
        client.must(&["PING"]);
    }
    family[0].failover_to(&family[1]);
    mainstay.wait_for_primary(&relays[1].address());
    // All of them at once.
    for client in &mut clients {
        client.send(b"SET key value\r\n").expect("it is taken");
    }
    for client in &mut clients {
        assert_eq!(client.reply(PATIENCE).expect("an answer"), Reply::ok());
    }
    let all = relays[1].counts[0].load(Ordering::Relaxed);
    assert!(all >= 300 && relays[1].full() <= 150, "{} of {all} in full", relays[1].full());
}
