//! Whether the map can have changed since a look, asked without looking: the server's `contextCSN`.
//!
//! A look costs the server time for each entry, whether there is news or not. OpenLDAP keeps one stamp for each server that
//! takes writes on top of each database (`contextCSN`, by its overlay syncprov), and every write there changes one of
//! them, a deletion too. If all are as they were, nothing was written. It is read before the look, so that what is written
//! in between is seen twice rather than never.
//!
//! **What fails.** A server without it, or that does not show it, leaves every look to be made. Anything that is written
//! into the same database makes the stamp another one: the votes are better kept in a database of their own
//! (docs/fleet.md). Two servers can bear the same stamps a moment before they hold the same rows, so a stamp counts only
//! on the connection that it came over. A database may be glued in below the base that has no stamp of its own and changes
//! none above it; and a stamp is a promise that nobody checks. So it is believed for ten minutes at most.

use std::iter::successors;

use crate::clock::uptime;
use crate::dn;
use crate::error::Trouble;
use crate::session::Session;
use crate::settings::Settings;

/// Seconds for which a mark is believed.
const KEEPS: i64 = 600;

/// The stamp on a database.
const STAMP: &str = "contextCSN";

/// How the databases stood that hold the map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    stamps: Vec<Stamps>,
    /// Which connection they came over.
    connection: u64,
    uptime: i64,
}

/// What stands at the top of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamps {
    top: Box<str>,
    /// One for each server that takes writes.
    values: Vec<Vec<u8>>,
}

impl Mark {
    /// How they stand now; none where the server does not tell.
    pub(crate) async fn of(
        session: &mut Session<'_>,
        settings: &Settings,
    ) -> Result<Option<Self>, Trouble> {
        let uptime = uptime();
        // The map may be in a database of its own, within the one that the admin's entries are in.
        let container = settings.container(&settings.map);
        let mut stamps = Vec::new();
        for top in successors(Some(container.as_str()), |name| dn::above(name)) {
            stamps.extend(read(session, top).await?);
        }
        let connection = session.number;
        Ok((!stamps.is_empty()).then_some(Self { stamps, connection, uptime }))
    }

    /// Whether they stand as they stood.
    pub(crate) async fn holds(&self, session: &mut Session<'_>) -> Result<bool, Trouble> {
        if session.number != self.connection || uptime().saturating_sub(self.uptime) >= KEEPS {
            return Ok(false);
        }
        for stamps in &self.stamps {
            if read(session, &stamps.top).await?.as_ref() != Some(stamps) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The stamps of the database that has this top; none if none has, or they are not shown.
async fn read(session: &mut Session<'_>, top: &str) -> Result<Option<Stamps>, Trouble> {
    let row = match session.read(top, &[STAMP]).await {
        Err(trouble) if trouble.code.is_some() => return Ok(None),
        outcome => outcome?,
    };
    let mut values = row.map_or_else(Vec::new, |row| row.values(STAMP).to_vec());
    values.sort();
    Ok((!values.is_empty()).then(|| Stamps { top: top.into(), values }))
}
