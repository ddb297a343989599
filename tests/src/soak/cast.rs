//! The relays of a soak, and what must become of each.

use std::collections::BTreeMap;

use super::stage::Stage;
use crate::generate::random::Random;
use crate::lines::{Failure, failure, success};

/// What a relay does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Fails three times: it gets an entry.
    Broken,
    /// Fails twice: it gets none.
    Hiccup,
    /// Fails twice, works, fails twice: it gets none.
    Recovers,
}

/// A relay, and how far it is.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) address: String,
    pub(super) kind: Kind,
    steps: u32,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Cast {
    pub(super) members: Vec<Member>,
    /// Those that are not through with what they do.
    open: Vec<usize>,
    pid: u32,
}

impl Member {
    pub(super) fn new(number: usize, kind: Kind) -> Self {
        let address = format!("198.18.{}.{}", number / 250, number % 250 + 1);
        Self { name: format!("mx{number}.soak.example"), address, kind, steps: 0 }
    }

    fn steps(&self) -> u32 {
        match self.kind {
            Kind::Broken => 3,
            Kind::Hiccup => 2,
            Kind::Recovers => 5,
        }
    }

    /// How many failures must stand against it in the end.
    pub(super) fn failures(&self) -> u32 {
        match self.kind {
            Kind::Broken => 3,
            Kind::Hiccup | Kind::Recovers => 2,
        }
    }

    /// Its key in the access file.
    pub(super) fn entry(&self) -> String {
        format!("Try_TLS:{}\tNO", self.address)
    }

    /// One failure.
    pub(super) fn failure(&self) -> String {
        failure(&self.name, &self.address)
    }
}

impl Cast {
    /// The next lines: a step of some relay, new or known. The ruleset line and its delivery line may be handed out apart,
    /// for the log to be rotated in between.
    pub(super) fn next(&mut self, random: &mut Random) -> Vec<String> {
        if self.open.len() < 12 && self.members.len() < 60_000 {
            let kinds = [Kind::Broken, Kind::Broken, Kind::Hiccup, Kind::Recovers];
            let kind = *random.one_of(&kinds);
            self.open.push(self.members.len());
            self.members.push(Member::new(self.members.len(), kind));
        }
        self.step(random)
    }

    /// What is left to be done, one step at a time; none if all are through.
    pub(super) fn finish(&mut self, random: &mut Random) -> Option<Vec<String>> {
        (!self.open.is_empty()).then(|| self.step(random))
    }

    fn step(&mut self, random: &mut Random) -> Vec<String> {
        let at = random.below(u32::try_from(self.open.len()).unwrap_or(1)) as usize;
        let Some(member) = self.open.get(at).and_then(|n| self.members.get_mut(*n)) else {
            return Vec::new();
        };
        member.steps += 1;
        let lines = if member.kind == Kind::Recovers && member.steps == 3 {
            vec![success(&member.name)]
        } else {
            self.pid = self.pid % 900_000 + 1;
            let Failure { ruleset, delivery } =
                Failure::by(self.pid, &member.name, &member.address);
            vec![ruleset, delivery]
        };
        if member.steps == member.steps() {
            self.open.swap_remove(at);
        }
        lines
    }

    /// What is wrong: in the access file, and in the counts of the ledger.
    pub(super) fn wrong(&self, stage: &Stage) -> anyhow::Result<Wrong> {
        let text = stage.access()?;
        let mut entries: BTreeMap<&str, u32> = BTreeMap::new();
        for line in text.lines().filter(|line| line.starts_with("Try_TLS:")) {
            *entries.entry(line).or_default() += 1;
        }
        let counts = stage.counts()?;
        let mut wrong = Wrong::default();
        for member in &self.members {
            let entry = member.entry();
            let written = entries.get(entry.as_str()).copied().unwrap_or(0);
            let wanted = u32::from(member.kind == Kind::Broken);
            let counted = counts.get(&member.name).copied().unwrap_or(0);
            if written < wanted || counted < member.failures() {
                wrong.lost.push(format!("{member:?}: counted {counted}, {written} entries"));
            }
            if written > 1 {
                wrong.twice.push(format!("{member:?}: {written} entries"));
            }
            if (written > wanted && written == 1) || counted > member.failures() {
                wrong.again.push(format!("{member:?}: counted {counted}, {written} entries"));
            }
        }
        Ok(wrong)
    }
}

/// What must not be, in words.
#[derive(Debug, Default)]
pub(super) struct Wrong {
    /// Relays with fewer failures than were written.
    pub(super) lost: Vec<String>,
    /// Relays with more.
    pub(super) again: Vec<String>,
    /// Relays with more than one entry of a key.
    pub(super) twice: Vec<String>,
}
