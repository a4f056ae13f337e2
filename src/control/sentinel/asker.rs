//! One task a Sentinel that asks it what it knows: each `check.interval`, at `fast_interval` while the group is in doubt, and at once when
//! a round is ordered or the Sentinel itself tells of an event.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::answers::{self, Answer, NoAnswer, REPLY_BYTES_MAX};
use super::link::{Link, Manner, explain, silent};
use super::{News, What};
use crate::control::probe::{Pace, jitter};
use crate::control::wire::{Fault, Wire};
use crate::route::Moment;
use crate::topology::sentinel::Silence;

/// See the module.
pub(super) struct Asker {
    /// Where it is asked: its name everywhere.
    pub(super) address: Arc<str>,
    pub(super) link: Link,
    pub(super) manner: Arc<Manner>,
    /// The same as of the group's checks.
    pub(super) pace: watch::Receiver<Pace>,
    /// It told of an event that concerns the group.
    pub(super) event: Arc<Notify>,
    pub(super) news: mpsc::Sender<News>,
    /// Stands in all that it sends: what an earlier configuration asked for is not heard any more.
    pub(super) term: u64,
}

impl Asker {
    /// Asks until the coordinator is gone.
    pub(super) async fn run(mut self) {
        let mut wire: Option<Wire> = None;
        let mut word = "REPLICAS";
        let mut asked_for_event = None;
        loop {
            let begun = Instant::now();
            let round = self.pace.borrow_and_update().round;
            let asked = Moment::now();
            let answer = self.ask(&mut wire, &mut word).await;
            let failed = matches!(answer, Err(Silence::Failed(_)));
            if failed {
                wire = None;
            }
            let news = News { term: self.term, from: self.address.clone(), what: What::Answered { asked, answer } };
            if self.news.send(news).await.is_err() || !self.wait(begun, round, failed, &mut asked_for_event).await {
                return;
            }
        }
    }

    /// Waits for the next question; false when the coordinator is gone.
    async fn wait(&mut self, begun: Instant, round: u64, failed: bool, asked_for_event: &mut Option<Instant>) -> bool {
        let jitter = jitter();
        // Besides those of the group's pace, one question in each `fast_interval`, however many events there are.
        let next_for_event = asked_for_event.map_or(begun, |at| at + self.manner.check.fast_interval);
        let mut told = false;
        loop {
            let pace = *self.pace.borrow_and_update();
            if pace.round > round {
                return true;
            }
            // Who does not answer is not asked faster because the group is in doubt: each question would wait for its time-out.
            let every = if failed { pace.every.max(self.manner.check.interval) } else { pace.every };
            tokio::select! {
                () = sleep_until(begun + every.mul_f64(jitter)) => return true,
                () = self.event.notified(), if !told => told = true,
                () = sleep_until(next_for_event), if told => {
                    *asked_for_event = Some(Instant::now());
                    return true;
                }
                changed = self.pace.changed() => if changed.is_err() { return false },
            }
        }
    }

    async fn ask(&mut self, slot: &mut Option<Wire>, word: &mut &'static str) -> Result<Answer, Silence> {
        let patience = self.manner.check.timeout;
        let deadline = Instant::now() + patience;
        let was_open = slot.is_some();
        match self.ask_once(slot, word, patience).await {
            // What is learned from the end of an old connection is little: a new one tells.
            Err(Fault::Closed) if was_open => {
                *slot = None;
                let left = deadline.saturating_duration_since(Instant::now());
                self.ask_once(slot, word, left).await.unwrap_or_else(|fault| Err(Silence::Failed(explain(fault, patience))))
            }
            Err(fault) => Err(Silence::Failed(explain(fault, patience))),
            Ok(answer) => answer,
        }
    }

    async fn ask_once(
        &mut self,
        slot: &mut Option<Wire>,
        word: &mut &'static str,
        patience: Duration,
    ) -> Result<Result<Answer, Silence>, Fault> {
        let wire = match slot {
            Some(wire) => wire,
            None => match self.link.open(&self.manner).await {
                Ok(wire) => slot.insert(wire),
                Err(why) => return Ok(Err(Silence::Failed(why))),
            },
        };
        let name = &self.manner.sentinel.master_name;
        let asked = timeout(patience, async {
            loop {
                let questions = answers::questions(name, word);
                let questions: Vec<&[&str]> = questions.iter().map(Vec::as_slice).collect();
                let replies = wire.ask_all(&questions, REPLY_BYTES_MAX).await?;
                match answers::read(&replies) {
                    Ok(answer) => return Ok(Ok(answer)),
                    Err(NoAnswer::OldWord) if *word == "REPLICAS" => *word = "SLAVES",
                    Err(NoAnswer::OldWord) => {
                        return Ok(Err(Silence::Failed("knows neither SENTINEL REPLICAS nor SENTINEL SLAVES".into())));
                    }
                    Err(NoAnswer::Silence(silence)) => return Ok(Err(silence)),
                }
            }
        });
        asked.await.unwrap_or_else(|_| Ok(Err(Silence::Failed(silent(self.manner.check.timeout)))))
    }
}
