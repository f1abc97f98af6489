//! Values that are read from a node and describe themselves.

use wire::{Fd, Value, Width};

use crate::{
    expect::{Want, WantEnd},
    node::{Node, Tree},
    problem::Problem,
    role::{Role, Which},
    spec::Spec,
    value,
};

/// A value in a case.
pub trait Input: Sized {
    /// Reads the value from a node of the case.
    fn read(node: &Node) -> Result<Self, Problem>;

    /// Describes the allowed values.
    fn spec() -> Spec;

    /// The default if its key is missing; `None` if the key is required.
    fn absent() -> Option<Self> {
        None
    }

    /// The full description: the documentation of its declaration.
    fn doc() -> &'static str {
        ""
    }

    /// Shows a default as a case would write it.
    fn shown(&self) -> String {
        String::new()
    }
}

impl<T: Input> Input for Option<T> {
    fn read(node: &Node) -> Result<Self, Problem> {
        T::read(node).map(Some)
    }

    fn spec() -> Spec {
        T::spec()
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: Input> Input for Box<T> {
    fn read(node: &Node) -> Result<Self, Problem> {
        T::read(node).map(Self::new)
    }

    fn spec() -> Spec {
        T::spec()
    }
}

/// One value or a list of them; the default is an empty list.
impl<T: Input> Input for Vec<T> {
    fn read(node: &Node) -> Result<Self, Problem> {
        node.items().iter().map(T::read).collect()
    }

    fn spec() -> Spec {
        match T::spec() {
            Spec::Step => Spec::Steps,
            of => Spec::list(of),
        }
    }

    fn absent() -> Option<Self> {
        Some(Self::new())
    }
}

impl Input for u64 {
    fn read(node: &Node) -> Result<Self, Problem> {
        node.number()
    }

    fn spec() -> Spec {
        Spec::Number
    }

    fn shown(&self) -> String {
        match self {
            few @ 0..10_000 if few % 0x100 != 0 || *few == 0 => few.to_string(),
            many => format!("{many:#x}"),
        }
    }
}

impl Input for u32 {
    fn read(node: &Node) -> Result<Self, Problem> {
        Self::try_from(node.number()?).map_err(|_| node.not("a number of 32 bits"))
    }

    fn spec() -> Spec {
        Spec::Number
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Input for u8 {
    fn read(node: &Node) -> Result<Self, Problem> {
        let number = node.number()?;
        let byte = Self::try_from(number);
        byte.map_err(|_| Problem::expected(node.at, "a byte", &format!("{number:#x}")))
    }

    fn spec() -> Spec {
        Spec::Number
    }

    fn shown(&self) -> String {
        format!("{self:#x}")
    }
}

impl Input for bool {
    fn read(node: &Node) -> Result<Self, Problem> {
        match node.tree {
            Tree::Bool(flag) => Ok(flag),
            _ => Err(node.not("true or false")),
        }
    }

    fn spec() -> Spec {
        Spec::Flag
    }

    fn absent() -> Option<Self> {
        Some(false)
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Input for String {
    fn read(node: &Node) -> Result<Self, Problem> {
        node.text().map(str::to_owned)
    }

    fn spec() -> Spec {
        Spec::Text
    }

    fn shown(&self) -> String {
        self.clone()
    }
}

impl Input for Value {
    fn read(node: &Node) -> Result<Self, Problem> {
        value::value(node)
    }

    fn spec() -> Spec {
        Spec::Value
    }
}

impl Input for Want {
    fn read(node: &Node) -> Result<Self, Problem> {
        value::want(node, value::value)
    }

    fn spec() -> Spec {
        Spec::Expected
    }
}

impl Input for Width {
    fn read(node: &Node) -> Result<Self, Problem> {
        let bytes = node.number()?;
        let width = Self::of(bytes);
        width.ok_or_else(|| Problem::expected(node.at, "width 1, 2, 4 or 8", &bytes.to_string()))
    }

    fn spec() -> Spec {
        Spec::Number
    }

    fn shown(&self) -> String {
        self.bytes().to_string()
    }
}

/// The name of something that steps open or save.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SlotName(pub String);

impl SlotName {
    /// Returns the descriptor that was opened under this name.
    pub fn fd(&self) -> Fd {
        Fd::slot(&self.0)
    }
}

impl std::fmt::Display for SlotName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name may have the `$` that references have.
impl Input for SlotName {
    fn read(node: &Node) -> Result<Self, Problem> {
        let text = node.text()?;
        let name = text.strip_prefix('$').unwrap_or(text);
        value::check_name(node.at, name)?;
        Ok(Self(name.to_owned()))
    }

    fn spec() -> Spec {
        Spec::Name
    }

    fn shown(&self) -> String {
        self.0.clone()
    }
}

/// How a call ends: `errno: NAME`. Without it the call has to succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ends(pub WantEnd);

impl Ends {
    /// Whether the call has to succeed.
    pub fn succeeds(&self) -> bool {
        self.0 == WantEnd::Success
    }
}

impl Input for Ends {
    fn read(node: &Node) -> Result<Self, Problem> {
        value::end(node).map(Self)
    }

    fn spec() -> Spec {
        Spec::Errno
    }

    fn absent() -> Option<Self> {
        Some(Self(WantEnd::Success))
    }
}

/// The number of an errno.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub i32);

impl Input for Errno {
    fn read(node: &Node) -> Result<Self, Problem> {
        value::errno(node).map(Self)
    }

    fn spec() -> Spec {
        Spec::Errno
    }

    fn shown(&self) -> String {
        uapi::errno_name(self.0).unwrap_or_default().to_owned()
    }
}

/// The signal that an access raises. Without it the access has to succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raises(pub WantEnd);

/// Numbers of `asm/signal.h`.
const SIGNALS: [(&str, i32); 2] = [("SIGBUS", 7), ("SIGSEGV", 11)];

impl Input for Raises {
    fn read(node: &Node) -> Result<Self, Problem> {
        let signal = word(node, "signal", &SIGNALS)?;
        Ok(Self(WantEnd::Signal(signal)))
    }

    fn spec() -> Spec {
        spec_of(&SIGNALS)
    }

    fn absent() -> Option<Self> {
        Some(Self(WantEnd::Success))
    }
}

/// One device of the case.
impl Input for Role {
    fn read(node: &Node) -> Result<Self, Problem> {
        Self::read_device(node)
    }

    fn spec() -> Spec {
        Spec::Device
    }
}

/// One group of the case.
impl Input for Which {
    fn read(node: &Node) -> Result<Self, Problem> {
        Role::read_group(node)
    }

    fn spec() -> Spec {
        Spec::Group
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

/// A mapping from names that the case chooses, in its order.
#[derive(Debug, Clone, PartialEq)]
pub struct Named<T>(pub Vec<(SlotName, T)>);

impl<T: Input> Input for Named<T> {
    fn read(node: &Node) -> Result<Self, Problem> {
        let entries = node.entries()?.iter().map(|(name, node)| {
            value::check_name(name.at, &name.text)?;
            Ok((SlotName(name.text.clone()), T::read(node)?))
        });
        entries.collect::<Result<_, _>>().map(Self)
    }

    fn spec() -> Spec {
        Spec::Named(Box::new(T::spec()))
    }
}

impl<T> Named<T> {
    /// Returns the names, for a label.
    pub fn names(&self) -> String {
        let names: Vec<_> = self.0.iter().map(|(name, _)| name.0.as_str()).collect();
        names.join(", ")
    }
}

/// A mapping from one process of the case.
#[derive(Debug, Clone, PartialEq)]
pub struct OfProcess<T> {
    /// Name of the process.
    pub process: String,
    /// What it is mapped to.
    pub of: T,
}

impl<T: Input> Input for OfProcess<T> {
    fn read(node: &Node) -> Result<Self, Problem> {
        let (name, of) = node.single()?;
        Ok(Self {
            process: name.text.clone(),
            of: T::read(of)?,
        })
    }

    fn spec() -> Spec {
        Spec::Process(Box::new(T::spec()))
    }
}

/// A type whose values are a few words.
pub trait Word: Sized + Copy + PartialEq + 'static {
    /// What the words stand for, for error messages.
    const WHAT: &'static str;
    /// The words, each with what it stands for.
    const ALL: &'static [(&'static str, Self)];
}

/// A word that is the key of a mapping.
pub trait KeyWord: Word {
    /// What its value means.
    fn help(self) -> &'static str;
}

/// Implements [`Input`] for words. A blanket implementation would conflict with that of `Box`.
macro_rules! words {
    ($($type:ty),+ $(,)?) => {
        $(impl $crate::input::Input for $type {
            fn read(node: &$crate::node::Node) -> Result<Self, $crate::problem::Problem> {
                use $crate::input::Word;
                $crate::input::word(node, Self::WHAT, Self::ALL)
            }

            fn spec() -> $crate::spec::Spec {
                $crate::input::spec_of(<Self as $crate::input::Word>::ALL)
            }

            fn shown(&self) -> String {
                let mut all = <Self as $crate::input::Word>::ALL.iter();
                let found = all.find(|(_, one)| one == self);
                found.map_or("", |(name, _)| *name).to_owned()
            }
        })+
    };
}
pub(crate) use words;

/// Finds a word.
pub fn word<T: Copy>(node: &Node, what: &str, all: &[(&'static str, T)]) -> Result<T, Problem> {
    let text = node.text()?;
    let found = all.iter().find(|(name, _)| *name == text);
    found.map(|(_, one)| *one).ok_or_else(|| {
        Problem::unknown_name(node.at, what, text, all.iter().map(|(name, _)| *name))
    })
}

/// Returns the description of a node that is one of these words.
pub fn spec_of<T>(all: &[(&'static str, T)]) -> Spec {
    Spec::Words(all.iter().map(|(name, _)| *name).collect())
}

/// A mapping from words to values, each word at most once, in the order of the case.
#[derive(Debug, Clone, PartialEq)]
pub struct PerWord<K, V>(pub Vec<(K, V)>);

impl<K: KeyWord, V: Input> Input for PerWord<K, V> {
    fn read(node: &Node) -> Result<Self, Problem> {
        let entries = node.entries()?.iter().map(|(name, node)| {
            let key = Node {
                at: name.at,
                tree: Tree::Text(name.text.clone()),
            };
            Ok((word(&key, K::WHAT, K::ALL)?, V::read(node)?))
        });
        entries.collect::<Result<_, _>>().map(Self)
    }

    fn spec() -> Spec {
        let key = |(name, word): &(&'static str, K)| crate::spec::Key {
            name: (*name).to_owned(),
            help: word.help().to_owned(),
            spec: V::spec(),
            presence: crate::spec::Presence::Optional,
        };
        Spec::Mapping(K::ALL.iter().map(key).collect())
    }
}

/// Declares the body of a step: a mapping with fixed keys. The keys are the names of the fields,
/// and their documentation is the description.
///
/// A field whose type has no default is required. `if CHECK` names a function that checks the whole
/// body, and `or(SHORT, SPEC)` one that reads a body that is not a mapping.
macro_rules! body {
    (
        $(#[doc = $doc:literal])+
        pub struct $name:ident in $what:literal $(if $check:path)? $(, or($short:path, $short_spec:expr))? {
            $($(#[doc = $help:literal])+ $field:ident: $type:ty $(= $default:expr)?,)*
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone)]
        pub struct $name {
            $($(#[doc = $help])+ pub $field: $type,)*
        }

        impl $crate::input::Input for $name {
            fn read(node: &$crate::node::Node) -> Result<Self, $crate::problem::Problem> {
                $(if let Some(short) = $short(node)? {
                    return Ok(short);
                })?
                let mut fields = $crate::fields::Fields::of(node, $what)?;
                $(let $field: $type = match fields.take(stringify!($field)) {
                    Some(node) => $crate::input::Input::read(node)?,
                    None => body!(@absent fields, $field, $type $(, $default)?),
                };)*
                fields.finish()?;
                let read = Self { $($field,)* };
                $($check(&read, node.at)?;)?
                Ok(read)
            }

            fn spec() -> $crate::spec::Spec {
                let mapping = $crate::spec::Spec::Mapping(vec![$($crate::spec::Key {
                    name: stringify!($field).to_owned(),
                    help: concat!($($help),+).trim().to_owned(),
                    spec: <$type as $crate::input::Input>::spec(),
                    presence: body!(@presence $type $(, $default)?),
                },)*]);
                $(let mapping = $crate::spec::Spec::Either(vec![$short_spec, mapping]);)?
                mapping
            }

            fn doc() -> &'static str {
                concat!($($doc, "\n"),+)
            }
        }
    };
    (@absent $fields:ident, $field:ident, $type:ty, $default:expr) => { $default };
    (@absent $fields:ident, $field:ident, $type:ty) => {
        match <$type as $crate::input::Input>::absent() {
            Some(value) => value,
            None => return Err($fields.missing(stringify!($field))),
        }
    };
    (@presence $type:ty, $default:expr) => {{
        let default: $type = $default;
        $crate::spec::Presence::Default($crate::input::Input::shown(&default))
    }};
    (@presence $type:ty) => {
        match <$type as $crate::input::Input>::absent() {
            Some(_) => $crate::spec::Presence::Optional,
            None => $crate::spec::Presence::Required,
        }
    };
}
pub(crate) use body;

/// Implements [`Input`] for a step that is resolved from its whole body: `STEP::new` takes the body
/// and its location.
macro_rules! resolved {
    ($($name:ident from $body:ty;)+) => {
        $(impl $crate::input::Input for $name {
            fn read(node: &$crate::node::Node) -> Result<Self, $crate::problem::Problem> {
                Self::new($crate::input::Input::read(node)?, node.at)
            }

            fn spec() -> $crate::spec::Spec {
                <$body as $crate::input::Input>::spec()
            }

            fn doc() -> &'static str {
                <$body as $crate::input::Input>::doc()
            }
        })+
    };
}
pub(crate) use resolved;

/// Declares a step whose body is one value.
macro_rules! newtype {
    ($($(#[doc = $doc:literal])+ pub struct $name:ident($inner:ty);)+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Debug, Clone)]
            pub struct $name(pub $inner);

            impl $crate::input::Input for $name {
                fn read(node: &$crate::node::Node) -> Result<Self, $crate::problem::Problem> {
                    $crate::input::Input::read(node).map(Self)
                }

                fn spec() -> $crate::spec::Spec {
                    <$inner as $crate::input::Input>::spec()
                }

                fn doc() -> &'static str {
                    concat!($($doc, "\n"),+)
                }
            }
        )+
    };
}
pub(crate) use newtype;
