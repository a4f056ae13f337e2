//! Replies as a strict client reads them: written apart from mainstay's own scanner.

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A string of any kind, or a number.
    Text(String),
    Error(String),
    Null,
    Array(Vec<Frame>),
    Push(Vec<Frame>),
}

/// A whole frame and its length; None where more is needed. Panics on what is no RESP.
pub fn read(bytes: &[u8]) -> Option<(Frame, usize)> {
    let line_end = bytes.windows(2).position(|two| two == b"\r\n")?;
    let line = std::str::from_utf8(&bytes[1..line_end]).expect("text");
    let mut at = line_end + 2;
    let count = || line.parse::<usize>().unwrap_or_else(|_| panic!("no length: {:?}", bytes.escape_ascii().to_string()));
    let frame = match bytes[0] {
        b'+' | b':' | b'#' | b',' => Frame::Text(line.to_owned()),
        b'-' => Frame::Error(line.to_owned()),
        b'_' => Frame::Null,
        b'$' | b'*' if line == "-1" => Frame::Null,
        kind @ (b'$' | b'=') => {
            let body = bytes.get(at..at + count())?;
            let end = bytes.get(at + count()..at + count() + 2)?;
            assert_eq!(end, b"\r\n", "a body does not end where it should");
            at += count() + 2;
            let text = String::from_utf8(body.to_vec()).expect("text");
            Frame::Text(if kind == b'=' { text[4..].to_owned() } else { text })
        }
        kind @ (b'*' | b'%' | b'>') => {
            let mut items = Vec::new();
            for _ in 0..count() * if kind == b'%' { 2 } else { 1 } {
                let (item, length) = read(&bytes[at..])?;
                items.push(item);
                at += length;
            }
            if kind == b'>' { Frame::Push(items) } else { Frame::Array(items) }
        }
        other => panic!("no type of a frame: {}", other.escape_ascii()),
    };
    Some((frame, at))
}

impl Frame {
    /// The first text in it that begins with `#`: what a made-up server says of itself.
    pub fn said(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.as_str()).filter(|text| text.starts_with('#')),
            Self::Array(items) => items.iter().find_map(Self::said),
            Self::Error(_) | Self::Null | Self::Push(_) => None,
        }
    }

    /// Its first element, where it is a text.
    pub fn word(&self) -> Option<&str> {
        match self {
            Self::Array(items) | Self::Push(items) => match items.first() {
                Some(Self::Text(text)) => Some(text),
                _ => None,
            },
            _ => None,
        }
    }

    pub fn items(&self) -> &[Self] {
        match self {
            Self::Array(items) | Self::Push(items) => items,
            _ => &[],
        }
    }
}
