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
//! on the connection that it came over. And since a stamp is a promise of the server's that nobody checks, it is believed
//! for ten minutes at most.

use std::collections::BTreeSet;

use crate::clock::uptime;
use crate::dn;
use crate::error::{Kind, Trouble};
use crate::session::Session;
use crate::settings::Settings;

/// Seconds for which a mark is believed.
const KEEPS: i64 = 600;

/// The stamp on a database.
const STAMP: &str = "contextCSN";

/// How the database stood that holds the map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The top of that database.
    top: String,
    stamps: BTreeSet<Vec<u8>>,
    /// Which connection it came over.
    connection: u64,
    uptime: i64,
}

impl Mark {
    /// How it stands now; none where the server does not tell.
    pub(crate) async fn of(
        session: &mut Session<'_>,
        settings: &Settings,
    ) -> Result<Option<Self>, Trouble> {
        let uptime = uptime();
        let Some(top) = top(session, &settings.base).await? else { return Ok(None) };
        let stamps = stamps(session, &top).await?;
        let connection = session.number;
        Ok((!stamps.is_empty()).then_some(Self { top, stamps, connection, uptime }))
    }

    /// Whether it stands as it stood.
    pub(crate) async fn holds(&self, session: &mut Session<'_>) -> Result<bool, Trouble> {
        if session.number != self.connection || uptime().saturating_sub(self.uptime) >= KEEPS {
            return Ok(false);
        }
        Ok(stamps(session, &self.top).await? == self.stamps)
    }
}

/// The top of the database that holds what is below the base.
async fn top(session: &mut Session<'_>, base: &str) -> Result<Option<String>, Trouble> {
    const TOPS: &str = "namingContexts";
    let row = shown(session.read("", &[TOPS]).await)?;
    let Some(base) = dn::parse(base) else { return Ok(None) };
    let tops = row.iter().flat_map(|row| row.values(TOPS));
    let tops = tops.filter_map(|top| String::from_utf8(top.clone()).ok());
    let above = tops.filter_map(|top| Some((dn::parse(&top)?, top)));
    let above = above.filter(|(levels, _)| is_within(&base, levels));
    Ok(above.max_by_key(|(levels, _)| levels.len()).map(|(_, top)| top))
}

/// Whether a name is another, or below it.
fn is_within(name: &[(String, String)], top: &[(String, String)]) -> bool {
    let same = |((a, v), (b, w)): (&(String, String), &(String, String))| {
        a == b && v.eq_ignore_ascii_case(w)
    };
    name.len() >= top.len() && name.iter().rev().zip(top.iter().rev()).all(same)
}

async fn stamps(session: &mut Session<'_>, top: &str) -> Result<BTreeSet<Vec<u8>>, Trouble> {
    let row = shown(session.read(top, &[STAMP]).await)?;
    Ok(row.map(|row| row.values(STAMP).iter().cloned().collect()).unwrap_or_default())
}

/// What we are not shown is not there.
fn shown<T>(read: Result<Option<T>, Trouble>) -> Result<Option<T>, Trouble> {
    match read {
        Err(trouble) if trouble.kind == Kind::NoRights => Ok(None),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_within() {
        let check = |name: &str, top: &str, expect| {
            let [name, top] = [name, top].map(|name| dn::parse(name).unwrap());
            assert_eq!(is_within(&name, &top), expect);
        };
        check("dc=example,dc=org", "DC=Example, dc=org", true);
        check("ou=mail,dc=example,dc=org", "dc=example,dc=org", true);
        check("dc=org", "dc=example,dc=org", false);
        check("dc=another,dc=org", "dc=example,dc=org", false);
    }
}
