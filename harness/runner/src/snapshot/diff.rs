//! The difference between two transcripts.

use similar::{ChangeTag, TextDiff};

/// Returns the lines that differ.
pub fn diff(old: &str, new: &str) -> String {
    let diff = TextDiff::from_lines(old, new);
    let mut text = String::new();
    for change in diff.iter_all_changes() {
        let sign = match change.tag() {
            ChangeTag::Delete => '-',
            ChangeTag::Insert => '+',
            ChangeTag::Equal => continue,
        };
        text.push_str(&format!("  {sign}{}\n", change.value().trim_end()));
    }
    text
}
