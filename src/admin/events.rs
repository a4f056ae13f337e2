//! `GET /api/v1/events`: what happens, as it happens, as server-sent events.
//!
//! First comes one event `status` for each group, so that a reader knows where it starts from, then every [`Event`] without a
//! name of its own. A reader that is too slow is never waited for: it misses events, is told `lagged` with their number and gets the
//! status anew. Nothing runs between two polls of the body: a reader that stops reading costs its socket buffers and no more.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use serde::Serialize;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc, watch};

use super::Context;
use super::answer::{self, Answer, Body};
use super::api::group_now;
use crate::route::{Directory, Event, Moment};

/// Chunks that are written but not yet asked for.
const CHUNKS: usize = 8;

/// The body of the answer: polls what writes the events, and hands on what it wrote.
pub(super) struct Feed {
    written: mpsc::Receiver<Bytes>,
    /// None once the source of events has ended.
    writer: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// A place among the readers.
    _place: OwnedSemaphorePermit,
}

impl Feed {
    /// The next chunk; None at the end.
    pub(super) fn poll_next(&mut self, cx: &mut std::task::Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(writer) = &mut self.writer
            && writer.as_mut().poll(cx).is_ready()
        {
            self.writer = None;
        }
        Poll::Ready(ready!(self.written.poll_recv(cx)))
    }
}

/// Starts a feed, if there is a place for one more reader.
pub(super) fn follow(context: &Context, places: &Arc<Semaphore>, keep_alive: Duration) -> Answer {
    let Ok(place) = Arc::clone(places).try_acquire_owned() else {
        return answer::error(StatusCode::SERVICE_UNAVAILABLE, "too many readers of events; end one of them or try again later");
    };
    let (sender, written) = mpsc::channel(CHUNKS);
    // Subscribed before the status is read, so that nothing is missed in between; what falls there is told twice.
    let writer = write(context.clone(), context.events.subscribe(), sender, keep_alive);
    let feed = Feed { written, writer: Some(Box::pin(writer)), _place: place };
    answer::with_body(StatusCode::OK, "text/event-stream", Body::Feed(Box::new(feed)))
}

/// Writes until the source ends or the reader leaves.
async fn write(
    Context { mut access, mut directory, .. }: Context,
    mut events: broadcast::Receiver<Event>,
    chunks: mpsc::Sender<Bytes>,
    keep_alive: Duration,
) {
    access.mark_unchanged();
    let mut chunk = statuses(&mut directory);
    while chunks.send(chunk).await.is_ok() {
        chunk = tokio::select! {
            event = events.recv() => match event {
                Ok(event) => encode(None, &event),
                Err(RecvError::Lagged(missed)) => {
                    [encode(Some("lagged"), &json!({ "missed": missed })), statuses(&mut directory)].concat().into()
                }
                Err(RecvError::Closed) => return,
            },
            // Whoever was let in by the token of before has to show the new one.
            Ok(()) = access.changed() => return,
            // A reload brings and takes groups.
            Ok(()) = directory.changed() => statuses(&mut directory),
            () = tokio::time::sleep(keep_alive) => Bytes::from_static(b": nothing new\n\n"),
        };
    }
}

/// One event `status` for each group.
fn statuses(directory: &mut watch::Receiver<Arc<Directory>>) -> Bytes {
    let directory = directory.borrow_and_update().clone();
    let now = Moment::now();
    let each = directory.groups.iter().map(|group| encode(Some("status"), &group_now(group, now)));
    let all = each.collect::<Vec<_>>().concat();
    // An empty chunk would end a chunked body.
    if all.is_empty() { Bytes::from_static(b": no groups yet\n\n") } else { all.into() }
}

/// One server-sent event. JSON has no line breaks outside its strings, and escapes those inside.
fn encode(name: Option<&str>, value: &impl Serialize) -> Bytes {
    // None of our types fails to serialise.
    let data = serde_json::to_string(value).unwrap_or_default();
    match name {
        Some(name) => format!("event: {name}\ndata: {data}\n\n").into(),
        None => format!("data: {data}\n\n").into(),
    }
}
