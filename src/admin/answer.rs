//! How an answer is written: text for health, JSON for the API, a feed for events.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Frame, SizeHint};
use hyper::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use hyper::{Response, StatusCode};
use serde::Serialize;
use serde_json::json;

use super::events::Feed;

/// What every endpoint returns.
pub(super) type Answer = Response<Body>;

/// The body of an answer.
pub(super) enum Body {
    /// Known at once.
    Whole(Full<Bytes>),
    /// Goes on until the reader leaves.
    Feed(Box<Feed>),
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(whole) => Pin::new(whole).poll_frame(cx),
            Self::Feed(feed) => feed.poll_next(cx).map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(whole) => whole.is_end_stream(),
            Self::Feed(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(whole) => whole.size_hint(),
            Self::Feed(_) => SizeHint::default(),
        }
    }
}

/// An answer of one of the content types named here.
pub(super) fn with_body(code: StatusCode, content_type: &'static str, body: Body) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = code;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    // Every answer is about this very moment.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// Plain text, for probes and people.
pub(super) fn text(code: StatusCode, text: impl Into<Bytes>) -> Answer {
    with_body(code, "text/plain; charset=utf-8", Body::Whole(Full::new(text.into())))
}

/// Any value as JSON, laid out for people: `curl` shows it as it is.
pub(super) fn value(code: StatusCode, value: &impl Serialize) -> Answer {
    match serde_json::to_string_pretty(value).map(|text| text + "\n") {
        Ok(bytes) => with_body(code, "application/json", Body::Whole(Full::new(bytes.into()))),
        // None of our types fails to serialise; should one do so some day, it is a bug of ours and said as such.
        Err(fault) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("the answer cannot be written as JSON: {fault}\n")),
    }
}

/// `{"message": "..."}`
pub(super) fn message(message: &str) -> Answer {
    value(StatusCode::OK, &json!({ "message": message }))
}

/// `{"error": "..."}`
pub(super) fn error(code: StatusCode, error: &str) -> Answer {
    value(code, &json!({ "error": error }))
}

/// 401: the token is missing, or it is wrong. After a wrong one the connection ends.
pub(super) fn unauthorized(wrong: bool) -> Answer {
    let (why, challenge) = if wrong {
        (
            "the token is wrong; it stands in the [admin] token_file of this mainstay",
            "Bearer realm=\"mainstay\", error=\"invalid_token\"",
        )
    } else {
        ("this needs the token; give --token-file FILE (curl: -H \"Authorization: Bearer TOKEN\")", "Bearer realm=\"mainstay\"")
    };
    let mut answer = error(StatusCode::UNAUTHORIZED, why);
    answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    if wrong {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

/// 405 with the methods that the place knows.
pub(super) fn wrong_method(method: &hyper::Method, path: &str, allow: &'static str) -> Answer {
    let mut answer = error(StatusCode::METHOD_NOT_ALLOWED, &format!("{path} does not know {method}; use {allow}"));
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    answer
}
