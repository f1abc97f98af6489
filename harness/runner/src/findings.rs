//! Checks the pages of `results/findings` against the cases and platforms that name them.

use std::collections::BTreeSet;

use case::{Corpus, Finding, Project};

use crate::{
    platform::{Platform, PlatformError, names},
    root::vm_images_folder,
};

/// Returns the findings that platforms name.
fn of_platforms() -> Result<BTreeSet<String>, PlatformError> {
    let folder = vm_images_folder();
    let mut named = BTreeSet::new();
    for name in names(&folder) {
        let platform = Platform::load(&folder, &name)?;
        named.extend(platform.known.into_iter().map(|known| known.finding.value));
    }
    Ok(named)
}

/// Returns the pages that do not agree with the cases and platforms, each with its location.
pub fn problems(corpus: &Corpus, colour: bool) -> Result<Vec<String>, PlatformError> {
    Ok(corpus.findings.check(corpus, &of_platforms()?, colour))
}

const HEAD: &str = "\
# Findings

What is known to be wrong: one page for each deviation, with its evidence. An `xfail` of a case names the page, and so does `shows` of a
case that passes because it expects what the kernel does. The end of a run lists the deviations that it saw.
Generated: `cargo xtask overview` writes this list anew.
";

/// Returns the text of `results/findings/README.md`, the index of the pages.
pub fn index(corpus: &Corpus) -> String {
    let parts = [
        (Project::Kernel, "Linux"),
        (Project::Qemu, "QEMU"),
        (Project::Suite, "This suite"),
    ];
    let parts = parts.map(|(project, title)| {
        let of = corpus.findings.iter().filter(|(_, it)| it.of == project);
        let rows: Vec<_> = of
            .map(|(name, finding)| row(name, finding, corpus))
            .collect();
        if rows.is_empty() {
            return String::new();
        }
        let head = "| finding | what | platforms | case files |\n|---|---|---|---|";
        format!("\n## {title}\n\n{head}\n{}\n", rows.join("\n"))
    });
    format!("{HEAD}{}", parts.concat())
}

fn row(name: &str, finding: &Finding, corpus: &Corpus) -> String {
    let platforms = finding.platforms.join(", ");
    let files = match (&finding.no_case, corpus.files_with(name).len()) {
        (Some(why), _) => format!("none: {why}"),
        (None, 0) => "of the platform".to_owned(),
        (None, files) => files.to_string(),
    };
    let title = &finding.title;
    format!("| [{name}]({name}.md) | {title} | {platforms} | {files} |")
}
