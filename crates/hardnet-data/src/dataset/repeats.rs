//! Samples that are the same image: lists for training name some images several times, to draw them more often.

use std::hash::{BuildHasher, RandomState};

use super::list::ParsedList;
use super::{DatasetError, Sample};

/// Checks the lines that name a file again: each must give it the same label, and `allowed` decides whether there may
/// be any. Says how many there are.
pub(super) fn check(list: &ParsedList, allowed: bool) -> Result<Option<String>, DatasetError> {
    let path = |number: u32| list.samples()[number as usize].relative();
    let label = |number: u32| list.samples()[number as usize].label();
    let mut order: Vec<u32> = (0..).take(list.len()).collect();
    order.sort_unstable_by(|&a, &b| path(a).as_os_str().cmp(path(b).as_os_str()).then(a.cmp(&b)));
    let again = || order.windows(2).filter(|pair| path(pair[0]) == path(pair[1]));
    let lines = |pair: &[u32]| [pair[0], pair[1]].map(|number| list.line(number as usize));
    if let Some(pair) = again().filter(|pair| label(pair[0]) != label(pair[1])).min_by_key(|pair| pair[1]) {
        let [first, line] = lines(pair);
        return Err(list.conflict(first, line));
    }
    match again().min_by_key(|pair| pair[1]) {
        None => Ok(None),
        Some(pair) if !allowed => {
            let [first, line] = lines(pair);
            Err(list.duplicate(first, line))
        }
        Some(_) => {
            let (repeats, lines) = (again().count(), list.len());
            Ok(Some(format!("{lines} lines name {} images, since {repeats} lines repeat one", lines - repeats)))
        }
    }
}

/// The number of the image of each sample, from 0 in the order of their first samples. Samples of one path have the
/// same number.
pub(super) fn image_numbers(samples: &[Sample]) -> Vec<u32> {
    // A path is made when it is needed, so paths are compared only where their hashes are equal.
    let hasher = RandomState::new();
    let mut order: Vec<(u64, u32)> = samples.iter().map(|sample| hasher.hash_one(sample.path())).zip(0..).collect();
    order.sort_unstable();
    let mut first: Vec<u32> = (0..).take(samples.len()).collect();
    for alike in order.chunk_by(|(a, _), (b, _)| a == b).filter(|alike| alike.len() > 1) {
        for (position, (_, sample)) in alike.iter().enumerate().skip(1) {
            let path = samples[*sample as usize].path();
            let same = alike[..position].iter().find(|(_, other)| samples[*other as usize].path() == path);
            if let Some((_, other)) = same {
                first[*sample as usize] = first[*other as usize];
            }
        }
    }
    let (mut numbers, mut count) = (vec![0; samples.len()], 0);
    for position in 0..samples.len() {
        let same = first[position] as usize;
        if same < position {
            numbers[position] = numbers[same];
        } else {
            numbers[position] = count;
            count += 1;
        }
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_one_path_have_one_number() {
        let names = ["b", "a", "b", "./c", "a", "b", "d"];
        let samples: Vec<_> = names.iter().map(|name| Sample::new(*name, Some(0), *name)).collect();
        assert_eq!(image_numbers(&samples), [0, 1, 0, 2, 1, 0, 3]);
        assert!(image_numbers(&[]).is_empty());
    }
}
