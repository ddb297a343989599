//! One line of the admin's, and the text without it.
//!
//! The file is the admin's. A line of his is taken out on an operator's word only, and only if it is still, to the byte, the
//! one that he meant; not a blank or a comment around it goes with it.

use crate::block;
use crate::lookup::Entries;
use crate::remedy::Tagged;

/// A line of the admin's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminsLine {
    /// Its tag and key.
    pub entry: Tagged,
    /// The whole line, without its line end.
    pub text: Box<str>,
}

/// Why a line of the admin's is not taken out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stays {
    /// There is no line for the key, or another one.
    #[error("the line for {0} is not the one that was meant")]
    Other(Tagged),
    /// With it gone a second line for the same key would be in force.
    #[error("line {line_no} is for {entry} too, and would be in force with the other one gone")]
    Second {
        /// Tag and key.
        entry: Tagged,
        /// The second line, counted from 1.
        line_no: usize,
    },
}

/// The text without the line; all others keep every byte and their order.
///
/// # Errors
/// Why it stays.
pub fn without(text: &[u8], line: &AdminsLine) -> Result<Vec<u8>, Stays> {
    let other = || Stays::Other(line.entry.clone());
    let admins = block::parse(text).admins;
    let hit = admins.exact(&line.entry).filter(|hit| hit.raw == line.text.as_bytes());
    let at = hit.and_then(|hit| hit.line_no.checked_sub(1)).ok_or_else(other)?;
    let mut rest = Vec::with_capacity(text.len());
    for (number, physical) in text.split_inclusive(|&b| b == b'\n').enumerate() {
        if number != at {
            rest.extend(physical);
        } else if physical.strip_suffix(b"\n").unwrap_or(physical) != line.text.as_bytes() {
            return Err(other()); // The tail of a line that makemap cuts.
        }
    }
    match Entries::parse(&rest).exact(&line.entry) {
        None => Ok(rest),
        // Counted in the text as it is.
        Some(hit) => Err(Stays::Second {
            entry: line.entry.clone(),
            line_no: hit.line_no + usize::from(hit.line_no > at),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_goes_and_all_else_stays() {
        let check = |text: &str, line: &str, expect: Result<&str, &str>| {
            let key = line.split(['\t', ' ']).next().unwrap();
            let line = AdminsLine { entry: key.parse().unwrap(), text: line.into() };
            let got = without(text.as_bytes(), &line).map_err(|stays| stays.to_string());
            let got = got.map(|rest| String::from_utf8(rest).unwrap());
            assert_eq!(got.as_deref().map_err(String::as_str), expect, "{text:?}");
        };
        let line = "Try_TLS:a.example NO";
        check("x y\nTry_TLS:a.example NO\n\n# z", line, Ok("x y\n\n# z"));
        check("Try_TLS:a.example NO", line, Ok(""));
        check("# why\nTry_TLS:a.example NO\r\n", "Try_TLS:a.example NO\r", Ok("# why\n"));
        // Parents and other tags are other lines.
        let others = "Try_TLS:example NO\nTLS_Srv:a.example ENCR\n";
        check(&format!("{others}Try_TLS:a.example NO\n"), line, Ok(others));
        let other = Err("the line for Try_TLS:a.example is not the one that was meant");
        check("", line, other);
        check("Try_TLS:a.example\tNO\n", line, other);
        check("#Try_TLS:a.example NO\n", line, other);
        let long = format!("{}Try_TLS:a.example NO\n", "k".repeat(1022));
        check(&long, line, other);
        let second = Err(
            "line 3 is for Try_TLS:a.example too, and would be in force with the other one gone",
        );
        check("Try_TLS:a.example NO\n#\nTRY_TLS:A.example YES\n", line, second);
        let ours = "# BEGIN trytlsd\n\
            # trytlsd: key=a.example relay=a.example since=2026-11-23T10:50:38Z until=- why=x\n\
            Try_TLS:a.example\tNO\n# END trytlsd\n";
        check(ours, "Try_TLS:a.example\tNO", other);
        // Inside of our block, without a comment of ours, it is the admin's.
        let bare = "# BEGIN trytlsd\nTry_TLS:a.example\tNO\n# END trytlsd\n";
        check(bare, "Try_TLS:a.example\tNO", Ok("# BEGIN trytlsd\n# END trytlsd\n"));
    }
}
