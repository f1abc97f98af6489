//! Options of the machine that take lists: a run for each of their combinations.

use std::collections::BTreeSet;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};
use runner::{
    options::{GuestOptions, MachineOptions, vm_images_folder},
    platform,
};
use vm_images::Series;

/// Other options, of which those of the machine take lists.
#[derive(Debug, Clone)]
pub struct Lists<T> {
    /// The options, with the first of each list.
    pub options: T,
    platforms: Vec<String>,
    releases: Vec<Series>,
    flavours: Vec<String>,
}

/// One combination.
#[derive(Debug, Clone)]
pub struct Combination {
    /// What it differs in from the others: `amd, 6.12`.
    pub name: String,
    pub platform: String,
    pub release: Option<Series>,
    pub flavour: String,
}

/// Options that take lists.
const LISTS: [&str; 3] = ["platform", "release", "flavour"];

impl<T> Lists<T> {
    /// Returns the combinations, release by release so that each kernel is built once.
    pub fn combinations(&self) -> Vec<Combination> {
        let releases: Vec<Option<Series>> = match self.releases.is_empty() {
            true => vec![None],
            false => self.releases.iter().copied().map(Some).collect(),
        };
        let mut all = Vec::new();
        for release in releases {
            for flavour in &self.flavours {
                for platform in &self.platforms {
                    all.push(Combination {
                        name: self.name(platform, release, flavour),
                        platform: platform.clone(),
                        release,
                        flavour: flavour.clone(),
                    });
                }
            }
        }
        all
    }

    fn name(&self, platform: &str, release: Option<Series>, flavour: &str) -> String {
        let mut words = Vec::new();
        if self.platforms.len() > 1 {
            words.push(platform.to_owned());
        }
        if self.releases.len() > 1 {
            words.extend(release.map(|release| release.to_string()));
        }
        if self.flavours.len() > 1 {
            words.push(flavour.to_owned());
        }
        words.join(", ")
    }
}

impl Combination {
    /// Returns the options of this combination.
    pub fn of(&self, machine: &MachineOptions) -> MachineOptions {
        MachineOptions {
            platform: self.platform.clone(),
            guest: GuestOptions {
                release: self.release,
                flavour: self.flavour.clone(),
                ..machine.guest.clone()
            },
            ..machine.clone()
        }
    }
}

impl<T: Args> Args for Lists<T> {
    fn augment_args(command: Command) -> Command {
        let command = LISTS.iter().fold(T::augment_args(command), |command, id| {
            command.mut_arg(id, |arg| arg.value_delimiter(',').action(ArgAction::Append))
        });
        command.arg(
            Arg::new("all_platforms")
                .long("all-platforms")
                .action(ArgAction::SetTrue)
                .conflicts_with("platform")
                .help_heading("Machine")
                .help("Run on each platform"),
        )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<T: FromArgMatches> FromArgMatches for Lists<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        Self::from_arg_matches_mut(&mut matches.clone())
    }

    fn from_arg_matches_mut(matches: &mut ArgMatches) -> Result<Self, Error> {
        let platforms = match matches.get_flag("all_platforms") {
            true => platform::names(&vm_images_folder()),
            false => given(matches, "platform"),
        };
        let (releases, flavours) = (given(matches, "release"), given(matches, "flavour"));
        Ok(Self {
            options: T::from_arg_matches_mut(matches)?,
            platforms,
            releases,
            flavours,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Returns the values of an option, each once, in their order.
fn given<V: Clone + Ord + Send + Sync + 'static>(matches: &ArgMatches, id: &str) -> Vec<V> {
    let mut seen = BTreeSet::new();
    let values = matches.get_many::<V>(id).into_iter().flatten();
    values
        .filter(|it| seen.insert((*it).clone()))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use rstest::rstest;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        machine: Lists<MachineOptions>,
    }

    fn names(words: &[&str]) -> Vec<String> {
        let words = ["program"].iter().chain(words);
        let lists = Program::try_parse_from(words).unwrap().machine;
        lists.combinations().into_iter().map(|it| it.name).collect()
    }

    #[rstest]
    #[case::one(&[], &[""])]
    #[case::named(&["--platform", "amd"], &[""])]
    #[case::platforms(&["--platform", "amd,intel"], &["amd", "intel"])]
    #[case::twice(&["--platform", "amd", "--platform", "intel,amd"], &["amd", "intel"])]
    #[case::both(&["--platform", "amd,intel", "--release", "6.12,7.3"], &["amd, 6.12", "intel, 6.12", "amd, 7.3", "intel, 7.3"])]
    #[case::flavours(&["--flavour", "default,size"], &["default", "size"])]
    #[case::all(&["--all-platforms"], &["amd", "intel", "intel-flts", "intel-scalable", "virtio"])]
    fn lists_make_combinations(#[case] words: &[&str], #[case] want: &[&str]) {
        assert_eq!(names(words), want);
    }

    #[test]
    fn a_combination_has_its_own_options() {
        let words = [
            "program",
            "--platform",
            "intel,amd",
            "--release",
            "6.12",
            "--jobs",
            "3",
        ];
        let lists = Program::try_parse_from(words).unwrap().machine;
        let last = lists.combinations().pop().unwrap().of(&lists.options);
        assert_eq!((last.platform.as_str(), last.jobs), ("amd", Some(3)));
        assert_eq!(last.guest.release, "6.12".parse().ok());
    }

    #[test]
    fn an_unknown_name_in_a_list_is_refused() {
        let words = ["program", "--platform", "intel,arm"];
        let refused = Program::try_parse_from(words).unwrap_err().to_string();
        assert!(refused.contains("'arm'"), "{refused}");
    }
}
