//! Delta debugging: the part of a list that is needed.

/// Makes `all` smaller as long as `works` says so. `works` gets a shorter list; if it will do, it returns that list, or
/// an even shorter one.
///
/// The result is 1-minimal: without any single one of its items it does not work.
pub(crate) fn ddmin<T: Clone>(all: &[T], mut works: impl FnMut(&[T]) -> Option<Vec<T>>) -> Vec<T> {
    let mut kept = all.to_vec();
    if kept.is_empty() {
        return kept;
    }
    if let Some(none) = works(&[]) {
        return none;
    }
    let mut parts = 2;
    while kept.len() > 1 {
        let size = kept.len().div_ceil(parts);
        let count = kept.len().div_ceil(size);
        let part = |i: usize| i * size..((i + 1) * size).min(kept.len());
        let alone = (0..count).filter(|_| count > 2).find_map(|i| works(&kept[part(i)]));
        let smaller = alone.map(|less| (less, 2)).or_else(|| {
            let rest = |i: usize| [&kept[..part(i).start], &kept[part(i).end..]].concat();
            (0..count).rev().find_map(|i| works(&rest(i))).map(|less| (less, (count - 1).max(2)))
        });
        match smaller {
            Some((less, next)) => (kept, parts) = (less, next),
            None if size == 1 => break,
            None => parts = (count * 2).min(kept.len()),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(needed: &[u32]) -> impl FnMut(&[u32]) -> Option<Vec<u32>> {
        move |some| needed.iter().all(|n| some.contains(n)).then(|| some.to_vec())
    }

    #[test]
    fn what_is_needed_stays() {
        let all: Vec<u32> = (0..100).collect();
        for needed in [&[][..], &[7], &[0, 99], &[3, 4, 5], &[0, 20, 40, 60, 80]] {
            assert_eq!(ddmin(&all, needs(needed)), needed);
        }
        assert_eq!(ddmin(&[], needs(&[])), [0; 0]);
    }

    #[test]
    fn it_does_not_take_many_runs() {
        let all: Vec<u32> = (0..200).collect();
        let mut runs = 0;
        let mut works = needs(&[50, 150]);
        ddmin(&all, |some| {
            runs += 1;
            works(some)
        });
        assert!(runs < 100, "{runs}");
    }

    #[test]
    fn a_still_shorter_list_is_taken() {
        let all: Vec<u32> = (0..64).collect();
        let odd =
            |some: &[u32]| some.contains(&9).then(|| some.iter().copied().filter(|n| n % 2 == 1).collect());
        assert_eq!(ddmin(&all, odd), [9]);
    }
}
