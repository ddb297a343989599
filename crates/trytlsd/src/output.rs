//! Standard output and standard error, as people and pipes want them.
//!
//! Foreign text (log, DNS, files) never reaches a terminal as it is: control characters and what is no ASCII are shown as
//! escapes. A reader that closes the pipe early (`trytlsd scan … | head`) is no error. Colour only on a terminal, and not
//! if `NO_COLOR` is set.

use std::fmt::{self, Display};
use std::io::{self, IsTerminal, Write};

/// Writes to standard output.
pub(crate) fn print(text: impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_fmt(format_args!("{text}"))?;
    out.flush()
}

/// Says on standard error what is wrong. What cannot be written there cannot be said anywhere.
pub(crate) fn complain(what: impl Display) {
    let what = what.to_string();
    let lines: Vec<String> = what.lines().map(|line| Safe(line).to_string()).collect();
    let _said = writeln!(io::stderr().lock(), "trytlsd: {}", lines.join("\n"));
}

/// Whether the error, or one that it rests on, is a reader that has gone.
pub(crate) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
    })
}

/// Foreign text, made harmless.
pub(crate) struct Safe<'a>(pub(crate) &'a str);

impl Display for Safe<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                ' '..='~' => write!(f, "{c}")?,
                _ => write!(f, "{}", c.escape_default())?,
            }
        }
        Ok(())
    }
}

/// How words are set off.
#[derive(Clone, Copy)]
pub(crate) struct Style {
    colour: bool,
}

impl Style {
    /// For standard output as it is.
    pub(crate) fn of_stdout() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { colour: wanted && io::stdout().is_terminal() }
    }

    /// Without colour.
    pub(crate) fn plain() -> Self {
        Self { colour: false }
    }

    /// With colour, for a terminal elsewhere.
    pub(crate) fn coloured() -> Self {
        Self { colour: true }
    }

    pub(crate) fn is_coloured(self) -> bool {
        self.colour
    }

    pub(crate) fn bold(self, text: impl Display) -> String {
        self.set("1", text)
    }

    pub(crate) fn green(self, text: impl Display) -> String {
        self.set("32", text)
    }

    pub(crate) fn yellow(self, text: impl Display) -> String {
        self.set("33", text)
    }

    pub(crate) fn faint(self, text: impl Display) -> String {
        self.set("2", text)
    }

    fn set(self, code: &str, text: impl Display) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_made_harmless() {
        let check = |text: &str, expect: &str| assert_eq!(Safe(text).to_string(), expect);
        check("mx.example.org", "mx.example.org");
        check("a\x1b[31mb\n\u{202e}ü", "a\\u{1b}[31mb\\n\\u{202e}\\u{fc}");
    }
}
