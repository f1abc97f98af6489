//! The machine of a program. Its devices are arguments, so the case is compiled for a machine whose
//! devices and groups have unique placeholder names.

use std::collections::BTreeMap;

use case::{Case, Compiled, Guest, Member, Role, RoleBindings, Shape, Which};

use crate::{error::ExportError, text};

/// First group number that is a placeholder.
const FIRST_GROUP: u32 = 0xc0de_0000;
/// Character before and after a placeholder; cases and paths of the kernel never contain it.
const MARK: char = '\u{1}';

/// One device of a program.
#[derive(Debug, Clone)]
pub struct Device {
    /// Name of the variable: `group_0`.
    pub variable: String,
    /// Name in the case: `group.0`.
    pub role: String,
    /// The driver that it has before the program.
    pub default_driver: Option<String>,
    /// Whether it does DMA on demand.
    pub engine: bool,
    /// `pci` or `mdev`.
    pub bus: &'static str,
    /// Index of its group in the offer.
    group: usize,
}

/// A group and its variables.
#[derive(Debug, Clone)]
pub struct Group {
    /// Variable with its number.
    pub number: String,
    /// Variable with the type of its default domain before the case.
    pub kind: String,
    /// Index in the offer.
    index: usize,
}

/// Name of a feature, the path that shows it, and the reason to skip if it is missing.
pub type Feature = &'static (&'static str, &'static str, &'static str);

/// The case compiled for such a machine, with the meanings of its placeholders.
#[derive(Debug)]
pub struct Placeholders {
    /// The plan and its checks.
    pub compiled: Compiled,
    /// Features that the case needs to compile.
    pub features: Vec<Feature>,
    devices: BTreeMap<usize, Device>,
    groups: BTreeMap<usize, Group>,
}

impl Placeholders {
    /// Compiles the case.
    pub fn set(case: &Case, offer: &Guest) -> Result<Self, ExportError> {
        let failed = |need| ExportError::Need {
            case: case.id.clone(),
            need,
        };
        let guest = renamed(offer);
        let compiled = case.compile(&guest).map_err(failed)?;
        let roles = RoleBindings::new(&guest, case.shape).map_err(failed)?;
        let (devices, groups) = roles_of(&roles, &guest);
        Ok(Self {
            compiled,
            features: needed(case, &guest),
            devices,
            groups,
        })
    }

    /// Every device that has a role.
    pub fn devices(&self) -> impl Iterator<Item = &Device> {
        self.devices.values()
    }

    /// Every group that has a role.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    /// The devices of a group.
    pub fn members<'a>(&'a self, group: &'a Group) -> impl Iterator<Item = &'a Device> {
        self.devices().filter(|device| device.group == group.index)
    }

    /// Returns the variable for the placeholder number of a group.
    pub fn group_number(&self, value: u64) -> Option<&str> {
        let index = value.checked_sub(FIRST_GROUP.into())?;
        let group = self.groups.get(&usize::try_from(index).ok()?)?;
        Some(&group.number)
    }

    /// Returns the device with this signature.
    pub fn signs(&self, signature: &str) -> Option<&Device> {
        let index = signature.strip_prefix(MARK)?.strip_prefix('s')?;
        self.devices
            .get(&index.trim_end_matches(MARK).parse().ok()?)
    }

    /// The name of a device as an expression.
    pub fn device(&self, name: &str) -> String {
        self.text(name)
    }

    /// Returns a text as a C expression, with placeholders replaced.
    pub fn text(&self, text: &str) -> String {
        let mut format = String::new();
        let mut arguments = Vec::new();
        let mut rest = text;
        while let Some((before, found)) = self.next_name(rest) {
            format.push_str(&before.replace('%', "%%"));
            format.push_str(found.conversion);
            arguments.push(found.variable);
            rest = found.after;
        }
        if arguments.is_empty() {
            return text::literal(text);
        }
        format.push_str(&rest.replace('%', "%%"));
        match (format.as_str(), arguments.as_slice()) {
            ("%s", [variable]) => (*variable).to_owned(),
            _ => format!("text({}, {})", text::literal(&format), arguments.join(", ")),
        }
    }

    /// Returns the first placeholder in a text, and the text before it.
    fn next_name<'a>(&'a self, text: &'a str) -> Option<(&'a str, Found<'a>)> {
        let marked = text.find(MARK);
        let number = self.groups.values().filter_map(|group| {
            let digits = (FIRST_GROUP + u32::try_from(group.index).ok()?).to_string();
            text.find(&digits).map(|at| (at, group, digits.len()))
        });
        let number = number.min_by_key(|(at, ..)| *at);
        match (marked, number) {
            (Some(at), number) if number.as_ref().is_none_or(|(other, ..)| at < *other) => {
                Some((&text[..at], self.marked(&text[at..])?))
            }
            (_, Some((at, group, length))) => {
                let found = Found {
                    conversion: "%d",
                    variable: &group.number,
                    after: &text[at + length..],
                };
                Some((&text[..at], found))
            }
            _ => None,
        }
    }

    /// Returns the marked placeholder at the start of a text: `d7:` before a slot is the bus of a
    /// device.
    fn marked<'a>(&'a self, text: &'a str) -> Option<Found<'a>> {
        let rest = text.strip_prefix(MARK)?;
        let digits = rest[1..].find(|c: char| !c.is_ascii_digit())?;
        let (name, after) = rest.split_at(1 + digits);
        let index = name[1..].parse().ok()?;
        if name.starts_with('t') {
            return Some(Found {
                conversion: "%s",
                variable: &self.groups.get(&index)?.kind,
                after: after.strip_prefix(MARK)?,
            });
        }
        let variable = &self.devices.get(&index)?.variable;
        let whole = after.strip_prefix(':')?.strip_prefix(MARK);
        let (conversion, after) = match whole {
            Some(after) => ("%s", after),
            None => ("%.7s", after),
        };
        Some(Found {
            conversion,
            variable,
            after,
        })
    }
}

struct Found<'a> {
    conversion: &'static str,
    variable: &'a str,
    after: &'a str,
}

/// Returns the offer with placeholder names. Device `INDEX` is `d INDEX : `, because the name of a
/// function that a case creates starts with the part before the last colon.
fn renamed(offer: &Guest) -> Guest {
    let mut guest = offer.clone();
    let mut index = 0;
    let mut kinds = BTreeMap::new();
    for (place, group) in guest.groups.iter_mut().enumerate() {
        let number = FIRST_GROUP + place as u32;
        if group.number.is_some() {
            group.number = Some(number);
            kinds.insert(number, format!("{MARK}t{place}{MARK}"));
        }
        for device in group.devices.iter_mut().chain(&mut group.bridge) {
            device.name = format!("{MARK}d{index}:{MARK}");
            device.machine_id = device.machine_id.is_some().then(|| device.name.clone());
            device.signature = format!("{MARK}s{index}{MARK}");
            index += 1;
        }
    }
    guest.default_domain = kinds;
    guest
}

type Roles = (BTreeMap<usize, Device>, BTreeMap<usize, Group>);

fn roles_of(roles: &RoleBindings<'_>, guest: &Guest) -> Roles {
    let (mut devices, mut groups) = (BTreeMap::new(), BTreeMap::new());
    let shapes = Shape::ALL.map(|(_, shape)| Which::Of(shape));
    // A group is named after its first role.
    for which in [Which::Group, Which::Other].into_iter().chain(shapes) {
        let name = which.to_string().replace('-', "_");
        let Ok(group) = roles.group(which) else {
            continue;
        };
        let Some(place) = guest.groups.iter().position(|other| other == group) else {
            continue;
        };
        groups.entry(place).or_insert_with(|| Group {
            number: format!("{name}_number"),
            kind: format!("{name}_type"),
            index: place,
        });
        let first: usize = guest.groups[..place]
            .iter()
            .map(|it| it.members().count())
            .sum();
        let indices = (0..group.devices.len()).map(Member::Index);
        for member in indices.chain([Member::HostDriver, Member::Bridge]) {
            let role = Role { which, member };
            let Ok(device) = roles.device(role) else {
                continue;
            };
            let at = group.members().position(|other| other == device);
            devices.entry(first + at.unwrap_or(0)).or_insert(Device {
                variable: role.to_string().replace(['.', '-'], "_"),
                role: role.to_string(),
                default_driver: device.default_driver.clone(),
                engine: device.engine.is_some(),
                bus: group.shape.bus(),
                group: place,
            });
        }
    }
    (devices, groups)
}

/// Finds the features that the case needs, by removing all and adding back each that is missing.
fn needed(case: &Case, guest: &Guest) -> Vec<Feature> {
    let mut guest = guest.clone();
    let missing = |name: &str| format!("{MARK}{name}{MARK}");
    for (name, ..) in wire::FEATURES {
        guest
            .features
            .insert((*name).to_owned(), Err(missing(name)));
    }
    let mut needed: Vec<Feature> = Vec::new();
    while let Err(need) = case.compile(&guest) {
        let mut features = wire::FEATURES.iter();
        let Some(missed) = features.find(|(name, ..)| need.contains(&missing(name))) else {
            break;
        };
        guest.features.insert(missed.0.to_owned(), Ok(()));
        needed.push(missed);
    }
    needed
}
