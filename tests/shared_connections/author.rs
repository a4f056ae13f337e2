//! What a session does next, as chance decides, and what it must be told. Every value names its key, its database, its writer and a
//! number, so that a reply that reached another request, or another owner, is recognised at once.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use super::asks::{Ask, Check, Step, WHOLE};
use super::multitude::Manners;
use super::wire::Value;
use crate::harness::Chance;

/// Databases in use.
pub const DATABASES: usize = 3;
/// Keys that everybody writes, in each database.
pub const SHARED_KEYS: u64 = 8;
/// Sizes of the values that everybody reads, in each database.
pub const BIG: &[usize] = &[10_000, 70_000, 300_000, 1 << 20];

/// Who a session is to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum User {
    /// May touch `a:*` only, and what is everybody's.
    Alice,
    /// The same with `b:*`.
    Bob,
    /// The default user, who may touch everything.
    Open,
}

impl User {
    /// What its keys begin with.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Alice => "a",
            Self::Bob => "b",
            Self::Open => "o",
        }
    }

    /// Its name and password.
    pub fn credentials(self) -> (&'static str, &'static str) {
        match self {
            Self::Alice => ("alice", "apw"),
            Self::Bob => ("bob", "bpw"),
            Self::Open => ("default", "any"),
        }
    }
}

/// What all sessions have in common.
#[derive(Debug, Default)]
pub struct Common {
    /// The values of `big:N`, by database and number.
    pub big: Vec<Vec<Arc<str>>>,
    /// Channels that somebody listens to just now.
    pub channels: RefCell<Vec<String>>,
    /// The next message's number.
    pub messages: std::cell::Cell<u64>,
}

impl Common {
    /// With what the servers were given beforehand.
    pub fn new() -> Rc<Self> {
        let text = |db: usize, number: usize, size: usize| {
            let word = big_word(db, number);
            Arc::from(word.repeat(size / word.len() + 1)[..size].to_owned())
        };
        let sizes = || BIG.iter().enumerate();
        let big = (0..DATABASES).map(|db| sizes().map(|(number, size)| text(db, number, *size)).collect()).collect();
        Rc::new(Self { big, ..Self::default() })
    }
}

fn big_word(db: usize, number: usize) -> String {
    format!("big:{number}@{db}|")
}

/// What one session has written in one database as one user.
#[derive(Debug, Default)]
pub(super) struct Own {
    pub(super) texts: [Option<Arc<str>>; 4],
    pub(super) count: i64,
    pub(super) list: Vec<String>,
    pub(super) hash: BTreeMap<String, String>,
}

/// Thinks up what one session does.
pub struct Author {
    /// The session's number; no other has it.
    pub id: u64,
    /// RESP3 is spoken from here on.
    pub resp3: bool,
    /// Its chance; also decides what its socket does.
    pub chance: Chance,
    pub(super) user: User,
    pub(super) db: usize,
    pub(super) name: Option<String>,
    pub(super) own: HashMap<(&'static str, usize), Own>,
    pub(super) common: Rc<Common>,
    cautious: bool,
    written: u64,
}

impl Author {
    /// For one session.
    pub fn new(id: u64, manners: Manners, common: Rc<Common>) -> Self {
        let chance = Chance::new(manners.seed ^ (id + 1) << 20);
        let (user, own) = (User::Open, HashMap::new());
        Self { id, resp3: false, chance, user, db: 0, name: None, own, common, cautious: manners.cautious, written: 0 }
    }

    /// One request that needs no others and does not change what the connection is.
    pub(super) fn simple(&mut self) -> Ask {
        match self.chance.below(100) {
            0..12 => self.get(),
            12..22 => self.set(),
            22..30 => self.echo(),
            30..40 => self.incr(),
            40..45 => self.set_shared(),
            45..51 => self.get_shared(),
            51..56 => self.hset(),
            56..60 => self.hgetall(),
            60..64 => self.rpush(),
            64..68 => self.lrange(),
            68..75 | 90..92 if self.cautious => self.echo(),
            68..72 => self.eval(),
            72..75 => self.eval_error(),
            75..78 => self.wrong_type(),
            78..80 => self.wrong_arity(),
            80..84 => self.nothing(),
            84..86 => self.get_big(),
            86..88 => self.del(),
            88..90 => self.mget(),
            90..92 => self.publish(),
            92..94 => self.foreign(),
            94..96 => self.get_name(),
            96..98 => self.hscan(),
            _ => self.strlen(),
        }
    }

    /// It asks only what can be asked over a shared connection.
    pub(super) fn is_simple(&self) -> bool {
        self.id % 5 < 3
    }

    pub(super) fn own(&mut self) -> &mut Own {
        self.own.entry((self.user.prefix(), self.db)).or_default()
    }

    pub(super) fn key(&self, name: &str) -> String {
        format!("{}:s{}:{name}", self.user.prefix(), self.id)
    }

    /// A word that nobody else says.
    pub(super) fn unique(&mut self, kind: &str) -> String {
        self.written += 1;
        format!("{kind}:s{}@{}#{:06}", self.id, self.db, self.written)
    }

    pub(super) fn get(&mut self) -> Ask {
        let place = self.chance.below(4) as usize;
        let resp3 = self.resp3;
        let check = self.own().texts[place].clone().map_or(Check::nil(resp3, b'$'), Check::Text);
        Ask::read(&["GET", &self.key(&format!("k{place}"))], check)
    }

    fn set(&mut self) -> Ask {
        let place = self.chance.below(4) as usize;
        let padding = if self.chance.percent(2) { 8_000 } else { self.chance.below(200) as usize };
        let key = self.key(&format!("k{place}"));
        let value: Arc<str> = Arc::from(self.unique(&key) + ":" + &"x".repeat(padding));
        self.own().texts[place] = Some(value.clone());
        Ask::write(&["SET", &key, &value], Check::ok()).leaving(self.db, &key, Some(value))
    }

    fn del(&mut self) -> Ask {
        let place = self.chance.below(4) as usize;
        let was = self.own().texts[place].take().is_some();
        let key = self.key(&format!("k{place}"));
        Ask::write(&["DEL", &key], Check::int(was.into())).leaving(self.db, &key, None)
    }

    fn mget(&mut self) -> Ask {
        let resp3 = self.resp3;
        let texts = self.own().texts.clone();
        let checks = texts.into_iter().map(|text| text.map_or(Check::nil(resp3, b'$'), Check::Text)).collect();
        let keys: Vec<String> = (0..4).map(|place| self.key(&format!("k{place}"))).collect();
        Ask::read(&["MGET", &keys[0], &keys[1], &keys[2], &keys[3]], Check::All(checks))
    }

    pub(super) fn echo(&mut self) -> Ask {
        let word = self.unique("echo");
        Ask::read(&["ECHO", &word], Check::bulk(word.clone()))
    }

    pub(super) fn incr(&mut self) -> Ask {
        let key = self.key("n");
        self.own().count += 1;
        let count = self.own().count;
        Ask::write(&["INCR", &key], Check::int(count)).leaving(self.db, &key, Some(Arc::from(count.to_string())))
    }

    fn shared_key(&mut self) -> (String, String) {
        let key = format!("shared:{}", self.chance.below(SHARED_KEYS));
        let start = format!("{key}@{}:", self.db);
        (key, start)
    }

    fn set_shared(&mut self) -> Ask {
        let (key, start) = self.shared_key();
        let value = start + &self.unique("by") + WHOLE;
        Ask::write(&["SET", &key, &value], Check::ok())
    }

    fn get_shared(&mut self) -> Ask {
        let (key, start) = self.shared_key();
        Ask::read(&["GET", &key], Check::Shared(start))
    }

    fn hset(&mut self) -> Ask {
        let (key, field) = (self.key("h"), format!("f{}", self.chance.below(3)));
        let value = self.unique(&format!("{key}:{field}"));
        let new = self.own().hash.insert(field.clone(), value.clone()).is_none();
        Ask::write(&["HSET", &key, &field, &value], Check::int(new.into()))
    }

    fn hgetall(&mut self) -> Ask {
        let pairs = self.own().hash.clone().into_iter().collect();
        Ask::read(&["HGETALL", &self.key("h")], Check::Pairs(pairs))
    }

    fn hscan(&mut self) -> Ask {
        let pairs = self.own().hash.clone().into_iter().collect();
        Ask::read(&["HSCAN", &self.key("h"), "0"], Check::All(vec![Check::bulk("0"), Check::Pairs(pairs)]))
    }

    fn rpush(&mut self) -> Ask {
        let key = self.key("l");
        if self.own().list.len() >= 20 {
            self.own().list.clear();
            return Ask::write(&["DEL", &key], Check::int(1));
        }
        let element = self.unique(&key);
        self.own().list.push(element.clone());
        let length = self.own().list.len() as i64;
        Ask::write(&["RPUSH", &key, &element], Check::int(length))
    }

    fn lrange(&mut self) -> Ask {
        let items = self.own().list.iter().cloned().map(Value::Bulk).collect();
        Ask::read(&["LRANGE", &self.key("l"), "0", "-1"], Check::Is(Value::Array(items)))
    }

    fn eval(&mut self) -> Ask {
        let word = self.unique("eval");
        if self.chance.percent(50) {
            return Ask::write(&["EVAL", "return ARGV[1]", "0", &word], Check::bulk(word.clone()));
        }
        let key = self.key("n");
        self.own().count += 1;
        let count = self.own().count;
        let script = "return {ARGV[1], redis.call('INCR', KEYS[1])}";
        let check = Check::All(vec![Check::bulk(word.clone()), Check::int(count)]);
        Ask::write(&["EVAL", script, "1", &key, &word], check).leaving(self.db, &key, Some(Arc::from(count.to_string())))
    }

    fn eval_error(&mut self) -> Ask {
        let word = self.unique("NONCE");
        Ask::write(&["EVAL", "return redis.error_reply(ARGV[1])", "0", &word], Check::Error(word.clone()))
    }

    fn wrong_type(&mut self) -> Ask {
        let (key, _) = self.shared_key();
        Ask::write(&["LPUSH", &key, "no"], Check::Error("WRONGTYPE".into()))
    }

    fn wrong_arity(&mut self) -> Ask {
        let name = *self.chance.pick(&["get", "hget", "lrange", "type"]);
        Ask::read(&[name], Check::Error(format!("wrong number of arguments for '{name}'")))
    }

    fn nothing(&mut self) -> Ask {
        let missing = self.key("missing");
        let resp3 = self.resp3;
        match self.chance.below(4) {
            0 => Ask::read(&["GET", &missing], Check::nil(resp3, b'$')),
            1 => Ask::read(&["LRANGE", &missing, "0", "-1"], Check::Is(Value::Array(Vec::new()))),
            2 => Ask::read(&["ECHO", ""], Check::bulk("")),
            _ => Ask::write(&["LPOP", &missing, "2"], Check::nil(resp3, b'*')),
        }
    }

    fn get_big(&mut self) -> Ask {
        // The largest seldom: it is as much as thousands of others.
        let number = [0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 3][self.chance.below(12) as usize];
        let text = self.common.big[self.db][number].clone();
        Ask::read(&["GET", &format!("big:{number}")], Check::Text(text))
    }

    fn strlen(&mut self) -> Ask {
        let number = self.chance.below(BIG.len() as u64) as usize;
        Ask::read(&["STRLEN", &format!("big:{number}")], Check::int(BIG[number] as i64))
    }

    fn publish(&mut self) -> Ask {
        let channels = self.common.channels.borrow().clone();
        let channel = if channels.is_empty() {
            self.key("nobody")
        } else {
            channels[self.chance.below(channels.len() as u64) as usize].clone()
        };
        let number = self.common.messages.get();
        self.common.messages.set(number + 1);
        Ask::write(&["PUBLISH", &channel, &format!("{channel}#{number}")], Check::Between(0, 1))
    }

    /// What only another user may read.
    fn foreign(&mut self) -> Ask {
        let whose = if self.user == User::Alice { "b" } else { "a" };
        let key = format!("{whose}:secret");
        let check =
            if self.user == User::Open { Check::bulk(format!("{key}@{}", self.db)) } else { Check::Error("NOPERM".into()) };
        Ask::read(&["GET", &key], check)
    }

    fn get_name(&mut self) -> Ask {
        let check = self.name.clone().map_or(Check::nil(self.resp3, b'$'), Check::bulk);
        Ask::read(&["CLIENT", "GETNAME"], check)
    }

    /// Many at once, a transaction among them now and then, or a change of what the connection is.
    pub(super) fn pipeline(&mut self, longest: u64) -> Step {
        let length = 2 + self.chance.below(longest - 1);
        let mut asks: Vec<Ask> = Vec::new();
        // What is in flight beyond this is not kept for asking again.
        while (asks.len() as u64) < length && asks.iter().map(|ask| ask.bytes.len()).sum::<usize>() < 40_000 {
            match self.chance.below(100) {
                0..4 => asks.extend(self.transaction()),
                4 if !self.is_simple() => asks.push(self.change()),
                _ => asks.push(self.simple()),
            }
        }
        Step::of(asks)
    }
}
