//! Counter-based random numbers: any number of a stream can be computed without those before it.
//!
//! A stream is named by a seed and three numbers, so that what happens to sample 17 in epoch 3 depends on nothing else:
//! neither on which thread does it, nor on what was drawn before. The generator is Philox4x32-10 (J. K. Salmon et al.,
//! "Parallel random numbers: as easy as 1, 2, 3", SC 2011), which the tests compare with the published answers.

/// Purpose of the numbers of a [`RandomStream`]; streams of different purposes are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Purpose {
    /// The order of the samples of an epoch.
    Order = 1,
    /// The changes to a sample in an epoch.
    Augmentation = 2,
    /// Which samples are split off for validation.
    Split = 3,
    /// Initial values of parameters.
    Initialization = 4,
    /// Dropout.
    Dropout = 5,
    /// Which samples an epoch draws with replacement.
    Sampling = 6,
    /// Images that the program draws itself.
    Scene = 7,
}

/// A stream of random numbers.
///
/// ```
/// use hardnet_data::{Purpose, RandomStream};
///
/// let mut random = RandomStream::new(1, Purpose::Order, [0, 0]);
/// assert!((0.0..1.0).contains(&random.uniform()));
/// assert!(random.below(10) < 10);
/// ```
#[derive(Clone, Debug)]
pub struct RandomStream {
    key: [u32; 2],
    counter: [u32; 4],
    block: [u32; 4],
    used: usize,
}

impl RandomStream {
    /// The stream of `seed` for `purpose`, one for each value of `place`, as an epoch and a sample.
    pub fn new(seed: u64, purpose: Purpose, place: [u32; 2]) -> Self {
        let key = [seed as u32, (seed >> 32) as u32];
        Self { key, counter: [0, purpose as u32, place[0], place[1]], block: [0; 4], used: 4 }
    }

    /// The stream of the same name for what happens another time: 0 is the stream itself, and up to 2^24 differ.
    pub fn repeated(mut self, repeat: u32) -> Self {
        self.counter[1] ^= repeat << 8;
        self
    }

    /// 32 random bits.
    pub fn bits(&mut self) -> u32 {
        if self.used == self.block.len() {
            self.block = philox(self.counter, self.key);
            // 2^34 numbers are more than anything here draws from one stream.
            self.counter[0] = self.counter[0].wrapping_add(1);
            self.used = 0;
        }
        let bits = self.block[self.used];
        self.used += 1;
        bits
    }

    /// A number of `0.0..1.0`, a multiple of 2^-53, each equally likely.
    pub fn uniform(&mut self) -> f64 {
        let (high, low) = (u64::from(self.bits()), u64::from(self.bits()));
        ((high << 32 | low) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number of `low..high`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// A whole number below `end`, each equally likely (D. Lemire, 2019); 0 if `end` is 0.
    pub fn below(&mut self, end: u32) -> u32 {
        let end = u64::from(end);
        let mut product = u64::from(self.bits()) * end;
        if (product & 0xffff_ffff) < end {
            // Multiples of 2^32 / end would be one too many for some numbers: those are drawn again.
            let rejected = (1u64 << 32) % end.max(1);
            while (product & 0xffff_ffff) < rejected {
                product = u64::from(self.bits()) * end;
            }
        }
        (product >> 32) as u32
    }

    /// A number of the normal distribution of mean 0 and deviation 1, by the method of Box and Muller.
    pub fn normal(&mut self) -> f64 {
        // 1 - u is never 0.
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (2.0 * std::f64::consts::PI * self.uniform()).cos()
    }

    /// The numbers `0..count` in random order, by the method of Fisher and Yates.
    pub fn permutation(&mut self, count: u32) -> Vec<u32> {
        let mut order: Vec<u32> = (0..count).collect();
        for last in (1..count).rev() {
            order.swap(last as usize, self.below(last + 1) as usize);
        }
        order
    }
}

/// Philox4x32-10: four numbers from a counter of four and a key of two.
fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    const MULTIPLIERS: [u64; 2] = [0xD251_1F53, 0xCD9E_8D57];
    const KEY_STEPS: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
    for _ in 0..10 {
        let first = MULTIPLIERS[0] * u64::from(counter[0]);
        let second = MULTIPLIERS[1] * u64::from(counter[2]);
        counter = [
            (second >> 32) as u32 ^ counter[1] ^ key[0],
            second as u32,
            (first >> 32) as u32 ^ counter[3] ^ key[1],
            first as u32,
        ];
        key = [key[0].wrapping_add(KEY_STEPS[0]), key[1].wrapping_add(KEY_STEPS[1])];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn philox_gives_the_published_answers() {
        // kat_vectors of Random123 1.14.0.
        let table = [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for (counter, key, expected) in table {
            assert_eq!(philox(counter, key), expected);
        }
    }

    #[test]
    fn streams_differ_in_each_part_of_their_name() {
        let first = |seed, purpose, place| RandomStream::new(seed, purpose, place).bits();
        let own = first(1, Purpose::Order, [0, 0]);
        assert_eq!(own, first(1, Purpose::Order, [0, 0]));
        assert_ne!(own, first(1 << 32 | 1, Purpose::Order, [0, 0]));
        assert_ne!(own, first(1, Purpose::Augmentation, [0, 0]));
        assert_ne!(own, first(1, Purpose::Order, [1, 0]));
        assert_ne!(own, first(1, Purpose::Order, [0, 1]));
        let repeated = |repeat| RandomStream::new(1, Purpose::Order, [0, 0]).repeated(repeat).bits();
        assert_eq!(own, repeated(0));
        assert!(own != repeated(1) && repeated(1) != repeated(2));
    }

    #[test]
    fn whole_numbers_are_equally_likely() {
        let mut random = RandomStream::new(7, Purpose::Order, [0, 0]);
        let mut counts = [0u32; 7];
        (0..70_000).for_each(|_| counts[random.below(7) as usize] += 1);
        // Six standard deviations of a count.
        assert!(counts.iter().all(|&count| count.abs_diff(10_000) < 560), "{counts:?}");
        // With 3 << 30 values a multiplication without rejection gives a third of them twice as often.
        let end = 3 << 30;
        let low = (0..30_000).filter(|_| random.below(end).is_multiple_of(3)).count();
        assert!(low.abs_diff(10_000) < 500, "{low}");
        assert_eq!((random.below(1), random.below(0)), (0, 0));
    }

    #[test]
    fn normal_numbers_have_mean_0_and_deviation_1() {
        let mut random = RandomStream::new(3, Purpose::Initialization, [0, 0]);
        let numbers: Vec<f64> = (0..100_000).map(|_| random.normal()).collect();
        let moment = |power: i32| numbers.iter().map(|number| number.powi(power)).sum::<f64>() / 1e5;
        let moments = [moment(1), moment(2), moment(3), moment(4)];
        for (found, (expected, tolerance)) in moments.iter().zip([(0.0, 0.02), (1.0, 0.03), (0.0, 0.08), (3.0, 0.2)]) {
            assert!((found - expected).abs() < tolerance, "{moments:?}");
        }
    }

    #[test]
    fn a_permutation_has_every_number_once() {
        let permutation = |seed| RandomStream::new(seed, Purpose::Order, [2, 0]).permutation(100);
        let (first, second) = (permutation(1), permutation(2));
        assert_ne!(first, second);
        let mut sorted = first.clone();
        sorted.sort();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
        assert!(RandomStream::new(1, Purpose::Order, [0, 0]).permutation(0).is_empty());
    }
}
