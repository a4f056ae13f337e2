//! A session in tcp mode until it is spliced: parked in the queue, then connected.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::lanes::{Lanes, Target};
use super::policy::Admission;
use super::session::{Session, Verdict};
use super::splice::Splice;
use super::transport::Stream;
use crate::metrics::{CloseReason, HoldOutcome};
use crate::route::{Berth, Moment};

/// What a parked client may have sent. While there is no primary one that sends more is closed: were the rest left in the kernel, its
/// end could not be seen, and what it sent might be executed after it has gone.
pub const PARKED_BYTES_MAX: usize = 256 * 1024;
/// The same of one that merely queues for its connection to a primary: the rest waits in the kernel, it will not be long.
pub const QUEUED_BYTES_MAX: usize = 16 * 1024;

/// Parks and connects the client, as often as it takes; or says why that came to nothing.
pub async fn set_up(lanes: &Rc<Lanes>, session: &Rc<Session>, mut client: Stream) -> Result<Box<Splice>, (CloseReason, Stream)> {
    let mut held = Vec::new();
    let mut has_waited = false;
    loop {
        match lanes.admit(session.policy.route, session.waiting_since()) {
            Admission::Attach => {}
            Admission::Refuse => return Err((CloseReason::Refused, client)),
            Admission::Park => {
                has_waited = true;
                match wait(lanes, session, &mut client, &mut held).await {
                    HoldOutcome::Elected => {}
                    HoldOutcome::Window | HoldOutcome::Full => return Err((CloseReason::Refused, client)),
                    HoldOutcome::Shutdown => return Err((CloseReason::Drain, client)),
                    HoldOutcome::ClientGone => return Err((CloseReason::Client, client)),
                }
            }
        }
        let Some(Target { epoch, way, tenure }) = lanes.target(&session.policy, None) else { continue };
        let berth = tenure.as_ref().map(Berth::take);
        // The slot is free again at once: what the client sent is bounded, and nobody knows when it is answered.
        match lanes.clone().connect(way, session.policy.clone()).await.map(|(upstream, _slot)| upstream) {
            // A client that left while it waited must not have its requests executed.
            Ok(_) if client.peer_is_gone() || has_waited && client.peer_has_closed() => {
                return Err((CloseReason::Client, client));
            }
            Ok(upstream) if lanes.still_grants(epoch) && !lanes.is_stopping() => {
                session.waits_since(None);
                return Ok(Box::new(Splice::new(client, upstream, epoch, berth, held)));
            }
            Ok(upstream) => upstream.abort(),
            Err(_) => {
                // From here on its own waiting counts.
                session.waits_since(session.waiting_since().or_else(|| Some(Moment::now())));
                lanes.could_not_connect(epoch);
            }
        }
        if lanes.is_stopping() {
            return Err((CloseReason::Drain, client));
        }
    }
}

/// Waits in the queue. Reads what the client sends, within bounds: to keep it, and to notice that the client leaves.
async fn wait(lanes: &Lanes, session: &Rc<Session>, client: &mut Stream, held: &mut Vec<u8>) -> HoldOutcome {
    // It may have parked before: it could not be connected.
    session.park(lanes, held.len(), Moment::now());
    let outcome = poll_fn(|cx| poll_wait(cx, lanes, session, client, held)).await;
    let gone = outcome == HoldOutcome::Elected && client.peer_has_closed();
    let outcome = if gone { HoldOutcome::ClientGone } else { outcome };
    session.leave_queue(lanes, outcome);
    outcome
}

fn poll_wait(
    cx: &mut Context<'_>,
    lanes: &Lanes,
    session: &Session,
    client: &mut Stream,
    held: &mut Vec<u8>,
) -> Poll<HoldOutcome> {
    loop {
        match session.verdict() {
            Some(Verdict::Attach) => return Poll::Ready(HoldOutcome::Elected),
            Some(Verdict::Refuse(outcome)) => return Poll::Ready(outcome),
            None => {}
        }
        let mut scratch = lanes.local.scratch.borrow_mut();
        let room = match lanes.has_target(&session.policy) {
            true => QUEUED_BYTES_MAX.saturating_sub(held.len()),
            false if held.len() > PARKED_BYTES_MAX => return Poll::Ready(HoldOutcome::Full),
            false => scratch.len(),
        };
        if room == 0 {
            return Poll::Pending;
        }
        let read = match client.poll_read(cx, &mut scratch[..room]) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(read)) if read > 0 => read,
            Poll::Ready(_) => return Poll::Ready(HoldOutcome::ClientGone),
        };
        held.extend_from_slice(&scratch[..read]);
        drop(scratch);
        session.tally.add(read as u64, 0);
        session.holds(lanes, held.len());
    }
}
