//! The addresses that an endpoint dials, by number.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{Address, Path, Peer};

/// Addresses that one endpoint can dial in its life, each however often.
const MAX_PLACES: usize = 1 << 16;

/// The addresses that an endpoint dials: paths are copied often, and name them by their numbers.
#[derive(Debug, Default)]
pub struct Places(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    places: Vec<Arc<Address>>,
    numbers: BTreeMap<Arc<Address>, u32>,
}

impl Places {
    /// The path of a stream to `address`; `None` when there are too many.
    pub(crate) fn path(&self, address: Address) -> Option<Path> {
        let mut known = self.lock();
        let scheme = address.scheme();
        let address = Arc::new(address);
        let number = match known.numbers.get(&address) {
            Some(&number) => number,
            None if known.places.len() >= MAX_PLACES => return None,
            None => {
                let number = known.places.len() as u32;
                known.places.push(Arc::clone(&address));
                known.numbers.insert(address, number);
                number
            }
        };
        Some(Path { socket: 0, peer: Peer::Dialed(scheme, number) })
    }

    /// Where a path leads that is dialed.
    pub fn address(&self, path: Path) -> Option<Arc<Address>> {
        match path.peer {
            Peer::Dialed(_, number) => self.lock().places.get(number as usize).cloned(),
            _ => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
