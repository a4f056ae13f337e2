//! A mainstay with a listener that only reads, and what is asked of it.

use super::*;

/// Lines of a listener in each of the modes.
pub const TCP: &str = "mode = \"tcp\"";
/// See [`TCP`].
pub const REDIS: &str = "mode = \"redis\"";
/// See [`TCP`].
pub const SHARED: &str = "mode = \"redis\"\nshared_connections = true";
/// All of them.
pub const MODES: [&str; 3] = [TCP, REDIS, SHARED];
/// Whose port it is.
pub const WHO: [&str; 3] = ["CONFIG", "GET", "port"];

/// Mainstay for a primary and its replicas, whose listener reads; all replicas are usable.
#[track_caller]
pub fn readers<'a>(family: impl IntoIterator<Item = &'a Redis>, mode: &str, lines: &str) -> Mainstay {
    let family: Vec<&Redis> = family.into_iter().collect();
    let mainstay = setup(family.iter().copied(), mode, lines).start_on(family[0]);
    family[1..].iter().for_each(|replica| wait_usable(&mainstay, replica));
    mainstay
}

/// What [`readers`] starts.
pub fn setup<'a>(family: impl IntoIterator<Item = &'a Redis>, mode: &str, lines: &str) -> Setup {
    Setup::of(family)
        .check("interval = \"200ms\"\nfast_interval = \"50ms\"\ntimeout = \"200ms\"\nfall = 3")
        .hold("window = \"3s\"")
        .listener(&format!("route = \"replica\"\n{mode}\n{lines}"))
}

/// The port of the server that answers this client.
#[track_caller]
pub fn port_read(client: &mut Client) -> String {
    port_of(&client.must(&WHO))
}

/// The port that this answer to [`WHO`] tells.
#[track_caller]
pub fn port_of(reply: &Reply) -> String {
    reply.items().get(1).unwrap_or_else(|| panic!("{reply:?} tells no port")).text()
}

/// What mainstay says of reading there.
pub fn reads(mainstay: &Mainstay, server: &Redis) -> String {
    mainstay.backend(&server.address())["reads"].as_str().unwrap_or_default().to_owned()
}

#[track_caller]
pub fn wait_usable(mainstay: &Mainstay, server: &Redis) {
    wait_until(PATIENCE, "the replica is usable", || reads(mainstay, server) == "usable");
}

#[track_caller]
pub fn wait_unusable(mainstay: &Mainstay, server: &Redis) {
    wait_until(PATIENCE, "the replica has dropped out", || reads(mainstay, server) != "usable");
    wait_until(PATIENCE, "nobody reads there", || mainstay.backend(&server.address())["read_sessions"] == 0);
}

/// The first replica was killed, and is started again.
pub fn come_back(family: &mut [Redis]) {
    if let [primary, replica, ..] = family {
        replica.start_again_as_replica_of(primary);
    }
}
