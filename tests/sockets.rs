//! What the sockets themselves are told: keepalive, and how long a connect may take.

mod harness;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use harness::*;
use socket2::{Domain, Socket, Type};

/// Seconds until the keepalive timer of an established connection fires, for each connection that has one and that `chosen` picks by its
/// local and remote port. From /proc/net/tcp: `tr` is 2 for such a timer, `tm->when` is in hundredths of a second.
fn keepalive_timers(chosen: impl Fn(u16, u16) -> bool) -> Vec<f64> {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux tells its connections");
    let port = |address: &str| u16::from_str_radix(address.rsplit(':').next().expect("a port"), 16).expect("in hex");
    let rows = table.lines().skip(1).map(|row| row.split_ascii_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row[3] == "01" && chosen(port(row[1]), port(row[2])))
        .filter_map(|row| row[5].strip_prefix("02:"))
        .map(|when| u32::from_str_radix(when, 16).expect("in hex") as f64 / 100.0)
        .collect()
}

#[test]
fn both_sides_of_a_session_have_the_configured_keepalive() {
    let server = Redis::start(&["tcp-keepalive 0"]);
    let mainstay = Setup::of([&server]).listener("keepalive = \"7s\"").start_on(&server);
    let mut client = mainstay.client();
    client.must(&["PING"]);
    let listener: SocketAddr = mainstay.listen.parse().expect("an address");
    let towards_client = || keepalive_timers(|local, _| local == listener.port());
    let towards_backend = || keepalive_timers(|_, remote| remote == server.port);
    for timers in [&towards_client as &dyn Fn() -> Vec<f64>, &towards_backend] {
        wait_until(PATIENCE, "a keepalive timer within 7 s", || timers().iter().any(|seconds| (0.1..=7.1).contains(seconds)));
    }
}

/// A backend whose one connection, that of the checks, is answered; connecting to it again is never answered, as its backlog is full.
struct Swamped {
    address: SocketAddr,
    _socket: Socket,
    _backlog: Vec<Socket>,
}

impl Swamped {
    fn start() -> (Self, std::thread::JoinHandle<()>, std::sync::mpsc::Sender<()>) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
        socket.listen(1).expect("listens");
        let address = socket.local_addr().ok().and_then(|address| address.as_socket()).expect("an address");
        let (sender, stop) = std::sync::mpsc::channel();
        let listener = socket.try_clone().expect("a descriptor");
        let thread = std::thread::spawn(move || {
            let (checks, _) = listener.accept().expect("the checks connect");
            let mut checks = TcpStream::from(checks);
            checks.set_read_timeout(Some(Duration::from_millis(50))).expect("a time-out");
            let info = "# Server\r\nrun_id:aa\r\n# Replication\r\nrole:master\r\nmaster_replid:bb\r\n";
            let mut buffer = [0; 4096];
            while matches!(stop.try_recv(), Err(std::sync::mpsc::TryRecvError::Empty)) {
                let Ok(read) = checks.read(&mut buffer) else { continue };
                if read == 0 {
                    return;
                }
                let _ = write!(checks, "${}\r\n{info}\r\n", info.len());
            }
        });
        (Self { address, _socket: socket, _backlog: Vec::new() }, thread, sender)
    }

    /// Connections that nobody accepts, until one is not answered any more.
    fn fill_backlog(&mut self) {
        loop {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
            if socket.connect_timeout(&self.address.into(), Duration::from_millis(300)).is_err() {
                return;
            }
            self._backlog.push(socket);
        }
    }
}

#[test]
fn a_backend_that_does_not_answer_a_connect_costs_connect_timeout_and_the_window_and_no_more() {
    let (mut swamped, thread, stop) = Swamped::start();
    let setup = Setup::at([swamped.address.to_string()]).listener("connect_timeout = \"300ms\"").hold("window = \"1s\"");
    let mainstay = setup.start();
    mainstay.wait_for_primary(&swamped.address.to_string());
    swamped.fill_backlog();
    let begun = Instant::now();
    assert_eq!(mainstay.client().end(PATIENCE), Gone::Closed);
    let took = begun.elapsed();
    assert!(took >= ms(1000) && took < ms(5000), "closed after {took:?}");
    assert_eq!(mainstay.epoch(), 0, "a primary whose checks are answered is not lost");
    drop(stop);
    drop(mainstay);
    thread.join().expect("it ends with its connection");
}
