//! Addresses to listen on and to connect to.

use std::net::SocketAddr;

use driver::{Address, AddressError, Scheme};

/// Where to listen: a name could mean several addresses, or another machine's.
pub(super) fn socket_address(text: &str) -> Result<SocketAddr, String> {
    let address = Address::with_scheme(Scheme::Udp, text).map_err(|error| error.to_string())?;
    address.socket_addr().ok_or_else(|| {
        "expected an IP address and a port, such as 127.0.0.1:4100, 0.0.0.0:4100 or [::1]:4100".to_owned()
    })
}

/// Where a server is.
pub(super) fn server(text: &str) -> Result<Address, String> {
    let address: Address = text.parse().map_err(|error: AddressError| error.to_string())?;
    match address.scheme() {
        Scheme::Udp => address.for_dialing().map_err(|error| error.to_string()),
        scheme => Err(format!("the scheme \"{scheme}\" is not supported here: only udp is")),
    }
}
