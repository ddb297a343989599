//! What a look at the host found, and how to mend it.

use std::fmt::Write;

use serde::Serialize;

use crate::output::{Safe, Style};

/// How good it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Grade {
    /// As it should be.
    Good,
    /// Worth knowing; trytlsd does its work all the same.
    Note,
    /// trytlsd cannot do its work, or not all of it, until it is mended.
    Wrong,
}

/// What one check says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) grade: Grade,
    /// What was seen: the path, the value.
    pub(crate) text: String,
    /// What to do: words, lines for sendmail.mc or the config, commands. Each stands for itself.
    pub(crate) mend: Vec<String>,
}

/// What a check said, under its name.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Finding {
    /// The check's name, the same in every version.
    pub(crate) id: &'static str,
    pub(crate) grade: Grade,
    /// Whether it is not wrong.
    pub(crate) good: bool,
    pub(crate) text: String,
    pub(crate) mend: Vec<String>,
}

/// All is as it should be.
pub(crate) fn good(text: impl Into<String>) -> Said {
    Said { grade: Grade::Good, text: text.into(), mend: Vec::new() }
}

/// Worth knowing.
pub(crate) fn note(text: impl Into<String>) -> Said {
    Said { grade: Grade::Note, text: text.into(), mend: Vec::new() }
}

/// Something is wrong.
pub(crate) fn wrong(text: impl Into<String>) -> Said {
    Said { grade: Grade::Wrong, text: text.into(), mend: Vec::new() }
}

impl Said {
    /// With a further line of what to do.
    pub(crate) fn mend(mut self, line: impl Into<String>) -> Self {
        self.mend.push(line.into());
        self
    }

    /// Under the name of its check.
    pub(crate) fn by(self, id: &'static str) -> Finding {
        let Self { grade, text, mend } = self;
        Finding { id, grade, good: grade != Grade::Wrong, text, mend }
    }
}

impl Finding {
    /// A line, with what to do below it. Foreign text is made harmless.
    pub(crate) fn text(&self, style: Style) -> String {
        self.row(style, "")
    }

    /// The same, with the check's name.
    pub(crate) fn named_text(&self, style: Style) -> String {
        self.row(style, &style.faint(format!("{:<17}", self.id)))
    }

    fn row(&self, style: Style, name: &str) -> String {
        let mark = match self.grade {
            Grade::Good => style.green("ok"),
            Grade::Note => style.bold("--"),
            Grade::Wrong => style.yellow("!!"),
        };
        let mut out = format!("{mark} {name}{}", Safe(&self.text));
        for line in &self.mend {
            let _infallible = write!(out, "\n     {} {}", style.faint(">"), Safe(line));
        }
        out
    }
}
