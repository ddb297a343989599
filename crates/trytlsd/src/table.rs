//! A table for people: aligned, and in a terminal no wider than that is. In a pipe nothing is cut.

use std::fmt::Display;
use std::io::{self, IsTerminal};

use crate::output::{Safe, Style};

/// Between two columns.
const GAP: usize = 2;

/// The last column is never cut to less.
const LEAST: usize = 12;

/// How a cell is set off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Bad,
}

/// A cell: foreign text, made harmless.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    pub(crate) fn new(text: impl Display) -> Self {
        Self::toned(text, Tone::Plain)
    }

    pub(crate) fn toned(text: impl Display, tone: Tone) -> Self {
        let text = text.to_string().replace('\t', " ");
        Self { text: Safe(&text).to_string(), tone }
    }
}

/// Rows of cells under their heads.
#[derive(Debug)]
pub(crate) struct Table<const N: usize> {
    heads: [&'static str; N],
    rows: Vec<[Cell; N]>,
}

impl<const N: usize> Table<N> {
    pub(crate) fn new(heads: [&'static str; N]) -> Self {
        Self { heads, rows: Vec::new() }
    }

    pub(crate) fn push(&mut self, row: [Cell; N]) {
        self.rows.push(row);
    }

    /// For a place so wide, in characters; none: as wide as it gets.
    pub(crate) fn shown(&self, width: Option<usize>, style: Style) -> String {
        let mut widths = self.heads.map(str::len);
        for row in &self.rows {
            for (cell, width) in row.iter().zip(&mut widths) {
                *width = cell.text.len().max(*width);
            }
        }
        let before: usize = widths.iter().take(N.saturating_sub(1)).map(|width| width + GAP).sum();
        let room = width.map_or(usize::MAX, |width| width.saturating_sub(before).max(LEAST));
        let mut out = String::new();
        let heads = self.heads.map(Cell::new);
        line(&mut out, &heads, &widths, room, |_, text| style.faint(text));
        for row in &self.rows {
            line(&mut out, row, &widths, room, |tone, text| match tone {
                Tone::Plain => text,
                Tone::Good => style.green(text),
                Tone::Bad => style.yellow(text),
            });
        }
        out
    }
}

fn line<const N: usize>(
    out: &mut String,
    cells: &[Cell; N],
    widths: &[usize; N],
    room: usize,
    set: impl Fn(Tone, String) -> String,
) {
    for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
        if column + 1 == N {
            out.push_str(&set(cell.tone, cut(&cell.text, room)));
            out.push('\n');
        } else {
            // Colour has no width: the blanks stand outside of it.
            let blanks = width.saturating_sub(cell.text.len()) + GAP;
            out.push_str(&set(cell.tone, cell.text.clone()));
            out.extend(std::iter::repeat_n(' ', blanks));
        }
    }
}

/// What fits; a cut is shown. The text is ASCII.
fn cut(text: &str, room: usize) -> String {
    if text.len() <= room {
        return text.to_owned();
    }
    let kept: String = text.chars().take(room.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// How wide the terminal on standard output is; none if it is no terminal.
pub(crate) fn width_of_stdout() -> Option<usize> {
    let stdout = io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(stdout).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_the_last_is_cut_to_fit() {
        let mut table = Table::new(["RELAY", "STATE", "WHAT"]);
        table.push([
            Cell::new("mx.example.org"),
            Cell::toned("held", Tone::Bad),
            Cell::new("TLS with it worked at noon"),
        ]);
        table.push([Cell::new("a\x1b[2J"), Cell::new("active"), Cell::new("Try_TLS:a\tNO")]);
        let check = |width, style, expect: &str| {
            assert_eq!(table.shown(width, style), expect);
        };
        check(
            None,
            Style::plain(),
            "RELAY           STATE   WHAT\n\
             mx.example.org  held    TLS with it worked at noon\n\
             a\\u{1b}[2J      active  Try_TLS:a NO\n",
        );
        check(
            Some(40),
            Style::coloured(),
            "\x1b[2mRELAY\x1b[0m           \x1b[2mSTATE\x1b[0m   \x1b[2mWHAT\x1b[0m\n\
             mx.example.org  \x1b[33mheld\x1b[0m    TLS with it wor…\n\
             a\\u{1b}[2J      active  Try_TLS:a NO\n",
        );
    }
}
