//! The simulated world: hosts on a fair network.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use conformance::WAIT;
use conformance::world::{Job, Raw, Relay, World};
use driver::{Address, BindError, Carried, Elsewhere, Endpoint, ListenError, Options, Scheme, carried};
use simtest::{Addr, FromSeed, Link, NodeId, Sim};

use crate::carrying::{Carrying, addr_of, socket_addr};
use crate::host::{Do, Host};
use crate::raw::{self, Ending};
use crate::relay;
use crate::threads::{self, Case, Step, case};
use crate::wires::Wires;

/// More than any case has.
pub(crate) const HOSTS: u32 = 100;
/// What wakes the case is a host, too.
const ALARM: NodeId = NodeId::new(HOSTS);
/// Nobody is there.
const NOWHERE: Addr = Addr::new(HOSTS + 1);

/// The world of one case.
#[derive(Debug)]
pub(crate) struct Simulated(Option<JoinHandle<()>>);

impl Default for Simulated {
    /// Begins a case, if this thread plays none.
    fn default() -> Self {
        Self((!threads::is_played()).then(|| Case::begin(network)))
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        if let Some(network) = self.0.take() {
            let has_failed = threads::end();
            network.join().expect("it says so if it panics");
            assert!(!has_failed || thread::panicking(), "the case has failed, and nobody has asked");
        }
    }
}

/// The network, until the case is over.
fn network(case: &Case) {
    let mut sim = Sim::new("conformance");
    for number in 0..=HOSTS {
        sim.node(&format!("host-{number}"), |_| Host::Nobody(Wires::default()));
    }
    sim.links(Link::new().stream_patience(Duration::from_millis(100)));
    sim.run_for(Duration::from_hours(24)).max_events(20_000_000);
    let mut run = sim.start(FromSeed::new(1));
    while let Some(step) = case.next() {
        match step {
            Step::Tell(host, what) => _ = run.command(NodeId::new(host), what),
            Step::Alarm(at) => _ = run.command(ALARM, Do::Alarm(at)),
            Step::Go => {
                if !run.step() {
                    return case.fail(&format!("nothing happens any more: {:?}", run.finish().verdict));
                }
            }
        }
        threads::set_now(run.view().now());
    }
}

/// An endpoint at `addresses`, which are one host's; without any, one that only connects.
pub(crate) fn listen(addresses: &[Address], options: Options) -> Result<Endpoint, BindError> {
    let case = case();
    let wanted = addresses.iter().find(|address| address.port() != Some(0));
    let number = match wanted {
        None => case.take_new(),
        Some(address) => case.take(addr_of(address).number()).ok_or_else(|| ListenError {
            address: address.clone(),
            error: io::ErrorKind::AddrInUse.into(),
        })?,
    };
    let at = socket_addr(Addr::new(number));
    let elsewhere = Elsewhere {
        clock: threads::now,
        seed: case.next_seed(),
        socket: Some(at),
        addresses: addresses.iter().map(|address| address.at(at)).collect(),
    };
    let Carried { endpoint, machine, places } = carried(elsewhere, options)?;
    case.settle_in(number, machine.clone());
    let listens = addresses.iter().any(|address| address.scheme() != Scheme::Udp);
    let carrying = Carrying::new(&case, number, machine, places, listens);
    case.tell(number, Do::Carry(Box::new(carrying)));
    Ok(endpoint)
}

/// A new host.
fn host() -> u32 {
    case().take_new()
}

impl World for Simulated {
    type Relay = Between;
    type Raw = Bytes;
    type Silence = ();

    fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Job<T> {
        threads::spawn(work)
    }

    fn pause() {
        threads::pause();
    }

    fn silence(_: Scheme) -> (SocketAddr, ()) {
        (socket_addr(NOWHERE), ())
    }
}

/// A handle of a relay.
#[derive(Debug)]
pub(crate) struct Between {
    host: u32,
    address: Address,
}

impl Relay for Between {
    fn new(to: &Address) -> Self {
        let host = host();
        case().tell(host, Do::Relay(relay::Relay::new(addr_of(to))));
        Self { host, address: to.at(socket_addr(Addr::new(host))) }
    }

    fn address(&self) -> &Address {
        &self.address
    }

    fn swallow(&self) {
        case().tell(self.host, Do::Swallow(true));
    }

    fn heal(&self) {
        case().tell(self.host, Do::Swallow(false));
    }

    fn cut(&self) {
        case().tell(self.host, Do::Cut);
    }

    fn redirect(&self, to: &Address) {
        case().tell(self.host, Do::Redirect(addr_of(to)));
    }

    fn say(&self, bytes: &[u8]) {
        case().tell(self.host, Do::Say(bytes.to_vec()));
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        if threads::is_played() {
            case().tell(self.host, Do::Cut);
        }
    }
}

/// A handle of a client of bytes.
#[derive(Debug)]
pub(crate) struct Bytes {
    host: u32,
    ending: Arc<Ending>,
}

impl Raw for Bytes {
    fn connect(to: &Address) -> Self {
        let (host, ending) = (host(), Arc::<Ending>::default());
        case().tell(host, Do::Raw(raw::Raw::new(addr_of(to), Arc::clone(&ending))));
        Self { host, ending }
    }

    fn write(&mut self, bytes: &[u8]) {
        case().tell(self.host, Do::Say(bytes.to_vec()));
    }

    fn shutdown(&mut self) {
        case().tell(self.host, Do::Finish);
    }

    fn read_to_end(&mut self) -> io::Result<()> {
        threads::within(WAIT, poll_fn(|cx| self.ending.poll(cx))).expect("the server hangs")
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        if threads::is_played() {
            case().tell(self.host, Do::Hangup);
        }
    }
}
