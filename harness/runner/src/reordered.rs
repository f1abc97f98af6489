//! Groups whose devices cases have put in another order on their bus.

use std::collections::BTreeSet;

use case::{Case, Shape};

/// The shapes of such groups in one guest. `None` stands for a case that names no shape.
///
/// A removed device that is found again becomes the last of its bus, and cases take devices in the
/// order of their bus. So what follows runs in another guest, except a case that itself does so to
/// a group of another shape: a boot for each of them would cost more than they do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reordered(BTreeSet<Option<Shape>>);

impl Reordered {
    /// Notes that a case has run.
    pub fn add(&mut self, case: &Case) {
        if case.reorders_devices() {
            self.0.insert(case.shape);
        }
    }

    /// Whether a case finds what it needs in the order of boot.
    pub fn suits(&self, case: &Case) -> bool {
        let of_other_shape = case.shape.is_some()
            && !self.0.contains(&case.shape)
            && !self.0.contains(&None)
            && case.reorders_devices();
        self.0.is_empty() || of_other_shape
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rstest::rstest;

    use super::*;
    use crate::lab::load_corpus;

    fn case(shape: &str, step: &str) -> Case {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("summary: A rule\nshapes: [{shape}]\nsteps: [{step}]\n");
        fs::write(folder.path().join("a.yaml"), text).unwrap();
        load_corpus(folder.path()).unwrap().cases.remove(0)
    }

    #[rstest]
    #[case::another_removal("port", "remove: group.0", true)]
    #[case::the_same_group("bridge", "remove: group.0", false)]
    #[case::none_removed("port", "open: {iommu: /dev/iommu}", false)]
    fn a_guest_with_a_removed_bridge_suits(
        #[case] shape: &str,
        #[case] step: &str,
        #[case] suits: bool,
    ) {
        let mut reordered = Reordered::default();
        let next = case(shape, step);
        reordered.add(&case("singleton", "open: {iommu: /dev/iommu}"));
        assert!(reordered.suits(&next));
        reordered.add(&case("bridge", "remove: group.0"));
        assert_eq!(reordered.suits(&next), suits);
    }
}
