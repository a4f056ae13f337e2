//! Just enough HTTP to ask mainstay's admin address.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::secure;

/// What an admin address asks for.
#[derive(Clone, Debug, Default)]
pub struct WayIn {
    /// It speaks TLS, and its certificate is signed by the one in this file.
    pub ca_file: Option<String>,
    /// To be shown.
    pub token: Option<String>,
}

/// Status code and body; `None` when nobody answers.
pub fn ask(address: &str, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
    ask_by(&WayIn::default(), address, method, path, body)
}

/// The same where more is asked for.
pub fn ask_by(way_in: &WayIn, address: &str, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
    let stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let length = body.len();
    let token = way_in.token.as_ref().map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n{token}\
         Content-Length: {length}\r\n\r\n{body}"
    );
    match &way_in.ca_file {
        None => exchange(stream, &request),
        Some(ca_file) => exchange(secure::connect(stream, ca_file, None)?, &request),
    }
}

fn exchange(mut stream: impl Read + Write, request: &str) -> Option<(u16, String)> {
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let code = head.split(' ').nth(1)?.parse().ok()?;
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    Some((code, if chunked { unchunk(body) } else { body.to_owned() }))
}

/// A stream of server-sent events, line by line until the deadline: those that begin with `data:`, without it.
pub fn events(address: &str, path: &str, span: Duration) -> Vec<String> {
    let Ok(mut stream) = TcpStream::connect(address) else { return Vec::new() };
    let _ = stream.set_read_timeout(Some(Duration::from_millis(100)));
    let _ = write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let (begun, mut all) = (std::time::Instant::now(), Vec::new());
    while begun.elapsed() < span {
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => all.extend_from_slice(&chunk[..length]),
            Err(_) => {}
        }
    }
    let text = String::from_utf8_lossy(&all).into_owned();
    text.lines().filter_map(|line| line.strip_prefix("data:")).map(|line| line.trim().to_owned()).collect()
}

fn unchunk(body: &str) -> String {
    let (mut rest, mut whole) = (body, String::new());
    while let Some((size, after)) = rest.split_once("\r\n") {
        let Ok(size) = usize::from_str_radix(size.trim(), 16) else { break };
        if size == 0 || after.len() < size {
            break;
        }
        whole.push_str(&after[..size]);
        rest = after[size..].trim_start_matches("\r\n");
    }
    whole
}
