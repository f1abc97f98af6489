//! Patches of a flavour, which are applied to the source of a release.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cache::{make_dir, read, write};
use crate::error::ImageError;
use crate::process::{check, command};

const HINT: &str = "the patch is for another release of Linux; rebase it, or choose its release\n";

/// A patch of a flavour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Patch {
    /// Name of its file.
    pub(crate) name: String,
    /// Its text.
    pub(crate) text: String,
}

/// Reads the patches of a folder, in the order in which they are applied.
pub(crate) fn read_all(folder: &Path) -> Result<Vec<Patch>, ImageError> {
    let entries = fs::read_dir(folder).map_err(|source| ImageError::Given {
        what: "folder of patches",
        path: folder.to_owned(),
        source,
    })?;
    let paths = entries.flatten().map(|entry| entry.path());
    let is_patch = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "patch");
    let mut paths: Vec<_> = paths.filter(is_patch).collect();
    paths.sort();
    let patch = |path: &PathBuf| {
        let name = path.file_name().unwrap_or(path.as_os_str());
        Ok(Patch {
            name: name.to_string_lossy().into_owned(),
            text: read(path)?,
        })
    };
    paths.iter().map(patch).collect()
}

/// Applies the patches to an unpacked source. They are written to a temporary folder first: what a
/// build uses is what its key was made of.
pub(crate) fn apply(patches: &[Patch], source: &Path, temp: &Path) -> Result<(), ImageError> {
    let folder = temp.join("patches");
    for patch in patches {
        make_dir(&folder)?;
        let file = folder.join(&patch.name);
        write(&file, &patch.text)?;
        // No git above the source is meant, or files outside of it would be left out silently.
        let mut git = command("git");
        git.env("GIT_CEILING_DIRECTORIES", source.parent().unwrap_or(source));
        git.current_dir(source)
            .args(["apply", "--whitespace=nowarn"]);
        check(git.arg(&file), HINT)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: &str = "\
--- a/dir/x.c
+++ b/dir/x.c
@@ -1,2 +1,2 @@
-old
+new
 line
";

    #[test]
    fn patches_are_applied_in_order() {
        let root = tempfile::tempdir().unwrap();
        let (source, folder) = (root.path().join("source"), root.path().join("all"));
        fs::create_dir_all(source.join("dir")).unwrap();
        fs::create_dir_all(&folder).unwrap();
        fs::write(source.join("dir/x.c"), "old\nline\n").unwrap();
        let second = PATCH.replace("new", "newer").replace("-old", "-new");
        fs::write(folder.join("0002.patch"), second).unwrap();
        fs::write(folder.join("0001.patch"), PATCH).unwrap();
        fs::write(folder.join("README"), "x").unwrap();
        let patches = read_all(&folder).unwrap();
        apply(&patches, &source, root.path()).unwrap();
        let text = fs::read_to_string(source.join("dir/x.c")).unwrap();
        assert_eq!(text, "newer\nline\n");
        let error = apply(&patches, &source, root.path())
            .unwrap_err()
            .to_string();
        assert!(error.contains("another release"), "{error}");
    }
}
