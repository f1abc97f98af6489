//! What a step becomes: the ops that the agent is told to execute.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test panics to fail"
)]

use std::sync::Arc;

use case::{Compiled, Corpus, Findings, Guest};
use rstest::rstest;
use wire::{Arg, ControlOp, FileOp, IoctlOp, Op, Value};

fn compile(steps: &str) -> Compiled {
    compile_on("", steps).unwrap()
}

fn compile_on(release: &str, steps: &str) -> Result<Compiled, String> {
    compile_for(release, None, steps)
}

fn compile_for(release: &str, known: Option<&[&str]>, steps: &str) -> Result<Compiled, String> {
    let request = |name: &&str| uapi::ioctl(name).unwrap().request;
    let guest = Guest {
        release: release.to_owned(),
        known_ioctls: known.map(|known| known.iter().map(request).collect()),
        ..Guest::default()
    };
    compile_in(guest, steps).unwrap()
}

/// Compiles steps for a guest whose kernel has these headers.
fn compile_with(release: &str, headers: &str, steps: &str) -> Result<Compiled, String> {
    let guest = Guest {
        release: release.to_owned(),
        declared: Some(Arc::new(uapi::Header::scan(headers))),
        ..Guest::default()
    };
    compile_in(guest, steps).unwrap()
}

/// Compiles steps for a guest. The outer error is a mistake in the case.
fn compile_in(guest: Guest, steps: &str) -> Result<Result<Compiled, String>, String> {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("summary: x\nsteps:\n{steps}");
    std::fs::write(folder.path().join("case.yaml"), text).unwrap();
    std::fs::write(folder.path().join("clauses.yaml"), "S1.6: a clause\n").unwrap();
    std::fs::write(folder.path().join("preludes.yaml"), "{}\n").unwrap();
    let corpus = Corpus::load(folder.path(), Findings::default(), false);
    let corpus = corpus.map_err(|error| error.to_string())?;
    let guest = Guest {
        config: [("CONFIG_IOMMUFD_TEST".to_owned(), "y".to_owned())].into(),
        ..guest
    };
    Ok(corpus.cases[0].compile(&guest))
}

fn argument(steps: &str) -> Arg {
    match compile(steps).plan.ops.pop() {
        Some(Op::Ioctl(IoctlOp { arg, .. })) => arg,
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
        matches!(&restore[..], [Op::File(FileOp::WriteFile { text, .. })] if text == "0"),
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

#[test]
fn an_array_may_follow_the_struct_in_an_array() {
    let ranges = "[{offset: 0x1000, length: 0x2000}, {offset: 0x5000, length: 0x3000}]";
    let data = format!("{{region_index: 2, nr_ranges: 2, dma_ranges: {ranges}}}");
    let step = format!("  - VFIO_DEVICE_FEATURE: {{on: a, flags: [GET, DMA_BUF], data: [{data}]}}");
    let Arg::Buffer { bytes, .. } = argument(&step) else {
        panic!("no buffer");
    };
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let words: Vec<_> = (0..bytes.len()).step_by(4).map(word).collect();
    let header = [56, 0x1_000b];
    let feature = [2, 0, 0, 2];
    let first = [0x1000, 0, 0x2000, 0];
    let second = [0x5000, 0, 0x3000, 0];
    assert_eq!(
        words,
        [&header[..], &feature, &first, &second].concat(),
        "{bytes:?}"
    );
}

#[test]
fn a_step_is_repeated_with_a_counter() {
    let step = "VFIO_DEVICE_IOEVENTFD: {on: a, data: $n, fd: 3}";
    let steps = format!("  - repeat: {{times: 7, count: n, step: {{{step}}}}}\n  - close: a");
    let ops = compile(&steps).plan.ops;
    let [
        Op::Control(ControlOp::Repeat { times, counter, op }),
        Op::File(FileOp::Close { .. }),
    ] = &ops[..]
    else {
        panic!("{ops:?}");
    };
    assert_eq!((*times, counter.0.as_str()), (7, "n"));
    assert!(matches!(**op, Op::Ioctl(_)), "{op:?}");
}

#[rstest]
#[case::an_ioctl(
    "6.12.95",
    "IOMMU_VIOMMU_ALLOC: {on: a}",
    Some("6.13: IOMMU_VIOMMU_ALLOC")
)]
#[case::an_ioctl_of_its_release("6.13.0-rc1", "IOMMU_VIOMMU_ALLOC: {on: a}", None)]
#[case::a_feature(
    "6.18.1",
    "VFIO_DEVICE_FEATURE: {on: a, flags: [GET, DMA_BUF], data: [{open_flags: 0}]}",
    Some("6.19: VFIO_DEVICE_FEATURE_DMA_BUF")
)]
#[case::a_field(
    "6.12.95",
    "VFIO_DEVICE_ATTACH_IOMMUFD_PT: {on: a, pt_id: 1, pasid: 2}",
    Some("6.15: vfio_device_attach_iommufd_pt.pasid")
)]
#[case::a_field_that_is_not_given(
    "6.12.95",
    "VFIO_DEVICE_ATTACH_IOMMUFD_PT: {on: a, pt_id: 1}",
    None
)]
#[case::a_flag(
    "6.12.95",
    "IOMMU_HWPT_ALLOC: {on: a, flags: [PASID]}",
    Some("6.13: IOMMU_HWPT_ALLOC_PASID")
)]
#[case::a_flag_by_its_number(
    "6.12.95",
    "IOMMU_HWPT_ALLOC: {on: a, flags: 8}",
    Some("6.13: IOMMU_HWPT_ALLOC_PASID")
)]
#[case::a_bit_without_a_name("6.12.95", "IOMMU_HWPT_ALLOC: {on: a, flags: 16}", None)]
#[case::a_value(
    "6.12.95",
    "IOMMU_HWPT_ALLOC: {on: a, data_type: AMD_GUEST}",
    Some("(by 7.2): IOMMU_HWPT_DATA_AMD_GUEST")
)]
#[case::an_op_of_the_mock(
    "6.12.95",
    "IOMMU_TEST_CMD: {on: a, op: PASID_ATTACH}",
    Some("(by 7.2): IOMMU_TEST_OP_PASID_ATTACH")
)]
#[case::an_older_op_of_the_mock("6.12.95", "IOMMU_TEST_CMD: {on: a, op: TRIGGER_IOPF}", None)]
#[case::a_field_in_memory(
    "6.18",
    "memory: {d: {put: [{struct: iommu_hwpt_selftest, pagetable_type: HUGE}]}}\n  - close: a",
    Some("6.19: iommu_hwpt_selftest.pagetable_type")
)]
#[case::an_expected_bit(
    "6.12.95",
    "IOMMU_GET_HW_INFO: {on: a, expect: {out_capabilities: {has: [PCI_PASID_EXEC]}}}",
    Some("6.15: IOMMU_HW_CAP_PCI_PASID_EXEC")
)]
#[case::a_bit_that_is_not_expected(
    "6.12.95",
    "IOMMU_GET_HW_INFO: {on: a, expect: {out_capabilities: {lacks: [PCI_PASID_EXEC]}}}",
    None
)]
fn a_step_needs_the_release_that_brought_it(
    #[case] release: &str,
    #[case] step: &str,
    #[case] needs: Option<&str>,
) {
    let need = compile_on(release, &format!("  - {step}")).err();
    assert_eq!(need, needs.map(|needs| format!("Linux {needs}")));
}

#[test]
fn a_backport_is_judged_with_all_that_came_with_it() {
    let call = "  - IOMMU_VIOMMU_ALLOC: {on: a, dev_id: 1, type: SELFTEST}";
    let known: &[_] = &["IOMMU_VIOMMU_ALLOC"];
    let need = compile_for("7.1", Some(known), call).err();
    assert_eq!(
        need.as_deref(),
        Some("Linux (by 7.2): IOMMU_VIOMMU_TYPE_SELFTEST")
    );
    let call = "  - IOMMU_VIOMMU_ALLOC: {on: a, dev_id: 1}";
    compile_for("6.12.95", Some(known), call).unwrap();
    // What it lacks although its release has it fails in the guest.
    compile_for("7.3.4", Some(&[]), call).unwrap();
    let call = "  - IOMMU_VIOMMU_ALLOC: {on: a, data_len: 8}";
    let need = compile_for("6.12.95", Some(known), call).err();
    assert_eq!(
        need.as_deref(),
        Some("Linux 6.17: iommu_viommu_alloc.data_len")
    );
}

#[rstest]
#[case::of_now("7.3.4", None, &[])]
#[case::of_a_year_ago("6.18", None, &["IOMMU_IOAS_NOIOMMU_GET_PA of Linux 7.3 on a"])]
#[case::with_a_backport("6.18", Some(&["IOMMU_IOAS_NOIOMMU_GET_PA"][..]), &[])]
fn a_kernel_is_asked_for_what_it_does_not_know(
    #[case] release: &str,
    #[case] known: Option<&[&str]>,
    #[case] newer: &[&str],
) {
    let step = "  - unknown_ioctls: {on: a, of: iommu, errno: ENOTTY}";
    let compiled = compile_for(release, known, step).unwrap();
    let labels: Vec<_> = compiled
        .checks
        .iter()
        .map(|check| check.label.as_str())
        .collect();
    assert_eq!(
        labels,
        [newer, &["the first ioctl without a name on a"]].concat()
    );
    assert_eq!(last_request(&compiled), 0x3b96);
}

fn last_request(compiled: &Compiled) -> u32 {
    match compiled.plan.ops.last() {
        Some(Op::Ioctl(op)) => op.request,
        other => panic!("{other:?} is no ioctl"),
    }
}

#[rstest]
#[case::flag("enum { IOMMU_HWPT_ALLOC_PASID = 8 };", None)]
#[case::not_there(
    "enum { IOMMU_HWPT_ALLOC_FOO = 8 };",
    Some("Linux 6.13: IOMMU_HWPT_ALLOC_PASID")
)]
fn what_the_headers_have_is_judged(#[case] headers: &str, #[case] needs: Option<&str>) {
    let step = "  - IOMMU_HWPT_ALLOC: {on: a, flags: [PASID]}";
    let need = compile_with("6.12.117", headers, step).err();
    assert_eq!(need.as_deref(), needs);
}

#[test]
fn headers_take_nothing_away() {
    let step = "  - IOMMU_HWPT_ALLOC: {on: a, flags: [PASID]}";
    compile_with("7.3.4", "", step).unwrap();
}

#[test]
fn a_field_of_the_headers_is_judged() {
    let step = "  - IOMMU_HWPT_ALLOC: {on: a, fault_id: 1}";
    let older = "struct iommu_hwpt_alloc { __u32 size; };";
    let need = compile_with("6.10", older, step).unwrap_err();
    assert_eq!(need, "Linux 6.11: iommu_hwpt_alloc.fault_id");
    let longer = "struct iommu_hwpt_alloc { __u32 size; __u32 fault_id; };";
    compile_with("6.10", longer, step).unwrap();
}

#[test]
fn the_cdev_shows_the_ioctls_that_came_with_it() {
    let step = "  - VFIO_DEVICE_BIND_IOMMUFD: {on: a, iommufd: 3}";
    let guest = || Guest {
        release: "5.14.0".to_owned(),
        ..Guest::default()
    };
    let need = compile_in(guest(), step).unwrap().unwrap_err();
    assert_eq!(need, "Linux 6.6: VFIO_DEVICE_BIND_IOMMUFD");
    let with_cdev = Guest {
        features: [("vfio_cdev".to_owned(), Ok(()))].into(),
        ..guest()
    };
    compile_in(with_cdev, step).unwrap().unwrap();
}

#[test]
fn the_next_unknown_ioctl_is_one_that_the_headers_do_not_have_either() {
    let step = "  - unknown_ioctls: {on: a, of: device, errno: ENOTTY}";
    let last = |headers: &str| last_request(&compile_with("7.3.4", headers, step).unwrap());
    let next = last("");
    let named = |name| format!("#define {name} _IO(';', {:#x})", next & 0xff);
    assert_eq!(last(&named("VFIO_DEVICE_FOO")), next + 1);
    // Of another architecture: it is on no descriptor of this one.
    assert_eq!(last(&named("VFIO_EEH_PE_OP")), next);
}

const NEW: &str = "enum { IOMMU_HWPT_ALLOC_FOO = 0x40 };";

#[rstest]
#[case::alone("headers.IOMMU_HWPT_ALLOC_FOO", 0x40)]
#[case::beside("[NEST_PARENT, headers.IOMMU_HWPT_ALLOC_FOO]", 0x41)]
fn a_name_of_the_headers_has_its_number(#[case] flags: &str, #[case] number: u8) {
    let step =
        format!("  - IOMMU_HWPT_ALLOC: {{on: a, flags: {flags}, expect: {{flags: {flags}}}}}");
    let compiled = compile_with("7.3.4", NEW, &step).unwrap();
    let Some(Op::Ioctl(IoctlOp {
        arg: Arg::Buffer { bytes, patches, .. },
        ..
    })) = compiled.plan.ops.first()
    else {
        panic!("no buffer");
    };
    assert_eq!((bytes[4], patches.len()), (number, 0));
    let want = &compiled.checks[0].expect.fields[0].want;
    assert_eq!(*want, case::Want::Is(Value::Const(number.into())));

    let need = compile_with("7.3.4", "", &step).unwrap_err();
    assert_eq!(need, "a kernel whose headers have IOMMU_HWPT_ALLOC_FOO");
    assert_eq!(compile_on("7.3.4", &step).unwrap_err(), need);
}

#[rstest]
#[case::in_the_tables(
    "headers.IOMMU_HWPT_ALLOC_PASID",
    "the tables have IOMMU_HWPT_ALLOC_PASID"
)]
#[case::no_name("headers.$", "a name of letters")]
#[case::two(
    "[headers.IOMMU_A, headers.IOMMU_B]",
    "one name of the headers at most"
)]
fn a_wrong_name_of_the_headers_is_a_mistake(#[case] flags: &str, #[case] problem: &str) {
    let step = format!("  - IOMMU_HWPT_ALLOC: {{on: a, flags: {flags}}}");
    let error = compile_in(Guest::default(), &step).unwrap_err();
    assert!(error.contains(problem), "{error}");
}
