//! An allocator that knows how much is taken at once, and refuses what is beyond a cap.

#![allow(unsafe_code, reason = "an allocator cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// What a process may take; what asks for more is refused, which ends it.
pub const CAP: usize = 1 << 30;
/// What one input may take.
pub const CAP_OF_AN_INPUT: usize = 64 << 20;

static TAKEN: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator with a cap: `#[global_allocator] static ALLOCATOR: Capped = Capped;`
#[derive(Debug)]
pub struct Capped;

fn take(size: usize) -> bool {
    let taken = TAKEN.fetch_add(size, Relaxed) + size;
    if taken > CAP {
        give(size);
        return false;
    }
    MOST.fetch_max(taken, Relaxed);
    true
}

fn give(size: usize) {
    TAKEN.fetch_sub(size, Relaxed);
}

// SAFETY: what is not refused is passed on unchanged.
unsafe impl GlobalAlloc for Capped {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !take(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if !take(new_size) {
            return std::ptr::null_mut();
        }
        give(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.realloc(ptr, layout, new_size) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        give(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(ptr, layout) }
    }
}

/// Runs `work`, alone in its process; how much it took at once beyond what was taken already, in bytes.
pub fn measured(work: impl FnOnce()) -> usize {
    let before = TAKEN.load(Relaxed);
    MOST.store(before, Relaxed);
    work();
    MOST.load(Relaxed).saturating_sub(before)
}
