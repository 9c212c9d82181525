//! Where received payloads are copied to, once.

use alloc::collections::VecDeque;

use bytes::{Bytes, BytesMut};

const BLOCK: usize = 64 * 1024;
/// Blocks that are kept to be used again: as much as bursts hold before the application takes it.
const MAX_USED: usize = 16;
/// A payload larger than this gets a buffer of its own, so that holding on to it does not hold a block.
const OWN_BUFFER: usize = 4 * 1024;

/// Cuts small payloads from 64 KiB blocks. A block is used again once every payload cut from it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Arena {
    block: BytesMut,
    /// Full blocks, the oldest first.
    used: VecDeque<BytesMut>,
}

impl Arena {
    #[inline]
    pub(crate) fn copy(&mut self, payload: &[u8]) -> Bytes {
        if payload.is_empty() {
            return Bytes::new();
        }
        if payload.len() > OWN_BUFFER {
            return Bytes::copy_from_slice(payload);
        }
        if self.block.capacity() < payload.len() {
            self.next_block();
        }
        self.block.extend_from_slice(payload);
        self.block.split().freeze()
    }

    /// Goes on in this block if nothing of it is in use, else in an earlier one, else in a new one.
    #[inline(never)]
    fn next_block(&mut self) {
        if self.block.try_reclaim(BLOCK) {
            return;
        }
        let free = self.used.iter_mut().position(|block| block.try_reclaim(BLOCK));
        let next = free.and_then(|at| self.used.remove(at)).unwrap_or_else(|| BytesMut::with_capacity(BLOCK));
        self.used.push_back(core::mem::replace(&mut self.block, next));
        if self.used.len() > MAX_USED {
            self.used.pop_front();
        }
    }
}

impl Clone for Arena {
    fn clone(&self) -> Self {
        Self::default()
    }
}

crate::sleep::awake!(Arena);

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::{Arena, BLOCK, MAX_USED};

    #[test]
    fn payloads_are_kept_whatever_comes_after() {
        let mut arena = Arena::default();
        let copies: Vec<_> = (0..200_u8).map(|i| arena.copy(&[i; 1000])).collect();
        assert!(copies.iter().zip(0..).all(|(copy, i)| copy[..] == [i; 1000]));
        assert_eq!(arena.copy(&[1; 9000]).len(), 9000);
        assert!(arena.copy(&[]).is_empty());
    }

    #[test]
    fn a_block_is_used_again_when_its_payloads_are_gone() {
        let mut arena = Arena::default();
        let first = arena.copy(&[0; 1000]).as_ptr();
        for _ in 0..BLOCK / 1000 - 1 {
            arena.copy(&[0; 1000]);
        }
        assert_eq!(arena.copy(&[0; 1000]).as_ptr(), first);
    }

    #[test]
    fn a_payload_that_is_kept_does_not_stop_the_others() {
        let mut arena = Arena::default();
        let kept: Vec<_> = (0..100_u8)
            .map(|i| {
                let kept = arena.copy(&[i]);
                for _ in 0..BLOCK / 1000 {
                    arena.copy(&[0; 1000]);
                }
                kept
            })
            .collect();
        assert!(kept.iter().zip(0..).all(|(kept, i)| kept[..] == [i]));
        assert!(arena.used.len() <= MAX_USED);
    }
}
