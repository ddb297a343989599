//! A table of many rows: the first stand open, so that what comes below is in reach; the rest unfolds, without a script.

use maud::{Markup, html};

/// Rows at most; the JSON has all.
const ROWS: usize = 200;

/// Rows that stand open.
const OPEN: usize = 15;

/// A column's heading.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Column {
    /// Of words.
    Text(&'static str),
    /// Of numbers.
    Number(&'static str),
}

/// The table; `show` makes a `tr` of a row.
pub(crate) fn table<R>(columns: &[Column], rows: &[R], show: impl Fn(&R) -> Markup) -> Markup {
    let (open, folded) = rows.split_at(rows.len().min(OPEN));
    let (folded, left) = folded.split_at(folded.len().min(ROWS - OPEN));
    let part = |rows: &[R]| {
        html! {
            table {
                thead { tr { @for column in columns { @match column {
                    Column::Text(name) => th scope="col" { (name) },
                    Column::Number(name) => th.num scope="col" { (name) },
                } } } }
                tbody { @for row in rows { (show(row)) } }
            }
        }
    };
    html! {
        (part(open))
        @if !folded.is_empty() {
            details { summary { (folded.len()) " more" } (part(folded)) }
        }
        @if !left.is_empty() {
            p.faint { (left.len()) " further ones are in " a href="/overview.json" { "the JSON" } "." }
        }
    }
}
