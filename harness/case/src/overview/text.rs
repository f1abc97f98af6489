//! The overview as Markdown that is also readable as plain text.

use std::{collections::BTreeSet, fmt::Write, path::Path};

use uapi::{Arg, FdKind, Ioctl, Kind};

use crate::{
    corpus::Corpus,
    overview::{
        documented::documented,
        proof::{End, Proofs, Subject, Tests},
    },
};

const HEAD: &str = "\
# Every ioctl with every errno

How many tests state explicitly that an ioctl ends in this way. `gap`: the header names the errno for this ioctl, and no test
shows it. Tests with a known failure do not count. The files that state each of them follow below.
`cargo xtask overview` generates this file.
";

const KINDS: [(FdKind, &str); 8] = [
    (FdKind::Iommu, "/dev/iommu"),
    (FdKind::Device, "VFIO device"),
    (FdKind::Group, "VFIO group"),
    (FdKind::Container, "VFIO container"),
    (FdKind::Migration, "Migration data"),
    (FdKind::Kvm, "/dev/kvm"),
    (FdKind::Vm, "VM of KVM"),
    (FdKind::VmDevice, "Device of a VM"),
];

/// Returns the text of `cases/OVERVIEW.md`; `root` is the folder of the cases.
pub fn overview(corpus: &Corpus, root: &Path) -> String {
    let proofs = Proofs::of(corpus);
    let kinds = KINDS.iter().map(|(kind, title)| {
        let ioctls: Vec<_> = public().filter(|ioctl| ioctl.on == *kind).collect();
        format!("\n## {title}\n\n{}", table(&ioctls, &proofs))
    });
    let lists = public().map(|ioctl| list(ioctl, &proofs, root));
    let tables: String = kinds.collect();
    let lists: String = lists.collect();
    format!("{HEAD}{tables}\n## Files\n{lists}")
}

/// Returns all ioctls except those of the mock.
fn public() -> impl Iterator<Item = &'static Ioctl> {
    let all = uapi::ioctls().iter();
    all.filter(|ioctl| ioctl.source != uapi::MOCK_H)
}

fn table(ioctls: &[&'static Ioctl], proofs: &Proofs) -> String {
    let named = ioctls.iter().flat_map(|ioctl| documented(ioctl));
    let proved = ioctls.iter().flat_map(|ioctl| proofs.errnos(whole(ioctl)));
    let columns: BTreeSet<_> = named.chain(proved).collect();
    let header = ["ioctl", "ok"].into_iter().chain(columns.iter().copied());
    let mut rows = vec![header.map(str::to_owned).collect::<Vec<_>>()];
    for ioctl in ioctls {
        rows.push(row(whole(ioctl), &documented(ioctl), &columns, proofs));
        let parts = parts(ioctl).map(|part| row(part, &BTreeSet::new(), &columns, proofs));
        rows.extend(parts);
    }
    aligned(&rows)
}

type Errnos = BTreeSet<&'static str>;

fn row(subject: Subject, named: &Errnos, columns: &Errnos, proofs: &Proofs) -> Vec<String> {
    let name = match subject.part {
        None => subject.ioctl.to_owned(),
        Some(part) => format!("... {part}"),
    };
    let ok = cell(proofs.count(subject, End::Ok), true);
    let cells = columns.iter().map(|errno| {
        let count = proofs.count(subject, End::Errno(errno));
        cell(count, named.contains(errno))
    });
    [name, ok].into_iter().chain(cells).collect()
}

fn whole(ioctl: &Ioctl) -> Subject {
    let (ioctl, part) = (ioctl.name, None);
    Subject { ioctl, part }
}

/// Returns the parts that an index in the flags selects.
fn parts(ioctl: &Ioctl) -> impl Iterator<Item = Subject> {
    let fields = match ioctl.arg {
        Arg::Struct(layout) => layout.fields,
        _ => &[],
    };
    let index = fields.iter().find_map(|field| match field.kind {
        Kind::IndexAndFlags { index, .. } => Some(index),
        _ => None,
    });
    let ioctl = ioctl.name;
    index.unwrap_or_default().iter().map(move |part| {
        let part = Some(part.short());
        Subject { ioctl, part }
    })
}

fn cell(count: usize, named: bool) -> String {
    match count {
        0 if named => "gap".to_owned(),
        0 => String::new(),
        count => count.to_string(),
    }
}

/// Renders a table with columns that are also aligned in the source, with numbers to the right.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<_> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(&widths).enumerate();
        let cells = cells.map(|(column, (cell, width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        let cells: Vec<_> = cells.collect();
        let _ = writeln!(text, "| {} |", cells.join(" | "));
        if index == 0 {
            let lines = widths
                .iter()
                .enumerate()
                .map(|(column, width)| match column {
                    0 => "-".repeat(*width),
                    _ => format!("{}:", "-".repeat(width - 1)),
                });
            let lines: Vec<_> = lines.collect();
            let _ = writeln!(text, "| {} |", lines.join(" | "));
        }
    }
    text
}

/// Lists the files that prove an errno of an ioctl, each with its number of tests. Successes are
/// not listed, because nearly every case has them.
fn list(ioctl: &Ioctl, proofs: &Proofs, root: &Path) -> String {
    let lines = proofs.errnos(whole(ioctl)).filter_map(|errno| {
        let tests = proofs.tests(whole(ioctl), End::Errno(errno))?;
        Some(format!("- {errno}: {}\n", files(tests, root)))
    });
    let lines: String = lines.collect();
    let lines = if lines.is_empty() { "- none\n" } else { &lines };
    format!("\n### {}\n\n{lines}", ioctl.name)
}

fn files(tests: &Tests, root: &Path) -> String {
    let files = tests.iter().map(|(path, tests)| {
        let path = path.strip_prefix(root).unwrap_or(path);
        let name = path.with_extension("");
        let link = format!("[{}]({})", name.display(), path.display());
        match tests.len() {
            1 => link,
            count => format!("{link} ({count})"),
        }
    });
    files.collect::<Vec<_>>().join(", ")
}
