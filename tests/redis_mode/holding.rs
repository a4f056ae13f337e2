//! There is no primary: requests are held, within bounds, and then refused on a connection that stays open.

use rustix::process::Signal;

use crate::harness::expected::*;
use crate::harness::*;
use crate::{REFUSED, demote, held, held_total, redis_mode, send};

#[test]
fn a_held_request_is_answered_by_the_next_primary() {
    let family = Redis::family(1);
    let mainstay = redis_mode(&family).hold("window = \"20s\"").start_on(&family[0]);
    let mut client = mainstay.client();
    client.must(&["PING"]);
    let _stranger = demote(&family[0]);
    mainstay.wait_for_no_primary();
    send(&mut client, &["SET", "waited", "yes"]);
    send(&mut client, &["GET", "waited"]);
    wait_until(PATIENCE, "it is held", || held(&mainstay) == 1.0);
    family[1].promote();
    assert_eq!(client.reply(PATIENCE), Ok(Reply::ok()));
    assert_eq!(client.reply(PATIENCE), Ok(Reply::bulk("yes")));
    assert_eq!((held(&mainstay), held_total(&mainstay, "elected")), (0.0, 1.0));
}

#[test]
fn when_the_window_is_over_requests_are_refused_and_the_connection_works_again_later() {
    let family = Redis::family(1);
    let mainstay = redis_mode(&family).hold("window = \"1s\"").start_on(&family[0]);
    let mut client = mainstay.client();
    client.must(&["PING"]);
    let _stranger = demote(&family[0]);
    mainstay.wait_for_no_primary();
    let refused = client.ask(&["SET", "k", "v"]).expect("the connection stays");
    assert!(refused.text().starts_with(&format!("{REFUSED}no primary for group jobs: ")), "{refused:?}");
    let begun = std::time::Instant::now();
    let refused = client.ask(&["SET", "k", "v"]).expect("the connection stays");
    assert!(refused.text().starts_with(REFUSED) && begun.elapsed() < ms(500), "at once: {refused:?}, {:?}", begun.elapsed());
    assert_eq!(held_total(&mainstay, "window"), 1.0);
    family[1].promote();
    mainstay.wait_for_primary(&family[1].address());
    client.must(&["SET", "k", "w"]);
    assert_eq!(family[1].command(&["GET", "k"]), Reply::bulk("w"));
}

#[test]
fn a_subscriber_that_outlived_the_window_listens_again_when_there_is_a_primary() {
    let family = Redis::family(1);
    let mainstay = redis_mode(&family).hold("window = \"500ms\"").start_on(&family[0]);
    let mut subscriber = mainstay.client();
    send(&mut subscriber, &["SUBSCRIBE", "news"]);
    subscriber.reply(PATIENCE).expect("a confirmation");
    let _stranger = demote(&family[0]);
    wait_until(PATIENCE, "its hold is over", || held_total(&mainstay, "window") >= 1.0 && held(&mainstay) == 0.0);
    family[1].promote();
    wait_until(PATIENCE, "it listens there", || family[1].command(&["PUBLISH", "news", "hello"]) == Reply::Int(1));
    assert_eq!(subscriber.reply(PATIENCE).expect("the message").items()[2], Reply::bulk("hello"));
}

#[test]
fn a_client_that_leaves_while_it_is_held_is_never_executed() {
    let family = Redis::family(1);
    let mainstay = redis_mode(&family).hold("window = \"20s\"").start_on(&family[0]);
    let mut clients: Vec<Client> = (0..4).map(|_| mainstay.client()).collect();
    for client in &mut clients {
        client.must(&["PING"]);
    }
    let _stranger = demote(&family[0]);
    mainstay.wait_for_no_primary();
    for client in &mut clients {
        send(client, &["INCR", "left"]);
    }
    wait_until(PATIENCE, "they are held", || held(&mainstay) == 4.0);
    let (reset, closed, ended) = (clients.remove(0), clients.remove(0), clients.remove(0));
    reset.reset();
    drop(closed);
    ended.finish_writing();
    wait_until(PATIENCE, "they have left", || held(&mainstay) == 1.0);
    assert_eq!(held_total(&mainstay, "client_gone"), 3.0);
    family[1].promote();
    assert_eq!(clients[0].reply(PATIENCE), Ok(Reply::Int(1)), "the only one that stayed");
    stays(ms(300), "nobody else is executed", || family[1].command(&["GET", "left"]) == Reply::bulk("1"));
}

#[test]
fn when_too_much_is_held_the_oldest_is_refused_and_stays_connected() {
    let family = Redis::family(1);
    let hold = "window = \"20s\"\nmax_bytes = \"64KiB\"";
    let mainstay = redis_mode(&family).runtime("workers = 1").hold(hold).start_on(&family[0]);
    let (mut first, mut second) = (mainstay.client(), mainstay.client());
    first.must(&["PING"]);
    second.must(&["PING"]);
    let _stranger = demote(&family[0]);
    mainstay.wait_for_no_primary();
    let value = "x".repeat(40 * 1024);
    send(&mut first, &["SET", "first", &value]);
    wait_until(PATIENCE, "the first is held", || held(&mainstay) == 1.0);
    send(&mut second, &["SET", "second", &value]);
    let refused = first.reply(PATIENCE).expect("the connection stays");
    assert!(refused.text().starts_with(REFUSED) && refused.text().contains("hold.max_bytes"), "{refused:?}");
    assert_eq!(held_total(&mainstay, "full"), 1.0);
    family[1].promote();
    assert_eq!(second.reply(PATIENCE), Ok(Reply::ok()));
    first.must(&["SET", "first", "small"]);
}

#[test]
fn many_tiny_requests_count_with_what_is_kept_about_them() {
    let family = Redis::family(1);
    let hold = "window = \"20s\"\nmax_bytes = \"1MiB\"";
    let mainstay = redis_mode(&family).runtime("workers = 1").hold(hold).start_on(&family[0]);
    let (mut first, mut second) = (mainstay.client(), mainstay.client());
    first.must(&["PING"]);
    second.must(&["PING"]);
    let _stranger = demote(&family[0]);
    mainstay.wait_for_no_primary();
    let lines = b"a\n".repeat(20_000);
    first.send(&lines).expect("the connection stands");
    wait_until(PATIENCE, "the first is held", || held(&mainstay) == 1.0);
    second.send(&lines).expect("the connection stands");
    let refused = first.reply(PATIENCE).expect("the connection stays");
    assert!(refused.text().starts_with(REFUSED) && refused.text().contains("hold.max_bytes"), "{refused:?}");
}

#[test]
fn one_client_that_sends_more_than_is_kept_is_refused_and_stays_connected() {
    let family = Redis::family(1);
    let mainstay = redis_mode(&family).hold("window = \"20s\"").start_on(&family[0]);
    let mut client = mainstay.client();
    client.must(&["PING"]);
    let _stranger = demote(&family[0]);
    mainstay.wait_for_no_primary();
    send(&mut client, &["SET", "big", &"x".repeat(1 << 20)]);
    let refused = client.reply(PATIENCE).expect("the connection stays");
    assert!(refused.text().starts_with(REFUSED), "{refused:?}");
    assert_eq!((held_total(&mainstay, "full"), held(&mainstay)), (1.0, 0.0));
    family[1].promote();
    mainstay.wait_for_primary(&family[1].address());
    client.must(&["PING"]);
    assert_eq!(family[1].command(&["EXISTS", "big"]), Reply::Int(0));
}

#[test]
fn a_stopping_mainstay_lets_go_of_held_and_of_idle_clients() {
    let family = Redis::family(1);
    let setup = redis_mode(&family).hold("window = \"20s\"").runtime("drain_timeout = \"500ms\"");
    let mut mainstay = setup.expecting(&[CUT]).start_on(&family[0]);
    let (mut idle, mut waiting) = (mainstay.client(), mainstay.client());
    idle.must(&["PING"]);
    let _stranger = demote(&family[0]);
    mainstay.wait_for_no_primary();
    send(&mut waiting, &["SET", "k", "v"]);
    wait_until(PATIENCE, "it is held", || held(&mainstay) == 1.0);
    mainstay.process.signal(Signal::TERM);
    assert_ne!(waiting.end(PATIENCE), Gone::Silent);
    assert_ne!(idle.end(PATIENCE), Gone::Silent);
    assert!(mainstay.process.wait(PATIENCE).success());
    assert_eq!(family[1].command(&["EXISTS", "k"]), Reply::Int(0));
}
