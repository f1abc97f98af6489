//! Checks the stored snapshots as a whole.

use std::{
    collections::BTreeMap,
    fs::{self, DirEntry},
    io,
    path::{Path, PathBuf},
};

use case::Case;

use super::{
    sections::{Section, Sections},
    store::{SnapshotError, parse, read_text, shown, source},
    variant::{REFERENCE_PLATFORM, REFERENCE_SERIES},
};
use crate::{
    platform,
    root::{snapshots, vm_images_folder},
};

/// A fault of a file or a section.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A folder cannot be read.
    #[error("reading {}: {error}", path.display())]
    Folder { path: PathBuf, error: io::Error },
    /// The file belongs to no case file.
    #[error("{}: it belongs to no case file; delete it", .0.display())]
    Orphan(PathBuf),
    /// The file cannot be read or is malformed.
    #[error(transparent)]
    Unreadable(#[from] SnapshotError),
    /// No run is compared with a section.
    #[error("{}, section `{section}`: {unused}", path.display())]
    Section {
        /// The file.
        path: PathBuf,
        /// The section.
        section: Section,
        unused: Unused,
    },
    /// The file is not in the form that `--bless` writes.
    #[error("{}:{line}: `--bless` would write `{wanted}` here", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// The first line that differs.
        line: usize,
        /// The line that `--bless` would write.
        wanted: String,
    },
}

/// Why no run is compared with a section.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unused {
    /// The case does not exist.
    #[error("the case file has no case of this name; delete the section")]
    NoCase,
    /// The case says `snapshot: none`.
    #[error("the case has `snapshot: none`; delete the section")]
    NotCompared,
    /// The platform does not exist.
    #[error(
        "`{0}` is not a platform, a series such as 6.12, or a platform with a series; correct or \
         delete it"
    )]
    NoPlatform(String),
    /// It names the reference, which the general section is for.
    #[error(
        "the transcripts of {REFERENCE_PLATFORM} and of {REFERENCE_SERIES} belong in general \
         sections; delete this section"
    )]
    Reference,
    /// Without it, an equal section would be used.
    #[error("it equals the section that is used without it; delete it")]
    Redundant,
}

/// Returns every fault of the project's snapshots, given all cases.
pub fn faults(cases: &[Case]) -> Vec<Fault> {
    let platforms = platform::names(&vm_images_folder());
    faults_below(&snapshots(), cases, &platforms)
}

fn faults_below(root: &Path, cases: &[Case], platforms: &[String]) -> Vec<Fault> {
    let mut by_file: BTreeMap<&str, Vec<&Case>> = BTreeMap::new();
    for case in cases {
        by_file.entry(&case.file).or_default().push(case);
    }
    let mut faults = Vec::new();
    for path in files(root, &mut faults) {
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy();
        let stored = name.strip_suffix(".snap");
        // A file that waits for `cargo insta review` belongs to the case file of the stored one.
        let file = stored.or_else(|| name.strip_suffix(".snap.new"));
        match file.and_then(|file| by_file.get_key_value(file)) {
            None => faults.push(Fault::Orphan(shown(&path))),
            Some((file, cases)) if stored.is_some() => {
                faults.extend(faults_of(&path, file, cases, platforms));
            }
            Some(_) => {}
        }
    }
    faults
}

/// Returns the files below a folder, except those that are being written.
fn files(root: &Path, faults: &mut Vec<Fault>) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(path) = folders.pop() {
        let entries = fs::read_dir(&path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let entries = entries.unwrap_or_else(|error| {
            faults.push(Fault::Folder { path, error });
            Vec::new()
        });
        let visible = |entry: &DirEntry| !entry.file_name().as_encoded_bytes().starts_with(b".");
        for path in entries.iter().filter(|it| visible(it)).map(DirEntry::path) {
            let list = if path.is_dir() {
                &mut folders
            } else {
                &mut files
            };
            list.push(path);
        }
    }
    files.sort();
    files
}

fn faults_of(path: &Path, file: &str, cases: &[&Case], platforms: &[String]) -> Vec<Fault> {
    let text = match read_text(path) {
        Ok(text) => text,
        Err(error) => return vec![error.into()],
    };
    let sections = match parse(path, &text) {
        Ok(sections) => sections,
        Err(error) => return vec![error.into()],
    };
    let redundant = sections.redundant();
    let unused = |section: &Section| {
        let known = unused(section, cases, platforms);
        known.or_else(|| redundant.contains(section).then_some(Unused::Redundant))
    };
    let of_sections = sections.iter().filter_map(|(section, _)| {
        let (path, unused) = (shown(path), unused(&section)?);
        Some(Fault::Section {
            path,
            section,
            unused,
        })
    });
    of_sections
        .chain(form(path, file, &text, &sections))
        .collect()
}

fn unused(section: &Section, cases: &[&Case], platforms: &[String]) -> Option<Unused> {
    let case = cases.iter().find(|case| case.id == section.case);
    let platform = section.variant.platform.as_ref();
    match (case, platform) {
        (None, _) => Some(Unused::NoCase),
        (Some(case), _) if !case.snapshot => Some(Unused::NotCompared),
        (_, Some(platform)) if !platforms.contains(platform) => {
            Some(Unused::NoPlatform(platform.clone()))
        }
        _ if section.variant.names_reference() => Some(Unused::Reference),
        _ => None,
    }
}

fn form(path: &Path, file: &str, text: &str, sections: &Sections) -> Option<Fault> {
    let wanted = sections.render(&source(file), None);
    if text == wanted {
        return None;
    }
    let same = text.lines().zip(wanted.lines()).take_while(|(a, b)| a == b);
    let same = same.count();
    Some(Fault::Form {
        path: shown(path),
        line: same + 1,
        wanted: wanted.lines().nth(same).unwrap_or_default().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test panics to fail")]

    use case::Findings;
    use rstest::rstest;

    use super::*;

    const CASES: &str = "\
summary: a case
table:
  first row: {}
  second row: {}
steps:
  - open: {iommu: /dev/iommu}
  - close: iommu
";

    /// Returns the faults of one file of snapshots, given the cases of `a/b.yaml`.
    fn told(name: &str, text: &str) -> Vec<String> {
        let place = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = place.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("cases/a/b.yaml", CASES);
        write("cases/a/none.yaml", &format!("snapshot: none\n{CASES}"));
        write(name, text);
        let corpus =
            case::Corpus::load(&place.path().join("cases"), Findings::default(), false).unwrap();
        let platforms = ["intel", "virtio"].map(str::to_owned);
        let snapshots = place.path().join("snapshots");
        let faults = faults_below(&snapshots, &corpus.cases, &platforms);
        let folder = snapshots.display().to_string();
        let shown = |fault: Fault| fault.to_string().replace(&folder, "SNAPSHOTS");
        faults.into_iter().map(shown).collect()
    }

    #[rstest]
    #[case::good("# a/b/first-row\n1\n\n# a/b/first-row @virtio-6.12\n2", None)]
    #[case::row("# a/b/third-row\n1", Some("third-row`: the case file has no case"))]
    #[case::platform("# a/b/first-row @vortio\n1", Some("`vortio` is not a platform"))]
    #[case::series(
        "# a/b/first-row @virtio-6.x\n1",
        Some("`virtio-6.x` is not a platform")
    )]
    #[case::reference(
        "# a/b/first-row @intel-6.12\n1",
        Some("@intel-6.12`: the transcripts of intel")
    )]
    #[case::redundant(
        "# a/b/first-row\n1\n\n# a/b/first-row @virtio\n1",
        Some("@virtio`: it equals the section")
    )]
    #[case::order(
        "# a/b/second-row\n1\n\n# a/b/first-row\n1",
        Some("a/b.snap:4: `--bless` would write `# a/b/first-row` here")
    )]
    #[case::malformed("# a/b/first-row\n#", Some("a/b.snap:5: `#` does not name a section"))]
    fn a_section_that_no_run_is_compared_with_is_reported(
        #[case] sections: &str,
        #[case] wanted: Option<&str>,
    ) {
        let text = format!("---\nsource: cases/a/b.yaml\n---\n{sections}\n");
        let faults = told("snapshots/a/b.snap", &text);
        match wanted {
            None => assert_eq!(faults, [""; 0]),
            Some(wanted) => {
                assert_eq!(faults.len(), 1, "{faults:?}");
                assert!(faults[0].contains(wanted), "{faults:?}");
            }
        }
    }

    #[rstest]
    #[case::no_case_file(
        "c.snap",
        Some("SNAPSHOTS/c.snap: it belongs to no case file; delete it")
    )]
    #[case::no_snapshot(
        "a/b.txt",
        Some("SNAPSHOTS/a/b.txt: it belongs to no case file; delete it")
    )]
    #[case::proposed("a/b.snap.new", None)]
    #[case::proposed_for_nothing(
        "a/c.snap.new",
        Some(
            "SNAPSHOTS/a/c.snap.new: it belongs to no \
                                  case"
        )
    )]
    #[case::being_written("a/.b123", None)]
    fn a_file_without_cases_is_reported(#[case] name: &str, #[case] wanted: Option<&str>) {
        let faults = told(&format!("snapshots/{name}"), "");
        let told = faults.first().map(String::as_str).unwrap_or_default();
        assert_eq!(faults.len(), usize::from(wanted.is_some()), "{faults:?}");
        assert!(told.starts_with(wanted.unwrap_or_default()), "{told}");
    }

    #[test]
    fn a_section_of_a_case_without_snapshot_is_reported() {
        let text = "---\nsource: cases/a/none.yaml\n---\n# a/none/first-row\n1\n";
        let faults = told("snapshots/a/none.snap", text);
        assert!(
            faults[0].contains("the case has `snapshot: none`"),
            "{faults:?}"
        );
    }
}
