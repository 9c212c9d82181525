//! What somebody may play, to the note: in a room, with its crown, and in a lobby.

use std::collections::BTreeMap;
use std::sync::Arc;

use proto_core::chat::ChatConfig;
use proto_core::room::{Change, ClientEvent, RoomKind, UserId};
use simtest::{Check, NodeId, Now, Oracle, Sim, Time, View, ms, secs};

use super::node::{ClientNode, Cmd, Ev, RoomNode, ServerNode};
use super::{config, rooms};

/// Points at first, and with each tick of 2 s: the numbers of the original.
const LOBBY: (u64, u64) = (600, 200);
const NORMAL: (u64, u64) = (1200, 400);
const HOLDER: (u64, u64) = (1800, 600);

/// Where a listener is, and since when it has heard how much of whom.
#[derive(Clone, Debug, Default)]
struct Ear {
    room: Option<Arc<str>>,
    holder: Option<UserId>,
    heard: BTreeMap<UserId, (Time, u64)>,
}

#[derive(Clone, Debug, Default)]
struct Quotas(BTreeMap<NodeId, Ear>);

impl Ear {
    fn quota(&self, user: UserId) -> (u64, u64) {
        match &self.room {
            Some(room) if RoomKind::of(room).is_special() => LOBBY,
            _ if self.holder == Some(user) => HOLDER,
            _ => NORMAL,
        }
    }

    fn hears(&mut self, now: Time, user: UserId, notes: u64) -> Check {
        let (max, allowance) = self.quota(user);
        let (first, sum) = self.heard.entry(user).or_insert((now, 0));
        *sum += notes;
        let ticks = now.since(*first).as_millis() as u64 / 2000 + 1;
        let most = max + allowance * ticks;
        if *sum > most {
            Err(format!("{sum} notes after {ticks} ticks, over the quota of {most}"))
        } else {
            Ok(())
        }
    }
}

impl Oracle<RoomNode> for Quotas {
    fn event(&mut self, now: Now, node: NodeId, event: &Ev) -> Check {
        let ear = self.0.entry(node).or_default();
        match event {
            Ev::Told(ClientEvent::Joined(snapshot)) => {
                ear.room = Some(Arc::clone(&snapshot.room));
                ear.holder = snapshot.crown.and_then(|crown| crown.holder);
                Ok(())
            }
            Ev::Told(ClientEvent::Changed(diff)) => {
                for change in &diff.changes {
                    if let Change::Crown(crown) = change {
                        ear.holder = crown.holder;
                    }
                }
                Ok(())
            }
            Ev::Told(ClientEvent::Notes(notes)) => {
                ear.hears(now.mono, notes.user, notes.notes.notes.len() as u64)
            }
            _ => Ok(()),
        }
    }

    fn finally(&mut self, _: &View<'_, RoomNode>) -> Check {
        let too_little = self.0.values().flat_map(|ear| {
            let of = |(user, (_, sum)): (&UserId, &(Time, u64))| (*sum < ear.quota(*user).0).then_some(*sum);
            ear.heard.iter().filter_map(of)
        });
        let heard = self.0.values().map(|ear| ear.heard.len()).sum::<usize>();
        match too_little.min() {
            Some(sum) => Err(format!("somebody could play only {sum} notes")),
            None if heard < 6 => Err(format!("only {heard} were heard")),
            None => Ok(()),
        }
    }
}

#[simtest::test(seeds = 0..2)]
fn everybody_plays_as_much_as_his_quota_says(sim: &mut Sim<RoomNode>, _seed: u64) {
    let (server, client, rooms) = (config(true), config(false), rooms());
    let s = sim.node("s", move |boot| ServerNode::boot_with(boot, &server, &rooms, &ChatConfig::default()));
    let clients: Vec<_> = (0..5)
        .map(|number| {
            let client = Arc::clone(&client);
            sim.node(&format!("c{number}"), move |boot| ClientNode::boot(boot, &client, s.addr()))
        })
        .collect();
    sim.workload(|w| {
        for (number, &client) in clients.iter().enumerate() {
            let room = if number < 3 { "a room" } else { "lobby" };
            w.at(ms(100 + 300 * number as u64)).cmd(client, Cmd::Enter(room));
        }
        for number in 0..240 {
            // The first has the crown; whoever is third there only listens.
            for (player, &client) in clients.iter().enumerate().filter(|(player, _)| *player != 2) {
                w.at(ms(2500 + 50 * number + 7 * player as u64)).cmd(client, Cmd::Play(70));
            }
        }
    });
    sim.run_for(secs(16));
    sim.oracle("quotas", Quotas::default());
}
