//! A folder of findings for tests.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test uses a part, and panics to fail"
)]

use case::Findings;

/// A page of a finding that no case shows.
pub const UNSEEN: &str = "---
of: qemu
seen: QEMU 10.0.2
no_case: it takes hardware
---

# Nobody sees it

## What
## Evidence
## Cases
## Mend
";

/// Reads pages with these names and texts.
pub fn load(pages: &[(&str, &str)]) -> Result<Findings, case::CorpusError> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in pages {
        std::fs::write(folder.path().join(format!("{name}.md")), text).unwrap();
    }
    Findings::load(folder.path(), false)
}

/// One finding, called `known-one`.
pub fn findings() -> Findings {
    load(&[(
        "known-one",
        &UNSEEN.replace("Nobody sees it", "It is known"),
    )])
    .unwrap()
}
