//! What is where.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http_body_util::{Channel, Either, Full};
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::doors::Pass;
use super::{Site, admin, metrics, page, piano};

pub(super) type Answer = Response<Either<Full<Bytes>, Channel<Bytes, io::Error>>>;

/// Requests, by what became of them.
#[derive(Debug, Default)]
pub(super) struct Counts {
    answers: [AtomicU64; STATUSES.len()],
    silent: AtomicU64,
    broken: AtomicU64,
}

/// The statuses that there are; the last stands for any other.
pub(super) const STATUSES: [u16; 12] = [101, 200, 400, 401, 403, 404, 405, 408, 413, 429, 503, 0];

impl Counts {
    fn answered(&self, status: StatusCode) {
        let known = STATUSES.iter().position(|known| *known == status.as_u16());
        self.answers[known.unwrap_or(STATUSES.len() - 1)].fetch_add(1, Ordering::Relaxed);
    }

    /// A connection that never said anything.
    pub(super) fn silent(&self) {
        self.silent.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection that ended in the middle of a request, or was not HTTP.
    pub(super) fn broken(&self) {
        self.broken.fetch_add(1, Ordering::Relaxed);
    }

    /// Answers by status, then connections that were silent and that broke.
    pub(super) fn read(&self) -> ([u64; STATUSES.len()], u64, u64) {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (std::array::from_fn(|index| read(&self.answers[index])), read(&self.silent), read(&self.broken))
    }
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    with_type(status, "text/plain; charset=utf-8", text)
}

pub(super) fn with_type(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Either::Left(Full::new(body.into())));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// Who is connected, and who asks: another one, if a proxy is.
#[derive(Clone, Copy)]
struct Asks {
    peer: SocketAddr,
    client: SocketAddr,
}

/// Answers a request.
pub(super) async fn answer(
    site: &Arc<Site>,
    peer: SocketAddr,
    pass: &Arc<Pass>,
    request: Request<Incoming>,
) -> Answer {
    let client = site.doors.proxies().client(peer, request.headers());
    let answer = if request.uri().path().starts_with("/admin/") {
        admin::answer(site, client, request).await
    } else {
        route(site, Asks { peer, client }, pass, request)
    };
    site.counts.answered(answer.status());
    answer
}

fn route(site: &Arc<Site>, asks: Asks, pass: &Arc<Pass>, request: Request<Incoming>) -> Answer {
    let path = request.uri().path();
    let file = page::file(path);
    let has_echo = site.echoes.is_some();
    let is_known = file.is_some()
        || matches!(path, "/ws" | "/metrics" | "/healthz" | "/readyz")
        || has_echo && path == "/echo";
    if is_known && request.method() != Method::GET && request.method() != Method::HEAD {
        let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "GET\n");
        answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    if let Some(file) = file {
        let mut answer = with_type(StatusCode::OK, file.kind, file.body);
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(page::POLICY));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        return answer;
    }
    match path {
        "/ws" => upgrade(site, asks, pass, request),
        "/echo" if has_echo => upgrade(site, asks, pass, request),
        "/metrics" => with_type(StatusCode::OK, metrics::CONTENT_TYPE, metrics::render(site)),
        "/healthz" => plain(StatusCode::OK, "ok\n"),
        "/readyz" => match site.trouble() {
            None => plain(StatusCode::OK, "ready\n"),
            Some(trouble) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("{trouble}\n")),
        },
        _ => plain(StatusCode::NOT_FOUND, "There is nothing here.\n"),
    }
}

impl Site {
    /// Why the server is not ready, if it is not.
    fn trouble(&self) -> Option<&'static str> {
        if self.is_draining.load(Ordering::Relaxed) {
            return Some("draining");
        }
        self.shared.inspect(crate::serve::Hub::trouble)
    }

    fn is_welcome<B>(&self, request: &Request<B>) -> bool {
        let origin = request.headers().get(header::ORIGIN);
        self.origins.is_empty()
            || origin
                .is_none_or(|origin| self.origins.iter().any(|known| known.as_bytes() == origin.as_bytes()))
    }
}

/// From HTTP to a web socket.
fn upgrade(site: &Arc<Site>, asks: Asks, pass: &Arc<Pass>, request: Request<Incoming>) -> Answer {
    let (parts, body) = request.into_parts();
    let asked = Request::from_parts(parts.clone(), ());
    let Ok(accepted) = tungstenite::handshake::server::create_response(&asked) else {
        let mut answer = plain(StatusCode::BAD_REQUEST, "This is for web sockets.\n");
        answer.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        return answer;
    };
    if !site.is_welcome(&asked) {
        return plain(StatusCode::FORBIDDEN, "Pages from there may not connect.\n");
    }
    let echoes = site.echoes.as_ref().filter(|_| parts.uri.path() == "/echo").cloned();
    let Ok(echo) = echoes.map(Semaphore::try_acquire_owned).transpose() else {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "There are as many as there may be.\n");
    };
    let Asks { peer, client } = asks;
    let own = (client.ip() != peer.ip()).then(|| site.doors.enter_through_proxy(client.ip()).ok_or(()));
    let Ok(own) = own.transpose() else {
        return plain(StatusCode::TOO_MANY_REQUESTS, "There are too many connections from your address.\n");
    };
    let mut request = Request::from_parts(parts, body);
    let upgrade = hyper::upgrade::on(&mut request);
    let (site, pass) = (Arc::clone(site), Arc::clone(pass));
    tokio::spawn(async move {
        let (_pass, _own) = (pass, own);
        let Ok(upgraded) = upgrade.await else { return site.counts.broken() };
        let Some((stream, part)) = stream_of(upgraded) else { return site.counts.broken() };
        if let Some(_permit) = echo {
            Box::pin(super::echo::serve(stream, &part)).await;
        } else {
            piano::serve(&site.shared, stream, &part, client).await;
        }
    });
    accepted.map(|()| Either::Left(Full::new(Bytes::new())))
}

/// The stream below, and what was read of it already.
fn stream_of(upgraded: Upgraded) -> Option<(TcpStream, Bytes)> {
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().ok()?;
    // A slice would keep the whole buffer of the request for as long as the web socket lasts.
    Some((parts.io.into_inner(), Bytes::copy_from_slice(&parts.read_buf)))
}
