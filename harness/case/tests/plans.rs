//! What a step becomes: the ops that the agent is told to execute.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test panics to fail"
)]

use case::{Compiled, Corpus, Guest};
use rstest::rstest;
use wire::{Arg, Op, Value};

fn compile(steps: &str) -> Compiled {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("summary: x\nsteps:\n{steps}");
    std::fs::write(folder.path().join("case.yaml"), text).unwrap();
    std::fs::write(folder.path().join("clauses.yaml"), "S1.6: a clause\n").unwrap();
    std::fs::write(folder.path().join("preludes.yaml"), "{}\n").unwrap();
    let corpus = Corpus::load(folder.path(), false).unwrap();
    corpus.cases[0].compile(&Guest::default()).unwrap()
}

fn argument(steps: &str) -> Arg {
    match compile(steps).plan.ops.pop() {
        Some(Op::Ioctl { arg, .. }) => arg,
        other => panic!("{other:?} is no ioctl"),
    }
}

#[rstest]
#[case::get("GET_BITMAP", "iova: 0x11, bitmap.size: 8", 48, (8, 0x11), (32, 8))]
#[case::of_the_flags_number("4", "size: 0x22", 48, (4, 4), (16, 0x22))]
fn flags_choose_what_follows_a_struct(
    #[case] flags: &str,
    #[case] data: &str,
    #[case] size: usize,
    #[case] first: (usize, u8),
    #[case] second: (usize, u8),
) {
    // The order of the keys is the case's choice.
    let body = format!("data: [{{{data}}}], flags: {flags}, on: c");
    let Arg::Buffer { bytes, .. } = argument(&format!("  - VFIO_IOMMU_DIRTY_PAGES: {{{body}}}"))
    else {
        panic!("no buffer");
    };
    assert_eq!(bytes.len(), size);
    assert_eq!(bytes[0], size as u8);
    for (offset, byte) in [first, second] {
        assert_eq!(bytes[offset], byte, "at {offset} of {bytes:?}");
    }
}

#[test]
fn a_pointer_may_lie_in_memory_of_the_case() {
    let steps = "  - memory: {info: 0x1000}\n  - VFIO_IOMMU_GET_INFO: {on: c, pointer: $info+0x10}";
    let at = Value::Slot {
        name: "info".to_owned(),
        add: 0x10,
    };
    assert_eq!(argument(steps), Arg::Value(at));
}

#[test]
fn a_file_of_the_guest_is_written_back() {
    let steps = "  - write_file: {path: /sys/module/vfio/parameters/x, text: \"1\", after: \"0\"}";
    let restore = compile(steps).plan.restore;
    assert!(
        matches!(&restore[..], [Op::WriteFile { text, .. }] if text == "0"),
        "{restore:?}"
    );
}

#[test]
fn a_row_gives_what_it_has() {
    let steps = "  - use: row.before\n  - VFIO_IOMMU_UNMAP_DMA: {on: c, iova: 1, size: 2, ..: row.unmap}\n\
                 table:\n  a row: {unmap: {size: 3}}";
    let compiled = compile(steps);
    assert_eq!(compiled.plan.ops.len(), 1);
    let Arg::Buffer { bytes, .. } = argument(steps) else {
        panic!("no buffer");
    };
    assert_eq!((bytes[8], bytes[16]), (1, 3));
}
