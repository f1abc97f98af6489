//! The lines of a transcript as steps.

use std::collections::BTreeMap;

/// What a step of a case showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step<'a> {
    /// Number of the step in the case, and what it does: `7 IOMMU_IOAS_MAP on iommu`.
    pub label: &'a str,
    /// How it ended, and what it returned.
    pub seen: String,
}

impl Step<'_> {
    /// How it ended: `success`, an errno, or what DMA did, without the name of the device.
    pub fn end(&self) -> &str {
        let word = first_word(&self.seen);
        match is_end(word) {
            true => word,
            false => self.seen.split(", signed ").next().unwrap_or_default(),
        }
    }

    /// Whether it could be executed: not, where it needs what an earlier one has not left.
    pub fn was_executed(&self) -> bool {
        !self.seen.starts_with("not run: ")
    }

    /// The ioctls of the step that exist: one, or those of a race. `ENOTTY` says that there is none.
    pub fn ioctls(&self) -> Vec<&str> {
        let calls = self.label.split(" | ").map(what);
        let is_there = self.end() != "ENOTTY";
        calls
            .filter(|call| is_there && uapi::ioctl(call).is_some())
            .collect()
    }
}

/// What a step with this label does: the first word behind its number.
pub fn what(label: &str) -> &str {
    let call = label.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
    call.split(' ').next().unwrap_or_default()
}

/// Whether a call ends so.
fn is_end(word: &str) -> bool {
    let name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
    let is_errno = word.len() > 1 && word.starts_with('E') && word.chars().all(name);
    word == "success" || is_errno
}

/// Returns the steps of a transcript. A line without a number belongs to the step before it.
pub fn steps(transcript: &str) -> Vec<Step<'_>> {
    let mut steps: Vec<Step<'_>> = Vec::new();
    for line in transcript.lines() {
        match (split(line), steps.last_mut()) {
            (Some((label, seen)), _) => steps.push(Step {
                label,
                seen: seen.to_owned(),
            }),
            (None, Some(last)) => {
                last.seen.push('\n');
                last.seen.push_str(line);
            }
            (None, None) => {}
        }
    }
    steps
}

/// Splits ` 7 label: what was seen`. The label may hold a colon, so what was seen begins with an end of
/// a call where the line has one.
fn split(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_start();
    let (number, _) = line.split_once(' ')?;
    let is_number = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit());
    if !is_number {
        return None;
    }
    let mut colons = line.match_indices(": ");
    let ended = colons.find_map(|(at, colon)| {
        let seen = line.get(at + colon.len()..)?;
        is_end(first_word(seen)).then_some((line.get(..at)?, seen))
    });
    ended.or_else(|| line.split_once(": ")).or(Some((line, "")))
}

fn first_word(seen: &str) -> &str {
    seen.split([' ', '{', ';']).next().unwrap_or_default()
}

/// Pairs the steps of two transcripts: those with the same label, in their order.
pub fn pairs<'a>(
    base: &[Step<'a>],
    head: &[Step<'a>],
) -> Vec<(Option<Step<'a>>, Option<Step<'a>>)> {
    let mut of_head: BTreeMap<&str, Vec<&Step<'a>>> = BTreeMap::new();
    for step in head.iter().rev() {
        of_head.entry(step.label).or_default().push(step);
    }
    let mut paired = Vec::new();
    for step in base {
        let other = of_head.get_mut(step.label).and_then(Vec::pop);
        paired.push((Some(step.clone()), other.cloned()));
    }
    let left: Vec<_> = of_head.into_values().flatten().collect();
    let only_head = head
        .iter()
        .filter(|step| left.iter().any(|it| std::ptr::eq(*it, *step)));
    paired.extend(only_head.map(|step| (None, Some(step.clone()))));
    paired
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const TEXT: &str = " 1 open /dev/iommu: success\n 2 IOMMU_IOAS_MAP on iommu: ENOENT {size: 0x28}\n\
                        10 read /sys/x: success `two\nlines`\n12 DMA from group.0 to 0x1 lands: DMA lands\n";

    #[test]
    fn a_transcript_has_steps() {
        let steps = steps(TEXT);
        let seen: Vec<_> = steps.iter().map(|it| (what(it.label), it.end())).collect();
        assert_eq!(
            seen,
            [
                ("open", "success"),
                ("IOMMU_IOAS_MAP", "ENOENT"),
                ("read", "success"),
                ("DMA", "DMA lands")
            ]
        );
        assert_eq!(steps[2].seen, "success `two\nlines`");
    }

    #[rstest]
    #[case::of_a_row(
        "11 IOMMU_DESTROY on a: as given: success {size: 0x8}",
        "11 IOMMU_DESTROY on a: as given",
        "success {size: 0x8}"
    )]
    #[case::colon_in_what_was_seen("1 x: success {a: EINVAL}", "1 x", "success {a: EINVAL}")]
    #[case::no_end("1 x on y: DMA lands: there", "1 x on y", "DMA lands: there")]
    #[case::nothing_seen("1 x", "1 x", "")]
    fn a_line_is_split(#[case] line: &str, #[case] label: &str, #[case] seen: &str) {
        assert_eq!(split(line), Some((label, seen)));
    }

    #[rstest]
    #[case::exists("3 IOMMU_IOAS_MAP on iommu: EINVAL", &["IOMMU_IOAS_MAP"])]
    #[case::does_not("3 IOMMU_IOAS_MAP on iommu: ENOTTY", &[])]
    #[case::race("3 IOMMU_DESTROY on a | IOMMU_IOAS_MAP on a: EBUSY | success", &["IOMMU_DESTROY", "IOMMU_IOAS_MAP"])]
    #[case::no_ioctl("3 open /dev/iommu: success", &[])]
    fn ioctls_are_known_by_their_calls(#[case] text: &str, #[case] want: &[&str]) {
        assert_eq!(steps(text)[0].ioctls(), want);
    }

    #[test]
    fn steps_are_paired_by_what_they_do() {
        let base = steps("1 a: success\n2 b: success\n3 a: EINVAL\n");
        let head = steps("1 a: success\n3 a: success\n4 c: success\n");
        let labels: Vec<_> = pairs(&base, &head)
            .into_iter()
            .map(|(base, head)| (base.map(|it| it.label), head.map(|it| it.label)))
            .collect();
        assert_eq!(
            labels,
            [
                (Some("1 a"), Some("1 a")),
                (Some("2 b"), None),
                (Some("3 a"), Some("3 a")),
                (None, Some("4 c"))
            ]
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_and_pairs_with_itself(text in "(?s).{0,200}") {
            let steps = steps(&text);
            let paired = pairs(&steps, &steps);
            prop_assert_eq!(paired.len(), steps.len());
            prop_assert!(paired.iter().all(|(base, head)| base.is_some() && base == head));
        }
    }
}
