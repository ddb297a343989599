//! How the demo speaks: short steps, the commands, what is to be noticed. Colour only on a terminal.

use std::io::{self, IsTerminal as _, Write as _};

use anyhow::{Context as _, Result};

use super::diff::Line;

/// Longer lines are cut: the demo is read on a terminal.
const WIDTH: usize = 100;

/// Standard output, and what was found so far.
#[derive(Debug)]
pub(super) struct Show {
    colour: bool,
    steps: u32,
    checks: u32,
    failures: u32,
}

/// How words are set off.
#[derive(Clone, Copy)]
enum Tone {
    Plain,
    Bold,
    Faint,
    Good,
    Bad,
}

impl Show {
    pub(super) fn new() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { colour: wanted && io::stdout().is_terminal(), steps: 0, checks: 0, failures: 0 }
    }

    /// How many checks were made, and failed.
    pub(super) fn checks(&self) -> u32 {
        self.checks
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    pub(super) fn title(&self, title: &str, below: &[&str]) -> Result<()> {
        self.line(Tone::Bold, "", title)?;
        below.iter().try_for_each(|line| self.line(Tone::Plain, "", line))
    }

    /// A heading.
    pub(super) fn step(&mut self, title: &str) -> Result<()> {
        self.steps += 1;
        self.line(Tone::Plain, "", "")?;
        self.line(Tone::Bold, "", &format!("{}. {title}", self.steps))
    }

    /// A command that is run.
    pub(super) fn command(&self, command: &str) -> Result<()> {
        self.line(Tone::Bold, "   ", &format!("$ {command}"))
    }

    /// What the reader is told, in lines of readable length.
    pub(super) fn note(&self, text: &str) -> Result<()> {
        wrap(text, WIDTH - 3).iter().try_for_each(|line| self.line(Tone::Plain, "   ", line))
    }

    /// Lines of a log, whole.
    pub(super) fn log(&self, lines: &[impl AsRef<str>]) -> Result<()> {
        for line in lines {
            for (number, part) in wrap(line.as_ref(), WIDTH - 9).iter().enumerate() {
                self.line(Tone::Faint, if number == 0 { "     " } else { "         " }, part)?;
            }
        }
        Ok(())
    }

    /// Lines of a table, whole.
    pub(super) fn table(&self, lines: &[String]) -> Result<()> {
        lines.iter().try_for_each(|line| self.line(Tone::Plain, "     ", line))
    }

    /// Lines of a file or a program.
    pub(super) fn block(&self, lines: &[impl AsRef<str>]) -> Result<()> {
        lines.iter().try_for_each(|line| self.line(Tone::Faint, "     ", line.as_ref()))
    }

    /// A line that is new, with a word beside it.
    pub(super) fn added(&self, line: &str, why: &str) -> Result<()> {
        let line = line.replace('\t', "  ");
        self.line(Tone::Good, "   + ", &format!("{line:<41} {why}"))
    }

    pub(super) fn diff(&self, lines: &[Line<'_>]) -> Result<()> {
        lines.iter().try_for_each(|line| match line {
            Line::Same(text) => self.line(Tone::Faint, "     ", text),
            Line::Gone(text) => self.line(Tone::Bad, "   - ", text),
            Line::New(text) => self.line(Tone::Good, "   + ", text),
        })
    }

    /// Something that must be so; where it is not, what was seen instead.
    pub(super) fn check(
        &mut self,
        holds: bool,
        what: &str,
        seen: impl Fn() -> String,
    ) -> Result<()> {
        self.checks += 1;
        if holds {
            return self.line(Tone::Good, "   ok  ", what);
        }
        self.failures += 1;
        self.line(Tone::Bad, "   FAILED  ", what)?;
        seen().lines().try_for_each(|line| self.line(Tone::Plain, "     ", line))
    }

    /// Something that ended the demo.
    pub(super) fn failed(&mut self, what: &str) -> Result<()> {
        self.failures += 1;
        self.line(Tone::Bad, "   FAILED  ", what)
    }

    pub(super) fn end(&self, text: &str) -> Result<()> {
        self.line(Tone::Plain, "", "")?;
        self.line(if self.failures == 0 { Tone::Good } else { Tone::Bad }, "", text)
    }

    /// One line; a tab is shown as blanks, and of what is longer than the screen the middle is left
    /// out, but for what failed.
    fn line(&self, tone: Tone, indent: &str, text: &str) -> Result<()> {
        let text = text.replace('\t', "    ");
        let room = WIDTH.saturating_sub(indent.len());
        let cut = match tone {
            Tone::Bad | Tone::Plain => text,
            _ if text.chars().count() <= room => text,
            _ => shorten(&text, room),
        };
        let code = match tone {
            Tone::Plain => "",
            Tone::Bold => "1",
            Tone::Faint => "2",
            Tone::Good => "32",
            Tone::Bad => "31;1",
        };
        let line = if self.colour && !code.is_empty() {
            format!("{indent}\x1b[{code}m{cut}\x1b[0m\n")
        } else {
            format!("{indent}{cut}\n")
        };
        // At once, so that what happens is seen when it happens.
        let mut out = io::stdout().lock();
        out.write_all(line.as_bytes())
            .and_then(|()| out.flush())
            .context("write to standard output")
    }
}

/// Cut at blanks into parts that are no longer than so many bytes, if no word is.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut parts = vec![String::new()];
    for word in text.split_inclusive(' ') {
        match parts.last_mut() {
            Some(part) if part.len() + word.trim_end().len() <= width => part.push_str(word),
            _ => parts.push(word.to_owned()),
        }
    }
    parts.iter().map(|part| part.trim_end().to_owned()).collect()
}

/// The beginning and the end of a line: both say more than its middle.
fn shorten(text: &str, room: usize) -> String {
    let all: Vec<char> = text.chars().collect();
    let head = room * 3 / 5;
    let tail = room.saturating_sub(head + 5);
    let (begin, end) = (all.iter().take(head), all.iter().skip(all.len().saturating_sub(tail)));
    begin.chain(" ... ".chars().collect::<Vec<_>>().iter()).chain(end).collect()
}

/// A line of a log without its time (and the host's name, in a maillog).
pub(super) fn without_stamp(line: &str) -> String {
    let rest = line.split_once(' ').map_or(line, |(_, rest)| rest);
    rest.strip_prefix("mail ").unwrap_or(rest).trim_start().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_lose_their_middle() {
        assert_eq!(shorten("0123456789abcdefghijklmnopqrstuvwxyz", 20), "0123456789ab ... xyz");
    }

    #[test]
    fn wrapping() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("one two three", 100), ["one two three"]);
        assert_eq!(wrap("", 7), [""]);
    }

    #[test]
    fn stamps() {
        let check = |line: &str, expect: &str| assert_eq!(without_stamp(line), expect);
        check("2026-11-23T10:00:12.271683+00:00 mail sm-mta[1]: x", "sm-mta[1]: x");
        check("2026-11-23T21:44:57.123456Z  INFO proof", "INFO proof");
        check("x", "x");
    }
}
