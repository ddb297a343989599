//! What a change makes of the text that is there now.

use std::collections::HashSet;

use access::admins::{self, AdminsLine};
use access::block;
use access::lookup::Entries;
use access::managed::Managed;
use access::remedy::Tagged;

use crate::Error;
use crate::makemap::Expect;

/// A part of the change that was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// The very same entry is in our block already.
    InForce(Tagged),
    /// The admin has a line for this tag and key. It stays as it is, whatever it says: ours would be a duplicate, and his is not
    /// ours to remove.
    Admins {
        /// Tag and key.
        entry: Tagged,
        /// The admin's line, counted from 1.
        line_no: usize,
        /// Whether it does what ours would.
        same: bool,
    },
}

/// What is to be done to a text.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The new text.
    pub(crate) text: Vec<u8>,
    /// Entries that are new, or changed in their comment.
    pub(crate) added: Vec<Managed>,
    /// Entries of ours that go.
    pub(crate) removed: Vec<Tagged>,
    /// Entries that need not or must not be added.
    pub(crate) skipped: Vec<Skipped>,
    /// What is odd about our block.
    pub(crate) oddities: Vec<block::Oddity>,
    /// What the map must say afterwards of every key that is or was ours.
    pub(crate) expect: Expect,
    /// Keys that the map has not had from us.
    pub(crate) new_keys: Vec<Tagged>,
}

impl Plan {
    /// Plans the change: first what is to go, then what is to come.
    pub(crate) fn of(text: &[u8], add: &[Managed], remove: &[Tagged]) -> Result<Self, Error> {
        if let Some(bad) = add.iter().map(|entry| &entry.key).find(|key| !key.is_valid()) {
            return Err(Error::BadKey { key: bad.clone() });
        }
        let now = block::parse(text);
        let going: HashSet<String> = remove.iter().map(Tagged::folded).collect();
        let (gone, mut managed): (Vec<_>, Vec<_>) =
            now.managed.into_iter().partition(|entry| going.contains(&entry.tagged().folded()));
        let mut plan = Self {
            text: Vec::new(),
            added: Vec::new(),
            removed: gone.iter().map(Managed::tagged).collect(),
            skipped: Vec::new(),
            oddities: now.oddities,
            expect: Vec::new(),
            new_keys: Vec::new(),
        };
        for entry in remove {
            plan.leave_to_admin(entry, &now.admins);
        }
        for entry in add {
            plan.add(entry, &mut managed, &now.admins);
        }
        plan.text = if plan.added.is_empty() && plan.removed.is_empty() {
            text.to_vec()
        } else {
            block::edit(text, &managed)
        };
        plan.expect(&managed, remove);
        Ok(plan)
    }

    /// Plans that a line of the admin's goes, and nothing else.
    pub(crate) fn without(text: &[u8], line: &AdminsLine) -> Result<Self, Error> {
        let rest = admins::without(text, line)?;
        let now = block::parse(&rest);
        let mut plan = Self {
            text: rest,
            added: Vec::new(),
            removed: vec![line.entry.clone()],
            skipped: Vec::new(),
            oddities: now.oddities,
            expect: Vec::new(),
            new_keys: Vec::new(),
        };
        plan.expect(&now.managed, std::slice::from_ref(&line.entry));
        Ok(plan)
    }

    fn add(&mut self, entry: &Managed, managed: &mut Vec<Managed>, admins: &Entries) {
        let tagged = entry.tagged();
        let is_same = |other: &Tagged| other.folded() == tagged.folded();
        if self.leave_to_admin(&tagged, admins) {
            return;
        }
        let Some(there) = managed.iter_mut().find(|other| is_same(&other.tagged())) else {
            managed.push(entry.clone());
            self.added.push(entry.clone());
            match self.removed.iter().position(is_same) {
                Some(at) => drop(self.removed.remove(at)),
                None => self.new_keys.push(tagged),
            }
            return;
        };
        if block::edit(b"", std::slice::from_ref(there))
            == block::edit(b"", std::slice::from_ref(entry))
        {
            self.skipped.push(Skipped::InForce(tagged));
        } else {
            *there = entry.clone();
            self.added.push(entry.clone());
        }
    }

    /// Whether the admin has a line for the tag and key; it is noted then.
    fn leave_to_admin(&mut self, entry: &Tagged, admins: &Entries) -> bool {
        let Some(hit) = admins.exact(entry) else { return false };
        let (line_no, same) = (hit.line_no, entry.remedy.is_met_by(hit.value));
        let skipped = Skipped::Admins { entry: entry.clone(), line_no, same };
        if !self.skipped.contains(&skipped) {
            self.skipped.push(skipped);
        }
        true
    }

    /// The first line of a key counts, ours or the admin's.
    fn expect(&mut self, managed: &[Managed], remove: &[Tagged]) {
        let entries = Entries::parse(&self.text);
        let mut seen = HashSet::new();
        for entry in managed.iter().map(Managed::tagged).chain(remove.iter().cloned()) {
            let folded = entry.folded();
            if seen.insert(folded.clone()) {
                let value = entries.exact(&entry).map(|hit| hit.value.to_vec());
                self.expect.push((folded, value));
            }
        }
    }

    /// Whether the text is another one.
    pub(crate) fn changes(&self) -> bool {
        !self.added.is_empty() || !self.removed.is_empty()
    }

    /// Whether what sendmail is to find is another than before; else only comments change.
    pub(crate) fn changes_keys(&self) -> bool {
        !self.new_keys.is_empty() || !self.removed.is_empty()
    }
}
