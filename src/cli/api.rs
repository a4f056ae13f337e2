//! What the subcommands that steer a running mainstay have in common: one request to its admin address.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use mainstay::config;
use mainstay::tls::{self, Connector};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::AdminOptions;

/// For the whole request. Longer than a running mainstay waits for its own parts, so that it can say what is wrong.
const TIMEOUT: Duration = Duration::from_secs(5);
/// A thousand backends take one MiB.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// A running mainstay's admin address, and how to be let in there.
#[derive(Debug)]
pub struct Api {
    /// As the user gave it, for messages.
    shown: String,
    host: String,
    port: u16,
    tls: Option<Connector>,
    /// The whole header.
    authorization: Option<HeaderValue>,
}

impl Api {
    /// Takes `http://HOST:PORT`, `https://HOST:PORT` and, for those in a hurry, `HOST:PORT`.
    pub fn new(options: &AdminOptions) -> anyhow::Result<Self> {
        let shown = options.admin.trim_end_matches('/').to_owned();
        let full = if shown.contains("://") { shown.clone() } else { format!("http://{shown}") };
        let wrong = || format!("the admin address {shown:?} is not a URL like http://127.0.0.1:9600");
        let uri: Uri = full.parse().with_context(wrong)?;
        let default_port = match uri.scheme_str() {
            Some("http") => 80,
            Some("https") => 443,
            _ => bail!(wrong()),
        };
        let is_plain = default_port == 80;
        let bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
        ensure!(bare && !uri.authority().is_some_and(|authority| authority.as_str().contains('@')), wrong());
        let host = uri.host().filter(|host| !host.is_empty()).with_context(wrong)?.to_owned();
        let idle = [("--ca-file", &options.ca_file), ("--cert-file", &options.cert_file)];
        if let Some((option, _)) = idle.into_iter().find(|(_, file)| is_plain && file.is_some()) {
            bail!("{option} is of no use with {full}; write https:// where the admin address speaks TLS");
        }
        let tls = if is_plain { None } else { Some(connector(options, &host)?) };
        let authorization = options.token_file.as_deref().filter(|path| !path.as_os_str().is_empty()).map(authorization);
        let port = uri.port_u16().unwrap_or(default_port);
        Ok(Self { host, port, shown: full, tls, authorization: authorization.transpose()? })
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
        let stream = TcpStream::connect((bare(&self.host), self.port)).await.map_err(|fault| self.unreachable(&plain(&fault)))?;
        let mut request = Request::builder().method(method).uri(path).header(HOST, format!("{}:{}", self.host, self.port));
        if let Some(token) = &self.authorization {
            request = request.header(AUTHORIZATION, token);
        }
        let request = request.header(CONTENT_TYPE, "application/json");
        let request = request.body(Full::new(body.map(|body| Bytes::from(body.to_string())).unwrap_or_default()))?;
        match &self.tls {
            None => self.talk(stream, request).await,
            Some(tls) => {
                let stream = tls.connect(stream).await.map_err(|fault| self.no_tls(&fault))?;
                self.talk(stream, request).await
            }
        }
    }

    async fn talk<S>(&self, stream: S, request: Request<Full<Bytes>>) -> anyhow::Result<(StatusCode, String)>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|fault| self.not_http(&fault))?;
        // Ends with the runtime, a moment after the answer.
        tokio::spawn(connection);
        let answer = sender.send_request(request).await.map_err(|fault| self.not_http(&fault))?;
        let code = answer.status();
        let collected = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
        let collected = collected.map_err(|fault| anyhow!("the answer of {} broke off: {fault}", self.shown))?;
        Ok((code, String::from_utf8_lossy(&collected.to_bytes()).into_owned()))
    }

    /// A certificate that is refused is told of only once the handshake is done (TLS 1.3): then it comes as an answer that is none.
    fn not_http(&self, fault: &hyper::Error) -> anyhow::Error {
        let mut cause = fault.source();
        while let Some(fault) = cause {
            if let Some(refused) = fault.downcast_ref().and_then(tls::Error::of) {
                return self.no_tls(refused);
            }
            cause = fault.source();
        }
        anyhow!("what answers at {} does not speak HTTP: {fault}", self.shown)
    }

    fn no_tls(&self, fault: &tls::Error) -> anyhow::Error {
        let what_to_do = match fault {
            tls::Error::Certificate(_) => "; name its CA with --ca-file, and the host by a name of its certificate",
            tls::Error::Refused(_) => "; give one with --cert-file and --key-file, or a token with --token-file",
            tls::Error::NotTls(_) => "; write http:// where it has no [admin.tls]",
            _ => "",
        };
        anyhow!("mainstay's admin address {} {fault}{what_to_do}", self.shown)
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

/// A host without the brackets of IPv6.
fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

fn connector(options: &AdminOptions, host: &str) -> anyhow::Result<Connector> {
    let read = |option: &str, path: &Option<PathBuf>| -> anyhow::Result<Option<(PathBuf, Vec<u8>)>> {
        let Some(path) = path else { return Ok(None) };
        let bytes =
            std::fs::read(path).map_err(|fault| anyhow!("{option} {} cannot be read: {}", path.display(), plain(&fault)))?;
        Ok(Some((path.clone(), bytes)))
    };
    let (ca, certificate) = (read("--ca-file", &options.ca_file)?, read("--cert-file", &options.cert_file)?);
    let key = read("--key-file", &options.key_file)?;
    let identity = certificate.as_ref().zip(key.as_ref());
    let identity = identity.map(|(certificate, key)| tls::Identity { certificates: pem(certificate), key: pem(key) });
    Ok(Connector::new(ca.as_ref().map(pem), identity, None)?.to(bare(host))?)
}

fn pem((path, bytes): &(PathBuf, Vec<u8>)) -> tls::Pem<'_> {
    tls::Pem { path, bytes }
}

/// The header that shows the token. Without it in the message where it is wrong.
fn authorization(path: &Path) -> anyhow::Result<HeaderValue> {
    let shown = path.display();
    let token = config::read_secret(path).map_err(|wrong| anyhow!("--token-file {shown}: {wrong}"))?;
    let mut header = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
        .map_err(|_| anyhow!("--token-file {shown}: there is something else in it than a token"))?;
    header.set_sensitive(true);
    Ok(header)
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

    fn options(url: &str) -> AdminOptions {
        AdminOptions { admin: url.into(), token_file: None, ca_file: None, cert_file: None, key_file: None }
    }

    fn api(url: &str) -> anyhow::Result<Api> {
        Api::new(&options(url))
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
        for url in [
            "",
            "ftp://a:1",
            "https://a:1/x",
            "http://me:secret@a:1",
            "http://a:1/x",
            "http://a:1/?x",
            "a b",
            "http://:1",
            "/run/admin.sock",
        ] {
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
