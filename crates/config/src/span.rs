//! A span of time as the config writes it.

use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A span of time: a whole number with `s`, `m`, `h` or `d`, or several of them (`1h30m`); from 0 to ten years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub SignedDuration);

/// Ten years, in seconds.
const MOST: i64 = 10 * 366 * 86_400;

impl Span {
    pub(crate) const fn seconds(seconds: i64) -> Self {
        Self(SignedDuration::from_secs(seconds))
    }

    /// As the standard library has it.
    pub fn to_std(self) -> std::time::Duration {
        self.0.unsigned_abs()
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is no span of time: write \"90s\", \"30m\", \"24h\" or \"30d\"");
        let mut rest = text.trim();
        let mut total = 0i64;
        if rest.is_empty() {
            return Err(wrong());
        }
        while !rest.is_empty() {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (number, unit) = rest.split_at_checked(digits).ok_or_else(wrong)?;
            let number: i64 = number.parse().map_err(|_| wrong())?;
            let letters =
                unit.len() - unit.trim_start_matches(|c: char| c.is_ascii_lowercase()).len();
            let (unit, after) = unit.split_at_checked(letters).ok_or_else(wrong)?;
            let factor = match unit {
                "s" => 1,
                "m" => 60,
                "h" => 3_600,
                "d" => 86_400,
                _ => return Err(wrong()),
            };
            total =
                number.checked_mul(factor).and_then(|n| total.checked_add(n)).ok_or_else(wrong)?;
            rest = after.trim_start();
        }
        if total > MOST {
            return Err(format!("{text:?} is longer than ten years"));
        }
        Ok(Self::seconds(total))
    }
}

impl fmt::Display for Span {
    /// The shortest form that reads back as the same span: `1d`, `1h30m`, `0s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_secs();
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, factor) in [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)] {
            if rest >= factor {
                write!(f, "{}{unit}", rest / factor)?;
                rest %= factor;
            }
        }
        Ok(())
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a span of time in quotes, such as \"30m\", \"24h\" or \"30d\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Span, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        let check = |text: &str, expect: &str| {
            let got = text.parse::<Span>().map_or_else(|e| e, |span| span.to_string());
            assert_eq!(got, expect, "{text}");
        };
        check("90s", "1m30s");
        check("24h", "1d");
        check("1h 30m", "1h30m");
        check("0s", "0s");
        check("30", "\"30\" is no span of time: write \"90s\", \"30m\", \"24h\" or \"30d\"");
        check("-1h", "\"-1h\" is no span of time: write \"90s\", \"30m\", \"24h\" or \"30d\"");
        check(
            "99999999999999999999d",
            "\"99999999999999999999d\" is no span of time: write \"90s\", \"30m\", \"24h\" or \"30d\"",
        );
        check("11000d", "\"11000d\" is longer than ten years");
    }
}
