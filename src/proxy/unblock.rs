//! Ends blocking commands on a primary that was replaced and lives on: a client that waits there for an element would wait for ever, or be
//! given one that nobody else knows of.
//!
//! One connection of mainstay's own, for all blocked sessions of a group in this worker, says `CLIENT UNBLOCK id ERROR` for each. What
//! the server had popped before that it has answered already, and the element is passed on; the others are told -UNBLOCKED, and ask again
//! at the next primary. Where the server cannot be asked, they do so when they have waited long enough for its answer.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tracing::{debug, info};

use super::policy::Policy;
use super::transport::Stream;
use super::upstream;
use crate::route::{Login, Way};

/// All of it may take so long; sessions wait no longer for what comes of it.
const UNBLOCK_FOR: Duration = Duration::from_secs(1);
/// Commands in one write, and answers that may be on their way.
const AT_ONCE: usize = 256;

/// The server that blocks them, and who asks.
pub struct Unblock {
    /// The group's name, for the log.
    pub group: Arc<str>,
    /// How to get to the replaced primary.
    pub way: Way,
    /// Who mainstay is to it.
    pub login: Option<Arc<Login>>,
    /// How to connect to it.
    pub policy: Arc<Policy>,
    /// The CLIENT IDs of the blocked.
    pub ids: Vec<u64>,
}

impl Unblock {
    /// Asks the server.
    pub async fn run(self) {
        let count = self.ids.len();
        let (group, endpoint) = (&*self.group, &self.way);
        match timeout(UNBLOCK_FOR, self.ask()).await {
            Ok(Ok(())) => debug!(group, "{count} blocked clients were asked for at {endpoint}"),
            Ok(Err(error)) => {
                info!(group, "{count} blocked clients cannot be asked for at {endpoint}, which was replaced: {error}")
            }
            Err(_) => info!(group, "{count} blocked clients cannot be asked for at {endpoint}, which was replaced: no answer"),
        }
    }

    async fn ask(&self) -> io::Result<()> {
        let mut stream = upstream::connect(&self.way, &self.policy).await?;
        if let Some(login) = &self.login {
            let words = ["AUTH"].into_iter().chain(login.username.as_deref()).chain([&*login.password]);
            exchange(&mut stream, command(words).as_bytes(), 1).await?;
        }
        for ids in self.ids.chunks(AT_ONCE) {
            let requests: String = ids.iter().map(|id| command(["CLIENT", "UNBLOCK", &id.to_string(), "ERROR"])).collect();
            exchange(&mut stream, requests.as_bytes(), ids.len()).await?;
        }
        Ok(())
    }
}

/// Writes requests and waits for as many answers of one line.
async fn exchange(stream: &mut Stream, mut requests: &[u8], mut answers: usize) -> io::Result<()> {
    while !requests.is_empty() {
        let written = poll_fn(|cx| stream.poll_write(cx, requests)).await?;
        requests = &requests[written..];
    }
    let (mut chunk, mut fresh) = ([0; 1024], true);
    while answers > 0 {
        let read = poll_fn(|cx| stream.poll_read(cx, &mut chunk)).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for byte in &chunk[..read] {
            if fresh && *byte == b'-' {
                // Not quoted: an answer to AUTH may repeat the password.
                return Err(io::Error::other("it refuses mainstay's login, or CLIENT UNBLOCK; allow the group's user both"));
            }
            fresh = *byte == b'\n';
            answers = answers.saturating_sub(usize::from(fresh));
        }
    }
    Ok(())
}

fn command<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
    format!("*{}\r\n{}", words.len(), words.concat())
}
