//! Twenty things that happen when nothing goes wrong, and what the applications at both ends see of them: the same on every
//! adapter, over every link, and in the simulator.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::path::PathBuf;

use driver::Received;
use proto_core::{
    Batch, ChannelOptions, Class, Close, CloseReason, ConfigBuilder, Fate, Message, ReceiptKind, SendError,
};

use crate::env::pattern;
use crate::{Asked, Env, Pair, Stack, WAIT};

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that connected.
    Client,
    /// The one that accepted.
    Server,
}

use Side::{Client, Server};

impl Side {
    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Client => Server,
            Server => Client,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Client => "client",
            Server => "server",
        }
    }
}

/// A message as it was taken.
#[derive(Clone, Debug)]
pub struct Taken {
    /// How it travelled.
    pub class: Class,
    /// Its bytes.
    pub payload: Vec<u8>,
    /// Whether it is a request.
    pub is_request: bool,
}

/// The reply to a request, or the code of an error.
pub type Answer = Result<Vec<u8>, u64>;

/// Two ends of a connection, on which a scenario is played. Everything waits until it has happened.
pub trait Stage {
    /// Sends on channel number `channel`, 0 being the default one; the fates of those with receipts are kept in their order.
    fn send(&mut self, by: Side, channel: usize, message: Message) -> Result<(), SendError>;
    /// The fate of the oldest message of which it was not asked.
    fn fate(&mut self, by: Side) -> Fate;
    /// Takes a message.
    fn take(&mut self, by: Side, channel: usize) -> Taken;
    /// Answers for the message that was taken last: a reason to reject it, or none.
    fn judge(&mut self, by: Side, rejected: Option<u64>);
    /// Asks.
    fn ask(&mut self, by: Side, message: Message);
    /// Replies to the request that was taken last.
    fn reply(&mut self, by: Side, answer: Answer);
    /// The answer to what was asked.
    fn answer(&mut self, by: Side) -> Answer;
    /// Opens a channel, which gets the next number at both ends.
    fn open(&mut self, by: Side, name: &str);
    /// The name of the channel that the other end has opened.
    fn opened(&mut self, by: Side) -> String;
    /// Closes.
    fn close(&mut self, by: Side, close: Close);
    /// How it ended.
    fn closed(&mut self, by: Side) -> CloseReason;
}

/// What somebody does; what follows from it is waited for before the next step.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// So many messages of that length; they are rejected for a reason, if they ask and there is one.
    Send {
        by: Side,
        channel: usize,
        class: Class,
        count: usize,
        len: usize,
        receipt: ReceiptKind,
        rejected: Option<u64>,
    },
    /// Messages that are answered for as one.
    Batch {
        by: Side,
        count: usize,
    },
    /// More than there may be.
    TooLarge {
        by: Side,
    },
    /// A request, and the length of the reply or the code of an error.
    Ask {
        by: Side,
        len: usize,
        answer: Result<usize, u64>,
    },
    Open {
        by: Side,
        name: &'static str,
    },
    Close {
        by: Side,
        code: u64,
        reason: &'static str,
    },
}

const fn send(by: Side, class: Class, count: usize, len: usize) -> Step {
    Step::Send { by, channel: 0, class, count, len, receipt: ReceiptKind::None, rejected: None }
}

const fn with_receipt(by: Side, class: Class, receipt: ReceiptKind, rejected: Option<u64>) -> Step {
    Step::Send { by, channel: 0, class, count: 3, len: 100, receipt, rejected }
}

const fn on_channel(by: Side, channel: usize, class: Class, count: usize) -> Step {
    Step::Send { by, channel, class, count, len: 50, receipt: ReceiptKind::None, rejected: None }
}

const fn ask(by: Side, len: usize, answer: Result<usize, u64>) -> Step {
    Step::Ask { by, len, answer }
}

const fn close(by: Side, code: u64, reason: &'static str) -> Step {
    Step::Close { by, code, reason }
}

const ORDERED: Class = Class::ReliableOrdered;
const UNORDERED: Class = Class::ReliableUnordered;

/// The scenarios by their names.
const SCENARIOS: [(&str, &[Step]); 20] = [
    ("nothing_at_all", &[close(Client, 0, "")]),
    ("ordered_messages", &[send(Client, ORDERED, 5, 10), send(Server, ORDERED, 5, 10)]),
    ("a_hundred_ordered", &[send(Client, ORDERED, 100, 64)]),
    ("unordered_messages", &[send(Client, UNORDERED, 1, 900), send(Server, UNORDERED, 1, 901)]),
    (
        "unreliable_messages",
        &[send(Client, Class::Unreliable, 1, 900), send(Server, Class::Unreliable, 1, 901)],
    ),
    ("sequenced_messages", &[send(Client, Class::Sequenced, 1, 30), send(Server, Class::Sequenced, 1, 31)]),
    ("empty_messages", &[send(Client, ORDERED, 2, 0), send(Server, UNORDERED, 2, 0)]),
    ("large_messages", &[send(Client, ORDERED, 2, 200_000), send(Server, UNORDERED, 1, 200_001)]),
    ("receipts_of_arrival", &[with_receipt(Client, ORDERED, ReceiptKind::Arrival, None)]),
    ("receipts_of_processing", &[with_receipt(Server, ORDERED, ReceiptKind::Processing, None)]),
    ("rejected_messages", &[with_receipt(Client, ORDERED, ReceiptKind::Processing, Some(77))]),
    ("a_batch", &[Step::Batch { by: Client, count: 4 }, Step::Batch { by: Server, count: 2 }]),
    ("too_large_a_message", &[Step::TooLarge { by: Client }, send(Client, ORDERED, 1, 1)]),
    ("the_client_asks", &[ask(Client, 20, Ok(30)), ask(Client, 0, Ok(0))]),
    ("the_server_asks", &[ask(Server, 20, Ok(30))]),
    ("errors_as_answers", &[ask(Client, 20, Err(0x404)), ask(Server, 21, Err(0x405))]),
    ("large_requests_and_answers", &[ask(Client, 100_000, Ok(100_001)), ask(Server, 10, Ok(150_000))]),
    (
        "a_channel_of_the_client",
        &[
            Step::Open { by: Client, name: "of the client" },
            on_channel(Client, 1, ORDERED, 3),
            on_channel(Server, 1, UNORDERED, 1),
            send(Client, ORDERED, 1, 5),
        ],
    ),
    (
        "a_channel_of_the_server",
        &[
            Step::Open { by: Server, name: "of the server" },
            on_channel(Server, 1, ORDERED, 3),
            on_channel(Client, 1, ORDERED, 3),
        ],
    ),
    ("the_server_closes_with_a_reason", &[send(Server, ORDERED, 3, 10), close(Server, 0x123, "enough")]),
];

/// What both ends see of a scenario.
pub fn play(name: &str, stage: &mut impl Stage) -> String {
    let (_, steps) = SCENARIOS.iter().find(|(known, _)| *known == name).expect("there is one of that name");
    let mut trace = Trace(String::new());
    for side in [Client, Server] {
        trace.tell(side, format_args!("established"));
    }
    for step in *steps {
        trace.play(stage, *step);
    }
    trace.0
}

/// Holds a trace against the one that is stored; with `OUTCOMES=write` in the environment, stores it.
pub fn compare(name: &str, trace: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("outcomes").join(format!("{name}.txt"));
    if std::env::var("OUTCOMES").is_ok_and(|order| order == "write") {
        std::fs::write(&path, trace).expect("it can be written");
    }
    let stored = std::fs::read_to_string(&path).expect("it is stored");
    assert_eq!(trace, stored, "{name}");
}

struct Trace(String);

impl Trace {
    fn tell(&mut self, side: Side, what: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{}: {what}", side.name()).expect("a string takes everything");
    }

    fn take(&mut self, stage: &mut impl Stage, by: Side, channel: usize, expected: &[u8]) {
        let taken = stage.take(by, channel);
        let what = if taken.is_request { "request" } else { "message" };
        let same = if taken.payload == expected { "as it was sent" } else { "not as it was sent" };
        let (class, len) = (taken.class, taken.payload.len());
        self.tell(by, format_args!("{what} on {channel}, {class:?}, {len} bytes, {same}"));
    }

    fn fates(&mut self, stage: &mut impl Stage, by: Side, count: usize) {
        for _ in 0..count {
            let fate = stage.fate(by);
            self.tell(by, format_args!("fate {fate:?}"));
        }
    }

    fn play(&mut self, stage: &mut impl Stage, step: Step) {
        match step {
            Step::Send { by, channel, class, count, len, receipt, rejected } => {
                for salt in 0..count {
                    let message = Message { receipt, ..Message::new(pattern(len, salt)).class(class) };
                    if let Err(error) = stage.send(by, channel, message) {
                        self.tell(by, format_args!("refused {error:?}"));
                    }
                }
                let asks = receipt == ReceiptKind::Processing;
                for salt in 0..count {
                    self.take(stage, by.other(), channel, &pattern(len, salt));
                    if asks {
                        stage.judge(by.other(), rejected);
                    }
                }
                self.fates(stage, by, if receipt == ReceiptKind::None { 0 } else { count });
            }
            Step::Batch { by, count } => {
                for salt in 0..count {
                    let batch = Some(Batch { number: 1, is_last: salt + 1 == count });
                    let message = Message::new(pattern(10, salt)).receipt();
                    stage.send(by, 0, Message { batch, ..message }).expect("there is room");
                }
                for salt in 0..count {
                    self.take(stage, by.other(), 0, &pattern(10, salt));
                }
                self.fates(stage, by, count);
            }
            Step::TooLarge { by } => {
                let refused = stage.send(by, 0, Message::new(vec![1; 300 * 1024]));
                self.tell(by, format_args!("sent {refused:?}"));
            }
            Step::Ask { by, len, answer } => {
                stage.ask(by, Message::new(pattern(len, 1)));
                self.take(stage, by.other(), 0, &pattern(len, 1));
                stage.reply(by.other(), answer.map(|len| pattern(len, 2)));
                match (stage.answer(by), answer) {
                    (Ok(reply), Ok(len)) if reply == pattern(len, 2) => {
                        self.tell(by, format_args!("reply, {len} bytes, as it was sent"));
                    }
                    (Ok(reply), _) => self.tell(by, format_args!("reply, {} bytes", reply.len())),
                    (Err(code), _) => self.tell(by, format_args!("error {code:#x}")),
                }
            }
            Step::Open { by, name } => {
                stage.open(by, name);
                let opened = stage.opened(by.other());
                self.tell(by.other(), format_args!("channel {opened:?}"));
            }
            Step::Close { by, code, reason } => {
                stage.close(by, Close { code, reason: reason.into(), ..Close::default() });
                for side in [by, by.other()] {
                    let reason = stage.closed(side);
                    self.tell(side, format_args!("closed {reason:?}"));
                }
            }
        }
    }
}

/// An adapter as a stage.
struct OnStack<S: Stack> {
    pair: Pair<S>,
    channels: [Vec<S::Channel>; 2],
    receipts: [VecDeque<S::Receipt>; 2],
    taken: [Option<Received>; 2],
    asked: [Option<Asked>; 2],
}

impl<S: Stack> OnStack<S> {
    fn new(env: &Env<S>) -> Self {
        Self {
            pair: env.pair(ConfigBuilder::default()),
            channels: Default::default(),
            receipts: Default::default(),
            taken: Default::default(),
            asked: Default::default(),
        }
    }

    const fn end(&self, by: Side) -> &S::Connection {
        match by {
            Client => &self.pair.here,
            Server => &self.pair.there,
        }
    }
}

impl<S: Stack> Stage for OnStack<S> {
    fn send(&mut self, by: Side, channel: usize, message: Message) -> Result<(), SendError> {
        if let Some(channel) = channel.checked_sub(1) {
            return S::channel_send(&self.channels[by as usize][channel], message, WAIT).expect("it hangs");
        }
        if message.receipt == ReceiptKind::None {
            return S::send(self.end(by), message, WAIT).expect("it hangs");
        }
        let receipt = S::send_receipt(self.end(by), message, WAIT).expect("it hangs")?;
        self.receipts[by as usize].push_back(receipt);
        Ok(())
    }

    fn fate(&mut self, by: Side) -> Fate {
        let mut receipt = self.receipts[by as usize].pop_front().expect("it has one");
        S::fate(&mut receipt, WAIT).expect("the fate hangs")
    }

    fn take(&mut self, by: Side, channel: usize) -> Taken {
        let received = match channel.checked_sub(1) {
            Some(channel) => S::channel_recv(&self.channels[by as usize][channel], WAIT),
            None => S::recv(self.end(by), WAIT),
        };
        let received = received.expect("the message hangs").expect("the connection is there");
        let taken = Taken {
            class: received.class,
            payload: received.payload.to_vec(),
            is_request: received.request.is_some(),
        };
        self.taken[by as usize] = Some(received);
        taken
    }

    fn judge(&mut self, by: Side, rejected: Option<u64>) {
        let taken = self.taken[by as usize].as_ref().expect("it has one");
        assert!(rejected.map_or_else(|| taken.ack(), |reason| taken.reject(reason)));
    }

    fn ask(&mut self, by: Side, message: Message) {
        self.asked[by as usize] = Some(S::ask(self.end(by), message, WAIT));
    }

    fn reply(&mut self, by: Side, answer: Answer) {
        let request = self.taken[by as usize].as_ref().and_then(|taken| taken.request).expect("it is one");
        let replied = match answer {
            Ok(payload) => S::reply(self.end(by), request, payload.into()),
            Err(code) => S::reply_error(self.end(by), request, code, bytes::Bytes::new()),
        };
        replied.expect("it is taken");
    }

    fn answer(&mut self, by: Side) -> Answer {
        match self.asked[by as usize].take().expect("it asked")() {
            Ok(payload) => Ok(payload.to_vec()),
            Err(driver::RequestError::Failed { code, .. }) => Err(code),
            Err(error) => panic!("{error}"),
        }
    }

    fn open(&mut self, by: Side, name: &str) {
        let options = ChannelOptions { name: name.into(), ..ChannelOptions::default() };
        let channel = S::open_channel(self.end(by), &options).expect("there is room");
        self.channels[by as usize].push(channel);
    }

    fn opened(&mut self, by: Side) -> String {
        let channel = S::accept_channel(self.end(by), WAIT).expect("it hangs").expect("it is there");
        let name = S::channel_name(&channel).expect("it has one");
        self.channels[by as usize].push(channel);
        name
    }

    fn close(&mut self, by: Side, close: Close) {
        S::close(self.end(by), close);
    }

    fn closed(&mut self, by: Side) -> CloseReason {
        S::closed(self.end(by), WAIT).expect("the end hangs").reason
    }
}

/// A case for each scenario.
macro_rules! scenarios {
    ($($name:ident)*) => {
        $(
            /// The scenario of this name.
            pub fn $name<S: Stack>(env: &Env<S>) {
                compare(stringify!($name), &play(stringify!($name), &mut OnStack::new(env)));
            }
        )*

        /// Every scenario is a case.
        pub const CASES: [&str; 20] = [$(stringify!($name)),*];
    };
}

scenarios! {
    nothing_at_all ordered_messages a_hundred_ordered unordered_messages unreliable_messages
    sequenced_messages empty_messages large_messages receipts_of_arrival receipts_of_processing
    rejected_messages a_batch too_large_a_message the_client_asks the_server_asks errors_as_answers
    large_requests_and_answers a_channel_of_the_client a_channel_of_the_server
    the_server_closes_with_a_reason
}
