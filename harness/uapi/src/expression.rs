//! Constant expressions of C, as the numbers in the kernel's headers are written.

/// Parentheses and signs beyond this depth are not read.
const DEEPEST: usize = 32;

/// Types that a cast may name. It changes no number of the headers.
const TYPES: [&str; 8] = [
    "__u8", "__u16", "__u32", "__u64", "__s32", "__s64", "int", "unsigned",
];

/// Binary operators; a larger number binds more tightly.
const OPERATORS: [(&str, usize); 9] = [
    ("<<", 4),
    (">>", 4),
    ("|", 1),
    ("^", 2),
    ("&", 3),
    ("+", 5),
    ("-", 5),
    ("*", 6),
    ("/", 6),
];

/// Returns the number of an expression, given those of the names in it. `None` if it is none, such
/// as a string, or more than this reads.
pub fn evaluate(text: &str, named: impl Fn(&str) -> Option<u64>) -> Option<u64> {
    let mut reader = Reader {
        rest: text.trim_start(),
        named: &named,
        depth: 0,
    };
    let number = reader.expression(0)?;
    reader.rest.is_empty().then_some(number)
}

struct Reader<'a> {
    rest: &'a str,
    named: &'a dyn Fn(&str) -> Option<u64>,
    depth: usize,
}

impl<'a> Reader<'a> {
    /// Skips a token, if it is the next one.
    fn skip(&mut self, token: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(token)?.trim_start();
        Some(())
    }

    /// Takes letters, digits and `_`.
    fn word(&mut self) -> &'a str {
        let text = self.rest;
        let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let (word, rest) = text
            .split_at_checked(end.unwrap_or(text.len()))
            .unwrap_or((text, ""));
        self.rest = rest.trim_start();
        word
    }

    /// Reads operators that bind at least this tightly, and their operands.
    fn expression(&mut self, least: usize) -> Option<u64> {
        let mut left = self.operand()?;
        loop {
            let mut operators = OPERATORS.iter().filter(|(_, binds)| *binds >= least);
            let found = operators.find(|(operator, _)| self.rest.starts_with(operator));
            let Some((operator, binds)) = found else {
                return Some(left);
            };
            self.skip(operator)?;
            let right = self.expression(binds + 1)?;
            left = apply(operator, left, right)?;
        }
    }

    fn operand(&mut self) -> Option<u64> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        let number = self.operand_within();
        self.depth -= 1;
        number
    }

    fn operand_within(&mut self) -> Option<u64> {
        let mut signs = self.rest.chars();
        match signs.next()? {
            '(' => self.parenthesis(),
            '\'' => {
                let character = signs.next()?;
                self.skip(&format!("'{character}'"))?;
                Some(character.into())
            }
            '-' => {
                self.skip("-")?;
                Some(self.operand()?.wrapping_neg())
            }
            '~' => {
                self.skip("~")?;
                Some(!self.operand()?)
            }
            digit if digit.is_ascii_digit() => literal(self.word()),
            _ => match self.word() {
                "_IO" => {
                    self.skip("(")?;
                    let kind = self.expression(0)?;
                    self.skip(",")?;
                    let number = self.expression(0)?;
                    self.skip(")")?;
                    Some(kind.checked_shl(8)? | number)
                }
                "BIT" | "_BITUL" | "_BITULL" => {
                    1_u64.checked_shl(self.parenthesis()?.try_into().ok()?)
                }
                name => (self.named)(name),
            },
        }
    }

    /// Reads `(expression)` or `(type) operand`.
    fn parenthesis(&mut self) -> Option<u64> {
        self.skip("(")?;
        let inner = self.rest;
        if TYPES.contains(&self.word()) && self.skip(")").is_some() {
            return self.operand();
        }
        self.rest = inner;
        let number = self.expression(0)?;
        self.skip(")")?;
        Some(number)
    }
}

fn apply(operator: &str, left: u64, right: u64) -> Option<u64> {
    let bits = u32::try_from(right).ok();
    match operator {
        "<<" => left.checked_shl(bits?),
        ">>" => left.checked_shr(bits?),
        "|" => Some(left | right),
        "^" => Some(left ^ right),
        "&" => Some(left & right),
        "+" => Some(left.wrapping_add(right)),
        "-" => Some(left.wrapping_sub(right)),
        "*" => Some(left.wrapping_mul(right)),
        _ => left.checked_div(right),
    }
}

/// Reads `10`, `0x10`, `010` or `1ULL`.
fn literal(word: &str) -> Option<u64> {
    let word = word.trim_end_matches(['u', 'U', 'l', 'L']);
    let hexadecimal = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X"));
    match (hexadecimal, word.strip_prefix('0')) {
        (Some(digits), _) => u64::from_str_radix(digits, 16).ok(),
        (None, Some(digits)) if !digits.is_empty() => u64::from_str_radix(digits, 8).ok(),
        _ => word.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("1 << 3", Some(8))]
    #[case("(1ULL<<4)|0x20", Some(0x30))]
    #[case("((__u32)1 << (2 + 1)) * 2", Some(16))]
    #[case("_IO(TYPE, BASE + 17)", Some(0x3b75))]
    #[case("~0U - 1 - 1", Some(u64::MAX - 2))]
    #[case("-1", Some(u64::MAX))]
    #[case("010 / 2", Some(4))]
    #[case("BIT(5) & ~1 ^ 3", Some(0x23))]
    #[case("\"text\"", None)]
    #[case("sizeof(int)", None)]
    #[case("1 << 64", None)]
    #[case("1 / 0", None)]
    #[case("(1", None)]
    #[case("1 2", None)]
    #[case("UNKNOWN", None)]
    #[case("", None)]
    fn an_expression_has_its_number(#[case] text: &str, #[case] number: Option<u64>) {
        let named = |name: &str| match name {
            "TYPE" => Some(';'.into()),
            "BASE" => Some(100),
            _ => None,
        };
        assert_eq!(evaluate(text, named), number);
    }
}
