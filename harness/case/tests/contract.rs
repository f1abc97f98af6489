//! What the rows of a contract are, and that no ioctl is without one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test panics to fail"
)]

mod common;

use std::{collections::BTreeSet, path::Path};

use case::{Case, Corpus, Findings, WantEnd, Xfail};
use common::findings;
use rstest::rstest;

/// Ioctls without a contract, each with the reason.
const KVM: &str = "KVM's own: kvm/ has what is about vfio";
const WITHOUT: [(&str, &str); 8] = [
    (
        "IOMMU_TEST_CMD",
        "the mock's own: nothing is promised to a user",
    ),
    ("VFIO_IOMMU_ENABLE", "of POWER only; contract/unsupported"),
    ("VFIO_IOMMU_DISABLE", "of POWER only; contract/unsupported"),
    (
        "VFIO_DEVICE_GET_GFX_DMABUF",
        "a second call with the same id corrupts the guest, and a contract makes many: mbochs-dmabuf-second-descriptor",
    ),
    ("KVM_CREATE_VM", KVM),
    ("KVM_CREATE_DEVICE", KVM),
    ("KVM_SET_DEVICE_ATTR", KVM),
    ("KVM_HAS_DEVICE_ATTR", KVM),
];

const PRELUDES: &str = include_str!("../../../cases/preludes.yaml");

fn load(text: &str) -> Corpus {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("case.yaml", text), ("preludes.yaml", PRELUDES)] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    Corpus::load(folder.path(), findings(), false).unwrap()
}

fn end(end: &WantEnd) -> String {
    match end {
        WantEnd::Success => "success".to_owned(),
        WantEnd::Errno(number) => uapi::errno_name(*number).unwrap_or("?").to_owned(),
        other => format!("{other:?}"),
    }
}

/// The steps that a known failure names.
fn failing(xfail: &Xfail) -> String {
    let steps = xfail.shows.steps.iter();
    let steps = steps.map(|it| format!("\n  {} => {}", it.step.text, it.observed.join(", ")));
    steps.collect()
}

/// Every row with its calls; runs of calls that end alike and differ in a value only are cut.
fn rows(corpus: &Corpus) -> String {
    let row = |case: &Case| {
        let steps = case.steps.iter().map(|step| match step.ioctl() {
            Some(call) => format!("  {}: {}\n", step.label, end(call.wanted())),
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
            .map(|xfail| format!(" XFAIL {}{}", xfail.reason, failing(xfail)));
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
// It cannot succeed on this device, but gets past the checks of its argument.
#[case::ending(
    "summary: x\ncontract: {call: {VFIO_DEVICE_PCI_HOT_RESET: {on: a, errno: ENODEV}}}\nsteps: []"
)]
// What a row says comes before what its field says, and a call before its row.
#[case::exceptions(
    "summary: x
contract:
  call: {IOMMU_DESTROY: {on: iommu, id: $a, save: {id: b}}}
  undo:
    - close: b
  except:
    id does not exist: {errno: EINVAL, done: true, reason: r}
    id 0x0: {errno: EPERM, reason: r}
    size short: {xfail: success, finding: known-one}
    size long garbage: {errno: none, reason: r}
  omit: {wrong ioctl type: r, id 0xffffffff: r}
steps:
  - open: {iommu: /dev/iommu}"
)]
fn rows_follow_from_the_table(#[case] text: &str) {
    let name = std::thread::current().name().unwrap().replace("::", "_");
    insta::assert_snapshot!(name, rows(&load(text)));
}

#[test]
fn every_ioctl_has_a_contract() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../cases");
    let findings = Findings::load(&root.join("../results/findings"), false).unwrap();
    let corpus = Corpus::load(&root, findings, false).unwrap();
    let contracts = corpus
        .cases
        .iter()
        .filter(|case| case.id.ends_with("/as-given"));
    let last = contracts.filter_map(|case| case.steps.iter().rev().find_map(|step| step.ioctl()));
    let with: BTreeSet<_> = last.map(|call| call.made().name).collect();
    let without: Vec<_> = uapi::ioctls()
        .iter()
        .map(|ioctl| ioctl.name)
        .filter(|name| !with.contains(name))
        .collect();
    let listed = WITHOUT.map(|(name, _)| name);
    assert_eq!(
        without, listed,
        "an ioctl has a contract or stands on the list"
    );
}

/// The calls with what a kernel of this release does not know, and how they end.
#[rstest]
#[case::flag("IOMMU_HWPT_ALLOC", "flags unknown bits", "6.12", &["flags 0x8, which is IOMMU_HWPT_ALLOC_PASID of Linux 6.13: EOPNOTSUPP"])]
#[case::field("IOMMU_HWPT_ALLOC", "size long garbage", "6.10", &[
    "fault_id 1, which is iommu_hwpt_alloc.fault_id of Linux 6.11: E2BIG",
    "__reserved2 1, which is iommu_hwpt_alloc.__reserved2 of Linux 6.11: E2BIG",
])]
#[case::nothing("IOMMU_HWPT_ALLOC", "size long garbage", "6.11", &[])]
fn an_older_kernel_gets_what_it_does_not_know(
    #[case] ioctl: &str,
    #[case] row: &str,
    #[case] release: &str,
    #[case] calls: &[&str],
) {
    let corpus = load(&format!(
        "summary: x\ncontract: {{call: {{{ioctl}: {{on: iommu, pt_id: 1}}}}}}\nsteps: []"
    ));
    let row = format!("case/{}", row.replace(' ', "-"));
    let case = corpus.cases.iter().find(|case| case.id == row).unwrap();
    let release = release.to_owned();
    let guest = case::Guest {
        release,
        ..case::Guest::default()
    };
    let compiled = case.compile(&guest).unwrap();
    let newer = compiled
        .checks
        .iter()
        .filter(|check| check.label.contains(" of Linux "));
    let shown: Vec<_> = newer
        .map(|check| {
            let what = check.label.split_once(": ").unwrap().1;
            format!("{what}: {}", end(&check.expect.end))
        })
        .collect();
    assert_eq!(shown, calls);
}

/// A flag that only the headers of the kernel have is not called as one without a name.
#[rstest]
#[case::of_the_field("enum { IOMMU_HWPT_ALLOC_FOO = 0x40 };", true)]
#[case::of_another_field("enum { VFIO_FOO = 0x40 };", false)]
#[case::more_than_one_bit("enum { IOMMU_HWPT_ALLOC_MASK = 0xc0 };", false)]
fn a_number_that_the_headers_name_is_not_one_without_a_name(
    #[case] headers: &str,
    #[case] is_named: bool,
) {
    let corpus =
        load("summary: x\ncontract: {call: {IOMMU_HWPT_ALLOC: {on: iommu, pt_id: 1}}}\nsteps: []");
    let mut cases = corpus.cases.iter();
    let case = cases.find(|case| case.id == "case/flags-unknown-bits");
    let guest = case::Guest {
        declared: Some(std::sync::Arc::new(uapi::Header::scan(headers))),
        ..case::Guest::default()
    };
    let need = case.unwrap().compile(&guest).err();
    assert_eq!(need.is_some(), is_named, "{need:?}");
    assert!(need.is_none_or(|need| need.contains("tables with IOMMU_HWPT_ALLOC_FOO")));
}
