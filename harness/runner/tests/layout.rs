//! Compares the tables of `uapi` with the kernel's own headers, both ways: a generated C program
//! says what a compiler makes of every name in the tables, and a scan of the headers finds the
//! names that the tables lack.
//!
//! The headers are those of the image that the corpus runs on, built if it is not there yet.

#![allow(clippy::panic, clippy::unwrap_used)] // Clippy's leave for tests does not cover helpers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use uapi::{Header, IOMMUFD_H, KVM_H, MOCK_H, PCI_REGS_H, Series, VFIO_H, fits};

#[path = "common/header.rs"]
mod header;

use header::read;

/// Names of `pci_regs.h` and `kvm.h` that the tables leave out on purpose, beside
/// [`uapi::LEFT_OUT`].
const OF_OTHERS: &[(&str, &str)] = &[
    (
        "PCI_*",
        "configuration space: the tables have what cases use",
    ),
    ("HT_*", "HyperTransport"),
    ("CXL_*", "Compute Express Link"),
    ("KVM_*", "the tables have what is about vfio"),
    ("KVMIO", "the type of KVM's ioctls"),
    ("GUEST_MEMFD_FLAG_*", "the memory of a VM"),
    ("SYNC_REGS_SIZE_BYTES", "registers of a processor"),
    ("kvm_*", "the tables have what is about vfio"),
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
    let release = header::release(&dir);
    if Series::of_release(&release) != Some(uapi::SERIES) {
        eprintln!(
            "not compared: the tables are for Linux {} and {} is of {release}",
            uapi::SERIES,
            dir.display()
        );
        return None;
    }
    let mut headers: BTreeMap<_, _> = [IOMMUFD_H, KVM_H, PCI_REGS_H, VFIO_H]
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

#[test]
fn the_compiler_agrees() {
    let Some(headers) = headers() else { return };
    let (program, expected) = program(&headers);
    let printed = header::compile_and_run("layout", &headers_dir(), &program);

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
    let mut source = String::from(header::PRINT);
    source.push_str("#include <asm/errno.h>\n");
    for path in headers.values() {
        let _ = writeln!(source, "#include \"{}\"", path.display());
    }
    source.push_str(
        "#define SIGNED(s, f) ((__typeof__(MEMBER(s, f)))-1 < 0)\n\
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

/// Structures that a 32-bit program lays out in another way, which is the finding
/// `type1-structs-of-32-bit-programs`: the first has a pointer, the second contains it, and the last
/// has `__u64` at an offset that is a multiple of 4 only.
const UNLIKE_ON_32_BITS: &[&str] = &[
    "vfio_bitmap",
    "vfio_iommu_type1_dirty_bitmap_get",
    "vfio_iommu_type1_info_cap_migration",
];

/// The handlers of vfio read the structs of 32-bit programs as they are.
#[test]
fn a_32_bit_program_lays_out_alike() {
    let Some(headers) = headers() else { return };
    let mut source = String::from("#include <stddef.h>\n#define __user\n#define __counted_by(n)\n");
    for path in headers.values() {
        let _ = writeln!(source, "#include \"{}\"", path.display());
    }
    for of in uapi::structs() {
        if !headers.contains_key(of.source) {
            continue;
        }
        let (name, size) = (of.name, of.size);
        let _ = writeln!(
            source,
            "_Static_assert(sizeof(struct {name}) == {size}, \"{name}\");"
        );
        for field in of.fields {
            let (field, offset) = (field.name, field.offset);
            let _ = writeln!(
                source,
                "_Static_assert(offsetof(struct {name}, {field}) == {offset}, \"{name}\");"
            );
        }
    }
    let unlike = header::failed_assertions("layout-32", &headers_dir(), &source, &["-m32"]);
    let known: BTreeSet<_> = UNLIKE_ON_32_BITS.iter().map(ToString::to_string).collect();
    assert_eq!(unlike, known);
}

#[test]
fn nothing_is_missing() {
    let Some(headers) = headers() else { return };
    let mut complaints = Vec::new();
    let mut matched = BTreeSet::new();
    let all = || uapi::LEFT_OUT.iter().chain(OF_OTHERS);
    let mut left_out = |name: &str| {
        let pattern = all().find(|(pattern, _)| fits(pattern, name));
        matched.extend(pattern.map(|(pattern, _)| *pattern));
        pattern.is_some()
    };

    for (header, path) in &headers {
        let found = Header::scan(&read(path));
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
        for name in found.numbers() {
            if !ours.contains(name) && !left_out(name) {
                complaints.push(format!("{header}: {name} is not in the tables"));
            }
        }
        // The scan is no C compiler. That it finds all we know shows that it is not blind.
        for name in ours {
            if found.numbers().all(|known| known != name) {
                complaints.push(format!("{header}: the scan overlooks {name}"));
            }
        }
        for (name, members) in found.structs() {
            let Some(of) = uapi::structure(name).filter(|of| of.source == *header) else {
                if !left_out(name) {
                    complaints.push(format!("{header}: struct {name} is not in the tables"));
                }
                continue;
            };
            let ours: BTreeSet<&str> = of
                .fields
                .iter()
                .map(|field| field.name)
                .chain(of.tail.map(|tail| tail.name))
                .collect();
            for member in members {
                if !ours.contains(member.as_str()) {
                    complaints.push(format!("{header}: {name}.{member} is not in the tables"));
                }
            }
        }
        for of in uapi::structs().iter().filter(|of| of.source == *header) {
            if !found.has(of.name) {
                complaints.push(format!("{header}: the scan overlooks struct {}", of.name));
            }
        }
    }

    let dir = headers_dir();
    for header in ["asm-generic/errno-base.h", "asm-generic/errno.h"] {
        for name in Header::scan(&read(&dir.join(header))).numbers() {
            if uapi::errno(name).is_none() && !name.starts_with('_') {
                complaints.push(format!("{header}: {name} is not in the tables"));
            }
        }
    }

    for (pattern, why) in all() {
        if !matched.contains(pattern) {
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
