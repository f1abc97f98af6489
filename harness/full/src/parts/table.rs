//! The parts of `cargo xtask full`, as data.

use std::time::Duration;

use serde::Deserialize;

use crate::FullError;

/// One part: a command of `cargo xtask`, and what holds for its result.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// What the user calls it.
    pub name: String,
    /// One line for the plan.
    pub summary: String,
    /// Estimate for a machine that has never run it.
    minutes: u64,
    /// The words after `cargo xtask`.
    run: String,
    /// A part with the same cases. A case that one of them skips and the other one does not is a
    /// failure: another build of the same kernel has the same features.
    pub alike: Option<String>,
    /// Options that its flavour unsets on purpose. What is skipped for one of them is no failure.
    #[serde(default)]
    pub without: Vec<String>,
    /// Programs that it needs besides those that every run needs.
    #[serde(default)]
    programs: Vec<String>,
    /// Whether something else keeps the machine busy meanwhile.
    #[serde(default)]
    pub load: bool,
}

impl Part {
    /// Returns the words after `cargo xtask`.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.run.split_whitespace()
    }

    /// Returns the programs that it needs and this machine lacks.
    pub fn lacks(&self) -> Vec<&str> {
        vm_images::missing_programs(&self.programs)
    }

    /// Returns how long the part takes on 2 cores without KVM.
    pub fn estimate(&self) -> Duration {
        Duration::from_secs(60 * self.minutes)
    }
}

/// Returns all parts in the order in which they run.
pub fn table() -> Result<Vec<Part>, FullError> {
    Ok(serde_yaml::from_str(include_str!("table.yaml"))?)
}

/// Returns the parts with these names, and those that they are compared with, in the order of the
/// table. No name stands for all parts.
pub fn selected(names: &[String]) -> Result<Vec<Part>, FullError> {
    let all = table()?;
    if let Some(unknown) = names
        .iter()
        .find(|it| !all.iter().any(|part| part.name == **it))
    {
        let known: Vec<_> = all.iter().map(|part| part.name.as_str()).collect();
        return Err(FullError::NoPart {
            name: unknown.clone(),
            known: known.join(", "),
        });
    }
    let named = |name: &String| names.is_empty() || names.contains(name);
    let compared = |name: &String| {
        let mut of_named = all.iter().filter(|part| named(&part.name));
        of_named.any(|part| part.alike.as_ref() == Some(name))
    };
    let wanted = |part: &&Part| named(&part.name) || compared(&part.name);
    Ok(all.iter().filter(wanted).cloned().collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rstest::rstest;

    use super::*;

    #[test]
    fn a_part_is_compared_with_one_that_runs_before_it() {
        let mut before = BTreeSet::new();
        for part in table().unwrap() {
            assert!(part.alike.iter().all(|it| before.contains(it)), "{part:?}");
            assert!(before.insert(part.name.clone()), "{} twice", part.name);
        }
    }

    #[rstest]
    #[case::itself(&["virtio"], "virtio")]
    #[case::order_of_the_table(&["amd", "virtio"], "virtio amd")]
    #[case::what_it_is_compared_with(&["size"], "intel size")]
    fn parts_are_selected_by_name(#[case] names: &[&str], #[case] expected: &str) {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let parts = selected(&names).unwrap();
        let parts: Vec<_> = parts.iter().map(|part| part.name.as_str()).collect();
        assert_eq!(parts.join(" "), expected);
    }

    #[test]
    fn an_unknown_part_is_refused_with_the_known_ones() {
        let error = selected(&["nosuch".to_owned()]).unwrap_err().to_string();
        assert!(
            error.contains("`nosuch`") && error.contains("intel, virtio"),
            "{error}"
        );
    }
}
