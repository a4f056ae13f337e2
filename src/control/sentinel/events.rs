//! One task a Sentinel that follows its events. They are hints and nothing more: a Sentinel that was restarted repeats old news, and what
//! one says of a failover the others may not have heard yet. So of an event only this is taken: something has happened to this master.

use std::sync::Arc;
use std::time::Duration;

use redis_protocol::resp2::decode::decode;
use redis_protocol::resp2::types::OwnedFrame;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::link::{Link, Manner, explain, silent};
use super::{News, What};
use crate::control::probe::jitter;
use crate::control::wire::{Fault, Wire, excerpt};

/// An event is a name and at most a few addresses.
const EVENT_BYTES_MAX: usize = 16 * 1024;
/// So many are read in one go; then the task lets others have their turn, however fast they come.
const BURST: usize = 64;
const PAUSE: Duration = Duration::from_millis(5);

/// See the module.
pub(super) struct Listener {
    /// Where the Sentinel is: its name everywhere.
    pub(super) address: Arc<str>,
    pub(super) link: Link,
    pub(super) manner: Arc<Manner>,
    /// Makes the asker ask this very Sentinel.
    pub(super) event: Arc<Notify>,
    pub(super) news: mpsc::Sender<News>,
    pub(super) term: u64,
}

impl Listener {
    /// Listens until the coordinator is gone, and connects anew whenever it has to.
    pub(super) async fn run(mut self) {
        loop {
            let Err(deaf) = self.listen().await;
            // The asker says the same of a Sentinel that cannot be reached; what else there is to say is why events are missing.
            if self.send(What::Deaf(deaf)).await.is_err() {
                return;
            }
            sleep(self.manner.check.interval.mul_f64(jitter())).await;
        }
    }

    async fn send(&self, what: What) -> Result<(), ()> {
        self.news.send(News { term: self.term, from: self.address.clone(), what }).await.map_err(drop)
    }

    async fn listen(&mut self) -> Result<std::convert::Infallible, String> {
        let patience = self.manner.check.timeout;
        let said = |fault: Fault| explain(fault, patience);
        let mut wire = self.link.open(&self.manner).await?;
        wire.tell(&[&["PSUBSCRIBE", "*"]]).await.map_err(said)?;
        let reply = timeout(patience, wire.next_reply(EVENT_BYTES_MAX)).await.map_err(|_| silent(patience))?.map_err(said)?;
        if let Ok(Some((OwnedFrame::Error(text), _))) = decode(&reply) {
            return Err(format!("does not let mainstay follow its events: it said \"{}\"", excerpt(&text)));
        }
        if self.send(What::Hears).await.is_err() {
            return Err(String::new());
        }
        self.follow(&mut wire).await
    }

    /// Reads what comes. In between it asks for a sign of life: nothing else tells a quiet Sentinel from one that is gone.
    async fn follow(&mut self, wire: &mut Wire) -> Result<std::convert::Infallible, String> {
        let patience = self.manner.check.timeout;
        let said = |fault: Fault| explain(fault, patience);
        // More often than once a second tells nothing more.
        let every = self.manner.check.interval.max(Duration::from_secs(1));
        let mut owes_life = false;
        let mut due = Instant::now() + every;
        loop {
            let mut concerned = false;
            for _ in 0..BURST {
                let reply = tokio::select! {
                    biased;
                    reply = wire.next_reply(EVENT_BYTES_MAX) => reply.map_err(said)?,
                    () = sleep_until(due) => {
                        if owes_life {
                            return Err(silent(patience));
                        }
                        timeout(patience, wire.tell(&[&["PING"]])).await.map_err(|_| silent(patience))?.map_err(said)?;
                        (owes_life, due) = (true, Instant::now() + patience);
                        continue;
                    }
                };
                (owes_life, due) = (false, due.max(Instant::now() + every));
                if let Some(event) = concerns(&reply, &self.manner.sentinel.master_name) {
                    concerned = true;
                    // The coordinator has as many events waiting as it can use: another one tells it nothing.
                    let what = What::Happened(event);
                    let _ = self.news.try_send(News { term: self.term, from: self.address.clone(), what });
                    self.event.notify_one();
                    break;
                }
            }
            sleep(if concerned { self.manner.check.fast_interval.min(PAUSE) } else { PAUSE }).await;
        }
    }
}

/// The event's name, where the master's name is a word of what is said.
fn concerns(reply: &[u8], master_name: &str) -> Option<String> {
    let Ok(Some((OwnedFrame::Array(words), _))) = decode(reply) else { return None };
    let [kind, _, event, payload] = &words[..] else { return None };
    let text = |frame: &OwnedFrame| match frame {
        OwnedFrame::BulkString(text) | OwnedFrame::SimpleString(text) => String::from_utf8_lossy(text).into_owned(),
        OwnedFrame::Error(_) | OwnedFrame::Integer(_) | OwnedFrame::Null | OwnedFrame::Array(_) => String::new(),
    };
    let this = text(kind) == "pmessage" && text(payload).split_whitespace().any(|word| word == master_name);
    this.then(|| excerpt(&text(event)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(words: &[&str]) -> Vec<u8> {
        let words: String = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
        format!("*4\r\n{words}").into_bytes()
    }

    #[test]
    fn an_event_concerns_the_master_whose_name_is_a_word_of_it() {
        let of = |payload: &str| concerns(&event(&["pmessage", "*", "+x", payload]), "jobs");
        for payload in [
            "jobs 127.0.0.1 21000 127.0.0.1 21001",
            "master jobs 127.0.0.1 21000",
            "slave 127.0.0.1:21001 127.0.0.1 21001 @ jobs 127.0.0.1 21000",
        ] {
            assert_eq!(of(payload).as_deref(), Some("+x"), "{payload}");
        }
        for payload in ["other-jobs 127.0.0.1 21000", "master jobs2 127.0.0.1 21000", "1", "#tilt mode entered", ""] {
            assert_eq!(of(payload), None, "{payload}");
        }
        assert_eq!(concerns(b"*2\r\n$4\r\npong\r\n$0\r\n\r\n", "jobs"), None);
        assert_eq!(concerns(b"+OK\r\n", "jobs"), None);
    }
}
