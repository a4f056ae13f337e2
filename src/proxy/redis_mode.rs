//! A session in redis mode: a client, its conversation, and an upstream where the conversation needs one.
//!
//! ```text
//!            wants one       in turn            connected          epoch passed, replies awaited
//!   None ──────────────▶ Parked ───▶ Connecting ─────────▶ Live ─────────────────────────────────▶ Draining
//!    ▲  ◀── refused ───────┘  ▲           │                 │                                          │
//!    │                        └─ failed ──┘                 │ lost, dropped, epoch passed              │ answered, or time is up
//!    └──────────────────────────────────────────────────────┴──────────────────────────────────────────┘
//! ```
//!
//! The habits are those of [`super::splice`]: bytes are read into the worker's one scratch buffer and written at once, the fence is asked
//! before every write to the upstream, an idle session holds no buffer. What may be sent, answered or asked again is decided by
//! [`Conversation`]; here are only its sockets. An upstream is connected when something waits to be sent, not before: after a failover
//! idle sessions cost nothing.

mod doubt;
mod endings;
mod outlet;
mod pause;
mod present;
mod remarks;
mod shared;
mod upstream;

pub use endings::is_heard_out;
pub use present::Present;
pub use remarks::Remarks;
pub use upstream::{Counted, Live};

use std::rc::Rc;
use std::task::{Context, Poll};

use self::doubt::Doubt;
use self::outlet::{Outlet, Owed};
use self::pause::Pause;
use self::upstream::Upstream;
use super::policy::Policy;
use super::tally::{Debt, Pinned, Tally};
use super::tcp_mode::{PARKED_BYTES_MAX, QUEUED_BYTES_MAX};
use super::transport::Stream;
use super::trunk::Entry;
use crate::conversation::{self, Access, Conversation, Next};
use crate::metrics::{CloseReason, HoldOutcome};
use crate::route::{Berth, Moment, Noticed, Passage};

/// Rounds of reading and writing in one turn, so that a busy session does not starve its neighbours.
const ROUNDS_PER_TURN: usize = 4;
/// A client that takes no replies is not read any more when so much is owed to it.
const OWED_BYTES_MAX: usize = 256 * 1024;
/// See the module.
pub struct Dialogue {
    client: Stream,
    conversation: Conversation,
    owed: Owed,
    upstream: Upstream,
    /// At the replica that it reads, also while it has nothing to ask there.
    berth: Option<Berth>,
    pinned: Pinned,
    debt: Debt,
    /// Much is owed to the client: what it had taken of it, and when it last took something.
    patience: Option<Box<(u64, Moment)>>,
    doubt: Option<Box<Doubt>>,
    /// Before the next upstream.
    pause: Pause,
    /// The client shut down writing.
    client_ended: bool,
    /// Something was held back, and is not answered yet: a client that leaves meanwhile must not have it executed.
    has_waited: bool,
    /// The fence had lapsed: what is to be sent waits until it is renewed.
    waits_for_fence: bool,
    /// The client is not read for now, as there is no room for what it says.
    is_paused: bool,
    /// It has not logged in, and stands at the door of the upstreams that are shared.
    at_door: Option<Entry>,
    /// The session ends once the client has taken what it is owed.
    ending: Option<CloseReason>,
}

/// How a dialogue ended.
pub enum End {
    /// The session is over.
    Closed(CloseReason),
    /// What follows is no conversation: it goes on as a splice.
    Opaque(Live),
}

impl Dialogue {
    /// A client that has said nothing yet.
    pub fn new(client: Stream, tally: &Rc<Tally>, policy: &Policy) -> Self {
        Self {
            client,
            conversation: Conversation::of(policy.shared_connections, policy.reads()),
            owed: Owed::default(),
            upstream: Upstream::None,
            berth: None,
            pinned: Pinned::new(tally.clone()),
            debt: Debt::new(tally.clone()),
            patience: None,
            doubt: None,
            pause: Pause::default(),
            client_ended: false,
            has_waited: false,
            waits_for_fence: false,
            is_paused: false,
            at_door: None,
            ending: None,
        }
    }

    /// Its client has yet to log in.
    pub fn is_outside(&self, access: Option<&Access>) -> bool {
        self.conversation.is_outside(access)
    }

    /// Moves what can be moved now.
    pub fn poll(&mut self, cx: &mut Context<'_>, present: &Present<'_>, scratch: &mut [u8]) -> Poll<End> {
        let result = self.turn(cx, present, scratch);
        self.pinned.set(self.conversation.pin());
        self.note_owed();
        match result {
            Ok(()) => Poll::Pending,
            Err(end) => Poll::Ready(end),
        }
    }

    fn turn(&mut self, cx: &mut Context<'_>, present: &Present<'_>, scratch: &mut [u8]) -> Result<(), End> {
        for _ in 0..ROUNDS_PER_TURN {
            let mut moved = self.owed.pay(cx, &mut self.client);
            if let Some(reason) = self.ending {
                return if self.owed.is_clear() { Err(End::Closed(reason)) } else { Ok(()) };
            }
            if present.lanes.is_stopping() {
                return Err(End::Closed(CloseReason::Drain));
            }
            if self.is_blocked_unread() && self.client.peer_has_closed() {
                // What it would be given nobody would take, and what it sent behind that must not be executed.
                return Err(End::Closed(CloseReason::Client));
            }
            moved |= self.hear_upstream(cx, present, scratch);
            moved |= self.hear_client(cx, present, scratch)?;
            if self.ending.is_none() {
                self.attend(cx, present)?;
                moved |= self.speak(cx, present)?;
                moved |= self.look_for_the_end(present)?;
            }
            if self.owed.is_lost {
                return Err(End::Closed(CloseReason::Client));
            }
            if !moved && self.ending.is_none() {
                return Ok(());
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    /// Lets the conversation speak and act. `chunk`: what it is told, if that was read just now.
    fn tell<R>(
        &mut self,
        present: &Present<'_>,
        chunk: &[u8],
        tell: impl FnOnce(&mut Conversation, &mut conversation::Turn<'_>) -> R,
    ) -> R {
        let now = present.now();
        let mut outlet = Outlet::new(&mut self.client, &mut self.owed, &present.session.tally, now, chunk);
        let commands = present.lanes.commands.borrow();
        let scripts = &mut present.lanes.scripts.borrow_mut();
        let mut turn = conversation::Turn { now, commands: &commands, access: present.access(), scripts, outlet: &mut outlet };
        let result = tell(&mut self.conversation, &mut turn);
        outlet.flush();
        if outlet.has_guessed {
            present.lanes.remarks.wrong_password(&present.lanes.link, &present.session.policy.listener, now);
        }
        result
    }

    /// Reads the client, as far as there is room for what it says. True when something came.
    fn hear_client(&mut self, cx: &mut Context<'_>, present: &Present<'_>, scratch: &mut [u8]) -> Result<bool, End> {
        self.is_paused = self.owed.len() > OWED_BYTES_MAX;
        if self.client_ended || self.ending.is_some() || self.is_paused {
            return Ok(false);
        }
        let held = self.conversation.held_words();
        // Were the rest left in the kernel, the client's end could not be seen.
        let waits_in_vain = matches!(self.upstream, Upstream::Parked) && !present.lanes.has_target(&present.session.policy);
        if waits_in_vain && held > PARKED_BYTES_MAX {
            present.session.leave_queue(present.lanes, HoldOutcome::Full);
            self.upstream = Upstream::None;
            self.refuse(present, "this client sent more than is kept while there is no primary");
            return Ok(true);
        }
        let room = match &self.upstream {
            // It will not be long.
            Upstream::Parked | Upstream::Connecting(_) => waits_in_vain || held < QUEUED_BYTES_MAX,
            Upstream::None | Upstream::Live(_) | Upstream::Shared(_) | Upstream::Draining(_) => true,
        };
        self.is_paused = !room || !self.conversation.accepts();
        if self.is_paused {
            return Ok(false);
        }
        let read = match self.client.poll_read(cx, scratch) {
            Poll::Pending => return Ok(false),
            Poll::Ready(Ok(read)) => read,
            Poll::Ready(Err(_)) => return Err(End::Closed(CloseReason::Client)),
        };
        present.moves();
        if read == 0 {
            self.client_ended = true;
            self.conversation.client_ended();
            return Ok(true);
        }
        present.session.tally.add(read as u64, 0);
        let chunk = &scratch[..read];
        if let Err(close) = self.tell(present, &[], |conversation, turn| conversation.client_said(chunk, turn)) {
            self.close(present, &close, CloseReason::Error);
        } else if matches!(self.upstream, Upstream::Parked) {
            present.session.holds(present.lanes, self.conversation.held_bytes());
        }
        Ok(true)
    }

    /// Reads the upstream, unless the client has yet to take what came before. True when something came.
    fn hear_upstream(&mut self, cx: &mut Context<'_>, present: &Present<'_>, scratch: &mut [u8]) -> bool {
        if !self.owed.is_clear() {
            return false;
        }
        let stream = match &mut self.upstream {
            Upstream::Live(live) => &mut live.stream,
            Upstream::Draining(draining) => &mut draining.stream,
            Upstream::None | Upstream::Parked | Upstream::Connecting(_) | Upstream::Shared(_) => return false,
        };
        let read = match stream.poll_read(cx, scratch) {
            Poll::Pending => return false,
            Poll::Ready(Ok(read)) => read,
            Poll::Ready(Err(_)) => 0,
        };
        present.moves();
        if read == 0 {
            self.upstream_ended(present);
        } else {
            self.upstream_said(present, &scratch[..read]);
        }
        true
    }

    fn upstream_said(&mut self, present: &Present<'_>, chunk: &[u8]) {
        let next = self.tell(present, chunk, |conversation, turn| conversation.upstream_said(chunk, turn));
        self.heed_hint(present);
        self.heed(present, next);
    }

    /// What the last replies hint at.
    fn heed_hint(&mut self, present: &Present<'_>) {
        if let (Some(code), Some(epoch)) = (self.conversation.take_hint(), self.upstream.live_epoch()) {
            if !self.conversation.doubts() {
                present.lanes.hint(epoch, Noticed::Error(code));
            } else if self.doubt.is_none() {
                self.doubt = Some(Box::new(Doubt::new(code, present.now())));
            }
        }
    }

    /// What follows from what the upstream said.
    fn heed(&mut self, present: &Present<'_>, next: Result<Next, conversation::Close>) {
        match next {
            Ok(Next::Continue) => {}
            Ok(Next::DropUpstream(why)) => {
                if let Some(why) = why {
                    let (group, listener) = (&present.lanes.link, &present.session.policy.listener);
                    present.lanes.remarks.dropped(group, listener, why, present.now());
                }
                let lived = self.give_up_upstream();
                self.beware(present, lived);
            }
            Ok(Next::Discard) => drop(self.give_up_upstream()),
            Ok(Next::LockedOut(words)) => {
                let (group, listener) = (&present.lanes.link, &present.session.policy.listener);
                present.lanes.remarks.locked_out(group, listener, &words, present.now());
                let _ = self.give_up_upstream();
            }
            Ok(Next::NotReady(_)) => {
                let lived = self.give_up_upstream();
                self.beware(present, lived);
            }
            Err(close) => self.close(present, &close, CloseReason::Backend),
        }
    }

    /// Writes to the upstream what is to be written, as far as the fence lets it. True when something was taken.
    fn speak(&mut self, cx: &mut Context<'_>, present: &Present<'_>) -> Result<bool, End> {
        let mut moved = self.speak_up(present);
        while let Upstream::Live(live) = &mut self.upstream {
            let pending = self.conversation.pending();
            if pending.is_empty() || live.is_deaf {
                break;
            }
            let passage = present.lanes.passage(live.epoch, present.now());
            self.waits_for_fence = passage == Passage::Lapsed;
            self.has_waited |= self.waits_for_fence;
            let wary = self.has_waited || present.lanes.local.is_wary(present.now());
            match passage {
                Passage::Open if wary && self.client.peer_has_closed() => {
                    return Err(End::Closed(CloseReason::Client));
                }
                Passage::Open => {}
                // Either way the lanes say when to go on.
                Passage::Passed | Passage::Lapsed => break,
            }
            if !live.has_written {
                live.has_written = true;
                present.lanes.wrote_first(live.epoch, present.now());
            }
            match live.stream.poll_write(cx, pending) {
                Poll::Ready(Ok(bytes)) => {
                    self.conversation.wrote(bytes);
                    present.moves();
                    moved = true;
                }
                // What it said before it closed is still to come.
                Poll::Ready(Err(_)) => {
                    live.is_deaf = true;
                    moved = true;
                }
                Poll::Pending => break,
            }
        }
        Ok(moved)
    }

    /// Is this the end, or the end of the conversation? True when it is about to be.
    fn look_for_the_end(&mut self, present: &Present<'_>) -> Result<bool, End> {
        if self.conversation.is_over() {
            match self.conversation.failure().cloned() {
                Some(close) => self.close(present, &close, CloseReason::Error),
                None => self.ending = Some(CloseReason::Client),
            }
            return Ok(true);
        }
        if self.client_ended && self.conversation.is_blocked() {
            // What it would be given nobody would take.
            return Err(End::Closed(CloseReason::Client));
        }
        if self.conversation.is_opaque() && matches!(self.upstream, Upstream::Live(_)) {
            if self.has_waited && self.client.peer_has_closed() {
                return Err(End::Closed(CloseReason::Client));
            }
            if let Upstream::Live(live) = std::mem::replace(&mut self.upstream, Upstream::None) {
                present.session.waits_since(None);
                return Err(End::Opaque(live));
            }
        }
        Ok(false)
    }
}
