//! Which case a worker runs next.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, VecDeque},
};

use case::Case;

use crate::boards::Place;

/// The number of waiting cases for which it pays to boot a second guest of a place.
const WORTH_HELP: usize = 30;

/// The cases of a run that wait, and where the workers are.
///
/// A worker stays where its guest is. Then it goes where nobody is, to the most cases first: each boot
/// serves many cases, and the workers are busy with cases of different kinds. Only then does it boot a
/// guest that another worker has, too.
#[derive(Debug, Default)]
pub struct Queue<'a> {
    waiting: BTreeMap<Place, VecDeque<&'a Case>>,
    workers: BTreeMap<Place, usize>,
}

impl<'a> Queue<'a> {
    /// All cases of a run with their places. Of those of a place, the ones whose guest is of no use to
    /// most others come last, so that they share one.
    pub fn new(cases: impl IntoIterator<Item = (Place, &'a Case)>) -> Self {
        let mut queue = Self::default();
        let (last, first): (Vec<_>, Vec<_>) = cases
            .into_iter()
            .partition(|(_, case)| case.reorders_devices());
        for (place, case) in first.into_iter().chain(last) {
            queue.waiting.entry(place).or_default().push_back(case);
        }
        queue
    }

    /// Takes the next case for a worker whose guest, if it has one, is at `here`. Without one the worker
    /// has nothing more to do.
    pub fn next(&mut self, here: Option<Place>) -> Option<(Place, &'a Case)> {
        let stays = here.filter(|place| self.waiting.contains_key(place));
        let there = stays.or_else(|| self.elsewhere());
        if here != there {
            self.moves(here, there);
        }
        let there = there?;
        let cases = self.waiting.get_mut(&there)?;
        let case = cases.pop_front()?;
        if cases.is_empty() {
            self.waiting.remove(&there);
        }
        Some((there, case))
    }

    fn elsewhere(&self) -> Option<Place> {
        let free = |place, _| self.workers.get(&place).is_none_or(|workers| *workers == 0);
        let alone = self.most(free);
        alone.or_else(|| self.most(|_, cases| cases >= WORTH_HELP))
    }

    /// The place of this kind at which most cases wait.
    fn most(&self, of_kind: impl Fn(Place, usize) -> bool) -> Option<Place> {
        let places = self.waiting.iter();
        places
            .map(|(place, cases)| (*place, cases.len()))
            .filter(|(place, cases)| of_kind(*place, *cases))
            .max_by_key(|(place, cases)| (*cases, Reverse(*place)))
            .map(|(place, _)| place)
    }

    fn moves(&mut self, from: Option<Place>, to: Option<Place>) {
        if let Some(workers) = from.and_then(|place| self.workers.get_mut(&place)) {
            *workers = workers.saturating_sub(1);
        }
        if let Some(place) = to {
            *self.workers.entry(place).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test panics to fail")]

    use rstest::rstest;

    use super::*;
    use crate::lab::load_corpus;

    const SMALL: Place = Place {
        board: 0,
        processors: 1,
    };
    const RACES: Place = Place {
        board: 0,
        processors: 2,
    };
    const WHOLE: Place = Place {
        board: 1,
        processors: 1,
    };

    fn case(steps: &str) -> Case {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("summary: A rule\nshapes: [bridge]\nsteps: {steps}\n");
        std::fs::write(folder.path().join("a.yaml"), text).unwrap();
        load_corpus(folder.path()).unwrap().cases.remove(0)
    }

    /// Lets workers take the next case in turn, and returns where each of them was.
    fn played(waiting: &[(Place, usize)], workers: usize) -> Vec<Vec<Place>> {
        let case = case("[open: {a: group.0}]");
        let cases = waiting
            .iter()
            .flat_map(|(place, cases)| vec![(*place, &case); *cases]);
        let mut queue = Queue::new(cases);
        let mut went = vec![Vec::new(); workers];
        let mut here = vec![None; workers];
        loop {
            let mut took = 0;
            for (here, went) in here.iter_mut().zip(&mut went) {
                *here = queue.next(*here).map(|(place, _)| place);
                took += usize::from(here.is_some());
                went.extend(here.filter(|place| went.last() != Some(place)));
            }
            if took == 0 {
                return went;
            }
        }
    }

    #[rstest]
    #[case::each_to_its_own(&[(SMALL, 50), (WHOLE, 50)], vec![vec![SMALL], vec![WHOLE]])]
    #[case::the_largest_first(&[(SMALL, 20), (RACES, 30), (WHOLE, 70)], vec![vec![WHOLE], vec![RACES, SMALL]])]
    #[case::no_help_for_few(&[(SMALL, 20)], vec![vec![SMALL], vec![]])]
    #[case::help_for_many(&[(SMALL, 60)], vec![vec![SMALL], vec![SMALL]])]
    #[case::help_at_the_end(&[(SMALL, 10), (WHOLE, 90)], vec![vec![WHOLE], vec![SMALL, WHOLE]])]
    #[case::nothing(&[], vec![vec![], vec![]])]
    fn two_workers_share_a_run(#[case] waiting: &[(Place, usize)], #[case] went: Vec<Vec<Place>>) {
        assert_eq!(played(waiting, 2), went);
    }

    #[rstest]
    fn one_worker_goes_everywhere() {
        let waiting = [(SMALL, 1), (RACES, 3), (WHOLE, 2)];
        assert_eq!(played(&waiting, 1), [[RACES, WHOLE, SMALL]]);
    }

    #[rstest]
    fn cases_that_reorder_devices_come_last() {
        let (plain, reorders) = (
            case("[open: {a: group.0}]"),
            case("[remove: group.1, rescan: group.1]"),
        );
        assert!(reorders.reorders_devices());
        let mut queue = Queue::new([(SMALL, &reorders), (SMALL, &plain)]);
        let mut next = || {
            queue
                .next(Some(SMALL))
                .map(|(_, case)| case.reorders_devices())
        };
        assert_eq!([next(), next(), next()], [Some(false), Some(true), None]);
    }
}
