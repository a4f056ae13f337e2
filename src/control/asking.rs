//! Asking a backend what its commands do.
//!
//! On a connection of its own, for one question: the answer is a hundred times as long as an INFO, and no check may wait behind it. And
//! while the group is in no doubt, so that a server that has just become primary has nothing else to do. Until the answer is there, and
//! where there is none, the table shipped with mainstay serves.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis_protocol::resp2::decode::decode;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, timeout};

use super::coordinator::AbortOnDrop;
use super::login::log_in;
use super::probe::{News, Report};
use super::wire::{Fault, Reply, Wire, excerpt};
use crate::config::Credentials;
use crate::resp::command::Commands;
use crate::route::Way;
use crate::topology::facts::Id;
use crate::topology::{Backend, Facts, Role};

/// A server that takes longer has other worries.
const PATIENCE: Duration = Duration::from_secs(5);
/// The same process is asked again no sooner, unless it has become a master: a module may have been loaded, or a fault be over.
const AGAIN_AFTER: Duration = Duration::from_secs(60);
/// A doubt that lasts does not put the question off for longer.
const PUT_OFF_MAX: Duration = Duration::from_secs(15);
/// Redis 7 answers with 90 KB, and modules add to it.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// One answer at a time is read, whichever group it is for: the others wait, and not the checks.
static READING: Semaphore = Semaphore::const_new(1);

/// When one backend is to be asked.
#[derive(Default)]
pub(super) struct Asking {
    /// What the last check with facts said, as far as it matters here.
    process: Option<Id>,
    is_master: bool,
    due_since: Option<Instant>,
    last: Option<Asked>,
}

struct Asked {
    process: Option<Id>,
    at: Instant,
    /// There was no answer, for a reason that may pass.
    failed: Arc<AtomicBool>,
    /// Ends with this.
    _task: AbortOnDrop,
}

impl Asking {
    /// A check ended with facts; `anew`: over a new connection.
    pub(super) fn heard(&mut self, facts: &Facts, anew: bool, now: Instant) {
        let is_master = facts.role == Role::Master;
        let due = match &self.last {
            None => true,
            Some(last) => {
                let may_have_changed = anew || last.failed.load(Ordering::Relaxed);
                let promoted = is_master && !self.is_master;
                last.process != facts.run_id || promoted || (may_have_changed && now - last.at >= AGAIN_AFTER)
            }
        };
        self.process = facts.run_id.clone();
        self.is_master = is_master;
        if due {
            self.due_since.get_or_insert(now);
        }
    }

    /// Asks if it is time to. `calm`: the group is in no doubt.
    pub(super) fn ask_if_due(&mut self, calm: bool, now: Instant, question: impl FnOnce() -> Question) {
        if self.due_since.take_if(|since| calm || now - *since >= PUT_OFF_MAX).is_some() {
            let failed = Arc::new(AtomicBool::new(false));
            let task = AbortOnDrop(tokio::spawn(question().ask(failed.clone())));
            self.last = Some(Asked { process: self.process.clone(), at: now, failed, _task: task });
        }
    }
}

/// Whom to ask, and whom to tell.
pub(super) struct Question {
    pub(super) backend: Arc<str>,
    pub(super) way: Way,
    pub(super) credentials: Option<Credentials>,
    pub(super) reports: mpsc::Sender<Report>,
}

/// Who answered, and why there is nothing to be learned from it, if so.
type Answer = (Option<Id>, Result<Arc<Commands>, String>);

impl Question {
    async fn ask(self, failed: Arc<AtomicBool>) {
        let answer = timeout(PATIENCE, self.answer()).await;
        let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())));
        failed.store(answer.is_err(), Ordering::Relaxed);
        let (process, commands) = answer.unwrap_or_else(|why| (None, Err(why)));
        // The coordinator may have gone: nothing to do.
        let _ = self.reports.send(Report { backend: self.backend, news: News::Commands { process, commands } }).await;
    }

    /// An error is a reason that may pass.
    async fn answer(&self) -> Result<Answer, String> {
        let said = |fault: Fault| match fault {
            Fault::Backend(outcome) => outcome.message().unwrap_or_else(|| outcome.as_str().to_owned()),
            Fault::Closed => "it closed the connection".to_owned(),
            Fault::Own(error) => format!("for want of a resource of this machine: {error}"),
        };
        let mut wire = Wire::connect(self.way.clone()).await.map_err(said)?;
        if let Some(refusal) = log_in(&mut wire, self.credentials.as_ref()).await.map_err(said)? {
            return Err(said(Fault::Backend(refusal)));
        }
        // Another process may listen there than the one that was checked.
        let process = match wire.ask(&["INFO", "server"]).await.map_err(said)? {
            Reply::Text(text) => Facts::parse(&text).run_id,
            Reply::Error(text) => return Err(format!("to INFO it said \"{}\"", excerpt(&text))),
        };
        let reply = match wire.ask_for_array(&["COMMAND"], ANSWER_BYTES_MAX).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(text)) => return Ok((process, Err(format!("to COMMAND it said \"{}\"", excerpt(&text))))),
            Err(fault) => return Err(said(fault)),
        };
        // On another thread, and one at a time: it takes as long as some checks do, and at the start every backend is asked at once.
        let _turn = READING.acquire().await;
        let read = tokio::task::spawn_blocking(move || match decode(&reply) {
            Ok(Some((frame, _))) => Commands::from_reply(&frame).map_err(|why| format!("of its reply to COMMAND: {why}")),
            Ok(None) | Err(_) => Err("its reply to COMMAND is no RESP2".to_owned()),
        });
        // A panic there would be a fault of mainstay's, and the shipped table still serves.
        let commands = read.await.map_err(|error| format!("its reply to COMMAND could not be read: {error}"))?;
        Ok((process, commands.map(Arc::new)))
    }
}

/// What each backend has answered.
#[derive(Default)]
pub(super) struct Told(HashMap<Arc<str>, (Option<Id>, Arc<Commands>)>);

impl Told {
    /// An answer that is none leaves the last one of the same process in force.
    pub(super) fn answer(&mut self, backend: &Arc<str>, process: Option<Id>, commands: Arc<Commands>) {
        self.0.insert(backend.clone(), (process, commands));
    }

    pub(super) fn rename(&mut self, old: &Arc<str>, new: &Arc<str>) {
        if let Some(told) = self.0.remove(old) {
            self.0.insert(new.clone(), told);
        }
    }

    pub(super) fn forget(&mut self, backend: &Arc<str>) {
        self.0.remove(backend);
    }

    /// What the process that answers at `backend` said; before that, or if it cannot, what is shipped.
    pub(super) fn commands_of(&self, backend: &Backend) -> Arc<Commands> {
        let process = backend.health.facts().and_then(|facts| facts.run_id.as_ref());
        let told = self.0.get(&backend.name).filter(|(teller, _)| teller.as_ref() == process);
        told.map_or_else(Commands::shipped, |(_, commands)| commands.clone())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::route::Endpoint;

    /// Asks a made-up server that answers INFO, and COMMAND with `answer`, followed by `more` again and again.
    async fn asked(answer: Vec<u8>, more: Vec<u8>) -> Result<Answer, String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let way = Way { endpoint: Endpoint::Tcp(listener.local_addr().unwrap()), tls: None };
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(b"$13\r\nrun_id:abcdef\r\n").await;
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(&answer).await;
            while !more.is_empty() && stream.write_all(&more).await.is_ok() {}
        });
        let (reports, _) = mpsc::channel(1);
        let question = Question { backend: "made-up".into(), way, credentials: None, reports };
        let answer = timeout(Duration::from_secs(20), question.answer()).await.unwrap();
        server.abort();
        answer
    }

    #[tokio::test]
    async fn whatever_a_server_answers_costs_a_bounded_memory_and_has_a_reason() {
        let nothing = Vec::new;
        let cases = [
            (b"*1000000\r\n".to_vec(), b"+x\r\n".repeat(10_000), "no end within 1048576 bytes"),
            (b"*1\r\n".repeat(1_000), nothing(), "nested too deep"),
            (b"*2\r\n".to_vec(), nothing(), "closed"),
            (b"*0\r\n".to_vec(), nothing(), "fewer commands"),
            (b"+OK\r\n".to_vec(), nothing(), "wrong kind"),
            (b"%1\r\n".to_vec(), nothing(), "it said"),
            (b"-NOPERM no\r\n".to_vec(), nothing(), "NOPERM no"),
        ];
        for (answer, more, reason) in cases {
            let why = match asked(answer, more).await {
                Err(why) | Ok((_, Err(why))) => why,
                Ok((_, Ok(commands))) => panic!("{commands:?}"),
            };
            assert!(why.contains(reason), "{why}");
        }
    }

    #[tokio::test]
    async fn a_process_is_asked_in_calm_and_again_when_it_may_have_changed() {
        let facts = |process: &str, role| Facts { run_id: Id::new(process), role, ..Facts::default() };
        let (replica, master) = (facts("a", Role::Replica), facts("a", Role::Master));
        let begun = Instant::now();
        let after = |seconds| begun + Duration::from_secs(seconds);
        let mut asking = Asking::default();
        let asks = |asking: &mut Asking, calm, at| {
            let mut asks = false;
            asking.ask_if_due(calm, after(at), || {
                asks = true;
                let (reports, _) = mpsc::channel(1);
                let way = Way { endpoint: Endpoint::Tcp(([127, 0, 0, 1], 1).into()), tls: None };
                Question { backend: "made-up".into(), way, credentials: None, reports }
            });
            asks
        };
        assert!(!asks(&mut asking, true, 0), "nobody was heard yet");
        asking.heard(&replica, true, after(0));
        assert!(!asks(&mut asking, false, 1), "the group is in doubt");
        assert!(asks(&mut asking, true, 2));
        asking.heard(&replica, true, after(3));
        assert!(!asks(&mut asking, true, 3), "it was asked just now");
        asking.heard(&master, false, after(4));
        assert!(asks(&mut asking, true, 4), "it was promoted");
        asking.heard(&master, false, after(70));
        assert!(!asks(&mut asking, true, 70), "nothing has happened");
        asking.heard(&master, true, after(71));
        assert!(asks(&mut asking, true, 71), "a new connection after a while");
        asking.heard(&facts("b", Role::Master), true, after(72));
        assert!(!asks(&mut asking, false, 72));
        assert!(asks(&mut asking, false, 88), "a doubt that lasts is no reason to wait for ever");
    }
}
