//! Hostile input, rare failures, and bounds.

use super::*;

#[test]
fn a_fault_in_the_middle_of_a_large_request_is_told_although_the_server_waits_for_the_rest() {
    let mut talk = Talk::attached();
    talk.say("GET a");
    let mut large = b"*5\r\n$4\r\nMSET\r\n$1\r\na\r\n$100000\r\n".to_vec();
    large.extend_from_slice(&[b'x'; 100_000]);
    talk.turn(|conversation, turn| conversation.client_said(&large, turn)).expect("fine");
    talk.conversation.wrote(talk.conversation.pending().len());
    talk.turn(|conversation, turn| conversation.client_said(b"\r\n:1\r\n", turn)).expect("told in its turn");
    talk.conversation.wrote(talk.conversation.pending().len());
    talk.answers("$1\r\n1\r\n");
    assert_eq!(talk.hears(), "$1\r\n1\r\n-ERR Protocol error: expected '$', got ':'\r\n");
    assert!(talk.conversation.is_over());
}

#[test]
fn wait_is_no_write_itself() {
    let mut talk = Talk::attached();
    talk.say("WAIT 1 0");
    talk.sends();
    talk.answers(":1\r\n");
    talk.say("GET a");
    talk.sends();
    talk.lost().expect("a read");
    talk.move_on();
    talk.sends();
    talk.answers("$1\r\n1\r\n");
    talk.say("WAIT 1 0");
    assert_eq!(talk.sends(), "WAIT 1 0");
}

#[test]
fn much_that_is_asked_at_once_takes_no_longer_than_its_length() {
    let began = std::time::Instant::now();
    let mut talk = Talk::attached();
    let streams = 60_000;
    let words = ["XREAD", "BLOCK", "0", "STREAMS"].into_iter().chain(vec!["s"; streams]).chain(vec!["$"; streams]);
    let bytes = remembered::request(words);
    talk.turn(|conversation, turn| conversation.client_said(&bytes, turn)).expect("within bounds");
    let mut talk = Talk::attached();
    for _ in 0..200_000 {
        talk.turn(|conversation, turn| conversation.client_said(b"PING\r\n", turn)).expect("within bounds");
        talk.conversation.wrote(6);
    }
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
}

#[test]
fn a_password_that_a_server_repeats_is_not_told() {
    let mut talk = Talk::attached();
    talk.say("AUTH me secret");
    talk.sends();
    talk.answers("+OK\r\n");
    talk.say("GET a");
    talk.sends();
    talk.lost().expect("a read");
    talk.move_on();
    talk.sends();
    let reply = b"-ERR unknown command 'AUTH', with args beginning with: 'me' 'secret' \r\n";
    let close = talk.turn(|conversation, turn| conversation.upstream_said(reply, turn)).expect_err("refused");
    assert!(close.why.ends_with("ERR unknown command 'AUTH'"), "{}", close.why);
}

#[test]
fn a_transaction_with_a_discard_that_failed_is_aborted_also_by_the_next_primary() {
    let mut talk = Talk::attached();
    talk.say("MULTI; SET a 1; DISCARD now");
    talk.sends();
    talk.answers("+OK\r\n+QUEUED\r\n-ERR wrong number of arguments for 'discard' command\r\n");
    talk.hears();
    assert_eq!(talk.withdraw(Departure::Gone), Ok(Withdrawn::Drop));
    talk.say("GET b; EXEC");
    talk.move_on();
    assert_eq!(talk.sends(), "");
    assert!(talk.hears().starts_with("+QUEUED\r\n-EXECABORT"));
}

#[test]
fn what_is_behind_a_transaction_that_failed_is_not_taken_for_a_part_of_it() {
    let mut talk = Talk::attached();
    talk.say("SET z 1; MULTI; SET a 1; EXEC; PUBLISH c m");
    talk.sends();
    talk.answers(READONLY);
    talk.answers("+OK\r\n+QUEUED\r\n-EXECABORT Transaction discarded because of: OOM command not allowed.\r\n:1\r\n");
    assert_eq!(talk.withdraw(Departure::Demoted), Ok(Withdrawn::Drop));
    talk.move_on();
    assert_eq!(talk.sends(), "SET z 1; MULTI; SET a 1; EXEC", "PUBLISH was executed");
}

#[test]
fn cursors_of_the_last_server_are_known_within_bounds_and_those_of_other_connections_pass() {
    let mut talk = Talk::attached();
    for cursor in 1..1000 {
        talk.say("SCAN 0");
        talk.sends();
        talk.answers(&format!("*2\r\n${}\r\n{cursor}\r\n*0\r\n", cursor.to_string().len()));
    }
    assert_eq!(talk.withdraw(Departure::Demoted), Ok(Withdrawn::Drop));
    talk.say("SCAN 999");
    talk.move_on();
    talk.say("SCAN 998; SCAN 5; SCAN 4711");
    assert_eq!(talk.sends(), "SCAN 5; SCAN 4711", "another connection may have been given it by the present server");
    talk.answers("*2\r\n$3\r\n998\r\n*0\r\n");
    talk.say("SCAN 998");
    assert_eq!(talk.sends(), "SCAN 998", "now the present server gave it");
}

#[test]
fn a_blocking_command_that_waited_behind_another_request_can_be_ended_by_its_id() {
    let mut talk = Talk::new();
    talk.say("GET a; BRPOP q 0");
    talk.attach();
    assert_eq!(talk.sends(), "CLIENT ID");
    talk.answers(":7\r\n");
    assert_eq!(talk.sends(), "GET a");
    talk.answers("$1\r\n1\r\n");
    assert_eq!((talk.sends().as_str(), talk.conversation.blocked_as()), ("BRPOP q 0", Some(7)));
}

#[test]
fn a_doubt_does_not_end_in_the_middle_of_a_push() {
    let mut talk = Talk::attached();
    talk.say("SET z 1; SELECT 2");
    talk.sends();
    talk.answers("-NOREPLICAS Not enough good replicas to write.\r\n+OK\r\n>2\r\n$10\r\ninvalidate\r\n");
    assert_eq!(talk.turn(Conversation::primary_stays), Ok(Next::Continue));
    assert_eq!(talk.hears(), ">2\r\n$10\r\ninvalidate\r\n");
    assert_eq!(talk.turn(|conversation, turn| conversation.upstream_said(b"_\r\n", turn)), Ok(Next::DropUpstream(None)));
    assert_eq!(talk.hears(), "_\r\n-NOREPLICAS Not enough good replicas to write.\r\n");
}

#[test]
fn a_client_that_renames_itself_faster_than_it_is_answered_is_left_waiting() {
    let mut talk = Talk::attached();
    let name = "n".repeat(60_000);
    let mut asked = 0;
    while talk.conversation.accepts() {
        talk.say(&format!("CLIENT SETNAME {name}"));
        talk.sends();
        asked += 1;
        assert!(asked < 100, "each name is kept until it is known whether the server takes it");
    }
    talk.answers(&"+OK\r\n".repeat(asked));
    assert!(talk.conversation.accepts());
    talk.say("GET x");
    assert_eq!(talk.sends(), "GET x");
}

#[test]
fn a_script_that_was_named_by_digest_in_a_transaction_is_loaded_before_the_next_transaction_elsewhere() {
    let mut talk = Talk::attached();
    let digest = sha1_smol::Sha1::from("return.1").digest().to_string();
    talk.say("EVAL return.1 0");
    talk.sends();
    talk.answers(":1\r\n");
    talk.say(&format!("MULTI; EVALSHA {digest} 0; EXEC"));
    talk.sends();
    talk.answers("+OK\r\n+QUEUED\r\n*1\r\n:1\r\n");
    assert_eq!(talk.withdraw(Departure::Demoted), Ok(Withdrawn::Drop));
    talk.say("GET a");
    talk.move_on();
    assert_eq!(talk.sends(), "SCRIPT LOAD return.1", "there it could not be loaded when it is needed");
}

#[test]
fn what_is_kept_about_held_requests_counts_as_held() {
    let mut talk = Talk::new();
    let lines = b"a\n".repeat(10_000);
    talk.turn(|conversation, turn| conversation.client_said(&lines, turn)).expect("within bounds");
    let (conversation, kept) = (&talk.conversation, 10_000 * size_of::<request::Request>());
    assert_eq!((conversation.held_words(), conversation.held_bytes()), (20_000, 20_000 + kept));
    talk.turn(|conversation, turn| conversation.refuse("no primary", turn));
    assert_eq!(talk.conversation.held_bytes(), 0);
}

#[test]
fn a_client_that_pipelines_tiny_requests_without_end_is_left_waiting_and_not_closed() {
    let mut talk = Talk::attached();
    let mut asked = 0;
    while talk.conversation.accepts() && asked < 1 << 19 {
        talk.turn(|conversation, turn| conversation.client_said(b"a\nb\n", turn)).expect("the session goes on");
        talk.conversation.wrote(4);
        asked += 2;
    }
    assert!((150_000..1 << 18).contains(&asked), "{asked} requests are in flight");
    let replies = b"+OK\r\n".repeat(asked);
    talk.turn(|conversation, turn| conversation.upstream_said(&replies, turn)).expect("answered");
    assert!(talk.conversation.accepts() && talk.heard.answered == asked);
}

#[test]
fn a_client_is_left_waiting_where_mainstay_answers_much_behind_a_request_that_waits() {
    let mut talk = Talk::attached();
    talk.say("WATCH a");
    talk.sends();
    talk.answers("+OK\r\n");
    assert_eq!(talk.withdraw(Departure::Demoted), Ok(Withdrawn::Drop));
    talk.say("GET z; MULTI");
    let mut asked = 0;
    while talk.conversation.accepts() && asked < 1 << 19 {
        talk.turn(|conversation, turn| conversation.client_said(b"a\nb\n", turn)).expect("the session goes on");
        asked += 2;
    }
    assert!(asked < 50_000, "{asked} replies wait");
    talk.move_on();
    assert_eq!(talk.sends(), "GET z");
    talk.answers("$1\r\n1\r\n");
    assert!(talk.conversation.accepts() && talk.heard.answered == asked + 3);
}

#[test]
fn a_login_may_be_as_large_as_redis_takes_it_and_no_larger() {
    let mut talk = Talk::attached();
    talk.say(&format!("AUTH {}", "p".repeat(16_000)));
    assert_eq!(talk.sends().len(), 16_005);
    talk.answers("+OK\r\n");
    talk.hears();
    let too_large = "-ERR mainstay: such a command may have at most 16384 bytes\r\n";
    talk.say(&format!("AUTH {0}; HELLO 3 AUTH me {0}; GET a", "p".repeat(20_000)));
    assert_eq!((talk.hears(), talk.sends().as_str()), (too_large.repeat(2), "GET a"));
    talk.answers("$1\r\n1\r\n");
    talk.hears();
    let announced = b"*2\r\n$4\r\nAUTH\r\n$900000\r\n";
    talk.turn(|conversation, turn| conversation.client_said(announced, turn)).expect("told");
    for _ in 0..9 {
        talk.turn(|conversation, turn| conversation.client_said(&[b'p'; 100_000], turn)).expect("swallowed");
        assert_eq!(talk.conversation.queue.held(), 0);
    }
    talk.turn(|conversation, turn| conversation.client_said(b"\r\nPING\r\n", turn)).expect("swallowed");
    assert_eq!((talk.hears().as_str(), talk.sends().as_str()), (too_large, "PING"));
}

#[test]
fn a_script_that_another_session_named_by_digest_is_loaded_before_the_first_transaction_elsewhere() {
    let mut talk = Talk::attached();
    let digest = sha1_smol::Sha1::from("return.1").digest().to_string();
    talk.say(&format!("EVAL return.2 0; SCRIPT LOAD return.1; EVALSHA {digest} 0"));
    talk.sends();
    talk.answers(&format!(":2\r\n$40\r\n{digest}\r\n$40\r\n{digest}\r\n:1\r\n"));
    let mut other = Talk::attached();
    other.scripts = std::mem::take(&mut talk.scripts);
    assert_eq!(other.withdraw(Departure::Demoted), Ok(Withdrawn::Drop));
    other.say("GET a");
    other.move_on();
    assert_eq!(other.sends(), "GET a");
    other.answers("$1\r\n1\r\n");
    let transaction = format!("MULTI; EVALSHA {digest} 0; EXEC");
    other.say(&transaction);
    assert_eq!(other.sends(), format!("SCRIPT LOAD return.1; {transaction}"));
    other.answers(&format!("$40\r\n{digest}\r\n+OK\r\n+QUEUED\r\n*1\r\n:1\r\n"));
    other.hears();
    other.say(&transaction);
    assert_eq!(other.sends(), transaction);
}

/// In a transaction: each is kept until EXEC.
fn queues(talk: &mut Talk, command: &str) {
    talk.say(command);
    if !talk.sends().is_empty() {
        talk.turn(|conversation, turn| conversation.upstream_said(b"+QUEUED\r\n", turn)).expect("the session goes on");
    }
}

#[test]
fn what_changes_with_a_transaction_is_kept_within_bounds() {
    let mut talk = Talk::attached();
    talk.say("MULTI");
    talk.sends();
    talk.answers("+OK\r\n");
    for number in 0..100 {
        queues(&mut talk, &format!("CLIENT SETNAME {number}{}", "n".repeat(60_000)));
        queues(&mut talk, "SELECT 7");
        assert!(talk.conversation.failure().is_none(), "only the last name counts");
        assert!(!talk.conversation.transaction.as_mut().is_some_and(|transaction| transaction.changes_too_much()));
    }
    talk.hears();
    for number in 0..100 {
        queues(&mut talk, &format!("SUBSCRIBE {number}{}", "c".repeat(60_000)));
    }
    let close = talk.conversation.failure().expect("a session without end");
    assert_eq!(close.fault, Fault::Client);
    assert!(talk.hears().ends_with("-ERR mainstay: this transaction changes too much of its connection to be kept\r\n"));
    assert!(talk.conversation.is_over());
}

#[test]
fn what_failed_inside_a_transaction_is_not_replayed() {
    let mut talk = Talk::attached();
    talk.say("SELECT 1; MULTI; CLIENT SETNAME worker; GET a; SELECT 99; EXEC");
    talk.sends();
    talk.answers("+OK\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n");
    talk.hears();
    let executed = "*3\r\n+OK\r\n*2\r\n-x\r\n$1\r\n1\r\n-ERR DB index is out of range\r\n";
    talk.answers(executed);
    assert_eq!(talk.hears(), executed);
    talk.say("MULTI; SELECT 2; SELECT 99; EXEC");
    talk.sends();
    talk.answers("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n!9\r\nERR index\r\n");
    assert_eq!(talk.withdraw(Departure::Demoted), Ok(Withdrawn::Drop));
    talk.say("GET b");
    talk.move_on();
    assert_eq!(talk.sends(), "CLIENT SETNAME worker; SELECT 2");
}
