//! Copies of the log for who runs the server, while it is written.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::channel::Sender;
use http_body_util::{Channel, Either};
use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::routes::Answer;
use crate::store::{Copier, Copying};

/// Pieces that wait for a slow reader.
const QUEUE: usize = 2;

/// Where copies come from.
pub(super) struct Copies {
    copier: Copier,
    /// One at a time.
    turn: Arc<Semaphore>,
}

impl Copies {
    pub(super) fn new(copier: Copier) -> Self {
        Self { copier, turn: Arc::new(Semaphore::new(1)) }
    }

    /// A copy, as the body of an answer; what is wrong, if there can be none now.
    pub(super) async fn begin(&self) -> Result<Answer, &'static str> {
        let turn = Arc::clone(&self.turn).try_acquire_owned().map_err(|_| "another copy is being made")?;
        let copier = self.copier.clone();
        let begun = tokio::task::spawn_blocking(move || copier.begin()).await;
        let copying = match begun {
            Ok(Ok(copying)) => copying,
            Ok(Err(error)) => {
                tracing::error!(%error, "no copy can be made");
                return Err("the log cannot be read");
            }
            Err(_) => return Err("the log cannot be read"),
        };
        let (sender, body) = Channel::new(QUEUE);
        tokio::spawn(send(copying, sender, turn));
        let mut answer = Response::new(Either::Right(body));
        *answer.status_mut() = StatusCode::OK;
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        Ok(answer)
    }
}

/// Hands out the pieces. What goes wrong cuts the answer off, so that nobody takes it for a whole one.
async fn send(mut copying: Copying, mut sender: Sender<Bytes, io::Error>, _turn: OwnedSemaphorePermit) {
    loop {
        let step = tokio::task::spawn_blocking(move || {
            let piece = copying.piece();
            (copying, piece)
        });
        let Ok((rest, piece)) = step.await else {
            return sender.abort(io::Error::other("the log cannot be read"));
        };
        copying = rest;
        match piece {
            Ok(Some(piece)) => {
                // Nobody wants the rest.
                if sender.send_data(piece.into()).await.is_err() {
                    return;
                }
            }
            Ok(None) => return,
            Err(error) => {
                tracing::error!(%error, "a copy was broken off");
                return sender.abort(io::Error::other("the log cannot be read"));
            }
        }
    }
}
