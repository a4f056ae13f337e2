//! AUTH, HELLO, RESET.

use std::time::Duration;

use crate::*;

/// One reply as it is on the wire, so that RESP 3 is compared as well. HELLO tells of its connection and of the server.
fn conversation(address: &str, steps: &[&[&str]]) -> Vec<String> {
    let mut client = Client::connect(address);
    let mut replies = Vec::new();
    for words in steps {
        client.send(&harness::client::command(words)).expect("it stands");
        // The reply to PING tells where the reply before it ends, whatever it is.
        let (said, _) = client.drain(Duration::from_millis(60));
        let said = String::from_utf8_lossy(&said).into_owned();
        let is_greeting = said.starts_with(['%', '*']);
        replies.push(if is_greeting { said[..1].to_owned() } else { said });
    }
    replies
}

#[test]
fn mainstay_answers_as_a_redis_with_such_users_does() {
    let server = locked(&[]);
    let users = [format!("user app on >{APP} ~* &* +@all"), format!("user default on >{DEFAULT} ~* &* +@all")];
    let redis = Redis::start(&[&users[0], &users[1]]);
    let conversations: &[&[&[&str]]] = &[
        &[&["GET", "k"], &["PING"], &["SELECT", "1"], &["CLIENT", "SETNAME", "n"], &["MULTI"], &["SUBSCRIBE", "c"], &["RESET"]],
        &[&["AUTH"], &["AUTH", "a", "b", "c"], &["AUTH", APP], &["AUTH", "app", DEFAULT], &["AUTH", "nobody", APP], &["PING"]],
        &[&["AUTH", DEFAULT], &["SET", "k", "v"], &["AUTH", "app", "wrong"], &["GET", "k"], &["auth", "app", APP], &["GET", "k"]],
        &[&["HELLO"], &["HELLO", "3"], &["HELLO", "4"], &["HELLO", "x"], &["HELLO", "03"], &["HELLO", "9999999999999999999"]],
        &[&["HELLO", "3", "AUTH", "app"], &["HELLO", "3", "FOO"], &["HELLO", "3", "SETNAME"], &["HELLO", "3", "SETNAME", "n"]],
        &[&["HELLO", "3", "AUTH", "app", "wrong"], &["HELLO", "3", "AUTH", "app", APP, "SETNAME", "n"], &["GET", "no"]],
        &[
            &["HELLO", "2", "SETNAME", "n", "AUTH", "app", APP],
            &["CLIENT", "GETNAME"],
            &["HELLO"],
            &["HELLO", "3"],
            &["GET", "no"],
        ],
        &[&["HELLO", "3", "AUTH", "app", APP], &["GET", "no"], &["RESET"], &["GET", "no"], &["AUTH", DEFAULT], &["GET", "no"]],
        &[&["AUTH", DEFAULT], &["SELECT", "3"], &["SET", "three", "1"], &["RESET"], &["AUTH", DEFAULT], &["GET", "three"]],
        &[
            &["AUTH", DEFAULT],
            &["MULTI"],
            &["SET", "k", "w"],
            &["RESET"],
            &["EXEC"],
            &["AUTH", DEFAULT],
            &["EXEC"],
            &["GET", "k"],
        ],
        &[&["AUTH", DEFAULT], &["RESET", "x"], &["GET", "no"], &["HELLO", "3", "AUTH", "app"], &["HELLO", "7"], &["GET", "no"]],
        &[&["AUTH", DEFAULT], &["SUBSCRIBE", "c"], &["RESET"], &["SUBSCRIBE", "c"]],
        &[&["QUIT"]],
        &[&["AUTH", APP], &["QUIT"]],
    ];
    for way in WAYS {
        let mainstay = guarded([&server], way).start_on(&server);
        for steps in conversations {
            assert_eq!(conversation(&mainstay.listen, steps), conversation(&redis.address(), steps), "{way} {steps:?}");
        }
    }
}

#[test]
fn a_pipeline_with_a_login_in_it_is_answered_in_order() {
    let server = locked(&[]);
    for way in WAYS {
        let mainstay = guarded([&server], way).start_on(&server);
        let mut client = mainstay.client();
        let mut bytes = Vec::new();
        for words in [
            &["GET", "k"][..],
            &["AUTH", "app", APP],
            &["SET", "k", "1"],
            &["INCR", "k"],
            &["AUTH", "wrong"],
            &["INCR", "k"],
            &["RESET"],
            &["INCR", "k"],
            &["AUTH", DEFAULT],
            &["INCR", "k"],
        ] {
            bytes.extend(harness::client::command(words));
        }
        client.send(&bytes).unwrap();
        let replies: Vec<String> = (0..10).map(|_| client.reply(PATIENCE).expect("a reply").text()).collect();
        let starts: Vec<&str> = replies.iter().map(|reply| reply.split(' ').next().unwrap()).collect();
        assert_eq!(starts, ["NOAUTH", "OK", "OK", "2", "WRONGPASS", "3", "RESET", "NOAUTH", "OK", "4"], "{way}");
    }
}

#[test]
fn the_server_sees_mainstay_alone_and_hears_no_password_of_a_client() {
    let server = locked(&[]);
    let relay = Recorder::relay(&server.address());
    for way in WAYS {
        let mut setup = guarded([&server], way);
        setup.backends = vec![relay.address()];
        let mainstay = setup.start();
        mainstay.wait_for_primary(&relay.address());
        let mut clients: Vec<Client> = (0..4).map(|_| mainstay.client()).collect();
        for (number, client) in clients.iter_mut().enumerate() {
            let login = if number % 2 == 0 { &["AUTH", "app", APP][..] } else { &["AUTH", DEFAULT] };
            client.must(login);
            assert_eq!(client.must(&["ACL", "WHOAMI"]).text(), "mainstay", "{way}");
            client.ask(&["AUTH", "app", "not-the-word"]).unwrap();
            client.send(&harness::client::command(&["HELLO", "2", "AUTH", "app", APP, "SETNAME", "me"])).unwrap();
            client.reply(PATIENCE).expect("a greeting");
            client.must(&["SET", "k", "v"]);
        }
        for word in [APP, DEFAULT, "not-the-word"] {
            assert_eq!(relay.count(word, None), 0, "{way}");
        }
        assert!(relay.count(OWN, None) > 0);
    }
}

#[test]
fn who_has_logged_in_stays_so_when_the_primary_changes() {
    let own = format!("user mainstay on >{OWN} ~* &* +@all");
    let primary = locked(&[]);
    let replica = Redis::replica_of(&primary, &[&own]);
    for way in WAYS {
        let (from, to) = if primary.is_master() { (&primary, &replica) } else { (&replica, &primary) };
        let mainstay = guarded([&primary, &replica], way).start_on(from);
        let mut clients: Vec<Client> = (0..6).map(|_| mainstay.client()).collect();
        for client in &mut clients {
            client.must(&["AUTH", "app", APP]);
            client.must(&["SELECT", "2"]);
        }
        clients[0].must(&["SET", "k", "v"]);
        let mut outside = mainstay.client();
        from.failover_to(to);
        mainstay.wait_for_primary(&to.address());
        for client in &mut clients {
            assert_eq!(client.must(&["GET", "k"]).text(), "v", "{way}");
        }
        assert!(outside.ask(&["GET", "k"]).unwrap().text().starts_with("NOAUTH"));
    }
}

#[test]
fn where_mainstay_itself_is_locked_out_that_is_said_in_the_log_and_the_client_hears_no_more_than_it_must() {
    let server = locked(&[]);
    for way in WAYS {
        let mut setup = guarded([&server], way).environment("STALE", "a-word-of-yesterday");
        setup.more += "\nusername = \"mainstay\"\npassword_env = \"STALE\"";
        let mainstay = setup.expecting(&[&["refuses the login that [listener.auth] has for it"]]).start_on(&server);
        let mut client = mainstay.client();
        client.must(&["AUTH", "app", APP]);
        for _ in 0..3 {
            let reply = client.ask(&["GET", "k"]).expect("the connection stays").text();
            assert_eq!(reply, "MASTERDOWN mainstay: the primary does not let it in; its log says why", "{way}");
        }
        wait_until(PATIENCE, "the log says so", || mainstay.log.has("refuses the login that [listener.auth] has for it"));
        assert!(!mainstay.log.has("a-word-of-yesterday"));
        // It is nothing that the group as a whole suffers from.
        server.command(&["ACL", "SETUSER", "mainstay", ">a-word-of-yesterday"]);
        wait_until(PATIENCE, "it works again", || client.ask(&["GET", "k"]).is_ok_and(|reply| !reply.is_error()));
        server.command(&["ACL", "SETUSER", "mainstay", "<a-word-of-yesterday"]);
    }
}

#[test]
fn a_changed_list_of_users_holds_for_who_logs_in_from_then_on_on_old_connections_too() {
    let server = locked(&[]);
    let mut mainstay = guarded([&server], WAYS[0]).start_on(&server);
    let (mut inside, mut outside) = (mainstay.client(), mainstay.client());
    inside.must(&["AUTH", "app", APP]);
    assert!(outside.ask(&["PING"]).unwrap().is_error());
    mainstay.setup.more = format!("[listener.auth]\nusers = [\"{}\"]", user("app", "another-word"));
    assert_eq!(mainstay.reload().0, 200);
    assert_eq!(inside.must(&["PING"]).text(), "PONG");
    for client in [&mut outside, &mut mainstay.client()] {
        assert!(client.ask(&["AUTH", "app", APP]).unwrap().text().starts_with("WRONGPASS"));
        client.must(&["AUTH", "app", "another-word"]);
    }
    assert!(inside.ask(&["AUTH", "app", APP]).unwrap().text().starts_with("WRONGPASS"));
    assert_eq!(inside.must(&["PING"]).text(), "PONG");
}

#[test]
fn who_does_not_log_in_is_let_go_after_half_a_minute_however_slowly_it_says_something() {
    let server = locked(&[]);
    let mainstay = guarded([&server], WAYS[0]).start_on(&server);
    let (mut silent, mut slow, mut chatty, mut inside) =
        (mainstay.client(), mainstay.client(), mainstay.client(), mainstay.client());
    inside.must(&["AUTH", "app", APP]);
    let begun = std::time::Instant::now();
    let login = harness::client::command(&["AUTH", "app", APP]);
    let mut bytes = login.iter().cycle();
    // One byte a second.
    while begun.elapsed() < Duration::from_secs(27) {
        slow.send(&[*bytes.next().unwrap()]).expect("it stands");
        assert!(chatty.ask(&["PING"]).expect("it stands").is_error());
        std::thread::sleep(Duration::from_secs(1));
    }
    for client in [&mut silent, &mut slow, &mut chatty] {
        assert_ne!(client.end(Duration::from_secs(10)), Gone::Silent);
    }
    assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
    assert_eq!(inside.must(&["PING"]).text(), "PONG");
    wait_until(PATIENCE, "it is counted", || mainstay.metric("mainstay_sessions_closed_total", &["reason=\"refused\""]) == 3.0);
    wait_until(PATIENCE, "only one is left", || mainstay.metric("mainstay_sessions", &[]) == 1.0);
}
