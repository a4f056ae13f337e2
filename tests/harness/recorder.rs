//! A TCP server inside the test that takes the place of a backend, or stands as a relay in front of one.
//!
//! It writes down every byte that it is given, with the time, so that a test can say what was *not* sent. Either direction can
//! be held: the relay then stops reading it, the kernel's buffers fill, and the sender sees back-pressure, as with a server
//! that stands still.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Between two looks at the switches.
const TICK: Duration = Duration::from_millis(5);

/// What one connection was given, and when.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Which connection, counted from 0.
    pub connection: usize,
    /// When it was read.
    pub at: Instant,
    /// The bytes.
    pub bytes: Vec<u8>,
}

#[derive(Default)]
struct Shared {
    tape: Mutex<Vec<Piece>>,
    /// For counting what waits in the kernel unread.
    open: Mutex<Vec<TcpStream>>,
    connections: AtomicUsize,
    hold_requests: AtomicBool,
    hold_replies: AtomicBool,
    refuse: AtomicBool,
    deaf: AtomicBool,
    over: AtomicBool,
}

/// See the module. Ends with the test.
pub struct Recorder {
    /// Where it listens.
    pub port: u16,
    shared: Arc<Shared>,
}

impl Recorder {
    /// A relay on a free port in front of `target` (`host:port`).
    pub fn relay(target: &str) -> Self {
        let target = target.to_owned();
        Self::listen(None, move |connection, stream, shared| relay(connection, stream, &target, shared))
    }

    /// In the place of a backend: takes its port and never answers.
    pub fn mute_on(port: u16) -> Self {
        Self::listen(Some(port), |connection, stream, shared| record(connection, stream, None, shared))
    }

    /// A backend that answers every read with `answer`.
    pub fn answering(answer: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> Self {
        Self::listen(None, move |connection, stream, shared| {
            record(connection, stream, Some(&answer as &dyn Fn(&mut TcpStream)), shared);
        })
    }

    fn listen(port: Option<u16>, serve: impl Fn(usize, TcpStream, &Shared) + Send + Sync + 'static) -> Self {
        let listener = match port {
            Some(port) => TcpListener::bind(("127.0.0.1", port)).expect("the port of a server that ended is free"),
            None => loop {
                if let Ok(listener) = TcpListener::bind(("127.0.0.1", super::free_port())) {
                    break listener;
                }
            },
        };
        listener.set_nonblocking(true).expect("a fresh socket");
        let port = listener.local_addr().expect("a bound socket").port();
        let shared = Arc::new(Shared::default());
        let (theirs, serve) = (shared.clone(), Arc::new(serve));
        thread::spawn(move || {
            let mut listener = Some(listener);
            while !theirs.over.load(Ordering::SeqCst) {
                if theirs.deaf.load(Ordering::SeqCst) {
                    listener = None;
                } else if listener.is_none() {
                    listener = TcpListener::bind(("127.0.0.1", port)).ok();
                    listener.iter().for_each(|fresh| fresh.set_nonblocking(true).expect("a fresh socket"));
                }
                let Some(Ok((stream, _))) = listener.as_ref().map(TcpListener::accept) else {
                    thread::sleep(TICK);
                    continue;
                };
                let connection = theirs.connections.fetch_add(1, Ordering::SeqCst);
                if theirs.refuse.load(Ordering::SeqCst) {
                    continue; // dropped: closed at once
                }
                let _ = stream.set_nodelay(true);
                let _ = stream.set_read_timeout(Some(TICK));
                if let Ok(copy) = stream.try_clone() {
                    theirs.open.lock().expect("no panic holds it").push(copy);
                }
                let (shared, serve) = (theirs.clone(), serve.clone());
                thread::spawn(move || serve(connection, stream, &shared));
            }
        });
        Self { port, shared }
    }

    /// `127.0.0.1:port`
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Stops, or goes on, reading what is sent to the backend.
    pub fn hold_requests(&self, hold: bool) {
        self.shared.hold_requests.store(hold, Ordering::SeqCst);
    }

    /// Stops, or goes on, passing on what the backend answers.
    pub fn hold_replies(&self, hold: bool) {
        self.shared.hold_replies.store(hold, Ordering::SeqCst);
    }

    /// Closes every new connection at once.
    pub fn refuse(&self, refuse: bool) {
        self.shared.refuse.store(refuse, Ordering::SeqCst);
    }

    /// Stops listening, or listens again; the connections that stand go on.
    pub fn deaf(&self, deaf: bool) {
        self.shared.deaf.store(deaf, Ordering::SeqCst);
        let listening = || TcpStream::connect(("127.0.0.1", self.port)).is_ok();
        super::wait_until(super::PATIENCE, "the relay has heard", || listening() != deaf);
    }

    /// Ends every connection that stands.
    pub fn hang_up(&self) {
        for stream in self.shared.open.lock().expect("no panic holds it").drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Everything that was sent to the backend.
    pub fn pieces(&self) -> Vec<Piece> {
        self.shared.tape.lock().expect("no panic holds it").clone()
    }

    /// How often `part` was sent, in pieces read at `since` or later. A part that is cut in two by a read is found as well.
    pub fn count(&self, part: &str, since: Option<Instant>) -> usize {
        let pieces = self.pieces();
        let connections = pieces.iter().map(|piece| piece.connection + 1).max().unwrap_or(0);
        let mut found = 0;
        for connection in 0..connections {
            let mine = pieces.iter().filter(|piece| piece.connection == connection);
            let bytes: Vec<u8> = mine.filter(|piece| since.is_none_or(|t| piece.at >= t)).flat_map(|p| p.bytes.clone()).collect();
            found += bytes.windows(part.len()).filter(|window| *window == part.as_bytes()).count();
        }
        found
    }

    /// Bytes read so far.
    pub fn bytes(&self) -> u64 {
        self.pieces().iter().map(|piece| piece.bytes.len() as u64).sum()
    }

    /// Bytes that wait in this side's kernel, unread, on all connections.
    pub fn waiting(&self) -> u64 {
        let open = self.shared.open.lock().expect("no panic holds it");
        open.iter().map(|stream| rustix::io::ioctl_fionread(stream).unwrap_or(0)).sum()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        for stream in self.shared.open.lock().expect("no panic holds it").drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// Reads one chunk unless `hold`; `None` when the connection has ended.
fn take<'a>(stream: &mut TcpStream, chunk: &'a mut [u8], hold: &AtomicBool, over: &AtomicBool) -> Option<&'a [u8]> {
    loop {
        if over.load(Ordering::SeqCst) {
            return None;
        }
        if hold.load(Ordering::SeqCst) {
            thread::sleep(TICK);
            continue;
        }
        match stream.read(chunk) {
            Ok(0) => return None,
            Ok(length) => return Some(&chunk[..length]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => {}
            Err(_) => return None,
        }
    }
}

fn record(connection: usize, mut stream: TcpStream, answer: Option<&dyn Fn(&mut TcpStream)>, shared: &Shared) {
    let mut chunk = vec![0; 64 * 1024];
    while let Some(bytes) = take(&mut stream, &mut chunk, &shared.hold_requests, &shared.over) {
        let piece = Piece { connection, at: Instant::now(), bytes: bytes.to_vec() };
        shared.tape.lock().expect("no panic holds it").push(piece);
        if let Some(answer) = answer {
            answer(&mut stream);
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
}

fn relay(connection: usize, mut client: TcpStream, target: &str, shared: &Shared) {
    let Ok(mut server) = TcpStream::connect(target) else {
        return drop(client.shutdown(Shutdown::Both));
    };
    let _ = (server.set_nodelay(true), server.set_read_timeout(Some(TICK)));
    let (Ok(mut to_client), Ok(mut to_server)) = (client.try_clone(), server.try_clone()) else { return };
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut chunk = vec![0; 64 * 1024];
            while let Some(bytes) = take(&mut server, &mut chunk, &shared.hold_replies, &shared.over) {
                if to_client.write_all(bytes).is_err() {
                    break;
                }
            }
            let _ = to_client.shutdown(Shutdown::Write);
        });
        let mut chunk = vec![0; 64 * 1024];
        while let Some(bytes) = take(&mut client, &mut chunk, &shared.hold_requests, &shared.over) {
            let piece = Piece { connection, at: Instant::now(), bytes: bytes.to_vec() };
            shared.tape.lock().expect("no panic holds it").push(piece);
            if to_server.write_all(bytes).is_err() {
                break;
            }
        }
        let _ = to_server.shutdown(Shutdown::Write);
    });
}
