//! What is on its way to the client. It is written at once, from the very slice that it was read into; only what the client did not take
//! is kept, and then nothing more is read of the upstream until it has gone.

use std::io;
use std::ops::Range;
use std::task::{Context, Poll};

use crate::conversation::{self, Retry};
use crate::proxy::tally::Tally;
use crate::proxy::transport::Stream;
use crate::route::Moment;

/// What the client has not taken yet.
#[derive(Default)]
pub struct Owed {
    rest: Vec<u8>,
    /// How much of `rest` was taken.
    taken: usize,
    /// How much was taken of all that was ever kept.
    paid: u64,
    /// The client takes no more: it is gone.
    pub is_lost: bool,
}

impl Owed {
    /// How much it is.
    pub fn len(&self) -> usize {
        self.rest.len() - self.taken
    }

    /// How much was paid so far of what could not be paid at once.
    pub fn paid(&self) -> u64 {
        self.paid
    }

    /// Nothing is owed.
    pub fn is_clear(&self) -> bool {
        self.rest.is_empty()
    }

    /// Pays as much as the client takes. True when something was paid.
    pub fn pay(&mut self, cx: &mut Context<'_>, client: &mut Stream) -> bool {
        let before = self.len();
        while !self.is_clear() {
            match client.poll_write(cx, &self.rest[self.taken..]) {
                Poll::Ready(Ok(bytes)) => self.took(bytes),
                Poll::Ready(Err(_)) => self.lose(),
                Poll::Pending => break,
            }
        }
        self.len() < before
    }

    /// The same outside of the session's task.
    pub fn pay_now(&mut self, client: &mut Stream) {
        while !self.is_clear() {
            match client.send_now(&self.rest[self.taken..]) {
                Ok(bytes) => self.took(bytes),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.lose(),
            }
        }
    }

    /// Forgets it: nobody takes it.
    pub fn forgive(&mut self) {
        *self = Self { is_lost: self.is_lost, ..Self::default() };
    }

    /// What is left, for somebody else to pay.
    pub fn into_rest(mut self) -> Vec<u8> {
        self.rest.drain(..self.taken);
        self.rest
    }

    fn took(&mut self, bytes: usize) {
        self.taken += bytes;
        self.paid += bytes as u64;
        if self.taken == self.rest.len() {
            // Given back: an idle session holds no buffer.
            self.rest = Vec::new();
            self.taken = 0;
        }
    }

    /// What was taken must not pile up while more comes.
    fn compact(&mut self) {
        if self.taken > self.len() {
            self.rest.drain(..self.taken);
            self.taken = 0;
        }
    }

    fn lose(&mut self) {
        *self = Self { is_lost: true, ..Self::default() };
    }
}

/// Speaks to the client for the conversation.
pub struct Outlet<'a> {
    client: &'a mut Stream,
    owed: &'a mut Owed,
    tally: &'a Tally,
    now: Moment,
    /// What was just read of the upstream. Replies that follow one another in it are written in one go.
    chunk: &'a [u8],
    ready: Range<usize>,
    /// Requests that came together and are answered together took the same time: the last one.
    took: (Moment, f64),
    /// The client gave a wrong password.
    pub has_guessed: bool,
}

impl<'a> Outlet<'a> {
    /// `chunk`: what the conversation is about to be given, if anything.
    pub fn new(client: &'a mut Stream, owed: &'a mut Owed, tally: &'a Tally, now: Moment, chunk: &'a [u8]) -> Self {
        Self { client, owed, tally, now, chunk, ready: 0..0, took: (now, 0.0), has_guessed: false }
    }

    /// Writes what is ready. To be called last.
    pub fn flush(&mut self) {
        let (chunk, ready) = (self.chunk, std::mem::take(&mut self.ready));
        self.send(&chunk[ready]);
    }

    fn send(&mut self, bytes: &[u8]) {
        if bytes.is_empty() || self.owed.is_lost {
            return;
        }
        self.tally.add(0, bytes.len() as u64);
        let mut taken = 0;
        if self.owed.is_clear() {
            match self.client.send_now(bytes) {
                Ok(bytes) => taken = bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return self.owed.lose(),
            }
        }
        if taken < bytes.len() {
            self.owed.compact();
            self.owed.rest.extend_from_slice(&bytes[taken..]);
        }
    }

    /// Where in the chunk these bytes stand.
    fn place(&self, bytes: &[u8]) -> Option<Range<usize>> {
        let start = bytes.as_ptr().addr().checked_sub(self.chunk.as_ptr().addr())?;
        let end = start.checked_add(bytes.len())?;
        (end <= self.chunk.len()).then_some(start..end)
    }
}

impl conversation::Outlet for Outlet<'_> {
    fn pass(&mut self, bytes: &[u8]) {
        match self.place(bytes) {
            Some(place) if place.start == self.ready.end => self.ready.end = place.end,
            Some(place) => {
                self.flush();
                self.ready = place;
            }
            None => {
                self.flush();
                self.send(bytes);
            }
        }
    }

    fn answered(&mut self, asked: Moment) {
        if self.took.0 != asked {
            self.took = (asked, self.now.since(asked).as_secs_f64());
        }
        self.tally.answered(self.took.1);
    }

    fn retried(&mut self, why: Retry) {
        self.tally.retried(why);
    }

    fn denied(&mut self) {
        self.tally.denied_command();
    }

    fn wrong_password(&mut self) {
        self.has_guessed = true;
        self.tally.denied_login();
    }
}
