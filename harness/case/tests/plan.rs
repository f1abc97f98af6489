//! `plan` of a step, and ioctls by the names of the kernel's headers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test panics to fail")]

use std::sync::Arc;

use case::{
    Check, Compiled, Corpus, Findings, Guest, OfferedDevice, OfferedGroup, Shape, WantEnd,
    add_stage_3,
};
use rstest::rstest;
use wire::{Arg, ControlOp, DmaEngine, IoctlOp, MemoryOp, Op, ProcessOp};

const HEADERS: &str = "#define VFIO_TYPE (';')\n#define VFIO_BASE 100\n\
                       #define VFIO_DEVICE_FOO _IO(VFIO_TYPE, VFIO_BASE + 90)\n";

/// Compiles a case for a guest with a group of this shape. The outer error is a mistake in it.
fn compile_on(shape: Shape, headers: &str, text: &str) -> Result<Result<Compiled, String>, String> {
    let folder = tempfile::tempdir().unwrap();
    let clauses = "S2.7b: a clause\nS1.7: a clause\nS3.1: a clause\nS3.3: a clause\n";
    std::fs::write(
        folder.path().join("case.yaml"),
        format!("summary: x\n{text}"),
    )
    .unwrap();
    std::fs::write(folder.path().join("clauses.yaml"), clauses).unwrap();
    std::fs::write(folder.path().join("preludes.yaml"), "{}\n").unwrap();
    let corpus = Corpus::load(folder.path(), Findings::default(), false);
    let corpus = corpus.map_err(|error| error.to_string())?;
    let device = |name: &str| OfferedDevice {
        name: name.to_owned(),
        machine_id: None,
        engine: Some(DmaEngine::Nvme),
        signature: format!("of {name}"),
        host_driver: None,
        default_driver: None,
        default_resets: None,
    };
    let group = OfferedGroup {
        name: "group".to_owned(),
        shape,
        number: Some(1),
        devices: vec![device("0000:00:02.0"), device("0000:00:02.1")],
        bridge: None,
    };
    let guest = Guest {
        release: "7.3.4".to_owned(),
        features: ["iommufd", "vfio_cdev"]
            .map(|it| (it.to_owned(), Ok(())))
            .into(),
        groups: vec![group],
        declared: Some(Arc::new(uapi::Header::scan(headers))),
        ..Guest::default()
    };
    let case = &corpus.cases[0];
    Ok(case.compile(&guest).map(|it| add_stage_3(case, &guest, it)))
}

fn compile(headers: &str, text: &str) -> Compiled {
    compile_on(Shape::Functions, headers, text)
        .unwrap()
        .unwrap()
}

fn checks(compiled: &Compiled) -> Vec<&Check> {
    compiled.checks.iter().filter(|check| check.shown).collect()
}

#[rstest]
#[case::an_errno("IOMMU_DESTROY: {on: i, id: 1, plan: EBUSY}", WantEnd::Errno(16))]
#[case::success(
    "IOMMU_DESTROY: {on: i, id: 1, errno: EBUSY, plan: none}",
    WantEnd::Success
)]
#[case::any_errno("IOMMU_DESTROY: {on: i, id: 1, plan: any}", WantEnd::Refused)]
#[case::a_signal("load: {at: 1, expect: 7, plan: SIGBUS}", WantEnd::Signal(7))]
#[case::a_key(
    "read_file: {path: /sys/x, text: y, plan: {errno: ENOENT, text: null}}",
    WantEnd::Errno(2)
)]
fn a_plan_says_how_a_step_ends(#[case] step: &str, #[case] wanted: WantEnd) {
    let text = format!("differs: {{S1.7: it does}}\nsteps:\n  - {step}\n");
    let compiled = compile("", &text);
    let [check] = checks(&compiled)[..] else {
        panic!("one check")
    };
    assert_eq!(check.under("S1.7").unwrap().expect.end, wanted);
    assert_eq!(compiled.planned(), ["S1.7"]);
}

#[test]
fn a_plan_names_its_clauses() {
    let text = "shapes: [functions]\nsteps:\n  - IOMMU_DESTROY: {on: i, id: 1, plan: {S1.7: EBUSY, S3.1: ENOENT}}\n";
    let compiled = compile("", text);
    assert_eq!(compiled.planned(), ["S1.7", "S3.1"]);
    let text = text.replace("functions", "bridge");
    let bridge = compile_on(Shape::Bridge, "", &text).unwrap().unwrap();
    assert_eq!(
        bridge.planned(),
        ["S1.7"],
        "S3.1 is for members with requester ids of their own"
    );
}

#[rstest]
#[case::of_no_clause(
    "steps:\n  - IOMMU_DESTROY: {on: i, id: 1, plan: EBUSY}",
    "belongs to none"
)]
#[case::of_an_unknown_clause(
    "steps:\n  - IOMMU_DESTROY: {on: i, id: 1, plan: {S9.9: EBUSY}}",
    "S9.9"
)]
#[case::of_another_key(
    "differs: {S1.7: x}\nsteps:\n  - IOMMU_DESTROY: {on: i, id: 1, plan: {errnoo: EBUSY}}",
    "errnoo"
)]
#[case::with_a_key_beside(
    "steps:\n  - IOMMU_DESTROY: {on: i, id: 1, plan: {S1.7: EBUSY, errno: EBUSY}}",
    "no clause"
)]
#[case::a_known_ioctl("steps:\n  - ioctl: {name: IOMMU_DESTROY, on: i}", "the tables have")]
#[case::an_unknown_type("steps:\n  - ioctl: {name: FOO, on: i, layout: {a: u33}}", "u33")]
#[case::a_layout_beside_a_struct(
    "steps:\n  - peek: {at: 1, struct: iommu_destroy, layout: {a: u8}, expect: {a: 1}}",
    "one of the two"
)]
#[case::an_empty_layout("steps:\n  - peek: {at: 1, layout: {}, expect: {}}", "no field")]
#[case::no_such_field("steps:\n  - peek: {at: 1, layout: {a: u8}, expect: {b: 1}}", "b")]
fn a_mistake_is_told(#[case] text: &str, #[case] wanted: &str) {
    let told = compile_on(Shape::Functions, "", &format!("{text}\n")).unwrap_err();
    assert!(told.contains(wanted), "{told}");
}

#[test]
fn a_plan_cannot_change_what_is_done() {
    let text = "differs: {S1.7: x}\nsteps:\n  - IOMMU_DESTROY: {on: i, id: 1, plan: {id: 2}}\n";
    let told = compile_on(Shape::Functions, "", text).unwrap().unwrap_err();
    assert!(told.contains("what is expected"), "{told}");
}

const FOO: &str =
    "ioctl: {name: VFIO_DEVICE_FOO, layout: {argsz: u32, flag: u8, at: u64}, on: a, at: 7, flag: 1";

#[test]
fn an_ioctl_of_the_headers_has_the_layout_of_the_case() {
    let compiled = compile(HEADERS, &format!("steps:\n  - {FOO}}}\n"));
    let Some(Op::Ioctl(IoctlOp { request, arg, .. })) = compiled.plan.ops.last() else {
        panic!("no ioctl")
    };
    let Arg::Buffer { bytes, .. } = arg else {
        panic!("no buffer")
    };
    assert_eq!(*request, 0x3bbe);
    assert_eq!(bytes[..], [16, 0, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn without_the_name_a_case_is_skipped_and_a_step_with_a_plan_left_out() {
    let text = format!("steps:\n  - {FOO}}}\n");
    let need = compile_on(Shape::Functions, "", &text)
        .unwrap()
        .unwrap_err();
    assert_eq!(need, "a kernel whose headers have VFIO_DEVICE_FOO");
    let text = format!(
        "absent: {{S1.7: x}}\nsteps:\n  - open: {{i: /dev/iommu}}\n  - {FOO}, errno: ENOTTY, plan: none}}\n"
    );
    assert_eq!(compile("", &text).checks.len(), 1);
    assert_eq!(compile(HEADERS, &text).planned(), ["S1.7"]);
    let text = "needs: {headers: [VFIO_DEVICE_FOO]}\nsteps:\n  - open: {i: /dev/iommu}\n";
    assert!(compile_on(Shape::Functions, "", text).unwrap().is_err());
    assert!(compile_on(Shape::Functions, HEADERS, text).unwrap().is_ok());
}

/// What is begun and waited for, by the names of the ops.
fn begun(compiled: &Compiled) -> Vec<&str> {
    let name = |op: &Op| match op {
        Op::Control(ControlOp::Start { .. }) => Some("start"),
        Op::Control(ControlOp::Finish { .. }) => Some("finish"),
        Op::Process(ProcessOp::WaitBlocked { .. }) => Some("blocked"),
        _ => None,
    };
    compiled.plan.ops.iter().filter_map(name).collect()
}

#[rstest]
#[case::of_the_headers(HEADERS, "", &["start", "blocked", "finish"], 1)]
#[case::with_a_plan(HEADERS, ", errno: ENOTTY, plan: none", &["start", "blocked", "finish"], 1)]
#[case::left_out("", ", errno: ENOTTY, plan: none", &[], 0)]
fn a_process_begins_an_ioctl_by_name(
    #[case] headers: &str,
    #[case] end: &str,
    #[case] wanted: &[&str],
    #[case] checks: usize,
) {
    let start = format!("start: {{p: [{{{FOO}{end}}}}}]}}");
    let text = format!(
        "absent: {{S1.7: x}}\nsteps:\n  - fork: p\n  - {start}\n  - wait_blocked: p\n  - finish: p\n"
    );
    let compiled = compile(headers, &text);
    assert_eq!(begun(&compiled), wanted);
    let of_it = |check: &&Check| check.label.contains("VFIO_DEVICE_FOO") && check.shown;
    assert_eq!(compiled.checks.iter().filter(of_it).count(), checks);
    let planned: &[&str] = if end.is_empty() || headers.is_empty() {
        &[]
    } else {
        &["S1.7"]
    };
    assert_eq!(compiled.planned(), planned);
}

#[test]
fn without_the_name_a_case_that_begins_the_ioctl_is_skipped() {
    let text = format!("steps:\n  - fork: p\n  - start: {{p: [{{{FOO}}}}}]}}\n  - finish: p\n");
    let need = compile_on(Shape::Functions, "", &text)
        .unwrap()
        .unwrap_err();
    assert_eq!(need, "a kernel whose headers have VFIO_DEVICE_FOO");
}

#[test]
fn memory_is_looked_at_with_the_layout_of_the_case() {
    let peek =
        "peek: {at: 0x1000, layout: {a: u8, b: 'u32[2]', c: s64}, expect: {c: 5}, save: {c: x}}";
    let compiled = compile("", &format!("steps:\n  - {peek}\n"));
    let Some(Op::Memory(MemoryOp::Peek { length, save, .. })) = compiled.plan.ops.last() else {
        panic!("nothing is looked at")
    };
    assert_eq!((*length, save[0].offset), (24, 16));
    let fields = &compiled.checks.last().unwrap().expect.fields;
    assert_eq!(fields[0].field.offset, 16);
}

const FOLLOWS: &str = "shapes: [SHAPE]
steps:
  - open: {iommu: /dev/iommu, a: group.0, b: group.1}
  - VFIO_DEVICE_BIND_IOMMUFD: {on: a, iommufd: $iommu}
  - VFIO_DEVICE_BIND_IOMMUFD: {on: b, iommufd: $iommu}
  - memory: {page: 0x1000}
  - IOMMU_IOAS_ALLOC: {on: iommu, save: {out_ioas_id: ioas}}
  - IOMMU_IOAS_ALLOC: {on: iommu, save: {out_ioas_id: other}}
  - IOMMU_IOAS_MAP: {on: iommu, ioas_id: $ioas, user_va: $page, length: 0x1000, iova: 0x100000}
  - VFIO_DEVICE_ATTACH_IOMMUFD_PT: {on: a, pt_id: $ioas}
  - dma: {from: group.0, iova: 0x100000, lands: $page}
  - dma: {from: group.1, iova: 0x100000, lands: $page}
  - dma: {from: group.1, iova: 0x200000, blocked: $page}
  - VFIO_DEVICE_ATTACH_IOMMUFD_PT: {on: b, pt_id: $other, errno: EINVAL}
  - IOMMU_DESTROY: {on: iommu, id: $other}
  - VFIO_DEVICE_DETACH_IOMMUFD_PT: {on: a}
  - dma: {from: group.0, iova: 0x100000, blocked: $page}
  - VFIO_DEVICE_ATTACH_IOMMUFD_PT: {on: b, pt_id: $ioas}
  - dma: {from: group.0, iova: 0x100000, lands: $page}
";

/// Where a case of stage 2 lets a member follow another one, stage 3 does not.
#[test]
fn stage_3_is_derived_for_members_with_their_own_ids() {
    let text = |shape: &str| FOLLOWS.replace("SHAPE", shape);
    let functions = compile("", &text("functions"));
    let planned = |check: &Check| {
        let plan = check.under("S3.1")?;
        Some((check.label.clone(), plan.expect.end.clone()))
    };
    let planned: Vec<_> = functions.checks.iter().filter_map(planned).collect();
    let wanted = [
        ("DMA from group.1 to 0x100000 lands", WantEnd::Blocked),
        ("VFIO_DEVICE_ATTACH_IOMMUFD_PT on b", WantEnd::Success),
        ("IOMMU_DESTROY on iommu", WantEnd::Errno(16)),
        ("DMA from group.0 to 0x100000 lands", WantEnd::Blocked),
    ];
    let wanted: Vec<_> = wanted.map(|(label, end)| (label.to_owned(), end)).into();
    assert_eq!(planned, wanted);
    let bridge = compile_on(Shape::Bridge, "", &text("bridge"))
        .unwrap()
        .unwrap();
    assert_eq!(bridge.planned(), Vec::<&str>::new());
}
