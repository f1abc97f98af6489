//! The rules: the kernel's answer to an event, the next state, and the clause that demands it.
//!
//! The first rule whose `when` holds decides, so a rule can rely on those above it.

use crate::{
    event::Event,
    state::{
        Binding, Container, Device, Driver, File, Group, Iommu, Owner, Part, Presence, Pt, State,
    },
    world::{Shape, World},
};

/// The kernel's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Answer {
    /// The call succeeds.
    Ok,
    /// Exactly this errno, by name.
    Errno(&'static str),
    /// A failure with an errno that the clause does not specify.
    Refused,
}

/// The reading of the plan that the kernel is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reading {
    /// The plan's stage 1 to the letter: bind refuses groups of several devices.
    Stage1,
    /// Stage 2, as Linux implements it.
    Stage2,
}

/// A rule of the plan: where it applies, and what the kernel answers.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Short name, unique.
    pub name: &'static str,
    /// Clauses that it implements.
    pub clauses: &'static [&'static str],
    /// The rule in a sentence.
    pub says: &'static str,
    /// Where it applies.
    pub when: fn(&World, &State, Event) -> bool,
    /// The kernel's answer.
    pub answer: Answer,
    /// How a success changes the state.
    pub then: fn(&World, &mut State, Event),
}

/// What a rule decides about an event.
#[derive(Debug, Clone)]
pub struct Decision {
    /// The rule that decided.
    pub rule: Rule,
    /// The next state.
    pub next: State,
}

/// Returns the rule and the next state, or `None` if no rule decides the event.
pub fn decide(rules: &[Rule], world: &World, state: &State, event: Event) -> Option<Decision> {
    let rule = *rules.iter().find(|rule| (rule.when)(world, state, event))?;
    let mut next = state.clone();
    if rule.answer == Answer::Ok {
        (rule.then)(world, &mut next, event);
        next.settle(world);
    }
    Some(Decision { rule, next })
}

impl Reading {
    /// The rules of this reading, in their order.
    pub fn rules(self) -> Vec<Rule> {
        let strict = (self == Self::Stage1).then_some(STRICT);
        strict.into_iter().chain(RULES.iter().copied()).collect()
    }
}

/// Stage 1 only allows devices that are alone in their group.
const STRICT: Rule = Rule {
    name: "bind: not alone in its group",
    clauses: &["S1.5"],
    says: "bind checks that the group is not 1:N",
    when: |world, _, event| match event {
        Event::Bind(device, _) => {
            let group = world.groups[world.group_of(device).0];
            group.devices + usize::from(group.host_driver) > 1
        }
        _ => false,
    },
    answer: Answer::Refused,
    then: nothing,
};

fn nothing(_: &World, _: &mut State, _: Event) {}

/// Returns the device's file, for events that need one.
fn file(state: &State, device: Device) -> File {
    state.devices[device.0].file.unwrap_or_default()
}

fn binding(state: &State, device: Device) -> Option<Binding> {
    state.devices[device.0].binding()
}

fn set_binding(state: &mut State, device: Device, to: Option<Binding>) {
    if let Some(file) = &mut state.devices[device.0].file {
        file.binding = to;
    }
}

/// Moves what is attached of the group's devices, and attaches this device or its PASID.
fn attach(world: &World, state: &mut State, device: Device, part: Part, to: Pt) {
    let move_one = |binding: &mut Binding, always: bool| {
        if let Some(attached) = binding.place_of(part)
            && (always || attached.is_some())
        {
            *attached = Some(to);
        }
    };
    for member in world.members(world.group_of(device)) {
        let now = &mut state.devices[member.0];
        let of_file = now.file.as_mut().and_then(|file| file.binding.as_mut());
        if let Some(binding) = of_file {
            move_one(binding, member == device);
        }
        if let Some(binding) = &mut now.held {
            move_one(binding, false);
        }
    }
}

fn has_vfio_member(world: &World, state: &State, group: Group) -> bool {
    let mut members = world.members(group);
    world.stays_on_vfio(group) || members.any(|member| state.devices[member.0].on_vfio())
}

/// Whether a device of the group is bound through its own node.
fn device_path(world: &World, state: &State, group: Group) -> bool {
    state
        .bindings(world, group)
        .any(|binding| matches!(binding, Binding::Iommufd { .. }))
}

/// One rule in each paragraph: name, clauses, text, where it applies, the answer, and how a success
/// changes the state. `device`, `iommu` and so on are bound by the event's pattern.
macro_rules! rules {
    ($($name:literal [$($clause:literal),*] $says:literal
        $event:pat, |$world:pat_param, $state:pat_param| $when:expr => $answer:expr
        $(; |$in:pat_param, $to:pat_param| $then:expr)?;)*) => {
        &[$(Rule {
            name: $name,
            clauses: &[$($clause),*],
            says: $says,
            when: |$world, $state, event| {
                #[allow(unused_variables, reason = "the pattern serves both closures")]
                match event { $event => $when, _ => false }
            },
            answer: $answer,
            then: rules!(@then $event $(, |$in, $to| $then)?),
        }),*]
    };
    (@then $event:pat) => { nothing };
    (@then $event:pat, |$in:pat_param, $to:pat_param| $then:expr) => {
        |$in, $to, event| {
            #[allow(unused_variables, reason = "the pattern serves both closures")]
            if let $event = event { $then }
        }
    };
}

use Answer::{Errno, Ok as Done};

/// Stage 2, as Linux implements it.
const RULES: &[Rule] = rules! {
    "open: unplugged" ["S1.7"] "a device that is being unplugged has no node, so it cannot be \
     opened"
        Event::Open(device), |_, now| now.devices[device.0].presence != Presence::Here => Errno("ENOENT");
    "open: no driver" ["S1.1", "S2.1"] "each device on a vfio driver has a device node"
        Event::Open(device), |_, now| !now.devices[device.0].on_vfio() => Errno("ENOENT");
    "open" ["S1.4", "S2.4"] "open gives a device_fd without security context"
        Event::Open(device), |_, _| true => Done;
        |_, next| next.devices[device.0].file = Some(File::default());

    "access: not bound" ["S1.4", "S2.4"] "access is refused until bind"
        Event::Access(device), |_, now| binding(now, device).is_none() => Errno("EINVAL");
    "access" ["S1.5"] "from bind on the user may access the device"
        Event::Access(_), |_, _| true => Done;

    "reset: not bound" ["S1.4"] "access is refused until bind"
        Event::Reset(device), |_, now| binding(now, device).is_none() => Errno("EINVAL");
    "reset" ["S1.6"] "a reset leaves the security context alone"
        Event::Reset(_), |_, _| true => Done;

    "hot reset: not bound" ["S1.4", "S2.4"] "access is refused until bind"
        Event::HotReset(device), |_, now| binding(now, device).is_none() => Errno("EINVAL");
    "hot reset" ["S1.6", "S3.4"] "a reset of the bus leaves the security context of each of its \
     devices alone"
        Event::HotReset(_), |_, _| true => Done;

    "mmap: not bound" ["S1.4", "S2.4"] "mmap is refused until bind"
        Event::Mmap(device), |_, now| binding(now, device).is_none() => Errno("EINVAL");
    "mmap" ["S1.5"] "from bind on the user may map the device"
        Event::Mmap(device), |_, _| true => Done;
        |_, next| set_mapped(next, device, true);
    "munmap: the last of a closed file" ["S1.7"] "the last reference to a device_fd unbinds the device"
        Event::Munmap(device), |_, now| now.devices[device.0].held.is_some() => Done;
        |_, next| next.devices[device.0].held = None;
    "munmap" [] "munmap leaves the device bound"
        Event::Munmap(device), |_, _| true => Done;
        |_, next| set_mapped(next, device, false);

    "bind: a file of the group path" ["S2.0"] "group path and device path exclude each other"
        Event::Bind(device, _), |_, now| binding(now, device) == Some(Binding::Group) => Errno("EINVAL");
    "bind: the group is open" ["S2.0"] "group path and device path exclude each other"
        Event::Bind(device, _), |world, now| now.group_path(world, world.group_of(device)) => Errno("EBUSY");
    "bind: bound" ["S1.5"] "a device_fd is bound once"
        Event::Bind(device, _), |_, now| binding(now, device).is_some() => Errno("EINVAL");
    "bind: held by a mapping" ["S1.7"] "a mapping keeps a closed device_fd bound, and a device is bound once"
        Event::Bind(device, _), |_, now| now.devices[device.0].held.is_some() => Errno("EINVAL");
    "bind: another iommu_fd has the group" ["S2.6"] "bind to another iommu_fd is refused"
        Event::Bind(device, iommu), |world, now| other_owner(world, now, device, iommu) => Errno("EPERM");
    "bind: not viable" ["S2.5a"] "every device of the group is driverless, or has the binder's driver or a safe one"
        Event::Bind(device, _), |world, now| now.groups[world.group_of(device).0].on_kernel_driver => Errno("EPERM");
    "bind" ["S1.5", "S2.5b", "S2.6"] "bind moves the whole group to the blocking domain"
        Event::Bind(device, iommu), |_, _| true => Done;
        |_, next| set_binding(next, device, Some(Binding::to(iommu)));

    "attach: not bound" ["S1.4", "S2.4"] "a device_fd has no security context before bind"
        Event::Attach(device, _) | Event::AttachNothing(device) | Event::AttachPasid(device, _),
        |_, now| binding(now, device).is_none() => Errno("EINVAL");
    "attach: a file of the group path" ["S2.0"] "the device uAPI is not that of the group path"
        Event::Attach(device, _) | Event::AttachNothing(device),
        |_, now| binding(now, device) == Some(Binding::Group) => Errno("ENOTTY");
    "attach: the HWPT of a real device to an mdev" ["S1.6"] "a mediated device has no page table, \
     so it can only attach to an IOAS"
        Event::Attach(device, Pt::Hwpt(_)), |world, _| is_mdev(world, device) => Errno("ENOENT");
    "attach: nothing" ["S1.6"] "attach switches to an I/O address space, which has to exist"
        Event::AttachNothing(_), |_, _| true => Errno("ENOENT");
    "attach: a second IOAS" ["S2.7a"] "all bound devices of a group attach to one IOAS; a second is refused"
        Event::Attach(device, pt), |world, now| second_ioas(world, now, device, pt) => Errno("EINVAL");
    "attach: a second page table" ["S2.7a"] "the kernel's page table of an IOAS is not one that \
     user space allocates for it"
        Event::Attach(device, pt),
        |world, now| second_pt(world, now, device, Part::Whole, pt) => Errno("EINVAL");
    "attach: beside a PASID" [] "beside an attached PASID, devices of the group attach only to page \
     tables that allow PASIDs, and the kernel's own for an IOAS does not"
        Event::Attach(device, Pt::Ioas(_)),
        |world, now| now.attached_part(world, world.group_of(device), Part::Pasid).is_some() => Errno("EINVAL");
    "attach" ["S1.6", "S2.7b"] "attach moves the whole group; of an attached device, also to another IOAS"
        Event::Attach(device, pt), |_, _| true => Done;
        |world, next| attach(world, next, device, Part::Whole, pt);

    "attach PASID: an IOAS" [] "the kernel's own page table of an IOAS does not allow PASIDs"
        Event::AttachPasid(_, Pt::Ioas(_)), |_, _| true => Errno("EINVAL");
    "attach PASID: beside an IOAS" [] "a device that is attached to the kernel's own page table of an \
     IOAS has no PASIDs, and neither has its group"
        Event::AttachPasid(device, _), |world, now| is_on_ioas(world, now, device) => Errno("EINVAL");
    "attach PASID: a second page table" ["S2.7a"] "one PASID of all devices of a group has one page table"
        Event::AttachPasid(device, pt),
        |world, now| second_pt(world, now, device, Part::Pasid, pt) => Errno("EINVAL");
    "attach PASID" ["S2.7b"] "attach moves the PASID of the whole group; of an attached one, also to \
     another page table"
        Event::AttachPasid(device, pt), |_, _| true => Done;
        |world, next| attach(world, next, device, Part::Pasid, pt);

    "detach: not bound" ["S1.4", "S2.4"] "a device_fd has no security context before bind"
        Event::Detach(device) | Event::DetachPasid(device),
        |_, now| binding(now, device).is_none() => Errno("EINVAL");
    "detach: a file of the group path" ["S2.0"] "the device uAPI is not that of the group path"
        Event::Detach(device), |_, now| binding(now, device) == Some(Binding::Group) => Errno("ENOTTY");
    "detach" ["S1.6", "S2.7c"] "the last detach moves the group to the blocking domain; earlier \
     ones move nothing"
        Event::Detach(device), |_, _| true => Done;
        |_, next| detach(next, device, Part::Whole);
    "detach PASID" [] "a PASID is detached beside its device, which stays where it is"
        Event::DetachPasid(device), |_, _| true => Done;
        |_, next| detach(next, device, Part::Pasid);

    "close: mapped" ["S1.7"] "a mapping holds the file: the device stays bound"
        Event::Close(device), |_, now| file(now, device).mapped => Done;
        |_, next| next.devices[device.0].held = next.devices[device.0].file.take().and_then(|it| it.binding);
    "close" ["S1.7", "S2.8", "S2.9"] "close unbinds; the last unbind returns the group to its \
     default domain"
        Event::Close(device), |_, _| true => Done;
        |_, next| next.devices[device.0].file = None;

    "arrival" ["S2.5b", "S2.7b", "S3.4"] "a device that is found again comes into the domain of its \
     group, without a driver"
        Event::Rescan(device), |_, _| true => Done;
        |_, next| next.devices[device.0].driver = Driver::None;
    "driver leaves" ["S3.4"] "a driverless member stays in the group's context"
        Event::Drive(device, Driver::None), |_, _| true => Done;
        |_, next| next.devices[device.0].driver = Driver::None;
    "vfio-pci comes" ["S2.5a", "S2.8"] "vfio-pci is the binder's driver: it may take a member of an owned group"
        Event::Drive(device, Driver::Vfio), |_, _| true => Done;
        |_, next| next.devices[device.0].driver = Driver::Vfio;
    "kernel driver comes" ["S1.7", "S2.9"] "a device that user space has released belongs to the \
     kernel again"
        Event::Drive(device, Driver::Kernel), |_, _| true => Done;
        |_, next| next.devices[device.0].driver = Driver::Kernel;
    "kernel driver: the group is owned" ["S2.5c", "S2.8"] "while the group is owned, no kernel \
     driver can bind a member"
        Event::KernelDriver(group), |world, now| now.owner(world, group) != Owner::Nobody => Errno("EBUSY");
    "kernel driver" ["S2.9"] "a group without an owner belongs to the kernel"
        Event::KernelDriver(group), |_, _| true => Done;
        |_, next| next.groups[group.0].on_kernel_driver = true;
    "kernel driver leaves" [] "the kernel driver releases the group"
        Event::NoKernelDriver(group), |_, _| true => Done;
        |_, next| next.groups[group.0].on_kernel_driver = false;

    "unplug" ["S1.7"] "the kernel gets a device back when its user releases it; until then the \
     user keeps full access"
        Event::Unplug(device), |_, _| true => Done;
        |_, next| next.devices[device.0].presence = Presence::Leaving;
    "plug" ["S1.1"] "a device that is plugged in has a node and no owner"
        Event::Plug(device), |_, _| true => Done;
        |_, next| next.devices[device.0].presence = Presence::Here;

    "open group: no member" ["S1.0"] "a group node exists while a device of the group is on a \
     vfio driver"
        Event::OpenGroup(group), |world, now| !has_vfio_member(world, now, group) => Errno("ENOENT");
    "open group: a device is bound" ["S2.0"] "group path and device path exclude each other"
        Event::OpenGroup(group), |world, now| device_path(world, now, group) => Errno("EBUSY");
    "open group: open" ["S1.0"] "a group can be opened once, and stays in use while a device of \
     it is open"
        Event::OpenGroup(group), |world, now| now.group_path(world, group) => Errno("EBUSY");
    "open group" ["S1.0"] "the old uAPI stays"
        Event::OpenGroup(group), |_, _| true => Done;
        |_, next| next.groups[group.0].open = true;
    "close group" ["S1.0"] "a group leaves its container with its last file"
        Event::CloseGroup(group), |_, _| true => Done;
        |_, next| next.groups[group.0].open = false;

    "set container: set" ["S1.0"] "a group is in one container"
        Event::SetContainer(group), |_, now| now.groups[group.0].container.is_some() => Errno("EINVAL");
    "set container: not viable" ["S1.0"] "a group with a member on a kernel driver belongs to the \
     kernel"
        Event::SetContainer(group), |_, now| now.groups[group.0].on_kernel_driver => Errno("EPERM");
    "set container" ["S1.0"] "a container owns its groups"
        Event::SetContainer(group), |_, _| true => Done;
        |_, next| next.groups[group.0].container = Some(Container::Joined);
    "set IOMMU: no group, or set" ["S1.0"] "a container gets its IOMMU model once, when it has a \
     group"
        Event::SetIommu(group), |_, now| now.groups[group.0].container != Some(Container::Joined) => Errno("EINVAL");
    "set IOMMU" ["S1.0"] "the model moves the group to the container's mappings"
        Event::SetIommu(group), |_, _| true => Done;
        |_, next| next.groups[group.0].container = Some(Container::Typed);
    "unset container: none" ["S1.0"] "the group has no container to leave"
        Event::UnsetContainer(group), |_, now| now.groups[group.0].container.is_none() => Errno("EINVAL");
    "unset container: a device is open" ["S1.0"] "open devices stay in their security context"
        Event::UnsetContainer(group), |world, now| has_group_device(world, now, group) => Errno("EBUSY");
    "unset container" ["S1.0"] "the group goes back to its default domain"
        Event::UnsetContainer(group), |_, _| true => Done;
        |_, next| next.groups[group.0].container = None;
    "get device: no driver" ["S1.0"] "a group gives out only devices on a vfio driver"
        Event::GetDevice(device), |_, now| !now.devices[device.0].on_vfio() => Errno("ENODEV");
    "get device: no IOMMU" ["S1.0"] "without a container and its model there is no security context"
        Event::GetDevice(device),
        |world, now| now.groups[world.group_of(device).0].container != Some(Container::Typed) => Errno("EINVAL");
    "get device" ["S1.0"] "the group gives out its devices"
        Event::GetDevice(device), |_, _| true => Done;
        |_, next| next.devices[device.0].file = Some(File { binding: Some(Binding::Group), mapped: false });

    "allocate HWPT: an mdev" ["S1.6"] "a mediated device has no page table"
        Event::AllocateHwpt(device, _), |world, _| is_mdev(world, device) => Errno("ENOENT");
    "allocate HWPT" ["S1.2"] "a page table of an IOAS, at the user's request"
        Event::AllocateHwpt(_, hwpt), |_, _| true => Done;
        |_, next| next.hwpts[hwpt.0] = true;
    "destroy: in use" ["S1.6"] "an object that a device or its PASID is attached to cannot be destroyed"
        Event::Destroy(pt), |_, now| now.is_attached_to(pt) => Errno("EBUSY");
    "destroy: an IOAS that has an HWPT" [] "an IOAS with a page table cannot be destroyed"
        Event::Destroy(Pt::Ioas(ioas)), |world, now| now.has_hwpt(world, ioas) => Errno("EBUSY");
    "destroy" [] "an unused object can be destroyed"
        Event::Destroy(pt), |_, _| true => Done;
        |_, next| match pt {
            Pt::Ioas(ioas) => next.ioases[ioas.0] = false,
            Pt::Hwpt(hwpt) => next.hwpts[hwpt.0] = false,
        };
    "allocate" ["S1.2"] "an iommu_fd allocates I/O address spaces at the user's request"
        Event::Allocate(ioas), |_, _| true => Done;
        |_, next| next.ioases[ioas.0] = true;
    "open iommu_fd" ["S1.2", "S2.2"] "each open of /dev/iommu gives a new iommu_fd"
        Event::OpenIommu(iommu), |_, _| true => Done;
        |world, next| open_iommu(world, next, iommu);
    "close iommu_fd" ["S1.6"] "bound devices keep their security context after the descriptor is \
     closed"
        Event::CloseIommu(iommu), |_, _| true => Done;
        |_, next| next.iommus[iommu.0] = false;
};

fn open_iommu(world: &World, state: &mut State, iommu: Iommu) {
    state.iommus[iommu.0] = true;
    for (ioas, of) in world.ioases.iter().enumerate() {
        if *of == iommu {
            state.ioases[ioas] = true;
        }
    }
}

/// Whether the device's group has another owner than this iommu_fd.
fn other_owner(world: &World, now: &State, device: Device, iommu: Iommu) -> bool {
    match now.owner(world, world.group_of(device)) {
        Owner::Nobody => false,
        Owner::Container => true,
        Owner::Iommu(owner) => owner != iommu,
    }
}

/// Whether this part of another device of the group is attached to another object, and that of this
/// device is not attached.
fn second_pt(world: &World, now: &State, device: Device, part: Part, pt: Pt) -> bool {
    let own = binding(now, device).and_then(|it| it.of(part));
    let group = now.attached_part(world, world.group_of(device), part);
    own.is_none() && group.is_some_and(|there| there != pt)
}

/// Like [`second_pt`], with an object of another IOAS.
fn second_ioas(world: &World, now: &State, device: Device, pt: Pt) -> bool {
    let group = now.attached(world, world.group_of(device));
    let another = |there| world.ioas_of(there) != world.ioas_of(pt);
    second_pt(world, now, device, Part::Whole, pt) && group.is_some_and(another)
}

fn is_mdev(world: &World, device: Device) -> bool {
    world.groups[world.group_of(device).0].shape == Shape::Mdev
}

fn set_mapped(state: &mut State, device: Device, to: bool) {
    if let Some(file) = &mut state.devices[device.0].file {
        file.mapped = to;
    }
}

/// Whether the device's group is attached to an IOAS, with a page table that the kernel allocates.
fn is_on_ioas(world: &World, now: &State, device: Device) -> bool {
    let attached = now.attached(world, world.group_of(device));
    matches!(attached, Some(Pt::Ioas(_)))
}

fn detach(state: &mut State, device: Device, part: Part) {
    let file = state.devices[device.0].file.as_mut();
    let binding = file.and_then(|file| file.binding.as_mut());
    if let Some(attached) = binding.and_then(|it| it.place_of(part)) {
        *attached = None;
    }
}

/// Whether a device of the group was opened through the group.
fn has_group_device(world: &World, now: &State, group: Group) -> bool {
    now.bindings(world, group)
        .any(|binding| binding == Binding::Group)
}
