//! Describes the body of a step. Error messages, the JSON Schema for editors and the reference are
//! generated from this description.

/// Allowed values of a node.
#[derive(Debug, Clone, PartialEq)]
pub enum Spec {
    /// An integer.
    Number,
    /// `true` or `false`.
    Flag,
    /// Text, of any content.
    Text,
    /// The name of something that earlier steps opened or saved, or that this one saves.
    Name,
    /// A number, the name of a constant, a list of constants for all of their bits, or `$NAME` of
    /// something saved, with an offset behind it.
    Value,
    /// A value, or `{not: value}`, `{has: bits}`, `{lacks: bits}`.
    Expected,
    /// The name of an errno; `none` for success.
    Errno,
    /// What is expected on a kernel that conforms to the plan.
    Plan,
    /// A device of the case: `group.0`, `other.0`.
    Device,
    /// A group of the case: `group`, `other`, or the name of a shape.
    Group,
    /// One of these words.
    Words(Vec<&'static str>),
    /// One of these, or a list of them.
    List(Box<Spec>),
    /// A mapping with these keys.
    Mapping(Vec<Key>),
    /// A mapping with these keys, and others that the case chooses.
    Open(Vec<Key>),
    /// A mapping from names that the case chooses.
    Named(Box<Spec>),
    /// A mapping from one process of the case.
    Process(Box<Spec>),
    /// Any of these.
    Either(Vec<Spec>),
    /// A struct of the uAPI with values for some of its fields, and `struct: NAME` if nothing else
    /// gives its name.
    Struct,
    /// Fields of a struct, with a value for each.
    Fields(Box<Spec>),
    /// Elements of a flexible array.
    Elements,
    /// One step of the table, or an ioctl.
    Step,
    /// A step, or a list of steps.
    Steps,
}

impl Spec {
    /// One of these, or a list of them.
    pub fn list(of: Self) -> Self {
        Self::List(Box::new(of))
    }
}

/// A key of a mapping.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// Name of the key.
    pub name: String,
    /// What the key means: the documentation of its field.
    pub help: String,
    /// Which values it may have.
    pub spec: Spec,
    /// Whether it may be missing.
    pub presence: Presence,
}

/// Whether a key may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// It is required.
    Required,
    /// It is optional.
    Optional,
    /// It is optional and has this default.
    Default(String),
}
