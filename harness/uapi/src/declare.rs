//! The macros for the tables, and the layout rules behind them.

use crate::types::{Dir, Element, Field, Kind, Width};

/// Position of a field.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Behind the one before it.
    Next,
    /// First member of a union.
    Union,
    /// Start of another member of the union.
    Or,
    /// Behind the union.
    End,
}

/// A field before its offset is known.
#[derive(Clone, Copy)]
pub(crate) struct Spec {
    pub(crate) place: Place,
    pub(crate) name: &'static str,
    pub(crate) width: Width,
    pub(crate) signed: bool,
    pub(crate) count: u32,
    pub(crate) dir: Dir,
    pub(crate) kind: Kind,
}

/// The outcome of laying fields out: the fields, and where the last one ends.
pub(crate) struct Laid<const N: usize> {
    pub(crate) fields: [Field; N],
    pub(crate) end: u32,
    pub(crate) align: u32,
}

pub(crate) const fn align_up(offset: u32, align: u32) -> u32 {
    offset.div_ceil(align) * align
}

const fn max(a: u32, b: u32) -> u32 {
    if a > b { a } else { b }
}

/// Gives each field its offset in C. A union has the alignment of its most aligned member, so its
/// start and end depend on later fields.
pub(crate) const fn lay_out<const N: usize>(specs: [Spec; N]) -> Laid<N> {
    const EMPTY: Field = Field {
        name: "",
        offset: 0,
        width: Width::W1,
        signed: false,
        count: 0,
        kind: Kind::Plain,
        dir: Dir::In,
        union: false,
    };
    let mut fields = [EMPTY; N];
    let mut cursor = 0;
    let mut align = 1;
    let mut in_union = false;
    let mut union_start = 0;
    let mut union_end = 0;
    let mut union_align = 1;
    let mut i = 0;
    while i < N {
        let spec = specs[i];
        let width = spec.width.bytes();
        match spec.place {
            Place::Next => {}
            Place::Union => {
                in_union = true;
                union_align = width;
                let mut j = i + 1;
                while j < N && !matches!(specs[j].place, Place::End) {
                    union_align = max(union_align, specs[j].width.bytes());
                    j += 1;
                }
                union_start = align_up(cursor, union_align);
                union_end = union_start;
                cursor = union_start;
            }
            Place::Or => cursor = union_start,
            Place::End => {
                cursor = align_up(union_end, union_align);
                in_union = false;
            }
        }
        let offset = align_up(cursor, width);
        cursor = offset + width * spec.count;
        union_end = max(union_end, cursor);
        align = max(align, width);
        fields[i] = Field {
            name: spec.name,
            offset,
            width: spec.width,
            signed: spec.signed,
            count: spec.count,
            kind: spec.kind,
            dir: spec.dir,
            union: in_union,
        };
        i += 1;
    }
    if in_union {
        cursor = align_up(union_end, union_align);
    }
    Laid {
        fields,
        end: cursor,
        align,
    }
}

/// Returns the alignment of the elements of a flexible array. An array of variable type is declared
/// as bytes.
pub(crate) const fn element_align(element: Element) -> u32 {
    match element {
        Element::Plain { width, .. } => width.bytes(),
        Element::Struct(of) => of.align,
        Element::Chosen(_) => 1,
    }
}

/// Returns the end of the named field, for smallest sizes of arguments that are given by field.
pub(crate) const fn end_of(fields: &[Field], name: &str) -> Option<u32> {
    let mut i = 0;
    while i < fields.len() {
        if same(fields[i].name, name) {
            return Some(fields[i].offset + fields[i].width.bytes() * fields[i].count);
        }
        i += 1;
    }
    None
}

/// Equality of strings, for constants.
const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// Width, sign and number of elements of a field's type.
macro_rules! layout_of {
    ([$t:tt; $n:literal]) => {{
        let (width, signed, _) = layout_of!($t);
        (width, signed, $n)
    }};
    (u8) => {
        ($crate::types::Width::W1, false, 1)
    };
    (u16) => {
        ($crate::types::Width::W2, false, 1)
    };
    (u32) => {
        ($crate::types::Width::W4, false, 1)
    };
    (u64) => {
        ($crate::types::Width::W8, false, 1)
    };
    (s32) => {
        ($crate::types::Width::W4, true, 1)
    };
}

macro_rules! place_of {
    () => {
        $crate::declare::Place::Next
    };
    (union) => {
        $crate::declare::Place::Union
    };
    (or) => {
        $crate::declare::Place::Or
    };
    (end) => {
        $crate::declare::Place::End
    };
}

/// Declares structures and a list of them.
///
/// ```text
/// structs! { ALL in HEADER;
///     /// Documentation.
///     IDENT = struct c_name, size {
///         field: u32 In, kind;          // a field
///         array: [u8; 3] In, kind;      // an array
///         [union] a: u32 In, kind;      // a union of a with
///         [or] b: u64 In, kind;         //   b
///         [end] c: u8 Out, kind;        // and what follows the union
///         => data "count", Out, element; // a flexible array, with or without its counter
///     }
/// }
/// ```
macro_rules! structs {
    ($all:ident in $source:expr;
     $($id:ident = struct $name:ident, $size:literal {
        $($([$place:ident])? $($field:ident).+ : $ty:tt $dir:ident, $kind:expr;)*
        $(=> $tail:ident $($count:literal)?, $tail_dir:ident, $element:expr;)?
     })*) => {
        $(
            pub(crate) static $id: $crate::types::Struct = {
                use $crate::types::{Dir, Field, Struct};
                use $crate::declare::{Laid, Spec, align_up, lay_out};
                const SPECS: &[Spec] = &[$({
                    let (width, signed, count) = layout_of!($ty);
                    Spec {
                        place: place_of!($($place)?),
                        name: structs!(@name $($field).+),
                        width, signed, count,
                        dir: Dir::$dir,
                        kind: $kind,
                    }
                }),*];
                const LAID: Laid<{ SPECS.len() }> = {
                    let mut specs = [SPECS[0]; SPECS.len()];
                    let mut i = 0;
                    while i < specs.len() {
                        specs[i] = SPECS[i];
                        i += 1;
                    }
                    lay_out(specs)
                };
                const FIELDS: &[Field] = &LAID.fields;
                #[allow(unused_mut, unused_assignments)]
                const ALIGN: u32 = {
                    let mut align = LAID.align;
                    $({
                        const ELEMENT: $crate::types::Element = $element;
                        let element = $crate::declare::element_align(ELEMENT);
                        if element > align { align = element; }
                    })?
                    align
                };
                const SIZE: u32 = align_up(LAID.end, ALIGN);
                const _: () = assert!(SIZE == $size, "the fields do not add up to the size");
                Struct {
                    name: stringify!($name),
                    size: SIZE,
                    align: ALIGN,
                    fields: FIELDS,
                    tail: structs!(@tail LAID, $($tail $($count)?, $tail_dir, $element)?),
                    source: $source,
                }
            };
        )*
        pub(crate) static $all: &[&$crate::types::Struct] = &[$(&$id),*];
    };
    (@name $first:ident $(. $rest:ident)*) => {
        concat!(stringify!($first) $(, ".", stringify!($rest))*)
    };
    (@tail $laid:ident,) => { None };
    (@tail $laid:ident, $tail:ident $($count:literal)?, $dir:ident, $element:expr) => {{
        use $crate::types::Tail;
        const ELEMENT: $crate::types::Element = $element;
        static TAIL: Tail = Tail {
            name: stringify!($tail),
            offset: align_up($laid.end, $crate::declare::element_align(ELEMENT)),
            element: ELEMENT,
            count: structs!(@count $($count)?),
            dir: Dir::$dir,
        };
        Some(&TAIL)
    }};
    (@count) => { None };
    (@count $count:literal) => { Some($count) };
}

/// Declares ioctls: `NAME = number on FdKind, argument;`, the argument being `none`, `value`,
/// `int`, `string`, or `STRUCT from field`, the field with which the smallest size ends. Behind
/// `numbered` the number is the whole request, as of headers that put a direction and size into it.
macro_rules! ioctls {
    ($all:ident in $source:expr;
     $($name:ident = $nr:expr, $on:ident, $arg:ident $(from $last:literal)?;)*) => {
        ioctls! { $all numbered in $source;
            // No direction and no size: `_IO(';', nr)`.
            $($name = ((b';' as u32) << 8) | $nr, $on, $arg $(from $last)?;)*
        }
    };
    ($all:ident numbered in $source:expr;
     $($name:ident = $request:expr, $on:ident, $arg:ident $(from $last:literal)?;)*) => {
        pub(crate) static $all: &[$crate::types::Ioctl] = &[$(
            $crate::types::Ioctl {
                name: stringify!($name),
                request: $request,
                on: $crate::types::FdKind::$on,
                arg: ioctls!(@arg $arg),
                source: $source,
                min_size: ioctls!(@min $arg $($last)?),
            }
        ),*];
    };
    (@arg none) => { $crate::types::Arg::None };
    (@arg value) => { $crate::types::Arg::Value };
    (@arg int) => { $crate::types::Arg::IntPtr };
    (@arg string) => { $crate::types::Arg::StrPtr };
    (@arg $of:ident) => { $crate::types::Arg::Struct(&$of) };
    (@min $of:ident $last:literal) => {
        $crate::declare::end_of($of.fields, $last)
    };
    (@min $arg:ident) => { None };
}

/// Declares sets of constants and a list of the sets: `SET in HEADER "PREFIX_" { NAME = value, };`.
/// A set may have more than one group of a header and prefix.
macro_rules! constants {
    ($all:ident;
     $($set:ident $(in $source:ident $prefix:literal { $($name:ident = $value:expr),* $(,)? })+;)*) => {
        $(
            pub(crate) const $set: &[$crate::types::Constant] = &[$($(
                $crate::types::Constant {
                    name: stringify!($name),
                    value: $value,
                    prefix: $prefix,
                    source: $crate::$source,
                }
            ),*),+];
        )*
        pub(crate) static $all: &[&[$crate::types::Constant]] = &[$($set),*];
    };
}
