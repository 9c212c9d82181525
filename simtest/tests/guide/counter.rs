//! A server that counts requests, and a client that repeats each until it is told that it was counted.

use std::collections::VecDeque;

const ADD: u8 = 1;
const ADDED: u8 = 2;
const REPEAT: u64 = 100_000_000; // nanoseconds

#[derive(Clone, Default)]
pub struct Counter {
    pub count: u32,
    /// The server's side: the last request that was counted.
    last: u8,
    /// The client's side: requests that are yet to be sent.
    todo: u32,
    /// The number of the request that waits for its answer, and when to repeat it.
    waiting: Option<(u8, u64)>,
    next: u8,
    server: u32,
    out: VecDeque<(u32, [u8; 2])>,
}

impl Counter {
    pub fn add(&mut self, server: u32, now: u64) {
        self.server = server;
        self.todo += 1;
        self.begin(now);
    }

    fn begin(&mut self, now: u64) {
        if self.waiting.is_none() && self.todo > 0 {
            self.todo -= 1;
            self.next += 1;
            self.waiting = Some((self.next, now + REPEAT));
            self.out.push_back((self.server, [ADD, self.next]));
        }
    }

    pub fn receive(&mut self, from: u32, bytes: &[u8], now: u64) {
        match *bytes {
            [ADD, n] => {
                if n > self.last {
                    self.last = n;
                    self.count += 1;
                }
                self.out.push_back((from, [ADDED, n]));
            }
            [ADDED, n] if self.waiting.is_some_and(|(waiting, _)| waiting == n) => {
                self.waiting = None;
                self.begin(now);
            }
            _ => {}
        }
    }

    pub fn repeat(&mut self, now: u64) {
        if let Some((n, at)) = &mut self.waiting {
            *at = now + REPEAT;
            self.out.push_back((self.server, [ADD, *n]));
        }
    }

    pub fn due(&self) -> Option<u64> {
        self.waiting.map(|(_, at)| at)
    }

    pub fn send(&mut self) -> Option<(u32, [u8; 2])> {
        self.out.pop_front()
    }
}
