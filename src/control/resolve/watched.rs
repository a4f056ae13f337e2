//! One name, asked again and again. What fails, hangs or answers nothing keeps the last answer, for as long as it takes.

use std::fmt::Display;
use std::hash::Hash;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::{Boxed, Incident, bounded, unique};
use crate::config::limits::BACKENDS_MAX;
use crate::control::coordinator::AbortOnDrop;

/// A question that takes longer is called a failure. It goes on: the system's resolver cannot be told to stop.
const PATIENCE: Duration = Duration::from_secs(5);
/// Why a name has no answer that was not asked before.
pub(super) const NOT_YET: &str = "no answer from the resolver yet";

/// What a name can lead to.
pub(super) trait Found: Clone + Eq + Ord + Hash + Display + Send + Sync + 'static {}
impl<T: Clone + Eq + Ord + Hash + Display + Send + Sync + 'static> Found for T {}

/// Asks one question.
pub(super) type Ask<T> = Arc<dyn Fn(Arc<str>) -> Boxed<T> + Send + Sync>;

/// How often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// While all is well.
    pub(super) interval: Duration,
    /// When somebody wants it.
    pub(super) shortest: Duration,
}

/// What is known of a name.
#[derive(Clone, Debug)]
pub(super) struct Answer<T> {
    /// The last answer that was one; empty before the first.
    pub(super) found: Vec<T>,
    /// Why the newest question has no answer.
    pub(super) error: Option<Arc<str>>,
    /// The newest answer had so many that it was cut.
    cut: Option<usize>,
}

impl<T> Answer<T> {
    /// Why the answer in force is an old one, if it is.
    pub(super) fn stale(&self) -> Option<Arc<str>> {
        self.error.clone().filter(|_| !self.found.is_empty())
    }
}

/// See the module.
pub(super) struct Watched<T> {
    answer: watch::Receiver<Answer<T>>,
    again: Arc<Notify>,
    /// What was last said of it.
    said: Said<T>,
    _task: AbortOnDrop,
}

struct Said<T> {
    /// Sorted.
    found: Vec<T>,
    failing: bool,
    cut: bool,
}

impl<T: Found> Watched<T> {
    /// Asks at once. `told` after each question.
    pub(super) fn start(name: Arc<str>, ask: Ask<T>, pace: watch::Receiver<Pace>, told: Arc<Notify>) -> Self {
        let (sender, answer) = watch::channel(Answer { found: Vec::new(), error: None, cut: None });
        let again = Arc::new(Notify::new());
        let task = tokio::spawn(run(name, ask, pace, sender, again.clone(), told));
        Self { answer, again, said: Said { found: Vec::new(), failing: false, cut: false }, _task: AbortOnDrop(task) }
    }

    pub(super) fn answer(&self) -> watch::Ref<'_, Answer<T>> {
        self.answer.borrow()
    }

    pub(super) fn again(&self) {
        self.again.notify_one();
    }

    /// What has happened since this was last asked.
    pub(super) fn incidents(&mut self, name: &Arc<str>) -> Vec<Incident> {
        let answer = self.answer.borrow();
        let mut incidents = Vec::new();
        let failing = answer.stale();
        if failing.is_some() != self.said.failing {
            self.said.failing = failing.is_some();
            incidents.push(match failing {
                Some(why) => Incident::Fails { name: name.clone(), why },
                None => Incident::Recovers { name: name.clone() },
            });
        }
        let mut found = answer.found.clone();
        found.sort();
        if found != self.said.found {
            let to = found.iter().map(T::to_string).collect::<Vec<_>>().join(", ");
            incidents.push(Incident::Leads { name: name.clone(), to });
            self.said.found = found;
        }
        if let Some(of) = answer.cut.filter(|_| !self.said.cut) {
            incidents.push(Incident::Cut { name: name.clone(), of });
        }
        self.said.cut = answer.cut.is_some();
        incidents
    }
}

async fn run<T: Found>(
    name: Arc<str>,
    ask: Ask<T>,
    mut pace: watch::Receiver<Pace>,
    answer: watch::Sender<Answer<T>>,
    again: Arc<Notify>,
    told: Arc<Notify>,
) {
    let fails = |why: &str| {
        answer.send_modify(|answer| answer.error = Some(why.into()));
        told.notify_one();
    };
    loop {
        let begun = Instant::now();
        // Never two at a time: a resolver that hangs must not collect questions.
        let mut question = pin!(ask(name.clone()));
        let result = match timeout(PATIENCE, question.as_mut()).await {
            Ok(result) => result,
            Err(_) => {
                fails(&format!("the resolver does not answer within {} s", PATIENCE.as_secs()));
                question.await
            }
        };
        match result {
            Ok(found) if found.is_empty() => fails("the resolver knows no address for it"),
            Ok(found) => {
                answer.send_modify(|answer| {
                    let found = unique(found);
                    answer.cut = (found.len() > BACKENDS_MAX).then_some(found.len());
                    answer.found = bounded(found, &answer.found);
                    answer.error = None;
                });
                told.notify_one();
            }
            Err(why) => fails(&why),
        }
        if !wait(begun, &mut pace, &again).await {
            return;
        }
    }
}

/// Until the next question is due; false when nobody wants the name any more.
async fn wait(begun: Instant, pace: &mut watch::Receiver<Pace>, again: &Notify) -> bool {
    loop {
        let now = *pace.borrow_and_update();
        tokio::select! {
            () = sleep_until(begun + now.interval) => return true,
            () = async { again.notified().await; sleep_until(begun + now.shortest).await } => return true,
            changed = pace.changed() => if changed.is_err() { return false },
        }
    }
}
