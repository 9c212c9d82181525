//! The same campaign for a server of several shards: every datagram arrives at any of them, and what they and the services say to
//! each other takes its time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use proto_core::chat::ChatConfig;
use proto_core::server::{Front, Order, Report};
use proto_core::{Config, ConfigBuilder, Endpoint, Link, Server, Shard};
use simtest::{Addr, Boot, Now, RecvMeta, Sim, Time};

use super::node::{ChatNode, ServerNode};
use super::{chaos, chat_of, config};
use crate::core::{Draw, idle};
use crate::net::{At, both, meta, time, timestamp};

/// The shards of a server, and what is on its way to and from them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shards {
    fronts: Vec<Front<At>>,
    draw: Option<Draw>,
    reports: Vec<VecDeque<(Time, Report<At>)>>,
    orders: Vec<VecDeque<(Time, Order)>>,
    /// A datagram came to another shard than its own.
    pub(super) has_handed_over: bool,
}

impl Shards {
    pub(super) fn new(boot: &Boot<'_>, configs: &[Arc<Config>]) -> Self {
        let front = |(number, config): (usize, &Arc<Config>)| {
            let seed = *blake3::keyed_hash(&boot.seed, &[number as u8]).as_bytes();
            Front::new(Arc::clone(config), Link::datagram(1200), seed, timestamp(boot.now.mono))
        };
        Self {
            fronts: configs.iter().enumerate().map(front).collect(),
            draw: Some(Draw(u64::from_le_bytes(boot.seed[..8].try_into().expect("eight bytes")))),
            reports: vec![VecDeque::new(); configs.len()],
            orders: vec![VecDeque::new(); configs.len()],
            has_handed_over: false,
        }
    }

    pub(super) fn count(&self) -> u8 {
        self.fronts.len() as u8
    }

    pub(super) fn fronts(&self) -> impl Iterator<Item = &Front<At>> {
        self.fronts.iter()
    }

    fn below(&mut self, limit: usize) -> usize {
        self.draw.as_mut().map_or(0, |draw| draw.below(limit as u64) as usize)
    }

    /// When something said now is heard.
    fn heard(&mut self, now: Now) -> Time {
        now.mono + Duration::from_micros(self.below(3000) as u64)
    }

    pub(super) fn on_datagram(&mut self, now: Now, from: Addr, bytes: &[u8], with: RecvMeta) {
        let arrived = self.below(self.fronts.len());
        let shard = match Endpoint::<At>::route(bytes) {
            Some(Shard(shard)) if usize::from(shard) < self.fronts.len() => usize::from(shard),
            _ => arrived,
        };
        self.has_handed_over |= shard != arrived;
        self.fronts[shard].handle_packet(both(now), meta(from, with.ecn), bytes);
    }

    pub(super) fn on_timeout(&mut self, now: Now) {
        self.fronts.iter_mut().for_each(|front| front.handle_timeout(both(now)));
    }

    pub(super) fn poll_transmit(&mut self, now: Now, out: &mut Vec<u8>) -> Option<proto_core::Transmit<At>> {
        self.fronts.iter_mut().find_map(|front| front.poll_transmit(both(now), out))
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        let fronts = self.fronts.iter().filter_map(Front::poll_timeout).map(time);
        let reports = self.reports.iter().filter_map(|queue| queue.front()).map(|(at, _)| *at);
        let orders = self.orders.iter().filter_map(|queue| queue.front()).map(|(at, _)| *at);
        fronts.chain(reports).chain(orders).min()
    }

    /// Carries what there is to say, and hands in what is due; whether there was anything.
    pub(super) fn exchange(&mut self, now: Now, server: &mut Server<At>) -> bool {
        let mut any = false;
        for shard in 0..self.fronts.len() {
            while let Some(report) = self.fronts[shard].poll_report() {
                let at = self.heard(now).max(self.reports[shard].back().map_or(Time::ZERO, |(at, _)| *at));
                self.reports[shard].push_back((at, report));
                any = true;
            }
            while let Some((_, report)) = self.reports[shard].pop_front_if(|(at, _)| *at <= now.mono) {
                server.handle_report(both(now), report);
                any = true;
            }
            while let Some((_, order)) = self.orders[shard].pop_front_if(|(at, _)| *at <= now.mono) {
                self.fronts[shard].handle_order(both(now), order);
                any = true;
            }
        }
        while let Some((Shard(shard), order)) = server.poll_order() {
            let shard = usize::from(shard);
            let at = self.heard(now).max(self.orders[shard].back().map_or(Time::ZERO, |(at, _)| *at));
            self.orders[shard].push_back((at, order));
            any = true;
        }
        any
    }
}

/// Three clients of a server of three shards.
fn sharded(seed: u64, config_of_chat: &ChatConfig) -> Sim<ChatNode> {
    let base = config(true);
    let shard = |shard| -> Arc<Config> {
        let numbered = ConfigBuilder { shard, ..(**base).clone() };
        numbered.build().expect("a sound configuration")
    };
    let configs = [shard(0), shard(1), shard(2)];
    let of_server = config_of_chat.clone();
    let booted = move |boot: &Boot<'_>| ServerNode::boot_sharded(boot, &configs, &of_server);
    let mut sim = chat_of(seed, booted, &config(false), config_of_chat);
    sim.sometimes("a datagram comes to the wrong shard", |view| {
        let mut nodes = view.nodes();
        nodes.any(|(_, node)| matches!(node, ChatNode::Server(node) if node.has_handed_over()))
    });
    sim
}

fn stormy(seed: u64) -> Sim<ChatNode> {
    let mut sim = sharded(seed, &ChatConfig::default());
    sim.campaign(chaos());
    sim
}

#[test]
fn the_weather_of_shards_has_every_kind_of_fault() {
    assert_eq!(idle(stormy), []);
}

#[simtest::test(seeds = 0..3000, strict)]
fn everybody_sees_one_log_whatever_shard_has_whom(sim: &mut Sim<ChatNode>, seed: u64) {
    *sim = stormy(seed);
}
