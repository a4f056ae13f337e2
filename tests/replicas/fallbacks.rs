//! No replica is in step, or the one that was becomes the primary.

use super::*;

const REFUSE: &str = "fallback = \"refuse\"";

#[test]
fn without_a_replica_readers_go_to_the_primary_and_stay_there_in_tcp_mode() {
    for mode in MODES {
        let mut family = Redis::family(1);
        let mut mainstay = readers(&family, mode, "");
        mainstay.expect(DOWN);
        let primary = family[0].port.to_string();
        family[1].kill9();
        wait_unusable(&mainstay, &family[1]);
        let mut client = mainstay.client();
        assert_eq!(port_read(&mut client), primary, "{mode}");
        come_back(&mut family);
        family[1].wait_for_link();
        wait_usable(&mainstay, &family[1]);
        assert_eq!(port_read(&mut mainstay.client()), family[1].port.to_string(), "{mode}");
        if mode == TCP {
            assert_eq!(port_read(&mut client), primary, "nobody is moved for that");
        } else {
            let replica = family[1].port.to_string();
            wait_until(PATIENCE, "it goes back between requests", || port_read(&mut client) == replica);
        }
    }
}

#[test]
fn a_listener_that_reads_never_writes_not_even_at_the_primary() {
    for mode in [REDIS, SHARED] {
        let mut family = Redis::family(1);
        let mut mainstay = readers(&family, mode, "");
        mainstay.expect(DOWN);
        let mut client = mainstay.client();
        assert_eq!(client.must(&["READONLY"]), Reply::ok());
        assert!(client.ask(&["READWRITE"]).is_ok_and(|reply| reply.is_error() && reply.text().contains("only reads")));
        let refused = |client: &mut Client, words: &[&str]| {
            let reply = client.ask(words).expect("the connection stays open");
            assert!(reply.is_error() && reply.text().starts_with("READONLY"), "{mode} {words:?}: {reply:?}");
        };
        let script = ["EVAL", "return redis.call('SET', KEYS[1], '1')", "1", "written"];
        refused(&mut client, &["SET", "written", "1"]);
        refused(&mut client, &script);
        assert_eq!(client.must(&["EVAL", "return 7", "0"]), Reply::Int(7), "a script that reads may run at a replica");
        family[1].kill9();
        wait_unusable(&mainstay, &family[1]);
        refused(&mut client, &["SET", "written", "1"]);
        refused(&mut client, &script);
        client.must(&["MULTI"]);
        refused(&mut client, &["INCR", "written"]);
        client.must(&["GET", "written"]);
        assert!(client.ask(&["EXEC"]).is_ok_and(|reply| reply.text().starts_with("EXECABORT")));
        assert_eq!(client.must(&["EXISTS", "written"]), Reply::Int(0));
        assert_eq!(family[0].command(&["EXISTS", "written"]), Reply::Int(0));
    }
}

#[test]
fn with_refuse_readers_wait_for_a_replica_and_are_then_refused() {
    for mode in MODES {
        let mut family = Redis::family(1);
        let mut mainstay = readers(&family, mode, REFUSE);
        mainstay.expect(DOWN);
        family[1].kill9();
        wait_unusable(&mainstay, &family[1]);
        let begun = std::time::Instant::now();
        let mut waits = mainstay.client();
        waits.send(&client::command(&["PING"])).expect("open");
        match waits.reply(PATIENCE) {
            Ok(reply) => {
                assert!(
                    mode != TCP && reply.text().starts_with("MASTERDOWN mainstay: no replica of group jobs is in step"),
                    "{reply:?}"
                );
                assert!(reply.text().contains(&family[1].address()), "{reply:?}");
            }
            Err(_) => assert_eq!(mode, TCP),
        }
        assert!(begun.elapsed() < ms(4000), "the window is counted from the loss");
        come_back(&mut family);
        family[1].wait_for_link();
        wait_usable(&mainstay, &family[1]);
        if mode == TCP {
            waits = mainstay.client();
        }
        assert_eq!(port_read(&mut waits), family[1].port.to_string(), "{mode}");
        family[1].kill9();
        wait_unusable(&mainstay, &family[1]);
        let mut waits = mainstay.client();
        waits.send(&client::command(&WHO)).expect("open");
        come_back(&mut family);
        let reply = waits.reply(PATIENCE).expect("it was in time");
        assert_eq!(port_of(&reply), family[1].port.to_string(), "{mode}");
    }
}

#[test]
fn a_promoted_replica_keeps_its_readers_by_the_one_switch_and_loses_them_by_the_other() {
    for mode in MODES {
        for fallback in ["fallback = \"primary\"", REFUSE] {
            let family = Redis::family(2);
            family[0].command(&["SET", "whose", "ours"]);
            family.iter().skip(1).for_each(|replica| replica.wait_in_step(&family[0]));
            let mut mainstay = readers(&family, mode, fallback);
            mainstay.expect(CONFLICT);
            let mut clients: Vec<(Client, String)> = (0..4)
                .map(|_| {
                    let mut client = mainstay.client();
                    let port = port_read(&mut client);
                    (client, port)
                })
                .collect();
            let promoted = family[1].port.to_string();
            assert!(clients.iter().any(|(_, port)| *port == promoted));
            family[1].promote();
            mainstay.wait_for_primary(&family[1].address());
            family[2].follow(&family[1]);
            for (client, port) in &mut clients {
                let keeps = *port != promoted || fallback != REFUSE || mode != TCP;
                match client.ask(&["GET", "whose"]) {
                    Ok(reply) => assert!(keeps && reply == Reply::bulk("ours"), "{mode} {fallback} {port}: {reply:?}"),
                    Err(gone) => assert!(!keeps, "{mode} {fallback} {port}: {gone:?}"),
                }
                if keeps && mode == TCP {
                    assert_eq!(port_read(client), *port, "{fallback}: a session in tcp mode stays where it is");
                }
            }
        }
    }
}

#[test]
fn a_rival_loses_its_readers_at_once() {
    for mode in MODES {
        let family = Redis::family(2);
        // Whoever may never be promoted proves nothing.
        family[1].command(&["CONFIG", "SET", "replica-priority", "0"]);
        let mut mainstay = readers(&family, mode, "");
        mainstay.expect(CONFLICT);
        let mut clients: Vec<Client> = (0..4).map(|_| mainstay.client()).collect();
        clients.iter_mut().for_each(|client| drop(port_read(client)));
        family[1].promote();
        wait_unusable(&mainstay, &family[1]);
        assert_eq!(mainstay.primary(), Some(family[0].address()));
        family[1].command(&["SET", "whose", "nobody's"]);
        for client in &mut clients {
            match client.ask(&["GET", "whose"]) {
                Ok(reply) => assert_eq!(reply, Reply::Bulk(None), "{mode}"),
                Err(_) => assert_eq!(mode, TCP),
            }
        }
    }
}

#[test]
fn a_reload_changes_the_rules_for_new_sessions_and_the_present_ones_stay_watched() {
    for mode in MODES {
        let mut family = Redis::family(1);
        let mut mainstay = readers(&family, mode, REFUSE);
        let mut before = mainstay.client();
        assert_eq!(port_read(&mut before), family[1].port.to_string());
        mainstay.setup = setup(&family, mode, "fallback = \"primary\"");
        mainstay.expect(DOWN);
        let (code, text) = mainstay.reload();
        assert_eq!(code, 200, "{text}");
        let mut after = mainstay.client();
        assert_eq!(port_read(&mut after), family[1].port.to_string());
        family[1].kill9();
        wait_unusable(&mainstay, &family[1]);
        let primary = family[0].port.to_string();
        if mode == TCP {
            after = mainstay.client();
            assert_ne!(before.end(PATIENCE), Gone::Silent);
        } else {
            let reply = before.ask(&["PING"]).expect("open");
            assert!(reply.text().starts_with("MASTERDOWN"), "{mode}: it still goes by `refuse`: {reply:?}");
        }
        assert_eq!(port_read(&mut after), primary, "{mode}");
    }
}
