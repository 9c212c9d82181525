//! The core in a library that has no std, and so must bring its own allocator and panic handler.
#![no_std]

use core::alloc::{GlobalAlloc, Layout};
use core::panic::PanicInfo;

struct None;

// SAFETY: it never hands out memory.
unsafe impl GlobalAlloc for None {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        core::ptr::null_mut()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ALLOCATOR: None = None;

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}

/// Uses the core, so that it is linked.
pub fn packets(endpoint: &proto_core::Endpoint) -> u64 {
    endpoint.stats().packets_sent
}
