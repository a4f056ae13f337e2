//! The harness tells the truth: checked against a plain Redis, so that a failure elsewhere is mainstay's.

mod harness;

use harness::*;

#[test]
fn a_redis_answers_and_its_replica_follows() {
    let family = Redis::family(1);
    assert_eq!(family[0].command(&["SET", "k", "v"]), Reply::ok());
    family[1].wait_in_step(&family[0]);
    assert_eq!(family[1].command(&["GET", "k"]), Reply::bulk("v"));
    family[0].failover_to(&family[1]);
    assert!(!family[0].is_master());
}

#[test]
fn a_killed_redis_refuses_and_comes_back_with_and_without_its_data() {
    let mut server = Redis::start(&[]);
    server.command(&["SET", "k", "v"]);
    server.save();
    server.kill9();
    assert_eq!(Client::try_connect(&server.address()).err(), Some(Gone::Refused));
    server.start_again();
    assert_eq!(server.command(&["GET", "k"]), Reply::bulk("v"));
    server.kill9();
    server.lose_rdb();
    server.start_again();
    assert_eq!(server.command(&["GET", "k"]), Reply::Bulk(None));
}

#[test]
fn sentinels_promote_the_replica_of_a_killed_primary() {
    let mut family = Redis::family(1);
    let sentinels = Sentinels::start(3, 2, &family[0], 1, 500);
    family[0].kill9();
    wait_until(PATIENCE, "the replica is promoted", || family[1].is_master());
    wait_until(PATIENCE, "Sentinel names it", || sentinels.primary() == Some(family[1].port));
}

#[test]
fn a_relay_records_what_passes_and_holds_it() {
    let server = Redis::start(&[]);
    let relay = Recorder::relay(&server.address());
    let mut client = Client::connect(&relay.address());
    client.must(&["SET", "marker-one", "v"]);
    assert_eq!(relay.count("marker-one", None), 1);
    relay.hold_requests(true);
    std::thread::sleep(ms(20));
    client.send(&client::command(&["GET", "marker-two"])).expect("the kernel takes it");
    assert_eq!(client.reply(ms(200)), Err(Gone::Silent));
    assert_eq!(relay.count("marker-two", None), 0);
    assert!(relay.waiting() > 0);
    relay.hold_requests(false);
    assert_eq!(client.reply(PATIENCE), Ok(Reply::Bulk(None)));
}

#[test]
fn a_client_tells_a_close_from_a_reset() {
    let mut server = Redis::start(&[]);
    let (mut polite, mut killed) = (server.client(), server.client());
    polite.send(b"QUIT\r\n").expect("it stands");
    assert_eq!(polite.drain(PATIENCE), (b"+OK\r\n".to_vec(), Gone::Closed));
    killed.must(&["PING"]);
    server.process.stop();
    killed.send(b"PING\r\n").expect("the kernel takes it");
    server.kill9();
    assert_eq!(killed.end(PATIENCE), Gone::Reset);
}
