//! Exported programs of different kinds, as they are.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test panics to fail")]

use std::path::{Path, PathBuf};

use case::{Corpus, Findings, Guest, OfferedDevice, OfferedGroup, Shape};
use export::{Argument, ExportError, Program, program};
use rstest::rstest;

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../cases")
}

fn device(name: &str, engine: bool, of_host: bool) -> OfferedDevice {
    OfferedDevice {
        name: name.to_owned(),
        machine_id: Some(name.to_owned()),
        engine: engine.then_some(wire::DmaEngine::Nvme),
        signature: format!("nqn.2019-08.org.qemu:{name}"),
        host_driver: of_host.then(|| "virtio-pci".to_owned()),
        default_driver: (!of_host).then(|| "vfio-pci".to_owned()),
        default_resets: None,
    }
}

fn group(number: u32, shape: Shape, devices: Vec<OfferedDevice>) -> OfferedGroup {
    OfferedGroup {
        name: shape.to_string(),
        shape,
        number: Some(number),
        devices,
        bridge: None,
    }
}

/// A machine with the groups that the cases below are about.
fn offer() -> Guest {
    let features = wire::FEATURES.iter();
    let options = ["CONFIG_IOMMUFD_TEST"].map(|name| (name.to_owned(), "y".to_owned()));
    let bridge = vec![
        device("b-0", true, false),
        device("b-1", true, false),
        device("b-2", false, true),
    ];
    Guest {
        platform: "intel".to_owned(),
        release: uapi::SERIES.to_string(),
        features: features
            .map(|(name, ..)| ((*name).to_owned(), Ok(())))
            .collect(),
        config: options.into(),
        groups: vec![
            group(0, Shape::Singleton, vec![device("s-0", true, false)]),
            group(1, Shape::Bridge, bridge),
            group(2, Shape::Hotplug, vec![device("h-0", true, false)]),
            group(4, Shape::Sriov, vec![device("v-0", false, false)]),
            group(3, Shape::Express, vec![device("e-0", false, false)]),
        ],
        ..Guest::default()
    }
}

fn findings() -> Findings {
    Findings::load(&cases().join("../results/findings"), false).unwrap()
}

fn exported(file: &str, id: &str) -> Result<Program, ExportError> {
    let path = cases().join(file);
    let corpus = Corpus::load_file(&cases(), &path, findings(), false).unwrap();
    let case = corpus.cases.iter().find(|case| case.id == id);
    let case = case.unwrap_or_else(|| panic!("{file} has no {id}"));
    program(case, &offer(), &corpus.clauses)
}

#[rstest]
#[case::contract("contract/ioas-map", "size-long-garbage")]
#[case::dma("stage2/second-ioas-refused", "bridge")]
#[case::region("vfio-pci/mmap", "whole")]
#[case::fork("type1/locked-process", "another-process-maps")]
#[case::fail_nth("fail-nth/ioas-alloc", "")]
#[case::type1("type1/map", "the-same-range-again")]
#[case::drivers("stage1/kernel-driver-returns", "attached/bridge")]
#[case::unplug("vfio-pci/unplug", "")]
fn programs_read_well(#[case] file: &str, #[case] row: &str) {
    let id = format!("{file}/{row}");
    let id = id.trim_end_matches('/');
    let program = exported(&format!("{file}.yaml"), id).unwrap();
    insta::with_settings!({description => id, omit_expression => true}, {
        insta::assert_snapshot!(id.replace('/', "__"), program.text);
    });
}

#[rstest]
#[case::a_group("stage1/default-domain-locked", "bound/bridge", &[
    "write_file(text(\"/sys/kernel/iommu_groups/%d/type\", group_number), \"identity\")",
    "group_type = first_line(text(\"/sys/kernel/iommu_groups/%d/type\", group_number));",
    "group_number = number_of_group(\"pci\", group_0);",
])]
#[case::a_function("vfio-pci/vf-count", "", &["device_node(\"pci\", text(\"%.7s:10.0\", group_0))"])]
fn what_only_the_machine_knows_is_asked_of_it(
    #[case] file: &str,
    #[case] row: &str,
    #[case] wanted: &[&str],
) {
    let id = format!("{file}/{row}");
    let program = exported(&format!("{file}.yaml"), id.trim_end_matches('/'));
    let text = program.unwrap().text;
    for wanted in wanted {
        assert!(text.contains(wanted), "{wanted} in\n{text}");
    }
}

#[test]
fn arguments_are_the_devices_that_are_used() {
    let program = exported(
        "stage2/second-ioas-refused.yaml",
        "stage2/second-ioas-refused/bridge",
    );
    let argument = |role: &str| Argument {
        role: role.to_owned(),
        signs: true,
    };
    let wanted = ["group.0", "group.1"].map(argument);
    assert_eq!(program.unwrap().arguments, wanted);
}

#[test]
fn what_cannot_be_carried_over_is_told() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let corpus =
        Corpus::load_file(&cases(), &folder.join("fault.yaml"), findings(), false).unwrap();
    let error = program(&corpus.cases[0], &offer(), &[]).unwrap_err();
    insta::assert_snapshot!(error, @"fault: step 2 (fault None) has no counterpart in C: a fault for the tests of the harness");
}

#[test]
fn a_need_of_the_machine_is_told() {
    let mut offer = offer();
    offer.groups.clear();
    let path = cases().join("stage2/second-ioas-refused.yaml");
    let corpus = Corpus::load_file(&cases(), &path, findings(), false).unwrap();
    let error = program(&corpus.cases[0], &offer, &[]).unwrap_err();
    assert!(matches!(error, ExportError::Need { .. }), "{error}");
}
