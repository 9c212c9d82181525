//! The command line.

mod address;
mod crypto;
mod effective;
pub(crate) mod fuzzing;
mod http;
mod layers;
mod program;
#[cfg(test)]
mod settings_tests;
#[cfg(test)]
mod tests;
mod tls;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::{NonZeroU8, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::sync::Arc;

use adapter_tokio::link::tls::{ClientConfig, ServerConfig};
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use proto_core::chat::{MAX_NAME, MAX_ROOM};
use proto_core::{Network, Now};
use tracing::level_filters::LevelFilter;
use zeroize::Zeroizing;

use crate::record::Record;
use crate::serve::{ServeError, Start};

use address::server;
#[cfg(test)]
pub(crate) use crypto::Encrypt;
pub(crate) use crypto::{Allowed, ClientCrypto, CryptoError, ServerCrypto, read_key, server_party};
use driver::recorded::{Put, numbered};
use driver::{Address, Scheme};
use http::Crown;
pub(crate) use http::{HttpArgs, SecretError};
pub(crate) use layers::SettingError;
pub(crate) use program::command;
pub(crate) use tls::{ClientTls, ServerTls, TlsFileError};

/// What a process ends with. clap ends with 2 when the command line is wrong.
pub(crate) mod exit {
    /// Something was not acknowledged, or another error.
    pub(crate) const FAILED: u8 = 1;
    /// The command line or the configuration is wrong.
    pub(crate) const USAGE: u8 = 2;
    /// An address or the data directory cannot be used.
    pub(crate) const UNAVAILABLE: u8 = 3;
    /// A file of the store is damaged.
    pub(crate) const DAMAGED: u8 = 4;
    /// Nobody reads the output any more: what a shell shows for a program that SIGPIPE ends.
    pub(crate) const UNSEEN: u8 = 141;
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  something was not acknowledged, or another error
  2  the command line or the configuration is wrong
  3  an address or the data directory cannot be used
  4  a file of the store is damaged
141  nobody reads the output of a chat any more";

const SERVE_HELP: &str = "\
Each option may also be set in a file (--config FILE, in TOML: max-http = 1000, udp = [\"0.0.0.0:4100\"]) and in the
environment (BOWLINE_MAX_HTTP=1000, BOWLINE_UDP=0.0.0.0:4100,[::]:4100). What is on the command line counts first, then the
environment, then the file.";

const CHAT_HELP: &str = "\
With a terminal as its input and output, this is a chat: type at the prompt; /help shows the commands, Tab
completes them, names and rooms; Ctrl-D leaves.

Otherwise each line of the input is one message, and each entry of the room is printed as
    SLOT<TAB>NAME<TAB>TEXT
in the order of the slots, once. In NAME and TEXT, \\t, \\n, \\r and \\\\ stand for tab, line feed, carriage
return and backslash; \\xNN for any other control character below U+0080 and for a byte that is not UTF-8;
\\u{N...} for control characters above and for those that change the direction of text or break lines.

It ends when the input has ended and all its lines are acknowledged and printed. A line that is refused is told
on stderr at once, with the reason (of one that is too long only the beginning). A chat that gives up or is
interrupted says on stderr how many lines were not acknowledged, the rest of the input included, and then shows
them, one on each line and written as TEXT is. In both cases the exit code is 1. When nobody reads its output
any more, it ends at once and says nothing: the exit code is 141, as for other programs in a pipe.";

/// A chat that keeps its order and loses nothing over networks that do neither.
#[derive(Debug, Parser)]
#[command(name = "bowline", version, args_conflicts_with_subcommands = true, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server (also without any subcommand).
    #[command(after_help = SERVE_HELP)]
    Serve(Box<ServeArgs>),
    /// Print the settings that `serve` would have with the same options, as a file for --config.
    #[command(after_help = SERVE_HELP)]
    Config(Box<ServeArgs>),
    /// Look after the log while no server runs on it.
    #[command(subcommand)]
    Store(StoreCommand),
    /// Make a key to be known by, or show it.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Enter a room of a server.
    #[command(after_help = CHAT_HELP)]
    Chat(Box<ChatArgs>),
}

impl Cli {
    /// The command, which is `serve` when none is named.
    pub(crate) fn into_command(self) -> Command {
        self.command.unwrap_or(Command::Serve(Box::new(self.serve)))
    }
}

/// What to do with a key.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a private key in a file that does not exist, for `bowline chat --identity`, and print its public key, for
    /// `bowline serve --allowed-keys`.
    New {
        /// The file.
        file: PathBuf,
    },
    /// Print the public key of a private one.
    Show {
        /// The file.
        file: PathBuf,
    },
}

/// What to do with a log.
#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Read all of it, and say what it holds.
    Check(DataArgs),
    /// Write a copy of it to a file that does not exist. A server that runs gives one at /admin/backup.
    Export {
        /// The file.
        file: PathBuf,
        #[command(flatten)]
        data: DataArgs,
    },
    /// Make a log from a copy, in a directory that does not exist or is empty. Clients that know more of the old log than the
    /// copy holds will say that it is another.
    Import {
        /// The file.
        file: PathBuf,
        #[command(flatten)]
        data: DataArgs,
    },
}

/// Where a log is.
#[derive(Args, Clone, Debug)]
pub(crate) struct DataArgs {
    /// Directory of the log.
    #[arg(long, value_name = "DIR", default_value = "./bowline-data")]
    pub(crate) data: PathBuf,
}

/// What the command line, the environment and a file say together.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) command: Command,
    /// The settings of a server in words, where they are asked for.
    pub(crate) effective: Option<String>,
}

/// Reads the command line and, for a server, the environment and the file that it names. Ends the process where clap would.
///
/// # Errors
/// When a setting that is not on the command line is wrong.
pub(crate) fn parse() -> Result<Parsed, SettingError> {
    let layered = layers::arguments(std::env::args_os().collect(), |name| std::env::var_os(name))?;
    layers::warn_of_unknown(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()));
    let matches = Cli::command().get_matches_from(&layered.arguments);
    let command = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()).into_command();
    let effective = match (&command, matches.subcommand_matches("config")) {
        (Command::Config(args), Some(matches)) => Some(effective::text(args, matches, &layered.sources)),
        _ => None,
    };
    Ok(Parsed { command, effective })
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people.
    Text,
    /// An object of JSON on each line.
    Json,
}

/// Arguments of `serve`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ServeArgs {
    /// Read settings from this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// UDP address and port to listen on; may be repeated, like the others. Port 0 picks a free one. Without any
    /// listener at all, it is 127.0.0.1:4100.
    #[arg(long, value_name = "ADDR", value_parser = address::udp)]
    pub(crate) udp: Vec<Address>,
    /// The same for TCP.
    #[arg(long, value_name = "ADDR", value_parser = address::tcp)]
    pub(crate) tcp: Vec<Address>,
    /// The same for TLS 1.3 over TCP.
    #[arg(long, value_name = "ADDR", value_parser = address::tls, requires = "tls_cert")]
    pub(crate) tls: Vec<Address>,
    /// Unix socket to listen on: a path, or @NAME for one without a file.
    #[arg(long, value_name = "PATH", value_parser = address::uds)]
    pub(crate) uds: Vec<Address>,
    /// Address and port for WebSocket.
    #[arg(long, value_name = "ADDR", value_parser = address::ws)]
    pub(crate) ws: Vec<Address>,
    /// The same for WebSocket over TLS 1.3.
    #[arg(long, value_name = "ADDR", value_parser = address::wss, requires = "tls_cert")]
    pub(crate) wss: Vec<Address>,
    #[command(flatten)]
    pub(crate) certificates: ServerTls,
    #[command(flatten)]
    pub(crate) crypto: ServerCrypto,
    #[command(flatten)]
    pub(crate) web: HttpArgs,
    /// Over how many shards the connections are spread, each with sockets and a processor of its own. More than one needs Linux.
    /// By default one for every two processors, at most 8; one while recording.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) shards: Option<u8>,
    /// Clients at this address, or in this network, may come as many at once as they like, as on this machine itself; of others 16 of one
    /// /24 by UDP and 128 by streams. May be repeated.
    #[arg(long, value_name = "CIDR")]
    pub(crate) exempt_network: Vec<Network>,
    /// Directory of the log. One server at a time uses it.
    #[arg(long, value_name = "DIR", default_value = "./bowline-data")]
    pub(crate) data: PathBuf,
    /// Record all that the server is told, so that the session can be run again: `simtest replay FILE`. The file holds messages and
    /// secrets, also those that encrypt datagrams. With --shards, which is 1 unless named here, the connections of each shard have a file
    /// of their own: FILE is session.rec, then theirs are session.1.rec, session.2.rec and so on. What FILE holds at the start is kept
    /// as session.old.rec, in the place of the one kept before.
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// End recording when a file has this size.
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    pub(crate) record_limit: u64,
    /// How much to say on stderr: off, error, warn, info, debug or trace.
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = log_level)]
    pub(crate) log: LevelFilter,
    /// How to say it: text, or json with one object on each line.
    #[arg(long, value_name = "FORMAT", default_value = "text", value_enum, hide_possible_values = true)]
    pub(crate) log_format: LogFormat,
}

impl ServeArgs {
    /// Whether no listener at all is named.
    fn has_no_listener(&self) -> bool {
        let Self { udp, tcp, tls, uds, ws, wss, .. } = self;
        [udp, tcp, tls, uds, ws, wss].into_iter().all(Vec::is_empty) && self.web.http.is_empty()
    }

    /// Where to listen, by kind.
    pub(crate) fn addresses(&self) -> Vec<Address> {
        let Self { udp, tcp, tls, uds, ws, wss, .. } = self;
        let all: Vec<_> = [udp, tcp, tls, uds, ws, wss].into_iter().flatten().cloned().collect();
        if self.has_no_listener() { vec![default_server()] } else { all }
    }

    /// Where to listen for HTTP.
    pub(crate) fn http(&self) -> Vec<SocketAddr> {
        if self.has_no_listener() {
            vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 4180))]
        } else {
            self.web.http.clone()
        }
    }

    /// Over how many shards the connections are spread.
    pub(crate) fn shards(&self) -> NonZeroU8 {
        let by_default = || {
            let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
            let may_spread = cfg!(target_os = "linux") && self.record.is_none();
            if may_spread { (processors / 2).clamp(1, 8) as u8 } else { 1 }
        };
        NonZeroU8::new(self.shards.unwrap_or_else(by_default)).unwrap_or(NonZeroU8::MIN)
    }

    /// All that decides what a server at these addresses does.
    pub(crate) fn start(
        &self,
        addresses: &[Address],
        seed: Zeroizing<[u8; 32]>,
        server_key: Zeroizing<[u8; 32]>,
    ) -> Result<Start, ServeError> {
        let encryption = self.crypto.of(addresses, self.record.is_some())?;
        let allowed = self.crypto.allowed(encryption.is_some())?;
        Ok(Start {
            seed,
            server_key,
            max_logs: self.web.max_logs,
            max_rooms: self.web.max_rooms,
            ban_prefix: self.web.ban_prefix,
            drops_crowns: self.web.crown_on_leave == Crown::Drop,
            is_unlimited: self.web.unlimited,
            keep_ms: self
                .web
                .keep_rooms
                .0
                .map_or(0, |keep| u64::try_from(keep.as_millis()).unwrap_or(u64::MAX)),
            salt: self.web.salt()?,
            motd: self.web.motd.clone(),
            encryption,
            allowed,
            shards: self.shards().get(),
            exempt: self.exempt_network.clone(),
        })
    }

    /// Begins the recording of the services, or of the connections of a shard, if there is to be one.
    pub(crate) fn record(
        &self,
        shard: Option<u8>,
        now: Now,
        kind: u8,
        birth: &impl Put,
    ) -> io::Result<Option<Record>> {
        let Some(file) = &self.record else { return Ok(None) };
        let file = numbered(file, shard.map_or(0, |shard| shard + 1));
        let limit = self.record_limit.saturating_mul(1 << 20);
        Record::create(&file, limit, now, kind, birth).map(Some)
    }

    /// What to show to clients of TLS.
    pub(crate) fn tls(&self) -> Result<Option<Arc<ServerConfig>>, TlsFileError> {
        self.certificates.read()
    }
}

fn default_server() -> Address {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 4100)).into()
}

/// Arguments of `chat`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ChatArgs {
    /// The server: udp://, tcp://, tls://, uds://, ws:// or wss://. Several are addresses of one server, the preferred one
    /// first: the first that answers is used.
    #[arg(value_name = "URL", default_value = "udp://127.0.0.1:4100", value_parser = server, num_args = 1..=8)]
    pub(crate) urls: Vec<Address>,
    #[command(flatten)]
    pub(crate) certificates: ClientTls,
    #[command(flatten)]
    pub(crate) crypto: ClientCrypto,
    /// The room: 1 to 64 bytes.
    #[arg(long, default_value = "lobby", value_parser = room)]
    pub(crate) room: String,
    /// The name that the others see: at most 64 bytes. Without it, the name of the user.
    #[arg(long, value_parser = name)]
    pub(crate) name: Option<String>,
    /// Begin with the last N entries instead of with the first of all.
    #[arg(long, value_name = "N")]
    pub(crate) last: Option<u64>,
    /// Take part in rooms and follow commands as at a terminal (try /help), although the input or the output is none.
    #[arg(long, conflicts_with_all = ["follow", "until_slot"])]
    pub(crate) commands: bool,
    /// Go on printing after the input has ended, until SIGINT.
    #[arg(long)]
    pub(crate) follow: bool,
    /// Do not end before this slot was printed.
    #[arg(long, value_name = "N")]
    pub(crate) until_slot: Option<NonZeroU64>,
    /// Give up after this many seconds in which something was waited for and nothing came.
    #[arg(long, value_name = "SECS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) give_up_after: u64,
}

impl ChatArgs {
    /// The server in words.
    pub(crate) fn server(&self) -> String {
        self.urls.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
    }

    /// Whom to trust, where that is asked.
    pub(crate) fn tls(&self) -> Result<Option<Arc<ClientConfig>>, TlsFileError> {
        let needs_tls = |url: &Address| matches!(url.scheme(), Scheme::Tls | Scheme::Wss);
        self.urls.iter().any(needs_tls).then(|| self.certificates.read()).transpose()
    }
}

fn log_level(text: &str) -> Result<LevelFilter, String> {
    text.parse().map_err(|_| "expected off, error, warn, info, debug or trace".to_owned())
}

fn room(text: &str) -> Result<String, String> {
    match text.len() {
        0 => Err("a room's name has at least 1 byte".to_owned()),
        len if len > MAX_ROOM => {
            Err(format!("a room's name has at most {MAX_ROOM} bytes, this one has {len}"))
        }
        _ => Ok(text.to_owned()),
    }
}

fn name(text: &str) -> Result<String, String> {
    match text.len() {
        len if len > MAX_NAME => Err(format!("a name has at most {MAX_NAME} bytes, this one has {len}")),
        _ => Ok(text.to_owned()),
    }
}
