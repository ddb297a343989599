//! Amounts as people write them.

/// Bytes, as `1500`, `100k`, `20M`, `1G` or `1.5G`; the letters are powers of ten.
///
/// # Errors
/// What was expected instead.
pub fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no amount: write 1500, 100k, 20M or 1.5G");
    let cut = |letters: [char; 2]| text.strip_suffix(letters);
    let (number, unit) = match (cut(['k', 'K']), cut(['m', 'M']), cut(['g', 'G'])) {
        (Some(number), ..) => (number, 1e3),
        (_, Some(number), _) => (number, 1e6),
        (.., Some(number)) => (number, 1e9),
        _ => (text, 1.0),
    };
    let amount = number.parse::<f64>().map_err(|_| wrong())? * unit;
    if !(1.0..=1e15).contains(&amount) {
        return Err(wrong());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the range")]
    Ok(amount as u64)
}

/// Bytes in a form that is read at a glance: `1.0 GB`, `100 MB`.
#[must_use]
pub fn show_bytes(bytes: u64) -> String {
    let value = bytes as f64;
    match bytes {
        0..10_000 => format!("{bytes} B"),
        10_000..1_000_000 => format!("{:.0} kB", value / 1e3),
        1_000_000..1_000_000_000 => format!("{:.0} MB", value / 1e6),
        _ => format!("{:.1} GB", value / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts() {
        let check =
            |text: &str, expect: Option<u64>| assert_eq!(bytes(text).ok(), expect, "{text}");
        check("1500", Some(1500));
        check("100k", Some(100_000));
        check("1.5G", Some(1_500_000_000));
        check("20M", Some(20_000_000));
        for wrong in ["", "G", "-1", "0", "nan", "1e99", "10T", "ä"] {
            check(wrong, None);
        }
        let check = |bytes, expect: &str| assert_eq!(show_bytes(bytes), expect);
        check(12, "12 B");
        check(100_000_123, "100 MB");
        check(1_000_000_123, "1.0 GB");
    }
}
