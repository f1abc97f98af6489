//! The guests that platforms would offer a case, known without booting, and cases as C programs for them.

use std::collections::BTreeSet;

use case::{Case, Clause, Guest, OPTIONS_OF_CALLS};
use export::{ExportError, Program};

use crate::{
    inventory,
    options::vm_images_folder,
    platform::{self, Platform, PlatformError},
};

/// The platforms that a program may be for, in order of preference.
#[derive(Debug)]
pub struct Platforms(Vec<Platform>);

/// The preferred platform of a program, unless the case needs another one.
const USUAL: &str = "intel";

impl Platforms {
    /// Loads the platform of this name, or all platforms.
    pub fn load(name: Option<&str>) -> Result<Self, PlatformError> {
        let folder = vm_images_folder();
        let names = match name {
            Some(name) => vec![name.to_owned()],
            None => {
                let mut names = platform::names(&folder);
                names.sort_by_key(|name| name != USUAL);
                names
            }
        };
        let platforms = names.iter().map(|name| Platform::load(&folder, name));
        platforms.collect::<Result<_, _>>().map(Self)
    }

    /// Returns the guest that each platform would offer a case if everything came out as its file
    /// says, with the options of the kernel that the case needs.
    pub fn guests(&self, case: &Case) -> impl Iterator<Item = Guest> {
        let needed = case.needs.config().iter().map(String::as_str);
        // Anything else is no option of a kernel.
        let options = needed.filter(|option| option.starts_with("CONFIG_"));
        let options: BTreeSet<_> = options.chain(OPTIONS_OF_CALLS).collect();
        let platforms = self.0.iter();
        platforms.map(move |platform| inventory::imagined(platform, options.iter().copied()))
    }

    /// Writes the program of a case, for the first platform that can run it.
    pub fn program(&self, case: &Case, clauses: &[Clause]) -> Result<Program, ExportError> {
        let mut first = None;
        for offer in self.guests(case) {
            match export::program(case, &offer, clauses) {
                Err(error @ ExportError::Need { .. }) => {
                    first.get_or_insert(error);
                }
                done => return done,
            }
        }
        Err(first.unwrap_or_else(|| ExportError::Need {
            case: case.id.clone(),
            need: "a platform".to_owned(),
        }))
    }
}
