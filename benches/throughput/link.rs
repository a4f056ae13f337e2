//! A client's connection, plain or by TLS. What TLS costs here it costs for every target alike.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use mio::net::TcpStream;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use crate::load::PATIENCE;

/// See the module.
pub struct Link {
    /// Registered with a poll.
    pub socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

impl Link {
    /// Connects, and shakes hands where `tls` is given.
    pub fn connect(address: SocketAddr, tls: Option<&Arc<ClientConfig>>) -> Result<Self> {
        let mut stream =
            std::net::TcpStream::connect_timeout(&address, PATIENCE).with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        let mut shaken = None;
        if let Some(config) = tls {
            stream.set_read_timeout(Some(PATIENCE))?;
            let mut connection = ClientConnection::new(config.clone(), ServerName::try_from("localhost")?)?;
            connection.set_buffer_limit(None);
            while connection.is_handshaking() {
                connection.complete_io(&mut stream).with_context(|| format!("no TLS with {address}"))?;
            }
            shaken = Some(Box::new(connection));
        }
        stream.set_nonblocking(true)?;
        Ok(Self { socket: TcpStream::from_std(stream), tls: shaken })
    }

    /// Takes what fits.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.socket.write(bytes),
            Some(tls) => {
                let taken = tls.writer().write(bytes)?;
                self.flush()?;
                Ok(taken)
            }
        }
    }

    /// Writes what is sealed, as far as the kernel takes it.
    pub fn flush(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        while tls.wants_write() {
            match tls.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether the kernel has all of it.
    pub fn has_flushed(&self) -> bool {
        self.tls.as_ref().is_none_or(|tls| !tls.wants_write())
    }

    /// Reads until the socket is empty, and hands over what came. False at the end.
    pub fn read(&mut self, scratch: &mut [u8], mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<bool> {
        let half = scratch.len() / if self.tls.is_some() { 2 } else { 1 };
        let (incoming, plain) = scratch.split_at_mut(half);
        loop {
            let read = match self.socket.read(incoming) {
                Ok(0) => return Ok(false),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error).context("cannot read"),
            };
            match &mut self.tls {
                None => take(&incoming[..read])?,
                Some(tls) => {
                    let mut rest = &incoming[..read];
                    while !rest.is_empty() {
                        tls.read_tls(&mut rest)?;
                        tls.process_new_packets()?;
                        while let Ok(length @ 1..) = tls.reader().read(plain) {
                            take(&plain[..length])?;
                        }
                    }
                }
            }
            // A short read has emptied the socket; what comes later is a new edge.
            if read < incoming.len() {
                return Ok(true);
            }
        }
    }
}
