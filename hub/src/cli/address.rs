//! Addresses to listen on and to connect to.

use driver::{Address, AddressError, Scheme};

/// Where to listen: a name could mean several addresses, or another machine's.
fn listener(scheme: Scheme, text: &str) -> Result<Address, String> {
    let address = Address::with_scheme(scheme, text).map_err(|error| error.to_string())?;
    if address.socket_addr().is_none() && address.unix().is_none() {
        return Err("expected an IP address and a port, such as 127.0.0.1:4100, 0.0.0.0:4100 or [::1]:4100; a zone is a number \
                    here, as in [fe80::1%2]:4100"
            .to_owned());
    }
    Ok(address)
}

macro_rules! listeners {
    ($($name:ident $scheme:ident,)*) => {
        $(pub(super) fn $name(text: &str) -> Result<Address, String> {
            listener(Scheme::$scheme, text)
        })*
    };
}

listeners! {
    udp Udp,
    tcp Tcp,
    tls Tls,
    uds Uds,
    ws Ws,
    wss Wss,
}

/// Where a server is.
pub(super) fn server(text: &str) -> Result<Address, String> {
    let address: Address = text.parse().map_err(|error: AddressError| error.to_string())?;
    address.for_dialing().map_err(|error| error.to_string())
}
