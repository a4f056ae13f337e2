//! rustls, and the bytes on their way through it. No socket: ciphertext and plaintext go in and come out.
//!
//! The unbuffered interface of rustls is used, as the other one keeps buffers of its own for as long as a connection lives. Here the
//! ciphertext is read into a scratch buffer of the thread, decrypted where it stands and handed on; only what is left over (a record that has
//! not come whole, plaintext for which the reader had no room, records that the kernel did not take) stays with the session.

use std::io;

use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus};

use super::Error;
use super::sealed::{Record, Sealed};
use super::verifier;

/// What a record carries at most (RFC 8446, section 5.1).
const RECORD_PLAIN_MAX: usize = 16 * 1024;
/// What is sealed in one go: as much as is read in one go.
const SEAL_PLAIN_MAX: usize = 64 * 1024;
/// Room for what a record has around it, and for what TLS has to say itself in between.
const SEAL_ROOM: usize = SEAL_PLAIN_MAX + 4 * 512;
/// What is read in one go.
const READ_MAX: usize = 64 * 1024;
/// What may be kept between two reads: the largest handshake message of rustls, as records.
const PARTIAL_MAX: usize = 80 * 1024;
/// Where the reader has little room, more is decrypted than it takes, and the rest is kept.
const READ_MIN: usize = 4 * 1024;

/// Buffers that all sessions of a thread use in turn, never across an await.
pub(super) struct Scratch {
    incoming: Box<[u8]>,
    outgoing: Box<[u8]>,
    records: Vec<Record>,
}

thread_local! {
    /// See [`Scratch`]. A thread that has no TLS has none.
    pub(super) static SCRATCH: std::cell::RefCell<Scratch> = std::cell::RefCell::new(Scratch {
        incoming: vec![0; PARTIAL_MAX + READ_MAX].into_boxed_slice(),
        outgoing: vec![0; SEAL_ROOM].into_boxed_slice(),
        records: Vec::new(),
    });
}

/// Which side of the handshake this is.
enum Side {
    Client(UnbufferedClientConnection),
    Server(UnbufferedServerConnection),
}

/// See the module.
pub(super) struct Session {
    side: Side,
    /// Ciphertext that is not a whole record yet.
    partial: Vec<u8>,
    /// Decrypted, and not read yet.
    plain: Vec<u8>,
    plain_read: usize,
    /// To go out before anything else.
    pub(super) sealed: Sealed,
    /// The peer has said that it says no more.
    ended: bool,
    said_end: bool,
    /// What made it unusable.
    failed: Option<Error>,
}

/// What rustls wants next.
enum Step {
    Again,
    /// More from the peer.
    Blocked,
    /// It may write, and more from the peer is welcome.
    Open,
}

impl From<UnbufferedClientConnection> for Session {
    fn from(connection: UnbufferedClientConnection) -> Self {
        Self::new(Side::Client(connection))
    }
}

impl From<UnbufferedServerConnection> for Session {
    fn from(connection: UnbufferedServerConnection) -> Self {
        Self::new(Side::Server(connection))
    }
}

impl Session {
    fn new(side: Side) -> Self {
        Self {
            side,
            partial: Vec::new(),
            plain: Vec::new(),
            plain_read: 0,
            sealed: Sealed::default(),
            ended: false,
            said_end: false,
            failed: None,
        }
    }

    pub(super) fn is_handshaking(&self) -> bool {
        match &self.side {
            Side::Client(connection) => connection.is_handshaking(),
            Side::Server(connection) => connection.is_handshaking(),
        }
    }

    pub(super) fn is_server(&self) -> bool {
        matches!(self.side, Side::Server(_))
    }

    /// The peer has shown a certificate, and it was verified.
    pub(super) fn peer_is_certified(&self) -> bool {
        let shown = match &self.side {
            Side::Client(connection) => connection.peer_certificates(),
            Side::Server(connection) => connection.peer_certificates(),
        };
        !self.is_handshaking() && shown.is_some_and(|chain| !chain.is_empty())
    }

    pub(super) fn is_resumed(&self) -> bool {
        let kind = match &self.side {
            Side::Client(connection) => connection.handshake_kind(),
            Side::Server(connection) => connection.handshake_kind(),
        };
        kind == Some(rustls::HandshakeKind::Resumed)
    }

    /// The peer has said that it says no more.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    pub(super) fn failure(&self) -> Option<&Error> {
        self.failed.as_ref()
    }

    /// What is decrypted already.
    pub(super) fn read_plain(&mut self, buffer: &mut [u8]) -> usize {
        let rest = &self.plain[self.plain_read..];
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.plain_read += length;
        if self.plain_read == self.plain.len() {
            // Given back: an idle session holds no buffer.
            (self.plain, self.plain_read) = (Vec::new(), 0);
        }
        length
    }

    /// Takes ciphertext from `read` and decrypts as much of it as there is into `buffer`. Returns what came of it, which may be nothing;
    /// `Pending` where `read` is.
    pub(super) fn open(
        &mut self,
        scratch: &mut Scratch,
        buffer: &mut [u8],
        read: impl FnOnce(&mut [u8]) -> std::task::Poll<io::Result<usize>>,
    ) -> std::task::Poll<io::Result<usize>> {
        let before = self.partial.len();
        // Decrypted it is a little less: so much is about what fits into the buffer.
        let room = buffer.len().saturating_sub(before).clamp(READ_MIN, READ_MAX);
        let end = before + room;
        let received = match read(&mut scratch.incoming[before..end]) {
            std::task::Poll::Ready(Ok(received)) => received,
            other => return other,
        };
        if received == 0 {
            // Without a farewell of TLS it may be anybody's doing.
            return std::task::Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        if self.is_handshaking() && before == 0 {
            self.look_at(&scratch.incoming[..received]);
        }
        if let Some(error) = &self.failed {
            return std::task::Poll::Ready(Err(error.into()));
        }
        scratch.incoming[..before].copy_from_slice(&self.partial);
        let (mut at, end, mut given) = (0, before + received, 0);
        loop {
            let (discard, step) = self.step(&mut scratch.incoming[at..end], buffer, &mut given);
            at += discard;
            match step {
                Ok(Step::Again) => {}
                Ok(Step::Blocked | Step::Open) => break,
                Err(error) => {
                    self.fail(error, &mut scratch.incoming[at..end]);
                    break;
                }
            }
        }
        self.keep_partial(&scratch.incoming[at..end]);
        match &self.failed {
            Some(error) if given == 0 => std::task::Poll::Ready(Err(error.into())),
            _ => std::task::Poll::Ready(Ok(given)),
        }
    }

    fn keep_partial(&mut self, rest: &[u8]) {
        if rest.len() > PARTIAL_MAX {
            // rustls knows nothing of it, so there is no alert to fetch.
            self.failed = self.failed.take().or(Some(Error::from_rustls(rustls::Error::PeerSentOversizedRecord, None)));
        } else if rest.is_empty() {
            self.partial = Vec::new();
        } else {
            self.partial.clear();
            self.partial.extend_from_slice(rest);
        }
    }

    /// Lets rustls say what it has to say by itself: at the beginning of a handshake.
    pub(super) fn begin(&mut self) {
        loop {
            match self.step(&mut [], &mut [], &mut 0) {
                (_, Ok(Step::Again)) => {}
                (_, Ok(Step::Blocked | Step::Open)) => return,
                (_, Err(error)) => return self.fail(error, &mut []),
            }
        }
    }

    /// Plain text is told from TLS by its first byte: a record begins with a number from 20 to 24.
    fn look_at(&mut self, received: &[u8]) {
        if self.failed.is_none() && !(20..=24).contains(&received[0]) {
            self.failed = Some(if self.is_server() { Error::PlainClient } else { Error::not_tls(received) });
        }
    }

    /// The connection is of no more use. The peer is told why. `rest`: what was read and is not done with; rustls remembers places in it, and
    /// must be given it again.
    fn fail(&mut self, error: rustls::Error, rest: &mut [u8]) {
        self.failed = Some(Error::from_rustls(error, verifier::take_refusal()));
        // rustls gives its alert out before it repeats the error.
        let _ = self.step(rest, &mut [], &mut 0);
    }

    /// One step of rustls. Returns how much of `incoming` is done with.
    fn step(&mut self, incoming: &mut [u8], buffer: &mut [u8], given: &mut usize) -> (usize, Result<Step, rustls::Error>) {
        let Self { side, plain, sealed, ended, .. } = self;
        let sink = &mut Sink { buffer, given, plain, sealed, ended };
        match side {
            Side::Client(connection) => sink.take(connection.process_tls_records(incoming)),
            Side::Server(connection) => sink.take(connection.process_tls_records(incoming)),
        }
    }

    /// Seals a beginning of `bytes` into the scratch buffer. Returns how much of it, and how many bytes that became. What TLS has to say
    /// itself goes first.
    pub(super) fn seal<'s>(&mut self, scratch: &'s mut Scratch, bytes: &[u8]) -> io::Result<(usize, &'s [u8], &'s [Record])> {
        if let Some(error) = &self.failed {
            return Err(error.into());
        }
        scratch.records.clear();
        let (mut plain, mut length) = (0, 0);
        for part in bytes[..bytes.len().min(SEAL_PLAIN_MAX)].chunks(RECORD_PLAIN_MAX) {
            let into = &mut scratch.outgoing[length..];
            match self.with_traffic(|traffic| traffic.encrypt(part, into)) {
                Ok(sealed) => length += sealed,
                // What is sealed already goes out; the next call says it again.
                Err(_) if plain > 0 => break,
                Err(error) => return Err(error),
            }
            plain += part.len();
            scratch.records.push(Record { end: length, plain: part.len() });
        }
        Ok((plain, &scratch.outgoing[..length], &scratch.records))
    }

    /// Says that nothing more will be said.
    pub(super) fn say_end(&mut self) {
        if !std::mem::replace(&mut self.said_end, true) && self.failed.is_none() && !self.is_handshaking() {
            let mut word = [0; 256];
            // Where it cannot be said the socket's end has to do.
            if let Ok(length) = self.with_traffic(|traffic| traffic.close_notify(&mut word)) {
                self.sealed.add_own(&word[..length]);
            }
        }
    }

    fn with_traffic(&mut self, write: impl FnOnce(&mut dyn Traffic) -> Result<usize, EncryptError>) -> io::Result<usize> {
        let Self { side, partial, plain, sealed, ended, .. } = self;
        // What is kept of it is no whole record: there is nothing to be read from it.
        let sink = &mut Sink { buffer: &mut [], given: &mut 0, plain, sealed, ended };
        match side {
            Side::Client(connection) => loop {
                match connection.process_tls_records(partial) {
                    UnbufferedStatus { state: Ok(ConnectionState::WriteTraffic(mut traffic)), .. } => {
                        return write(&mut traffic).map_err(io::Error::other);
                    }
                    status => sink.until_traffic(status)?,
                }
            },
            Side::Server(connection) => loop {
                match connection.process_tls_records(partial) {
                    UnbufferedStatus { state: Ok(ConnectionState::WriteTraffic(mut traffic)), .. } => {
                        return write(&mut traffic).map_err(io::Error::other);
                    }
                    status => sink.until_traffic(status)?,
                }
            },
        }
    }
}

/// Either side's `WriteTraffic`.
trait Traffic {
    fn encrypt(&mut self, plain: &[u8], into: &mut [u8]) -> Result<usize, EncryptError>;
    fn close_notify(&mut self, into: &mut [u8]) -> Result<usize, EncryptError>;
}

impl<Data> Traffic for rustls::unbuffered::WriteTraffic<'_, Data> {
    fn encrypt(&mut self, plain: &[u8], into: &mut [u8]) -> Result<usize, EncryptError> {
        Self::encrypt(self, plain, into)
    }

    fn close_notify(&mut self, into: &mut [u8]) -> Result<usize, EncryptError> {
        self.queue_close_notify(into)
    }
}

/// Where what comes out of rustls goes.
struct Sink<'a> {
    buffer: &'a mut [u8],
    /// How much of the buffer is filled.
    given: &'a mut usize,
    plain: &'a mut Vec<u8>,
    sealed: &'a mut Sealed,
    ended: &'a mut bool,
}

impl Sink<'_> {
    fn take<Data>(&mut self, status: UnbufferedStatus<'_, '_, Data>) -> (usize, Result<Step, rustls::Error>) {
        let mut discard = status.discard;
        let state = match status.state {
            Ok(state) => state,
            Err(error) => return (discard, Err(error)),
        };
        let step = match state {
            ConnectionState::ReadTraffic(mut traffic) => {
                while let Some(record) = traffic.next_record() {
                    match record {
                        Ok(record) => {
                            discard += record.discard;
                            self.give(record.payload);
                        }
                        Err(error) => return (discard, Err(error)),
                    }
                }
                Step::Again
            }
            ConnectionState::EncodeTlsData(mut data) => {
                let mut own = vec![0; 1024];
                loop {
                    match data.encode(&mut own) {
                        Ok(length) => break self.sealed.add_own(&own[..length]),
                        Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => {
                            own.resize(required_size, 0)
                        }
                        Err(EncodeError::AlreadyEncoded) => break,
                    }
                }
                Step::Again
            }
            // It stands in what goes out first.
            ConnectionState::TransmitTlsData(data) => {
                data.done();
                Step::Again
            }
            ConnectionState::PeerClosed => {
                *self.ended = true;
                Step::Again
            }
            ConnectionState::BlockedHandshake => Step::Blocked,
            ConnectionState::WriteTraffic(_) | ConnectionState::Closed => Step::Open,
            // Early data is not offered, so there is none.
            ConnectionState::ReadEarlyData(_) | _ => return (discard, Err(rustls::Error::General("early data".into()))),
        };
        (discard, Ok(step))
    }

    /// On the way to where it may be written.
    fn until_traffic<Data>(&mut self, status: UnbufferedStatus<'_, '_, Data>) -> io::Result<()> {
        match self.take(status) {
            (_, Ok(Step::Again)) => Ok(()),
            (_, Ok(Step::Blocked | Step::Open)) => Err(io::ErrorKind::BrokenPipe.into()),
            (_, Err(error)) => Err(io::Error::other(error)),
        }
    }

    fn give(&mut self, bytes: &[u8]) {
        let room = &mut self.buffer[*self.given..];
        // In order: what is kept goes first.
        let fits = if self.plain.is_empty() { bytes.len().min(room.len()) } else { 0 };
        room[..fits].copy_from_slice(&bytes[..fits]);
        *self.given += fits;
        self.plain.extend_from_slice(&bytes[fits..]);
    }
}
