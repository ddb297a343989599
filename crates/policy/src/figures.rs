//! How things stand, in a few numbers.

use std::fmt;

use crate::clients::Standing;
use crate::state::State;

/// How many relays are stuck and how many entries there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Relays that failed since TLS last worked with them, and have no entry in force.
    pub stuck: usize,
    /// Of these, the ones that a guard holds back.
    pub held: usize,
    /// Entries in force, of relays and of clients.
    pub in_force: usize,
    /// Entries that dry run has shown.
    pub proposed: usize,
}

impl State {
    /// How things stand now. Walks over all that is known: for now and then.
    pub fn figures(&self) -> Figures {
        let mut figures = Figures::default();
        for (_, record) in self.relays.iter() {
            figures.in_force += record.active().len();
            figures.proposed += record.proposed().len();
            if record.active().is_empty() && !record.evidence.is_empty() {
                figures.stuck += 1;
                figures.held += usize::from(record.hold().is_some());
            }
        }
        for (_, client) in self.clients.table.iter() {
            match client.standing() {
                Standing::Active(_) => figures.in_force += 1,
                Standing::Proposed(_) => figures.proposed += 1,
                _ => {}
            }
        }
        figures
    }
}

impl fmt::Display for Figures {
    /// `2 relays stuck (1 held), 5 entries in force, 1 proposed`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stuck, held, in_force, proposed } = *self;
        write!(f, "{stuck} {} stuck", if stuck == 1 { "relay" } else { "relays" })?;
        if held > 0 {
            write!(f, " ({held} held)")?;
        }
        write!(f, ", {in_force} {} in force", if in_force == 1 { "entry" } else { "entries" })?;
        if proposed > 0 {
            write!(f, ", {proposed} proposed")?;
        }
        Ok(())
    }
}
