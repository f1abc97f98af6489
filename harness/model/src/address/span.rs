//! Ranges of addresses.

/// A range of addresses that is not empty. It may end at the last address there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    first: u64,
    last: u64,
}

impl Span {
    /// All addresses.
    pub const ALL: Self = Self {
        first: 0,
        last: u64::MAX,
    };

    /// The range from the first to the last of these addresses, in either order.
    pub const fn between(one: u64, other: u64) -> Self {
        match one <= other {
            true => Self {
                first: one,
                last: other,
            },
            false => Self {
                first: other,
                last: one,
            },
        }
    }

    /// A range of this length; none if it is empty or goes beyond the last address.
    pub const fn sized(first: u64, length: u64) -> Option<Self> {
        match length {
            0 => None,
            _ => match first.checked_add(length - 1) {
                Some(last) => Some(Self { first, last }),
                None => None,
            },
        }
    }

    /// The first address.
    pub const fn first(self) -> u64 {
        self.first
    }

    /// The last address.
    pub const fn last(self) -> u64 {
        self.last
    }

    /// Its length; none of all addresses, whose length is no `u64`.
    pub const fn length(self) -> Option<u64> {
        (self.last - self.first).checked_add(1)
    }

    /// Whether an address is within.
    pub const fn has(self, address: u64) -> bool {
        self.first <= address && address <= self.last
    }

    /// Whether all of another range is within.
    pub const fn covers(self, other: Self) -> bool {
        self.first <= other.first && other.last <= self.last
    }

    /// What is in both.
    pub fn and(self, other: Self) -> Option<Self> {
        let (first, last) = (self.first.max(other.first), self.last.min(other.last));
        (first <= last).then_some(Self { first, last })
    }

    /// Whether something is in both.
    pub fn meets(self, other: Self) -> bool {
        self.and(other).is_some()
    }
}

/// Joins ranges that overlap or are adjacent. The result is in order.
pub fn joined(spans: impl IntoIterator<Item = Span>) -> Vec<Span> {
    let mut sorted: Vec<_> = spans.into_iter().collect();
    sorted.sort_unstable();
    let mut out: Vec<Span> = Vec::new();
    for span in sorted {
        match out.last_mut() {
            Some(before) if span.first <= before.last.saturating_add(1) => {
                before.last = before.last.max(span.last);
            }
            _ => out.push(span),
        }
    }
    out
}

/// The parts of a range that none of the others has, in order.
pub fn holes(within: Span, taken: impl IntoIterator<Item = Span>) -> Vec<Span> {
    let mut out = Vec::new();
    let mut next = Some(within.first);
    for span in joined(taken).into_iter().filter_map(|it| it.and(within)) {
        let Some(first) = next else { break };
        if first < span.first {
            out.push(Span::between(first, span.first - 1));
        }
        next = span.last.checked_add(1).filter(|it| *it <= within.last);
    }
    out.extend(next.map(|first| Span::between(first, within.last)));
    out
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn span(first: u64, last: u64) -> Span {
        Span::between(first, last)
    }

    #[rstest]
    #[case::empty(5, 0, None)]
    #[case::one(5, 1, Some(span(5, 5)))]
    #[case::to_the_end(u64::MAX, 1, Some(span(u64::MAX, u64::MAX)))]
    #[case::beyond_the_end(u64::MAX, 2, None)]
    #[case::nearly_all(0, u64::MAX, Some(span(0, u64::MAX - 1)))]
    fn a_range_has_a_length(#[case] first: u64, #[case] length: u64, #[case] is: Option<Span>) {
        assert_eq!(Span::sized(first, length), is);
        assert_eq!(is.and_then(Span::length), is.map(|_| length));
    }

    #[rstest]
    #[case::nothing_taken(vec![], vec![span(10, 20)])]
    #[case::all_taken(vec![span(0, 30)], vec![])]
    #[case::adjacent(vec![span(12, 13), span(14, 15)], vec![span(10, 11), span(16, 20)])]
    #[case::at_both_ends(vec![span(5, 10), span(20, 25)], vec![span(11, 19)])]
    #[case::to_the_last_address(vec![span(15, u64::MAX)], vec![span(10, 14)])]
    fn holes_are_what_is_left(#[case] taken: Vec<Span>, #[case] left: Vec<Span>) {
        assert_eq!(holes(span(10, 20), taken), left);
    }
}
