//! The configuration as written: a TOML document whose every value knows its line and its key path.
//!
//! Deserialising with serde would stop at the first fault, and could not say where a value stands once it is read. So the document
//! is walked by hand: `Section` hands out typed values by key, and notes on the way what is unknown or of the wrong type.
//! What values *mean* is decided in `validate.rs`.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{Fault, Faults};
use super::keys::{known, unknown};
use super::limits::SECTIONS_MAX;

/// Where something stands.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) line: Option<usize>,
    pub(super) key: String,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Written<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

/// Reads a number with a unit; the error says what would be right.
pub(super) type Unit = fn(&str) -> Result<u64, String>;

/// One walk over one document: its file, its lines, the faults found so far.
pub(super) struct Walk {
    file: Arc<str>,
    /// Where each line but the first begins.
    line_starts: Vec<usize>,
    faults: RefCell<Vec<Fault>>,
    /// The text is no TOML. Parts of it may be lost, so that nothing can be called missing.
    broken: bool,
}

impl Walk {
    /// Parses `text`. Whatever could be understood is in the table even where the text is no TOML.
    pub(super) fn begin<'t>(text: &'t str, file: &str) -> (Self, Spanned<DeTable<'t>>) {
        let (document, errors) = DeTable::parse_recoverable(text);
        let line_starts = text.match_indices('\n').map(|(at, _)| at + 1).collect();
        let mut walk = Self { file: file.into(), line_starts, faults: RefCell::default(), broken: !errors.is_empty() };
        // A brace that is never closed makes a fault of every line that follows; the first one says it.
        let mut braces = 0;
        let told = errors.iter().filter(|error| {
            let brace =
                ["missing comma between key-value", "missing key for inline"].iter().any(|it| error.message().starts_with(it));
            braces += usize::from(brace);
            !brace || braces == 1
        });
        let faults = told.map(|error| walk.syntax(text, error)).collect();
        walk.faults = RefCell::new(faults);
        (walk, document)
    }

    /// The faults found, if any. A line that is no TOML has that one fault: what was made of it is a guess.
    pub(super) fn end(self) -> Option<Faults> {
        let faults = self.faults.into_inner();
        let syntax: BTreeSet<_> = faults.iter().filter(|fault| fault.key.is_empty()).filter_map(|fault| fault.line).collect();
        let kept = |fault: &Fault| fault.key.is_empty() || !self.broken || fault.line.is_none_or(|line| !syntax.contains(&line));
        Faults::of(faults.into_iter().filter(kept).collect())
    }

    pub(super) fn fault(&self, place: &Place, wrong: impl Display, right: impl Display) {
        let (line, key) = (place.line, place.key.clone());
        let fault = Fault { file: self.file.clone(), line, key, wrong: wrong.to_string(), right: right.to_string() };
        self.faults.borrow_mut().push(fault);
    }

    /// Notes that something is not there, or not what it should be because of something that is not there.
    pub(super) fn missing(&self, place: &Place, wrong: impl Display, right: impl Display) {
        if !self.broken {
            self.fault(place, wrong, right);
        }
    }

    fn line(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset) + 1
    }

    fn place(&self, value: &Spanned<impl Sized>, key: String) -> Place {
        Place { line: Some(self.line(value.span().start)), key }
    }

    /// The parser's message, without the text around it: that may be a password.
    fn syntax(&self, text: &str, error: &toml::de::Error) -> Fault {
        let span = error.span().unwrap_or_default();
        let message = match error.message() {
            "duplicate key" => format!("the key {} is written twice", quoted(text.get(span.clone()).unwrap_or_default())),
            message if message.starts_with("string values must be quoted") => "a text needs double quotes".into(),
            message => message.to_owned(),
        };
        let line = Some(self.line(span.start));
        Fault { file: self.file.clone(), line, key: String::new(), wrong: message, right: "this is no TOML".into() }
    }
}

/// A table of the document, or the absence of one.
pub(super) struct Section<'w> {
    pub(super) walk: &'w Walk,
    /// Its name in [`SECTIONS`].
    kind: String,
    pub(super) place: Place,
    table: Option<&'w DeTable<'w>>,
}

impl<'w> Section<'w> {
    pub(super) fn top(walk: &'w Walk, document: &'w Spanned<DeTable<'w>>) -> Self {
        let place = Place { line: None, key: String::new() };
        Self::open(walk, String::new(), place, Some(document.get_ref()))
    }

    /// Notes every key that is not in [`SECTIONS`].
    fn open(walk: &'w Walk, kind: String, place: Place, table: Option<&'w DeTable<'w>>) -> Self {
        let section = Self { walk, kind, place, table };
        for key in table.into_iter().flat_map(|table| table.keys()) {
            let name: &str = key.get_ref();
            if !section.known().contains(&name) {
                let (wrong, right) = unknown(&section.kind, name);
                walk.fault(&walk.place(key, section.path(name)), wrong, right);
            }
        }
        section
    }

    fn known(&self) -> &'static [&'static str] {
        known(&self.kind)
    }

    fn path(&self, key: &str) -> String {
        // A key can be any text in quotes; one that is no plain word is shown quoted and bounded.
        let plain = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        let key = if plain { key.to_owned() } else { format!("{:?}", key.chars().take(40).collect::<String>()) };
        if self.place.key.is_empty() { key } else { format!("{}.{key}", self.place.key) }
    }

    fn get(&self, key: &str) -> Option<(&'w Spanned<DeValue<'w>>, Place)> {
        let (name, value) = self.table?.iter().find(|(name, _)| name.get_ref() == key)?;
        Some((value, self.walk.place(name, self.path(key))))
    }

    fn wrong_type(&self, place: &Place, value: &DeValue<'_>, right: &str) {
        self.walk.fault(place, format!("it is {}", type_of(value)), right);
    }

    /// Where `key` is, or where it would be.
    pub(super) fn place_of(&self, key: &str) -> Place {
        let absent = || Place { line: self.place.line, key: self.path(key) };
        self.get(key).map_or_else(absent, |(_, place)| place)
    }

    /// Is the key there, be its value right or wrong?
    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// A text, if the key is there and is one. `right` is what to say otherwise.
    pub(super) fn string(&self, key: &str, right: &str) -> Option<Written<&'w str>> {
        let (value, place) = self.get(key)?;
        match value.get_ref() {
            DeValue::String(text) => return Some(Written { value: text, place }),
            other => self.wrong_type(&place, other, right),
        }
        None
    }

    /// `true` or `false`, if the key is there and is one of them.
    pub(super) fn boolean(&self, key: &str) -> Option<Written<bool>> {
        let (value, place) = self.get(key)?;
        match value.get_ref() {
            DeValue::Boolean(value) => return Some(Written { value: *value, place }),
            other => self.wrong_type(&place, other, "write true or false"),
        }
        None
    }

    /// A whole number, or a text for which `unit` finds one.
    pub(super) fn number(&self, key: &str, right: &str, unit: Option<Unit>) -> Option<Written<u64>> {
        let (value, place) = self.get(key)?;
        match (value.get_ref(), unit) {
            (DeValue::Integer(number), _) => match u64::from_str_radix(number.as_str(), number.radix()) {
                Ok(value) => return Some(Written { value, place }),
                Err(_) => self.walk.fault(&place, format!("{number} is out of range"), right),
            },
            (DeValue::String(text), Some(unit)) => match unit(text) {
                Ok(value) => return Some(Written { value, place }),
                Err(right) => self.walk.fault(&place, format!("{} is no size", quoted(text)), right),
            },
            (other, _) => self.wrong_type(&place, other, right),
        }
        None
    }

    /// The texts of a list; those that are none are noted.
    pub(super) fn strings(&self, key: &str, right: &str) -> Option<Written<Vec<Written<&'w str>>>> {
        let (value, place) = self.get(key)?;
        let DeValue::Array(items) = value.get_ref() else {
            self.wrong_type(&place, value.get_ref(), right);
            return None;
        };
        let mut texts = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let place = self.walk.place(item, format!("{}[{index}]", place.key));
            match item.get_ref() {
                DeValue::String(text) => texts.push(Written { value: &**text, place }),
                other => self.wrong_type(&place, other, right),
            }
        }
        // A list of wrong things is not an empty list.
        if texts.is_empty() && !items.is_empty() { None } else { Some(Written { value: texts, place }) }
    }

    /// A table; an empty section where there is none.
    pub(super) fn table(&self, key: &str) -> Section<'w> {
        let kind = if self.kind.is_empty() { key.to_owned() } else { format!("{}.{key}", self.kind) };
        let found = self.get(key);
        let place = self.place_of(key);
        let table = found.and_then(|(value, place)| match value.get_ref() {
            DeValue::Table(table) => Some(table),
            other => {
                self.wrong_type(&place, other, &format!("write the table [{kind}]"));
                None
            }
        });
        Self::open(self.walk, kind, place, table)
    }

    /// The tables of a list of tables, as `[[group]]`.
    pub(super) fn tables(&self, key: &str) -> Vec<Section<'w>> {
        let Some((value, place)) = self.get(key) else { return Vec::new() };
        let right = format!("write [[{key}]], with two brackets, once for each {key}");
        let items = match value.get_ref() {
            DeValue::Array(items) => items.iter().collect(),
            DeValue::Table(_) => {
                self.walk.missing(&place, format!("[{key}] is a single table"), &right);
                vec![value]
            }
            other => {
                self.wrong_type(&place, other, &right);
                vec![]
            }
        };
        if items.len() > SECTIONS_MAX {
            self.walk.fault(&place, format!("{} are too many", items.len()), format!("write at most {SECTIONS_MAX}"));
        }
        let mut sections = Vec::new();
        for (index, item) in items.into_iter().take(SECTIONS_MAX).enumerate() {
            let place = self.walk.place(item, format!("{}[{index}]", self.path(key)));
            match item.get_ref() {
                DeValue::Table(table) => sections.push(Self::open(self.walk, key.to_owned(), place, Some(table))),
                other => self.wrong_type(&place, other, &right),
            }
        }
        sections
    }
}

/// A text as it is repeated in a message: escaped, and bounded.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN: usize = 60;
    let short: String = text.chars().take(SHOWN).collect();
    let dots = if short.len() < text.len() { "..." } else { "" };
    format!("{short:?}{dots}")
}

fn type_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
