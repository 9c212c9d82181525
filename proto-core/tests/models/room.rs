//! Every state that a small room can be in: three users join, leave, are lost, give and drop the crown and ban each other; facts
//! become durable one by one, what is told travels as slowly as it likes, and the server crashes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use proto_core::chat::{BodyHash, StoredEntry};
use proto_core::room::fact::{Crown, Fact, ROOM, ROOM_AUTHOR};
use proto_core::room::{
    Audience, By, Change, Color, Departure, Effects, Event, Newcomer, Peer, Position, Room, RoomConfig,
    RoomKind, State as Remembered, UserId,
};
use proto_core::{Now, Timestamp};
use stateright::{Checker as _, Model, Property};

const NAME: &str = "a room";

/// How far it goes.
struct Small {
    users: u8,
    facts: usize,
    joins: u8,
    crashes: u8,
}

/// What one user has been told, and what is on its way to him.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct View {
    inbox: VecDeque<Event>,
    version: u64,
    crown: Option<Crown>,
    people: BTreeSet<UserId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    room: Room,
    now: Now,
    log: Vec<StoredEntry>,
    flight: VecDeque<Fact>,
    views: BTreeMap<UserId, View>,
    /// Who was shown with the crown of which epoch.
    epochs: BTreeMap<u64, Option<UserId>>,
    joins: u8,
    crashes: u8,
    broken: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    Join(UserId),
    Leave(UserId),
    Lose(UserId),
    Give(UserId, UserId),
    Drop(UserId),
    Kick(UserId, UserId),
    Commit,
    Deliver(UserId),
    Wait,
    Crash,
}

fn config() -> RoomConfig {
    RoomConfig { resume_window: Duration::from_secs(10), ..RoomConfig::default() }
}

fn entry(slot: u64, now: Now, fact: &Fact) -> StoredEntry {
    let body = fact.to_bytes();
    StoredEntry {
        slot,
        client: ROOM_AUTHOR,
        sequence: slot,
        body_hash: BodyHash::of(ROOM, &body),
        name: Arc::from(""),
        author_ms: 0,
        commit_ms: now.unix_ms,
        kind: ROOM,
        body,
    }
}

impl World {
    fn peer(user: UserId) -> Peer {
        Peer::Guest(user.0[0].into())
    }

    fn post(&mut self, effects: Effects) {
        for outgoing in effects.outgoing {
            let to: Vec<UserId> = match outgoing.to {
                Audience::One(Peer::Guest(number)) => vec![UserId([number as u8; 12])],
                Audience::One(Peer::Native(_)) => vec![],
                Audience::Many { seats, except } => {
                    seats.iter().map(|seat| seat.user).filter(|&user| Some(user) != except).collect()
                }
            };
            for user in to {
                if matches!(outgoing.event, Event::Snapshot(_) | Event::Diff(_)) {
                    self.views.entry(user).or_default().inbox.push_back(outgoing.event.clone());
                }
            }
        }
        for evicted in effects.evicted {
            self.views.remove(&evicted.seat.user);
        }
    }

    fn crown(&mut self, user: UserId, crown: Option<Crown>) {
        let Some(crown) = crown else { return };
        let view = self.views.entry(user).or_default();
        if view.crown.is_some_and(|known| known.epoch > crown.epoch) {
            self.broken = Some("an epoch goes back");
        }
        view.crown = Some(crown);
        if self.epochs.insert(crown.epoch, crown.holder).is_some_and(|holder| holder != crown.holder) {
            self.broken = Some("two holders in one epoch");
        }
    }

    fn deliver(&mut self, user: UserId) {
        let Some(view) = self.views.get_mut(&user) else { return };
        match view.inbox.pop_front() {
            Some(Event::Snapshot(snapshot)) => {
                view.version = snapshot.version;
                view.people = snapshot.participants.iter().map(|one| one.user).collect();
                self.crown(user, snapshot.crown);
            }
            Some(Event::Diff(diff)) => {
                if diff.version != view.version + 1 {
                    self.broken = Some("a diff is missing");
                }
                view.version = diff.version;
                let mut crowns = Vec::new();
                for change in &diff.changes {
                    match change {
                        Change::Here(one) => drop(view.people.insert(one.user)),
                        Change::Gone(user) => drop(view.people.remove(user)),
                        Change::Crown(crown) => crowns.push(*crown),
                        Change::Settings(_) => {}
                    }
                }
                for crown in crowns {
                    self.crown(user, Some(crown));
                }
            }
            _ => {}
        }
    }

    fn depart(&mut self, user: UserId, how: Departure) -> Effects {
        let mut effects = Effects::default();
        self.room.leave(self.now, &config(), user, Self::peer(user), how, &mut effects);
        self.views.remove(&user);
        effects
    }

    /// The epoch that `user` knows: perhaps not the latest.
    fn epoch(&self, user: UserId) -> u64 {
        self.views.get(&user).and_then(|view| view.crown).map_or(0, |crown| crown.epoch)
    }

    fn take(&mut self, step: Step) {
        let (now, config) = (self.now, config());
        let mut effects = Effects::default();
        match step {
            Step::Join(user) => {
                self.joins += 1;
                let newcomer = Newcomer {
                    peer: Self::peer(user),
                    user,
                    prefix: None,
                    name: Arc::from("x"),
                    color: Color::default(),
                    online_since: Timestamp::ZERO,
                    is_plain: false,
                };
                let _ = self.room.join(now, &config, newcomer, None, &mut effects);
            }
            Step::Leave(user) => effects = self.depart(user, Departure::Left),
            Step::Lose(user) => effects = self.depart(user, Departure::Lost),
            Step::Give(user, to) => {
                let _ = self.room.give_crown(now, user, self.epoch(user), to);
            }
            Step::Drop(user) => {
                let _ = self.room.drop_crown(now, user, self.epoch(user), Position::default());
            }
            Step::Kick(user, whom) => {
                let by = By::User(user, self.epoch(user));
                let _ = self.room.kick_ban(now, &config, by, whom, None);
            }
            Step::Commit => {
                if let Some(fact) = self.flight.pop_front() {
                    let entry = entry(self.log.len() as u64 + 1, now, &fact);
                    self.log.push(entry.clone());
                    self.room.apply(now, &config, &entry, &mut effects).expect("the next slot");
                }
            }
            Step::Deliver(user) => self.deliver(user),
            Step::Wait => {
                self.now.mono += Duration::from_secs(20);
                self.now.unix_ms += 20_000;
                self.room.handle_timeout(self.now, &config, &mut effects);
            }
            Step::Crash => {
                self.crashes += 1;
                let mut state = Remembered::new(RoomKind::of(NAME));
                for entry in &self.log {
                    state.apply(entry).expect("the next slot");
                }
                self.room = Room::new(NAME.into(), state, &config, now);
                self.flight.clear();
                self.views.clear();
            }
        }
        self.post(effects);
        while let Some(fact) = self.room.poll_fact() {
            self.flight.push_back(fact);
        }
    }
}

impl Model for Small {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let now = Now { mono: Timestamp::ZERO, unix_ms: 1_000_000 };
        let room = Room::new(NAME.into(), Remembered::new(RoomKind::of(NAME)), &config(), now);
        vec![World {
            room,
            now,
            log: Vec::new(),
            flight: VecDeque::new(),
            views: BTreeMap::new(),
            epochs: BTreeMap::new(),
            joins: 0,
            crashes: 0,
            broken: None,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Step>) {
        let users = || (0..self.users).map(|number| UserId([number; 12]));
        for user in users() {
            let is_seated = world.room.seat_of(user, World::peer(user)).is_some();
            if !is_seated {
                if world.joins < self.joins {
                    actions.push(Step::Join(user));
                }
                continue;
            }
            actions.extend([Step::Leave(user), Step::Lose(user)]);
            let view = world.views.get(&user);
            if view.is_some_and(|view| !view.inbox.is_empty()) {
                actions.push(Step::Deliver(user));
            }
            // Only who believes to have the crown, or that nobody has it, asks for something.
            let Some(crown) = view.and_then(|view| view.crown) else { continue };
            if crown.holder == Some(user) {
                actions.push(Step::Drop(user));
                actions.extend(users().filter(|&to| to != user).map(|to| Step::Give(user, to)));
                actions.extend(users().map(|whom| Step::Kick(user, whom)));
            } else if crown.holder.is_none() {
                actions.push(Step::Give(user, user));
            }
        }
        if !world.flight.is_empty() {
            actions.push(Step::Commit);
        }
        if world.room.poll_timeout().is_some() {
            actions.push(Step::Wait);
        }
        if world.crashes < self.crashes {
            actions.push(Step::Crash);
        }
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        let mut world = world.clone();
        world.take(step);
        Some(world)
    }

    fn within_boundary(&self, world: &World) -> bool {
        world.log.len() + world.flight.len() <= self.facts
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always("at most one crown an epoch, and no diff is missing", |_, world: &World| {
                world.broken.is_none()
            }),
            Property::always("nobody who is banned is present", |_, world: &World| {
                let state = world.room.state();
                let banned = |user| state.banned_for(user, None, world.now.unix_ms).is_some();
                !world.room.participants().iter().any(|one| banned(one.user))
            }),
            Property::always("who has heard everything sees what is", |_, world: &World| {
                let snapshot = world.room.snapshot();
                let people: BTreeSet<_> = snapshot.participants.iter().map(|one| one.user).collect();
                world.views.iter().all(|(_, view)| {
                    let heard_all = view.inbox.is_empty() && view.version > 0;
                    !heard_all
                        || view.version == snapshot.version
                            && view.people == people
                            && view.crown == snapshot.crown
                })
            }),
            Property::always("a room is the fold of its log", |_, world: &World| {
                let mut state = Remembered::new(RoomKind::of(NAME));
                world.log.iter().all(|entry| state.apply(entry).is_ok()) && state == *world.room.state()
            }),
            // The model is not void: what it is about happens.
            Property::sometimes("a crown changes hands", |_, world: &World| world.epochs.len() > 1),
            Property::sometimes("somebody is banned", |_, world: &World| !world.room.state().bans.is_empty()),
        ];
        if self.crashes > 0 {
            properties.push(Property::sometimes("a crown waits for its holder", |_, world: &World| {
                let state = world.room.state();
                !world.room.is_empty() && state.crown.holder.is_some_and(|holder| !world.room.has(holder))
            }));
        }
        properties
    }
}

#[test]
fn every_state_of_a_small_room_is_sound() {
    let small = Small { users: 2, facts: 3, joins: 3, crashes: 1 };
    let checker = small.checker().spawn_bfs().join();
    println!("{} states, {} of them different", checker.state_count(), checker.unique_state_count());
    checker.assert_properties();
}

#[test]
fn three_users_without_crashes() {
    let small = Small { users: 3, facts: 2, joins: 3, crashes: 0 };
    let checker = small.checker().spawn_bfs().join();
    println!("{} states, {} of them different", checker.state_count(), checker.unique_state_count());
    checker.assert_properties();
}
