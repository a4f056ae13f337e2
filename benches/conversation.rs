//! What following a conversation costs: the user time of redis mode beside tcp mode, without sockets.
//!
//! `cargo bench --bench conversation`. One round: the client says so many requests in one chunk, they are handed over, all replies come in
//! one chunk. The throughput is of requests: its inverse is the time of one.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mainstay::conversation::{Conversation, Next, Outlet, Retry, Scripts, Turn};
use mainstay::resp::command::Commands;
use mainstay::route::Moment;

/// Takes everything at no cost.
struct Nowhere;

impl Outlet for Nowhere {
    fn pass(&mut self, bytes: &[u8]) {
        black_box(bytes);
    }

    fn answered(&mut self, asked: Moment) {
        black_box(asked);
    }

    fn retried(&mut self, _: Retry) {}
}

/// A conversation with its primary.
struct Talk {
    conversation: Conversation,
    commands: Arc<Commands>,
    scripts: Scripts,
}

impl Talk {
    fn new() -> Self {
        let mut talk = Self { conversation: Conversation::default(), commands: Commands::shipped(), scripts: Scripts::default() };
        talk.turn(|conversation, turn| conversation.attach(1, turn));
        talk
    }

    fn turn<R>(&mut self, act: impl FnOnce(&mut Conversation, &mut Turn<'_>) -> R) -> R {
        let (now, commands) = (Moment::from_millis(1000), &*self.commands);
        act(&mut self.conversation, &mut Turn { now, commands, access: None, scripts: &mut self.scripts, outlet: &mut Nowhere })
    }

    #[inline(never)]
    fn round(&mut self, requests: &[u8], replies: &[u8]) {
        let taken = self.turn(|conversation, turn| conversation.client_said(requests, turn));
        assert!(taken.is_ok() && self.conversation.accepts());
        let pending = black_box(self.conversation.pending()).len();
        assert_eq!(pending, requests.len());
        self.conversation.wrote(pending);
        let next = self.turn(|conversation, turn| conversation.upstream_said(replies, turn));
        assert_eq!(next, Ok(Next::Continue));
    }
}

fn rounds(criterion: &mut Criterion) {
    let value = "v".repeat(100);
    let set = format!("*3\r\n$3\r\nSET\r\n$16\r\nkey:__rand_int__\r\n$100\r\n{value}\r\n");
    let get = "*2\r\n$3\r\nGET\r\n$16\r\nkey:__rand_int__\r\n".to_owned();
    let bulk = format!("$100\r\n{value}\r\n");
    let mut group = criterion.benchmark_group("conversation");
    for count in [1, 16] {
        for (name, request, reply) in [("SET", &set, "+OK\r\n"), ("GET", &get, bulk.as_str())] {
            let (requests, replies) = (request.repeat(count), reply.repeat(count));
            group.throughput(Throughput::Elements(count as u64));
            group.bench_function(format!("{name} of 100 bytes x {count}"), |bencher| {
                let mut talk = Talk::new();
                bencher.iter(|| talk.round(black_box(requests.as_bytes()), black_box(replies.as_bytes())));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, rounds);
criterion_main!(benches);
