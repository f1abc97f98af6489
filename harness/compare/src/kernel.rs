//! What `--base` and `--head` name.

use std::path::{Path, PathBuf};

use vm_images::Series;

/// A kernel to compare, or the record of a run of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kernel {
    /// The folder of an earlier run.
    Record(PathBuf),
    /// A release that the distribution packages.
    Release(Series),
    /// An image.
    Image(PathBuf),
    /// A revision of the tree.
    Revision {
        tree: PathBuf,
        revision: String,
        /// Patches on top of it.
        series: Option<PathBuf>,
    },
}

/// Why a text names no kernel.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NoKernel {
    #[error("{0} is a folder without records.jsonl, so it is not that of a run")]
    NotARun(PathBuf),
    #[error(
        "`{0}` is neither a release such as 6.12, nor an image, nor the folder of a run; for a \
         revision, or a series of patches, give the tree with --linux"
    )]
    Unknown(String),
}

/// The first word of each mail in an mbox.
const MBOX: &[u8] = b"From ";

impl Kernel {
    /// Reads what names the base.
    pub fn base(text: &str, tree: Option<&Path>) -> Result<Self, NoKernel> {
        let path = Path::new(text);
        if path.is_dir() {
            return match path.join("records.jsonl").is_file() {
                true => Ok(Self::Record(path.to_owned())),
                false => Err(NoKernel::NotARun(path.to_owned())),
            };
        }
        if path.is_file() {
            return Ok(Self::Image(path.to_owned()));
        }
        match (tree, text.parse()) {
            (Some(tree), _) => Ok(Self::Revision {
                tree: tree.to_owned(),
                revision: text.to_owned(),
                series: None,
            }),
            (None, Ok(series)) => Ok(Self::Release(series)),
            (None, Err(_)) => Err(NoKernel::Unknown(text.to_owned())),
        }
    }

    /// Reads what names the head. An mbox stands for the base's revision with these patches.
    pub fn head(text: &str, tree: Option<&Path>, base: &Self) -> Result<Self, NoKernel> {
        let path = Path::new(text);
        match base {
            Self::Revision { tree, revision, .. } if is_mbox(path) => Ok(Self::Revision {
                tree: tree.clone(),
                revision: revision.clone(),
                series: Some(path.to_owned()),
            }),
            _ if is_mbox(path) => Err(NoKernel::Unknown(text.to_owned())),
            _ => Self::base(text, tree),
        }
    }
}

fn is_mbox(path: &Path) -> bool {
    let Ok(mut file) = std::fs::File::open(path) else {
        return false;
    };
    let mut first = [0; MBOX.len()];
    std::io::Read::read_exact(&mut file, &mut first).is_ok() && first == *MBOX
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rstest::rstest;

    use super::*;

    fn revision(series: Option<PathBuf>) -> Kernel {
        Kernel::Revision {
            tree: "tree".into(),
            revision: "v7.3".to_owned(),
            series,
        }
    }

    #[rstest]
    #[case::release("6.12", None, Ok(Kernel::Release(Series { major: 6, minor: 12 })))]
    #[case::revision("v7.3", Some("tree"), Ok(revision(None)))]
    #[case::unknown("v7.3", None, Err(NoKernel::Unknown("v7.3".to_owned())))]
    fn a_text_names_a_kernel(
        #[case] text: &str,
        #[case] tree: Option<&str>,
        #[case] want: Result<Kernel, NoKernel>,
    ) {
        assert_eq!(Kernel::base(text, tree.map(Path::new)), want);
    }

    #[test]
    fn files_and_folders_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("bzImage"), "MZ").unwrap();
        fs::write(at("fix.mbx"), "From abc Mon Sep 17 00:00:00 2001\n").unwrap();
        let name = |name: &str| at(name).display().to_string();
        let shown = folder.path().display().to_string();
        assert_eq!(
            Kernel::base(&name("bzImage"), None),
            Ok(Kernel::Image(at("bzImage")))
        );
        assert_eq!(
            Kernel::base(&shown, None),
            Err(NoKernel::NotARun(folder.path().to_owned()))
        );
        let series = Kernel::head(&name("fix.mbx"), None, &revision(None));
        assert_eq!(series, Ok(revision(Some(at("fix.mbx")))));
        let of_nothing = Kernel::head(&name("fix.mbx"), None, &Kernel::Image(at("bzImage")));
        assert!(of_nothing.is_err());
        fs::write(at("records.jsonl"), "").unwrap();
        assert_eq!(
            Kernel::base(&shown, None),
            Ok(Kernel::Record(folder.path().to_owned()))
        );
    }
}
