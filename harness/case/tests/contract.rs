//! What a contract promises, row by row.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test panics to fail"
)]

use case::{Case, Corpus, WantEnd};
use rstest::rstest;

const PRELUDES: &str = include_str!("../../../cases/preludes.yaml");

fn load(text: &str) -> Corpus {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("case.yaml", text), ("preludes.yaml", PRELUDES)] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    Corpus::load(folder.path(), false).unwrap()
}

fn end(end: &WantEnd) -> String {
    match end {
        WantEnd::Success => "success".to_owned(),
        WantEnd::Errno(number) => uapi::errno_name(*number).unwrap_or("?").to_owned(),
        other => format!("{other:?}"),
    }
}

/// Every row with its calls; runs of calls that end alike and differ in a value only are cut.
fn rows(corpus: &Corpus) -> String {
    let row = |case: &Case| {
        let steps = case.steps.iter().map(|step| match step.ioctl() {
            Some((_, wanted)) => format!("  {}: {}\n", step.label, end(wanted)),
            None => format!("  {}\n", step.label),
        });
        let steps: Vec<_> = steps.collect();
        let shown = match steps.as_slice() {
            [first, second, .., last, plain] if steps.len() > 12 => {
                format!("{first}{second}  ...\n{last}{plain}")
            }
            _ => steps.concat(),
        };
        let xfail = case
            .xfails
            .first()
            .map(|xfail| format!(" XFAIL {}", xfail.reason));
        format!("{}{}\n{shown}", case.id, xfail.unwrap_or_default())
    };
    corpus.cases.iter().map(row).collect()
}

#[rstest]
// The head of linux/iommufd.h says how these end.
#[case::iommufd(
    "summary: x
contract:
  call: {IOMMU_IOAS_COPY: {on: iommu, dst_ioas_id: $a, src_ioas_id: $b, flags: [READABLE]}}
  omit: {dst_ioas_id: as src_ioas_id}
steps: []"
)]
// The kernel copies as much as it knows of these.
#[case::vfio(
    "summary: x\ncontract: {call: {VFIO_DEVICE_GET_IRQ_INFO: {on: a, index: VFIO_PCI_INTX_IRQ_INDEX}}}\nsteps: []"
)]
// A flexible array, of which a feature says what it is, and an index among flags.
#[case::data(
    "summary: x
contract:
  call:
    VFIO_DEVICE_FEATURE:
      {on: a, flags: [SET, LOW_POWER_ENTRY_WITH_WAKEUP], data: [{wakeup_eventfd: $event}]}
steps: []"
)]
// No struct at all.
#[case::string(
    "summary: x\ncontract: {call: {VFIO_GROUP_GET_DEVICE_FD: {on: g, string: x}}}\nsteps: []"
)]
#[case::nothing("summary: x\ncontract: {call: {VFIO_DEVICE_RESET: {on: a}}}\nsteps: []")]
// What a row says comes before what its field says, and a call before its row.
#[case::exceptions(
    "summary: x
contract:
  call: {IOMMU_DESTROY: {on: iommu, id: $a, save: {id: b}}}
  undo:
    - close: b
  except:
    id does not exist: {errno: EINVAL, after: EBUSY, reason: r}
    id 0x0: {errno: EPERM, reason: r}
    size short: {xfail: known}
    size long garbage: {errno: none, reason: r}
  omit: {wrong ioctl type: r, id 0xffffffff: r}
steps:
  - open: {iommu: /dev/iommu}"
)]
fn rows_follow_from_the_table(#[case] text: &str) {
    let name = std::thread::current().name().unwrap().replace("::", "_");
    insta::assert_snapshot!(name, rows(&load(text)));
}
