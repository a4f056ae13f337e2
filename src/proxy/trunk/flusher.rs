//! One task of a worker writes for all its trunks. It is woken once, by the first session of a turn that has something to say, and so runs
//! behind all the sessions that were ready in that turn: what they say goes out together. Nobody waits for a timer.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::Trunk;

/// See the module.
#[derive(Default)]
pub struct Flusher {
    dirty: RefCell<Vec<Rc<Trunk>>>,
    waker: RefCell<Option<Waker>>,
}

impl Flusher {
    /// This trunk has something to write.
    pub(super) fn add(&self, trunk: Rc<Trunk>) {
        let mut dirty = self.dirty.borrow_mut();
        dirty.push(trunk);
        if dirty.len() == 1
            && let Some(waker) = &*self.waker.borrow()
        {
            waker.wake_by_ref();
        }
    }

    /// Flushes, for ever.
    pub async fn run(&self) {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        *self.waker.borrow_mut() = Some(cx.waker().clone());
        // What is not written now comes on the list again, and has another turn.
        let dirty = std::mem::take(&mut *self.dirty.borrow_mut());
        dirty.iter().for_each(|trunk| trunk.flush());
        Poll::Pending
    }
}
