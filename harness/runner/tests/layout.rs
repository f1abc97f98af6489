//! Compares the tables of `uapi` with the kernel's own headers, both ways: a generated C program
//! says what a compiler makes of every name in the tables, and a scan of the headers finds the
//! names that the tables lack.
//!
//! The headers are those of the image that the corpus runs on, built if it is not there yet.

#![allow(clippy::panic, clippy::unwrap_used)] // Clippy's leave for tests does not cover helpers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use uapi::{IOMMUFD_H, MOCK_H, PCI_REGS_H, VFIO_H};

/// Names of the headers that the tables leave out on purpose. `*` stands for any ending.
const LEFT_OUT: &[(&str, &str)] = &[
    ("_IOMMUFD_H", "include guard"),
    ("VFIO_H", "include guard"),
    ("_UAPI_IOMMUFD_TEST_H", "include guard"),
    ("LINUX_PCI_REGS_H", "include guard"),
    (
        "PCI_*",
        "configuration space: the tables have what cases use",
    ),
    ("HT_*", "HyperTransport"),
    ("CXL_*", "Compute Express Link"),
    ("VFIO_DEVICE_API_*", "strings"),
    ("VFIO_IOMMU_SPAPR_*", "POWER"),
    ("vfio_iommu_spapr_*", "POWER"),
    ("VFIO_EEH_PE_*", "POWER"),
    ("vfio_eeh_*", "POWER"),
    ("VFIO_DEVICE_INFO_CAP_ZPCI_*", "s390"),
    ("vfio_device_feature_zpci_err", "s390"),
    ("VFIO_CCW_*", "s390"),
    ("VFIO_REGION_SUBTYPE_CCW_*", "s390"),
    ("VFIO_AP_*", "s390"),
];

/// The kernel whose headers are compared with: the image that the corpus runs on.
fn image() -> vm_images::Image {
    vm_images::obtain(
        &vm_images::Source::Release(None),
        &runner::options::default_build().unwrap(),
        &vm_images::Terminal::new(),
    )
    .unwrap()
}

/// The installed headers of the kernel to compare with.
fn headers_dir() -> PathBuf {
    image().headers.unwrap()
}

/// The mock's header, which no kernel installs.
fn mock_header() -> Option<PathBuf> {
    let path = image().source?.join("drivers/iommu/iommufd/iommufd_test.h");
    path.exists().then_some(path)
}

/// The headers at hand, by the name the tables use. None, with a word about it, if they are of
/// another series: an enumerator that a header lacks cannot be skipped from within C.
fn headers() -> Option<BTreeMap<&'static str, PathBuf>> {
    let dir = headers_dir();
    let version = read(&dir.join("linux/version.h"));
    let part = |name: &str| {
        version
            .lines()
            .find_map(|line| line.strip_prefix(&format!("#define {name} ")))
            .map(|value| value.trim().to_owned())
            .unwrap_or_default()
    };
    let series = format!(
        "{}.{}",
        part("LINUX_VERSION_MAJOR"),
        part("LINUX_VERSION_PATCHLEVEL")
    );
    if series != uapi::SERIES {
        eprintln!(
            "not compared: the tables are for Linux {} and {} is of {series}",
            uapi::SERIES,
            dir.display()
        );
        return None;
    }
    let mut headers: BTreeMap<_, _> = [IOMMUFD_H, PCI_REGS_H, VFIO_H]
        .map(|name| (name, dir.join(name)))
        .into();
    match mock_header() {
        Some(path) => {
            headers.insert(MOCK_H, path);
        }
        None => eprintln!("the mock is not compared: CONFORMANCE_MOCK_HEADER is not set"),
    }
    Some(headers)
}

fn read(path: &Path) -> String {
    match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => panic!("reading {}: {error}", path.display()),
    }
}

#[test]
fn the_compiler_agrees() {
    let Some(headers) = headers() else { return };
    let (program, expected) = program(&headers);
    let printed = compile_and_run(&headers, &program);

    let mut differences = Vec::new();
    for (what, ours) in &expected {
        match printed.get(what) {
            Some(theirs) if theirs == ours => {}
            Some(theirs) => differences.push(format!("{what}: header {theirs:#x}, ours {ours:#x}")),
            None => differences.push(format!("{what}: the program printed nothing")),
        }
    }
    assert!(
        differences.is_empty(),
        "{} of {} differ from the headers; correct the tables of uapi:\n{}",
        differences.len(),
        expected.len(),
        differences.join("\n")
    );
    eprintln!("{} numbers agree", expected.len());
}

/// The C program, and what we expect it to print.
fn program(headers: &BTreeMap<&str, PathBuf>) -> (String, BTreeMap<String, u64>) {
    let mut source = String::from("#include <stddef.h>\n#include <stdio.h>\n");
    source.push_str("#include <asm/errno.h>\n");
    for path in headers.values() {
        let _ = writeln!(source, "#include \"{}\"", path.display());
    }
    source.push_str(
        "#define P(what, value) printf(\"%s %llx\\n\", what, (unsigned long long)(value))\n\
         #define NUMBER(n) ((n) < 0 && sizeof(n) == 4 ? (unsigned int)(n) : (n))\n\
         #define MEMBER(s, f) (((struct s *)0)->f)\n\
         #define SIGNED(s, f) ((__typeof__(MEMBER(s, f)))-1 < 0)\n\
         int main(void)\n{\n",
    );
    let mut expected = BTreeMap::new();
    let mut ask = |what: String, expression: String, ours: u64| {
        let _ = writeln!(source, "\tP(\"{what}\", {expression});");
        let before = expected.insert(what.clone(), ours);
        assert_eq!(before, None, "{what} is in the tables twice");
    };

    for of in uapi::structs() {
        if !headers.contains_key(of.source) {
            continue;
        }
        let s = of.name;
        ask(
            format!("sizeof({s})"),
            format!("sizeof(struct {s})"),
            of.size.into(),
        );
        ask(
            format!("alignof({s})"),
            format!("_Alignof(struct {s})"),
            of.align.into(),
        );
        for field in of.fields {
            let f = field.name;
            let element = if field.count > 1 {
                format!("{f}[0]")
            } else {
                f.to_owned()
            };
            ask(
                format!("offsetof({s}.{f})"),
                format!("offsetof(struct {s}, {f})"),
                field.offset.into(),
            );
            ask(
                format!("sizeof({s}.{f})"),
                format!("sizeof(MEMBER({s}, {f}))"),
                field.size().into(),
            );
            ask(
                format!("width({s}.{f})"),
                format!("sizeof(MEMBER({s}, {element}))"),
                field.width.bytes().into(),
            );
            ask(
                format!("signed({s}.{f})"),
                format!("SIGNED({s}, {element})"),
                field.signed.into(),
            );
        }
        if let Some(tail) = of.tail {
            let f = tail.name;
            ask(
                format!("offsetof({s}.{f})"),
                format!("offsetof(struct {s}, {f})"),
                tail.offset.into(),
            );
            ask(
                format!("element({s}.{f})"),
                format!("sizeof(MEMBER({s}, {f}[0]))"),
                // Where the data varies, C has bytes.
                tail.element.size().unwrap_or(1).into(),
            );
        }
    }
    let ioctls = uapi::ioctls()
        .iter()
        .map(|ioctl| (ioctl.name, u64::from(ioctl.request), ioctl.source));
    let constants = uapi::constants().map(|c| (c.name, c.value, c.source));
    for (name, value, header) in ioctls.chain(constants) {
        if headers.contains_key(header) {
            ask(name.to_owned(), format!("NUMBER({name})"), value);
        }
    }
    for (name, number) in uapi::ERRNOS {
        // Those from here on do not leave the kernel.
        if *number < 512 {
            ask((*name).to_owned(), (*name).to_owned(), *number as u64);
        }
    }
    source.push_str("\treturn 0;\n}\n");
    (source, expected)
}

fn compile_and_run(headers: &BTreeMap<&str, PathBuf>, program: &str) -> BTreeMap<String, u64> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("layout");
    let source = dir.join("layout.c");
    let binary = dir.join("layout");
    fs::create_dir_all(&dir).unwrap();
    fs::write(&source, program).unwrap();

    let compiled = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()))
        .args(["-w", "-I"])
        .arg(headers_dir())
        .arg("-o")
        .arg(&binary)
        .arg(&source)
        .output()
        .unwrap_or_else(|error| panic!("starting the C compiler: {error}; install cc or set CC"));
    assert!(
        compiled.status.success(),
        "compiling {} against {headers:?}; a name the headers lack does not belong into the \
         tables:\n{}",
        source.display(),
        String::from_utf8_lossy(&compiled.stderr)
    );
    let run = Command::new(&binary).output().unwrap();
    assert!(run.status.success(), "running {}", binary.display());
    String::from_utf8(run.stdout)
        .unwrap()
        .lines()
        .map(|line| {
            let (what, value) = line.rsplit_once(' ').unwrap();
            (what.to_owned(), u64::from_str_radix(value, 16).unwrap())
        })
        .collect()
}

#[test]
fn nothing_is_missing() {
    let Some(headers) = headers() else { return };
    let mut complaints = Vec::new();
    let mut matched = BTreeSet::new();
    let mut left_out = |name: &str| {
        LEFT_OUT.iter().any(|(pattern, _)| {
            let hit = match pattern.strip_suffix('*') {
                Some(start) => name.starts_with(start),
                None => name == *pattern,
            };
            if hit {
                matched.insert(*pattern);
            }
            hit
        })
    };

    for (header, path) in &headers {
        let found = scan(&read(path));
        let ours: BTreeSet<&str> = uapi::ioctls()
            .iter()
            .filter(|ioctl| ioctl.source == *header)
            .map(|ioctl| ioctl.name)
            .chain(
                uapi::constants()
                    .filter(|constant| constant.source == *header)
                    .map(|constant| constant.name),
            )
            .collect();
        for name in &found.numbers {
            if !ours.contains(name.as_str()) && !left_out(name) {
                complaints.push(format!("{header}: {name} is not in the tables"));
            }
        }
        // The scan is no C compiler. That it finds all we know shows that it is not blind.
        for name in ours {
            if !found.numbers.contains(name) {
                complaints.push(format!("{header}: the scan overlooks {name}"));
            }
        }
        for (name, members) in &found.structs {
            let Some(of) = uapi::structure(name).filter(|of| of.source == *header) else {
                if !left_out(name) {
                    complaints.push(format!("{header}: struct {name} is not in the tables"));
                }
                continue;
            };
            let ours: BTreeSet<&str> = of
                .fields
                .iter()
                .flat_map(|field| field.name.split('.'))
                .chain(of.tail.map(|tail| tail.name))
                .collect();
            for member in members {
                if !ours.contains(member.as_str()) {
                    complaints.push(format!("{header}: {name}.{member} is not in the tables"));
                }
            }
        }
        for of in uapi::structs().iter().filter(|of| of.source == *header) {
            if !found.structs.contains_key(of.name) {
                complaints.push(format!("{header}: the scan overlooks struct {}", of.name));
            }
        }
    }

    let dir = headers_dir();
    for header in ["asm-generic/errno-base.h", "asm-generic/errno.h"] {
        for name in scan(&read(&dir.join(header))).numbers {
            if uapi::errno(&name).is_none() && !name.starts_with('_') {
                complaints.push(format!("{header}: {name} is not in the tables"));
            }
        }
    }

    for (pattern, why) in LEFT_OUT {
        let mock_only = pattern.contains("TEST_H") && !headers.contains_key(MOCK_H);
        if !matched.contains(pattern) && !mock_only {
            complaints.push(format!("{pattern} ({why}) leaves nothing out"));
        }
    }
    assert!(
        complaints.is_empty(),
        "{} names want looking at:\n{}",
        complaints.len(),
        complaints.join("\n")
    );
}

/// What a header declares.
#[derive(Default)]
struct Found {
    /// Enumerators and macros without arguments.
    numbers: BTreeSet<String>,
    /// Structures with the names of their members, nested ones included.
    structs: BTreeMap<String, BTreeSet<String>>,
}

fn scan(header: &str) -> Found {
    let mut found = Found::default();
    let mut code = String::new();
    for line in without_comments(header).replace("\\\n", " ").lines() {
        let Some(directive) = line.trim_start().strip_prefix('#') else {
            code.push_str(line);
            code.push('\n');
            continue;
        };
        if let Some(macro_) = directive.trim_start().strip_prefix("define") {
            let macro_ = macro_.trim_start();
            let name = identifier(macro_);
            if !name.is_empty() && !macro_[name.len()..].starts_with('(') {
                found.numbers.insert(name.to_owned());
            }
        }
    }

    let mut rest = code.as_str();
    while let Some(open) = rest.find('{') {
        let head = rest[..open].rsplit(';').next().unwrap_or_default();
        let words: Vec<&str> = head.split_whitespace().collect();
        let end = closing(&rest[open..]);
        let body = &rest[open + 1..open + end];
        match words.as_slice() {
            ["enum", ..] => {
                for entry in body.split(',') {
                    let name = identifier(entry.trim_start());
                    if !name.is_empty() {
                        found.numbers.insert(name.to_owned());
                    }
                }
            }
            ["struct", name, ..] => {
                found.structs.insert((*name).to_owned(), members(body));
            }
            _ => {}
        }
        rest = &rest[open + end + 1..];
    }
    found
}

fn without_comments(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("/*") {
        out.push_str(&rest[..start]);
        out.push(' ');
        let comment = &rest[start..];
        rest = match comment.find("*/") {
            Some(end) => &comment[end + 2..],
            None => "",
        };
    }
    out.push_str(rest);
    out
}

/// The position of the brace that closes the one at the start.
fn closing(text: &str) -> usize {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    panic!("a brace stays open: {}", text.lines().next().unwrap_or(""));
}

/// The declared names: the last identifier in front of each semicolon, array bounds and
/// attributes put aside.
fn members(body: &str) -> BTreeSet<String> {
    let mut plain = String::new();
    let mut depth = 0;
    for c in body.replace("__counted_by", " ").chars() {
        match c {
            '[' | '(' => depth += 1,
            ']' | ')' => depth -= 1,
            _ if depth == 0 => plain.push(c),
            _ => {}
        }
    }
    plain
        .split_inclusive(['{', '}', ';'])
        .filter_map(|part| part.strip_suffix(';'))
        .flat_map(|part| part.split(','))
        .filter_map(|part| {
            part.split(|c: char| !(c.is_alphanumeric() || c == '_'))
                .rfind(|word| !word.is_empty())
        })
        .map(str::to_owned)
        .collect()
}

fn identifier(text: &str) -> &str {
    let end = text
        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(text.len());
    &text[..end]
}
