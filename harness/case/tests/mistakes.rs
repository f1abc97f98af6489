//! Every mistake is told with its place, what was expected, and a suggestion; none is a panic.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test panics to fail"
)]

mod common;

use case::{Corpus, CorpusError, Findings};
use common::findings;
use proptest::prelude::*;
use rstest::rstest;

const CLAUSES: &str = "S1.6: a clause\n";
const PRELUDES: &str = "bound:\n  summary: x\n  steps:\n    - open: {iommu: /dev/iommu, a: arg.dev}\nfree:\n  \
     summary: x\n  steps:\n    - close: a\n";

fn load(text: &str) -> Result<Corpus, CorpusError> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("case.yaml", text),
        ("clauses.yaml", CLAUSES),
        ("preludes.yaml", PRELUDES),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let corpus = Corpus::load(folder.path(), findings(), false);
    corpus.map_err(|error| match error {
        CorpusError::Problems { rendered } => {
            let root = folder.path().display().to_string();
            let rendered = rendered
                .iter()
                .map(|text| text.replace(&root, ""))
                .collect();
            CorpusError::Problems { rendered }
        }
        other => other,
    })
}

#[rstest]
#[case::no_yaml("summary: [x\nsteps: []")]
#[case::no_mapping("- just\n- a list")]
#[case::no_summary("steps:\n  - close: a")]
#[case::unknown_key("summary: x\nprovs: [S1.6]\nsteps:\n  - close: a")]
#[case::duplicate_key("summary: x\nsummary: y\nsteps:\n  - close: a")]
#[case::unknown_clause("summary: x\nproves: [S1.66]\nsteps:\n  - close: a")]
#[case::unknown_shape("summary: x\nshapes: [bridges]\nsteps:\n  - close: a")]
#[case::unknown_step("summary: x\nsteps:\n  - opne: {a: group.0}")]
#[case::unknown_role("summary: x\nsteps:\n  - open: {a: gruop.0}")]
#[case::unknown_ioctl("summary: x\nsteps:\n  - IOMMU_IOAS_MAPP: {on: a}")]
#[case::unknown_field("summary: x\nsteps:\n  - IOMMU_IOAS_MAP: {on: a, lenght: 4}")]
#[case::unknown_flag("summary: x\nsteps:\n  - IOMMU_IOAS_MAP: {on: a, flags: [READBLE]}")]
#[case::unknown_errno("summary: x\nsteps:\n  - IOMMU_IOAS_MAP: {on: a, errno: EINVALID}")]
#[case::unknown_constant(
    "summary: x\nsteps:\n  - pread: {on: a, region: VFIO_PCI_BAR9_REGION_INDEX}"
)]
#[case::race_of_one("summary: x\nsteps:\n  - together: {steps: [{close: a}]}")]
#[case::race_with_an_end_too_few(
    "summary: x\nsteps:\n  - together: {steps: [{close: a}, {close: b}], ends: [[none, none], [none]]}"
)]
#[case::race_with_no_end(
    "summary: x\nsteps:\n  - together: {steps: [{close: a}, {close: b}], ends: []}"
)]
#[case::race_with_a_delay_too_few(
    "summary: x\nsteps:\n  - together: {steps: [{close: a}, {close: b}], delay: 5}"
)]
#[case::race_with_then_for_one_end(
    "summary: x\nsteps:\n  - together: {steps: [{close: a}, {close: b}], ends: [[none, none], [EBADF, none]], then: [[{close: c}]]}"
)]
#[case::race_with_then_for_no_ends(
    "summary: x\nsteps:\n  - together: {steps: [{close: a}, {close: b}], then: [[{close: c}]]}"
)]
#[case::unknown_group("summary: x\nsteps:\n  - group_type: {of: sngleton, to: identity}")]
#[case::no_descriptor("summary: x\nsteps:\n  - IOMMU_IOAS_ALLOC: {flags: 0}")]
#[case::two_keys("summary: x\nsteps:\n  - {close: a, open: {b: group.0}}")]
#[case::too_wide("summary: x\nsteps:\n  - IOMMU_DESTROY: {on: a, id: 0x100000000}")]
#[case::bad_slot("summary: x\nsteps:\n  - munmap: {at: $page*2}")]
#[case::lands_and_blocked(
    "summary: x\nsteps:\n  - dma: {from: group.0, iova: 1, lands: $p, blocked: $p}"
)]
#[case::unknown_prelude("summary: x\nsteps:\n  - use: bond")]
#[case::missing_argument("summary: x\nsteps:\n  - use: bound")]
#[case::unknown_argument("summary: x\nsteps:\n  - use: {bound: {dev: a, iommu: i, devise: b}}")]
#[case::argument_of_none("summary: x\nsteps:\n  - use: {free: {dev: a}}")]
#[case::finding_unlike_any("summary: x\nxfail: {finding: zzz}\nsteps:\n  - close: a")]
#[case::several_at_once(
    "summary: 7\nprovs: [S1.6]\nfail_fast: maybe\nxfail: [{finding: known-on}, {}]\nsteps:\n  \
     - opne: {a: group.0}\n  - close: a\n  - IOMMU_IOAS_MAP: {on: a, lenght: 4}\n  \
     - munmap: {at: 1.5.2}\n  - use: bond"
)]
#[case::several_in_rows(
    "summary: x\ntable: {one: {errno: EINVALID}, two: {}, three: 3}\nsteps:\n  - opne: a\n  \
     - IOMMU_DESTROY: {on: a, errno: row.errno}"
)]
#[case::a_table_that_is_none(
    "summary: x\ntable: [one]\nsteps:\n  - IOMMU_DESTROY: {on: a, id: row.id}"
)]
#[case::a_contract_that_is_none(
    "summary: x\nshows: {known-one: size short}\ncontract: {call: 3}\nsteps: []"
)]
#[case::same_id("summary: x\ntable: {a b: {}, a-b: {}}\nsteps:\n  - close: a")]
#[case::asserts_nothing("summary: x\nsteps:\n  - memory: {page: 0x1000}")]
#[case::contract_of_a_step("summary: x\ncontract: {call: {close: a}}\nsteps: []")]
#[case::contract_and_table(
    "summary: x\ncontract: {call: {IOMMU_DESTROY: {on: a}}}\ntable: {a: {}}\nsteps: []"
)]
#[case::contract_unknown_row(
    "summary: x\ncontract:\n  call: {IOMMU_DESTROY: {on: a}}\n  \
     except: {size shrt: {errno: none, reason: x}}\nsteps: []"
)]
#[case::contract_unknown_omission(
    "summary: x\ncontract:\n  call: {IOMMU_DESTROY: {on: a}}\n  omit: {flags: x}\nsteps: []"
)]
#[case::contract_without_reason(
    "summary: x\ncontract:\n  call: {IOMMU_DESTROY: {on: a}}\n  \
     except: {size short: {errno: none}}\nsteps: []"
)]
#[case::contract_xfail_without_finding(
    "summary: x\ncontract:\n  call: {IOMMU_DESTROY: {on: a}}\n  \
     except: {size short: {xfail: success, reason: x}}\nsteps: []"
)]
#[case::contract_unknown_finding(
    "summary: x\ncontract:\n  call: {IOMMU_DESTROY: {on: a}}\n  \
     except: {size short: {errno: none, finding: known-on}}\nsteps: []"
)]
#[case::unknown_finding("summary: x\nxfail: {finding: knownone}\nsteps:\n  - close: a")]
#[case::xfail_without_finding("summary: x\nxfail: {splat: x}\nsteps:\n  - close: a")]
#[case::xfail_with_a_reason(
    "summary: x\nxfail: {finding: known-one, reason: x}\nsteps:\n  - close: a"
)]
#[case::contract_xfail_without_what_is_observed(
    "summary: x\ncontract:\n  call: {IOMMU_DESTROY: {on: a}}\n  \
     except: {size short: {xfail: true, finding: known-one}}\nsteps: []"
)]
#[case::xfail_without_how("summary: x\nxfail: {finding: known-one}\nsteps:\n  - close: a")]
#[case::xfail_of_an_unknown_step(
    "summary: x\nxfail: {finding: known-one, steps: {close b: EBADF}}\nsteps:\n  - close: a"
)]
#[case::xfail_of_a_second_step(
    "summary: x\nxfail: {finding: known-one, steps: {close a (3): EBADF}}\n\
     steps:\n  - close: a\n  - close: a"
)]
#[case::xfail_killed_in_an_unknown_step(
    "summary: x\nxfail: {finding: known-one, killed_in: close}\nsteps:\n  - close: a"
)]
#[case::xfail_of_a_step_after_the_last(
    "summary: x\nxfail: {finding: known-one, steps: {after the last step: x}}\nsteps:\n  - close: a"
)]
#[case::xfail_that_observes_nothing(
    "summary: x\nxfail: {finding: known-one, steps: {close a: []}}\nsteps:\n  - close: a"
)]
#[case::xfail_of_any_complaint(
    "summary: x\nxfail: {finding: known-one, splat: [a, \"\"]}\nsteps:\n  - close: a"
)]
#[case::shows_unknown_finding("summary: x\nshows: known\nsteps:\n  - close: a")]
#[case::shows_in_unknown_row(
    "summary: x\nshows: {known-one: on}\ntable: {one: {}, two: {}}\nsteps:\n  - close: a"
)]
#[case::contract_exception_of_nothing(
    "summary: x\ncontract:\n  call: {IOMMU_DESTROY: {on: a}}\n  \
     except: {size short: {reason: x}}\nsteps: []"
)]
#[case::contract_flags_of_a_slot(
    "summary: x\ncontract: {call: {IOMMU_IOAS_MAP: {on: a, flags: $b}}}\nsteps: []"
)]
#[case::contract_wrong_field(
    "summary: x\ncontract: {call: {IOMMU_DESTROY: {on: a, ids: 3}}}\nsteps: []"
)]
#[case::float("summary: x\nsteps:\n  - munmap: {at: 1.5}")]
#[case::unknown_capability("summary: x\nsteps:\n  - capability: {drop: CAP_SYS_RAWI}")]
#[case::unknown_limit("summary: x\nsteps:\n  - rlimit: {MEMLOK: 1}")]
#[case::root("summary: x\nsteps:\n  - user: 0")]
#[case::unknown_account("summary: x\nsteps:\n  - locked_vm: {VmPinned: 1}")]
#[case::unknown_seal("summary: x\nsteps:\n  - memfd: {f: {seals: SHRNK}}")]
#[case::no_truth_value("summary: x\nsteps:\n  - memfd: {f: {hole: maybe}}")]
#[case::two_calls_at_once("summary: x\nsteps:\n  - start: {child: [{close: [a, b]}]}")]
#[case::start_without_finish(
    "summary: x\nsteps:\n  - start: {child: [{IOMMU_IOAS_ALLOC: {on: a}}]}\n  - close: a"
)]
#[case::finish_without_start("summary: x\nsteps:\n  - finish: child")]
#[case::eight_bytes_of_a_register(
    "summary: x\nsteps:\n  - mmap: {on: a, region: VFIO_PCI_BAR0_REGION_INDEX, save: bar}\n  - store: {at: $bar+0x28, width: 8, value: 1}"
)]
#[case::a_register_that_is_not_aligned(
    "summary: x\nsteps:\n  - mmap: {on: a, region: 0, save: bar}\n  - load: {at: $bar+0x26, width: 4}"
)]
#[case::a_register_in_a_race(
    "summary: x\nsteps:\n  - mmap: {on: a, region: 0, save: bar}\n  - together: {steps: [{close: a}, {load: {at: $bar, width: 8}}]}"
)]
#[case::a_copy_of_registers(
    "summary: x\nsteps:\n  - mmap: {on: a, region: 0, save: bar}\n  - peek: {at: $bar, all: 0}"
)]
#[case::a_wide_number_of_a_bar(
    "summary: x\nsteps:\n  - pwrite: {on: a, region: VFIO_PCI_BAR2_REGION_INDEX, width: 8, value: 1}"
)]
#[case::a_mapping_by_its_offset(
    "summary: x\nsteps:\n  - mmap: {on: a, offset: 0x20000000000, save: bar}\n  - store: {at: $bar, width: 8, value: 1}"
)]
#[case::a_wide_number_by_its_offset(
    "summary: x\nsteps:\n  - pwrite: {on: a, offset: 0x20000000028, width: 8, value: 1}"
)]
#[case::a_number_that_is_not_aligned(
    "summary: x\nsteps:\n  - pread: {on: a, region: 0, offset: 0x16, width: 4}"
)]
#[case::a_run_of_registers(
    "summary: x\nsteps:\n  - pwrite: {on: a, region: 0, offset: 0x28, bytes: [0, 0, 0, 0, 0, 0, 0, 0]}"
)]
#[case::mistake_in_a_process("summary: x\nsteps:\n  - in: {child: [{opne: {a: group.0}}]}")]
#[case::no_call_to_fail("summary: x\nsteps:\n  - fail_nth: {step: {close: a}}")]
#[case::unknown_errno_of_a_failure(
    "summary: x\nsteps:\n  - fail_nth: {step: {IOMMU_DESTROY: {on: a}}, allowed: [ENOMEN]}"
)]
#[case::mistake_in_a_step_within(
    "summary: x\nsteps:\n  - fail_nth: {step: {IOMMU_DESTROY: {on: a}}, undo: [{use: bounds}]}"
)]
fn a_mistake_is_told(#[case] text: &str) {
    // Without the number of the case: a new one in the middle renames no snapshot.
    let thread = std::thread::current().name().unwrap().to_owned();
    let (test, case) = thread.split_once("::case_").unwrap();
    let (_, case) = case.split_once('_').unwrap();
    let name = format!("{test}_{case}");
    let error = load(text).unwrap_err().to_string();
    insta::assert_snapshot!(name, error, text);
}

#[rstest]
#[case::memory_of_the_process("memory: {page: 0x1000}", "load: {at: $page, width: 8}")]
#[case::memory_of_the_mock("mmap: {on: a, save: page}", "load: {at: $page, width: 8}")]
#[case::half_a_register(
    "mmap: {on: a, region: 0, save: page}",
    "load: {at: $page+2, width: 2}"
)]
#[case::a_run_of_memory("eventfd: e", "pread: {on: a, region: 2, length: 8, memory: true}")]
#[case::four_bytes("eventfd: e", "pread: {on: a, region: 2, length: 4}")]
#[case::another_file("eventfd: e", "pread: {on: a, offset: 0x10, width: 8}")]
#[case::configuration_space("eventfd: e", "pread: {on: a, region: 7, width: 8}")]
#[case::a_refused_access("eventfd: e", "pread: {on: a, region: 2, width: 8, errno: EIO}")]
fn what_is_the_same_everywhere_is_taken(#[case] first: &str, #[case] second: &str) {
    load(&format!("summary: x\nsteps:\n  - {first}\n  - {second}")).unwrap();
}

#[test]
fn tables_shapes_and_preludes_make_rows() {
    let text = "summary: x\nshapes: [bridge, functions]\ntable:\n  zero length: {length: 0, errno: EINVAL}\n  \
                one page: {length: 4096}\nsteps:\n  - use: {bound: {dev: group.1}}\n  \
                - IOMMU_IOAS_MAP: {on: iommu, ..: row}";
    let corpus = load(text).unwrap();
    let ids: Vec<_> = corpus.cases.iter().map(|case| case.id.as_str()).collect();
    let wanted = [
        "case/zero-length/bridge",
        "case/zero-length/functions",
        "case/one-page/bridge",
        "case/one-page/functions",
    ];
    assert_eq!(ids, wanted);
    assert_eq!(corpus.cases[0].steps.len(), 2);
    assert_eq!(corpus.cases[0].steps[0].label, "open /dev/iommu, group.1");
}

const CASE: &str = "summary: x\nsteps:\n  - use: [outer, inner]\n";

fn prelude(name: &str, uses: &str) -> String {
    format!("{name}:\n  summary: x\n  steps:\n    - {uses}\n")
}

#[rstest]
#[case::of_its_own(&prelude("inner", "use: outer"), None)]
#[case::of_the_other_folder("{}", Some("unknown prelude `inner`"))]
#[case::hidden(&prelude("outer", "close: a"), Some("the parent folder already has a prelude `outer`"))]
fn a_folder_has_preludes_of_its_own(#[case] own: &str, #[case] mistake: Option<&str>) {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("preludes.yaml", &prelude("outer", "close: a"));
    write("one/preludes.yaml", own);
    write("one/case.yaml", CASE);
    write("two/preludes.yaml", &prelude("inner", "close: b"));
    write("two/case.yaml", CASE);
    match (
        Corpus::load(folder.path(), Findings::default(), false),
        mistake,
    ) {
        (Ok(corpus), None) => assert!(corpus.cases.iter().all(|case| case.steps.len() == 2)),
        (Err(error), Some(mistake)) => assert!(error.to_string().contains(mistake), "{error}"),
        (result, _) => panic!("{result:?}"),
    }
}

#[rstest]
#[case::adds(
    "needs: {config: [CONFIG_VFIO], platforms: [intel]}\n",
    Ok("CONFIG_VFIO CONFIG_IOMMUFD")
)]
#[case::says_nothing("", Ok("CONFIG_IOMMUFD"))]
#[case::repeats_an_option(
    "needs: {config: [CONFIG_IOMMUFD]}\n",
    Err("already needs `CONFIG_IOMMUFD`")
)]
#[case::repeats_the_release("needs: {since: \"7.3\"}\n", Err("already needs `since`"))]
#[case::of_a_later_release("needs: {since: \"7.4\"}\n", Ok("CONFIG_IOMMUFD"))]
fn a_case_adds_to_the_needs_of_its_folder(#[case] own: &str, #[case] wanted: Result<&str, &str>) {
    let folder = tempfile::tempdir().unwrap();
    let part = folder.path().join("part");
    std::fs::create_dir(&part).unwrap();
    let needs = "needs: {config: [CONFIG_IOMMUFD], since: \"7.3\"}\n";
    std::fs::write(part.join("folder.yaml"), needs).unwrap();
    let text = format!("summary: x\n{own}steps:\n  - close: a\n");
    std::fs::write(part.join("case.yaml"), text).unwrap();
    match (
        Corpus::load(folder.path(), Findings::default(), false),
        wanted,
    ) {
        (Ok(corpus), Ok(config)) => {
            let needs = &corpus.cases[0].needs;
            assert_eq!(needs.config().join(" "), config);
            assert!(needs.releases().0.is_some());
            assert_eq!(needs.platforms().is_empty(), !own.contains("platforms"));
        }
        (Err(error), Err(mistake)) => assert!(error.to_string().contains(mistake), "{error}"),
        (result, _) => panic!("{result:?}"),
    }
}

#[test]
fn a_row_adds_to_the_needs_of_its_case() {
    let text = "summary: x\nneeds: {config: [CONFIG_VFIO]}\ntable:\n  \
                old: {needs: {until: \"6.19\"}, errno: EINVAL}\n  \
                new: {needs: {since: \"7.0\"}}\nsteps:\n  - IOMMU_DESTROY: {on: iommu, ..: row}";
    let corpus = load(text).unwrap();
    let needs = corpus.cases.iter().map(|case| {
        let (since, until) = case.needs.releases();
        (
            case.needs.config().join(" "),
            since.is_some(),
            until.is_some(),
        )
    });
    let option = || "CONFIG_VFIO".to_owned();
    assert_eq!(
        needs.collect::<Vec<_>>(),
        [(option(), false, true), (option(), true, false)]
    );
    assert!(load(&text.replace("{until: \"6.19\"}", "{config: [CONFIG_VFIO]}")).is_err());
}

#[test]
fn preludes_race_too() {
    let text =
        "summary: x\nsteps:\n  - together: {steps: [{use: {bound: {dev: group.1}}}, {close: a}]}";
    let corpus = load(text).unwrap();
    let label = &corpus.cases[0].steps[0].label;
    assert_eq!(label, "open /dev/iommu, group.1 | close a");
}

#[test]
fn a_process_executes_preludes_too() {
    let text = "summary: x\nsteps:\n  - fork: child\n  - in: {child: [{use: {bound: {dev: group.1}}}, {close: a}]}";
    let corpus = load(text).unwrap();
    let mut guest = case::Guest::default();
    guest.features.insert("iommufd".to_owned(), Ok(()));
    let why = corpus.cases[0].compile(&guest).unwrap_err();
    assert!(why.contains("vfio_cdev"), "{why}"); // it got to the second descriptor
}

proptest! {
    #[test]
    fn no_step_makes_the_reader_panic(key in "(open|close|dma|memory|memfd|udmabuf|rlimit|capability|accounted|fork|in|exit|start|finish|hold|held|blocked|release|peek|use|together|gone|IOMMU_IOAS_MAP|table)",
                                      body in "[a-z0-9$:{}, \\[\\]._-]{0,40}") {
        let _ = load(&format!("summary: x\nsteps:\n  - {key}: {body}\n"));
    }

    #[test]
    fn no_contract_makes_the_reader_panic(
        call in "(IOMMU_IOAS_MAP|VFIO_DEVICE_FEATURE|VFIO_GROUP_GET_DEVICE_FD|VFIO_DEVICE_RESET)",
        field in "(flags|argsz|size|data|user_va|string|errno|mapped)",
        value in "(0x[0-9a-f]{1,16}|\\[[A-Z_, 0-9]{0,30}\\]|\\[\\{[a-z]{1,6}: 1\\}\\]|[a-z$]{1,6})",
        rest in "(except|omit|undo|x): [a-z0-9:{}, \\[\\] ]{0,30}",
    ) {
        let call = format!("{{{call}: {{on: a, {field}: {value}}}}}");
        let _ = load(&format!("summary: x\ncontract:\n  call: {call}\n  {rest}\nsteps: []\n"));
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "[a-z:\\[\\]{}\n -]{0,80}") {
        let _ = load(&text);
    }
}

#[test]
fn a_file_that_is_not_utf8_is_one_problem_of_all() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = "summary: x\nsteps:\n  - clsoe: a\n";
    std::fs::write(folder.path().join("a.yaml"), b"summary: x\nwhy: caf\xe9\n").unwrap();
    std::fs::write(folder.path().join("b.yaml"), wrong).unwrap();
    let loaded = Corpus::load(folder.path(), Findings::default(), false);
    let text = loaded.unwrap_err().to_string();
    for said in [
        "byte 19 of the file is not UTF-8",
        "a.yaml:2:9",
        "b.yaml:3:5",
    ] {
        assert!(text.contains(said), "{text}");
    }
}
