//! Bytes between a client and its upstream, untouched.
//!
//! Why it looks like this: almost all operations are one small read and one write that the kernel takes whole. So both directions read
//! into the worker's one scratch buffer and write at once; only what the peer did not take is kept in a buffer of the session's own, and
//! then the other side is not read until it has gone. An idle session holds no buffer at all.
//!
//! Before every write to the upstream the fence is asked. What the backend says is never held back by it: a reply belongs to a request
//! that went out while the epoch was in force.

use std::io;
use std::task::{Context, Poll, ready};

use super::lanes::Lanes;
use super::transport::Stream;
use crate::metrics::CloseReason;
use crate::resp::{command, reply};
use crate::route::{Berth, Epoch, Moment, Noticed, Passage, is_tenure};

/// Reads of one direction in one turn, so that a busy session does not starve its neighbours.
const READS_PER_TURN: usize = 4;
/// What a backend had sent when the cut came is passed on up to this much.
const FAREWELL_BYTES_MAX: usize = 256 * 1024;

/// A client and its upstream.
#[derive(Debug)]
pub struct Splice {
    client: Stream,
    upstream: Stream,
    epoch: Epoch,
    /// At the replica that it reads.
    berth: Option<Berth>,
    to_upstream: Direction,
    to_client: Direction,
    /// The fence had lapsed: bytes of the client wait until it is renewed.
    pub waits_for_fence: bool,
    wrote: bool,
    /// What it says is not to be believed any more.
    is_mute: bool,
    /// The client shut down writing, or said QUIT last: what the backend closes after that was asked for.
    client_ended: bool,
    /// The backend has ended, and why that ends the session.
    ending: Option<CloseReason>,
}

#[derive(Debug, Default)]
struct Direction {
    /// Read, but not yet taken by the receiver.
    rest: Vec<u8>,
    /// How much of `rest` was taken.
    taken: usize,
    /// The sender has ended, or the receiver takes no more.
    ended: bool,
    /// The receiver was told so, or needs no telling.
    told: bool,
}

impl Direction {
    fn is_clear(&self) -> bool {
        self.rest.is_empty()
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
    }

    fn took(&mut self, bytes: usize) {
        self.taken += bytes;
        if self.taken == self.rest.len() {
            // Given back: an idle session holds no buffer.
            self.rest = Vec::new();
            self.taken = 0;
        }
    }

    fn pending(&self) -> &[u8] {
        &self.rest[self.taken..]
    }
}

/// What a turn of the splice needs from its worker and group.
pub struct Turn<'a> {
    /// The worker's scratch buffer.
    pub scratch: &'a mut [u8],
    /// They know the fence.
    pub lanes: &'a Lanes,
    /// Bytes read from the client in this turn.
    pub bytes_in: u64,
    /// Bytes read from the backend in this turn.
    pub bytes_out: u64,
    /// What traffic noticed.
    pub hint: Option<Noticed>,
    /// When the session's first byte went to the backend, if in this turn.
    pub first_byte: Option<Moment>,
}

/// How a splice ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Ordinarily: what there was to pass on was passed on.
    Closed(CloseReason),
    /// The fence says that the epoch has passed: cut it.
    Passed,
}

impl Splice {
    /// Begins with what the client sent while it was parked.
    pub fn new(client: Stream, upstream: Stream, epoch: Epoch, berth: Option<Berth>, held: Vec<u8>) -> Self {
        let client_ended = HINTS && command::ends_with_quit(&held);
        let to_upstream = Direction { rest: held, ..Direction::default() };
        Self {
            client,
            upstream,
            epoch,
            berth,
            to_upstream,
            to_client: Direction::default(),
            waits_for_fence: false,
            wrote: false,
            is_mute: false,
            client_ended,
            ending: None,
        }
    }

    /// What the client has not taken yet of what was said to it before.
    pub fn owes(&mut self, bytes: Vec<u8>) {
        self.to_client.rest = bytes;
    }

    /// The replica that it read is the primary of this epoch.
    pub fn is_promoted(&mut self, epoch: Epoch) {
        (self.epoch, self.berth) = (epoch, None);
    }

    /// What the upstream has said, and was not read yet, is not passed on.
    pub fn is_heard_no_more(&mut self) {
        self.is_mute = true;
    }

    /// The epoch, or the replica's tenure, that its upstream belongs to.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Moves what can be moved now.
    pub fn poll(&mut self, cx: &mut Context<'_>, turn: &mut Turn<'_>) -> Poll<End> {
        let upward = self.poll_to_upstream(cx, turn);
        if let Poll::Ready(Some(end)) = upward {
            return Poll::Ready(end);
        }
        let downward = self.poll_to_client(cx, turn);
        if let Poll::Ready(Some(end)) = downward {
            return Poll::Ready(end);
        }
        Poll::Pending
    }

    /// `Ready(None)`: nothing more to do in this direction.
    fn poll_to_upstream(&mut self, cx: &mut Context<'_>, turn: &mut Turn<'_>) -> Poll<Option<End>> {
        for _ in 0..READS_PER_TURN {
            while !self.to_upstream.is_clear() {
                let waited = self.waits_for_fence;
                match self.passage(turn) {
                    // It was held, and a client that leaves while it is held must not have its requests executed.
                    Passage::Open if waited && self.client.peer_has_closed() => {
                        return Poll::Ready(Some(End::Closed(CloseReason::Client)));
                    }
                    Passage::Open => {}
                    Passage::Passed => return Poll::Ready(Some(End::Passed)),
                    Passage::Lapsed => return Poll::Pending,
                }
                match ready!(self.upstream.poll_write(cx, self.to_upstream.pending())) {
                    Ok(bytes) => self.to_upstream.took(bytes),
                    Err(_) => self.upstream_takes_no_more(),
                }
            }
            if self.to_upstream.ended {
                if !self.to_upstream.told {
                    self.to_upstream.told = true;
                    self.upstream.shut_down_writing();
                }
                return Poll::Ready(None);
            }
            let read = match ready!(self.client.poll_read(cx, turn.scratch)) {
                Ok(0) => {
                    self.client_ended = true;
                    self.to_upstream.ended = true;
                    continue;
                }
                Ok(read) => read,
                Err(_) => return Poll::Ready(Some(End::Closed(CloseReason::Client))),
            };
            turn.bytes_in += read as u64;
            self.client_ended = HINTS && command::ends_with_quit(&turn.scratch[..read]);
            match self.passage(turn) {
                Passage::Open => {}
                Passage::Passed => return Poll::Ready(Some(End::Passed)),
                Passage::Lapsed => {
                    self.to_upstream.keep(&turn.scratch[..read]);
                    return Poll::Pending;
                }
            }
            match self.upstream.poll_write(cx, &turn.scratch[..read]) {
                Poll::Ready(Ok(written)) if written == read => {}
                Poll::Ready(Ok(written)) => self.to_upstream.keep(&turn.scratch[written..read]),
                Poll::Ready(Err(_)) => self.upstream_takes_no_more(),
                Poll::Pending => {
                    self.to_upstream.keep(&turn.scratch[..read]);
                    return Poll::Pending;
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// The backend closed with input unread (as Redis does after a protocol error): what it said before is still to come.
    fn upstream_takes_no_more(&mut self) {
        self.to_upstream = Direction { ended: true, told: true, ..Direction::default() };
    }

    fn passage(&mut self, turn: &mut Turn<'_>) -> Passage {
        let now = Moment::now();
        let passage = turn.lanes.passage(self.epoch, now);
        self.waits_for_fence = passage == Passage::Lapsed;
        if passage == Passage::Open && !self.wrote {
            self.wrote = true;
            turn.first_byte = Some(now).filter(|_| !is_tenure(self.epoch));
        }
        passage
    }

    fn poll_to_client(&mut self, cx: &mut Context<'_>, turn: &mut Turn<'_>) -> Poll<Option<End>> {
        for _ in 0..READS_PER_TURN {
            while !self.to_client.is_clear() {
                match ready!(self.client.poll_write(cx, self.to_client.pending())) {
                    Ok(bytes) => self.to_client.took(bytes),
                    Err(_) => return Poll::Ready(Some(End::Closed(CloseReason::Client))),
                }
            }
            if let Some(reason) = self.ending {
                // All that the backend sent is with the client.
                return Poll::Ready(Some(End::Closed(reason)));
            }
            let read = match ready!(self.upstream.poll_read(cx, turn.scratch)) {
                Ok(read) if read > 0 => read,
                end => {
                    self.upstream_ended(end, turn);
                    continue;
                }
            };
            turn.bytes_out += read as u64;
            let bytes = &turn.scratch[..read];
            if HINTS && bytes[0] == b'-' {
                turn.hint = reply::hint(bytes).map(Noticed::Error).or(turn.hint);
            }
            match self.client.poll_write(cx, bytes) {
                Poll::Ready(Ok(written)) if written == read => {}
                Poll::Ready(Ok(written)) => self.to_client.keep(&bytes[written..]),
                Poll::Ready(Err(_)) => return Poll::Ready(Some(End::Closed(CloseReason::Client))),
                Poll::Pending => {
                    self.to_client.keep(bytes);
                    return Poll::Pending;
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// The end of what the backend says. Where the client ended first it was asked for; otherwise it hints at trouble.
    fn upstream_ended(&mut self, end: io::Result<usize>, turn: &mut Turn<'_>) {
        if self.client_ended && end.is_ok() {
            self.ending = Some(CloseReason::Client);
        } else {
            self.ending = Some(CloseReason::Backend);
            turn.hint = Some(Noticed::Closed);
        }
    }

    /// The epoch has passed: passes on what the backend had sent as far as the client takes it without waiting, and resets the upstream
    /// before it returns. The client is left to be closed.
    pub fn cut(self, scratch: &mut [u8]) -> Stream {
        let Self { mut client, mut upstream, mut to_client, is_mute, .. } = self;
        let mut passed_on = 0;
        while passed_on < FAREWELL_BYTES_MAX {
            if to_client.is_clear() {
                match upstream.receive_now(scratch) {
                    Ok(read) if read > 0 && !is_mute => to_client.keep(&scratch[..read]),
                    _ => break,
                }
            }
            match client.send_now(to_client.pending()) {
                Ok(bytes) if bytes > 0 => {
                    to_client.took(bytes);
                    passed_on += bytes;
                }
                _ => break,
            }
        }
        upstream.abort();
        client.shut_down_writing();
        client
    }

    /// The session ended by itself: the upstream is closed, the client is left to be closed. Where the client has gone nothing of it may
    /// still be under way: a stopped server would be given it when it wakes, whoever is primary by then.
    pub fn into_client(self, reason: CloseReason) -> Stream {
        if reason == CloseReason::Client && self.ending.is_none() {
            self.upstream.abort();
        }
        self.client
    }
}

/// Off only to measure what hints cost.
const HINTS: bool = cfg!(not(feature = "no-hints"));
