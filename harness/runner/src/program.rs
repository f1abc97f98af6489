//! Chooses the platform for a case that is exported as a C program.

use std::collections::BTreeSet;

use case::{Case, Clause};
use export::{ExportError, Program};

use crate::{
    inventory,
    options::root,
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
        let folder = root().join("vm-images");
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

    /// Writes the program of a case, for the first platform that can run it.
    pub fn program(&self, case: &Case, clauses: &[Clause]) -> Result<Program, ExportError> {
        let needed = case.needs.config().iter().map(String::as_str);
        // Steps of the mock need this option even if the case does not name it.
        let options: BTreeSet<_> = needed.chain(["CONFIG_IOMMUFD_TEST"]).collect();
        let mut first = None;
        for platform in &self.0 {
            let offer = inventory::imagined(platform, options.iter().copied());
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
