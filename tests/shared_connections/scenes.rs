//! What takes a session more than one request: transactions, waiting, listening, being somebody else.

use std::sync::Arc;

use super::asks::{Ask, Check, Step};
use super::author::{Author, DATABASES, User};
use super::wire::Value;

impl Author {
    /// How a session begins.
    pub fn greeting(&mut self) -> Vec<Step> {
        let user = [User::Alice, User::Bob, User::Open][self.id as usize % 3];
        let resp3 = (self.id / 3) % 2 == 1;
        let mut asks = Vec::new();
        if resp3 || user != User::Open {
            asks.push(self.become_user(user, resp3));
        }
        let db = self.chance.below(DATABASES as u64) as usize;
        if db != 0 {
            asks.push(self.select(db));
        }
        vec![Step::of(asks)]
    }

    /// The next thing it does. Most sessions ask nothing that needs a connection of their own.
    pub fn next(&mut self) -> Vec<Step> {
        let most = if self.is_simple() { 162 } else { 200 };
        match self.chance.below(most) {
            0..90 => vec![Step::of(vec![self.simple()])],
            90..148 => {
                let longest = [4, 4, 16, 50, 200][self.chance.below(5) as usize];
                vec![self.pipeline(longest)]
            }
            148..162 => vec![Step::of(self.transaction())],
            162..168 => one_by_one(self.transaction()),
            168..172 => self.watched(),
            172..176 => vec![self.blocked()],
            176..180 => self.listening(),
            180..188 => vec![Step::of(vec![self.change()])],
            188..190 => vec![Step::of(vec![self.unknown()])],
            190..192 => vec![self.inline()],
            192..194 => vec![Step::of(vec![self.wait()])],
            194..196 => vec![self.large()],
            196 => vec![self.identity()],
            _ => self.refused(),
        }
    }

    /// `MULTI` ... `EXEC`
    pub(super) fn transaction(&mut self) -> Vec<Ask> {
        if self.chance.percent(10) {
            return self.refused().into_iter().flat_map(|step| step.asks).collect();
        }
        let count = 1 + self.chance.below(5);
        let mut queued: Vec<Ask> = (0..count).map(|_| self.simple()).collect();
        // A demoted server refuses a transaction as a whole only where it sees a write without running a script.
        queued.push(self.incr());
        self.unit(queued, Check::All)
    }

    fn unit(&mut self, queued: Vec<Ask>, reply: impl FnOnce(Vec<Check>) -> Check) -> Vec<Ask> {
        // What no server queues: it refuses them at once, and then the whole.
        let queued: Vec<Ask> = queued.into_iter().filter(|ask| !is_refused_when_queued(&ask.expect.check)).collect();
        let mut asks = vec![Ask::read(&["MULTI"], Check::ok())];
        let (mut checks, mut writes) = (Vec::new(), Vec::new());
        for mut ask in queued {
            checks.push(std::mem::replace(&mut ask.expect.check, Check::Is(Value::Status("QUEUED".into()))));
            writes.append(&mut ask.expect.writes);
            asks.push(ask);
        }
        let mut exec = Ask::write(&["EXEC"], reply(checks));
        exec.expect.writes = writes;
        asks.push(exec);
        asks
    }

    /// A transaction that does not come about.
    fn refused(&mut self) -> Vec<Step> {
        let mut asks = vec![Ask::read(&["MULTI"], Check::ok())];
        let queued = |mut ask: Ask| {
            ask.expect.check = Check::Is(Value::Status("QUEUED".into()));
            ask
        };
        asks.push(queued(self.echo()));
        match self.chance.below(3) {
            0 => asks.push(Ask::read(&["DISCARD"], Check::ok())),
            1 => {
                asks.push(Ask::read(&["GET"], Check::Error("wrong number of arguments for 'get'".into())));
                asks.push(queued(self.get()));
                asks.push(Ask::write(&["EXEC"], Check::Error("EXECABORT".into())));
            }
            _ => {
                asks.push(self.unknown());
                asks.push(Ask::write(&["EXEC"], Check::Error("EXECABORT".into())));
            }
        }
        asks.push(self.echo());
        if self.chance.percent(30) { one_by_one(asks) } else { vec![Step::of(asks)] }
    }

    /// Nobody else touches the key, so only a new primary, or a lost upstream, may make it nil.
    fn watched(&mut self) -> Vec<Step> {
        let (key, resp3) = (self.key("watched"), self.resp3);
        let word = self.unique("watched");
        let mut asks = vec![Ask::read(&["WATCH", &key], Check::ok()), Ask::read(&["GET", &key], self.seen_watched())];
        let queued = vec![Ask::write(&["SET", &key, &word], Check::ok()), self.echo()];
        let nil = Check::nil(resp3, b'*');
        asks.extend(self.unit(queued, |checks| Check::Either(vec![Check::All(checks), nil])));
        if self.chance.percent(50) { one_by_one(asks) } else { vec![Step::of(asks)] }
    }

    fn seen_watched(&self) -> Check {
        // Which of the words it was nobody can say once an EXEC came to nothing.
        let start = format!("watched:s{}@{}#", self.id, self.db);
        let text = Check::Starts(start);
        Check::Either(vec![Check::nil(self.resp3, b'$'), text])
    }

    /// What blocks, or could.
    fn blocked(&mut self) -> Step {
        let (queue, resp3) = (self.key("q"), self.resp3);
        let mut asks = Vec::new();
        if self.chance.percent(50) {
            let element = self.unique(&queue);
            asks.push(Ask::write(&["RPUSH", &queue, &element], Check::int(1)));
            let both = Check::All(vec![Check::bulk(queue.clone()), Check::bulk(element)]);
            // Asked again when its upstream is lost: what the first one took is gone then.
            let one_of = Check::Either(vec![both, Check::nil(resp3, b'*')]);
            asks.push(Ask::write(&["BLPOP", &queue, "1"], one_of));
        } else {
            asks.push(Ask::write(&["BLPOP", &queue, "0.1"], Check::nil(resp3, b'*')));
        }
        asks.push(self.echo());
        Step::of(asks)
    }

    /// Listens for a while. In RESP3 it goes on asking meanwhile.
    fn listening(&mut self) -> Vec<Step> {
        let channel = format!("ch:s{}#{}", self.id, self.chance.below(1 << 20));
        let subscribe = Ask::read(&["SUBSCRIBE", &channel], Check::Confirmed("subscribe", channel.clone()));
        let unsubscribe = Ask::read(&["UNSUBSCRIBE", &channel], Check::Confirmed("unsubscribe", channel.clone()));
        let mut steps = vec![Step::of(vec![subscribe])];
        if self.resp3 {
            let asks = (0..4).map(|_| self.simple()).collect();
            steps.push(Step { asks, pause_ms: 20 });
        }
        steps.push(Step { asks: vec![unsubscribe], pause_ms: 50 + self.chance.below(200) });
        steps.push(Step::of(vec![self.echo()]));
        steps
    }

    /// Something about the connection becomes another.
    pub(super) fn change(&mut self) -> Ask {
        match self.chance.below(8) {
            0..3 => {
                let db = self.chance.below(DATABASES as u64) as usize;
                self.select(db)
            }
            3..5 => {
                let name = self.unique("name");
                self.name = Some(name.clone());
                Ask::read(&["CLIENT", "SETNAME", &name], Check::ok())
            }
            5..7 => {
                let user = [User::Alice, User::Bob, User::Open][self.chance.below(3) as usize];
                let resp3 = self.chance.percent(50);
                self.become_user(user, resp3)
            }
            _ => {
                (self.user, self.db, self.resp3, self.name) = (User::Open, 0, false, None);
                Ask::read(&["RESET"], Check::Is(Value::Status("RESET".into())))
            }
        }
    }

    fn select(&mut self, db: usize) -> Ask {
        self.db = db;
        Ask::read(&["SELECT", &db.to_string()], Check::ok())
    }

    /// With HELLO or AUTH, whichever does.
    fn become_user(&mut self, user: User, resp3: bool) -> Ask {
        let (name, password) = user.credentials();
        let changes = resp3 != self.resp3;
        (self.user, self.resp3) = (user, resp3);
        if !changes {
            return Ask::read(&["AUTH", name, password], Check::ok());
        }
        let version = if resp3 { 3 } else { 2 };
        Ask::read(&["HELLO", &version.to_string(), "AUTH", name, password], Check::Hello(version))
    }

    fn unknown(&mut self) -> Ask {
        let word = self.unique("NOSUCH");
        Ask::write(&[&word, "argument"], Check::Error(word.clone()))
    }

    fn inline(&mut self) -> Step {
        let word = self.unique("inline");
        Step::of(vec![self.echo(), Ask::inline(&format!("ECHO {word}"), Check::bulk(word)), self.echo()])
    }

    /// A request that is too large for a shared connection, for asking it again when a new primary comes, and for waiting long until
    /// one comes.
    fn large(&mut self) -> Step {
        let (key, resp3) = (self.key("large"), self.resp3);
        let value: Arc<str> = Arc::from(self.unique(&key) + &"y".repeat(100_000 + self.chance.below(400_000) as usize));
        let set =
            Ask::write(&["SET", &key, &value, "EX", "60"], Check::Either(vec![Check::ok(), Check::Error("READONLY".into())]));
        let get = Ask::read(&["GET", &key], Check::Either(vec![Check::Text(value), Check::nil(resp3, b'$')]));
        let mut asks = vec![self.echo(), set, get, Ask::write(&["DEL", &key], Check::Between(0, 1)), self.echo()];
        for ask in &mut asks {
            let check = std::mem::replace(&mut ask.expect.check, Check::ok());
            ask.expect.check = Check::Either(vec![check, Check::Error("MASTERDOWN mainstay: ".into())]);
        }
        Step::of(asks)
    }

    /// Writes on an upstream that is gone cannot be waited for.
    fn wait(&mut self) -> Ask {
        let gone = Check::Error("the primary changed after your last write".into());
        let demoted = Check::Error("WAIT cannot be used with replica instances".into());
        Ask::write(&["WAIT", "0", "10"], Check::Either(vec![Check::Between(0, 9), gone, demoted]))
    }

    /// From then on the session has a connection of its own.
    fn identity(&mut self) -> Step {
        Step::of(vec![self.echo(), Ask::read(&["CLIENT", "ID"], Check::Between(1, i64::MAX)), self.echo()])
    }
}

fn is_refused_when_queued(check: &Check) -> bool {
    matches!(check, Check::Error(text) if text.starts_with("wrong number") || text == "NOPERM")
}

/// The same requests, each sent when the one before is answered.
fn one_by_one(asks: Vec<Ask>) -> Vec<Step> {
    asks.into_iter().map(|ask| Step::of(vec![ask])).collect()
}
