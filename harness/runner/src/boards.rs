//! Machines with some of a platform's groups: which case runs on which.
//!
//! A case is the same on each of them: groups of a shape are on a board together, and the group that
//! a case takes as a second one is of its own shape or a singleton.

use std::collections::BTreeMap;

use case::{Case, Guest};
use vm_images::Image;

use crate::{
    inventory,
    platform::Platform,
    qemu::{Argv, Machine, Qemu, QemuError},
    runnable::with_domains,
};

/// The number of cases of a run for which it pays to boot a board.
const WORTH_A_BOOT: usize = 100;

/// The guest that a case runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Which of the machines, the whole one being the last.
    pub board: usize,
    /// Its number of processors.
    pub processors: u32,
}

/// A machine with some or all groups of a platform.
#[derive(Debug, Clone)]
pub struct Board {
    /// The platform with the groups that it has.
    pub platform: Platform,
    /// Its command line.
    pub argv: Argv,
    /// What a guest on it offers, if the kernel is as its files say.
    imagined: Guest,
}

/// The boards of a platform, and the whole machine.
#[derive(Debug, Clone)]
pub struct Boards {
    boards: Vec<Board>,
    /// All groups.
    pub whole: Board,
}

impl Boards {
    /// Reads the boards of a machine for a kernel.
    ///
    /// # Errors
    /// When this QEMU lacks what the platform cannot be without.
    pub fn new(qemu: &Qemu, machine: &Machine<'_>, image: &Image) -> Result<Self, QemuError> {
        let board = |platform: Platform| {
            let argv = qemu.argv(&Machine {
                platform: &platform,
                ..*machine
            })?;
            let imagined = imagined(&platform, image);
            Ok(Board {
                platform,
                argv,
                imagined,
            })
        };
        let whole = machine.platform;
        let boards = whole.devices.boards.iter();
        let boards = boards.map(|shapes| board(whole.of_board(shapes)));
        Ok(Self {
            boards: boards.collect::<Result<_, QemuError>>()?,
            whole: board(whole.clone())?,
        })
    }

    /// The index of the whole machine.
    pub fn whole_at(&self) -> usize {
        self.boards.len()
    }

    /// The machine with this index.
    pub fn at(&self, index: usize) -> &Board {
        self.boards.get(index).unwrap_or(&self.whole)
    }

    /// Returns the same machines with other command lines.
    #[must_use]
    pub fn with_argv(&self, change: impl Fn(&mut Argv)) -> Self {
        let mut boards = self.clone();
        change(&mut boards.whole.argv);
        boards
            .boards
            .iter_mut()
            .for_each(|board| change(&mut board.argv));
        boards
    }

    /// Returns the machine for each of these cases, by its index. A board that few of them need is left
    /// out.
    pub fn of_cases(&self, cases: &[&Case]) -> Vec<usize> {
        let mut found: Vec<_> = cases.iter().map(|case| self.of_case(case)).collect();
        let mut counts = BTreeMap::<_, usize>::new();
        for index in &found {
            *counts.entry(*index).or_default() += 1;
        }
        for index in &mut found {
            if counts.get(index).is_none_or(|count| *count < WORTH_A_BOOT) {
                *index = self.whole_at();
            }
        }
        found
    }

    /// The first board on which a case runs. One that is skipped, for whatever reason, is skipped on the
    /// whole machine: the reason must not be that its board was too small.
    pub fn of_case(&self, case: &Case) -> usize {
        let runs = |board: &Board| board.platform.compile(case, &board.imagined).is_ok();
        let small = runs(&self.whole).then(|| self.boards.iter().position(runs));
        small.flatten().unwrap_or(self.whole_at())
    }
}

fn imagined(platform: &Platform, image: &Image) -> Guest {
    let options = image.config.iter().flat_map(|config| config.options.keys());
    let mut guest = with_domains(inventory::imagined(platform, options.map(String::as_str)));
    guest.release.clone_from(&image.release);
    guest.declared.clone_from(&image.declared);
    guest
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test panics to fail")]

    use std::collections::BTreeSet;

    use case::Corpus;
    use rstest::rstest;

    use super::*;
    use crate::{
        lab::load_corpus,
        options::{cases_folder, vm_images_folder},
        promise::relevant,
    };

    fn boards() -> Boards {
        let whole = Platform::load(&vm_images_folder(), "intel").unwrap();
        let board = |platform: Platform| Board {
            imagined: with_domains(inventory::imagined(&platform, relevant(&platform))),
            argv: Argv {
                args: Vec::new(),
                devices: BTreeMap::new(),
                lacking: BTreeMap::new(),
            },
            platform,
        };
        let boards = whole.devices.boards.iter();
        Boards {
            boards: boards.map(|shapes| board(whole.of_board(shapes))).collect(),
            whole: board(whole.clone()),
        }
    }

    fn case(shapes: &str, steps: &str) -> Case {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("summary: A rule\nshapes: [{shapes}]\nsteps: {steps}\n");
        std::fs::write(folder.path().join("a.yaml"), text).unwrap();
        load_corpus(folder.path()).unwrap().cases.remove(0)
    }

    #[rstest]
    #[case::one_shape("bridge", "[open: {a: group.0}]", Some("functions"))]
    #[case::another_shape("port", "[open: {a: group.0}]", Some("ports"))]
    #[case::a_second_group("sriov", "[open: {a: group.0, b: other.0}]", Some("express"))]
    #[case::two_on_different_boards("port", "[open: {a: group.0, b: bridge.0}]", None)]
    #[case::skipped("port", "[open: {a: group.9}]", None)]
    fn a_case_runs_on_the_first_board_that_has_what_it_needs(
        #[case] shape: &str,
        #[case] steps: &str,
        #[case] beside: Option<&str>,
    ) {
        let boards = boards();
        let index = boards.of_case(&case(shape, steps));
        assert_eq!(index == boards.whole_at(), beside.is_none());
        let has = |shape| {
            let mut groups = boards.at(index).platform.devices.groups.values();
            groups.any(|group| group.shape.0.to_string() == shape)
        };
        assert!(beside.is_none_or(has));
    }

    #[rstest]
    fn a_board_is_booted_for_many_cases_only() {
        let boards = boards();
        let bridge = case("bridge", "[open: {a: group.0}]");
        let port = case("port", "[open: {a: group.0}]");
        let many = vec![&bridge; WORTH_A_BOOT];
        let all = [many, vec![&port]].concat();
        let (last, first) = boards
            .of_cases(&all)
            .split_last()
            .map(|(a, b)| (*a, b.to_vec()))
            .unwrap();
        assert_eq!(first, vec![0; WORTH_A_BOOT]);
        assert_eq!(last, boards.whole_at());
    }

    #[rstest]
    fn each_shape_is_on_a_board_with_the_singletons() {
        let boards = boards();
        let shapes = |board: &Board| -> BTreeSet<String> {
            let groups = board.platform.devices.groups.values();
            groups.map(|group| group.shape.0.to_string()).collect()
        };
        let all: BTreeSet<_> = boards.boards.iter().flat_map(shapes).collect();
        assert_eq!(all, shapes(&boards.whole));
        assert!(
            boards
                .boards
                .iter()
                .all(|board| shapes(board).contains("singleton"))
        );
    }

    #[rstest]
    fn few_cases_need_the_whole_machine() {
        let boards = boards();
        let Corpus { cases, .. } = load_corpus(&cases_folder()).unwrap();
        let runs = |case: &&Case| {
            let whole = &boards.whole;
            whole.platform.compile(case, &whole.imagined).is_ok()
        };
        let whole = cases.iter().filter(runs);
        let whole = whole.filter(|case| boards.of_case(case) == boards.whole_at());
        let ids: Vec<_> = whole.map(|case| case.id.as_str()).collect();
        insta::assert_debug_snapshot!(ids);
    }
}
