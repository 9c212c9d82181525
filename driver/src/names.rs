//! Names of servers, looked up together.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::node::Topic;
use crate::wait::{self, Attempt};
use crate::{Address, ConnectError, Connection, Endpoint, Lookup, Scheme};

/// How long a name is waited for while there is something else to try.
const PATIENCE: Duration = Duration::from_millis(250);

/// What is known of an address.
enum Name {
    /// It need not be looked up.
    Known,
    Asked(Lookup),
    Found(io::Result<Vec<SocketAddr>>),
}

impl Name {
    /// Whether it is not asked for any more.
    fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        if let Self::Asked(lookup) = self
            && let Poll::Ready(found) = lookup.as_mut().poll(cx)
        {
            *self = Self::Found(found);
        }
        !matches!(self, Self::Asked(_))
    }
}

impl Endpoint {
    /// Connects to a server that has several addresses, the preferred one first; at most eight are tried. Each is tried when those
    /// before it have failed or have not answered for a moment, and the first that works is kept. Names are looked up as by
    /// [`Self::look_up`]; those that take longer are tried when nothing else has worked.
    pub async fn connect_to(&self, addresses: &[Address]) -> Result<Connection, ConnectError> {
        self.connect_to_with(addresses, &[]).await
    }

    /// The same, showing `credentials` to the server: at most 1024 bytes.
    pub async fn connect_to_with(
        &self,
        addresses: &[Address],
        credentials: &[u8],
    ) -> Result<Connection, ConnectError> {
        let mut names = self.names(addresses);
        self.ask(&mut names, true).await;
        let connected = match self.found(&names).and_then(|found| self.dial_to(&found, credentials)) {
            Ok(dial) => dial.await,
            Err(error) => Err(error),
        };
        names.retain(|(_, name)| matches!(name, Name::Asked(_)));
        if connected.is_ok() || names.is_empty() {
            return connected;
        }
        self.ask(&mut names, false).await;
        match self.found(&names) {
            Ok(found) => self.dial_to(&found, credentials)?.await,
            Err(_) => connected,
        }
    }

    /// The same addresses with the names of UDP addresses looked up, all at once, which takes at most 8 s, and no longer than 250 ms
    /// where there is anything else that this endpoint can try. A name becomes the first of its addresses that a socket can reach,
    /// those of IPv4 before others; the rest are tried after everything else, so that blocked UDP costs the time of one way and not
    /// of each. A name without an address is left out, as long as there is anything else to try. The names of streams are looked up
    /// each time that they are dialed.
    pub async fn look_up(&self, addresses: &[Address]) -> Result<Vec<Address>, ConnectError> {
        let mut names = self.names(addresses);
        self.ask(&mut names, true).await;
        self.found(&names)
    }

    /// Begins to look up what must be.
    fn names(&self, addresses: &[Address]) -> Vec<(Address, Name)> {
        let lookup = |address: &Address| {
            let is_known = address.scheme() != Scheme::Udp || address.socket_addr().is_some();
            let resolver = self.resolver().filter(|_| !is_known)?;
            Some(resolver(address.host()?.to_lookup(), address.port()?))
        };
        let name = |address: &Address| (address.clone(), lookup(address).map_or(Name::Known, Name::Asked));
        addresses.iter().map(name).collect()
    }

    /// Waits for the names; if `hurries`, not long for the rest once there is something to try.
    async fn ask(&self, names: &mut [(Address, Name)], hurries: bool) {
        let shard = &self.shards()[0];
        let mut patience = None;
        poll_fn(|cx| {
            let mut are_all_known = true;
            for (_, name) in &mut *names {
                are_all_known &= name.poll(cx);
            }
            if are_all_known {
                return Poll::Ready(());
            }
            if !hurries || !names.iter().any(|(address, name)| self.is_of_use(address, name)) {
                return Poll::Pending;
            }
            let patience = patience.get_or_insert_with(|| {
                let until = shard.now().mono + PATIENCE;
                wait::until(shard, move |node, now| {
                    if until <= now.mono || node.ended().is_some() {
                        Attempt::Look(())
                    } else {
                        Attempt::Wait(Topic::Time, Some(until))
                    }
                })
            });
            Pin::new(patience).poll(cx)
        })
        .await;
    }

    fn is_of_use(&self, address: &Address, name: &Name) -> bool {
        match name {
            Name::Known => self.path(address).is_ok(),
            Name::Found(Ok(places)) => places.iter().any(|&place| self.udp_path(place).is_ok()),
            Name::Asked(_) | Name::Found(Err(_)) => false,
        }
    }

    /// What the names have become.
    fn found(&self, names: &[(Address, Name)]) -> Result<Vec<Address>, ConnectError> {
        let (mut found, mut others, mut failed) = (Vec::new(), Vec::new(), None);
        for (address, name) in names {
            let (mut places, why) = match name {
                Name::Known => {
                    found.push(address.clone());
                    continue;
                }
                Name::Asked(_) => (Vec::new(), "it takes longer than to try the others".to_owned()),
                Name::Found(Ok(places)) => (places.clone(), "none that can be reached".to_owned()),
                Name::Found(Err(error)) => (Vec::new(), error.to_string()),
            };
            places.retain(|&place| self.udp_path(place).is_ok());
            places.sort_by_key(SocketAddr::is_ipv6);
            places.dedup();
            if places.is_empty() {
                failed = Some(ConnectError::LookUp(address.clone(), why));
            }
            let mut places = places.into_iter().map(|place| address.at(place));
            found.extend(places.next());
            others.extend(places);
        }
        found.append(&mut others);
        failed.filter(|_| found.is_empty()).map_or(Ok(found), Err)
    }
}
