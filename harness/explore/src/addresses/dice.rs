//! Numbers that a seed decides.

/// A source of numbers that look random. It is not one of proptest's, whose streams may change
/// with a release: a walk is named by its seed and its number.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// The source for a walk. It depends on the seed and the number only. Both are mixed, so that
    /// the numbers of one walk are not those of the next one a draw later.
    pub const fn new(seed: u64, number: u64) -> Self {
        Self(mixed(mixed(seed) ^ number))
    }

    /// The next number (splitmix64).
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }

    /// A number below this one; 0 if there is none.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next().checked_rem(end).unwrap_or_default()
    }

    /// Whether something happens that happens once in so many times.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of them, unless there is none.
    pub fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        let at = self.below(from.len() as u64) as usize;
        from.get(at).cloned()
    }
}

/// The finalizer of splitmix64.
const fn mixed(number: u64) -> u64 {
    let mut mixed = number;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn walks_share_no_numbers() {
        let mut seen = BTreeSet::new();
        for number in 0..100 {
            let mut dice = Dice::new(7, number);
            assert!((0..100).all(|_| seen.insert(dice.next())), "{number}");
        }
    }
}
