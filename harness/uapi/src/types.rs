//! The types of the tables.

/// An ioctl: its number and its argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ioctl {
    /// Name of the request, such as `IOMMU_IOAS_MAP`. Unique, unlike the number.
    pub name: &'static str,
    /// The request number. VFIO reuses numbers between kinds of file descriptor.
    pub request: u32,
    /// The kind of file descriptor that takes the request.
    pub on: FdKind,
    /// What the third argument of `ioctl` is.
    pub arg: Arg,
    /// Header that defines the request.
    pub source: &'static str,
    /// Smallest `size` or `argsz` that the kernel accepts; `None` if the argument has no such
    /// field.
    pub min_size: Option<u32>,
}

impl Ioctl {
    /// The structure that the third argument points to.
    pub const fn layout(&self) -> Option<&'static Struct> {
        match self.arg {
            Arg::Struct(layout) => Some(layout),
            _ => None,
        }
    }
}

/// Kinds of file descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FdKind {
    /// An iommu_fd: `/dev/iommu`.
    Iommu,
    /// A VFIO device, from its cdev or from a group.
    Device,
    /// A VFIO group: `/dev/vfio/$GROUP`.
    Group,
    /// `/dev/vfio/vfio`, or `/dev/iommu` in its place.
    Container,
    /// The data transfer descriptor of a device migration.
    Migration,
    /// `/dev/kvm`.
    Kvm,
    /// A virtual machine of KVM.
    Vm,
    /// A device of a virtual machine, such as the one that knows its vfio files.
    VmDevice,
}

/// The third argument of an ioctl.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arg {
    /// The kernel ignores the argument.
    None,
    /// A plain integer.
    Value,
    /// Pointer to a 32-bit integer.
    IntPtr,
    /// Pointer to a NUL-terminated string.
    StrPtr,
    /// Pointer to a structure.
    Struct(&'static Struct),
}

/// A structure of the uAPI: its fields and their places.
#[derive(Debug, PartialEq, Eq)]
pub struct Struct {
    /// Name without the `struct` keyword.
    pub name: &'static str,
    /// `sizeof`, which does not include a flexible tail.
    pub size: u32,
    /// Alignment in bytes.
    pub align: u32,
    /// Fields in order of declaration. Those of a nested structure are listed here under
    /// dotted names, such as `header.id`.
    pub fields: &'static [Field],
    /// The flexible array at the end.
    pub tail: Option<&'static Tail>,
    /// Header that defines it.
    pub source: &'static str,
}

/// The flexible array at the end of a structure.
#[derive(Debug, PartialEq, Eq)]
pub struct Tail {
    /// Name of the array in the structure.
    pub name: &'static str,
    /// Where the first element starts.
    pub offset: u32,
    /// Type of the elements.
    pub element: Element,
    /// The field that counts the elements; `None` if only `argsz` gives the number.
    pub count: Option<&'static str>,
    /// Who writes it.
    pub dir: Dir,
}

/// Type of the elements of a flexible array or a user buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// Each element is an integer.
    Plain {
        /// Width of each.
        width: Width,
        /// Whether they are signed.
        signed: bool,
    },
    /// Each element is this structure.
    Struct(&'static Struct),
    /// A type that a field of the outer structure selects. The first match is used; without a match
    /// there is no data, or it is opaque.
    Chosen(&'static [Choice]),
}

/// One alternative of [`Element::Chosen`]: it holds when `field & mask == value`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// The deciding field of the outer structure.
    pub field: &'static str,
    /// The bits of it that decide.
    pub mask: u64,
    /// The value that they must have.
    pub value: u64,
    /// The type of the data.
    pub element: Element,
}

/// What a user pointer points to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pointee {
    /// Type of the elements.
    pub element: Element,
    /// Who writes the buffer.
    pub dir: Dir,
    /// The field that gives the length of the buffer.
    pub len: Option<&'static str>,
    /// What that field counts.
    pub unit: Unit,
}

/// What the length of a user buffer counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// The length counts bytes.
    Bytes,
    /// Elements of their natural size.
    Elements,
    /// Elements of the size that the named field gives.
    ElementsOf(&'static str),
    /// Nothing: the size is fixed, in bytes.
    Fixed(u32),
    /// Bytes of IOVA space; the buffer has one bit for each page of the named page size.
    Bits(&'static str),
}

/// A field of a structure: its place and its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Name, which is dotted if it is in a nested structure.
    pub name: &'static str,
    /// Offset from the start of the structure.
    pub offset: u32,
    /// Width of the integer, or of each element of the array.
    pub width: Width,
    /// Whether the C type is signed.
    pub signed: bool,
    /// Number of elements: 1 unless it is an array.
    pub count: u32,
    /// What the value stands for.
    pub kind: Kind,
    /// Who writes it.
    pub dir: Dir,
    /// Whether it is a member of a union, and so may overlap its neighbours.
    pub union: bool,
}

/// Width of an integer in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Width {
    /// One byte.
    W1 = 1,
    /// Two bytes.
    W2 = 2,
    /// Four bytes.
    W4 = 4,
    /// Eight bytes.
    W8 = 8,
}

impl Width {
    /// The number of bytes.
    pub const fn bytes(self) -> u32 {
        self as u32
    }

    /// The largest unsigned value.
    pub const fn max(self) -> u64 {
        u64::MAX >> (64 - 8 * self.bytes())
    }
}

/// Who writes a field or buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dir {
    /// The caller writes it.
    In,
    /// The kernel writes it.
    Out,
    /// The caller, and then the kernel.
    InOut,
}

/// Meaning of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The `size` or `argsz` of the structure itself.
    Size,
    /// A set of bits. No constants means that every bit is reserved.
    Flags(&'static [Constant]),
    /// A set of bits above a number in the bits of `mask`.
    IndexAndFlags {
        /// The bits of the number.
        mask: u64,
        /// Names of the numbers.
        index: &'static [Constant],
        /// Names of the bits.
        flags: &'static [Constant],
    },
    /// One of the named values.
    Enum(&'static [Constant]),
    /// A file descriptor.
    Fd,
    /// The id of an iommufd object of one of these kinds.
    Id(&'static [Object]),
    /// Address in the caller's memory.
    UserPtr(&'static Pointee),
    /// Has to be zero.
    Reserved,
    /// Address in IOVA space.
    Iova,
    /// Number of bytes.
    Length,
    /// Address in physical memory, which differs from run to run.
    Phys,
    /// A number that the kernel counts up with each call.
    Counted,
    /// A number without one of the meanings above.
    Plain,
}

/// Kinds of iommufd objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Object {
    /// I/O address space.
    Ioas,
    /// Page table that the kernel manages.
    HwptPaging,
    /// Page table that the user manages.
    HwptNested,
    /// A bound device.
    Device,
    /// Access to an address space from within the kernel.
    Access,
    /// Queue of I/O page faults.
    Fault,
    /// Virtual IOMMU of a guest.
    Viommu,
    /// Device as seen through a virtual IOMMU.
    Vdevice,
    /// Queue of events of a virtual IOMMU.
    Veventq,
    /// Hardware queue of a virtual IOMMU.
    HwQueue,
    /// Object of the mock.
    Selftest,
}

/// One named number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Constant {
    /// The full name.
    pub name: &'static str,
    /// Its value. Negative `int`s of C are given as their 32-bit pattern.
    pub value: u64,
    /// The part of the name that the constants of its set share.
    pub prefix: &'static str,
    /// Header that defines it.
    pub source: &'static str,
}

impl Constant {
    /// The name without the prefix.
    pub fn short(&self) -> &'static str {
        self.name.strip_prefix(self.prefix).unwrap_or(self.name)
    }
}

/// A capability in the chain behind an info structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capability {
    /// Structure whose ioctl returns the chain.
    pub info: &'static str,
    /// Id within that chain.
    pub id: u16,
    /// Layout of the capability, including its header.
    pub layout: &'static Struct,
}
