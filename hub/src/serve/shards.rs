//! The shards of a server that has several: the connections of each have a task of their own, and the chat log and the rooms hear
//! of them by letters.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, Waker};

use adapter_tokio::udp::{self, Pump, Sockets};
use adapter_tokio::{clock, link};
use driver::{End, Machine, Mailbox, Path, Shared, Wakes};
use proto_core::server::{Front, Order, Report, ServerStats};
use proto_core::{Credentials, Link, LinkId, Meta, Now, Output, Shard, Stats, Timestamp, Transmit};

use super::house::House;
use super::{Hub, ServeError, Start, system};
use crate::record::{Record, Recordings, Taped, kind};

/// What may wait between the services and a shard is bounded for each connection: there is no other limit.
const LETTERS: usize = usize::MAX;

/// The connections of one shard.
pub(crate) struct HubShard {
    front: Taped<Front<Path>>,
    orders: Arc<Mailbox<Order>>,
    taken: VecDeque<Order>,
    reports: Arc<Mailbox<Report<Path>>>,
}

impl Machine for HubShard {
    fn handle_packet(&mut self, now: Now, meta: Meta<Path>, packet: &[u8]) {
        self.front.handle_packet(now, meta, packet);
    }

    fn handle_packets(&mut self, now: Now, meta: Meta<Path>, packets: &[u8], stride: usize) {
        self.front.handle_packets(now, meta, packets, stride);
    }

    fn handle_timeout(&mut self, now: Now) {
        self.front.handle_timeout(now);
    }

    fn poll_transmit(&mut self, now: Now, buf: &mut Vec<u8>) -> Option<Transmit<Path>> {
        self.front.poll_transmit(now, buf)
    }

    fn poll_packets(
        &mut self,
        now: Now,
        max: usize,
        buf: &mut Vec<u8>,
        packets: &mut Vec<Transmit<Path>>,
    ) -> usize {
        self.front.poll_packets(now, max, buf, packets)
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        self.front.poll_timeout()
    }

    fn link_up(&mut self, now: Now, path: Path, link: Link, vouched: Credentials) -> Option<LinkId> {
        self.front.link_up(now, path, link, vouched)
    }

    fn link_down(&mut self, now: Now, id: LinkId) {
        self.front.link_down(now, id);
    }

    fn release_link(&mut self, now: Now, id: LinkId) -> bool {
        self.front.release_link(now, id)
    }

    fn link_broken(&mut self, now: Now, id: LinkId, why: &'static str) {
        self.front.link_broken(now, id, why);
    }

    fn handle_record(&mut self, now: Now, id: LinkId, record: &[u8]) {
        self.front.handle_record(now, id, record);
    }

    fn record_limit(&self, id: LinkId) -> usize {
        self.front.record_limit(id)
    }

    fn poll_link(&mut self) -> Option<LinkId> {
        self.front.poll_link()
    }

    fn poll_record(&mut self, now: Now, id: LinkId, buf: &mut Vec<u8>) -> Output {
        self.front.poll_record(now, id, buf)
    }

    fn has_link(&self, id: LinkId) -> bool {
        self.front.has_link(id)
    }

    fn attend(&mut self, task: &Waker) {
        self.orders.attend(task);
    }

    fn settle(&mut self, now: Now, wakes: &mut Wakes) {
        self.orders.take(&mut self.taken);
        while let Some(order) = self.taken.pop_front() {
            self.front.tell(now, kind::ORDER, &order).handle_order(now, order);
        }
        let reports = &self.reports;
        self.front.poll_all(now, kind::POLL_REPORTS, Front::poll_report, |report| {
            // Nobody hears it any more when the services have ended.
            let posted = reports.post(report);
            posted.ok().flatten().into_iter().for_each(|task| wakes.wake(task));
        });
        self.front.settle(now);
    }

    fn is_over(&self) -> bool {
        self.front.is_drained()
    }

    fn handle_end(&mut self, _: End, wakes: &mut Wakes) {
        if let Some(record) = self.front.end_record() {
            wakes.drop_later(record);
        }
        self.orders.close();
    }
}

/// The ways of the services to the shards and back.
pub(super) struct Lines {
    reports: Arc<Mailbox<Report<Path>>>,
    taken: VecDeque<Report<Path>>,
    orders: Vec<Arc<Mailbox<Order>>>,
}

impl Lines {
    pub(super) fn attend(&self, task: &Waker) {
        self.reports.attend(task);
    }

    /// Hands in what the shards have to report.
    pub(super) fn hear(&mut self, house: &mut Taped<House>, now: Now) {
        self.reports.take(&mut self.taken);
        while let Some(report) = self.taken.pop_front() {
            house.tell(now, kind::SHARD_REPORT, &report).server.handle_report(now, report);
        }
    }

    /// Tells the shards what they are to do.
    pub(super) fn tell(&self, house: &mut Taped<House>, now: Now, wakes: &mut Wakes) {
        house.poll_all(
            now,
            kind::POLL_ORDERS,
            |house| house.server.poll_order(),
            |(Shard(shard), order)| {
                let Some(orders) = self.orders.get(usize::from(shard)) else { return };
                // A shard that has ended has no connections.
                let posted = orders.post(order);
                posted.ok().flatten().into_iter().for_each(|task| wakes.wake(task));
            },
        );
    }

    pub(super) fn close(&self) {
        self.reports.close();
    }
}

/// Shards whose tasks are not started yet.
pub(super) struct Planned(Vec<Shared<HubShard>>);

/// The shards, and the ways of the services to them; none when all is one. `record` begins the recording of each.
pub(super) fn plan(
    start: &Start,
    record: impl Fn(u8, Now, &(u8, [u8; 32])) -> Result<Option<Record>, ServeError>,
) -> Result<(Planned, Option<Lines>), ServeError> {
    if start.shards <= 1 {
        return Ok((Planned(Vec::new()), None));
    }
    let reports = Arc::new(Mailbox::new(LETTERS));
    let (mut shards, mut orders) = (Vec::new(), Vec::new());
    for shard in 0..start.shards {
        let seed = adapter_tokio::seed().map_err(system("the system has no random numbers"))?;
        let now = clock::now();
        let record = record(shard, now, &(shard, seed))?;
        let front = Taped::new(start.front(shard, seed, now)?, record);
        let mailbox = Arc::new(Mailbox::new(LETTERS));
        orders.push(Arc::clone(&mailbox));
        let reports = Arc::clone(&reports);
        let machine = HubShard { front, orders: mailbox, taken: VecDeque::new(), reports };
        shards.push(Shared::new(machine, clock::now));
    }
    Ok((Planned(shards), Some(Lines { reports, taken: VecDeque::new(), orders })))
}

/// The tasks of a server.
pub(crate) struct Pumps {
    home: Pump,
    shards: Vec<(Shared<HubShard>, Pump)>,
}

impl Pumps {
    /// Starts them. The sockets are the shards', where there are any.
    pub(super) fn start(hub: &Shared<Hub>, Planned(shards): Planned, sockets: Sockets) -> Self {
        if shards.is_empty() {
            return Self { home: Pump::spawn_on(hub.clone(), sockets), shards: Vec::new() };
        }
        let home = Pump::spawn(hub.clone(), Vec::new());
        let pumps = Pump::spawn_shards(shards.clone(), sockets);
        Self { home, shards: shards.into_iter().zip(pumps).collect() }
    }

    fn all(&self) -> impl Iterator<Item = &Pump> {
        std::iter::once(&self.home).chain(self.shards.iter().map(|(_, pump)| pump))
    }

    /// What the UDP sockets did.
    pub(crate) fn stats(&self) -> udp::Stats {
        let mut stats = udp::Stats::default();
        self.all().for_each(|pump| stats += pump.stats());
        stats
    }

    /// What the streams did.
    pub(crate) fn link_stats(&self) -> link::Stats {
        let mut stats = link::Stats::default();
        self.all().for_each(|pump| stats += pump.link_stats());
        stats
    }

    /// Adds what is counted in the shards.
    pub(crate) fn add_to(&self, connections: &mut usize, endpoint: &mut Stats, server: &mut ServerStats) {
        for (shard, _) in &self.shards {
            shard.inspect(|shard| {
                *connections += shard.front.connections();
                *endpoint += &shard.front.endpoint_stats();
                server.undeliverable += shard.front.stats().undeliverable;
            });
        }
    }

    /// How far all of them are recorded.
    pub(crate) fn recordings(&self, hub: &Shared<Hub>) -> Recordings {
        let mut all = hub.inspect(|hub| hub.house.recordings());
        for (shard, _) in &self.shards {
            all += shard.inspect(|shard| shard.front.recordings());
        }
        all
    }

    /// Ends what is recorded of all, and waits for the disk.
    pub(super) fn end_records(&self, hub: &Shared<Hub>) {
        let end = |(shard, _): &(Shared<HubShard>, Pump)| shard.quietly(|shard| shard.front.end_record());
        let records: Vec<Record> = self.shards.iter().filter_map(end).collect();
        // Only now, so that all are written at the same time.
        drop((records, hub.quietly(Hub::end_record)));
    }

    /// Waits until any of them has ended before its time, and saves what is recorded of the others.
    pub(super) async fn broken(&self, hub: &Shared<Hub>) {
        self.any_ended().await;
        self.end_records(hub);
    }

    /// Whether any of them has ended by a defect.
    pub(super) fn have_panicked(&self, hub: &Shared<Hub>) -> bool {
        let shards = self.shards.iter().map(|(shard, _)| shard.ended());
        shards.chain([hub.ended()]).any(|ended| ended == Some(End::Panicked))
    }

    async fn any_ended(&self) {
        let mut ends: Vec<Pin<Box<dyn Future<Output = ()> + Send + '_>>> =
            self.all().map(|pump| Box::pin(pump.ended()) as _).collect();
        std::future::poll_fn(|cx| {
            let has_ended = ends.iter_mut().any(|end| end.as_mut().poll(cx).is_ready());
            if has_ended { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Waits until all of them have.
    pub(super) async fn all_ended(&self) {
        for pump in self.all() {
            pump.ended().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use adapter_tokio::LinkOptions;
    use driver::Peer;
    use driver::recorded::Put;
    use simtest::Recording;

    use super::*;
    use crate::record::Rooms;

    #[test]
    fn where_one_panics_the_recordings_of_all_are_whole() {
        let folder = tempfile::tempdir().unwrap();
        let file = |number: u8| folder.path().join(format!("{number}.rec"));
        let begun = |number, kind, birth: &dyn Put| {
            Record::create(&file(number), 1 << 20, clock::now(), kind, &birth)
        };
        let start = Start { max_logs: 1, max_rooms: 1, shards: 2, ..Start::default() };
        let record = begun(2, kind::START, &(&start, Rooms(&[][..]))).unwrap();
        let house = Taped::new(start.house(Vec::new(), clock::now()).unwrap(), Some(record));
        let (planned, lines) =
            plan(&start, |shard, _, own| Ok(Some(begun(shard, kind::START_SHARD, &(&start, *own)).unwrap())))
                .unwrap();
        let shared = Shared::new(Hub::new(house, clock::now()).with_lines(lines), clock::now);

        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let sockets = Sockets::sharded(2.try_into().unwrap(), &LinkOptions::default());
            let pumps = Pumps::start(&shared, planned, sockets);
            let meta =
                Meta { path: Path { socket: 0, peer: Peer::Udp(([10, 0, 0, 9], 9).into()) }, ecn: None };
            let last =
                |machine: &mut dyn Machine, now| machine.handle_packet(now, meta, b"the last that came");
            pumps.shards.iter().for_each(|(shard, _)| shard.turn(|shard, now| last(shard, now)));
            shared.turn(|hub, now| last(hub, now));
            assert!(!pumps.have_panicked(&shared));
            let broken = || pumps.shards[1].0.turn(|_, _| panic!("as planned"));
            catch_unwind(AssertUnwindSafe(broken)).unwrap_err();
            pumps.broken(&shared).await;
            assert!(pumps.have_panicked(&shared));
        });
        for number in 0..3 {
            let recording = Recording::parse(&std::fs::read(file(number)).unwrap()).unwrap();
            let last = |input: &simtest::Input| input.bytes.ends_with(b"the last that came");
            assert!(recording.inputs.iter().any(last), "{number}.rec has lost its end");
        }
    }
}
