//! The functions that a patch touches.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::source;

/// Folders that the corpus tests; mutants of other files would all survive.
pub const UNDER_TEST: &[&str] = &["drivers/iommu/", "drivers/vfio/"];

/// A function in which the patch changed or removed a line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Touched {
    /// The file, from the top of the tree.
    pub file: String,
    /// The function.
    pub function: String,
}

/// Why the functions that a patch touches are unknown.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// git failed.
    #[error(
        "`git diff {revision}` in {} failed: {why}; give a git checkout of Linux with --linux, \
         and a revision that it has", tree.display()
    )]
    Git {
        /// The tree.
        tree: PathBuf,
        /// The revision.
        revision: String,
        /// git's error message.
        why: String,
    },
}

/// Returns the functions under test that differ from a revision in a checkout, including
/// uncommitted changes.
pub fn touched(tree: &Path, revision: &str) -> Result<Vec<Touched>, DiffError> {
    let failed = |why: String| DiffError::Git {
        tree: tree.to_owned(),
        revision: revision.to_owned(),
        why: why.trim().to_owned(),
    };
    let mut git = Command::new("git");
    git.arg("-C").arg(tree);
    git.args([
        "diff",
        "--unified=0",
        "--no-color",
        "--no-ext-diff",
        "--no-prefix",
    ]);
    let output = git.args([revision, "--"]).args(UNDER_TEST).output();
    let output = output.map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let lines = lines(&String::from_utf8_lossy(&output.stdout));
    let read = |file: &str| fs::read_to_string(tree.join(file)).unwrap_or_default();
    Ok(within(&lines, read))
}

/// Returns the file and number of each line on the new side.
fn lines(diff: &str) -> Vec<(String, usize)> {
    let mut file = None;
    let mut found = Vec::new();
    for line in diff.lines() {
        if let Some(name) = line.strip_prefix("+++ ") {
            file = Some(name.to_owned()).filter(|name| name.ends_with(".c"));
        } else if let (Some(file), Some((first, count))) = (&file, hunk(line)) {
            // If lines were only removed, the gap is behind the line that the hunk names.
            let last = first + count.max(1);
            found.extend((first..last).map(|line| (file.clone(), line)));
        }
    }
    found
}

/// First line and number of lines on the new side of a hunk, as in `@@ -1,2 +3,4 @@`.
fn hunk(line: &str) -> Option<(usize, usize)> {
    let new = line.strip_prefix("@@ -")?.split_once(" +")?.1;
    let (first, count) = match new.split(' ').next()?.split_once(',') {
        Some((first, count)) => (first, count.parse().ok()?),
        None => (new.split(' ').next()?, 1),
    };
    Some((first.parse().ok()?, count))
}

fn within(lines: &[(String, usize)], read: impl Fn(&str) -> String) -> Vec<Touched> {
    let files: BTreeSet<&str> = lines.iter().map(|(file, _)| file.as_str()).collect();
    let mut touched = BTreeSet::new();
    for file in files {
        let text = read(file);
        for function in source::functions(&text) {
            let first = source::line_of(&text, function.range.start);
            let last = source::line_of(&text, function.range.end);
            let hit =
                |(name, line): &(String, usize)| name == file && (first..=last).contains(line);
            if lines.iter().any(hit) {
                touched.insert(Touched {
                    file: file.to_owned(),
                    function: function.name,
                });
            }
        }
    }
    touched.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case("@@ -1,2 +3,4 @@ int f()", Some((3, 4)))]
    #[case("@@ -1 +3 @@", Some((3, 1)))]
    #[case("@@ -5,2 +4,0 @@", Some((4, 0)))]
    #[case("+++ a.c", None)]
    fn reads_hunks(#[case] line: &str, #[case] want: Option<(usize, usize)>) {
        assert_eq!(hunk(line), want);
    }

    #[test]
    fn names_the_functions_around_the_lines() {
        let diff = "--- a.c\n+++ a.c\n@@ -9 +3 @@\n-x\n+y\n--- b.h\n+++ b.h\n@@ -1 +1 @@\n";
        let text = "int f(void)\n{\n\treturn 1;\n}\n\nint g(void)\n{\n}\n";
        let found = within(&lines(diff), |_| text.to_owned());
        let want = Touched {
            file: "a.c".into(),
            function: "f".into(),
        };
        assert_eq!(found, [want]);
    }

    proptest! {
        #[test]
        fn any_diff_is_read(diff in "[@+ \\-0-9a.c,\n]{0,80}") {
            let _ = lines(&diff);
        }
    }
}
