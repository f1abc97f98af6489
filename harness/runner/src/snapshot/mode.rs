//! What to do with a transcript that differs from the stored one.

use std::env;

/// What to do with a transcript that differs from the stored one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The case fails, and nothing is written.
    Check,
    /// The case fails, and the new file is written beside the stored one, as `FILE.snap.new`, for
    /// `cargo insta review`.
    Propose,
    /// The transcript is stored.
    Bless,
    /// Transcripts are not compared.
    Ignore,
}

/// `INSTA_UPDATE` has an unknown value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown value INSTA_UPDATE={0}; use auto, new, unseen, no, always or force")]
pub struct BadUpdate(String);

impl Mode {
    /// Returns the mode that insta would use, given `INSTA_UPDATE` and whether a CI runs this.
    pub fn of_environment() -> Result<Self, BadUpdate> {
        let variable = |name| env::var(name).ok();
        let update = variable("INSTA_UPDATE").unwrap_or_default();
        let ci = is_ci(variable("CI").as_deref(), variable("TF_BUILD").is_some());
        Self::of_insta(&update, ci)
    }

    fn of_insta(update: &str, ci: bool) -> Result<Self, BadUpdate> {
        match update {
            "" | "auto" if ci => Ok(Self::Check),
            // `unseen` does not store new snapshots at once, because a file can have both old and
            // new sections.
            "" | "auto" | "new" | "unseen" => Ok(Self::Propose),
            "no" => Ok(Self::Check),
            "always" | "force" | "1" => Ok(Self::Bless),
            other => Err(BadUpdate(other.to_owned())),
        }
    }
}

/// Whether a CI runs this, as insta decides it: from the variable `CI`, or the one of Azure
/// Pipelines.
fn is_ci(ci: Option<&str>, azure: bool) -> bool {
    ci.map_or(azure, |value| !matches!(value, "false" | "0" | ""))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("", false, Ok(Mode::Propose))]
    #[case("auto", true, Ok(Mode::Check))]
    #[case("new", true, Ok(Mode::Propose))]
    #[case("no", false, Ok(Mode::Check))]
    #[case("always", true, Ok(Mode::Bless))]
    #[case("maybe", false, Err(BadUpdate("maybe".to_owned())))]
    fn the_environment_means_what_it_means_to_insta(
        #[case] update: &str,
        #[case] ci: bool,
        #[case] wanted: Result<Mode, BadUpdate>,
    ) {
        assert_eq!(Mode::of_insta(update, ci), wanted);
    }

    #[rstest]
    #[case(None, false, false)]
    #[case(None, true, true)]
    #[case(Some("true"), false, true)]
    #[case(Some("false"), true, false)]
    fn a_ci_says_that_it_is_one(#[case] ci: Option<&str>, #[case] azure: bool, #[case] is: bool) {
        assert_eq!(is_ci(ci, azure), is);
    }
}
