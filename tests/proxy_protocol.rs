//! Before a client is a session: who may connect, PROXY headers, handshakes, and what those get who only pretend.

mod harness;

mod proxy_protocol {
    mod crowds;
    mod headers;
    mod tls;
}

use std::net::{IpAddr, SocketAddr, TcpStream};

use harness::*;
use socket2::{Domain, Socket, Type};

/// Connects from this address of the loopback network.
fn try_from(own: &str, to: &str) -> std::io::Result<TcpStream> {
    let own: IpAddr = own.parse().expect("an address");
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(own, 0).into())?;
    socket.connect(&to.parse::<SocketAddr>().expect("an address").into())?;
    socket.set_tcp_nodelay(true)?;
    Ok(socket.into())
}

/// A client that connects from there.
#[track_caller]
fn client_from(own: &str, to: &str) -> Client {
    Client::over(try_from(own, to).unwrap_or_else(|error| panic!("from {own} to {to}: {error}")))
}

/// A header of version 1.
fn header(from: &str) -> Vec<u8> {
    format!("PROXY TCP4 {from} 127.0.0.1 4711 6379\r\n").into_bytes()
}

fn refused(mainstay: &Mainstay, reason: &str) -> f64 {
    mainstay.metric("mainstay_arrivals_refused_total", &[&format!("reason=\"{reason}\"")])
}
