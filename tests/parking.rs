//! What a client sees while there is no primary: it waits within the window, and never longer.

mod harness;

use std::time::Instant;

use harness::expected::*;
use harness::*;

/// A server that says role:slave until it is promoted: its master is nowhere.
fn future_primary() -> Redis {
    Redis::start(&["replicaof 127.0.0.1 1"])
}

/// How many clients wait.
fn held(mainstay: &Mainstay) -> f64 {
    mainstay.metric("mainstay_held", &[r#"group="jobs""#])
}

#[test]
fn a_client_that_comes_too_early_is_served_after_the_election() {
    let server = future_primary();
    let mainstay = Setup::of([&server]).hold("window = \"30s\"").start();
    let mut clients: Vec<Client> = (0..50).map(|_| mainstay.client()).collect();
    for client in &mut clients {
        client.send(&client::command(&["INCR", "served"])).expect("parked clients may send");
    }
    wait_until(PATIENCE, "they are parked", || held(&mainstay) == 50.0);
    assert_eq!(clients[0].reply(ms(200)), Err(Gone::Silent));
    server.promote();
    for client in &mut clients {
        assert!(matches!(client.reply(PATIENCE), Ok(Reply::Int(_))));
    }
    assert_eq!(server.command(&["GET", "served"]), Reply::bulk("50"));
    wait_until(PATIENCE, "nobody waits any more", || held(&mainstay) == 0.0);
    assert_eq!(mainstay.metric("mainstay_held_total", &[r#"outcome="elected""#]), 50.0);
}

#[test]
fn after_the_window_waiting_clients_are_closed_and_new_ones_refused_at_once() {
    let server = future_primary();
    let started = Instant::now();
    let mainstay = Setup::of([&server]).hold("window = \"3s\"").start();
    let mut client = mainstay.client();
    client.send(&client::command(&["SET", "k", "v"])).expect("parked clients may send");
    assert_eq!(client.end(PATIENCE), Gone::Closed, "a close is what clients retry");
    assert!(started.elapsed() >= ms(2900), "closed after {:?}", started.elapsed());
    for _ in 0..3 {
        let begun = Instant::now();
        assert_eq!(mainstay.client().end(PATIENCE), Gone::Closed);
        assert!(begun.elapsed() < ms(1500), "refused after {:?}", begun.elapsed());
    }
    assert_eq!(server.command(&["EXISTS", "k"]), Reply::Int(0));
    assert_eq!(mainstay.metric("mainstay_held_total", &[r#"outcome="window""#]), 1.0, "who is refused at once is not held");
    server.promote();
    wait_until(PATIENCE, "clients are served as soon as there is a primary", || mainstay.serves());
    assert_eq!(server.command(&["EXISTS", "k"]), Reply::Int(0));
}

#[test]
fn what_a_client_sent_before_it_left_is_never_executed() {
    let server = future_primary();
    let mainstay = Setup::of([&server]).hold("window = \"30s\"").start();
    let mut leaving: Vec<Client> = (0..10).map(|_| mainstay.client()).collect();
    for client in &mut leaving {
        client.send(&client::command(&["INCR", "ghost"])).expect("parked clients may send");
    }
    wait_until(PATIENCE, "they are parked", || held(&mainstay) == 10.0);
    // A FIN means gone, as well as a full close.
    for client in &leaving[..5] {
        client.finish_writing();
    }
    let finished: Vec<Client> = leaving.drain(..5).collect();
    drop(leaving);
    wait_until(PATIENCE, "they are forgotten", || held(&mainstay) == 0.0);
    assert_eq!(mainstay.metric("mainstay_held_total", &[r#"outcome="client_gone""#]), 10.0);
    server.promote();
    mainstay.wait_for_primary(&server.address());
    mainstay.client().must(&["PING"]);
    assert_eq!(server.command(&["EXISTS", "ghost"]), Reply::Int(0));
    drop(finished);
}

#[test]
fn a_client_that_leaves_with_a_reset_while_parked_is_forgotten_too() {
    let server = future_primary();
    let mainstay = Setup::of([&server]).hold("window = \"30s\"").start();
    let mut client = mainstay.client();
    client.send(&client::command(&["SET", "ghost", "v"])).expect("parked clients may send");
    wait_until(PATIENCE, "it is parked", || held(&mainstay) == 1.0);
    client.reset();
    wait_until(PATIENCE, "it is forgotten", || held(&mainstay) == 0.0);
    server.promote();
    wait_until(PATIENCE, "there is a primary", || mainstay.serves());
    assert_eq!(server.command(&["EXISTS", "ghost"]), Reply::Int(0));
}

#[test]
fn what_a_parked_client_sent_arrives_whole() {
    let server = future_primary();
    let mainstay = Setup::of([&server]).hold("window = \"60s\"").start();
    let value = "y".repeat(200 << 10);
    let mut client = mainstay.client();
    client.send(&client::command(&["SET", "big", &value])).expect("parked clients may send");
    wait_until(PATIENCE, "it is parked", || held(&mainstay) == 1.0);
    server.promote();
    assert_eq!(client.reply(PATIENCE), Ok(Reply::ok()));
    assert_eq!(server.command(&["STRLEN", "big"]), Reply::Int(200 << 10));
}

#[test]
fn a_parked_client_that_sends_too_much_is_closed_and_nothing_of_it_is_executed() {
    let server = future_primary();
    let mainstay = Setup::of([&server]).hold("window = \"60s\"").start();
    let mut pipeline = Vec::new();
    while pipeline.len() < 8 << 20 {
        pipeline.extend(client::command(&["INCR", "ghost"]));
    }
    let mut client = mainstay.client();
    // It may be closed before all is sent.
    let _ = client.send_within(ms(1000), &pipeline);
    drop(client);
    let full = || mainstay.metric("mainstay_held_total", &[r#"outcome="full""#]);
    wait_until(PATIENCE, "it is closed", || full() == 1.0 && held(&mainstay) == 0.0);
    assert!(mainstay.process.memory() < 64 << 20, "{} bytes", mainstay.process.memory());
    server.promote();
    mainstay.wait_for_primary(&server.address());
    mainstay.client().must(&["PING"]);
    assert_eq!(server.command(&["EXISTS", "ghost"]), Reply::Int(0));
}

#[test]
fn a_primary_that_closes_every_connection_keeps_clients_waiting_within_the_window() {
    let server = Redis::start(&[]);
    let relay = Recorder::relay(&server.address());
    let setup = Setup::at([relay.address()]).hold("window = \"20s\"");
    let mainstay = setup.expecting(&[LOST, DOWN]).start();
    mainstay.wait_for_primary(&relay.address());
    relay.refuse(true);
    relay.hang_up();
    mainstay.wait_for_no_primary();
    let mut client = mainstay.client();
    client.send(&client::command(&["SET", "k", "v"])).expect("parked clients may send");
    wait_until(PATIENCE, "it is parked", || held(&mainstay) >= 1.0);
    relay.refuse(false);
    assert_eq!(client.reply(PATIENCE), Ok(Reply::ok()));
}

#[test]
fn a_primary_that_takes_no_connection_for_a_while_is_tried_again_within_the_window() {
    let server = Redis::start(&[]);
    let relay = Recorder::relay(&server.address());
    let mainstay = Setup::at([relay.address()]).hold("window = \"20s\"").start();
    mainstay.wait_for_primary(&relay.address());
    let mut present = mainstay.client();
    present.must(&["PING"]);
    // The connection of the check stands: for all that control knows the primary is well.
    relay.deaf(true);
    let mut late = mainstay.client();
    late.send(&client::command(&["SET", "late", "v"])).expect("parked clients may send");
    assert_eq!(late.reply(ms(1000)), Err(Gone::Silent));
    present.must(&["PING"]);
    relay.deaf(false);
    assert_eq!(late.reply(PATIENCE), Ok(Reply::ok()));
    assert_eq!(mainstay.epoch(), 0);
}

#[test]
fn parked_clients_count_towards_max_connections() {
    let server = future_primary();
    let setup = Setup::of([&server]).hold("window = \"30s\"").listener("max_connections = 3");
    let mainstay = setup.start();
    let parked: Vec<Client> = (0..3).map(|_| mainstay.client()).collect();
    wait_until(PATIENCE, "they are parked", || held(&mainstay) == 3.0);
    let (word, end) = mainstay.client().drain(PATIENCE);
    assert_eq!((&*word, end), (&b"-ERR max number of clients reached\r\n"[..], Gone::Closed));
    drop(parked);
    wait_until(PATIENCE, "their places are free", || held(&mainstay) == 0.0);
}
