//! What happened, in the order in which it was noticed, in milliseconds since the act began.

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::stage::Stage;

/// Prints as things happen. One lock covers stamping and printing, so that lines stand in the order of their times.
pub struct Timeline {
    zero: Mutex<Option<Instant>>,
    names: Vec<(String, String)>,
    colours: bool,
    stage: Arc<Stage>,
}

const TEXT_COLUMN: usize = 25;
const LINE_MAX: usize = 118;

impl Timeline {
    /// `names`: addresses, and what to call them.
    pub fn new(names: Vec<(String, String)>, stage: &Arc<Stage>) -> Self {
        let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { zero: Mutex::new(None), names, colours, stage: Arc::clone(stage) }
    }

    /// A heading and what the act is about.
    pub fn heading(&self, title: &str, text: &str) {
        let line = "-".repeat(LINE_MAX.saturating_sub(title.len() + 4));
        self.print(&format!("\n-- {} {line}\n{text}\n\n", self.coloured("1", title)));
    }

    /// Lines of their own, outside the timeline.
    pub fn say(&self, text: &str) {
        self.print(&format!("{}\n", self.named(text)));
    }

    /// From now on lines are noted, with times counted from here.
    pub fn begin(&self) {
        *self.zero.lock().expect("no thread panics while it prints") = Some(Instant::now());
    }

    /// From now on nothing is noted.
    pub fn end(&self) {
        *self.zero.lock().expect("no thread panics while it prints") = None;
    }

    /// `who` noticed or did `what`. Ignored between the acts, and once the servers are being stopped.
    pub fn note(&self, who: &str, what: &str) {
        let zero = self.zero.lock().expect("no thread panics while it prints");
        let Some(zero) = zero.filter(|_| !self.stage.is_closing()) else { return };
        let millis = zero.elapsed().as_secs_f64() * 1000.0;
        let colour = match who.split([' ', '-']).next() {
            Some("mainstay") => "1;36",
            Some("client") => "32",
            Some("sentinel") => "35",
            _ => "33",
        };
        let who = self.coloured(colour, &format!("{who:<11}"));
        let text = wrapped(&self.named(what), LINE_MAX - TEXT_COLUMN, TEXT_COLUMN);
        self.print(&format!("{millis:>9.1} ms {who} {text}\n"));
    }

    /// Addresses replaced by names.
    pub fn named(&self, text: &str) -> String {
        self.names.iter().fold(text.to_owned(), |text, (address, name)| text.replace(address, name))
    }

    fn coloured(&self, code: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Text as it is.
    pub fn print(&self, text: &str) {
        // Who closed the pipe does not want to read on; the demo still has to clean up.
        let _ = std::io::stdout().lock().write_all(text.as_bytes());
    }
}

/// `text` in lines of at most `width`, those after the first indented.
fn wrapped(text: &str, width: usize, indent: usize) -> String {
    let mut out = String::new();
    let mut used = 0;
    for word in text.split_whitespace() {
        if used > 0 && used + 1 + word.len() > width {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            used = 0;
        } else if used > 0 {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += word.len();
    }
    out
}

/// `1234` as `1,234`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Whole milliseconds, for people.
pub fn millis(duration: Duration) -> String {
    format!("{} ms", thousands(duration.as_millis().try_into().unwrap_or(u64::MAX)))
}
