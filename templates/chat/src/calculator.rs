//! Arithmetic as people write it: `+ - * / % ^`, parentheses, decimals. The `calculate` tool asks.
//! Nothing here panics or recurses without bound, whatever the expression.

/// The deepest nesting read; what is deeper is refused, not overflowed.
const DEPTH_MAX: u32 = 64;

/// The value of an expression, or what is wrong with it.
pub(crate) fn evaluate(expression: &str) -> Result<f64, String> {
    let mut reader = Reader {
        rest: expression.trim_start(),
        depth: 0,
    };
    let value = reader.sum()?;
    match reader.rest.chars().next() {
        None if value.is_finite() => Ok(value),
        None => Err("the result is not a finite number".to_owned()),
        Some(character) => Err(format!("`{character}` is not expected here")),
    }
}

struct Reader<'a> {
    rest: &'a str,
    depth: u32,
}

impl Reader<'_> {
    fn sum(&mut self) -> Result<f64, String> {
        let mut value = self.product()?;
        loop {
            if self.takes('+') {
                value += self.product()?;
            } else if self.takes('-') {
                value -= self.product()?;
            } else {
                return Ok(value);
            }
        }
    }

    fn product(&mut self) -> Result<f64, String> {
        let mut value = self.signed()?;
        loop {
            if self.takes('*') {
                value *= self.signed()?;
            } else if self.takes('/') {
                value /= divisor(self.signed()?)?;
            } else if self.takes('%') {
                value %= divisor(self.signed()?)?;
            } else {
                return Ok(value);
            }
        }
    }

    /// A sign binds weaker than `^`, as in mathematics: `-2^2` is -4.
    fn signed(&mut self) -> Result<f64, String> {
        let mut negative = false;
        loop {
            if self.takes('-') {
                negative = !negative;
            } else if !self.takes('+') {
                let value = self.power()?;
                return Ok(if negative { -value } else { value });
            }
        }
    }

    fn power(&mut self) -> Result<f64, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("the expression is nested deeper than {DEPTH_MAX}"));
        }
        let base = self.operand()?;
        let value = if self.takes('^') {
            base.powf(self.signed()?)
        } else {
            base
        };
        self.depth -= 1;
        Ok(value)
    }

    fn operand(&mut self) -> Result<f64, String> {
        if self.takes('(') {
            let value = self.sum()?;
            return if self.takes(')') {
                Ok(value)
            } else {
                Err("a `)` is missing".to_owned())
            };
        }
        let end = self.rest.find(|c: char| !c.is_ascii_digit() && c != '.');
        let (number, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        if number.is_empty() {
            return Err(match rest.chars().next() {
                Some(character) => format!("`{character}` is not a number"),
                None => "the expression ends too early".to_owned(),
            });
        }
        self.rest = rest.trim_start();
        number
            .parse()
            .map_err(|_| format!("`{number}` is not a number"))
    }

    fn takes(&mut self, sign: char) -> bool {
        match self.rest.strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }
}

fn divisor(value: f64) -> Result<f64, String> {
    if value == 0.0 {
        Err("division by zero".to_owned())
    } else {
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expression: &str, expected: Result<f64, &str>) {
        let value = evaluate(expression);
        assert_eq!(
            value.as_ref().map(|value| *value).map_err(String::as_str),
            expected,
            "{expression}"
        );
    }

    #[test]
    fn expressions_have_the_value_people_expect() {
        check("1 + 2 * 3", Ok(7.0));
        check("(1 + 2) * 3", Ok(9.0));
        check("10 - 4 - 3", Ok(3.0));
        check("2 ^ 3 ^ 2", Ok(512.0));
        check("-2^2 + --1", Ok(-3.0));
        check("2^-1", Ok(0.5));
        check(" 7 % 4 / 2 ", Ok(1.5));
        check(".5 * 12.25", Ok(6.125));
    }

    #[test]
    fn what_is_wrong_is_named() {
        check("", Err("the expression ends too early"));
        check("1 +", Err("the expression ends too early"));
        check("1 2", Err("`2` is not expected here"));
        check("(1", Err("a `)` is missing"));
        check("1)", Err("`)` is not expected here"));
        check("1.2.3", Err("`1.2.3` is not a number"));
        check("two", Err("`t` is not a number"));
        check("1/(2-2)", Err("division by zero"));
        check("5 % 0", Err("division by zero"));
        check("10^999", Err("the result is not a finite number"));
        check(
            &"(".repeat(100_000),
            Err("the expression is nested deeper than 64"),
        );
        check(
            &"2^".repeat(100_000),
            Err("the expression is nested deeper than 64"),
        );
        check(&format!("{}1", "-".repeat(100_000)), Ok(1.0));
    }
}
