//! deny_commands.

use crate::*;

const DENIES: &str = "deny_commands = [\"FLUSHALL\", \"config|set\", \"Debug\"]";

fn denying(server: &Redis, way: &str) -> Mainstay {
    Setup::of([server]).listener(&format!("{way}\n{DENIES}")).start_on(server)
}

#[test]
fn denied_commands_are_answered_with_noperm_and_do_nothing() {
    let server = Redis::start(&[]);
    for way in WAYS {
        let mainstay = denying(&server, way);
        let mut client = mainstay.client();
        client.must(&["SET", "k", "v"]);
        for words in [&["FLUSHALL"][..], &["flushall", "ASYNC"], &["CONFIG", "SET", "maxmemory", "1"], &["DEBUG", "SLEEP", "9"]] {
            assert!(client.ask(words).unwrap().text().starts_with("NOPERM mainstay: the command '"), "{words:?}");
        }
        client.send(b"FlushAll\r\n\"flush\\x61ll\" async\r\n").unwrap();
        for _ in 0..2 {
            assert!(client.reply(PATIENCE).unwrap().text().starts_with("NOPERM"));
        }
        assert_eq!(client.must(&["CONFIG", "GET", "maxmemory"]).items()[1].text(), "0");
        assert_eq!(client.must(&["GET", "k"]).text(), "v", "{way}");
        assert_eq!(mainstay.metric("mainstay_denied_total", &["what=\"command\""]), 6.0);
    }
}

#[test]
fn a_transaction_with_a_denied_command_is_not_executed() {
    let server = Redis::start(&[]);
    for way in WAYS {
        let mainstay = denying(&server, way);
        let mut client = mainstay.client();
        for watches in [false, true] {
            client.must(&["SET", "n", "0"]);
            if watches {
                client.must(&["WATCH", "n"]);
            }
            let mut bytes = Vec::new();
            for words in [
                &["MULTI"][..],
                &["INCR", "n"],
                &["FLUSHALL"],
                &["INCR", "n"],
                &["EXEC"],
                &["GET", "n"],
                &["MULTI"],
                &["INCR", "n"],
                &["EXEC"],
            ] {
                bytes.extend(harness::client::command(words));
            }
            client.send(&bytes).unwrap();
            let replies: Vec<String> =
                (0..9).map(|_| client.reply(PATIENCE).unwrap()).map(|reply| format!("{reply:?}")).collect();
            for (reply, part) in
                replies.iter().zip(["OK", "QUEUED", "NOPERM", "QUEUED", "EXECABORT", "[48]", "OK", "QUEUED", "Int(1)"])
            {
                assert!(reply.contains(part), "{way} {part}: {replies:?}");
            }
            // One after the other.
            client.must(&["MULTI"]);
            assert!(client.ask(&["config", "set", "maxmemory", "1"]).unwrap().text().starts_with("NOPERM"));
            client.must(&["INCR", "n"]);
            assert!(client.ask(&["EXEC"]).unwrap().text().starts_with("EXECABORT"), "{way}");
            assert_eq!(client.must(&["GET", "n"]).text(), "1");
            client.must(&["MULTI"]);
            assert!(client.ask(&["FLUSHALL"]).unwrap().text().starts_with("NOPERM"));
            client.must(&["DISCARD"]);
        }
    }
}

#[test]
fn no_name_that_the_server_takes_for_a_denied_one_gets_through() {
    // A server finds a name by a hash of all its bytes and compares those before a NUL: of many such names some are found.
    const NAMES: usize = 4000;
    let server = Redis::start(&[]);
    let attack = || {
        let name = |number: usize| format!("FLUSHALL\0{number}");
        (0..NAMES).flat_map(|number| harness::client::command(&[&name(number)])).collect::<Vec<u8>>()
    };
    let tried = |client: &mut Client| {
        client.must(&["SET", "k", "v"]);
        client.send(&attack()).unwrap();
        let done = (0..NAMES).filter(|_| !client.reply(PATIENCE).expect("a reply").is_error()).count();
        (done, client.ask(&["GET", "k"]).unwrap().text())
    };
    let (direct, _) = tried(&mut server.client());
    for way in WAYS {
        let mainstay = denying(&server, way);
        assert_eq!(tried(&mut mainstay.client()), (0, "v".into()), "{way}; {direct} were executed without mainstay");
    }
}

#[test]
fn what_follows_on_a_connection_that_is_no_conversation_any_more_cannot_evade() {
    let server = Redis::start(&[]);
    let mainstay = denying(&server, WAYS[0]);
    let mut client = mainstay.client();
    client.must(&["SET", "k", "v"]);
    for words in [&["MONITOR"][..], &["CLIENT", "REPLY", "OFF"], &["PSYNC", "?", "-1"], &["SYNC"], &["SCRIPT", "DEBUG", "SYNC"]] {
        assert!(client.ask(words).unwrap().text().starts_with("NOPERM mainstay: what follows"), "{words:?}");
        assert!(client.ask(&["FLUSHALL"]).unwrap().is_error());
    }
    assert_eq!(client.must(&["GET", "k"]).text(), "v");
}

#[test]
fn before_login_a_denied_command_is_answered_as_any_other() {
    let server = locked(&[]);
    let mainstay = guarded([&server], &format!("{}\n{DENIES}", WAYS[0])).start_on(&server);
    let mut client = mainstay.client();
    for words in [&["FLUSHALL"][..], &["GET", "k"], &["MONITOR"], &["FLUSHALL\0x"]] {
        assert_eq!(client.ask(words).unwrap().text(), "NOAUTH Authentication required.");
    }
    client.must(&["AUTH", "app", APP]);
    assert!(client.ask(&["FLUSHALL"]).unwrap().text().starts_with("NOPERM"));
    assert!(client.ask(&["MONITOR"]).unwrap().text().starts_with("NOPERM"));
}
