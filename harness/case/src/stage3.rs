//! What a case of stage 2 shows on a kernel that has stage 3.
//!
//! In stage 2 all members of a group share the I/O address space of the one that is attached. In stage
//! 3 each member that has a requester id of its own has its own. So wherever a case expects a member to
//! follow another one, a kernel of stage 3 shows something else, which this module derives: the cases
//! need not say it dozens of times. It follows both rules side by side, and adds a plan only where that
//! of stage 2 tells what the case expects.

use std::collections::{BTreeMap, BTreeSet};

use wire::{Arg, ControlOp, DmaOp, FileOp, IoctlOp, Location, Op, Value};

use crate::{
    build::Compiled,
    expect::{Check, Parts, Planned, WantEnd},
    file::Case,
    plan_rules::{OWN_TABLES, has_stage_3, is_for},
    role::{Guest, OfferedGroup},
};

const EBUSY: i32 = 16;
const EINVAL: i32 = 22;

/// The ioctls that change or show to which page tables the members of a group are attached.
const FOLLOWED: [&str; 8] = [
    "VFIO_DEVICE_BIND_IOMMUFD",
    "VFIO_DEVICE_ATTACH_IOMMUFD_PT",
    "VFIO_DEVICE_DETACH_IOMMUFD_PT",
    "IOMMU_IOAS_ALLOC",
    "IOMMU_HWPT_ALLOC",
    "IOMMU_IOAS_MAP",
    "IOMMU_IOAS_UNMAP",
    "IOMMU_DESTROY",
];

/// Adds what a kernel of stage 3 shows, if the case does not say it itself.
pub fn add_stage_3(case: &Case, guest: &Guest, mut compiled: Compiled) -> Compiled {
    let mut deviations = case.deviations.iter();
    let is_about_it = deviations.any(|it| has_stage_3(&it.clause));
    let mut groups = guest.groups.iter();
    let group = groups.find(|group| Some(group.shape) == case.shape);
    let (Some(group), false, true) = (group, is_about_it, is_for(OWN_TABLES, case.shape)) else {
        return compiled;
    };
    let mut group = Group::new(group);
    for (op, check) in compiled.plan.ops.iter().zip(&mut compiled.checks) {
        if group.take(op, check).is_none() {
            break;
        }
    }
    compiled
}

/// The members of a group and their page tables, by the rules of both stages.
struct Group<'a> {
    offered: &'a OfferedGroup,
    /// The member that each descriptor is of.
    nodes: BTreeMap<String, String>,
    bound: BTreeSet<String>,
    /// The IOAS of each page table, by the names that the case gives them. An IOAS is its own.
    tables: BTreeMap<String, String>,
    /// The first and last address of each mapping, with its IOAS.
    maps: Vec<(String, u64, u64)>,
    /// Stage 2: the page table of the group, and the descriptors that are attached to it.
    whole: Option<String>,
    users: BTreeSet<String>,
    /// Stage 3: the page table of each descriptor.
    own: BTreeMap<String, String>,
}

impl<'a> Group<'a> {
    fn new(offered: &'a OfferedGroup) -> Self {
        Self {
            offered,
            nodes: BTreeMap::new(),
            bound: BTreeSet::new(),
            tables: BTreeMap::new(),
            maps: Vec::new(),
            whole: None,
            users: BTreeSet::new(),
            own: BTreeMap::new(),
        }
    }

    /// Follows an op that ends as its check says. Returns `None` where the state is not known
    /// afterwards.
    fn take(&mut self, op: &Op, check: &mut Check) -> Option<()> {
        match op.innermost() {
            Op::Control(ControlOp::Together { ops, .. }) => self.race(ops, check)?,
            Op::Control(ControlOp::FailNth { .. }) => return None,
            Op::File(FileOp::Open { at, save, .. }) => self.open(at, &save.0),
            Op::File(FileOp::Close { fd }) => {
                if let Some(fd) = slot(&fd.0) {
                    self.leave(fd);
                    self.bound.remove(fd);
                }
            }
            Op::Ioctl(call) => self.call(call, check),
            Op::Dma(DmaOp::Dma { device, iova, .. } | DmaOp::Fetch { device, iova, .. }) => {
                self.dma(device, iova, check);
            }
            _ => {}
        }
        Some(())
    }

    /// A race that ends in one way only is as its steps in their order.
    fn race(&mut self, ops: &[Op], check: &Check) -> Option<()> {
        let Parts::Together(race) = &check.parts else {
            return None;
        };
        let succeed = |way: &Vec<WantEnd>| way.iter().all(|end| *end == WantEnd::Success);
        if race.ends.len() != 1 || !race.ends.iter().all(succeed) {
            return None;
        }
        for (op, check) in ops.iter().zip(&race.checks) {
            self.take(op, &mut check.clone())?;
        }
        Some(())
    }

    fn open(&mut self, at: &Location, name: &str) {
        let Location::Entry { directory, .. } = at else {
            return;
        };
        let member = self.offered.devices.iter().find(|device| {
            let of_device = directory.strip_prefix("/sys/bus/pci/devices/");
            of_device.is_some_and(|rest| rest.starts_with(&device.name))
        });
        if let Some(member) = member {
            self.nodes.insert(name.to_owned(), member.name.clone());
        }
    }

    fn call(&mut self, call: &IoctlOp, check: &mut Check) {
        let done = check.expect.end == WantEnd::Success;
        let Some(fd) = slot(&call.fd.0).map(str::to_owned) else {
            return;
        };
        // Numbers are unique only among these.
        let mut of = FOLLOWED.iter().filter_map(|name| uapi::ioctl(name));
        let Some(of) = of.find(|it| it.request == call.request) else {
            return;
        };
        let given = Given { of, call };
        match (of.name, done) {
            ("VFIO_DEVICE_BIND_IOMMUFD", true) => {
                self.bound.insert(fd);
            }
            ("VFIO_DEVICE_ATTACH_IOMMUFD_PT", _) => self.attach(&fd, given, check),
            ("VFIO_DEVICE_DETACH_IOMMUFD_PT", true) if given.number("flags") == Some(0) => {
                self.leave(&fd);
            }
            ("IOMMU_IOAS_ALLOC", true) => {
                if let Some(made) = given.saved("out_ioas_id") {
                    self.tables.insert(made.clone(), made);
                }
            }
            ("IOMMU_HWPT_ALLOC", true) => {
                let ioas = given.slot("pt_id").and_then(|pt| self.tables.get(pt));
                if let (Some(made), Some(ioas)) = (given.saved("out_hwpt_id"), ioas.cloned()) {
                    self.tables.insert(made, ioas);
                }
            }
            ("IOMMU_IOAS_MAP", true) => self.map(given),
            ("IOMMU_IOAS_UNMAP", true) => self.maps.clear(),
            ("IOMMU_DESTROY", _) => self.destroy(given, check),
            _ => {}
        }
    }

    fn attach(&mut self, fd: &str, given: Given<'_>, check: &mut Check) {
        let table = given
            .slot("pt_id")
            .filter(|pt| self.tables.contains_key(*pt));
        let (Some(table), Some(0)) = (table.map(str::to_owned), given.number("flags")) else {
            return;
        };
        match (&check.expect.end, given.is_read_only()) {
            (WantEnd::Success, _) => {
                self.users.insert(fd.to_owned());
                self.whole = Some(table.clone());
                self.own.insert(fd.to_owned(), table);
            }
            // The call is undone by a detach.
            (WantEnd::Errno(_), true) => {
                self.whole = Some(table);
                self.leave(fd);
            }
            (WantEnd::Errno(EINVAL), false) if self.is_other(fd, &table) => {
                plan(check, WantEnd::Success);
                self.own.insert(fd.to_owned(), table);
            }
            _ => {}
        }
    }

    /// Whether stage 2 refuses to attach a member to a page table because the group has another one.
    fn is_other(&self, fd: &str, table: &str) -> bool {
        let in_use = !self.users.is_empty() && self.whole.as_deref() != Some(table);
        in_use && self.bound.contains(fd) && !self.users.contains(fd)
    }

    fn leave(&mut self, fd: &str) {
        self.own.remove(fd);
        self.users.remove(fd);
        if self.users.is_empty() {
            self.whole = None;
        }
    }

    fn map(&mut self, given: Given<'_>) {
        let (ioas, iova) = (given.slot("ioas_id"), given.number("iova"));
        if let (Some(ioas), Some(iova), Some(length)) = (ioas, iova, given.number("length")) {
            let last = iova.saturating_add(length.saturating_sub(1));
            self.maps.push((ioas.to_owned(), iova, last));
        }
    }

    fn destroy(&mut self, given: Given<'_>, check: &mut Check) {
        let Some(id) = given.slot("id").map(str::to_owned) else {
            return;
        };
        let uses = |table: &String| *table == id || self.tables.get(table) == Some(&id);
        let by_whole = self.whole.iter().any(uses);
        let by_own = self.own.values().any(uses);
        // A page table that the case has made keeps its IOAS in use.
        let kept = self
            .tables
            .iter()
            .any(|(table, ioas)| *table != id && *ioas == id);
        let seen = match check.expect.end {
            WantEnd::Success => false,
            WantEnd::Errno(EBUSY) => true,
            _ => return,
        };
        if seen == by_whole && by_whole != by_own && !kept {
            let end = if by_own {
                WantEnd::Errno(EBUSY)
            } else {
                WantEnd::Success
            };
            plan(check, end);
        }
        if !seen && !by_own {
            self.tables.remove(&id);
        }
    }

    fn dma(&self, device: &str, iova: &Value, check: &mut Check) {
        let (Value::Const(iova), Some(member)) = (
            iova,
            self.offered.devices.iter().find(|it| it.name == device),
        ) else {
            return;
        };
        let reaches = |table: &String| {
            let ioas = self.tables.get(table);
            let mut maps = self.maps.iter();
            maps.any(|(of, first, last)| Some(of) == ioas && (first..=last).contains(&iova))
        };
        let of_member = |fd: &String| self.nodes.get(fd).is_some_and(|node| node == device);
        let mut own = self.own.iter().filter(|(fd, _)| of_member(fd));
        let (stage_2, stage_3) = (
            self.whole.iter().any(reaches),
            own.any(|(_, table)| reaches(table)),
        );
        let seen = matches!(check.expect.end, WantEnd::Lands { .. });
        if seen != stage_2 || stage_2 == stage_3 {
            return;
        }
        let end = match stage_3 {
            false => WantEnd::Blocked,
            true => WantEnd::Lands {
                signature: member.signature.clone(),
            },
        };
        plan(check, end);
    }
}

/// Adds how an op ends in stage 3.
fn plan(check: &mut Check, end: WantEnd) {
    if check.under(OWN_TABLES).is_some() {
        return;
    }
    let mut planned = Check {
        plans: Vec::new(),
        ..check.clone()
    };
    planned.expect = crate::expect::Expect::ending(end);
    check.plans.push(Planned {
        clause: OWN_TABLES.to_owned(),
        check: planned,
    });
}

/// What an ioctl is given.
#[derive(Clone, Copy)]
struct Given<'a> {
    of: &'static uapi::Ioctl,
    call: &'a IoctlOp,
}

impl<'a> Given<'a> {
    fn field(self, name: &str) -> Option<&'static uapi::Field> {
        self.of.layout()?.field(name)
    }

    /// The value of a field that is known before the run.
    fn number(self, name: &str) -> Option<u64> {
        match (&self.call.arg, self.slot(name)) {
            (Arg::Buffer { bytes, .. }, None) => self.field(name)?.get(bytes),
            _ => None,
        }
    }

    /// The name of what a field is given.
    fn slot(self, name: &str) -> Option<&'a str> {
        let Arg::Buffer { patches, .. } = &self.call.arg else {
            return None;
        };
        let offset = self.field(name)?.offset as usize;
        let patch = patches.iter().find(|patch| patch.offset == offset)?;
        slot(&patch.value)
    }

    /// The name under which a field is saved.
    fn saved(self, name: &str) -> Option<String> {
        let offset = self.field(name)?.offset as usize;
        let save = self.call.save.iter().find(|save| save.offset == offset)?;
        Some(save.slot.clone())
    }

    fn is_read_only(self) -> bool {
        matches!(
            self.call.arg,
            Arg::Buffer {
                read_only: true,
                ..
            }
        )
    }
}

fn slot(value: &Value) -> Option<&str> {
    match value {
        Value::Slot { name, add: 0 } => Some(name),
        _ => None,
    }
}
