//! An haproxy.cfg as words and sections, by the quoting rules of HAProxy's configuration manual, section 2.2.

/// Stands where HAProxy would put in an environment variable: for a `$` in double quotes. Any other `$` is a plain one.
pub const VARIABLE: char = '\u{1a}';

/// A section: `global`, `defaults`, `frontend`, `backend`, `listen` or one of the many others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    pub line: usize,
    pub kind: String,
    /// Empty where it has none.
    pub name: String,
    /// `frontend web from base`: the defaults section to start from.
    pub from: Option<String>,
    pub lines: Vec<Line>,
}

/// A line that says something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub number: usize,
    /// At least one.
    pub words: Vec<String>,
}

impl Line {
    /// The word at `index`, empty where the line is shorter.
    pub fn word(&self, index: usize) -> &str {
        self.words.get(index).map_or("", String::as_str)
    }
}

/// Words that open a section.
const KINDS: &str = "acme backend cache crt-store defaults fcgi-app frontend global http-errors listen log-forward log-profile mailers \
    peers program resolvers ring traces userlist";

/// The sections in their order. What stands before the first is dropped, as are `.if` and its kin.
pub fn sections(text: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let words = words(line);
        let Some(first) = words.first().filter(|word| !word.starts_with('.')) else { continue };
        if KINDS.split(' ').any(|kind| kind == first) {
            let named = words.get(1).filter(|word| *word != "from").cloned();
            let from = words.iter().position(|word| word == "from").and_then(|at| words.get(at + 1)).cloned();
            let (kind, name) = (first.clone(), named.unwrap_or_default());
            sections.push(Section { line: index + 1, kind, name, from, lines: Vec::new() });
        } else if let Some(section) = sections.last_mut() {
            section.lines.push(Line { number: index + 1, words });
        }
    }
    sections
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quotes {
    None,
    /// Everything stands for itself.
    Strong,
    /// A backslash still escapes.
    Weak,
}

fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quotes = Quotes::None;
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        match (quotes, c) {
            (Quotes::None, '#') => break,
            (Quotes::None, c) if c.is_whitespace() => words.extend(word.take()),
            (Quotes::None, '"') | (Quotes::Weak, '"') => {
                quotes = if quotes == Quotes::None { Quotes::Weak } else { Quotes::None };
                word.get_or_insert_default();
            }
            (Quotes::None, '\'') | (Quotes::Strong, '\'') => {
                quotes = if quotes == Quotes::None { Quotes::Strong } else { Quotes::None };
                word.get_or_insert_default();
            }
            (Quotes::None | Quotes::Weak, '\\') => escape(&mut rest, word.get_or_insert_default()),
            (Quotes::Weak, '$') => word.get_or_insert_default().push(VARIABLE),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// What follows a backslash. An escape that HAProxy does not know stands for itself.
fn escape(rest: &mut std::str::Chars<'_>, word: &mut String) {
    match rest.next() {
        Some('r') => word.push('\r'),
        Some('n') => word.push('\n'),
        Some('t') => word.push('\t'),
        Some('x') => {
            let digits: String = rest.as_str().chars().take(2).take_while(char::is_ascii_hexdigit).collect();
            match u8::from_str_radix(&digits, 16) {
                Ok(byte) if digits.len() == 2 => {
                    word.push(char::from(byte));
                    rest.nth(1);
                }
                _ => word.push_str("\\x"),
            }
        }
        Some(c @ (' ' | '#' | '\\' | '\'' | '"' | '$' | '\t')) => word.push(c),
        Some(c) => word.extend(['\\', c]),
        None => (),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_apart_as_haproxy_does() {
        let cases: [(&str, &[&str]); 9] = [
            ("$a '$b' \"$c \\$d\"", &["$a", "$b", "\u{1a}c $d"]),
            ("  tcp-check send info\\ replication\\r\\n # why", &["tcp-check", "send", "info replication\r\n"]),
            ("tcp-check send \"AUTH a#b \\\"c\\\"\\r\\n\"", &["tcp-check", "send", "AUTH a#b \"c\"\r\n"]),
            ("send 'AUTH a\\r'", &["send", "AUTH a\\r"]),
            ("a\\#b a#b", &["a#b", "a"]),
            ("x \"\" ''y", &["x", "", "y"]),
            ("\\x41\\x4", &["A\\x4"]),
            ("open \"quote", &["open", "quote"]),
            ("\t \\", &[""]),
        ];
        for (line, expected) in cases {
            assert_eq!(words(line), expected, "{line}");
        }
    }

    #[test]
    fn sections_need_no_indentation() {
        let found = sections("lost\nglobal\nmaxconn 5\ndefaults base\n.if x\nfrontend a from base\n\nbind :1\n");
        let shape: Vec<_> = found.iter().map(|s| (s.line, s.kind.as_str(), s.name.as_str(), s.lines.len())).collect();
        assert_eq!(shape, [(2, "global", "", 1), (4, "defaults", "base", 0), (6, "frontend", "a", 1)]);
        assert_eq!(found[2].from.as_deref(), Some("base"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[a-z\\\\x\"'# \n\u{e9}0-9]{0,80}") {
            sections(&text);
            words(&text);
        }
    }
}
