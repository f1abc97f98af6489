//! What a transcript shows of values that differ from run to run.

#![allow(clippy::unwrap_used, reason = "a test panics to fail")]

use case::{At, Check, Compiled, Expect, Layout, Parts, WantEnd};
use rstest::rstest;
use runner::transcript::render;
use wire::{
    Abi, Arg, Fd, Injected, IoctlOp, Observed, Op, Outcome, Patch, Plan, Save, Value, Width,
};

/// Offsets in `struct iommu_test_cmd`.
const OP: usize = 4;
const ID: usize = 8;
const OUT_ACCESS_FD: usize = 16;
const OUT_ACCESS_PAGES_ID: usize = 20;
/// `IOMMU_TEST_OP_ACCESS_PAGES`, which numbers what it pins in the order of its calls.
const ACCESS_PAGES: u8 = 7;

fn call(patches: Vec<Patch>, save: Vec<Save>) -> Op {
    IoctlOp {
        fd: Fd(Value::Const(3)),
        request: 0,
        arg: Arg::Buffer {
            bytes: vec![0; 72],
            patches,
            read_only: false,
        },
        save,
        save_ret: None,
        abi: Abi::Native,
    }
    .into()
}

fn check() -> Check {
    Check {
        step: 0,
        label: "call".to_owned(),
        at: At::default(),
        needs_dma: false,
        expect: Expect::ending(WantEnd::Success),
        plans: Vec::new(),
        parts: Parts::Whole,
        layout: Layout::Struct(uapi::structure("iommu_test_cmd").unwrap()),
        shown: true,
    }
}

fn answer(fields: &[(usize, u8)]) -> Option<Outcome> {
    let mut data = vec![0; 72];
    for (offset, value) in fields {
        data[*offset] = *value;
    }
    let observed = Observed::Ok { ret: 0, data };
    Some(Outcome { observed, us: 1 })
}

#[test]
fn what_was_given_by_name_is_shown_by_name() {
    let save = Save {
        offset: OUT_ACCESS_FD,
        width: Width::W4,
        slot: "access".to_owned(),
    };
    let patch = Patch {
        offset: ID,
        width: Width::W4,
        value: Value::Slot {
            name: "access".to_owned(),
            add: 0,
        },
    };
    let ops = vec![
        call(Vec::new(), vec![save]),
        call(vec![patch.clone()], Vec::new()),
        call(vec![patch], Vec::new()),
    ];
    let outcomes = [
        answer(&[(ID, 7), (OUT_ACCESS_FD, 9)]),
        answer(&[(ID, 9)]),
        answer(&[(ID, 8)]), // the kernel wrote something else there
    ];
    let plan = Plan {
        name: "case".to_owned(),
        ops,
        restore: Vec::new(),
        timeout_ms: 1,
    };
    let checks = vec![check(), check(), check()];
    let text = render(&Compiled { plan, checks }, &outcomes);
    let ids: Vec<_> = text
        .lines()
        .filter_map(|line| line.split("id: ").nth(1)?.split([',', '}']).next())
        .collect();
    assert_eq!(ids, ["0x7", "$access", "0x8"]);
}

/// How many of the calls before failed after the kernel had counted them depends on the build: none
/// is a number as well.
#[rstest]
#[case::none_of_them_counted(0)]
#[case::some_of_them_counted(3)]
fn what_the_kernel_counts_is_hidden_after_failures(#[case] id: u8) {
    let fields = [(OP, ACCESS_PAGES), (OUT_ACCESS_PAGES_ID, id)];
    let injected = answer(&fields).map(|last| Outcome {
        observed: Observed::Injected(Injected {
            attempts: Vec::new(),
            last: Box::new(last),
        }),
        us: 1,
    });
    let plan = Plan {
        name: "case".to_owned(),
        ops: vec![call(Vec::new(), Vec::new())],
        restore: Vec::new(),
        timeout_ms: 1,
    };
    let checks = vec![check()];
    let text = render(&Compiled { plan, checks }, &[injected]);
    assert!(text.contains("out_access_pages_id: <counted>"), "{text}");
}
