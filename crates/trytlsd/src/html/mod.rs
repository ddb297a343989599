//! The pieces that the pages are made of.
//!
//! Markup is written with maud, which escapes whatever is put into it. Foreign text goes through [`Foreign`] besides: what
//! is no printable ASCII is shown as an escape, as on the terminal, so that no control character and no change of
//! direction can make a name look like another.

pub(crate) mod table;
pub(crate) mod timeline;

use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, Render, html};

use crate::output::Safe;

/// The stylesheet.
pub(crate) const STYLE: &str = include_str!("style.css");

/// Foreign text, in a page.
pub(crate) struct Foreign<'a>(pub(crate) &'a str);

impl Render for Foreign<'_> {
    fn render_to(&self, buffer: &mut String) {
        Safe(self.0).to_string().render_to(buffer);
    }
}

/// A name, an address or an entry, as foreign: it may be broken behind its dots and colons, so that a column is no wider
/// than its longest label.
pub(crate) struct Name<'a>(pub(crate) &'a str);

impl Render for Name<'_> {
    fn render_to(&self, buffer: &mut String) {
        for (n, part) in self.0.split_inclusive(['.', ':']).enumerate() {
            buffer.push_str(if n > 0 { "<wbr>" } else { "" });
            Foreign(part).render_to(buffer);
        }
    }
}

/// A document that is served beside its stylesheet.
pub(crate) fn document(title: &str, body: &Markup) -> Markup {
    whole(title, &html! { link rel="stylesheet" href="/style.css"; }, body)
}

/// A document that stands for itself: nothing in it refers to anything outside, and nothing may.
pub(crate) fn alone(title: &str, body: &Markup) -> Markup {
    const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";
    let style = html! {
        meta http-equiv="Content-Security-Policy" content=(POLICY);
        style { (PreEscaped(STYLE)) }
    };
    whole(title, &style, body)
}

fn whole(title: &str, style: &Markup, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (Foreign(title)) }
                (style)
            }
            body { (body) }
        }
    }
}

/// A moment, to the minute.
pub(crate) fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%MZ").to_string()
}

/// A moment: how far from now, and to the minute; its title tells the second.
pub(crate) fn time(at: Timestamp, now: Timestamp) -> Markup {
    let full = at.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
    html! {
        span.when {
            time datetime=(at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()) title=(full) { (distance(at, now)) }
            " " small { (minute(at)) }
        }
    }
}

/// A moment that may be none.
pub(crate) fn time_or(at: Option<Timestamp>, now: Timestamp, none: &str) -> Markup {
    match at {
        Some(at) => time(at, now),
        None => html! { span.none { (none) } },
    }
}

/// How far a moment is from now: `3 h ago`, `in 2 days`.
pub(crate) fn distance(at: Timestamp, now: Timestamp) -> String {
    let seconds = at.as_second() - now.as_second();
    match seconds {
        -1..=1 => "now".to_owned(),
        2.. => format!("in {}", length(seconds)),
        _ => format!("{} ago", length(-seconds)),
    }
}

/// A length of time in its largest unit, or in two while the first is small: `45 s`, `12 min`, `3 h`, `1 d 5 h`.
pub(crate) fn length(seconds: i64) -> String {
    const HOUR: i64 = 3600;
    const DAY: i64 = 24 * HOUR;
    match seconds {
        ..60 => format!("{seconds} s"),
        60..HOUR => format!("{} min", seconds / 60),
        HOUR..DAY => format!("{} h", seconds / HOUR),
        DAY.. => match (seconds / DAY, seconds % DAY / HOUR) {
            (days @ 1..=6, hours @ 1..) => format!("{days} d {hours} h"),
            (days, _) => format!("{days} d"),
        },
    }
}

/// A count with its noun: `1 relay`, `2 relays`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{s}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        let now = Timestamp::from_second(1_000_000_000).unwrap();
        let check = |seconds: i64, expect: &str| {
            let at = Timestamp::from_second(1_000_000_000 + seconds).unwrap();
            assert_eq!(distance(at, now), expect);
        };
        check(0, "now");
        check(-45, "45 s ago");
        check(-720, "12 min ago");
        check(3 * 3600 + 59, "in 3 h");
        check(-(86_400 + 5 * 3600), "1 d 5 h ago");
        check(30 * 86_400 + 3600, "in 30 d");
    }

    #[test]
    fn foreign_text_is_no_markup() {
        let check = |text: &str, expect: &str| {
            assert_eq!(html! { (Foreign(text)) }.into_string(), expect);
        };
        check("mx.example.org", "mx.example.org");
        check("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;");
        check("a\"b&c\u{202e}d", "a&quot;b&amp;c\\u{202e}d");
        let name = html! { (Name("a.<b:\u{202e}")) }.into_string();
        assert_eq!(name, "a.<wbr>&lt;b:<wbr>\\u{202e}");
    }
}
