//! The server: sockets, the machine behind them, and the store behind that.

mod birth;
mod counters;
mod files;
mod guests;
mod house;
mod machine;
mod operator;
mod shards;

use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;
use std::time::Duration;

use adapter_tokio::udp::Sockets;
use adapter_tokio::{Address, LinkOptions, ListenError, clock};
use driver::Shared;
use proto_core::ConfigError;
use proto_core::chat::RestoreError;
use proto_core::crypto::PublicKey;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::cli::{self, CryptoError, SecretError, ServeArgs, TlsFileError, exit};
use crate::http::{self, Site};
use crate::record::{Rooms, Taped, kind};
use crate::signals::Signals;
use crate::store::{self, DataDir, Librarian, Opened, Options, Persister, StoreError, Sweeper};
pub(crate) use birth::{Encryption, Start};
pub(crate) use guests::Numbers;
#[cfg(test)]
pub(crate) use house::House;
pub(crate) use house::Wish;
pub(crate) use machine::Hub;
pub(crate) use shards::Pumps;

const UNRECORDED: &str = "nothing can be recorded";

/// Tasks that have a turn before it is looked what has come: who has just said something does not wait for all who are to hear it.
const EVENT_INTERVAL: u32 = 16;
/// How long the clients' goodbyes and the last batches may take.
const DRAIN: Duration = Duration::from_secs(5);

/// Why the server cannot run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("cannot listen with TLS: {0}")]
    Tls(#[from] TlsFileError),
    #[error("cannot listen on http://{address}: {error}")]
    Http { address: SocketAddr, error: io::Error },
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the log cannot be served: {0}")]
    Restore(#[from] RestoreError),
    #[error("the configuration cannot work: {0}")]
    Config(#[from] ConfigError),
    #[error("{what}: {source}")]
    System { what: &'static str, source: io::Error },
    #[error(
        "the server has stopped by a defect of its own, which is told above; what was acknowledged is kept"
    )]
    Stopped,
}

impl ServeError {
    const fn exit_code(&self) -> u8 {
        match self {
            Self::Listen(_)
            | Self::Tls(_)
            | Self::Http { .. }
            | Self::Secret(_)
            | Self::Crypto(_)
            | Self::Store(_) => match self {
                Self::Store(StoreError::Damaged { .. } | StoreError::Unknown { .. }) => exit::DAMAGED,
                _ => exit::UNAVAILABLE,
            },
            Self::Restore(_) => exit::DAMAGED,
            Self::Config(_) | Self::System { .. } | Self::Stopped => exit::FAILED,
        }
    }
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> ServeError {
    move |source| ServeError::System { what, source }
}

/// Serves until a signal comes.
pub(crate) fn run(args: &ServeArgs) -> ExitCode {
    let shards = args.shards();
    let mut builder = match shards.get() {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    // One for the chat log and the rooms.
    let builder = builder.worker_threads(usize::from(shards.get()) + 1).event_interval(EVENT_INTERVAL);
    let runtime = builder.enable_all().build();
    let served = runtime.map_err(system("the runtime cannot start")).and_then(|runtime| {
        let served = runtime.block_on(serve(args));
        runtime.shutdown_background();
        served
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::from(error.exit_code())
        }
    }
}

async fn serve(args: &ServeArgs) -> Result<(), ServeError> {
    let mut signals = Signals::new().map_err(system("signals cannot be received"))?;
    let origins = args.web.origin.clone().into();
    let exempt_networks = args.exempt_network.clone();
    let links = LinkOptions { tls_server: args.tls()?, origins, exempt_networks, ..LinkOptions::default() };
    let mut sockets = Sockets::sharded(args.shards(), &links);
    let addresses: Vec<Address> =
        args.addresses().iter().map(|address| sockets.listen(address)).collect::<Result<_, _>>()?;

    files::raise_limit(if args.http().is_empty() { 0 } else { args.web.max_http });
    let listeners = args.http().into_iter().map(|address| {
        let listener = http::listen(address).map_err(|error| ServeError::Http { address, error })?;
        let address = listener.local_addr().map_err(|error| ServeError::Http { address, error })?;
        Ok((address, listener))
    });
    let listeners: Vec<_> = listeners.collect::<Result<_, ServeError>>()?;
    let admin = args.web.admin()?;

    let dir = DataDir::open(&args.data)?;
    let keep = args.web.keep_rooms.0;
    let Opened { writer, reader, rooms, server_key } = store::open(dir, &Options::default())?;
    tracing::info!(data = %args.data.display(), rooms = rooms.len(), "the log is open");

    let seed =
        adapter_tokio::seed().map(Zeroizing::new).map_err(system("the system has no random numbers"))?;
    let start = args.start(&addresses, seed, server_key)?;
    let key = start.crypto()?.map(|crypto| crypto.identity.public_key());
    let now = clock::now();
    let record =
        args.record(None, now, kind::START, &(&start, Rooms(&rooms[..]))).map_err(system(UNRECORDED))?;
    let house = Taped::new(start.house(rooms, now)?, record);
    let (planned, lines) = shards::plan(&start, |shard, now, own| {
        let record = args.record(Some(shard), now, kind::START_SHARD, &(&start, own));
        record.map_err(system(UNRECORDED))
    })?;
    let shared = Shared::new(Hub::new(house, now).with_lines(lines), clock::now);

    let (copier, sweeper) = (reader.copier(), reader.sweeper());
    let sweeping = sweeper.counts();
    let sweeper = keep.map(|keep| (sweeper, sweep_interval(keep)));
    let threads = start_store(&shared, writer, reader, sweeper).map_err(system("a thread cannot start"))?;
    let pumps = Pumps::start(&shared, planned, sockets);
    let limits = http::Limits {
        connections: args.web.max_http,
        per_address: args.web.max_http_per_address,
        echoes: if args.web.echo { http::MAX_ECHOES } else { 0 },
        proxies: http::Proxies::new(args.web.trusted_proxy.clone()),
    };
    let site = Site::new(shared.clone(), pumps, args.web.origin.clone(), limits, admin, copier, sweeping);
    let (web, listeners): (Vec<_>, Vec<_>) = listeners.into_iter().unzip();
    let accepting: Vec<_> = listeners
        .into_iter()
        .map(|listener| tokio::spawn(http::accept(Arc::clone(&site), listener)))
        .collect();
    for warning in args.crypto.warnings(&addresses, &web) {
        tracing::warn!("{warning}");
    }
    announce(&addresses, &web, key);
    let pumps = site.pumps();

    let signal = tokio::select! {
        signal = signals.recv() => signal,
        operator = site.asked_to_leave() => operator,
        // Nobody has asked it to.
        () = pumps.broken(&shared) => return Err(ServeError::Stopped),
        never = counters::report(&shared, pumps) => match never {},
    };
    tracing::info!(signal, "draining; a second signal ends at once");
    site.drain();
    shared.command(Hub::drain);
    accepting.iter().for_each(tokio::task::JoinHandle::abort);
    tokio::select! {
        ended = timeout(DRAIN, end(&shared, pumps, threads)) => {
            if ended.is_err() {
                tracing::warn!("not everybody was told within {} s", DRAIN.as_secs());
            }
        }
        signal = signals.recv() => tracing::warn!(signal, "ending at once"),
    }
    counters::total(&shared, pumps);
    pumps.end_records(&shared);
    if pumps.have_panicked(&shared) { Err(ServeError::Stopped) } else { Ok(()) }
}

/// How often files are looked through for logs that have ended: less often than they end.
fn sweep_interval(keep: Duration) -> Duration {
    keep.clamp(Duration::from_secs(1), Duration::from_hours(1))
}

/// The store's threads. The sweeper's ends when `stop` is dropped, the others when the hub takes leave of the store.
struct Threads {
    all: Vec<JoinHandle<()>>,
    stop: Option<SyncSender<()>>,
}

/// Starts the store's threads and joins them to the machine.
fn start_store(
    shared: &Shared<Hub>,
    writer: impl store::LogWriter,
    reader: impl store::LogReader,
    sweeper: Option<(Sweeper, Duration)>,
) -> io::Result<Threads> {
    let (told, answered) = (shared.clone(), shared.clone());
    let (persister, write) =
        Persister::spawn(writer, move |report| told.command(|hub, now| hub.handle_report(now, report)))?;
    let (librarian, read) =
        Librarian::spawn(reader, move |answer| answered.command(|hub, now| hub.handle_answer(now, &answer)))?;
    shared.command(|hub, _| hub.set_store(Some((persister, librarian))));
    let (mut all, mut stop) = (vec![write, read], None);
    if let Some((sweeper, every)) = sweeper {
        let (sender, sweep) = sweeper.spawn(every)?;
        all.push(sweep);
        stop = Some(sender);
    }
    Ok(Threads { all, stop })
}

/// Waits until every client is told and everything is durable.
async fn end(shared: &Shared<Hub>, pumps: &Pumps, threads: Threads) {
    pumps.all_ended().await;
    shared.command(|hub, _| hub.set_store(None));
    let Threads { all, stop } = threads;
    drop(stop);
    let joined = tokio::task::spawn_blocking(|| all.into_iter().try_for_each(JoinHandle::join));
    if !matches!(joined.await, Ok(Ok(()))) {
        tracing::error!("a thread of the store has panicked");
    }
}

/// Says where the server listens, what its key is where it encrypts, and what to type next.
fn announce(addresses: &[Address], web: &[SocketAddr], key: Option<PublicKey>) {
    let mut stdout = io::stdout().lock();
    let said = addresses
        .iter()
        .try_for_each(|address| writeln!(stdout, "listening {address}"))
        .and_then(|()| web.iter().try_for_each(|address| writeln!(stdout, "listening http://{address}")))
        .and_then(|()| key.map_or(Ok(()), |key| writeln!(stdout, "key {key}")))
        .and_then(|()| writeln!(stdout, "ready"))
        .and_then(|()| stdout.flush());
    if let Err(error) = said {
        tracing::warn!(%error, "nobody reads stdout");
    }
    if let Some(address) = addresses.first() {
        let (address, key) = (reachable(address).to_string(), key.map(|key| key.to_string()));
        let chat = match &key {
            Some(key) => cli::command(&["chat", &address, "--server-key", key]),
            None => cli::command(&["chat", &address]),
        };
        // Not a matter of the log's level. Nobody may read stderr, and the server runs all the same.
        let _ = writeln!(io::stderr(), "to chat, type in another terminal: {chat}");
    }
}

/// Where this machine reaches an address that means all of its own.
fn reachable(address: &Address) -> Address {
    let Some(place) = address.socket_addr() else { return address.clone() };
    let ip = match place.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    address.at(SocketAddr::new(ip, place.port()))
}
