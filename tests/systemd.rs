//! The manners of a service: readiness, reloading, stopping, and a socket that was opened for it.

mod harness;

use std::os::unix::net::UnixDatagram;
use std::time::Instant;

use harness::*;
use rustix::process::Signal;

/// Waits for a notification that contains `word`; returns what came on the way.
#[track_caller]
fn notified(socket: &UnixDatagram, word: &str) -> Vec<String> {
    let (begun, mut heard) = (Instant::now(), Vec::new());
    socket.set_read_timeout(Some(ms(100))).expect("a fresh socket");
    while begun.elapsed() < PATIENCE {
        let mut message = [0; 4096];
        let Ok(length) = socket.recv(&mut message) else { continue };
        heard.push(String::from_utf8_lossy(&message[..length]).into_owned());
        if heard.last().is_some_and(|text| text.lines().any(|line| line == word)) {
            return heard;
        }
    }
    panic!("{word} never came, only {heard:?}");
}

#[test]
fn systemd_is_told_when_mainstay_is_ready_reloading_and_stopping() {
    let server = Redis::start(&[]);
    let dir = tempfile::tempdir().expect("a folder for temporary files");
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("the folder can be written");
    let setup = Setup::of([&server]).environment("NOTIFY_SOCKET", &path.display().to_string());
    let mut mainstay = setup.start_on(&server);
    notified(&socket, "READY=1");
    mainstay.setup.hold = "window = \"6s\"".into();
    mainstay.write(&mainstay.setup.toml(&mainstay.admin, &mainstay.listen));
    mainstay.signal(Signal::HUP);
    let reloading = notified(&socket, "RELOADING=1");
    let text = reloading.last().expect("it was heard");
    assert!(text.contains("MONOTONIC_USEC="), "Type=notify-reload asks for it: {text:?}");
    notified(&socket, "READY=1");
    mainstay.signal(Signal::TERM);
    notified(&socket, "STOPPING=1");
    assert_eq!(mainstay.process.wait(PATIENCE).code(), Some(0));
}

/// Opens a listening socket as descriptor 3 and becomes the program that follows, as systemd does. Perl is part of every
/// Debian; the descriptor limit in `$^F` keeps it from closing the socket.
const ACTIVATE: &str = r#"
    $^F = 255;
    use Socket; use POSIX ();
    my $port = shift @ARGV;
    socket(my $socket, PF_INET, SOCK_STREAM, 0) or die $!;
    setsockopt($socket, SOL_SOCKET, SO_REUSEADDR, 1) or die $!;
    bind($socket, sockaddr_in($port, inet_aton("127.0.0.1"))) or die $!;
    listen($socket, 128) or die $!;
    fileno($socket) == 3 or POSIX::dup2(fileno($socket), 3) or die $!;
    $ENV{LISTEN_FDS} = 1; $ENV{LISTEN_PID} = $$;
    exec @ARGV or die $!;
"#;

#[test]
fn a_socket_that_was_opened_for_mainstay_is_used() {
    let server = Redis::start(&[]);
    let port = free_port().to_string();
    let setup = Setup::of([&server]).bind(format!("127.0.0.1:{port}")).wrapper(&["perl", "-e", ACTIVATE, &port]);
    let mut mainstay = setup.start_on(&server);
    mainstay.client().must(&["SET", "k", "v"]);
    assert_eq!(server.command(&["GET", "k"]), Reply::bulk("v"));
    mainstay.signal(Signal::TERM);
    assert_eq!(mainstay.process.wait(PATIENCE).code(), Some(0));
}
