//! Conversions between bytes and values, and between values and names.

use std::fmt;

use crate::types::{Constant, Field, Kind};

/// Why a value could not be put into a structure's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BytesError {
    /// The value does not fit the field.
    TooWide {
        /// Name of the field.
        field: &'static str,
        /// Its width in bytes.
        width: u32,
        /// Whether it is signed.
        signed: bool,
        /// The value that does not fit.
        value: u64,
    },
    /// The field lies beyond the end of the buffer.
    OutOfBuffer {
        /// Name of the field.
        field: &'static str,
        /// Where it, or the element of it, ends.
        end: u64,
        /// Length of the buffer.
        len: usize,
    },
    /// The index is beyond the array.
    NoSuchElement {
        /// Name of the field.
        field: &'static str,
        /// The index that was asked for.
        index: u32,
        /// Number of elements.
        count: u32,
    },
}

impl fmt::Display for BytesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BytesError::TooWide {
                field,
                width,
                signed,
                value,
            } => {
                let sign = if *signed { "signed" } else { "unsigned" };
                write!(
                    f,
                    "setting {field} to {value:#x}: the field is {sign} and {width} bytes wide; \
                     give a value that fits"
                )
            }
            BytesError::OutOfBuffer { field, end, len } => write!(
                f,
                "setting {field}: it ends at byte {end}, but the buffer has {len}; leave the \
                 field out or make the buffer longer"
            ),
            BytesError::NoSuchElement {
                field,
                index,
                count,
            } => write!(
                f,
                "setting element {index} of {field}: it has {count} elements; the index starts at 0"
            ),
        }
    }
}

impl std::error::Error for BytesError {}

/// Why a name or number was not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameError {
    /// The text is neither a number nor one of the names.
    Unknown {
        /// The text in question.
        text: String,
        /// The known names.
        known: Vec<&'static str>,
    },
    /// The text has two numbers where only one is allowed.
    TwoNumbers {
        /// The text in question.
        text: String,
        /// The names in it.
        names: [String; 2],
    },
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NameError::Unknown { text, known } if known.is_empty() => {
                write!(
                    f,
                    "reading \"{text}\": the field has no names; give a number"
                )
            }
            NameError::Unknown { text, known } => write!(
                f,
                "reading \"{text}\": not a name of this field; give a number or one of {}",
                known.join(", ")
            ),
            NameError::TwoNumbers {
                text,
                names: [a, b],
            } => write!(
                f,
                "reading \"{text}\": both {a} and {b} are index values; leave one out"
            ),
        }
    }
}

impl std::error::Error for NameError {}

impl Field {
    /// Returns the size of the field in bytes, including all elements of an array.
    pub fn size(&self) -> u32 {
        self.width.bytes() * self.count
    }

    /// Returns the offset of the first byte behind the field.
    pub fn end(&self) -> u32 {
        self.offset + self.size()
    }

    /// Returns the field's value, or that of an array's first element, or `None` if the bytes end
    /// before it does. A signed field's value is sign-extended, so it can be converted with `as
    /// i64`.
    pub fn get(&self, bytes: &[u8]) -> Option<u64> {
        self.get_at(bytes, 0)
    }

    /// The value of one element of an array.
    pub fn get_at(&self, bytes: &[u8], index: u32) -> Option<u64> {
        if index >= self.count {
            return None;
        }
        let width = self.width.bytes() as usize;
        let start = self.offset as usize + index as usize * width;
        let raw = bytes.get(start..start.checked_add(width)?)?;
        let mut value = 0u64;
        for (place, byte) in raw.iter().enumerate() {
            value |= u64::from(*byte) << (8 * place);
        }
        if self.signed {
            let unused = 64 - 8 * self.width.bytes();
            value = (((value << unused) as i64) >> unused) as u64;
        }
        Some(value)
    }

    /// Returns the values of all elements, or `None` if the bytes end before the last one does.
    pub fn get_all(&self, bytes: &[u8]) -> Option<Vec<u64>> {
        (0..self.count).map(|i| self.get_at(bytes, i)).collect()
    }

    /// Sets the field, or an array's first element. A signed field takes its value either
    /// sign-extended to 64 bits or as the bits of its own width.
    pub fn set(&self, bytes: &mut [u8], value: u64) -> Result<(), BytesError> {
        self.set_at(bytes, 0, value)
    }

    /// Sets one element of an array.
    pub fn set_at(&self, bytes: &mut [u8], index: u32, value: u64) -> Result<(), BytesError> {
        if index >= self.count {
            return Err(BytesError::NoSuchElement {
                field: self.name,
                index,
                count: self.count,
            });
        }
        if !self.fits(value) {
            return Err(BytesError::TooWide {
                field: self.name,
                width: self.width.bytes(),
                signed: self.signed,
                value,
            });
        }
        let len = bytes.len();
        let width = self.width.bytes();
        let start = u64::from(self.offset) + u64::from(index) * u64::from(width);
        let end = start + u64::from(width);
        let target = usize::try_from(start)
            .ok()
            .zip(usize::try_from(end).ok())
            .and_then(|(start, end)| bytes.get_mut(start..end))
            .ok_or(BytesError::OutOfBuffer {
                field: self.name,
                end,
                len,
            })?;
        for (place, byte) in target.iter_mut().enumerate() {
            *byte = (value >> (8 * place)) as u8;
        }
        Ok(())
    }

    /// Whether the field can hold the value.
    pub fn fits(&self, value: u64) -> bool {
        let max = self.width.max();
        value <= max
            || (self.signed && value as i64 >= -((max >> 1) as i64) - 1 && value >> 63 == 1)
    }

    /// Returns the value as text: names of flags or of the enumerated value, or else a signed or
    /// hexadecimal number. [`Field::parse`] reads it back.
    pub fn text(&self, value: u64) -> String {
        match self.kind {
            Kind::Flags(set) => flags_text(set, value),
            Kind::Enum(set) => match enum_name(set, value) {
                Some(constant) => constant.short().to_owned(),
                None => format!("{value:#x}"),
            },
            Kind::IndexAndFlags { mask, index, flags } => {
                let number = value & mask;
                let first = match enum_name(index, number) {
                    Some(constant) => constant.short().to_owned(),
                    None => format!("{number:#x}"),
                };
                match value & !mask {
                    0 => first,
                    rest => format!("{first}|{}", flags_text(flags, rest)),
                }
            }
            _ if self.signed => (value as i64).to_string(),
            _ => format!("{value:#x}"),
        }
    }

    /// Parses a value: a number, decimal or with `0x`, or names joined by `|`, with or without
    /// their prefix.
    pub fn parse(&self, text: &str) -> Result<u64, NameError> {
        match self.kind {
            Kind::Flags(set) => flags_value(set, text),
            Kind::Enum(set) => enum_value(set, text),
            Kind::IndexAndFlags { mask, index, flags } => {
                let mut value = 0;
                let mut selected: Option<&str> = None;
                for word in words(text) {
                    if let Some(number) = number(word) {
                        value |= number;
                        if number & mask == 0 && number != 0 {
                            continue;
                        }
                    } else if let Some(constant) = find(flags, word) {
                        value |= constant.value;
                        continue;
                    } else if let Some(constant) = find(index, word) {
                        value |= constant.value;
                    } else {
                        return Err(unknown(text, index.iter().chain(flags)));
                    }
                    if let Some(before) = selected.replace(word) {
                        return Err(NameError::TwoNumbers {
                            text: text.to_owned(),
                            names: [before.to_owned(), word.to_owned()],
                        });
                    }
                }
                Ok(value)
            }
            _ => number(text.trim()).ok_or_else(|| unknown(text, [])),
        }
    }
}

/// Returns the short names of the set bits joined by `|`, followed by bits without a name as one
/// number; `0` if no bit is set.
pub fn flags_text(set: &[Constant], value: u64) -> String {
    let mut left = value;
    let mut parts = Vec::new();
    for constant in set {
        if constant.value != 0 && left & constant.value == constant.value {
            left &= !constant.value;
            parts.push(constant.short().to_owned());
        }
    }
    if left != 0 {
        parts.push(format!("{left:#x}"));
    }
    if parts.is_empty() {
        parts.push("0".to_owned());
    }
    parts.join("|")
}

/// Parses names and numbers joined by `|` to bits. Accepts full names and short ones.
pub fn flags_value(set: &'static [Constant], text: &str) -> Result<u64, NameError> {
    let mut value = 0;
    for word in words(text) {
        value |= match number(word) {
            Some(number) => number,
            None => find(set, word).ok_or_else(|| unknown(word, set))?.value,
        };
    }
    Ok(value)
}

/// Returns the first constant of the set with this value.
pub fn enum_name(set: &'static [Constant], value: u64) -> Option<&'static Constant> {
    set.iter().find(|constant| constant.value == value)
}

/// Parses a name, full or short, or a number.
pub fn enum_value(set: &'static [Constant], text: &str) -> Result<u64, NameError> {
    let word = text.trim();
    number(word)
        .or_else(|| find(set, word).map(|constant| constant.value))
        .ok_or_else(|| unknown(word, set))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split('|')
        .map(str::trim)
        .filter(|word| !word.is_empty())
}

/// Finds a constant. Full names take precedence, because they are unique over all sets.
fn find(set: &'static [Constant], word: &str) -> Option<&'static Constant> {
    set.iter()
        .find(|constant| constant.name == word)
        .or_else(|| set.iter().find(|constant| constant.short() == word))
}

fn number(word: &str) -> Option<u64> {
    let (negative, digits) = match word.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, word),
    };
    // from_str_radix would accept a sign.
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let magnitude = match digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
        Some(hex) if hex.starts_with('+') => return None,
        Some(hex) => u64::from_str_radix(hex, 16).ok()?,
        None => digits.parse().ok()?,
    };
    match negative {
        false => Some(magnitude),
        true if magnitude <= 1 << 63 => Some(magnitude.wrapping_neg()),
        true => None,
    }
}

fn unknown(text: &str, set: impl IntoIterator<Item = &'static Constant>) -> NameError {
    NameError::Unknown {
        text: text.to_owned(),
        known: set.into_iter().map(Constant::short).collect(),
    }
}
