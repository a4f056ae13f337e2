//! What the made-up client asks. It keeps to the rules of its protocol as far as it can know, and pipelines without mercy.

use proptest::prelude::*;

use super::commands::{LYING_SCRIPT, digest};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    Set,
    Big,
    Get,
    Incr,
    Push,
    Pop,
    Move,
    Publish,
    Multi,
    Exec,
    Discard,
    Watch,
    Unwatch,
    Select,
    BadSelect,
    Subscribe,
    Unsubscribe,
    Ping,
    Eval,
    EvalSha,
    ScriptLoad,
    Hello,
    Auth,
    ClientId,
    Name,
    Scan,
    Wait,
    Read,
    StreamEnd,
    Reset,
    Quit,
    Unknown,
}

pub fn ask() -> impl Strategy<Value = Ask> {
    prop_oneof![
        8 => Just(Ask::Set),
        1 => Just(Ask::Big),
        6 => Just(Ask::Get),
        4 => Just(Ask::Incr),
        3 => Just(Ask::Push),
        3 => Just(Ask::Pop),
        2 => Just(Ask::Move),
        2 => Just(Ask::Publish),
        6 => Just(Ask::Multi),
        7 => Just(Ask::Exec),
        2 => Just(Ask::Discard),
        2 => Just(Ask::Watch),
        1 => Just(Ask::Unwatch),
        3 => Just(Ask::Select),
        1 => Just(Ask::BadSelect),
        2 => Just(Ask::Subscribe),
        3 => Just(Ask::Unsubscribe),
        2 => Just(Ask::Ping),
        3 => Just(Ask::Eval),
        3 => Just(Ask::EvalSha),
        1 => Just(Ask::ScriptLoad),
        2 => Just(Ask::Hello),
        1 => Just(Ask::Auth),
        1 => Just(Ask::ClientId),
        2 => Just(Ask::Name),
        2 => Just(Ask::Scan),
        2 => Just(Ask::Wait),
        3 => Just(Ask::Read),
        1 => Just(Ask::StreamEnd),
        1 => Just(Ask::Reset),
        1 => Just(Ask::Quit),
        2 => Just(Ask::Unknown),
    ]
}

/// Mostly what may be shared.
pub fn ask_of_many() -> impl Strategy<Value = Ask> {
    let shared = prop::sample::select(vec![
        Ask::Set,
        Ask::Set,
        Ask::Get,
        Ask::Get,
        Ask::Get,
        Ask::Incr,
        Ask::Push,
        Ask::Publish,
        Ask::Eval,
        Ask::EvalSha,
        Ask::ScriptLoad,
        Ask::Scan,
        Ask::Ping,
    ]);
    let now_and_then = prop::sample::select(vec![
        Ask::Multi,
        Ask::Exec,
        Ask::Exec,
        Ask::Discard,
        Ask::Watch,
        Ask::Unwatch,
        Ask::Select,
        Ask::Pop,
        Ask::Read,
        Ask::Subscribe,
        Ask::Unsubscribe,
        Ask::Unsubscribe,
        Ask::Hello,
        Ask::Name,
        Ask::Unknown,
        Ask::Big,
        Ask::Reset,
    ]);
    prop_oneof![40 => shared, 3 => now_and_then, 1 => ask()]
}

/// What the client believes it will be in when all that it asked is answered.
#[derive(Debug, Default)]
pub struct Intent {
    /// Behind the names of its keys: several clients have each their own.
    pub mark: String,
    in_multi: bool,
    subscriptions: bool,
    resp3: bool,
    quit: bool,
}

const BIG_BYTES: usize = 70_000;

impl Intent {
    /// The words of a request, or None where a sensible client would not ask that now. `variant` chooses among keys and the like;
    /// `cursor` is the last that it got.
    pub fn words(&mut self, ask: Ask, number: u32, variant: u8, cursor: &str) -> Option<Vec<String>> {
        let pick = |words: &[&str]| words[usize::from(variant) % words.len()].to_owned();
        let key = pick(&["a", "b"]) + &self.mark;
        let script = pick(&["write.1", "write.2", LYING_SCRIPT]);
        let tag = format!("#{number}");
        let listens = self.subscriptions && !self.resp3;
        if self.quit || listens && !matches!(ask, Ask::Subscribe | Ask::Unsubscribe | Ask::Ping | Ask::Reset | Ask::Quit) {
            return None;
        }
        let goes_into_transactions = matches!(
            ask,
            Ask::Set
                | Ask::Big
                | Ask::Get
                | Ask::Incr
                | Ask::Push
                | Ask::Publish
                | Ask::Exec
                | Ask::Discard
                | Ask::Eval
                | Ask::Reset
        );
        if self.in_multi && !goes_into_transactions {
            return None;
        }
        if !self.in_multi && matches!(ask, Ask::Exec | Ask::Discard) && variant > 30 {
            return None;
        }
        let text = match ask {
            Ask::Set => format!("SET {key} {tag}"),
            Ask::Big => format!("SET {key} {tag} {}", "x".repeat(BIG_BYTES * (1 + usize::from(variant) % 2))),
            Ask::Get => format!("GET {key} {tag}"),
            Ask::Incr => format!("INCR {key} {tag}"),
            Ask::Push => format!("LPUSH q {tag}"),
            Ask::Pop => format!("BRPOP q {tag} {}", pick(&["0", "10", "0.5"])),
            // The tag names the other list.
            Ask::Move => format!("BRPOPLPUSH q {tag} {}", pick(&["0", "10", "0.5"])),
            Ask::Publish => format!("PUBLISH c {tag}"),
            Ask::Multi => "MULTI".into(),
            // With a word too many it shares nothing.
            Ask::Exec if !self.mark.is_empty() => "EXEC".into(),
            Ask::Exec => format!("EXEC {tag}"),
            Ask::Discard => "DISCARD".into(),
            Ask::Watch => format!("WATCH {key}"),
            Ask::Unwatch => "UNWATCH".into(),
            Ask::Select => format!("SELECT {}", variant % 3),
            Ask::BadSelect => "SELECT 99".into(),
            Ask::Subscribe => pick(&["SUBSCRIBE c", "SUBSCRIBE d c", "SUBSCRIBE c d e"]),
            Ask::Unsubscribe => pick(&["UNSUBSCRIBE", "UNSUBSCRIBE c", "UNSUBSCRIBE d e"]),
            Ask::Ping => format!("PING {tag}"),
            Ask::Eval => format!("EVAL {script} 0 {tag}"),
            Ask::EvalSha => format!("EVALSHA {} 0 {tag}", digest(&script)),
            Ask::ScriptLoad => format!("SCRIPT LOAD {script}"),
            Ask::Hello => format!("HELLO {} SETNAME {tag}", 2 + variant % 2),
            Ask::Auth => format!("AUTH user{} {tag}", variant % 2),
            Ask::ClientId => "CLIENT ID".into(),
            Ask::Name => format!("CLIENT SETNAME name{}", variant % 4),
            Ask::Scan => format!("SCAN {} COUNT {tag}", if variant < 100 { "0" } else { cursor }),
            Ask::Wait => format!("WAIT 1 {tag}"),
            Ask::Read => {
                let (block, stream) = (pick(&["0", "5000", "300"]), pick(&["t", "s", "s"]));
                format!("XREAD COUNT {tag} BLOCK {block} STREAMS {stream} $")
            }
            Ask::StreamEnd => "XREVRANGE s + - COUNT 1".into(),
            Ask::Reset => "RESET".into(),
            Ask::Quit => "QUIT".into(),
            Ask::Unknown => format!("FOO.BAR {tag}"),
        };
        match ask {
            Ask::Multi => self.in_multi = true,
            Ask::Exec | Ask::Discard => self.in_multi = false,
            Ask::Subscribe => self.subscriptions = true,
            // Others may be left; PING tells.
            Ask::Unsubscribe => self.subscriptions &= !text.ends_with('E'),
            Ask::Hello => self.resp3 = text.starts_with("HELLO 3"),
            Ask::Reset => *self = Self { mark: std::mem::take(&mut self.mark), ..Self::default() },
            Ask::Quit => self.quit = true,
            _ => {}
        }
        Some(text.split(' ').map(str::to_owned).collect())
    }
}
