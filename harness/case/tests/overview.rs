//! The overview counts what cases say explicitly, and shows what nobody proves.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test panics to fail"
)]

mod common;

use case::Corpus;

const CASES: &str = "summary: x
table:
  zero: {id: 0, errno: ENOENT}
  one: {id: 1, errno: ENOENT}
  good: {id: 2}
steps:
  - IOMMU_DESTROY: {on: iommu, ..: row}
  - VFIO_DEVICE_RESET: {on: a, errno: EINVAL}
";
const KNOWN_TO_FAIL: &str = "summary: x
xfail: {finding: known-one, leaves: x}
steps:
  - IOMMU_DESTROY: {on: iommu, id: 1, errno: EBUSY}
";

#[test]
fn tests_are_counted_by_ioctl_and_errno() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    std::fs::create_dir(root.join("part")).unwrap();
    std::fs::write(root.join("part/some.yaml"), CASES).unwrap();
    std::fs::write(root.join("known.yaml"), KNOWN_TO_FAIL).unwrap();
    let corpus = Corpus::load(root, common::findings(), false).unwrap();
    let text = case::overview(&corpus, root);
    let about = |line: &&str| {
        let row = line.starts_with("| IOMMU_DESTROY") || line.starts_with("| VFIO_DEVICE_RESET");
        row || line.starts_with("| ioctl") || line.starts_with("- E")
    };
    let shown: Vec<_> = text.lines().filter(about).collect();
    insta::assert_snapshot!(shown.join("\n"));
}
