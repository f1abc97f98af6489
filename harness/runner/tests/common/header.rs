//! Reads what a header of the kernel declares: names only. A C compiler has to say the rest.

#![allow(clippy::panic, clippy::unwrap_used, dead_code)] // Each test uses its own part.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

/// Reads a file that has to be there.
pub fn read(path: &Path) -> String {
    match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => panic!("reading {}: {error}", path.display()),
    }
}

/// The release whose headers a folder has, by its `linux/version.h`.
pub fn release(headers: &Path) -> String {
    let version = read(&headers.join("linux/version.h"));
    let part = |name: &str| {
        let define = format!("#define LINUX_VERSION_{name} ");
        let value = version.lines().find_map(|line| line.strip_prefix(&define));
        value.unwrap_or_default().trim().to_owned()
    };
    ["MAJOR", "PATCHLEVEL", "SUBLEVEL"].map(part).join(".")
}

/// Macros for a C program that prints numbers for [`compile_and_run`].
pub const PRINT: &str = "#include <stddef.h>\n#include <stdio.h>\n#define __user\n#define __counted_by(n)\n\
    #define P(what, value) printf(\"%s %llx\\n\", what, (unsigned long long)(value))\n\
    #define NUMBER(n) ((n) < 0 && sizeof(n) == 4 ? (unsigned int)(n) : (n))\n\
    #define MEMBER(s, f) (((struct s *)0)->f)\n";

/// What a C program prints: names and numbers.
pub fn compile_and_run(name: &str, include: &Path, program: &str) -> BTreeMap<String, u64> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let source = dir.join("program.c");
    let binary = dir.join("program");
    fs::create_dir_all(&dir).unwrap();
    fs::write(&source, program).unwrap();

    let compiled = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()))
        .args(["-w", "-I"])
        .arg(include)
        .arg("-o")
        .arg(&binary)
        .arg(&source)
        .output()
        .unwrap_or_else(|error| panic!("starting the C compiler: {error}; install cc or set CC"));
    assert!(
        compiled.status.success(),
        "compiling {} against {}; a name the headers lack does not belong into the tables:\n{}",
        source.display(),
        include.display(),
        String::from_utf8_lossy(&compiled.stderr)
    );
    let run = Command::new(&binary).output().unwrap();
    assert!(run.status.success(), "running {}", binary.display());
    let printed = String::from_utf8(run.stdout).unwrap();
    let number = |line: &str| {
        let (what, value) = line.rsplit_once(' ').unwrap();
        (what.to_owned(), u64::from_str_radix(value, 16).unwrap())
    };
    printed.lines().map(number).collect()
}

/// What a header declares.
#[derive(Default)]
pub struct Header {
    /// Enumerators and macros without arguments.
    pub numbers: BTreeSet<String>,
    /// The members of each structure.
    structs: BTreeMap<String, Vec<Member>>,
}

/// A member of a structure.
struct Member {
    /// Its name, dotted if it is in a nested structure.
    name: String,
    /// The structure that it is, if it is one with a name of its own.
    of: Option<String>,
}

impl Header {
    /// Reads a header.
    pub fn scan(header: &str) -> Self {
        let mut found = Self::default();
        let mut code = String::new();
        for line in without_comments(header).replace("\\\n", " ").lines() {
            match line.trim_start().strip_prefix('#') {
                Some(directive) => found.numbers.extend(defined(directive)),
                None => {
                    code.push_str(line);
                    code.push('\n');
                }
            }
        }
        for declaration in declarations(&code) {
            found.add(declaration);
        }
        found
    }

    fn add(&mut self, declaration: &str) {
        let Some((head, body, _)) = split(declaration) else {
            return;
        };
        match words(head).as_slice() {
            ["enum", ..] => {
                let entries = body.split(',').map(|entry| identifier(entry.trim_start()));
                let names = entries.filter(|name| !name.is_empty());
                self.numbers.extend(names.map(str::to_owned));
            }
            ["struct", name, ..] => {
                self.structs.insert((*name).to_owned(), members(body));
            }
            // `extern "C" {` of no interest here.
            _ => {}
        }
    }

    /// Whether it declares this structure.
    pub fn has_struct(&self, name: &str) -> bool {
        self.structs.contains_key(name)
    }

    /// Every structure, with its members as the tables name them: `header.id`.
    pub fn structs(&self) -> BTreeMap<&str, BTreeSet<String>> {
        let names = self.structs.keys().map(String::as_str);
        names.map(|name| (name, self.fields(name))).collect()
    }

    fn fields(&self, name: &str) -> BTreeSet<String> {
        let members = self.structs.get(name).into_iter().flatten();
        let named = members.flat_map(|member| {
            let inner = member.of.as_deref().map(|of| self.fields(of));
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
}

/// The name that a directive defines, unless it is a macro with arguments.
fn defined(directive: &str) -> Option<String> {
    let define = directive.trim_start().strip_prefix("define")?.trim_start();
    let name = identifier(define);
    let plain = !name.is_empty() && !define[name.len()..].starts_with('(');
    plain.then(|| name.to_owned())
}

fn without_comments(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("/*") {
        out.push_str(&rest[..start]);
        out.push(' ');
        let comment = &rest[start..];
        rest = comment.find("*/").map_or("", |end| &comment[end + 2..]);
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

fn members(body: &str) -> Vec<Member> {
    declarations(body).into_iter().flat_map(member).collect()
}

/// The members that one declaration makes: those of an anonymous structure or union are members of
/// the structure around it.
fn member(declaration: &str) -> Vec<Member> {
    if let Some((_, body, behind)) = split(declaration) {
        let name = names(behind).pop();
        let inner = members(body).into_iter().map(|inner| match &name {
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
    let mut depth = 0;
    let attributes = ["__counted_by", "__attribute__"];
    let without = attributes
        .iter()
        .fold(declaration.to_owned(), |text, it| text.replace(it, " "));
    for c in without.chars() {
        match c {
            '[' | '(' => depth += 1,
            ']' | ')' => depth -= 1,
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
    &text[..end.unwrap_or(text.len())]
}
