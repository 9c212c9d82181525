//! What stays of a connection that has nothing to do: its numbers, one after the other, most of them in a byte or two
//! (docs/decisions/0018-sleep.md).
//!
//! [`saved`] is told all fields of a struct and does not compile when one is missing.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use core::time::Duration;

use crate::lazy::{Blank, Lazy};
use crate::secret::Hidden;
use crate::time::nanos;
use crate::{Config, Timestamp};

/// A part of a connection that can be saved while it is at rest, and loaded as it was.
pub(crate) trait Saved: Sized {
    /// Whether nothing is under way in it.
    fn is_at_rest(&self) -> bool {
        true
    }

    fn save(&self, to: &mut Saver<'_>);

    /// `None` when it was not at rest, or saved in another way.
    fn load(from: &mut Loader<'_>) -> Option<Self>;
}

/// The numbers of one connection, which others of the same endpoint nearly all have too: theirs are saved as what differs. It has no
/// secrets, which are no numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pattern(Box<[u64]>);

impl Pattern {
    /// Numbers that it has at most.
    const MAX: usize = 1024;

    /// Made after something that is at rest.
    pub(crate) fn of(saved: &impl Saved, clock: Timestamp) -> Self {
        let none = Self::default();
        let mut saver = Saver { seen: Some(Vec::new()), ..Saver::new(clock, &none) };
        saved.save(&mut saver);
        Self(saver.seen.unwrap_or_default().into())
    }

    /// What the number in this place is compared with.
    fn at(&self, place: usize) -> u64 {
        self.0.get(place).copied().unwrap_or(0)
    }
}

/// Takes in what is saved.
pub(crate) struct Saver<'a> {
    bytes: Hidden,
    /// Times are saved as their distance from this one.
    clock: Timestamp,
    pattern: &'a Pattern,
    /// Numbers that were saved.
    place: usize,
    /// All of them, where a pattern is to be made.
    seen: Option<Vec<u64>>,
}

impl<'a> Saver<'a> {
    pub(crate) fn new(clock: Timestamp, pattern: &'a Pattern) -> Self {
        let mut bytes = Hidden::new();
        bytes.extend(&clock.as_nanos().to_le_bytes());
        Self { bytes, clock, pattern, place: 0, seen: None }
    }

    /// What was saved. Of a run of zeros only the first and the number of the others stay.
    pub(crate) fn finish(self) -> Box<[u8]> {
        let mut bytes = Hidden::new();
        let mut rest = &self.bytes[..];
        while !rest.is_empty() {
            let others = rest.iter().position(|&byte| byte == 0).unwrap_or(rest.len());
            bytes.extend(&rest[..others]);
            rest = &rest[others..];
            let zeros = rest.iter().take(256).take_while(|&&byte| byte == 0).count();
            if let Ok(more) = u8::try_from(zeros.wrapping_sub(1)) {
                bytes.extend(&[0, more]);
            }
            rest = &rest[zeros..];
        }
        bytes.to_box()
    }

    /// What differs from the pattern, seven bits a byte, the lowest first.
    pub(crate) fn number(&mut self, mut number: u64) {
        if let Some(seen) = self.seen.as_mut().filter(|seen| seen.len() < Pattern::MAX) {
            seen.push(number);
        }
        number ^= self.pattern.at(self.place);
        self.place += 1;
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }
}

/// Undoes [`Saver::finish`].
pub(crate) fn expand(saved: &[u8]) -> Hidden {
    let mut bytes = Hidden::new();
    let mut rest = saved;
    while !rest.is_empty() {
        let others = rest.iter().position(|&byte| byte == 0).unwrap_or(rest.len());
        bytes.extend(&rest[..others]);
        rest = &rest[others..];
        if let Some((&[_, more], behind)) = rest.split_first_chunk() {
            bytes.extend_zeros(usize::from(more) + 1);
            rest = behind;
        } else {
            break;
        }
    }
    bytes
}

/// Gives it back.
pub(crate) struct Loader<'a> {
    bytes: &'a [u8],
    clock: Timestamp,
    pattern: &'a Pattern,
    /// Numbers that were loaded.
    place: usize,
    pub(crate) config: &'a Arc<Config>,
}

impl<'a> Loader<'a> {
    pub(crate) fn new(bytes: &'a [u8], config: &'a Arc<Config>, pattern: &'a Pattern) -> Option<Self> {
        let (clock, bytes) = bytes.split_first_chunk()?;
        let clock = Timestamp::from_nanos(u64::from_le_bytes(*clock));
        Some(Self { bytes, clock, pattern, place: 0, config })
    }

    pub(crate) fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.bytes.split_first()?;
            self.bytes = rest;
            number |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                number ^= self.pattern.at(self.place);
                self.place += 1;
                return Some(number);
            }
        }
        None
    }

    fn raw(&mut self, len: usize) -> Option<&'a [u8]> {
        let (raw, rest) = self.bytes.split_at_checked(len)?;
        self.bytes = rest;
        Some(raw)
    }
}

/// Saves every field of a struct.
macro_rules! saved {
    ($name:ident { $($field:ident),* $(,)? }) => {
        impl crate::sleep::Saved for $name {
            fn is_at_rest(&self) -> bool {
                let Self { $($field),* } = self;
                true $(&& crate::sleep::Saved::is_at_rest($field))*
            }

            fn save(&self, to: &mut crate::sleep::Saver<'_>) {
                let Self { $($field),* } = self;
                $(crate::sleep::Saved::save($field, to);)*
            }

            fn load(from: &mut crate::sleep::Loader<'_>) -> Option<Self> {
                $(let $field = crate::sleep::Saved::load(from)?;)*
                Some(Self { $($field),* })
            }
        }
    };
    ($name:ident(_)) => {
        impl crate::sleep::Saved for $name {
            fn is_at_rest(&self) -> bool {
                let Self(inner) = self;
                crate::sleep::Saved::is_at_rest(inner)
            }

            fn save(&self, to: &mut crate::sleep::Saver<'_>) {
                let Self(inner) = self;
                crate::sleep::Saved::save(inner, to);
            }

            fn load(from: &mut crate::sleep::Loader<'_>) -> Option<Self> {
                crate::sleep::Saved::load(from).map(Self)
            }
        }
    };
}

/// What is there only while something is under way.
macro_rules! awake {
    ($($name:ty),* $(,)?) => {$(
        impl crate::sleep::Saved for $name {
            fn is_at_rest(&self) -> bool {
                false
            }

            fn save(&self, _: &mut crate::sleep::Saver<'_>) {}

            fn load(_: &mut crate::sleep::Loader<'_>) -> Option<Self> {
                None
            }
        }
    )*};
}

/// What always has one value at rest.
macro_rules! rests_as {
    ($name:ty, $value:expr) => {
        impl crate::sleep::Saved for $name {
            fn is_at_rest(&self) -> bool {
                *self == $value
            }

            fn save(&self, _: &mut crate::sleep::Saver<'_>) {}

            fn load(_: &mut crate::sleep::Loader<'_>) -> Option<Self> {
                Some($value)
            }
        }
    };
}

pub(crate) use {awake, rests_as, saved};

macro_rules! integers {
    ($($integer:ty),*) => {$(
        impl Saved for $integer {
            fn save(&self, to: &mut Saver<'_>) {
                to.number((*self).into());
            }

            fn load(from: &mut Loader<'_>) -> Option<Self> {
                from.number()?.try_into().ok()
            }
        }
    )*};
}

integers!(u8, u16, u32);

impl Saved for u64 {
    fn save(&self, to: &mut Saver<'_>) {
        to.number(*self);
    }

    fn load(from: &mut Loader<'_>) -> Option<Self> {
        from.number()
    }
}

impl Saved for usize {
    fn save(&self, to: &mut Saver<'_>) {
        to.number(*self as u64);
    }

    fn load(from: &mut Loader<'_>) -> Option<Self> {
        Self::try_from(from.number()?).ok()
    }
}

impl Saved for i64 {
    fn save(&self, to: &mut Saver<'_>) {
        to.number(((self << 1) ^ (self >> 63)).cast_unsigned());
    }

    fn load(from: &mut Loader<'_>) -> Option<Self> {
        let number = from.number()?;
        Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }
}

impl Saved for bool {
    fn save(&self, to: &mut Saver<'_>) {
        to.number((*self).into());
    }

    fn load(from: &mut Loader<'_>) -> Option<Self> {
        Some(from.number()? != 0)
    }
}

impl Saved for Timestamp {
    fn save(&self, to: &mut Saver<'_>) {
        self.as_nanos().wrapping_sub(to.clock.as_nanos()).cast_signed().save(to);
    }

    fn load(from: &mut Loader<'_>) -> Option<Self> {
        let distance = i64::load(from)?;
        Some(Self::from_nanos(from.clock.as_nanos().wrapping_add(distance.cast_unsigned())))
    }
}

impl Saved for Duration {
    fn save(&self, to: &mut Saver<'_>) {
        to.number(nanos(*self));
    }

    fn load(from: &mut Loader<'_>) -> Option<Self> {
        from.number().map(Self::from_nanos)
    }
}

impl Saved for Range<u64> {
    fn save(&self, to: &mut Saver<'_>) {
        self.start.save(to);
        self.end.save(to);
    }

    fn load(from: &mut Loader<'_>) -> Option<Self> {
        Some(from.number()?..from.number()?)
    }
}

impl<const N: usize> Saved for [u8; N] {
    fn save(&self, to: &mut Saver<'_>) {
        to.raw(self);
    }

    fn load(from: &mut Loader<'_>) -> Option<Self> {
        from.raw(N)?.try_into().ok()
    }
}

macro_rules! arrays {
    ($($element:ty),*) => {$(
        impl<const N: usize> Saved for [$element; N] {
            fn save(&self, to: &mut Saver<'_>) {
                for element in self {
                    element.save(to);
                }
            }

            fn load(from: &mut Loader<'_>) -> Option<Self> {
                let mut all = [0; N];
                for element in &mut all {
                    *element = Saved::load(from)?;
                }
                Some(all)
            }
        }
    )*};
}

arrays!(u32, u64);

impl<A: Saved, B: Saved> Saved for (A, B) {
    fn is_at_rest(&self) -> bool {
        self.0.is_at_rest() && self.1.is_at_rest()
    }

    fn save(&self, to: &mut Saver<'_>) {
        self.0.save(to);
        self.1.save(to);
    }

    fn load(from: &mut Loader<'_>) -> Option<Self> {
        Some((A::load(from)?, B::load(from)?))
    }
}

impl<T: Saved> Saved for Option<T> {
    fn is_at_rest(&self) -> bool {
        self.as_ref().is_none_or(Saved::is_at_rest)
    }

    fn save(&self, to: &mut Saver<'_>) {
        self.is_some().save(to);
        if let Some(value) = self {
            value.save(to);
        }
    }

    fn load(from: &mut Loader<'_>) -> Option<Self> {
        if bool::load(from)? { T::load(from).map(Some) } else { Some(None) }
    }
}

impl<T: Saved> Saved for Box<T> {
    fn is_at_rest(&self) -> bool {
        (**self).is_at_rest()
    }

    fn save(&self, to: &mut Saver<'_>) {
        (**self).save(to);
    }

    fn load(from: &mut Loader<'_>) -> Option<Self> {
        T::load(from).map(Self::new)
    }
}

impl<T: Saved + Blank> Saved for Lazy<T> {
    fn is_at_rest(&self) -> bool {
        self.get().is_none_or(Saved::is_at_rest)
    }

    fn save(&self, to: &mut Saver<'_>) {
        self.get().is_some().save(to);
        if let Some(value) = self.get() {
            value.save(to);
        }
    }

    fn load(from: &mut Loader<'_>) -> Option<Self> {
        Option::<Box<T>>::load(from).map(Self::from)
    }
}

impl Saved for Box<str> {
    fn save(&self, to: &mut Saver<'_>) {
        self.len().save(to);
        to.raw(self.as_bytes());
    }

    fn load(from: &mut Loader<'_>) -> Option<Self> {
        let len = usize::load(from)?;
        core::str::from_utf8(from.raw(len)?).ok().map(Self::from)
    }
}

impl<T: Saved> Saved for Vec<T> {
    fn is_at_rest(&self) -> bool {
        self.iter().all(Saved::is_at_rest)
    }

    fn save(&self, to: &mut Saver<'_>) {
        self.len().save(to);
        for element in self {
            element.save(to);
        }
    }

    fn load(from: &mut Loader<'_>) -> Option<Self> {
        let len = usize::load(from)?;
        let mut all = Self::new();
        all.reserve_exact(len);
        for _ in 0..len {
            all.push(T::load(from)?);
        }
        Some(all)
    }
}

/// Queues and sets are empty at rest.
macro_rules! empty {
    ([$($generic:ident),*] $name:ty) => {
        impl<$($generic),*> Saved for $name {
            fn is_at_rest(&self) -> bool {
                self.is_empty()
            }

            fn save(&self, _: &mut Saver<'_>) {}

            fn load(_: &mut Loader<'_>) -> Option<Self> {
                Some(Self::new())
            }
        }
    };
}

empty!([T] VecDeque<T>);
empty!([T] BTreeSet<T>);
empty!([K, V] BTreeMap<K, V>);

impl Saved for Arc<[u8]> {
    fn save(&self, to: &mut Saver<'_>) {
        self.len().save(to);
        to.raw(self);
    }

    fn load(from: &mut Loader<'_>) -> Option<Self> {
        let len = usize::load(from)?;
        from.raw(len).map(Self::from)
    }
}

impl Saved for Arc<Config> {
    fn save(&self, _: &mut Saver<'_>) {}

    fn load(from: &mut Loader<'_>) -> Option<Self> {
        Some(Self::clone(from.config))
    }
}

#[cfg(test)]
mod tests {
    use alloc::boxed::Box;
    use alloc::vec::Vec;
    use core::time::Duration;

    use super::{Loader, Pattern, Saved, Saver, expand};
    use crate::{Config, Timestamp};

    fn round_trip<T: Saved + PartialEq>(value: &T, clock: u64) -> bool {
        let clock = Timestamp::from_nanos(clock);
        let foreign = Pattern([7, 0, u64::MAX, 1 << 40].into());
        [Pattern::default(), Pattern::of(value, clock), foreign].iter().all(|pattern| {
            let mut saver = Saver::new(clock, pattern);
            value.save(&mut saver);
            let (bytes, config) = (expand(&saver.finish()), Config::default().into());
            let mut loader = Loader::new(&bytes, &config, pattern).expect("a clock");
            T::load(&mut loader).as_ref() == Some(value) && loader.bytes.is_empty()
        })
    }

    #[test]
    fn what_is_as_its_pattern_takes_next_to_nothing() {
        let (value, clock) = ([u64::MAX; 200].to_vec(), Timestamp::ZERO);
        let pattern = Pattern::of(&value, clock);
        let mut saver = Saver::new(clock, &pattern);
        value.save(&mut saver);
        assert!(saver.finish().len() < 20);
    }

    quickcheck::quickcheck! {
        fn what_is_saved_is_loaded(a: u64, b: Vec<i64>, c: Option<(u16, bool)>, d: (u64, u64), e: Option<u32>) -> bool {
            let (clock, time) = d;
            round_trip(&a, clock)
                && round_trip(&b, clock)
                && round_trip(&c, clock)
                && round_trip(&Timestamp::from_nanos(time), clock)
                && round_trip(&Duration::from_nanos(time), clock)
                && round_trip(&e.map(Box::new), clock)
                && round_trip(&[a, time], clock)
                && round_trip(&[0_u64; 300], clock)
                && round_trip(&[a as u8, 0, 0, 1, 0, 0, 0], clock)
                && round_trip(&Box::<str>::from(alloc::format!("{b:?}")), clock)
        }
    }
}
