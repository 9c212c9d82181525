//! Other ids for the same connection, so that who changes its network cannot be followed by what its packets carry
//! (docs/spec/connection.md, section 5.2). Only where datagrams are encrypted: in the clear they say anyway whose they are.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::Connection;
use super::handshake::{NO_TOKEN, reset_token};
use super::receive::{Violation, violation};
use crate::recovery::Carried;
use crate::secret::ResetToken;
use crate::wire::{Cid, Frame, NewCid, RecordWriter, varint};
use crate::{Drop, Secret, code};

/// Ids beside the one in use that a side may have its peer keep.
pub(crate) const MAX_SPARE: u8 = 3;
/// Ids of the peer's that are given back and not known to be gone.
const MAX_RETIRING: usize = 8;
/// Numbers that are remembered one by one as done with. Who leaves none out needs fewer than its peer has spare ids.
const MAX_DONE: usize = 16;

/// The connection ids of one attachment beyond those of its handshake.
#[derive(Clone, Debug)]
pub(super) struct Cids {
    /// Ids beside the one in use that each side keeps.
    limit: u8,
    /// A server's, for the tokens of its ids.
    key: Option<Secret>,
    /// What the peer may use, the handshake's first.
    own: Vec<Own>,
    /// The number of the next one.
    next: u64,
    /// The largest number that the peer has used.
    heard: u64,
    /// The number of the peer's id in use.
    used: u64,
    /// Those of the peer that are not used yet, by their numbers.
    spare: Vec<Theirs>,
    /// The number of the one that was taken for a path which is not proven.
    taken: Option<u64>,
    /// Numbers that are given back, and whether that is to be written.
    retiring: Vec<(u64, bool)>,
    /// Which of the peer's numbers are done with: what is told of them comes late.
    done: Done,
    /// The endpoint has not seen the latest of this.
    is_changed: bool,
}

/// An id of this side.
#[derive(Clone, Copy, Debug)]
struct Own {
    number: u64,
    cid: Cid,
    is_due: bool,
}

/// An id of the peer's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Theirs {
    number: u64,
    pub(super) cid: Cid,
    token: ResetToken,
}

/// Numbers, most of them next to each other.
#[derive(Clone, Debug, Default)]
struct Done {
    /// All below this one.
    below: u64,
    /// Those above, in their order.
    others: Vec<u64>,
}

impl Done {
    fn contains(&self, number: u64) -> bool {
        number < self.below || self.others.binary_search(&number).is_ok()
    }

    fn insert(&mut self, number: u64) {
        if self.contains(number) {
            return;
        }
        let at = self.others.partition_point(|&other| other < number);
        self.others.insert(at, number);
        if self.others.len() > MAX_DONE {
            self.below = self.others[0];
        }
        let joined = (self.below..).zip(&self.others).take_while(|&(next, &other)| next == other).count();
        self.others.drain(..joined);
        self.below += joined as u64;
    }
}

impl Cids {
    fn new(first: Cid, key: Option<Secret>) -> Self {
        Self {
            limit: 0,
            key,
            own: alloc::vec![Own { number: 0, cid: first, is_due: false }],
            next: 1,
            heard: 0,
            used: 0,
            spare: Vec::new(),
            taken: None,
            retiring: Vec::new(),
            done: Done::default(),
            is_changed: false,
        }
    }

    /// Gives an id back.
    fn retire(&mut self, number: u64) {
        self.done.insert(number);
        if self.retiring.iter().all(|&(known, _)| known != number) {
            self.retiring.push((number, true));
        }
    }
}

impl Connection {
    /// A server that encrypts has its key at hand only while it answers a handshake.
    pub(super) fn prepare_cids(&mut self, key: Secret) {
        let cids = (self.config.spare_cids > 0).then(|| Box::new(Cids::new(self.local_cid, Some(key))));
        if let Some(secrecy) = &mut self.secrecy {
            secrecy.cids = cids;
        }
    }

    /// The attachment has begun: the peer gets ids, if it wants any.
    pub(super) fn begin_cids(&mut self) {
        let limit = self.config.spare_cids.min(self.channels.peer.spare_cids as u8);
        let (first, is_wanted) = (self.local_cid, limit > 0 && self.is_sealed());
        let Some(secrecy) = &mut self.secrecy else { return };
        if !is_wanted {
            secrecy.cids = None;
            return;
        }
        secrecy.cids.get_or_insert_with(|| Box::new(Cids::new(first, None))).limit = limit;
        for _ in 0..limit {
            self.issue_cid();
        }
    }

    fn cids(&self) -> Option<&Cids> {
        self.secrecy.as_ref()?.cids.as_deref()
    }

    fn cids_mut(&mut self) -> Option<&mut Cids> {
        self.secrecy.as_mut()?.cids.as_deref_mut()
    }

    fn issue_cid(&mut self) {
        let mut cid: [u8; Cid::LEN] = self.rng.bytes();
        if !self.is_client {
            cid[0] = self.config.shard;
        }
        let Some(cids) = self.cids_mut() else { return };
        cids.own.push(Own { number: cids.next, cid: Cid(cid), is_due: true });
        cids.next += 1;
        cids.is_changed = true;
    }

    /// Whether the peer may call this connection so.
    #[inline]
    pub(super) fn is_called(&self, cid: Cid) -> bool {
        match self.cids() {
            None => cid == self.local_cid,
            Some(cids) => cids.own.iter().any(|own| own.cid == cid),
        }
    }

    /// A packet came in for `cid` and is authentic: a client follows a server that calls it otherwise.
    #[inline]
    pub(super) fn note_called(&mut self, cid: Cid) {
        let Some(cids) = self.cids_mut() else { return };
        let number = cids.own.iter().find(|own| own.cid == cid).map_or(0, |own| own.number);
        cids.heard = cids.heard.max(number);
        let is_behind = cids.heard > cids.used;
        if is_behind && self.is_client {
            self.renew_cid();
        }
    }

    /// From here on the peer is called otherwise, if it has given another id: whoever watches two networks does not learn from the ids
    /// that the packets of both are of one connection.
    pub(super) fn renew_cid(&mut self) {
        if let Some(theirs) = self.take_spare() {
            self.adopt_cid(theirs);
        }
    }

    /// An id of the peer's for another path; none while it does not hear of those that were given back.
    pub(super) fn take_spare(&mut self) -> Option<Theirs> {
        let cids = self.cids_mut().filter(|cids| cids.retiring.len() < MAX_RETIRING / 2)?;
        let theirs = (!cids.spare.is_empty()).then(|| cids.spare.remove(0));
        cids.taken = theirs.map(|theirs| theirs.number);
        theirs
    }

    /// The peer is called so from here on.
    pub(super) fn adopt_cid(&mut self, theirs: Theirs) {
        let Some(cids) = self.cids_mut() else { return };
        let before = core::mem::replace(&mut cids.used, theirs.number);
        cids.taken = None;
        cids.is_changed = true;
        cids.retire(before);
        self.remote_cid = theirs.cid;
        if self.is_client {
            self.reset_token = Some(theirs.token);
        }
        self.stats.cids_renewed += 1;
    }

    /// An id that was taken for a path is not needed.
    pub(super) fn give_cid_back(&mut self, theirs: Theirs) {
        if let Some(cids) = self.cids_mut() {
            cids.taken = None;
            cids.retire(theirs.number);
        }
    }

    pub(super) fn on_new_cid(&mut self, new: &NewCid) -> Result<(), Violation> {
        if self.is_client && new.token == NO_TOKEN {
            return violation("a server's connection id without a reset token");
        }
        let Some(cids) = self.cids_mut() else {
            return violation("a connection id that nobody asked for");
        };
        let is_at_hand = new.number == cids.used || Some(new.number) == cids.taken;
        if is_at_hand || cids.done.contains(new.number) {
            return Ok(());
        }
        if new.number < cids.used {
            // It was so late that others have been used before it.
            cids.retire(new.number);
            return if cids.retiring.len() <= MAX_RETIRING {
                Ok(())
            } else {
                Err(Violation(code::EXCESSIVE, "connection ids that were used and given back"))
            };
        }
        if let Some(known) = cids.spare.iter().find(|known| known.number == new.number) {
            return if known.cid == new.cid { Ok(()) } else { violation("two connection ids of one number") };
        }
        if cids.spare.len() >= usize::from(cids.limit) {
            return Err(Violation(code::EXCESSIVE, "more connection ids than were asked for"));
        }
        let at = cids.spare.partition_point(|known| known.number < new.number);
        cids.spare.insert(at, Theirs { number: new.number, cid: new.cid, token: new.token.into() });
        Ok(())
    }

    pub(super) fn on_retire_cid(&mut self, number: u64) -> Result<(), Violation> {
        let Some(cids) = self.cids_mut().filter(|cids| number < cids.next) else {
            return violation("a connection id is given back that was never given");
        };
        let Some(at) = cids.own.iter().position(|own| own.number == number) else {
            self.stats.drops.count(Drop::CidUnknown);
            return Ok(());
        };
        cids.own.remove(at);
        cids.is_changed = true;
        self.issue_cid();
        Ok(())
    }

    pub(super) fn on_cid_lost(&mut self, carried: Carried) {
        let Some(cids) = self.cids_mut() else { return };
        match carried {
            Carried::NewCid(number) => {
                for own in cids.own.iter_mut().filter(|own| own.number == number) {
                    own.is_due = true;
                }
            }
            Carried::RetireCid(number) => {
                for (_, is_due) in cids.retiring.iter_mut().filter(|(known, _)| *known == number) {
                    *is_due = true;
                }
            }
            _ => {}
        }
    }

    pub(super) fn on_cid_retired(&mut self, number: u64) {
        if let Some(cids) = self.cids_mut() {
            cids.retiring.retain(|&(known, _)| known != number);
        }
    }

    /// Whether ids are to be given or given back.
    pub(super) fn owes_cids(&self) -> bool {
        self.cids().is_some_and(|cids| {
            cids.own.iter().any(|own| own.is_due) || cids.retiring.iter().any(|&(_, is_due)| is_due)
        })
    }

    pub(super) fn write_cids(
        &mut self,
        limit: usize,
        writer: &mut RecordWriter<'_>,
        carried: &mut Vec<Carried>,
    ) {
        const LONGEST: usize = 1 + varint::MAX_LEN + Cid::LEN + 16;
        let Some(cids) = self.cids_mut() else { return };
        for (number, is_due) in cids.retiring.iter_mut().filter(|(_, is_due)| *is_due) {
            if !writer.has_room(LONGEST, limit) {
                return;
            }
            *is_due = false;
            writer.write(&Frame::RetireCid(*number), false);
            carried.push(Carried::RetireCid(*number));
        }
        for own in cids.own.iter_mut().filter(|own| own.is_due) {
            if !writer.has_room(LONGEST, limit) {
                return;
            }
            own.is_due = false;
            let token = cids.key.as_ref().map_or(NO_TOKEN, |key| reset_token(key.expose(), own.cid));
            writer.write(&Frame::NewCid(NewCid { number: own.number, cid: own.cid, token }), false);
            carried.push(Carried::NewCid(own.number));
        }
    }

    /// Whether something about ids has changed that the endpoint does not know of.
    #[inline]
    pub(crate) fn has_new_cids(&self) -> bool {
        self.cids().is_some_and(|cids| cids.is_changed)
    }

    /// Whether the peer has given the handshake's id back.
    pub(crate) fn is_first_given_back(&self) -> bool {
        self.cids().is_some_and(|cids| cids.own.iter().all(|own| own.number != 0))
    }

    /// The endpoint knows.
    pub(crate) fn take_cids(&mut self) {
        if let Some(cids) = self.cids_mut() {
            cids.is_changed = false;
        }
    }

    /// The ids that the peer may use beside that of the handshake.
    pub(crate) fn other_cids(&self) -> impl Iterator<Item = Cid> {
        let own = self.cids().into_iter().flat_map(|cids| &cids.own);
        own.map(|own| own.cid).filter(|&cid| cid != self.local_cid)
    }
}

crate::sleep::saved!(Cids { limit, key, own, next, heard, used, spare, taken, retiring, done, is_changed });
crate::sleep::saved!(Done { below, others });
crate::sleep::saved!(Own { number, cid, is_due });
crate::sleep::saved!(Theirs { number, cid, token });
