//! Exit codes, as `--help` documents them, and the words that come with them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test panics to fail")]

use std::process::{Command, Output};

use rstest::rstest;

fn run(command: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xtask"))
        .arg(command)
        .args(arguments)
        .output()
        .unwrap()
}

/// The command ends with this code, and its standard error says this.
fn ends(command: &str, arguments: &[&str], code: i32, says: &str) {
    let output = run(command, arguments);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(text.contains(says), "{text}");
}

#[rstest]
#[case::help(&["--help"], 0, "")]
#[case::list(&["--list", "stage1"], 0, "")]
#[case::no_run(&["--diff", "/nonexistent", "/nonexistent"], 70, "/nonexistent")]
#[case::no_saved_run(&["--diff", "/etc/passwd", "/etc/passwd"], 2, "is not the coverage of a run")]
#[case::no_suite(&["--suite", "x", "/"], 2, "unknown suite `x`")]
#[case::ready_image(&["--kernel", "/etc/passwd"], 2, "run-conformance --gcov DIR")]
fn coverage_has_its_reasons(#[case] arguments: &[&str], #[case] code: i32, #[case] says: &str) {
    ends("coverage", arguments, code, says);
}

#[rstest]
#[case::list(&["--list", "stage1"], 0, "")]
#[case::check(&["--check"], 0, "")]
#[case::usage(&["--no-such-option"], 2, "unexpected argument")]
#[case::bad_glob(&["[x"], 2, "is not a valid glob")]
#[case::bad_platform(&["--platform", "x"], 2, "possible values: amd, intel,")]
#[case::list_of_bad_platform(&["--list", "--platform", "intle"], 2, "a similar value exists: 'intel'")]
#[case::nothing_listed(&["--list", "secnd-ioas-refused"], 3, "did you mean `second-ioas-refused`?")]
#[case::no_jobs(&["--jobs", "0"], 2, "0 is not in 1..=1024")]
#[case::other_program(&["--qemu", "/bin/true"], 70, "`/bin/true --version` ended with exit status: 0 and printed")]
#[case::no_baseline(&["--baseline", "/nonexistent", "stage1"], 2, "--baseline: reading /nonexistent")]
#[case::run_without_record(&["--baseline", "/etc", "stage1"], 2, "/etc/records.jsonl is not the record of a run")]
#[case::no_folder(&["--record", "/proc/x"], 70, "creating /proc/x for the record of the run: No such file")]
#[case::bad_cases(&["--cases", "/nonexistent"], 2, "reading the folder of cases /nonexistent: No such file")]
#[case::no_cases(&["--cases", "/proc/sys/kernel/random"], 2, "name a folder of case files (*.yaml)")]
#[case::check_and_bless(&["--check", "--bless"], 2, "cannot be used with")]
#[case::nothing_selected(&["nothing-is-called-so"], 3, "no case is selected")]
#[case::no_qemu(&["--qemu", "/nonexistent"], 70, "another binary with --qemu PATH")]
#[case::no_kernel(&["--kernel", "/nonexistent"], 2, "cannot read the kernel image /nonexistent")]
#[case::no_image(&["--kernel", "/etc/passwd"], 2, "is not an x86 bzImage")]
#[case::no_build(&["--kbuild", "/nonexistent"], 2, "/nonexistent has no kernel image; build it")]
#[case::no_tuxmake(&["--tuxmake", "/nonexistent"], 2, "/nonexistent has no kernel image; give the folder")]
#[case::no_package(&["--package", "/nonexistent"], 2, "cannot read the package /nonexistent")]
#[case::another_package(&["--package", "/etc/passwd"], 2, "it is neither a .deb nor an .rpm")]
#[case::two_ready(&["--kernel", "x", "--kbuild", "y"], 2, "cannot be used with")]
#[case::modules_of_what(&["--modules", "x"], 2, "--kernel")]
#[case::config_of_what(&["--config", "x"], 2, "--config is for a kernel that is built already")]
#[case::no_config(&["--print-config-fragment", "--config", "/nonexistent"], 2, "cannot read the kernel configuration /nonexistent")]
#[case::another_config(&["--print-config-fragment", "--config", "/etc/passwd"], 2, "is not the configuration of an x86 kernel")]
#[case::fragment(&["--print-config-fragment"], 0, "")]
#[case::no_tree(&["--linux", "/"], 2, "is not a Linux source tree")]
#[case::no_flavour(&["--flavour", "debgu"], 2, "a similar value exists: 'debug'")]
#[case::no_fragment(&["--fragment", "/nonexistent"], 2, "cannot read the fragment of kernel configuration /nonexistent")]
#[case::built_already(&["--kernel", "x", "--llvm"], 2, "cannot be used with")]
#[case::no_llvm_value(&["--llvm=99"], 2, "a suffix such as -19")]
#[case::no_llvm(&["--llvm=-99"], 70, "clang-99, ld.lld-99; scripts/bootstrap installs")]
#[case::no_compiler(&["--cc", "gcc-none"], 70, "gcc-none")]
#[case::two_sources(&["--source", "x", "--kernel", "y"], 2, "cannot be used with")]
#[case::other_scheme(&["--source", "ftp://x/linux-7.3.4.tar.xz"], 2, "is not an address with http://")]
#[case::no_checksum(&["--source", "http://x/y#sha256=1"], 2, "64 hexadecimal digits")]
#[case::no_tarball(&["--source", "/nonexistent/linux-7.3.4.tar.xz"], 2, "cannot read the tarball /nonexistent/linux")]
#[case::too_old(&["--source", "http://x/linux-6.1.tar.xz"], 2, "(Linux 6.1) has no iommufd")]
#[case::no_series(&["--source", "/etc/passwd"], 2, "name it like linux-7.3.4.tar.xz")]
#[case::folder(&["--source", "/etc"], 2, "give a source tree with --linux")]
#[case::no_such_accelerator(&["--accel", "hvf"], 2, "possible values: auto, kvm, tcg")]
#[case::bisect_cannot_tell(&["--bisect", "--kernel", "/etc/passwd"], 125, "is not an x86 bzImage")]
#[case::bisect_good(&["--bisect", "--list"], 0, "")]
fn a_code_has_its_reason(#[case] arguments: &[&str], #[case] code: i32, #[case] says: &str) {
    ends("run-conformance", arguments, code, says);
}

#[rstest]
#[case::list(&["--list"], 0, "")]
#[case::nothing_listed(&["--list", "nothing-is-called-so"], 3, "error: no mutant is selected by `nothing-is-called-so`; `mutants --list`")]
#[case::nothing_selected(&["secnd-ioas"], 3, "did you mean `second-ioas`?")]
#[case::no_case(&["--case", "secnd-ioas-refused"], 3, "did you mean `second-ioas-refused`?")]
#[case::no_record(&["--record", "/proc/x"], 70, "creating /proc/x for the record of the run: No such file")]
#[case::usage(&["--first-kill", "--every-killer"], 2, "cannot be used with")]
#[case::changed_in_what(&["--changed", "HEAD"], 2, "--linux")]
#[case::no_tree(&["--linux", "/"], 2, "is not a Linux source tree")]
#[case::ready_image(&["--kernel", "x"], 2, "which a ready image does not have")]
fn mutants_have_theirs(#[case] arguments: &[&str], #[case] code: i32, #[case] says: &str) {
    ends("mutants", arguments, code, says);
}

#[rstest]
#[case::help(&["--help"], 0, "")]
#[case::a_case(&["stage2/second-ioas-refused/bridge"], 0, "")]
#[case::no_case(&[], 2, "<CASE>")]
#[case::unknown(&["stage2/secnd-ioas-refused/bridge"], 3, "did you mean `stage2/second-ioas-refused/bridge`?")]
#[case::bad_glob(&["[x"], 2, "is not a valid glob")]
#[case::an_old_name(&["stage1/unsafe-interrupts/told-so"], 0, "note: stage1/unsafe-interrupts/told-so is now called stage1/unsafe-interrupts/allowed")]
#[case::part_of_an_id(&["second-ioas-refused"], 2, "  stage2/second-ioas-refused/functions")]
#[case::several(&["stage2/second-ioas-refused"], 2, "selects 2 cases; give the id of one:\n  stage2/")]
#[case::no_file(&["/nonexistent/walk.yaml"], 2, "the case file /nonexistent/walk.yaml does not exist")]
#[case::no_yaml(&["/etc/passwd"], 2, "/etc/passwd")]
#[case::bad_platform(&["--platform", "x", "stage2"], 2, "possible values: amd, intel,")]
#[case::wrong_platform(&["--platform", "virtio", "stage2/second-ioas-refused/bridge"], 70, "another one with --platform")]
#[case::not_written(&["stage2/second-ioas-refused/bridge", "-o", "/nonexistent/x.c"], 70, "/nonexistent/x.c")]
fn programs_have_theirs(#[case] arguments: &[&str], #[case] code: i32, #[case] says: &str) {
    ends("export-c", arguments, code, says);
}

#[rstest]
#[case::help(&["kvm", "--help"], 0, "")]
#[case::no_such_part(&["hvf"], 2, "hvf")]
#[case::bad_platform(&["kvm", "--platform", "x"], 2, "possible values: amd, intel,")]
#[case::two_sets(&["kvm", "--all", "--brief"], 2, "cannot be used with")]
#[case::no_qemu(&["kvm", "--qemu", "/nonexistent"], 70, "another binary with --qemu PATH")]
#[case::no_image(&["kvm", "--kernel", "/etc/passwd"], 2, "is not an x86 bzImage")]
fn full_has_its_reasons(#[case] arguments: &[&str], #[case] code: i32, #[case] says: &str) {
    ends("full", arguments, code, says);
}

#[rstest]
#[case::help(&["--help"], 0, "")]
#[case::list(&["--list"], 0, "")]
#[case::a_step(&["dma"], 0, "")]
#[case::an_ioctl(&["IOMMU_IOAS_MAP"], 0, "")]
#[case::unknown(&["cuont_faults"], 3, "count_faults")]
#[case::unlike_any(&["x"], 3, "--list")]
fn the_reference_has_its_reasons(
    #[case] arguments: &[&str],
    #[case] code: i32,
    #[case] says: &str,
) {
    ends("reference", arguments, code, says);
}

#[rstest]
#[case::help(&["--help"], 0, "")]
#[case::list(&["--list"], 0, "")]
#[case::unknown_world(&["nosuch"], 3, "unknown world `nosuch`; the worlds are:\n  singleton\n")]
#[case::misspelt_world(&["brigde"], 3, "unknown world `brigde`; did you mean `bridge`?")]
#[case::several_worlds(&["--random", "1", "bridge"], 2, "several; give one of:\n  group behind a bridge\n")]
#[case::no_ending(&["--list", "--graph", "x.png"], 2, "has to end in .svg")]
#[case::no_folder(&["--list", "--graph", "/nonexistent/x.svg"], 2, "--graph /nonexistent/x.svg")]
#[case::seed_of_what(&["--seed", "7"], 2, "--random")]
#[case::two_kernels(&["--release", "6.12", "--kernel", "x"], 2, "cannot be used with")]
#[case::no_jobs(&["--jobs", "0"], 2, "0 is not in 1..")]
#[case::bad_platform(&["--platform", "x"], 2, "possible values: amd, intel,")]
#[case::no_image(&["--kernel", "/etc/passwd"], 2, "is not an x86 bzImage")]
fn explore_has_its_reasons(#[case] arguments: &[&str], #[case] code: i32, #[case] says: &str) {
    ends("explore", arguments, code, says);
}

/// Nothing is built, booted or written: a cache that is not there is not made.
#[test]
fn a_command_line_is_printed_and_nothing_else_done() {
    let nowhere = tempfile::tempdir().unwrap();
    let cache = nowhere.path().join("cache");
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["run-conformance", "--print-qemu", "--accel", "tcg"])
        .args(["--processors", "3"])
        .env("XDG_CACHE_HOME", &cache)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for said in ["-accel tcg", "-kernel KERNEL", "-smp 3"] {
        assert!(text.contains(said), "{text}");
    }
    assert!(!cache.exists());
}

/// A record, and the exit code of a failed kernel.
fn fails_as_a_kernel(arguments: &[&str], id: &str, says: &str) {
    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().to_str().unwrap();
    let all = [&["--accel", "tcg", "--record", record], arguments].concat();
    let output = run("run-conformance", &all);
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}{errors}");
    let failed = format!("ms  {id}\n");
    assert!(text.contains(&failed) && text.contains(says), "{text}");
    for file in ["report.json", "records.jsonl", "report.ktap"] {
        let written = std::fs::read_to_string(folder.path().join(file)).unwrap();
        assert!(
            written.contains(id) && written.contains(says),
            "{file}: {written}"
        );
    }
    let bisect = run("run-conformance", &[&["--bisect"], &all[..]].concat());
    assert_eq!(bisect.status.code(), Some(125));
}

#[test]
fn a_kernel_that_does_not_build_is_a_failure_of_that_kernel() {
    let tree = tempfile::tempdir().unwrap();
    for folder in ["arch/x86", "drivers/iommu/iommufd"] {
        std::fs::create_dir_all(tree.path().join(folder)).unwrap();
    }
    std::fs::write(tree.path().join("arch/x86/Kconfig"), "").unwrap();
    let makefile = "VERSION = 7\nPATCHLEVEL = 3\ntinyconfig:\n\t@echo broken by a patch; exit 1\n";
    std::fs::write(tree.path().join("Makefile"), makefile).unwrap();
    let tree = tree.path().to_str().unwrap();
    fails_as_a_kernel(&["--linux", tree], "build", "broken by a patch");
}

#[test]
fn a_kernel_that_tuxmake_could_not_build_is_a_failure_of_that_kernel() {
    let folder = tempfile::tempdir().unwrap();
    let results = r#"{"results": {"status": "FAIL", "targets": {"default": {"status": "FAIL"}}}}"#;
    std::fs::write(folder.path().join("metadata.json"), results).unwrap();
    let log = "  CC a.o\na.c:1: error: broken by a patch\n";
    std::fs::write(folder.path().join("build.log"), log).unwrap();
    let folder = folder.path().to_str().unwrap();
    fails_as_a_kernel(&["--tuxmake", folder], "build", "broken by a patch");
}

#[test]
fn a_kernel_that_does_not_boot_is_a_failure_of_that_kernel() {
    let arguments = ["--append", "rdinit=/nonexistent", "--jobs", "2", "stage1"];
    fails_as_a_kernel(&arguments, "boot", "kernel panic");
}
