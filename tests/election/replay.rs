//! Plays a recording of `tests/facts/` to a [`Group`], as the probes of a running mainstay would have heard it.
//!
//! A recording leaves out what repeats, so between two observations a backend is heard to say again what it said last, every
//! [`TICK`]. Every worker acknowledges at once.

use std::sync::Arc;
use std::time::Duration;

use mainstay::route::{Epoch, Moment};
use mainstay::topology::history::Failover;
use mainstay::topology::sentinel::{Named, Place, Word};
use mainstay::topology::{Group, Outcome, Rules, Step};

/// From check to check of a backend, milliseconds.
const TICK: u64 = 100;

/// The numbers of a configuration that says nothing.
pub const RULES: Rules = Rules {
    rise: 2,
    fall: 5,
    interval: Duration::from_secs(1),
    fast_interval: Duration::from_millis(50),
    max_succession_gap: 64 << 20,
    hold_window: Duration::from_secs(5),
};

/// A line of a recording.
#[derive(Clone)]
enum Line {
    Note(String),
    Heard { backend: String, outcome: Outcome },
}

/// A recording being played.
pub struct Replay {
    lines: Vec<(u64, Line)>,
    next: usize,
    now: u64,
    /// What each backend said last, and when it was last heard.
    said: Vec<(String, Outcome, u64)>,
    /// What decides.
    pub group: Group,
    story: Vec<String>,
    /// `Grant::returned_empty` of the newest grant.
    pub returned_empty: Option<String>,
}

impl Replay {
    /// With the default rules, from its first line.
    pub fn of(name: &str) -> Self {
        Self::with(name, RULES)
    }

    /// The same with other rules.
    pub fn with(name: &str, rules: Rules) -> Self {
        let path = format!("{}/tests/facts/{name}.jsonl", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let lines: Vec<(u64, Line)> = text.lines().skip(1).map(parse).collect();
        let mut backends: Vec<String> = Vec::new();
        for (_, line) in &lines {
            if let Line::Heard { backend, .. } = line
                && !backends.contains(backend)
            {
                backends.push(backend.clone());
            }
        }
        backends.sort();
        let names: Vec<Arc<str>> = backends.iter().map(|name| name.as_str().into()).collect();
        let group = Group::new(rules, &names, 0, Moment::from_millis(0));
        Self { lines, next: 0, now: 0, said: Vec::new(), group, story: Vec::new(), returned_empty: None }
    }

    /// Goes on until the note that begins with `note`; what it announces has not happened yet.
    pub fn until(&mut self, note: &str) -> &mut Self {
        loop {
            match self.lines.get(self.next) {
                Some((_, Line::Note(text))) if text.starts_with(note) => {
                    self.repeat_until(self.lines[self.next].0);
                    self.next += 1;
                    return self;
                }
                Some(_) => self.line(),
                None => panic!("the recording has no note that begins with {note:?}"),
            }
        }
    }

    /// Goes on until so many milliseconds after its beginning.
    pub fn until_ms(&mut self, at: u64) -> &mut Self {
        while self.lines.get(self.next).is_some_and(|(due, _)| *due <= at) {
            self.line();
        }
        self.repeat_until(at);
        self
    }

    /// From here on a majority of the Sentinels names this backend.
    pub fn sentinels_name(&mut self, backend: &str, config_epoch: u64) -> &mut Self {
        let place = Place { host: backend.into(), port: 6379 };
        let named = Named { backend: Some(backend.into()), place, config_epoch, votes: 3, known: 3 };
        self.sentinels_say(Word::Names(named))
    }

    /// From here on the Sentinels say this.
    pub fn sentinels_say(&mut self, word: Word) -> &mut Self {
        self.group.set_word(word, self.moment());
        self.settle();
        self
    }

    /// Goes on to the end.
    pub fn finish(&mut self) -> &mut Self {
        while self.next < self.lines.len() {
            self.line();
        }
        self
    }

    /// mainstay is restarted here: it knows nothing any more, the backends are what they are. Hears each three times, in the order
    /// of `order`.
    pub fn mainstay_restarts(&mut self, order: &str) -> &mut Self {
        let names: Vec<Arc<str>> = self.group.backends().iter().map(|backend| backend.name.clone()).collect();
        self.group = Group::new(RULES, &names, 0, self.moment());
        self.story.clear();
        for _ in 0..3 {
            self.now += TICK;
            for name in order.chars().map(String::from) {
                let outcome = self.said.iter().find(|said| said.0 == name).expect("a backend of the recording").1.clone();
                self.hear(&name, &outcome, self.now);
            }
        }
        self
    }

    fn line(&mut self) {
        let (at, line) = self.lines[self.next].clone();
        self.next += 1;
        if let Line::Heard { backend, outcome } = line {
            self.repeat_until(at);
            self.hear(&backend, &outcome, at);
        }
    }

    /// Those that were not heard for a tick say again what they said.
    fn repeat_until(&mut self, at: u64) {
        while let Some((backend, outcome, heard)) = self.said.iter().min_by_key(|said| said.2).cloned() {
            if heard + TICK >= at {
                break;
            }
            self.hear(&backend, &outcome, heard + TICK);
        }
        self.now = self.now.max(at);
    }

    fn hear(&mut self, backend: &str, outcome: &Outcome, at: u64) {
        self.now = self.now.max(at);
        match self.said.iter_mut().find(|said| said.0 == backend) {
            Some(said) => *said = (backend.into(), outcome.clone(), at),
            None => self.said.push((backend.into(), outcome.clone(), at)),
        }
        let now = self.moment();
        self.group.check_started(backend, now);
        self.group.check_ended(backend, now, outcome, now);
        self.settle();
    }

    /// Carries out every step that is due.
    pub fn settle(&mut self) {
        while let Some(step) = self.group.step(self.moment(), true) {
            let line = match step {
                Step::Withdraw { epoch, from, cause, .. } => format!("{epoch}: {from} lost, {}", cause.as_str()),
                Step::Grant { epoch, to, rule, returned_empty, .. } => {
                    self.returned_empty = returned_empty;
                    format!("{epoch}: {to} elected, {}", rule.as_str())
                }
            };
            self.story.push(line);
        }
    }

    /// The present moment of the recording.
    pub fn moment(&self) -> Moment {
        Moment::from_millis(self.now)
    }

    /// What was decided since the last call, in order: `epoch: backend lost, cause` or `epoch: backend elected, rule`.
    pub fn story(&mut self) -> Vec<String> {
        std::mem::take(&mut self.story)
    }

    /// The present primary.
    pub fn primary(&self) -> Option<&str> {
        self.group.primary().map(|name| &**name)
    }

    /// The rule that fills the seat or leaves it empty.
    pub fn rule(&self) -> &str {
        self.group.standing().1
    }

    /// The epoch in force.
    pub fn epoch(&self) -> Epoch {
        self.group.epoch()
    }

    /// The rivals of the present primary.
    pub fn rivals(&self) -> Vec<&str> {
        self.group.rivals().map(|name| &**name).collect()
    }

    /// The newest failover.
    pub fn failover(&self) -> &Failover {
        self.group.history().iter().last().expect("there was a failover")
    }

    /// The estimate of lost bytes of the newest failover.
    pub fn lost_bytes(&self) -> Option<u64> {
        self.failover().gap.map(|gap| gap.bytes)
    }
}

fn parse(line: &str) -> (u64, Line) {
    let value: serde_json::Value = serde_json::from_str(line).expect("a recording is JSON, a value a line");
    let at = value["at_ms"].as_u64().expect("at_ms");
    let text = |key: &str| value[key].as_str().unwrap_or_else(|| panic!("{key} in {line}")).to_owned();
    if value.get("note").is_some() {
        return (at, Line::Note(text("note")));
    }
    let outcome = match text("outcome").as_str() {
        "facts" => Outcome::of_info(&text("info")),
        "loading" => Outcome::Loading,
        "busy" => Outcome::Busy,
        "refused" => Outcome::Refused,
        "silent" => Outcome::Silent,
        "closed" => Outcome::Closed,
        other => panic!("unknown outcome {other}"),
    };
    (at, Line::Heard { backend: text("backend"), outcome })
}
