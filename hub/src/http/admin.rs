//! What who runs the server can ask and do, with a token (docs/admin.json describes it).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, StatusCode};
use proto_core::Address as _;
use proto_core::room::fact::BanTarget;
use proto_core::room::limits::MAX_BAN;
use proto_core::room::{Notification, NotificationClass, Reason, UserId, is_room_name};
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use super::Site;
use super::routes::{Answer, with_type};
use crate::serve::Wish;

/// The description of all this.
const DESCRIPTION: &str = include_str!("../../../docs/admin.json");
/// The longest body that is read, in bytes.
const MAX_BODY: usize = 64 * 1024;
/// How long a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest words of a notification, in characters.
const MAX_WORDS: usize = 512;
/// The longest time that a notification is shown, in milliseconds.
const MAX_SHOWN_MS: u64 = 3_600_000;

/// Who may ask.
#[derive(Debug)]
pub(crate) struct Admin {
    /// The fingerprint of the token: comparing these tells nothing about it by its time.
    token: blake3::Hash,
    /// Whether others than this machine may ask.
    from_anywhere: bool,
}

/// A status, and what is wrong.
struct Wrong(StatusCode, &'static str);

type Done = Result<Value, Wrong>;

const fn bad(what: &'static str) -> Wrong {
    Wrong(StatusCode::BAD_REQUEST, what)
}

impl Admin {
    pub(crate) fn new(token: &[u8], from_anywhere: bool) -> Self {
        Self { token: blake3::hash(token), from_anywhere }
    }

    fn admit(&self, peer: SocketAddr, request: &Request<Incoming>) -> Result<(), Wrong> {
        if !self.from_anywhere && !peer.ip().is_loopback() {
            return Err(Wrong(StatusCode::FORBIDDEN, "only this machine may ask"));
        }
        let shown = request.headers().get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
        let token = shown.and_then(|shown| shown.strip_prefix(b"Bearer "));
        if token.is_some_and(|token| blake3::hash(token) == self.token) {
            Ok(())
        } else {
            Err(Wrong(StatusCode::UNAUTHORIZED, "Authorization: Bearer TOKEN"))
        }
    }
}

fn answer_json(status: StatusCode, body: &Value) -> Answer {
    with_type(status, "application/json", body.to_string())
}

/// Answers a request below `/admin/`.
pub(super) async fn answer(site: &Site, peer: SocketAddr, request: Request<Incoming>) -> Answer {
    let Some(admin) = &site.admin else {
        return answer_json(StatusCode::NOT_FOUND, &json!({"error": "there is nothing here"}));
    };
    if request.uri().path() == "/admin/openapi.json" && request.method() == Method::GET {
        return with_type(StatusCode::OK, "application/json", DESCRIPTION);
    }
    let is_copy = request.uri().path() == "/admin/backup" && request.method() == Method::GET;
    let done = match admin.admit(peer, &request) {
        Ok(()) if is_copy => match site.copies.begin().await {
            Ok(answer) => return answer,
            Err(what) => Err(Wrong(StatusCode::SERVICE_UNAVAILABLE, what)),
        },
        Ok(()) => route(site, request).await,
        Err(wrong) => Err(wrong),
    };
    match done {
        Ok(body) => answer_json(StatusCode::OK, &body),
        Err(Wrong(status, what)) => {
            let mut answer = answer_json(status, &json!({"error": what}));
            if status == StatusCode::UNAUTHORIZED {
                answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            if status == StatusCode::METHOD_NOT_ALLOWED {
                answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static(what));
            }
            answer
        }
    }
}

async fn route(site: &Site, request: Request<Incoming>) -> Done {
    let path = request.uri().path().to_owned();
    let allowed = match &*path {
        "/admin/rooms" | "/admin/clients" | "/admin/backup" => Method::GET,
        "/admin/ban" | "/admin/unban" | "/admin/close" | "/admin/kick" | "/admin/notify" | "/admin/drain" => {
            Method::POST
        }
        _ => return Err(Wrong(StatusCode::NOT_FOUND, "there is nothing here")),
    };
    if *request.method() != allowed {
        let names = if allowed == Method::GET { "GET" } else { "POST" };
        return Err(Wrong(StatusCode::METHOD_NOT_ALLOWED, names));
    }
    if allowed == Method::GET {
        return Ok(site
            .shared
            .inspect(|hub| if path == "/admin/rooms" { hub.list_rooms() } else { hub.list_clients() }));
    }
    let body = body(request).await?;
    let known: &[&str] = match &*path {
        "/admin/ban" => &["room", "user", "prefix", "ms"],
        "/admin/unban" => &["room", "user", "prefix"],
        "/admin/close" => &["room"],
        "/admin/kick" => &["user"],
        "/admin/notify" => &["room", "title", "text", "duration_ms"],
        _ => &[],
    };
    // A field that is ignored would be an order that is not followed.
    if body.keys().any(|field| !known.contains(&&**field)) {
        return Err(bad("there is a field that this operation does not have"));
    }
    let operate = |wish| site.shared.command(|hub, now| hub.operate(now, wish));
    match &*path {
        "/admin/ban" => {
            let (room, target) = (room(&body)?, target(&body)?);
            let ms = optional(&body, "ms", |ms| {
                let ms = u32::try_from(ms.as_u64()?).ok()?;
                (u128::from(ms) <= MAX_BAN.as_millis()).then_some(ms)
            })?;
            in_room(operate(Wish::Ban { room, target, ms }))
        }
        "/admin/unban" => {
            let (room, target) = (room(&body)?, target(&body)?);
            in_room(operate(Wish::Unban { room, target }))
        }
        "/admin/close" => {
            let room = room(&body)?;
            in_room(operate(Wish::Close { room }))
        }
        "/admin/kick" => {
            let user = user(&body)?;
            match operate(Wish::Kick(user)) {
                Ok(connections @ 1..) => Ok(json!({"connections": connections})),
                _ => Err(Wrong(StatusCode::NOT_FOUND, "nobody of this id is connected")),
            }
        }
        "/admin/notify" => {
            let words = words(&body)?;
            let room = if body.contains_key("room") { Some(room(&body)?) } else { None };
            in_room(operate(Wish::Notify { room, words }))
        }
        _ => {
            site.leave.notify_one();
            Ok(json!({}))
        }
    }
}

const NO_ROOM: Wrong = Wrong(StatusCode::NOT_FOUND, "nobody is in this room");

fn in_room(done: Result<usize, Reason>) -> Done {
    match done {
        Ok(_) => Ok(json!({})),
        Err(Reason::NotInRoom) => Err(NO_ROOM),
        Err(_) => Err(Wrong(StatusCode::SERVICE_UNAVAILABLE, "too much waits to be remembered")),
    }
}

/// The body, which is an object; nothing stands for an empty one.
async fn body(request: Request<Incoming>) -> Result<Map<String, Value>, Wrong> {
    let collected = timeout(BODY_TIMEOUT, Limited::new(request.into_body(), MAX_BODY).collect()).await;
    let bytes: Bytes = match collected {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) => {
            return Err(Wrong(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long, or was cut off"));
        }
        Err(_) => return Err(Wrong(StatusCode::REQUEST_TIMEOUT, "the body took too long")),
    };
    if bytes.is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(body)) => Ok(body),
        _ => Err(bad("the body is not a JSON object")),
    }
}

fn room(body: &Map<String, Value>) -> Result<String, Wrong> {
    let room = body.get("room").and_then(Value::as_str).filter(|room| is_room_name(room));
    room.map(str::to_owned).ok_or(bad("room: the name of a room"))
}

fn user(body: &Map<String, Value>) -> Result<UserId, Wrong> {
    let user = body.get("user").and_then(Value::as_str).and_then(UserId::from_hex);
    user.ok_or(bad("user: 24 hexadecimal digits"))
}

/// A user, or the network of an address.
fn target(body: &Map<String, Value>) -> Result<BanTarget, Wrong> {
    let Some(address) = body.get("prefix") else { return Ok(BanTarget::User(user(body)?)) };
    if body.contains_key("user") {
        return Err(bad("a user or a prefix, not both"));
    }
    let ip = address.as_str().and_then(|address| address.parse().ok());
    let ip: IpAddr = ip.ok_or(bad("prefix: an IP address, whose /24, or /56 of IPv6, is meant"))?;
    let prefix = SocketAddr::new(ip, 0).prefix();
    prefix.map(BanTarget::Prefix).ok_or(Wrong(StatusCode::NOT_FOUND, "this machine is not of a network"))
}

fn optional<T>(
    body: &Map<String, Value>,
    field: &str,
    read: impl FnOnce(&Value) -> Option<T>,
) -> Result<Option<T>, Wrong> {
    match body.get(field) {
        None => Ok(None),
        Some(value) => read(value).map(Some).ok_or(bad("a number is missing or out of range")),
    }
}

fn words(body: &Map<String, Value>) -> Result<Notification, Wrong> {
    let text = |field: &str| {
        body.get(field).map(|value| value.as_str().filter(|text| text.chars().count() <= MAX_WORDS))
    };
    let words = text("text").flatten().filter(|words| !words.trim().is_empty());
    let words = words.ok_or(bad("text: 1 to 512 characters"))?;
    let title = text("title").unwrap_or(Some("Notice")).ok_or(bad("title: at most 512 characters"))?;
    let shown = optional(body, "duration_ms", |ms| ms.as_u64().filter(|ms| (1..=MAX_SHOWN_MS).contains(ms)))?;
    Ok(Notification {
        title: title.into(),
        text: words.into(),
        duration_ms: u32::try_from(shown.unwrap_or(30_000)).unwrap_or(30_000),
        class: NotificationClass::Classic,
    })
}
