//! Our entries: made, renewed, taken out, and never the admin's.
//!
//! The name of an entry follows from cluster, map and key, so of two MTAs that make the same entry at once the server
//! stops the second (`entryAlreadyExists`), who then finds the first one's. The admin may have the key elsewhere below the
//! base, or for one host; two would be none to sendmail, so before an entry is made the key is looked up for every host.
//!
//! What is there is read just before it is changed, and changed only if it is still that: a description is exchanged for
//! another one by value, and a deletion carries an assertion (RFC 4528). A server that knows no assertions (slapd's `ldif`
//! and `config` databases, some other makes) deletes without: then an admin's edit of our entry in the milliseconds
//! between is lost with it. Between looking a key up and making the entry an admin can write the key for a host; the next
//! look shows the conflict.

use access::comment;
use access::managed::Managed;
use access::remedy::Tagged;
use ldap3::{Scope, ldap_escape};

use crate::dn::below;
use crate::error::{Code, Trouble};
use crate::object::{self, ALL, CLUSTER, KEY, MAP, VALUE, WHY};
use crate::row::Row;
use crate::session::Session;
use crate::settings::Settings;

/// Tries at a change that others come before.
const TRIES: u32 = 3;

/// What became of an entry that was to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Added {
    /// It is there now.
    Written,
    /// One of ours is there already, another MTA's perhaps, and stays as it is.
    Already(Box<Managed>),
    /// The admin has the key, for the cluster or for a host; says which. Nothing was written.
    Contradicted(Box<str>),
}

/// What became of an entry that was to go, or to be renewed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It is gone, or renewed.
    Done,
    /// There was none of ours.
    Missing,
    /// There is one with the key that is not ours; says which. It is left alone.
    NotOurs(Box<str>),
}

pub(crate) async fn add(
    session: &mut Session<'_>,
    settings: &Settings,
    entry: &Managed,
) -> Result<Added, Trouble> {
    let key = entry.tagged().to_string();
    let dn = below(&settings.container(&settings.map), KEY, &key);
    let line = comment::print(entry);
    let mut tries = 0;
    loop {
        tries += 1;
        let filter = object::seen_by_any(settings, &key);
        let rows = session.search(&settings.base, Scope::Subtree, &filter, ALL).await?;
        if let Some(there) = judge(&rows, settings) {
            return Ok(there);
        }
        let attributes = [
            ("objectClass", "sendmailMTA"),
            ("objectClass", "sendmailMTAMap"),
            ("objectClass", object::CLASS),
            (CLUSTER, &settings.cluster),
            (MAP, &settings.map),
            (KEY, &key),
            (VALUE, entry.remedy.value()),
            (WHY, &line),
        ];
        match session.add(&dn, &attributes).await {
            Ok(()) => return Ok(Added::Written),
            Err(trouble) if trouble.code == Some(Code::AlreadyExists) => {
                // It came in between; or it is there and was made something else, so that no lookup finds it.
                let row = session.read(&dn, ALL).await?;
                match row.and_then(|row| judge(&[row], settings)) {
                    Some(there) => return Ok(there),
                    None if tries >= TRIES => return Err(trouble),
                    None => {}
                }
            }
            Err(trouble) => return Err(trouble),
        }
    }
}

/// What rows with the key mean for an entry that is to be made; none if there are none.
fn judge(rows: &[Row], settings: &Settings) -> Option<Added> {
    let admins = rows.iter().find(|row| object::ours(row, settings).is_none());
    match admins {
        Some(row) => Some(Added::Contradicted(object::line(row))),
        None => rows
            .iter()
            .find_map(|row| object::ours(row, settings))
            .map(|managed| Added::Already(Box::new(managed))),
    }
}

pub(crate) async fn remove(
    session: &mut Session<'_>,
    settings: &Settings,
    entry: &Tagged,
) -> Result<Changed, Trouble> {
    for _ in 0..TRIES {
        let (ours, others) = with_key(session, settings, entry).await?;
        if ours.is_empty() {
            return Ok(none_of_ours(&others));
        }
        let mut overtaken = false;
        for (row, _) in &ours {
            match delete(session, row).await {
                Ok(()) => {}
                Err(trouble) if trouble.code == Some(Code::NoSuchObject) => {}
                Err(trouble) if trouble.code == Some(Code::AssertionFailed) => overtaken = true,
                Err(trouble) => return Err(trouble),
            }
        }
        if !overtaken {
            return Ok(Changed::Done);
        }
    }
    // Somebody is at work on it; what he leaves is judged the next time.
    Ok(Changed::Missing)
}

/// Deletes the row if it is still ours.
async fn delete(session: &mut Session<'_>, row: &Row) -> Result<(), Trouble> {
    let still = |attribute: &str| {
        let value = row.only(attribute).map(String::from_utf8_lossy).unwrap_or_default();
        format!("({attribute}={})", ldap_escape(value))
    };
    let filter = format!("(&{}{}{})", still(WHY), still(VALUE), still(KEY));
    match session.delete(&row.dn, Some(&filter)).await {
        Err(trouble) if trouble.code == Some(Code::UnknownControl) => {
            session.delete(&row.dn, None).await
        }
        outcome => outcome,
    }
}

pub(crate) async fn renew(
    session: &mut Session<'_>,
    settings: &Settings,
    entry: &Managed,
) -> Result<Changed, Trouble> {
    let line = comment::print(entry);
    for _ in 0..TRIES {
        let (ours, others) = with_key(session, settings, &entry.tagged()).await?;
        let Some((row, managed)) = ours.first() else { return Ok(none_of_ours(&others)) };
        let before = comment::print(managed);
        if before == line {
            return Ok(Changed::Done);
        }
        match session.swap(&row.dn, WHY, &before, &line).await {
            Ok(()) => return Ok(Changed::Done),
            Err(trouble)
                if matches!(trouble.code, Some(Code::NoSuchAttribute | Code::NoSuchObject)) => {}
            Err(trouble) => return Err(trouble),
        }
    }
    Ok(Changed::Missing)
}

fn none_of_ours(others: &[Row]) -> Changed {
    match others {
        [] => Changed::Missing,
        [row, ..] => Changed::NotOurs(object::line(row)),
    }
}

/// The rows with the key that this host sees: ours, and the others.
async fn with_key(
    session: &mut Session<'_>,
    settings: &Settings,
    entry: &Tagged,
) -> Result<(Vec<(Row, Managed)>, Vec<Row>), Trouble> {
    let filter = object::seen_by_sendmail(settings, Some(&entry.to_string()));
    let rows = session.search(&settings.base, Scope::Subtree, &filter, ALL).await?;
    let (mut ours, mut others) = (Vec::new(), Vec::new());
    for row in rows {
        match object::ours(&row, settings) {
            Some(managed) => ours.push((row, managed)),
            None => others.push(row),
        }
    }
    Ok((ours, others))
}
