//! How many connections there may be, in all and of one address.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use super::Proxies;

/// Limits of HTTP.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// Connections in all.
    pub(crate) connections: usize,
    /// Connections of one address; of IPv6, of one /64. Those of proxies are not limited, or, if none is named, this
    /// machine's own: a proxy may be there.
    pub(crate) per_address: usize,
    /// Web sockets that say what they hear.
    pub(crate) echoes: usize,
    /// Who is believed for whom he asks.
    pub(crate) proxies: Proxies,
}

#[derive(Debug, Default)]
struct Inside {
    all: usize,
    by_address: BTreeMap<IpAddr, usize>,
    refused_full: u64,
    refused_address: u64,
}

/// Who is connected.
#[derive(Debug)]
pub(crate) struct Doors {
    limits: Limits,
    inside: Arc<Mutex<Inside>>,
}

/// A connection that is let in; it is out when this is dropped.
#[derive(Debug)]
pub(super) struct Pass {
    inside: Arc<Mutex<Inside>>,
    connections: usize,
    address: Option<IpAddr>,
}

/// How things stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct DoorStats {
    pub(super) connections: usize,
    pub(super) refused_full: u64,
    pub(super) refused_address: u64,
}

impl Doors {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, inside: Arc::default() }
    }

    pub(super) fn proxies(&self) -> &Proxies {
        &self.limits.proxies
    }

    /// What is counted as one address: a host has a /64 of IPv6 to itself.
    fn counted(&self, ip: IpAddr) -> Option<IpAddr> {
        let proxies = self.proxies();
        let is_proxy = if proxies.is_empty() { ip.is_loopback() } else { proxies.has(ip) };
        match ip {
            _ if is_proxy => None,
            IpAddr::V4(_) => Some(ip),
            IpAddr::V6(ip) => Some(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into()),
        }
    }

    /// Lets a connection in, if there is room.
    pub(super) fn enter(&self, ip: IpAddr) -> Option<Pass> {
        self.let_in(ip, 1)
    }

    /// Lets in whom a proxy speaks for, on a connection that is inside already.
    pub(super) fn enter_through_proxy(&self, ip: IpAddr) -> Option<Pass> {
        self.let_in(ip, 0)
    }

    fn let_in(&self, ip: IpAddr, connections: usize) -> Option<Pass> {
        let address = self.counted(ip);
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        if inside.all + connections > self.limits.connections {
            inside.refused_full += 1;
            return None;
        }
        if let Some(address) = address {
            let count = inside.by_address.entry(address).or_default();
            if *count >= self.limits.per_address {
                inside.refused_address += 1;
                return None;
            }
            *count += 1;
        }
        inside.all += connections;
        Some(Pass { inside: Arc::clone(&self.inside), connections, address })
    }

    pub(super) fn stats(&self) -> DoorStats {
        let inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let Inside { all, refused_full, refused_address, .. } = *inside;
        DoorStats { connections: all, refused_full, refused_address }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        inside.all -= self.connections;
        if let Some(address) = self.address
            && let Some(count) = inside.by_address.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                inside.by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doors(connections: usize, per_address: usize, proxies: &[&str]) -> Doors {
        let proxies = Proxies::new(proxies.iter().map(|proxy| proxy.parse().unwrap()).collect());
        Doors::new(Limits { connections, per_address, echoes: 0, proxies })
    }

    #[test]
    fn an_address_has_so_many_connections_and_all_have_so_many() {
        let doors = doors(4, 2, &[]);
        let [a, b, c] = ["192.0.2.1", "192.0.2.2", "127.0.0.1"].map(|ip| ip.parse().unwrap());
        let first = doors.enter(a);
        let _second = doors.enter(a).unwrap();
        assert!(first.is_some() && doors.enter(a).is_none());
        let _third = doors.enter(b).unwrap();
        let _fourth = doors.enter(c).unwrap();
        assert!(doors.enter(b).is_none(), "it is full");
        drop(first);
        assert!(doors.enter(a).is_some());
        let stats = doors.stats();
        assert_eq!((stats.connections, stats.refused_full, stats.refused_address), (3, 1, 1));
    }

    #[test]
    fn a_host_has_one_network_of_ipv6_and_this_machine_is_not_limited() {
        let doors = doors(100, 1, &[]);
        let _pass = doors.enter("2001:db8:1:2::3".parse().unwrap()).unwrap();
        assert!(doors.enter("2001:db8:1:2:ffff::4".parse().unwrap()).is_none());
        assert!(doors.enter("2001:db8:1:3::4".parse().unwrap()).is_some());
        let all: Vec<_> = (0..50).filter_map(|_| doors.enter("::1".parse().unwrap())).collect();
        assert_eq!(all.len(), 50);
    }

    #[test]
    fn where_proxies_are_named_this_machine_is_limited_and_they_are_not() {
        let doors = doors(100, 2, &["127.0.0.1"]);
        let [proxy, other, client] = ["127.0.0.1", "127.0.0.9", "192.0.2.1"].map(|ip| ip.parse().unwrap());
        let passes: Vec<_> = (0..50).filter_map(|_| doors.enter(proxy)).collect();
        assert_eq!(passes.len(), 50);
        let _passes = [doors.enter(other), doors.enter(other)];
        assert!(doors.enter(other).is_none());
        let pass = doors.enter_through_proxy(client);
        let _pass = doors.enter_through_proxy(client);
        assert!(
            pass.is_some() && doors.enter_through_proxy(client).is_none() && doors.enter(client).is_none()
        );
        assert_eq!(doors.stats().connections, 52, "their connections are the proxy's");
        drop(pass);
        assert!(doors.enter(client).is_some());
    }
}
