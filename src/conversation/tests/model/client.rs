//! The made-up client: what it asked, and whether what it hears can be true.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::asking::{Ask, Intent};
use super::commands::digest;
use super::data::{Data, Ledger};
use super::frame::{Frame, read};
use super::server::{State, number_of};
use crate::conversation::remembered::request;
use crate::route::Moment;

#[derive(Debug)]
pub struct Asked {
    pub number: Option<u32>,
    pub words: Vec<String>,
    /// Where it ends in all that the client says.
    end: usize,
    /// It is larger than what may be asked again.
    pub big: bool,
}

#[derive(Debug, Default)]
pub struct Multi {
    pub queued: Vec<Vec<String>>,
    /// The client saw an error while it queued.
    pub dirty: bool,
}

/// What happened to the world that excuses an error.
#[derive(Clone, Copy, Debug, Default)]
pub struct Excuses {
    /// Control said that the primary stays.
    pub stays: bool,
    /// The window ended.
    pub refused: bool,
    /// A request was too large to be kept.
    pub big: bool,
    /// The epoch changed.
    pub moved: bool,
    /// A script was not loaded.
    pub script_refused: bool,
}

/// Among several clients each has so many numbers.
pub const NUMBERS: u32 = 100_000;

#[derive(Debug, Default)]
pub struct Client {
    intent: Intent,
    /// It may be served over a connection that bears no name, or its own.
    shares: bool,
    /// To be said.
    pub outbox: Vec<u8>,
    said: usize,
    /// So much of it are whole requests.
    said_whole: usize,
    last: u32,
    pub asked: VecDeque<Asked>,
    heard: Vec<u8>,
    confirmed: usize,
    pub state: State,
    pub subscriptions: BTreeSet<String>,
    pub multi: Option<Multi>,
    /// The connection that watches.
    pub watch: Option<String>,
    /// It watched something since the last transaction.
    pub watched: bool,
    pub keys: BTreeMap<(String, String), u32>,
    pub counters: BTreeMap<(String, String), u32>,
    pub acknowledged: BTreeSet<u32>,
    /// It was told that these were not executed.
    pub denied: BTreeSet<u32>,
    pub popped: Vec<String>,
    pub scripts: BTreeSet<String>,
    pub cursor: String,
    pub last_write: Option<u32>,
    pub quit: bool,
}

impl Client {
    /// One of several, whose session may share connections.
    pub fn one_of_many(place: u32) -> Self {
        let mut intent = Intent::default();
        intent.mark = place.to_string();
        Self { intent, shares: true, last: place * NUMBERS, ..Self::default() }
    }

    pub fn ask(&mut self, ask: Ask, variant: u8, excuses: &mut Excuses) {
        let number = self.last + 1;
        let cursor = if self.cursor.is_empty() { "0" } else { &self.cursor };
        let Some(mut words) = self.intent.words(ask, number, variant, cursor) else { return };
        self.last = number;
        let bytes = request(words.iter().map(String::as_bytes));
        self.outbox.extend_from_slice(&bytes);
        let (end, big) = (self.said + self.outbox.len(), ask == Ask::Big);
        excuses.big |= big;
        words.truncate(if big { 3 } else { words.len() });
        self.asked.push_back(Asked { number: number_of(&words), words, end, big });
    }

    /// Says some of what it asked.
    pub fn say(&mut self, most: usize, now: Moment, data: &Data, ledger: &mut Ledger) -> Vec<u8> {
        let rest = self.outbox.split_off(most.min(self.outbox.len()));
        let bytes = std::mem::replace(&mut self.outbox, rest);
        let (before, after) = (self.said, self.said + bytes.len());
        self.said = after;
        for asked in self.asked.iter().filter(|asked| asked.end > before && asked.end <= after) {
            self.said_whole = asked.end;
            let Some(number) = asked.number else { continue };
            let seconds = match &*asked.words[0] {
                "BRPOP" | "BRPOPLPUSH" => asked.words[3].parse::<f64>().expect("a number"),
                "XREAD" => asked.words[4].parse::<f64>().expect("a number") / 1000.0,
                _ => continue,
            };
            ledger.ends.insert(number, (seconds > 0.0).then(|| now + Duration::from_secs_f64(seconds)));
            if asked.words[0] == "BRPOPLPUSH" {
                ledger.moves.insert(number);
            }
            let stream = usize::from(asked.words.get(6).is_some_and(|word| word == "t"));
            ledger.asked_from.insert(number, data.streams[stream]);
        }
        bytes
    }

    /// It says nothing more: what it has not said whole was never asked. True where it ends in the middle of a request.
    pub fn end(&mut self) -> bool {
        self.outbox.clear();
        let said = self.said;
        self.asked.retain(|asked| asked.end <= said);
        self.said_whole < said
    }

    /// Everything that was said whole is answered.
    pub fn is_answered(&self) -> bool {
        self.asked.front().is_none_or(|asked| asked.end > self.said)
    }

    /// In the middle of a frame.
    pub fn is_in_frame(&self) -> bool {
        !self.heard.is_empty()
    }

    pub fn hear(&mut self, bytes: &[u8], excuses: Excuses, ledger: &Ledger) {
        self.heard.extend_from_slice(bytes);
        while !self.heard.is_empty() {
            let Some((frame, length)) = read(&self.heard) else { return };
            self.heard.drain(..length);
            assert!(!self.quit, "{frame:?} after QUIT");
            self.frame(frame, excuses, ledger);
        }
    }

    fn frame(&mut self, frame: Frame, excuses: Excuses, ledger: &Ledger) {
        let word = frame.word().unwrap_or_default().to_owned();
        let listens = self.state.proto == 2 && (!self.subscriptions.is_empty() || self.is_confirming());
        let is_push = matches!(frame, Frame::Push(_));
        assert!(!is_push || self.state.proto == 3, "a push in RESP 2: {frame:?}");
        if is_push || listens && matches!(frame, Frame::Array(_)) {
            match &*word {
                "message" => {
                    let Frame::Text(channel) = &frame.items()[1] else { panic!("{frame:?}") };
                    assert!(self.subscriptions.contains(channel), "a message of a channel that is not subscribed to: {frame:?}");
                    return;
                }
                "subscribe" | "unsubscribe" => return self.confirmation(&word, &frame),
                "noise" => return,
                _ if is_push => panic!("what push is this? {frame:?}"),
                _ => {}
            }
        }
        let asked = self.asked.pop_front().unwrap_or_else(|| panic!("a reply that was not asked for: {frame:?}"));
        // A large one may be refused before its end.
        assert!(asked.end <= self.said || asked.big, "{asked:?} was answered before it was asked: {frame:?}");
        self.reply(&asked, frame, excuses, ledger);
    }

    fn is_confirming(&self) -> bool {
        self.asked.front().is_some_and(|asked| asked.words[0].ends_with("SUBSCRIBE"))
    }

    fn confirmation(&mut self, word: &str, frame: &Frame) {
        let asked = self.asked.front().unwrap_or_else(|| panic!("confirmed without being asked: {frame:?}"));
        assert_eq!(asked.words[0].to_lowercase(), word, "{asked:?}: {frame:?}");
        let names = &asked.words[1..];
        let expected = if names.is_empty() { (self.subscriptions.len() + self.confirmed).max(1) } else { names.len() };
        if let Frame::Text(name) = &frame.items()[1] {
            let named = if names.is_empty() { self.subscriptions.contains(name) } else { names[self.confirmed] == *name };
            assert!(named, "{asked:?}: {frame:?}");
            if word == "subscribe" {
                self.subscriptions.insert(name.clone());
            } else {
                self.subscriptions.remove(name);
            }
        }
        self.confirmed += 1;
        if self.confirmed == expected {
            self.asked.pop_front();
            self.confirmed = 0;
        }
    }

    fn reply(&mut self, asked: &Asked, frame: Frame, excuses: Excuses, ledger: &Ledger) {
        let name = &*asked.words[0];
        let is_lie = matches!(&frame, Frame::Error(text) if text.ends_with("made up after a write"));
        if let (Frame::Error(text), false) = (&frame, is_lie) {
            self.permit(asked, text, excuses, ledger);
            let ends = name == "EXEC" && self.multi.is_some();
            let queued = self.multi.take_if(|_| ends).map(|multi| multi.queued).unwrap_or_default();
            self.denied.extend(queued.iter().filter_map(|words| number_of(words)));
            self.denied.extend(asked.number.filter(|_| name != "EXEC"));
            self.multi.iter_mut().for_each(|multi| multi.dirty = true);
            // It may have been meant to write, and WAIT is about that one then.
            self.last_write = None;
            if ends {
                (self.watch, self.watched) = (None, false);
            }
            return;
        }
        match (&mut self.multi, name) {
            (Some(_), "EXEC" | "DISCARD" | "RESET" | "QUIT") | (None, _) => self.good(asked, frame, excuses, ledger),
            (Some(multi), _) => {
                assert_eq!(frame, Frame::Text("QUEUED".into()), "{asked:?}");
                multi.queued.push(asked.words.clone());
            }
        }
    }

    fn good(&mut self, asked: &Asked, frame: Frame, excuses: Excuses, ledger: &Ledger) {
        let is = |text: &str| assert_eq!(frame, Frame::Text(text.into()), "{asked:?}");
        match &*asked.words[0] {
            "MULTI" => {
                is("OK");
                self.multi = Some(Multi::default());
            }
            "EXEC" => self.executed(asked, &frame, excuses, ledger),
            "DISCARD" | "UNWATCH" | "SELECT" => {
                is("OK");
                if asked.words[0] == "SELECT" {
                    self.state.db.clone_from(&asked.words[1]);
                } else {
                    let ends = asked.words[0] == "UNWATCH" || self.multi.is_some();
                    (self.watch, self.watched) = if ends { (None, false) } else { (self.watch.take(), self.watched) };
                    let dropped = self.multi.take().map(|multi| multi.queued).unwrap_or_default();
                    self.denied.extend(dropped.iter().filter_map(|words| number_of(words)));
                }
            }
            "WATCH" => {
                let Frame::Text(text) = &frame else { panic!("{asked:?}: {frame:?}") };
                let on = text.strip_prefix("OK on ").unwrap_or_else(|| panic!("{asked:?}: {frame:?}"));
                // What was watched first counts.
                self.watch.get_or_insert_with(|| on.to_owned());
                self.watched = true;
            }
            "CLIENT" if asked.words[1] == "ID" => assert!(matches!(&frame, Frame::Text(id) if id.parse::<u64>().is_ok())),
            "CLIENT" => {
                is("OK");
                self.state.name.clone_from(&asked.words[2]);
            }
            "RESET" => {
                is("RESET");
                let dropped = self.multi.take().map(|multi| multi.queued).unwrap_or_default();
                self.denied.extend(dropped.iter().filter_map(|words| number_of(words)));
                (self.state, self.watch, self.watched) = (State::default(), None, false);
                self.subscriptions.clear();
            }
            "QUIT" => {
                is("OK");
                self.quit = true;
            }
            "SCRIPT" => {
                is(&digest(&asked.words[2]));
                self.scripts.insert(digest(&asked.words[2]));
            }
            "XREVRANGE" => assert!(frame.items().len() <= 1, "{frame:?}"),
            _ => self.said(&asked.words, &frame, ledger),
        }
    }

    fn executed(&mut self, asked: &Asked, frame: &Frame, excuses: Excuses, ledger: &Ledger) {
        let multi = self.multi.take().unwrap_or_else(|| panic!("EXEC without MULTI: {frame:?}"));
        let watch = self.watch.take();
        if *frame == Frame::Null {
            assert!(self.watched, "nothing was watched, and {asked:?} answered nil");
            // A server may still watch, where another EXEC was answered without it.
            self.watched &= excuses.moved;
            self.last_write = None;
            return self.denied.extend(multi.queued.iter().filter_map(|words| number_of(words)));
        }
        (self.watched, self.last_write) = (false, None);
        let Frame::Array(items) = frame else { panic!("{asked:?}: {frame:?}") };
        assert_eq!(items.len(), multi.queued.len(), "{asked:?} of {multi:?}: {frame:?}");
        let queued = multi.queued.iter().filter_map(|words| number_of(words)).next_back();
        let number = queued.or(asked.number);
        let on = number.and_then(|number| ledger.executed_on.get(&number));
        assert!(!multi.dirty, "executed although a command was refused: {multi:?}: {frame:?}");
        assert!(on.is_some() || number.is_none(), "{asked:?} was executed by nobody");
        // Behind a refused command both were answered, and only WATCH was asked again.
        let watch = watch.map(|watch| watch.parse::<u64>().expect("a number"));
        assert!(watch.is_none_or(|watch| on.is_some_and(|on| *on <= watch)), "watched on {watch:?}, executed on {on:?}");
        for (words, item) in multi.queued.iter().zip(items) {
            match item {
                Frame::Error(text) if !text.ends_with("made up after a write") => self.denied.extend(number_of(words)),
                _ => self.said(words, item, ledger),
            }
        }
    }

    /// A reply of a made-up server.
    fn said(&mut self, words: &[String], frame: &Frame, ledger: &Ledger) {
        let number = number_of(words).unwrap_or_default();
        if let Frame::Error(text) = frame {
            assert!(text.contains(&format!("#{number} ")), "{words:?}: {frame:?}");
            if ledger.lossy {
                // An error all the same: it promises nothing.
                return;
            }
            return self.note(words, number);
        }
        if let (Frame::Null, "BRPOP" | "BRPOPLPUSH" | "XREAD") = (frame, &*words[0]) {
            self.denied.insert(number);
            return;
        }
        let said = frame.said().unwrap_or_else(|| panic!("{words:?}: {frame:?}")).to_owned();
        match &*words[0] {
            "HELLO" => {
                self.state.proto = words[1].parse().expect("a version");
                self.state.name.clone_from(&words[3]);
            }
            "AUTH" => self.state.login.clone_from(&words[1]),
            _ => {}
        }
        // It went on its way before what stands before it, where that was refused.
        let overtook = ledger.refused && (ledger.overtaken || matches!(&*words[0], "PUBLISH" | "FOO.BAR"));
        let wanted = if overtook { format!("#{number}|") } else { self.state.says(number, "") };
        let nameless = State { name: String::new(), ..self.state.clone() }.says(number, "");
        let fits = said.starts_with(&wanted) || self.shares && said.starts_with(&nameless);
        assert!(fits, "{words:?}: {said}, wanted {wanted}...");
        let value = said.rsplit('|').next().unwrap_or_default().to_owned();
        let key = (self.state.db.clone(), words[1].clone());
        match &*words[0] {
            "GET" => {
                let expected = self.keys.get(&key).map(u32::to_string).unwrap_or_default();
                assert!(ledger.lossy || value == expected, "{words:?} said {value:?}, the last acknowledged SET is {expected:?}");
            }
            "SET" => drop(self.keys.insert(key, number)),
            "INCR" => {
                let counter = self.counters.entry(key).or_default();
                *counter += 1;
                assert!(ledger.lossy || value == counter.to_string(), "{words:?} said {value}, {counter} were acknowledged");
            }
            "BRPOP" | "BRPOPLPUSH" => {
                assert!(ledger.lossy || !self.popped.contains(&value), "{value} was popped twice");
                self.popped.push(value);
            }
            "EVAL" => drop(self.scripts.insert(digest(&words[1]))),
            "SCAN" => self.cursor = value,
            "XREAD" => {
                let (_, id) = value.split_once(':').expect("an entry");
                let id: u32 = id.parse().expect("an id");
                let excused = ledger.lossy || ledger.end_refused;
                let is_next = ledger.read_from.get(&number).is_some_and(|from| id <= from + 1);
                assert!(excused || is_next, "missed before {value}");
            }
            "WAIT" => {
                let counted = ledger.waited.get(&number).copied().unwrap_or_default();
                let last = self.last_write.and_then(|write| Some((ledger.written_at.get(&write)?, *ledger.place.get(&write)?)));
                let counts = last.is_none_or(|(server, place)| server.to_string() != value || place <= counted);
                assert!(counts || ledger.lossy, "WAIT was about the first {counted} writes, the client's last one was {last:?}");
                // The last of them may have been executed behind another that was refused, and was asked again here.
                let is_here = |write: &u32| ledger.written_at.get(write).is_none_or(|server| server.to_string() == value);
                let some = self.acknowledged.iter().any(is_here);
                assert!(
                    some || ledger.lossy || self.last_write.is_none(),
                    "WAIT was answered by server {value}, which executed no write"
                );
            }
            _ => {}
        }
        self.note(words, number);
    }

    fn note(&mut self, words: &[String], number: u32) {
        let writes = matches!(&*words[0], "SET" | "INCR" | "LPUSH" | "BRPOP" | "BRPOPLPUSH" | "EVAL" | "EVALSHA" | "FOO.BAR");
        if writes {
            self.acknowledged.insert(number);
        }
        if writes || words[0] == "PUBLISH" {
            self.last_write = Some(number).filter(|_| writes);
        }
    }
}
