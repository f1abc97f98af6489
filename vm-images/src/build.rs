//! How a kernel is built: its flavour, further fragments and the compiler.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::cache::hash;
use crate::error::ImageError;
use crate::flavour::{Flavour, Fragment};
use crate::fragment::{self, Setting};
use crate::kbuild::Toolchain;
use uapi::Series;

/// What a kernel is built with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// The flavour.
    pub flavour: Flavour,
    /// Fragments of the user.
    fragments: Vec<Fragment>,
    /// The compiler.
    compiler: Compiler,
}

/// The compiler of a kernel, as the variables of make name it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Compiler {
    /// gcc.
    #[default]
    Gcc,
    /// `CC=PROGRAM`, with the GNU tools.
    Cc(String),
    /// `LLVM=VALUE`: `1`, a suffix such as `-19`, or a folder that ends in a slash. `None` is the
    /// newest version in PATH that is complete.
    Llvm(Option<String>),
}

impl Build {
    /// Returns a build of a flavour with the fragments in these files on top.
    pub fn new(
        flavour: Flavour,
        fragments: &[PathBuf],
        compiler: Compiler,
    ) -> Result<Self, ImageError> {
        let fragments = fragments.iter().map(|path| Fragment::read(path, true));
        let fragments = fragments.collect::<Result<Vec<_>, _>>()?;
        // A mistake is told before anything is fetched or written.
        fragments.iter().try_for_each(fragment::check)?;
        if flavour.traits.gcov && compiler != Compiler::Gcc {
            return Err(ImageError::CompilerOfFlavour {
                flavour: flavour.name,
            });
        }
        Ok(Self {
            flavour,
            fragments,
            compiler,
        })
    }

    /// Returns the build of a flavour by its name, with gcc.
    pub fn of(vm_images: &Path, flavour: &str) -> Result<Self, ImageError> {
        Self::new(Flavour::load(vm_images, flavour)?, &[], Compiler::Gcc)
    }

    /// Returns the options that apply to a series, each once.
    pub(crate) fn settings(&self, series: Series) -> Result<Vec<Setting>, ImageError> {
        let all = self.flavour.fragments.iter().chain(&self.fragments);
        fragment::settings_for(series, all)
    }

    /// Returns the options that the fragments of this build state for a kernel of a series, with
    /// their values; `n` is off. What no fragment states is left to the kernel's own defaults.
    pub fn stated(&self, series: Series) -> Result<BTreeMap<String, String>, ImageError> {
        let settings = self.settings(series)?.into_iter();
        Ok(settings
            .map(|setting| (setting.name, setting.value))
            .collect())
    }

    pub(crate) fn toolchain(&self) -> Result<Toolchain, ImageError> {
        Toolchain::of(&self.compiler, self.flavour.traits.gcov)
    }

    /// Returns the name of the builds of this kind, so that each kind has a folder of its own and
    /// they do not displace each other. The default flavour alone has no name.
    pub(crate) fn kind(&self) -> String {
        let mut name = match self.flavour.name.as_str() {
            crate::flavour::DEFAULT => String::new(),
            other => other.to_owned(),
        };
        if !self.fragments.is_empty() || self.compiler != Compiler::Gcc {
            let fragments = self.fragments.iter().map(|it| it.text.as_bytes());
            let compiler = format!("{:?}", self.compiler);
            let parts = fragments.chain([compiler.as_bytes()]);
            let hash = hash(parts);
            let joint = if name.is_empty() { "" } else { "-" };
            name.push_str(&format!("{joint}{}", &hash[..8]));
        }
        name
    }

    /// Describes what differs from the default, such as `debug, LLVM=-19, my.config`; empty for the
    /// default.
    pub fn described(&self) -> String {
        let mut words = Vec::new();
        if self.flavour.name != crate::flavour::DEFAULT {
            words.push(self.flavour.name.clone());
        }
        match &self.compiler {
            Compiler::Gcc => {}
            Compiler::Cc(program) => words.push(format!("CC={program}")),
            Compiler::Llvm(value) => {
                words.push(format!("LLVM={}", value.as_deref().unwrap_or("1")));
            }
        }
        words.extend(self.fragments.iter().map(|it| it.name.clone()));
        words.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn own() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
    }

    fn build(flavour: &str, fragment: Option<&str>, compiler: Compiler) -> Build {
        let file = tempfile::NamedTempFile::with_suffix(".config").unwrap();
        std::fs::write(file.path(), fragment.unwrap_or_default()).unwrap();
        let files = fragment.map(|_| file.path().to_owned());
        let flavour = Flavour::load(&own(), flavour).unwrap();
        Build::new(flavour, files.as_slice(), compiler).unwrap()
    }

    #[test]
    fn each_kind_has_its_own_folder() {
        let llvm = || Compiler::Llvm(None);
        let builds = [
            build("default", None, Compiler::Gcc),
            build("debug", None, Compiler::Gcc),
            build("default", Some("CONFIG_A=y\n"), Compiler::Gcc),
            build("debug", Some("CONFIG_A=y\n"), Compiler::Gcc),
            build("default", None, llvm()),
        ];
        let kinds: std::collections::BTreeSet<_> = builds.iter().map(Build::kind).collect();
        assert_eq!(kinds.len(), builds.len(), "{kinds:?}");
        assert_eq!(builds[0].kind(), "");
        assert_eq!(builds[1].kind(), "debug");
    }

    #[rstest]
    #[case("default", Compiler::Gcc, "")]
    #[case("debug", Compiler::Llvm(Some("-19".to_owned())), "debug, LLVM=-19")]
    #[case("default", Compiler::Cc("gcc-14".to_owned()), "CC=gcc-14")]
    fn says_what_differs(#[case] flavour: &str, #[case] compiler: Compiler, #[case] want: &str) {
        assert_eq!(build(flavour, None, compiler).described(), want);
    }

    #[test]
    fn a_fragment_overrides_the_flavour_and_the_flavour_the_base() {
        let series = Series { major: 7, minor: 3 };
        let value = |build: &Build, name: &str| {
            let settings = build.settings(series).unwrap();
            let found: Vec<_> = settings.iter().filter(|it| it.name == name).collect();
            assert_eq!(found.len(), 1, "{name}");
            found[0].value.clone()
        };
        let plain = build("default", None, Compiler::Gcc);
        let debug = build("debug", None, Compiler::Gcc);
        let own = build(
            "debug",
            Some("# CONFIG_PROVE_LOCKING is not set\n"),
            Compiler::Gcc,
        );
        let seen = [&plain, &debug, &own].map(|it| value(it, "CONFIG_PROVE_LOCKING"));
        assert_eq!(seen, ["n", "y", "n"]);
    }
}
