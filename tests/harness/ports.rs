//! Free ports.

use std::collections::HashSet;
use std::net::TcpListener;
use std::sync::Mutex;

/// A port of 127.0.0.1 that nobody listens on, below the range from which the kernel takes ports for outgoing connections,
/// so that no client takes it before the server does. No two calls in a process return the same one; between processes a race
/// remains, so whoever binds it tries again with another.
pub fn free_port() -> u16 {
    static TAKEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
    let mut taken = TAKEN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let taken = taken.get_or_insert_default();
    loop {
        let mut random = [0; 2];
        getrandom(&mut random);
        let port = 10_000 + u16::from_le_bytes(random) % 22_000;
        if taken.insert(port) && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn getrandom(bytes: &mut [u8]) {
    use std::io::Read;
    std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(bytes)).expect("/dev/urandom can be read");
}
