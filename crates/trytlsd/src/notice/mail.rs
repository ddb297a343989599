//! A notice as mail (RFC 5322), and as the text that a command gets.
//!
//! `sendmail -t` reads recipients from headers, so all of them are of our own making: counts, our own words, addresses and a host
//! name that were checked. Foreign text stands only in the body, escaped, within lines that begin with our own words or with
//! blanks; so it ends no line, begins no header, and is no `From ` of a mailbox. All is ASCII.

use config::Config;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use jiff::tz::TimeZone;
use prober::HostName;
use sendmail::cf::Cf;
use serde::{Deserialize, Serialize};

use crate::output::Safe;

/// Lines are as long, in characters (RFC 5322, section 2.1.1).
const WIDTH: usize = 72;

/// A word that is longer is cut in two: a line may have 998 bytes.
const LONGEST_WORD: usize = 900;

/// Foreign text of one kind is shown so far, in characters.
const MOST_FOREIGN: usize = 400;

/// The longest text: so much goes into a pipe at once, so that a daemon that is killed leaves no half of a mail.
const MOST: usize = 48 << 10;

/// What is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Notice {
    pub(super) subject: String,
    pub(super) text: String,
    pub(super) at: Timestamp,
    /// Of two notices in one second.
    pub(super) number: i64,
}

impl Notice {
    /// The whole message.
    pub(super) fn message(&self, config: &Config) -> String {
        let host = own_name(config);
        let notice = &config.notice;
        let at = self.at.to_zoned_datetime(TimeZone::system());
        let date =
            rfc2822::to_string(&at).unwrap_or_else(|_| "Thu, 1 Jan 1970 00:00:00 +0000".into());
        let to = notice.mail_to.0.iter().map(ToString::to_string).collect::<Vec<_>>().join(",\n ");
        let mut out = format!("From: trytlsd <{}>\n", notice.mail_from.0);
        if !to.is_empty() {
            out += &format!("To: {to}\n");
        }
        // The words are ours, and read back from a file: nothing in them may end the line.
        out += &format!(
            "Subject: {}\nDate: {date}\nMessage-ID: <trytlsd.{}.{}@{host}>\nAuto-Submitted: auto-generated\n\
             MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 7bit\n\n",
            Safe(&self.subject),
            self.at.as_second(),
            self.number,
        );
        for line in self.text.split('\n') {
            out += &Safe(line).to_string();
            out.push('\n');
        }
        out
    }
}

/// This host's name as sendmail has it, or the system.
pub(super) fn own_name(config: &Config) -> String {
    let of_cf = Cf::read(&config.access.cf.0.0).ok().and_then(|cf| cf.host_name);
    let node = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let names = of_cf.into_iter().chain([node]);
    let name = names.into_iter().find_map(|name| HostName::parse(&name));
    name.map_or_else(|| "localhost".to_owned(), |name| name.to_string())
}

/// A text that grows, in lines of a mail's length.
#[derive(Debug, Default)]
pub(super) struct Paper(String);

impl Paper {
    /// A paragraph.
    pub(super) fn say(&mut self, text: &str) {
        self.wrap("", "", text);
    }

    /// A line of a list, with more below it.
    pub(super) fn item(&mut self, text: &str) {
        self.wrap("* ", "  ", text);
    }

    /// What belongs to the line of the list above.
    pub(super) fn more(&mut self, text: &str) {
        self.wrap("  ", "  ", text);
    }

    /// A command to be typed, never broken into lines.
    pub(super) fn command(&mut self, text: &str) {
        self.0 += &format!("      {text}\n");
    }

    /// An empty line.
    pub(super) fn gap(&mut self) {
        self.0.push('\n');
    }

    /// Whether no more should be added.
    pub(super) fn is_full(&self) -> bool {
        self.0.len() > MOST
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }

    fn wrap(&mut self, first: &str, rest: &str, text: &str) {
        let mut line = first.to_owned();
        let mut begun = false;
        for word in text.split_whitespace().flat_map(pieces) {
            if begun && line.len() + 1 + word.len() > WIDTH {
                self.0 += &line;
                self.0.push('\n');
                rest.clone_into(&mut line);
                begun = false;
            }
            if begun {
                line.push(' ');
            }
            line += &word;
            begun = true;
        }
        self.0 += line.trim_end();
        self.0.push('\n');
    }
}

/// The word, in pieces that fit into a line.
fn pieces(word: &str) -> impl Iterator<Item = String> {
    let word: Vec<char> = word.chars().collect();
    let pieces: Vec<String> = word.chunks(LONGEST_WORD).map(|c| c.iter().collect()).collect();
    pieces.into_iter()
}

/// Foreign text, made harmless, and not too long.
pub(super) fn foreign(text: &str) -> String {
    let cut: String = text.chars().take(MOST_FOREIGN).collect();
    let more = if cut.len() < text.len() { "..." } else { "" };
    format!("{}{more}", Safe(&cut))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn message(subject: &str, text: &str) -> String {
        let toml = "[access]\ncf = \"/nowhere.cf\"\n[notice]\nmail_to = [\"a@example.org\", \"b\"]\nmail_from = \"t@example.org\"\n";
        let config = Config::of_text(Path::new("/x.toml"), toml).unwrap();
        let at = Timestamp::from_second(1_800_000_000).unwrap();
        Notice { subject: subject.into(), text: text.into(), at, number: 7 }.message(&config)
    }

    #[test]
    fn headers_are_of_our_own_making() {
        let host = own_name(&Config::default());
        let message = message("1 thing needs a person\nBcc: x@evil.test", "text\u{fc}\nmore");
        let (head, body) = message.split_once("\n\n").unwrap();
        assert!(head.starts_with("From: trytlsd <t@example.org>\nTo: a@example.org,\n b\nSubject: 1 thing needs a person\\nBcc: x@evil.test\nDate: Fri, 15 Jan 2027 "), "{head}");
        let rest = format!(
            "\nMessage-ID: <trytlsd.1800000000.7@{host}>\nAuto-Submitted: auto-generated\nMIME-Version: 1.0\n\
             Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 7bit"
        );
        assert!(head.ends_with(&rest), "{head}");
        assert_eq!(body, "text\\u{fc}\nmore\n");
    }

    #[test]
    fn lines_are_short_and_commands_whole() {
        let mut paper = Paper::default();
        paper.item(&"word ".repeat(30));
        paper.more(&format!("From {}", "x".repeat(2000)));
        paper.command(&format!("trytlsd explain {}", "y".repeat(200)));
        let text = paper.into_text();
        let lengths: Vec<usize> = text.lines().map(str::len).collect();
        assert_eq!(lengths, [71, 71, 11, 6, 902, 902, 202, 222], "{text}");
        assert!(text.starts_with("* word word") && text.contains("\n  word"), "{text}");
        assert!(text.lines().all(|line| line.starts_with([' ', '*'])), "{text}");
    }

    #[test]
    fn foreign_text_is_bounded_and_harmless() {
        assert_eq!(foreign("a\nBcc: b\u{202e}"), "a\\nBcc: b\\u{202e}");
        assert_eq!(foreign(&"x".repeat(500)).len(), MOST_FOREIGN + 3);
    }
}
