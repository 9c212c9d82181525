//! Delta debugging: the part of a list that is needed.

/// Makes `all` smaller as long as `works` says so. `works` gets shorter lists, at most `width` at a time, and takes the first of them
/// that will do; it returns that list, or an even shorter one. The result is the same whatever the width.
///
/// It is 1-minimal: without any single one of its items it does not work.
pub(crate) fn ddmin<T: Clone>(
    all: &[T],
    width: usize,
    mut works: impl FnMut(&[Vec<T>]) -> Option<Vec<T>>,
) -> Vec<T> {
    let mut kept = all.to_vec();
    if kept.is_empty() {
        return kept;
    }
    if let Some(none) = works(&[Vec::new()]) {
        return none;
    }
    let mut first = |count: usize, candidate: &dyn Fn(usize) -> Vec<T>| {
        let mut from = 0;
        while from < count {
            let to = (from + width.max(1)).min(count);
            let batch: Vec<Vec<T>> = (from..to).map(candidate).collect();
            let taken = works(&batch);
            if taken.is_some() {
                return taken;
            }
            from = to;
        }
        None
    };
    let mut parts = 2;
    while kept.len() > 1 {
        let size = kept.len().div_ceil(parts);
        let count = kept.len().div_ceil(size);
        let part = |i: usize| i * size..((i + 1) * size).min(kept.len());
        let alone = first(if count > 2 { count } else { 0 }, &|i| kept[part(i)].to_vec());
        let smaller = alone.map(|less| (less, 2)).or_else(|| {
            let rest = |i: usize| {
                let part = part(count - 1 - i);
                [&kept[..part.start], &kept[part.end..]].concat()
            };
            first(count, &rest).map(|less| (less, (count - 1).max(2)))
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

    fn needs(needed: &[u32]) -> impl FnMut(&[Vec<u32>]) -> Option<Vec<u32>> {
        move |some| some.iter().find(|some| needed.iter().all(|n| some.contains(n))).cloned()
    }

    #[test]
    fn what_is_needed_stays() {
        let all: Vec<u32> = (0..100).collect();
        for needed in [&[][..], &[7], &[0, 99], &[3, 4, 5], &[0, 20, 40, 60, 80]] {
            for width in [1, 4] {
                assert_eq!(ddmin(&all, width, needs(needed)), needed);
            }
        }
        assert_eq!(ddmin(&[], 1, needs(&[])), [0; 0]);
    }

    #[test]
    fn it_does_not_take_many_runs() {
        let all: Vec<u32> = (0..200).collect();
        let mut runs = 0;
        let mut works = needs(&[50, 150]);
        ddmin(&all, 1, |some| {
            runs += 1;
            works(some)
        });
        assert!(runs < 100, "{runs}");
    }

    #[test]
    fn a_still_shorter_list_is_taken() {
        let all: Vec<u32> = (0..64).collect();
        let odd = |some: &[Vec<u32>]| {
            let some = some.iter().find(|some| some.contains(&9))?;
            Some(some.iter().copied().filter(|n| n % 2 == 1).collect())
        };
        assert_eq!(ddmin(&all, 1, odd), [9]);
    }
}
