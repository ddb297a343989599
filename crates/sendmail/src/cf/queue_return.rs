//! How long a message may wait: `O Timeout.queuereturn`.
//!
//! The values are sendmail's (doc/op/op.me, "Timeouts"): numbers with a unit each, `4d12h`; a bare number counts in days,
//! as sendmail's `convtime(value, 'd')` has it for this option. What cannot be read counts as not set.

/// sendmail's own default: five days, in seconds.
pub const QUEUE_RETURN: u32 = 5 * DAY;

const DAY: u32 = 86_400;

/// The seconds that a value stands for.
pub(super) fn seconds(value: &[u8]) -> Option<u32> {
    let mut sum: u32 = 0;
    let mut number: Option<u32> = None;
    for byte in value {
        if byte.is_ascii_digit() {
            let digit = u32::from(byte - b'0');
            number = Some(number.unwrap_or(0).checked_mul(10)?.checked_add(digit)?);
            continue;
        }
        let unit = match byte.to_ascii_lowercase() {
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => DAY,
            b'w' => 7 * DAY,
            _ => return None,
        };
        sum = sum.checked_add(number.take()?.checked_mul(unit)?)?;
    }
    sum = sum.checked_add(number.unwrap_or(0).checked_mul(DAY)?)?;
    (sum > 0).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        let check = |value: &str, expect: Option<u32>| {
            assert_eq!(seconds(value.as_bytes()), expect, "{value}");
        };
        check("5d", Some(5 * DAY));
        check("5", Some(5 * DAY));
        check("1w2d", Some(9 * DAY));
        check("4h30m", Some(4 * 3600 + 1800));
        check("", None);
        check("now", None);
        check("d", None);
        check("99999999999d", None);
    }
}
