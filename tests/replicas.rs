//! `route = "replica"`: who reads, reads replicas that are in step with this group's primary, and no others.

#[path = "replicas/clients.rs"]
mod clients;
#[path = "replicas/fallbacks.rs"]
mod fallbacks;
mod harness;
#[path = "replicas/histories.rs"]
mod histories;
#[path = "replicas/scenes.rs"]
mod scenes;

use harness::expected::*;
use harness::*;
use scenes::*;

#[test]
fn readers_spread_over_the_replicas_and_none_reads_the_primary() {
    let family = Redis::family(2);
    for mode in MODES {
        let mainstay = readers(&family, mode, "");
        let mut clients: Vec<Client> = (0..12).map(|_| mainstay.client()).collect();
        let mut ports: Vec<String> = clients.iter_mut().map(port_read).collect();
        ports.sort();
        let count = |server: &Redis| ports.iter().filter(|port| **port == server.port.to_string()).count();
        assert_eq!((count(&family[0]), count(&family[1]), count(&family[2])), (0, 6, 6), "{mode}");
        for replica in &family[1..] {
            wait_until(PATIENCE, "they are counted", || mainstay.backend(&replica.address())["read_sessions"] == 6);
        }
    }
}

#[test]
fn the_sessions_of_a_replica_that_is_killed_end_or_move_and_new_ones_read_the_other() {
    for mode in MODES {
        let mut family = Redis::family(2);
        let mut mainstay = readers(&family, mode, "");
        let mut clients: Vec<Client> = (0..4).map(|_| mainstay.client()).collect();
        clients.iter_mut().for_each(|client| drop(port_read(client)));
        mainstay.expect(DOWN);
        family[1].kill9();
        let other = family[2].port.to_string();
        if mode == TCP {
            let survivors = clients.iter_mut().filter_map(|client| client.ask(&WHO).ok()).count();
            assert_eq!(survivors, 2, "those of the other replica");
        } else {
            clients.iter_mut().for_each(|client| assert_eq!(port_read(client), other, "{mode}"));
        }
        wait_unusable(&mainstay, &family[1]);
        for _ in 0..4 {
            assert_eq!(port_read(&mut mainstay.client()), other, "{mode}");
        }
        assert_eq!(mainstay.primary(), Some(family[0].address()), "the primary is not in question");
        assert_eq!(mainstay.epoch(), mainstay.epoch());
        come_back(&mut family);
        family[1].wait_for_link();
        wait_usable(&mainstay, &family[1]);
        let mut fresh: Vec<Client> = (0..4).map(|_| mainstay.client()).collect();
        let ports: Vec<String> = fresh.iter_mut().map(port_read).collect();
        assert!(ports.contains(&family[1].port.to_string()), "{mode}: who joins gets the new ones");
    }
}

#[test]
fn a_stopped_replica_drops_out_after_fall_checks_and_comes_back() {
    for mode in MODES {
        let family = Redis::family(2);
        let mut mainstay = readers(&family, mode, "");
        let mut clients: Vec<Client> = (0..4).map(|_| mainstay.client()).collect();
        clients.iter_mut().for_each(|client| drop(port_read(client)));
        mainstay.expect(SILENT);
        family[1].process.stop();
        wait_unusable(&mainstay, &family[1]);
        let other = family[2].port.to_string();
        if mode == TCP {
            let survivors = clients.iter_mut().filter_map(|client| client.ask(&WHO).ok()).count();
            assert_eq!(survivors, 2);
        } else {
            clients.iter_mut().for_each(|client| assert_eq!(port_read(client), other, "{mode}"));
        }
        family[1].process.cont();
        wait_usable(&mainstay, &family[1]);
    }
}

#[test]
fn a_request_in_flight_at_a_replica_that_stops_is_asked_of_another() {
    let family = Redis::family(2);
    family[0].command(&["SET", "by", "the primary"]);
    family.iter().skip(1).for_each(|replica| replica.wait_in_step(&family[0]));
    for mode in [REDIS, SHARED] {
        let mut mainstay = readers(&family, mode, "");
        let mut clients: Vec<Client> = (0..4).map(|_| mainstay.client()).collect();
        clients.iter_mut().for_each(|client| drop(port_read(client)));
        mainstay.expect(SILENT);
        family[1].process.stop();
        for client in &mut clients {
            client.send(&client::command(&["GET", "by"])).expect("open");
        }
        for client in &mut clients {
            assert_eq!(client.reply(PATIENCE), Ok(Reply::bulk("the primary")), "{mode}");
        }
        family[1].process.cont();
        wait_usable(&mainstay, &family[1]);
    }
}

#[test]
fn a_replica_that_an_operator_moves_to_another_master_drops_out_at_once() {
    let other = Redis::start(&[]);
    other.command(&["SET", "whose", "another group's"]);
    for mode in MODES {
        let family = Redis::family(2);
        family[0].command(&["SET", "whose", "ours"]);
        family.iter().skip(1).for_each(|replica| replica.wait_in_step(&family[0]));
        let mainstay = readers(&family, mode, "");
        let mut clients: Vec<Client> = (0..4).map(|_| mainstay.client()).collect();
        clients.iter_mut().for_each(|client| drop(port_read(client)));
        family[1].follow(&other);
        family[1].wait_for_link();
        wait_unusable(&mainstay, &family[1]);
        let why = mainstay.backend(&family[1].address())["reads"].to_string();
        assert!(why.contains("another history"), "{why}");
        for client in &mut clients {
            match client.ask(&["GET", "whose"]) {
                Ok(reply) => assert_eq!(reply, Reply::bulk("ours"), "{mode}"),
                Err(_) => assert_eq!(mode, TCP),
            }
        }
        stays(ms(500), "nobody reads there", || port_read(&mut mainstay.client()) == family[2].port.to_string());
    }
}

#[test]
fn a_replica_that_lags_is_left_until_it_has_caught_up() {
    let primary = Redis::start(&[]);
    let relay = Recorder::relay(&primary.address());
    let near = Redis::replica_of(&primary, &[]);
    let far = Redis::start(&["repl-timeout 600", &format!("replicaof 127.0.0.1 {}", relay.port)]);
    far.wait_for_link();
    let family = [primary, near, far];
    for mode in MODES {
        let mainstay = readers(&family, mode, "max_lag = \"64KiB\"");
        let mut clients: Vec<Client> = (0..4).map(|_| mainstay.client()).collect();
        let ports: Vec<String> = clients.iter_mut().map(port_read).collect();
        assert!(ports.contains(&family[2].port.to_string()), "{mode}");
        relay.hold_replies(true);
        let mut writes = 10;
        wait_until(PATIENCE, "it is left", || {
            // More than once, as the relay passes on what it was just reading; not without end, as nobody could keep up.
            if writes > 0 {
                writes -= 1;
                family[0].command(&["SET", "large", &"x".repeat(100_000)]);
            }
            let status = mainstay.backend(&family[2].address());
            status["lag_bytes"].as_u64() > Some(65_536) && status["read_sessions"] == 0
        });
        wait_until(PATIENCE, "the other has caught up", || mainstay.backend(&family[1].address())["lag_bytes"] == 0);
        for client in &mut clients {
            match client.ask(&WHO) {
                // One that found the other late as well went to the primary, and comes back.
                Ok(_) => wait_until(PATIENCE, "it reads the other", || port_read(client) == family[1].port.to_string()),
                Err(_) => assert_eq!(mode, TCP),
            }
        }
        relay.hold_replies(false);
        family[2].wait_in_step(&family[0]);
        wait_until(PATIENCE, "it is read again", || port_read(&mut mainstay.client()) == family[2].port.to_string());
    }
}

#[test]
fn a_failover_of_the_primary_throws_no_reader_out() {
    for mode in MODES {
        let mut family = Redis::family(3);
        family[0].command(&["SET", "whose", "ours"]);
        family.iter().skip(1).for_each(|replica| replica.wait_in_step(&family[0]));
        let mut mainstay = readers(&family, mode, "fallback = \"refuse\"");
        mainstay.expect(&[LOST, DOWN].concat());
        let mut clients: Vec<(Client, String)> = (0..6)
            .map(|_| {
                let mut client = mainstay.client();
                let port = port_read(&mut client);
                (client, port)
            })
            .collect();
        // The ones that read the one to be promoted are another story.
        let promoted = family[1].port.to_string();
        if mode == TCP {
            clients.retain(|(_, port)| *port != promoted);
            assert_eq!(clients.len(), 4);
        }
        family[0].kill9();
        mainstay.wait_for_no_primary();
        clients.iter_mut().for_each(|(client, _)| assert_eq!(client.must(&["GET", "whose"]).text(), "ours", "{mode}"));
        family[1].promote();
        mainstay.wait_for_primary(&family[1].address());
        clients.iter_mut().for_each(|(client, _)| assert_eq!(client.must(&["GET", "whose"]).text(), "ours", "{mode}"));
        for replica in &family[2..] {
            replica.follow(&family[1]);
            replica.wait_for_link();
        }
        for _ in 0..20 {
            clients.iter_mut().for_each(|(client, _)| assert_eq!(client.must(&["GET", "whose"]).text(), "ours", "{mode}"));
            std::thread::sleep(ms(20));
        }
        assert!(port_read(&mut mainstay.client()) != promoted, "{mode}: it is the primary now");
    }
}

#[test]
fn maintenance_cuts_readers_and_a_drain_takes_no_new_ones() {
    for mode in MODES {
        let family = Redis::family(2);
        let mainstay = readers(&family, mode, "");
        let mut clients: Vec<Client> = (0..2).map(|_| mainstay.client()).collect();
        let ports: Vec<String> = clients.iter_mut().map(port_read).collect();
        let other = family[2].port.to_string();
        mainstay.cli(&["backend", "jobs", &family[1].address(), "drain"]);
        for _ in 0..4 {
            assert_eq!(port_read(&mut mainstay.client()), other, "{mode}");
        }
        for (client, port) in clients.iter_mut().zip(&ports) {
            assert_eq!(port_read(client), *port, "{mode}: the present ones stay");
        }
        mainstay.cli(&["backend", "jobs", &family[1].address(), "maintenance"]);
        wait_unusable(&mainstay, &family[1]);
        for (client, port) in clients.iter_mut().zip(&ports) {
            match client.ask(&WHO) {
                Ok(reply) => assert_eq!(port_of(&reply), other, "{mode}"),
                Err(_) => assert!(mode == TCP && *port != other),
            }
        }
    }
}

#[test]
fn while_mainstay_stands_still_nothing_is_read_of_what_may_have_changed_meanwhile() {
    for mode in MODES {
        let family = Redis::family(1);
        let other = Redis::start(&[]);
        other.command(&["SET", "whose", "another group's"]);
        family[0].command(&["SET", "whose", "ours"]);
        family[1].wait_in_step(&family[0]);
        let mut mainstay = readers(&family, mode, "");
        mainstay.expect(STALLED);
        let mut client = mainstay.client();
        assert_eq!(client.must(&["GET", "whose"]).text(), "ours");
        mainstay.process.stop();
        std::thread::sleep(ms(1200));
        family[1].follow(&other);
        family[1].wait_for_link();
        client.send(&client::command(&["GET", "whose"])).expect("the kernel takes it");
        mainstay.process.cont();
        match client.reply(PATIENCE) {
            Ok(reply) => assert_eq!(reply, Reply::bulk("ours"), "{mode}"),
            Err(_) => assert_eq!(mode, TCP),
        }
    }
}
