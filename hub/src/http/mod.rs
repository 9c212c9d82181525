//! HTTP: web sockets for guests, and what operators ask.

mod admin;
mod copies;
mod doors;
mod echo;
mod metrics;
mod page;
mod piano;
mod proxies;
mod routes;
mod socket;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use driver::Shared;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

use crate::serve::{Hub, Pumps};
use crate::store::{Copier, Sweeping};
pub(crate) use admin::Admin;
use copies::Copies;
pub(crate) use doors::{Doors, Limits};
pub(crate) use echo::MAX_ECHOES;
pub(crate) use piano::is_control;
pub(crate) use proxies::Proxies;

/// Connections that wait to be accepted, beside those that the system drops.
const BACKLOG: u32 = 4096;
/// How long a client may take for the head of a request, at least; so long it may be idle between two.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How much longer one may take than another: those who came together are not all sent away in the same moment.
const HEAD_SPREAD: Duration = Duration::from_millis(4096);
/// The longest head of a request, in bytes.
const MAX_HEAD: usize = 16 * 1024;
/// How long nothing is accepted when the system has no room for a connection.
const BREATHE: Duration = Duration::from_millis(100);

/// What the routes know.
pub(crate) struct Site {
    shared: Shared<Hub>,
    pumps: Pumps,
    /// Where pages may come from that open web sockets; empty: from anywhere.
    origins: Vec<String>,
    doors: Doors,
    /// Room for web sockets that say what they hear; `None`: there are none.
    echoes: Option<Arc<Semaphore>>,
    /// `None`: nobody can ask.
    admin: Option<Admin>,
    /// Copies of the log, one at a time.
    copies: Copies,
    sweeping: Sweeping,
    /// The operator wants the server to go away.
    leave: Notify,
    is_draining: AtomicBool,
    counts: routes::Counts,
}

impl Site {
    pub(crate) fn new(
        shared: Shared<Hub>,
        pumps: Pumps,
        origins: Vec<String>,
        limits: Limits,
        admin: Option<Admin>,
        copier: Copier,
        sweeping: Sweeping,
    ) -> Arc<Self> {
        Arc::new(Self {
            shared,
            pumps,
            origins,
            echoes: (limits.echoes > 0).then(|| Arc::new(Semaphore::new(limits.echoes))),
            doors: Doors::new(limits),
            admin,
            copies: Copies::new(copier),
            sweeping,
            leave: Notify::new(),
            is_draining: AtomicBool::new(false),
            counts: routes::Counts::default(),
        })
    }

    pub(crate) const fn pumps(&self) -> &Pumps {
        &self.pumps
    }

    /// Waits until the operator wants the server to go away.
    pub(crate) async fn asked_to_leave(&self) -> &'static str {
        self.leave.notified().await;
        "the operator"
    }

    /// From now on the server is not ready for anybody.
    pub(crate) fn drain(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }
}

/// Listens at `address`; port 0 picks one that is free.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(cfg!(unix))?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts for as long as it is polled.
pub(crate) async fn accept(site: Arc<Site>, listener: TcpListener) -> Infallible {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                if let Some(pass) = site.doors.enter(peer.ip()) {
                    tokio::spawn(connection(Arc::clone(&site), stream, peer, pass));
                }
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(BREATHE).await;
            }
        }
    }
}

/// How long this client may take. Systems give ports one after the other, or by chance.
fn head_timeout(peer: SocketAddr) -> Duration {
    // Odd, so that ports in a row are far apart and none share a place.
    let place = u32::from(peer.port().wrapping_mul(40_503));
    HEAD_TIMEOUT + HEAD_SPREAD * place / (1 << 16)
}

async fn connection(site: Arc<Site>, stream: TcpStream, peer: SocketAddr, pass: doors::Pass) {
    // Without it, a note waits for the acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    let head_timeout = head_timeout(peer);
    // Who says nothing costs no buffer.
    if !matches!(timeout(head_timeout, stream.readable()).await, Ok(Ok(()))) {
        site.counts.silent();
        return;
    }
    let pass = Arc::new(pass);
    let service = service_fn(|request| {
        let (site, pass) = (Arc::clone(&site), Arc::clone(&pass));
        async move { Ok::<_, Infallible>(routes::answer(&site, peer, &pass, request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        site.counts.broken();
        tracing::debug!(%peer, %error, "http");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_come_together_are_not_sent_away_together() {
        let mut times: Vec<_> =
            (40_000..41_000).map(|port| head_timeout(([192, 0, 2, 1], port).into())).collect();
        times.sort_unstable();
        assert!(times[0] >= HEAD_TIMEOUT && times[999] <= HEAD_TIMEOUT + HEAD_SPREAD);
        let most = times.windows(20).map(|some| some[19].saturating_sub(some[0])).min();
        assert!(most > Some(Duration::from_millis(40)), "20 within {most:?}");
    }
}
