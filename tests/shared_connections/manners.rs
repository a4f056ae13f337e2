//! What a client may rely on is as it would be on a connection of its own.

use super::pins::{connect, shared};
use super::wire::{Connection, Lost, Value, encode};
use crate::SHARED;
use crate::harness::*;

/// Conversations, one command a line. Through mainstay and straight they go alike.
const CONVERSATIONS: &[&str] = &[
    // Transactions that go wrong, command by command.
    "MULTI\nGET\nSET k v\nEXEC\nGET k",
    "MULTI\nNOSUCH a b\nEXEC\nECHO after",
    "MULTI\nSET k v\nDISCARD\nGET k",
    "MULTI\nMULTI\nSET k v\nEXEC",
    "MULTI\nWATCH k\nEXEC",
    "EXEC\nDISCARD\nUNWATCH\nPING",
    "MULTI\nSET k v\nINCR k\nGET k\nEXEC\nGET k",
    "MULTI\nEXEC",
    "MULTI extra\nSET k v\nMULTI\nEXEC extra\nEXEC\nGET k",
    "MULTI\nSELECT 2\nSET k two\nEXEC\nGET k\nSELECT 0\nGET k",
    "MULTI\nCLIENT SETNAME inside\nEXEC\nCLIENT GETNAME",
    "MULTI\nSUBSCRIBE ch\nEXEC\nUNSUBSCRIBE ch",
    "MULTI\nBLPOP none 0\nEXEC",
    "MULTI\nHELLO 3\nECHO x\nEXEC\nGET nil",
    "MULTI\nEVAL return(1) 0\nEVALSHA ffffffffffffffffffffffffffffffffffffffff 0\nEXEC",
    "MULTI\nSET k v\nRESET\nGET k\nEXEC",
    "WATCH k\nSET k mine\nMULTI\nGET k\nEXEC",
    "WATCH k\nUNWATCH\nSET k mine\nMULTI\nGET k\nEXEC",
    // What the connection is.
    "CLIENT GETNAME\nCLIENT SETNAME me\nCLIENT GETNAME\nCLIENT SETNAME with-a-longer-name\nCLIENT GETNAME\nRESET\nCLIENT GETNAME",
    "SELECT 3\nSET k three\nSELECT 0\nGET k\nSELECT 3\nGET k\nSELECT 99\nGET k\nSELECT x\nGET k",
    "AUTH alice wrong\nGET k\nAUTH alice apw\nSET a:k v\nGET k\nGET a:k\nACL WHOAMI",
    "HELLO 3\nGET nil\nHSET h f v\nHGETALL h\nHELLO 2\nHGETALL h\nGET nil\nHELLO 4\nGET nil\nHELLO 3 AUTH alice wrong\nGET nil",
    "HELLO 3\nHELLO 3 SETNAME named\nCLIENT GETNAME\nRESET\nGET nil\nCLIENT GETNAME",
    "CLIENT NO-EVICT ON\nGET k\nCLIENT NO-EVICT OFF\nCLIENT NOSUCH\nCLIENT\nCLIENT SETNAME",
    "CLIENT REPLY ON\nCLIENT TRACKING ON\nCLIENT TRACKINGINFO\nCLIENT CACHING YES\nCLIENT GETREDIR",
    // Subscriptions.
    "SUBSCRIBE a\nUNSUBSCRIBE\nGET k",
    "SUBSCRIBE a\nGET k\nPING\nPING x\nUNSUBSCRIBE a\nPING\nGET k",
    "UNSUBSCRIBE\nPUNSUBSCRIBE\nUNSUBSCRIBE a\nGET k",
    "HELLO 3\nSUBSCRIBE a\nGET nil\nSET k v\nUNSUBSCRIBE a\nGET k",
    "SUBSCRIBE a\nPSUBSCRIBE b*\nUNSUBSCRIBE a\nPUNSUBSCRIBE b*\nECHO x",
    "SUBSCRIBE a\nRESET\nGET k",
    // Blocking.
    "RPUSH q one two\nBLPOP q 1\nBRPOP q 1\nBLPOP q 0.05\nECHO x",
    "BLPOP q notanumber\nBLPOP q -1\nBLPOP\nSET s v\nBLPOP s 1\nECHO x",
    "XADD st 1-1 f v\nXREAD BLOCK 50 STREAMS st 0\nXREAD BLOCK 50 STREAMS st $\nXREAD STREAMS st 0\nECHO x",
    "BLMOVE q r LEFT RIGHT 0.05\nBZPOPMIN z 0.05\nBLMPOP 0.05 1 q LEFT\nECHO x",
    // Scripts, cursors, errors, odd replies.
    "EVAL return{1,2,{3}} 0\nEVAL return(redis.status_reply('FINE')) 0\nEVAL return(redis.error_reply('BAD')) 0\nEVAL x 0",
    "SCRIPT LOAD return(7)\nEVALSHA_RO ffffffffffffffffffffffffffffffffffffffff 0\nSCRIPT EXISTS ffffffffffffffffffffffffffffffffffffffff",
    "SADD s a b c\nSSCAN s 0 COUNT 100\nSCAN 0 COUNT 1000 MATCH nothing*\nSCAN x\nHSCAN none 0",
    "SET k v\nLPUSH k x\nINCR k\nGET\nGET a b\nNOSUCH\nECHO\nPING x\nPING x y",
    "SET e \nGET e\nGET none\nLRANGE none 0 -1\nLPOP none 2\nSMEMBERS none\nHGETALL none\nMGET none e",
    "OBJECT ENCODING none\nOBJECT NOSUCH\nCONFIG GET maxmemory-policy\nCOMMAND COUNT\nDBSIZE\nLOLWUT VERSION",
    "WAIT 0 0\nSET k v\nWAIT 0 0\nWAIT x\nECHO x",
    "DEBUG SLEEP 0\nDEBUG NOSUCHTHING\nECHO x",
    "SORT none\nGETDEL none\nGETEX none\nSET k v GET\nSET k v GET NX\nEXPIRE k 100\nPERSIST k\nTYPE k",
    "QUIT",
    "SET k v\nQUIT",
    "MULTI\nSET k v\nQUIT",
    "SUBSCRIBE a\nQUIT",
];

/// The replies to a conversation; an end of the connection counts as one.
fn converse(mut connection: Connection, commands: &[Vec<String>], piecemeal: bool) -> Vec<Result<Value, Lost>> {
    let count = commands.len();
    let mut replies = Vec::new();
    if !piecemeal {
        let all: Vec<u8> = commands.iter().flat_map(|words| encode(words)).collect();
        connection.send(&all).expect("the connection stands");
        replies.extend((0..count).map(|_| connection.reply(PATIENCE)));
    } else {
        for words in commands {
            let _ = connection.send(&encode(words));
            replies.push(connection.reply(PATIENCE));
        }
    }
    // Beyond the last reply nothing comes, but for the end after QUIT.
    let _ = connection.send(&encode(&["ECHO".into(), "the end".into()]));
    replies.push(connection.reply(PATIENCE));
    replies
}

/// What is another one each time is left out: the id of the connection, deep inside too.
fn without_chance(replies: Vec<Result<Value, Lost>>) -> Vec<Result<Value, Lost>> {
    replies.into_iter().map(|reply| reply.map(without_id)).collect()
}

fn without_id(value: Value) -> Value {
    let mut after_id = false;
    let mut clean = |items: Vec<Value>| {
        let each = items.into_iter().map(|item| {
            let item = if std::mem::take(&mut after_id) { Value::Int(0) } else { without_id(item) };
            after_id = item == Value::Bulk("id".into());
            item
        });
        each.collect()
    };
    match value {
        Value::Array(items) => Value::Array(clean(items)),
        Value::Map(items) => Value::Map(clean(items)),
        other => other,
    }
}

#[test]
fn conversations_go_as_they_would_straight_to_the_server() {
    let _alone = crate::alone();
    let server = Redis::start(&["user alice on >apw ~a:* &* +@all"]);
    let mainstay = shared(&server);
    // Somebody shares beside it all the time.
    let mut neighbour = connect(&mainstay);
    let straight = || Connection::open(server.address().parse().expect("host:port")).expect("the server listens");
    let mut different = Vec::new();
    for conversation in CONVERSATIONS {
        let commands: Vec<Vec<String>> = conversation.lines().map(|line| line.split(' ').map(str::to_owned).collect()).collect();
        for piecemeal in [true, false] {
            server.command(&["FLUSHALL"]);
            let wanted = without_chance(converse(straight(), &commands, piecemeal));
            server.command(&["FLUSHALL"]);
            let got = without_chance(converse(connect(&mainstay), &commands, piecemeal));
            assert_eq!(neighbour.ask(&["ECHO", conversation]), Ok(Value::Bulk((*conversation).into())));
            for (place, (wanted, got)) in wanted.iter().zip(&got).enumerate() {
                if wanted != got {
                    let what = commands.get(place).map(|words| words.join(" ")).unwrap_or_default();
                    different
                        .push(format!("{conversation:?}, piecemeal {piecemeal}: {what:?}\n  {got:?}\n  straight {wanted:?}"));
                    break;
                }
            }
        }
    }
    assert!(different.is_empty(), "{} different:\n{}", different.len(), different.join("\n"));
}

#[track_caller]
fn must(connection: &mut Connection, words: &[&str]) -> Value {
    connection.ask(words).expect("a reply")
}

fn bulk(text: &str) -> Value {
    Value::Bulk(text.into())
}

#[test]
fn a_watched_key_that_a_neighbour_changes_makes_exec_nil() {
    let _alone = crate::alone();
    let server = Redis::start(&[]);
    let mainstay = shared(&server);
    let (mut one, mut neighbour) = (connect(&mainstay), connect(&mainstay));
    for (version, nil) in [("2", b'*'), ("3", b'_')] {
        must(&mut one, &["HELLO", version]);
        must(&mut one, &["WATCH", "k"]);
        must(&mut neighbour, &["INCR", "k"]);
        must(&mut one, &["MULTI"]);
        must(&mut one, &["SET", "k", "mine"]);
        assert_eq!(must(&mut one, &["EXEC"]), Value::Nil(nil));
        // The next transaction is another one.
        must(&mut one, &["MULTI"]);
        must(&mut one, &["INCR", "k"]);
        assert!(matches!(must(&mut one, &["EXEC"]), Value::Array(items) if matches!(items[0], Value::Int(_))));
    }
}

#[test]
fn subscribers_hear_what_sessions_that_share_publish_and_nobody_else_does() {
    let _alone = crate::alone();
    let server = Redis::start(&[]);
    let mainstay = shared(&server);
    let (mut two, mut three, mut neighbour) = (connect(&mainstay), connect(&mainstay), connect(&mainstay));
    must(&mut two, &["SUBSCRIBE", "news"]);
    must(&mut three, &["HELLO", "3"]);
    must(&mut three, &["SUBSCRIBE", "news"]);
    for number in 0..100 {
        let text = number.to_string();
        assert_eq!(must(&mut neighbour, &["PUBLISH", "news", &text]), Value::Int(2));
        assert_eq!(must(&mut neighbour, &["ECHO", &text]), bulk(&text));
        let message = ["message", "news", &text].map(bulk).to_vec();
        assert_eq!(two.reply(PATIENCE), Ok(Value::Array(message.clone())));
        assert_eq!(three.reply(PATIENCE), Ok(Value::Push(message)));
        // In RESP3 it goes on asking.
        assert_eq!(must(&mut three, &["ECHO", &text]), bulk(&text));
    }
}

#[test]
fn who_tracks_is_told_what_sessions_that_share_change() {
    let _alone = crate::alone();
    let server = Redis::start(&[]);
    let mainstay = shared(&server);
    let (mut one, mut neighbour) = (connect(&mainstay), connect(&mainstay));
    must(&mut one, &["HELLO", "3"]);
    must(&mut one, &["CLIENT", "TRACKING", "ON"]);
    for number in 0..10 {
        must(&mut one, &["GET", "k"]);
        must(&mut neighbour, &["SET", "k", &number.to_string()]);
        let invalid = vec![bulk("invalidate"), Value::Array(vec![bulk("k")])];
        assert_eq!(one.reply(PATIENCE), Ok(Value::Push(invalid)));
    }
    must(&mut one, &["CLIENT", "TRACKING", "OFF"]);
    must(&mut one, &["GET", "k"]);
    must(&mut neighbour, &["SET", "k", "again"]);
    assert_eq!(must(&mut one, &["GET", "k"]), bulk("again"), "and no message before it");
}

#[test]
fn each_is_told_its_own_name_and_nobody_is_muted_by_another() {
    let _alone = crate::alone();
    let server = Redis::start(&[]);
    let mainstay = shared(&server);
    let mut sessions: Vec<Connection> = (0..10).map(|_| connect(&mainstay)).collect();
    for (number, session) in sessions.iter_mut().enumerate().skip(1) {
        must(session, &["CLIENT", "SETNAME", &format!("name{number}")]);
    }
    for (number, session) in sessions.iter_mut().enumerate() {
        let name = if number == 0 { Value::Nil(b'$') } else { bulk(&format!("name{number}")) };
        assert_eq!(must(session, &["CLIENT", "GETNAME"]), name);
    }
    sessions[1].send(&encode(&["CLIENT", "REPLY", "OFF"].map(str::to_owned))).expect("sent");
    sessions[1].send(&encode(&["SET", "muted", "yes"].map(str::to_owned))).expect("sent");
    wait_until(PATIENCE, "what is asked without a reply is done", || server.command(&["GET", "muted"]) == Reply::bulk("yes"));
    for (number, session) in sessions.iter_mut().enumerate().skip(2) {
        assert_eq!(must(session, &["ECHO", &number.to_string()]), bulk(&number.to_string()));
    }
    assert_eq!(must(&mut sessions[1], &["CLIENT", "REPLY", "ON"]), Value::Status("OK".into()));
    assert_eq!(must(&mut sessions[1], &["ECHO", "heard again"]), bulk("heard again"));
    // One after the other says good-bye; the rest stay.
    for number in 0..10 {
        let (leaving, staying) = sessions.split_at_mut(number + 1);
        assert_eq!(must(&mut leaving[number], &["QUIT"]), Value::Status("OK".into()));
        assert_eq!(leaving[number].reply(PATIENCE), Err(Lost::Closed));
        staying.iter_mut().for_each(|session| assert_eq!(must(session, &["ECHO", "here"]), bulk("here")));
    }
}

#[test]
fn wait_counts_the_replicas_that_have_what_this_session_wrote() {
    let _alone = crate::alone();
    let family = Redis::family(1);
    let mainstay = Setup::of(&family)
        .runtime("workers = 1")
        .listener(SHARED)
        .expecting(&[expected::SILENT, expected::SHARED_LOST])
        .start_on(&family[0]);
    let (mut one, mut neighbour) = (connect(&mainstay), connect(&mainstay));
    must(&mut neighbour, &["SET", "before", "v"]);
    must(&mut one, &["SET", "k", "v"]);
    assert_eq!(must(&mut one, &["WAIT", "1", "5000"]), Value::Int(1));
    must(&mut one, &["SET", "k", "v"]);
    assert_eq!(must(&mut one, &["WAIT", "1", "5000"]), Value::Int(1));
    let mut late = connect(&mainstay);
    family[1].process.stop();
    must(&mut one, &["SET", "k", "unseen"]);
    assert_eq!(must(&mut one, &["WAIT", "1", "100"]), Value::Int(0), "a stopped replica has nothing of it");
    must(&mut late, &["SET", "k", "unseen over a shared connection"]);
    assert_eq!(must(&mut late, &["WAIT", "1", "100"]), Value::Int(0), "nor of what went over a shared connection");
    family[1].process.cont();
    assert_eq!(must(&mut one, &["WAIT", "1", "5000"]), Value::Int(1));
}
