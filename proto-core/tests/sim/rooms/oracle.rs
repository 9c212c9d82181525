//! G17 to G19 for rooms, and the note quota, told every event of every client.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proto_core::chat::RejectReason;
use proto_core::room::fact::Crown;
use proto_core::room::{Change, ClientEvent, RoomKind, UserId};
use simtest::{Check, Life, NodeId, Now, Oracle, Time, View, hash_bytes};

use super::node::{Ev, RoomNode};

/// What one client has been told in its life.
#[derive(Clone, Debug, Default)]
struct Heard {
    me: Option<UserId>,
    /// The room that it is in, and its version.
    room: Option<(Arc<str>, u64)>,
    /// Epoch and holder of that room's crown.
    crown: Option<(u64, Option<UserId>)>,
    /// Notes heard of each since the last snapshot: from when on, how many, and how often he came back.
    played: BTreeMap<UserId, (Time, u64, u64)>,
    /// The slot of the next entry.
    next: Option<u64>,
    epoch: u64,
    waiting: BTreeSet<u64>,
    /// It has said goodbye.
    gone: bool,
    notes: BTreeMap<UserId, (Time, u64)>,
    /// The names that it has been told to have, one after the other.
    names: Vec<Arc<str>>,
    /// How many of these it knew when it said something, by number.
    known: BTreeMap<u64, usize>,
}

impl Heard {
    /// A crown never goes back, and has one holder under each epoch.
    fn sees(&mut self, crown: &Crown) -> Check {
        let known = self.crown.replace((crown.epoch, crown.holder));
        let goes_on = known.is_none_or(|(epoch, holder)| {
            crown.epoch > epoch || crown.epoch == epoch && crown.holder == holder
        });
        if goes_on { Ok(()) } else { Err(format!("G17: after {known:?} a reader sees {crown:?}")) }
    }

    /// In special rooms everybody has the same quota: 600 notes, and 200 more every 2 s; anew if he leaves and comes back.
    fn hears_in_special(&mut self, now: Time, from: UserId, notes: u64) -> Check {
        let (first, sum, times) = self.played.entry(from).or_insert((now, 0, 0));
        *sum += notes;
        let ticks = now.since(*first).as_millis() as u64 / 2000 + 2;
        // That he is back may be told behind what he plays.
        let most = 600 * (*times + 2) + 200 * ticks;
        if *sum > most {
            Err(format!("{sum} notes in a special room, over the quota of {most}"))
        } else {
            Ok(())
        }
    }

    fn is_called(&mut self, name: &Arc<str>) {
        if self.names.last() != Some(name) {
            self.names.push(Arc::clone(name));
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct InRooms {
    heard: BTreeMap<NodeId, Heard>,
    /// Who had the crown of a room under an epoch.
    crowns: BTreeMap<(Arc<str>, u64), Option<UserId>>,
    /// What stands in a slot of a log, by the log's epoch.
    slots: BTreeMap<(u64, u64), u64>,
    /// What each entry is signed with; who wrote it, and how many names of his own he knew then.
    signed: BTreeMap<(u64, u64), String>,
    said: BTreeMap<(u64, u64), (NodeId, usize)>,
    crashes: u64,
    /// How long logs are kept, and those in which nothing was said: rooms begin anew in a run, and their crowns count from the beginning.
    logs_end: Option<(Duration, Duration)>,
    server: Option<NodeId>,
}

impl InRooms {
    pub(crate) fn whose_logs_end(keep: Duration, silent: Duration) -> Self {
        Self { logs_end: Some((keep, silent)), ..Self::default() }
    }

    /// Only the crash of a server makes quotas be forgotten.
    pub(crate) fn at(self, server: NodeId) -> Self {
        Self { server: Some(server), ..self }
    }

    fn crown(&mut self, room: &Arc<str>, crown: &Crown) -> Check {
        let before = self.crowns.insert((Arc::clone(room), crown.epoch), crown.holder);
        if self.logs_end.is_none() && before.is_some_and(|holder| holder != crown.holder) {
            return Err(format!("G17: two holders of the crown of {room} under epoch {}", crown.epoch));
        }
        Ok(())
    }

    /// Who knows that he is called otherwise now says nothing more by a name that he had before.
    fn check_name(&self, slot: (u64, u64)) -> Check {
        let (Some(name), Some((node, known))) = (self.signed.get(&slot), self.said.get(&slot)) else {
            return Ok(());
        };
        let names = self.heard.get(node).map(|heard| &heard.names[..]).unwrap_or_default();
        let past = &names[..known.saturating_sub(1).min(names.len())];
        if past.iter().any(|past| **past == **name) {
            return Err(format!(
                "slot {} is signed {name}, after which its author was called {names:?}",
                slot.1
            ));
        }
        Ok(())
    }

    fn on_told(&mut self, now: Now, node: NodeId, told: &ClientEvent) -> Check {
        let heard = self.heard.entry(node).or_default();
        match told {
            ClientEvent::Joined(snapshot) => {
                if heard.room.as_ref().is_some_and(|(room, _)| *room != snapshot.room) {
                    return Err("G17: in another room without having left the one before".into());
                }
                let is_same = heard.room.as_ref().is_some_and(|(room, _)| *room == snapshot.room);
                if heard.room.is_none() {
                    heard.next = None;
                }
                if !is_same || self.logs_end.is_some() {
                    heard.crown = None;
                }
                heard.played.clear();
                snapshot.crown.iter().try_for_each(|crown| heard.sees(crown))?;
                heard.room = Some((Arc::clone(&snapshot.room), snapshot.version));
                let me = heard.me;
                for one in snapshot.participants.iter().filter(|one| Some(one.user) == me) {
                    heard.is_called(&one.name);
                }
                snapshot.crown.map_or(Ok(()), |crown| self.crown(&snapshot.room, &crown))
            }
            ClientEvent::Changed(diff) => {
                let Some((room, version)) = &mut heard.room else {
                    return Err("G17: a change of no room".into());
                };
                if diff.version != *version + 1 {
                    return Err(format!("G17: version {} after {version}", diff.version));
                }
                *version = diff.version;
                let room = Arc::clone(room);
                for change in &diff.changes {
                    if let Change::Crown(crown) = change {
                        heard.sees(crown)?;
                    }
                    if let Change::Gone(user) = change
                        && let Some((_, _, times)) = heard.played.get_mut(user)
                    {
                        *times += 1;
                    }
                    if let Change::Here(one) = change
                        && Some(one.user) == heard.me
                    {
                        heard.is_called(&one.name);
                    }
                }
                diff.changes.iter().try_for_each(|change| match change {
                    Change::Crown(crown) => self.crown(&room, crown),
                    _ => Ok(()),
                })
            }
            ClientEvent::Left(left) => match heard.room.take() {
                Some((room, _)) if room == left.room => Ok(()),
                other => Err(format!("G17: left {}, but was in {other:?}", left.room)),
            },
            ClientEvent::Notes(notes) => {
                if heard.me == Some(notes.user) {
                    return Err("somebody hears himself play".into());
                }
                let is_special = heard.room.as_ref().is_some_and(|(room, _)| RoomKind::of(room).is_special());
                if is_special {
                    heard.hears_in_special(now.mono, notes.user, notes.notes.notes.len() as u64)?;
                }
                let (first, sum) = heard.notes.entry(notes.user).or_insert((now.mono, 0));
                *sum += notes.notes.notes.len() as u64;
                let ticks = now.mono.since(*first).as_millis() as u64 / 2000 + 2;
                // A server that has crashed remembers no quota.
                let most = (1 + self.crashes) * 1800 + 600 * ticks;
                if *sum > most { Err(format!("{sum} notes, over the quota of {most}")) } else { Ok(()) }
            }
            ClientEvent::Cursors(cursors) => {
                let own = cursors.iter().any(|cursor| heard.me == Some(cursor.user));
                if own { Err("somebody sees his own cursor".into()) } else { Ok(()) }
            }
            ClientEvent::ChatJoined { epoch, next, resumed, .. } => {
                if *resumed && heard.next.is_some_and(|known| known != *next) {
                    return Err("G19: a log goes on elsewhere".into());
                }
                (heard.epoch, heard.next) = (*epoch, Some(*next));
                Ok(())
            }
            ClientEvent::Entry(entry) => {
                if heard.next != Some(entry.slot) || heard.epoch != entry.epoch {
                    return Err(format!("G19: slot {}, not {:?}", entry.slot, heard.next));
                }
                heard.next = Some(entry.slot + 1);
                let hash = hash_bytes(entry.sequence, &entry.body);
                let before = self.slots.insert((entry.epoch, entry.slot), hash);
                if before.is_some_and(|other| other != hash) {
                    return Err(format!("G19: slot {} has two contents", entry.slot));
                }
                self.signed.insert((entry.epoch, entry.slot), entry.name.clone());
                self.check_name((entry.epoch, entry.slot))
            }
            ClientEvent::Said { number, slot } => {
                let at = (heard.epoch, *slot);
                if let Some(known) = heard.known.remove(number) {
                    self.said.insert(at, (node, known));
                }
                answered(heard, *number)?;
                self.check_name(at)
            }
            ClientEvent::Rejected { number, reason } => {
                let expected = matches!(reason, RejectReason::Unknown | RejectReason::Forbidden);
                if !expected {
                    return Err(format!("words were rejected: {reason:?}"));
                }
                answered(heard, *number)
            }
            _ => Ok(()),
        }
    }
}

fn answered(heard: &mut Heard, number: u64) -> Check {
    if heard.waiting.remove(&number) || heard.gone {
        Ok(())
    } else {
        Err(format!("G18: {number} was answered twice"))
    }
}

impl Oracle<RoomNode> for InRooms {
    fn event(&mut self, now: Now, node: NodeId, event: &Ev) -> Check {
        match event {
            Ev::Me(user) => {
                self.heard.entry(node).or_default().me = Some(*user);
                Ok(())
            }
            Ev::Saying(number) => {
                let heard = self.heard.entry(node).or_default();
                if !heard.gone {
                    heard.waiting.insert(*number);
                    heard.known.insert(*number, heard.names.len());
                }
                Ok(())
            }
            Ev::Closing => {
                let heard = self.heard.entry(node).or_default();
                heard.gone = true;
                heard.waiting.clear();
                Ok(())
            }
            Ev::Told(told) => self.on_told(now, node, told),
            Ev::Ended(room, unused, has_words) => {
                let keep = self.logs_end.map(|(keep, silent)| if *has_words { keep } else { silent });
                if keep.is_some_and(|keep| *unused >= keep) {
                    return Ok(());
                }
                Err(format!(
                    "the log of {room} ended after it was unused for {unused:?}; words in it: {has_words}"
                ))
            }
        }
    }

    fn lifecycle(&mut self, _: Now, node: NodeId, life: Life) -> Check {
        if life == Life::Crashed {
            self.heard.remove(&node);
            self.said.retain(|_, (author, _)| *author != node);
            self.crashes += u64::from(self.server == Some(node));
        }
        Ok(())
    }

    fn finally(&mut self, _: &View<'_, RoomNode>) -> Check {
        let open = self.heard.iter().find(|(_, heard)| !heard.waiting.is_empty());
        open.map_or(Ok(()), |(node, heard)| Err(format!("G18: {:?} of {node:?} unanswered", heard.waiting)))
    }
}
