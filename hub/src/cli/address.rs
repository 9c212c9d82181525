//! Addresses to listen on.

use std::net::SocketAddr;

pub(super) fn socket_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "expected an IP address and a port, such as 127.0.0.1:4100, 0.0.0.0:4100 or [::1]:4100".to_owned()
    })
}
