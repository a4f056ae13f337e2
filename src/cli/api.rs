//! What the subcommands that steer a running mainstay have in common: one request to its admin address.

use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use super::AdminUrl;

/// For the whole request. Longer than a running mainstay waits for its own parts, so that it can say what is wrong.
const TIMEOUT: Duration = Duration::from_secs(5);
/// A thousand backends take one MiB.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// A running mainstay's admin address.
#[derive(Debug)]
pub struct Api {
    /// As the user gave it, for messages.
    shown: String,
    host: String,
    port: u16,
}

impl Api {
    /// Takes `http://HOST:PORT` and, for those in a hurry, `HOST:PORT`.
    pub fn new(url: &AdminUrl) -> anyhow::Result<Self> {
        let shown = url.admin.trim_end_matches('/').to_owned();
        let full = if shown.contains("://") { shown.clone() } else { format!("http://{shown}") };
        let wrong = || format!("the admin address {shown:?} is not a URL like http://127.0.0.1:9600");
        let uri: Uri = full.parse().with_context(wrong)?;
        ensure!(uri.scheme_str() == Some("http") && matches!(uri.path(), "" | "/") && uri.query().is_none(), wrong());
        let host = uri.host().filter(|host| !host.is_empty()).with_context(wrong)?;
        Ok(Self { host: host.to_owned(), port: uri.port_u16().unwrap_or(80), shown: full })
    }

    /// The text of a 200 answer.
    pub async fn get(&self, path: &str) -> anyhow::Result<String> {
        self.ask(Method::GET, path, None).await
    }

    /// The sentence that says what was done.
    pub async fn post(&self, path: &str, body: Option<&Value>) -> anyhow::Result<String> {
        let text = self.ask(Method::POST, path, body).await?;
        let json: Value = serde_json::from_str(&text).map_err(|_| self.stranger(StatusCode::OK))?;
        json["message"].as_str().map(str::to_owned).ok_or_else(|| self.stranger(StatusCode::OK))
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<String> {
        let answered = tokio::time::timeout(TIMEOUT, self.exchange(method, path, body)).await;
        let (code, text) = answered.map_err(|_| self.unreachable(&format!("no answer within {} s", TIMEOUT.as_secs())))??;
        if code == StatusCode::OK {
            return Ok(text);
        }
        match serde_json::from_str::<Value>(&text).ok().as_ref().and_then(|json| json["error"].as_str()) {
            Some(error) => bail!("{error}"),
            None => Err(self.stranger(code)),
        }
    }

    async fn exchange(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<(StatusCode, String)> {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((bare, self.port)).await.map_err(|fault| self.unreachable(&plain(&fault)))?;
        let not_http = |fault: hyper::Error| anyhow!("what answers at {} does not speak HTTP: {fault}", self.shown);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(not_http)?;
        // Ends with the runtime, a moment after the answer.
        tokio::spawn(connection);
        let request = Request::builder().method(method).uri(path).header(HOST, format!("{}:{}", self.host, self.port));
        let request = request.header(CONTENT_TYPE, "application/json");
        let body = Full::new(body.map(|body| Bytes::from(body.to_string())).unwrap_or_default());
        let answer = sender.send_request(request.body(body)?).await.map_err(not_http)?;
        let code = answer.status();
        let collected = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
        let collected = collected.map_err(|fault| anyhow!("the answer of {} broke off: {fault}", self.shown))?;
        Ok((code, String::from_utf8_lossy(&collected.to_bytes()).into_owned()))
    }

    fn unreachable(&self, why: &str) -> anyhow::Error {
        let url = &self.shown;
        anyhow!("cannot reach mainstay's admin address {url}: {why}; is it running, and is [admin] bind the same?")
    }

    fn stranger(&self, code: StatusCode) -> anyhow::Error {
        let url = &self.shown;
        anyhow!("what answers at {url} (HTTP {}) is not mainstay's admin address; give the right one with --admin", code.as_u16())
    }
}

/// Runs the one request of a subcommand.
pub fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start a runtime; are there descriptors left?")?.block_on(work)
}

/// One segment of a path.
pub fn encode(segment: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    segment.bytes().map(byte).collect()
}

/// What the operating system says, without its number.
fn plain(fault: &std::io::Error) -> String {
    let text = fault.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(url: &str) -> anyhow::Result<Api> {
        Api::new(&AdminUrl { admin: url.into() })
    }

    #[test]
    fn an_admin_address_is_taken_with_and_without_its_scheme() {
        for (url, host, port) in [
            ("http://127.0.0.1:9600", "127.0.0.1", 9600),
            ("http://127.0.0.1:9600/", "127.0.0.1", 9600),
            ("[::1]:9601", "[::1]", 9601),
            ("http://localhost", "localhost", 80),
        ] {
            let api = api(url).unwrap();
            assert_eq!((api.host.as_str(), api.port), (host, port), "{url}");
        }
        for url in ["", "https://a:1", "http://a:1/x", "http://a:1/?x", "a b", "http://:1", "/run/admin.sock"] {
            let error = format!("{:#}", api(url).unwrap_err());
            assert!(error.contains("http://127.0.0.1:9600"), "{url}: {error}");
        }
    }

    #[test]
    fn a_unix_path_becomes_one_segment() {
        assert_eq!(encode("unix:/run/r%.sock"), "unix%3A%2Frun%2Fr%25.sock");
        assert_eq!(encode("[::1]:6379"), "%5B%3A%3A1%5D%3A6379");
    }

    #[test]
    fn a_fault_is_told_without_its_number() {
        let fault = std::io::Error::from_raw_os_error(111);
        assert_eq!(plain(&fault), "connection refused");
    }
}
