//! [`Conversation::upstream_replied`] is [`Conversation::upstream_said`], only faster.

use super::*;
use proptest::prelude::*;

fn frame() -> impl Strategy<Value = String> {
    let line = "[a-zA-Z0-9# ]{0,12}";
    let leaf = prop_oneof![
        4 => Just("+OK\r\n".to_owned()),
        3 => Just("+QUEUED\r\n".to_owned()),
        2 => line.prop_map(|text| format!("+{text}\r\n")),
        2 => any::<i64>().prop_map(|number| format!(":{number}\r\n")),
        3 => line.prop_map(|text| format!("${}\r\n{text}\r\n", text.len())),
        1 => Just("$-1\r\n".to_owned()),
        1 => Just("_\r\n".to_owned()),
        1 => any::<bool>().prop_map(|yes| format!("#{}\r\n", if yes { 't' } else { 'f' })),
        1 => Just(",1.5\r\n".to_owned()),
        1 => Just("(3492890328409238509324850943850943825024385\r\n".to_owned()),
        1 => Just("=7\r\ntxt:abc\r\n".to_owned()),
        1 => Just("!5\r\nERR x\r\n".to_owned()),
    ];
    let nested = leaf.prop_recursive(4, 24, 4, |inner| {
        let many = || prop::collection::vec(inner.clone(), 0..4);
        prop_oneof![
            many().prop_map(|items| format!("*{}\r\n{}", items.len(), items.concat())),
            many().prop_map(|items| format!("~{}\r\n{}", items.len(), items.concat())),
            (many(), inner.clone()).prop_map(|(items, value)| {
                let pairs: String = items.iter().map(|item| format!("{item}{value}")).collect();
                format!("%{}\r\n{pairs}", items.len())
            }),
        ]
    });
    let error = prop::sample::select(vec![
        READONLY,
        "-ERR x\r\n",
        "-LOADING Redis is loading the dataset in memory\r\n",
        "-MOVED 1 a:1\r\n",
        "-NOREPLICAS Not enough good replicas to write.\r\n",
        "-EXECABORT Transaction discarded because of previous errors.\r\n",
        "-EXECABORT Transaction discarded because of: READONLY You can't write against a read only replica.\r\n",
        "-ERR EXEC without MULTI\r\n",
        "-NOPERM x\r\n",
    ]);
    prop_oneof![
        8 => nested.clone(),
        4 => error.prop_map(str::to_owned),
        1 => Just("*-1\r\n".to_owned()),
        1 => prop::sample::select(vec!["*2\r\n$2\r\n17\r\n*0\r\n", "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n"]).prop_map(str::to_owned),
        1 => nested.clone().prop_map(|inner| format!(">2\r\n$5\r\nnoise\r\n{inner}")),
        1 => nested.prop_map(|inner| format!("|1\r\n+ttl\r\n:1\r\n{inner}")),
    ]
}

fn commands() -> impl Strategy<Value = String> {
    let one = prop::sample::select(vec![
        "GET a",
        "GET a",
        "SET a 1",
        "SET a 1",
        "PUBLISH c 1",
        "SCAN 0",
        "SCAN 17",
        "UNWATCH",
        "EVAL x 0",
        "EVALSHA 11f6ad8ec52a2984abaafd7c3b516503785c2072 0",
        "SCRIPT FLUSH",
        "MULTI; SET a 1; GET b; EXEC",
        "MULTI; GET b; EXEC",
        "MULTI; SET a 1; DISCARD",
        "MULTI; EXEC",
        "WAIT 1 0",
        "SELECT 1",
        "BRPOP q 0",
        "QUIT",
    ]);
    prop::collection::vec(one, 1..7).prop_map(|commands| commands.join("; "))
}

/// All that can be seen of it from outside, and some of what cannot.
fn seen(talk: &mut Talk) -> String {
    let Conversation { link, queue, settled, doubt, transaction, heavy, intake, losses, frame, .. } = &talk.conversation;
    let inside = (link, queue.len(), settled.len(), doubt, transaction, heavy, intake, losses, frame);
    let stages: Vec<request::Stage> = queue.iter().map(|request| request.stage).collect();
    let mut seen = format!("{inside:?} {stages:?}");
    let conversation = &mut talk.conversation;
    let outside = (conversation.is_over(), conversation.need(), conversation.pin(), conversation.doubts());
    let further = (conversation.must_leave(), conversation.wants_upstream(), conversation.caught_up(), conversation.held_bytes());
    seen.push_str(&format!(" {outside:?} {further:?} {:?}", conversation.take_hint()));
    let heard = talk.hears();
    seen.push_str(&format!(" {:?} {} {heard:?}", talk.heard.retried, talk.heard.answered));
    seen
}

proptest! {
    #![proptest_config(crate::conversation::tests::model::config())]

    #[test]
    fn a_reply_at_once_is_the_same_as_a_reply_in_parts(
        said in prop::collection::vec((commands(), prop::collection::vec((frame(), 0..6_u8), 1..8)), 1..5),
        cut in 0..20_usize,
    ) {
        let (mut whole, mut parts) = (Talk::aboard(), Talk::aboard());
        for (commands, frames) in said {
            for talk in [&mut whole, &mut parts] {
                talk.say(&commands);
            }
            for (frame, event) in frames {
                prop_assert_eq!(whole.hands_over(6), parts.hands_over(6));
                let outcomes = [
                    whole.turn(|conversation, turn| conversation.upstream_replied(frame.as_bytes(), turn)),
                    parts.turn(|conversation, turn| {
                        let (first, rest) = frame.as_bytes().split_at(cut.min(frame.len()));
                        match conversation.upstream_said(first, turn) {
                            Ok(Next::Continue) if !rest.is_empty() => conversation.upstream_said(rest, turn),
                            other => other,
                        }
                    }),
                ];
                // Where it ends, a part of the last word may have been passed on before.
                let ends = outcomes.iter().any(|outcome| *outcome != Ok(Next::Continue));
                prop_assert_eq!(&outcomes[0], &outcomes[1], "{} to {}", frame, commands);
                // Whoever found that out ends the upstream for all that share it.
                if ends && (outcomes[0].is_err() || whole.conversation.is_shared()) {
                    prop_assert!(outcomes[0].is_err() || whole.lost() == parts.lost());
                    return Ok(());
                }
                prop_assert_eq!(seen(&mut whole), seen(&mut parts), "{} to {}", frame, commands);
                for talk in [&mut whole, &mut parts] {
                    let stays = event == 0 && talk.conversation.doubts();
                    if stays && talk.turn(Conversation::primary_stays).is_err() {
                        return Ok(());
                    }
                    if event == 1 && talk.withdraw(Departure::Demoted).is_err() {
                        return Ok(());
                    }
                    if !talk.conversation.is_shared() && talk.conversation.need() != Need::Nothing {
                        talk.epoch += 1;
                        talk.board();
                    }
                }
                prop_assert_eq!(seen(&mut whole), seen(&mut parts), "after {} to {}", frame, commands);
                if whole.conversation.is_over() || !whole.conversation.is_shared() {
                    return Ok(());
                }
            }
        }
    }
}
