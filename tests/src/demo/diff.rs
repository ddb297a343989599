//! What changed in a text, line by line.

/// A line with what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// It is as it was.
    Same(&'a str),
    /// It is gone.
    Gone(&'a str),
    /// It is new.
    New(&'a str),
}

/// The lines that changed, between two that did not. For texts that were changed in one place; where
/// more changed, all from the first change to the last is shown as such.
pub(super) fn lines<'a>(before: &'a str, after: &'a str) -> Vec<Line<'a>> {
    let old: Vec<&str> = before.lines().collect();
    let new: Vec<&str> = after.lines().collect();
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let (old, new) = (old.split_at(head), new.split_at(head));
    let tail = old.1.iter().rev().zip(new.1.iter().rev()).take_while(|(a, b)| a == b).count();
    let gone = old.1.split_at(old.1.len() - tail);
    let come = new.1.split_at(new.1.len() - tail);
    let above = old.0.iter().skip(head.saturating_sub(2)).map(|line| Line::Same(line));
    let below = gone.1.iter().take(2).map(|line| Line::Same(line));
    above
        .chain(gone.0.iter().map(|line| Line::Gone(line)))
        .chain(come.0.iter().map(|line| Line::New(line)))
        .chain(below)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes() {
        let check = |before: &str, after: &str, expect: &str| {
            let got: String = lines(before, after)
                .iter()
                .map(|line| match line {
                    Line::Same(text) => format!(" {text}"),
                    Line::Gone(text) => format!("-{text}"),
                    Line::New(text) => format!("+{text}"),
                })
                .collect();
            assert_eq!(got, expect);
        };
        check("a\nb\nc\n", "a\nb\nc\nd\n", " b c+d");
        check("a\nb\nc\nd\n", "a\nx\nc\nd\n", " a-b+x c d");
        check("a\n", "a\n", " a");
        check("", "a\na\n", "+a+a");
        check("a\na\n", "a\n", " a-a");
    }
}
