//! What headers of the kernel declare: names, numbers as far as they are constants, and the members
//! of structures. Only a C compiler can say the rest.

use std::collections::{BTreeMap, BTreeSet};

use crate::expression::evaluate;
use crate::{constant_named, ioctl, structure};

/// Nested structures and braces beyond this depth are not read.
const DEEPEST: usize = 8;

/// What one or more headers declare.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    numbers: BTreeMap<String, Option<u64>>,
    structs: BTreeMap<String, BTreeSet<String>>,
}

/// Names that the tables leave out on purpose, with the reason. `*` stands for any ending.
pub const LEFT_OUT: &[(&str, &str)] = &[
    ("VFIO_DEVICE_API_*", "strings"),
    ("VFIO_IOMMU_SPAPR_*", "POWER"),
    ("vfio_iommu_spapr_*", "POWER"),
    ("VFIO_EEH_PE_*", "POWER"),
    ("vfio_eeh_*", "POWER"),
    ("VFIO_DEVICE_INFO_CAP_ZPCI_*", "s390"),
    ("vfio_device_feature_zpci_err", "s390"),
    ("VFIO_CCW_*", "s390"),
    ("VFIO_REGION_SUBTYPE_CCW_*", "s390"),
    ("VFIO_AP_*", "s390"),
];

/// Whether a name is that of a pattern, in which `*` stands for any ending.
pub fn fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}

impl Header {
    /// Reads the text of headers.
    pub fn scan(text: &str) -> Self {
        let mut code = String::new();
        let mut macros = Vec::new();
        for line in without_comments(text).replace("\\\n", " ").lines() {
            match line.trim_start().strip_prefix('#') {
                Some(directive) => macros.extend(defined(directive)),
                None => {
                    code.push_str(line);
                    code.push('\n');
                }
            }
        }
        let mut found = Self::default();
        // Enumerators use macros, and macros use enumerators.
        found.define(&macros);
        let mut structs = BTreeMap::new();
        for declaration in declarations(&code) {
            found.declare(declaration, &mut structs);
        }
        found.define(&macros);
        let names = structs.keys().map(|name| {
            let fields = fields(&structs, name, 0).into_iter().collect();
            (name.clone(), fields)
        });
        found.structs = names.collect();
        found
    }

    fn define(&mut self, macros: &[(String, String)]) {
        for (name, text) in macros {
            let number = evaluate(text, |name| self.number(name));
            self.numbers.insert(name.clone(), number);
        }
    }

    fn declare(&mut self, declaration: &str, structs: &mut BTreeMap<String, Vec<Member>>) {
        let Some((head, body, _)) = split(declaration) else {
            return;
        };
        match words(head).as_slice() {
            ["enum", ..] => self.enumerate(body),
            ["struct", name, ..] => {
                structs.insert((*name).to_owned(), members(body, 0));
            }
            // `extern "C" {` of no interest here.
            _ => {}
        }
    }

    fn enumerate(&mut self, body: &str) {
        let mut next = Some(0);
        for entry in body.split(',') {
            let name = identifier(entry.trim_start());
            if name.is_empty() {
                continue;
            }
            let number = match entry.split_once('=') {
                Some((_, text)) => evaluate(text, |name| self.number(name)),
                None => next,
            };
            next = number.map(|number| number.wrapping_add(1));
            self.numbers.insert(name.to_owned(), number);
        }
    }

    /// Every enumerator, and every macro without arguments that stands for something.
    pub fn numbers(&self) -> impl Iterator<Item = &str> {
        self.numbers.keys().map(String::as_str)
    }

    /// The number of an enumerator or macro, if it is a constant that this can read.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.numbers.get(name).copied().flatten()
    }

    /// Every structure, with its members as the tables name them: `header.id`.
    pub fn structs(&self) -> impl Iterator<Item = (&str, &BTreeSet<String>)> {
        let structs = self.structs.iter();
        structs.map(|(name, fields)| (name.as_str(), fields))
    }

    /// Whether it declares an ioctl, constant or structure of this name, or the field
    /// `STRUCT.FIELD`.
    pub fn has(&self, name: &str) -> bool {
        if self.numbers.contains_key(name) || self.structs.contains_key(name) {
            return true;
        }
        let field = name.split_once('.');
        let fields = field.and_then(|(of, field)| Some((self.structs.get(of)?, field)));
        fields.is_some_and(|(fields, field)| fields.contains(field))
    }

    /// The names that are neither in the tables nor left out of them on purpose: ioctls and
    /// constants, structures, and fields of structures that the tables have as `STRUCT.FIELD`.
    pub fn unknown(&self) -> impl Iterator<Item = String> {
        let numbers = self.unknown_numbers().map(|(name, _)| name.to_owned());
        let structs = self.structs.iter().flat_map(|(name, fields)| {
            let Some(of) = structure(name) else {
                return vec![name.clone()];
            };
            let known = |field: &&String| {
                of.field(field).is_some() || of.tail.is_some_and(|tail| tail.name == **field)
            };
            let unknown = fields.iter().filter(|field| !known(field));
            unknown.map(|field| format!("{name}.{field}")).collect()
        });
        numbers.chain(structs.filter(|name| !is_left_out(name)))
    }

    /// The ioctls and constants that the tables neither have nor leave out on purpose, each with its
    /// number.
    pub fn unknown_numbers(&self) -> impl Iterator<Item = (&str, Option<u64>)> {
        let numbers = self.numbers.iter();
        let numbers = numbers.map(|(name, number)| (name.as_str(), *number));
        numbers.filter(|(name, _)| {
            constant_named(name).is_none() && ioctl(name).is_none() && !is_left_out(name)
        })
    }
}

fn is_left_out(name: &str) -> bool {
    LEFT_OUT.iter().any(|(pattern, _)| fits(pattern, name))
}

/// A member of a structure.
#[derive(Debug)]
struct Member {
    /// Its name, dotted if it is in a nested structure.
    name: String,
    /// The structure that it is, if it is one with a name of its own.
    of: Option<String>,
}

fn fields(structs: &BTreeMap<String, Vec<Member>>, name: &str, depth: usize) -> Vec<String> {
    if depth > DEEPEST {
        return Vec::new();
    }
    let members = structs.get(name).into_iter().flatten();
    let named = members.flat_map(|member| {
        let inner = member
            .of
            .as_deref()
            .map(|of| fields(structs, of, depth + 1));
        match inner.filter(|inner| !inner.is_empty()) {
            Some(inner) => {
                let dotted = |field| format!("{}.{field}", member.name);
                inner.into_iter().map(dotted).collect()
            }
            None => vec![member.name.clone()],
        }
    });
    named.collect()
}

/// The name that a directive defines and what it stands for. A macro with arguments is none, and
/// one without a text is there to be asked for with `#ifdef`.
fn defined(directive: &str) -> Option<(String, String)> {
    let define = directive.trim_start().strip_prefix("define")?.trim_start();
    let name = identifier(define);
    let text = define.strip_prefix(name)?;
    let plain = !name.is_empty() && !text.starts_with('(') && !text.trim().is_empty();
    plain.then(|| (name.to_owned(), text.trim().to_owned()))
}

fn without_comments(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, comment)) = rest.split_once("/*") {
        out.push_str(before);
        out.push(' ');
        rest = comment.split_once("*/").map_or("", |(_, behind)| behind);
    }
    out.push_str(rest);
    out
}

/// The parts that end with a semicolon outside of braces.
fn declarations(code: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    let parts = code.split(move |c: char| {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ';' && depth == 0
    });
    parts.collect()
}

/// What stands before the braces of a declaration, in them, and behind.
fn split(declaration: &str) -> Option<(&str, &str, &str)> {
    let (head, rest) = declaration.split_once('{')?;
    let (body, behind) = rest.rsplit_once('}')?;
    Some((head, body, behind))
}

fn members(body: &str, depth: usize) -> Vec<Member> {
    if depth > DEEPEST {
        return Vec::new();
    }
    let declarations = declarations(body).into_iter();
    declarations.flat_map(|it| member(it, depth)).collect()
}

/// The members that one declaration makes: those of an anonymous structure or union are members of
/// the structure around it.
fn member(declaration: &str, depth: usize) -> Vec<Member> {
    if let Some((_, body, behind)) = split(declaration) {
        let name = names(behind).pop();
        let inner = members(body, depth + 1)
            .into_iter()
            .map(|inner| match &name {
                Some(name) => Member {
                    name: format!("{name}.{}", inner.name),
                    ..inner
                },
                None => inner,
            });
        return inner.collect();
    }
    let of = match words(declaration).as_slice() {
        ["struct", of, _, ..] if !declaration.contains('[') => Some((*of).to_owned()),
        _ => None,
    };
    let member = |name| Member {
        name,
        of: of.clone(),
    };
    names(declaration).into_iter().map(member).collect()
}

/// The declared names: the last identifier before each comma, array bounds and attributes put
/// aside.
fn names(declaration: &str) -> Vec<String> {
    let mut plain = String::new();
    let mut depth = 0_usize;
    let attributes = ["__counted_by", "__attribute__"];
    let without = attributes
        .iter()
        .fold(declaration.to_owned(), |text, it| text.replace(it, " "));
    for c in without.chars() {
        match c {
            '[' | '(' => depth += 1,
            ']' | ')' => depth = depth.saturating_sub(1),
            _ if depth == 0 => plain.push(c),
            _ => {}
        }
    }
    let last = |part: &str| words(part).pop().map(str::to_owned);
    plain.split(',').filter_map(last).collect()
}

fn words(text: &str) -> Vec<&str> {
    let words = text.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    words.filter(|word| !word.is_empty()).collect()
}

fn identifier(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_'));
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "\
#ifndef _UAPI_X_H
#define _UAPI_X_H
#define IOMMUFD_TYPE (';')
/* enum { NOT_ME }; */
enum { IOMMUFD_CMD_BASE = 0x80, IOMMUFD_CMD_DESTROY = IOMMUFD_CMD_BASE, IOMMUFD_CMD_FOO };
#define IOMMU_DESTROY _IO(IOMMUFD_TYPE, IOMMUFD_CMD_DESTROY)
#define IOMMU_FOO _IO(IOMMUFD_TYPE, \\
		IOMMUFD_CMD_FOO)
#define MACRO(x) (x)
#define VFIO_DEVICE_API_FOO_STRING \"vfio-foo\"
struct iommu_destroy { __u32 size; __u32 id; __aligned_u64 foo; };
struct iommu_foo { struct { __u32 a, b[2]; } in; union { __u8 c; __u16 d; }; };
struct knot { struct knot *next; };
#endif
";

    #[test]
    fn names_and_numbers_are_read() {
        let header = Header::scan(TEXT);
        assert_eq!(header.number("IOMMU_DESTROY"), Some(0x3b80));
        assert_eq!(header.number("IOMMU_FOO"), Some(0x3b81));
        for name in ["iommu_foo", "iommu_foo.in.b", "iommu_foo.d", "IOMMU_FOO"] {
            assert!(header.has(name), "{name}");
        }
        for name in ["_UAPI_X_H", "NOT_ME", "MACRO", "iommu_foo.b", "iommu_bar.b"] {
            assert!(!header.has(name), "{name}");
        }
    }

    #[test]
    fn what_the_tables_lack_is_named() {
        let unknown: Vec<_> = Header::scan(TEXT).unknown().collect();
        let wanted = ["IOMMUFD_CMD_FOO", "IOMMU_FOO"];
        let structs = ["iommu_destroy.foo", "iommu_foo", "knot"];
        assert_eq!(unknown, [&wanted[..], &structs].concat());
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in "[a-z{}();,#=/*<|0-9\\[\\]\n ]{0,300}|\\PC*") {
            let _ = Header::scan(&text).unknown().count();
            let _ = Header::scan(&format!("#define A {text}\nenum {{ B = {text} }};"));
        }
    }

    #[test]
    fn deep_nesting_ends() {
        let deep = "{".repeat(100_000);
        let _ = Header::scan(&format!("struct a {deep}"));
        let _ = Header::scan(&format!("struct a {deep}{};", "}".repeat(100_000)));
        let _ = Header::scan(&format!("#define A {}", "(".repeat(100_000)));
        let _ = Header::scan(&format!("#define A {}1", "-".repeat(100_000)));
    }
}
