//! Accepts and answers, in bounds: so many connections, such a request, so long a wait.
//!
//! The admin side shares its thread with the checks, so nothing here may grow or spin. What the peer must do (send its head,
//! send its body, take the answer) has a deadline, or one of the few places could be kept for ever.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use prometheus::TextEncoder;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::access::Guesses;
use super::answer::{self, Answer};
use super::connection::{self, Pace, Shown};
use super::guard::{Asked, Denied, Guard, Refused};
use super::place::{Lost, Place, query, switch};
use super::{Context, Limits, api, events, health};
use crate::route::Action;

const INDEX: &str = "\
mainstay

GET  /healthz                                      the process lives
GET  /readyz                                       it listens, and every group was checked once
GET  /readyz?primary[&group=NAME]                  also, every group (or this one) has a primary
GET  /metrics                                      for Prometheus
GET  /api/v1/status                                everything that is known, as JSON
GET  /api/v1/events                                what happens, as server-sent events
POST /api/v1/reload                                apply the configuration file again
POST /api/v1/groups/GROUP/elect                    {\"backend\": \"ADDRESS\"} settles who is primary
POST /api/v1/groups/GROUP/backends/ADDRESS/STATE   maintenance, drain or ready; ?force=true
";

/// What every connection needs.
pub(super) struct Server {
    pub(super) context: Context,
    guard: Guard,
    guesses: Guesses,
    pub(super) handshakes: Pace,
    readers: Arc<Semaphore>,
    pub(super) limits: Limits,
}

/// Serves until the future is dropped; then its connections end too.
pub async fn serve(listener: TcpListener, context: Context) {
    serve_within(listener, context, Limits::default()).await;
}

/// The same within other limits.
pub async fn serve_within(listener: TcpListener, context: Context, limits: Limits) {
    // A listener knows its address. If it does not, it is treated as one that everybody reaches.
    let bound = listener.local_addr().unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)));
    let readers = Arc::new(Semaphore::new(limits.readers));
    let (guesses, handshakes) = (Guesses::default(), Pace::new(limits.handshake_pause));
    let server = Arc::new(Server { context, guard: Guard::new(bound), guesses, handshakes, readers, limits });
    let mut connections = JoinSet::new();
    let mut failing = false;
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < limits.connections => match accepted {
                Ok((stream, peer)) => {
                    failing = false;
                    connections.spawn(connection::converse(stream, peer, Arc::clone(&server)));
                }
                // The peer left before it was accepted; nothing is wrong here.
                Err(fault) if fault.kind() == ErrorKind::ConnectionAborted => {}
                Err(fault) => {
                    if !failing {
                        tracing::warn!(%bound, %fault, "the admin address cannot accept; trying on until it can");
                    }
                    failing = true;
                    tokio::time::sleep(limits.accept_pause).await;
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

/// Finds the place, asks the guard, and has the place answer.
pub(super) async fn answer(server: &Server, shown: Shown, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let place = Place::find(path);
    let access = server.context.access.borrow().clone();
    let asked = Asked { place: place.as_ref().ok(), uri: &head.uri, headers: &head.headers, certified: shown.certified };
    match server.guard.admit(&access, asked) {
        Ok(()) => {}
        Err(Denied::NoToken) => return answer::unauthorized(false),
        Err(Denied::WrongToken) => return wrong_token(server, shown.peer).await,
        Err(Denied::Refused((code, why))) => return answer::error(code, &why),
    }
    let place = match place {
        Ok(place) => place,
        Err(Lost::Nowhere) => {
            return answer::error(StatusCode::NOT_FOUND, &format!("there is no {path}; GET / lists what there is"));
        }
        Err(Lost::Malformed(why)) => return answer::error(StatusCode::BAD_REQUEST, &why),
    };
    let fits = if place.is_action() { head.method == Method::POST } else { [Method::GET, Method::HEAD].contains(&head.method) };
    if !fits {
        return answer::wrong_method(&head.method, path, if place.is_action() { "POST" } else { "GET, HEAD" });
    }
    match perform(server, place, head.uri.query(), body).await {
        Ok(answer) => answer,
        Err((code, why)) => answer::error(code, &why),
    }
}

/// Late, so that guessing is hopeless. The log says from where, and never what.
async fn wrong_token(server: &Server, peer: SocketAddr) -> Answer {
    if let Some(count) = server.guesses.count(Instant::now()) {
        tracing::warn!(%peer, count, "requests with a wrong token at the admin address; the last one from {}", peer.ip());
    }
    tokio::time::sleep(server.limits.wrong_token_delay).await;
    answer::unauthorized(true)
}

async fn perform(server: &Server, place: Place, query_text: Option<&str>, body: Incoming) -> Result<Answer, Refused> {
    let (context, limits) = (&server.context, &server.limits);
    let malformed = |why| (StatusCode::BAD_REQUEST, why);
    let parameters = query(query_text).map_err(malformed)?;
    // Most actions do not look at it, but a body that is too large is a mistake everywhere.
    let body = if place.is_action() { api::body(body, limits).await? } else { Bytes::new() };
    Ok(match place {
        Place::Index => answer::text(StatusCode::OK, INDEX),
        Place::Health => health::alive(),
        Place::Ready => health::ready(context, &parameters).map_err(malformed)?,
        Place::Metrics => metrics(context),
        Place::Status => answer::value(StatusCode::OK, &api::status(context)),
        Place::Events => events::follow(context, &server.readers, limits.keep_alive),
        Place::Reload => {
            only(&parameters, &[])?;
            api::reload(context, limits).await
        }
        Place::Elect { group } => {
            only(&parameters, &["backend"])?;
            let named = parameters.first().map(|(_, backend)| backend.as_str());
            let backend = api::nominee(named, &body)?;
            api::command(context, limits, &group, Action::Elect { backend }).await
        }
        Place::Backend { group, backend, state } => {
            only(&parameters, &["force"])?;
            let force = switch(&parameters, "force").map_err(malformed)?;
            api::command(context, limits, &group, Action::Backend { backend, state, force }).await
        }
    })
}

/// An action that was asked for in words it does not know does something else than was meant.
fn only(parameters: &[(String, String)], known: &[&str]) -> Result<(), Refused> {
    match parameters.iter().find(|(key, _)| !known.contains(&key.as_str())) {
        Some((key, _)) => Err((StatusCode::BAD_REQUEST, format!("the parameter {key} is unknown here"))),
        None if parameters.len() > known.len() => Err((StatusCode::BAD_REQUEST, "a parameter is given twice".into())),
        None => Ok(()),
    }
}

/// `GET /metrics`
fn metrics(context: &Context) -> Answer {
    match TextEncoder::new().encode_to_string(&context.metrics.registry.gather()) {
        Ok(text) => {
            let body = answer::Body::Whole(http_body_util::Full::new(text.into()));
            answer::with_body(StatusCode::OK, prometheus::TEXT_FORMAT, body)
        }
        Err(fault) => answer::text(StatusCode::INTERNAL_SERVER_ERROR, format!("the metrics cannot be written: {fault}\n")),
    }
}
