//! The rows in which the MTAs say what they see.
//!
//! Each MTA has an object of its own (`sendmailMTAHost=<name>`) and below it one row for each relay. Who speaks is told by
//! that name and nothing else, since rights can be given on it: an MTA that may write below its own name only has one
//! voice. The relay is the key, with all but printable ASCII escaped, so that one name of a row cannot stand for two.
//!
//! **What fails.** A row that is no statement is passed over and counted. A row whose term is over is dead; whoever sees
//! one that has been dead for long deletes it, since its MTA may be gone. That is a favour: one who may not, does not.

use std::time::Duration;

use access::comment::{escape, unescape};
use ldap3::{Scope, ldap_escape};

use crate::clock::{self, Clock};
use crate::dn::{self, below};
use crate::error::{Code, Kind, Trouble, plain};
use crate::object::{CLASS, CLUSTER, HOST, KEY, MAP, VALUE, WHY};
use crate::row::Row;
use crate::session::Session;
use crate::settings::Settings;
use crate::vote::{Statement, Vote};

/// Bytes of a relay's name at most, escaped. What is longer has no key.
const MAX_RELAY: usize = 512;

/// When an object was last written, by the server.
const STAMP: &str = "modifyTimestamp";

/// What is written for the sake of the stamp.
const BEAT: &str = "trytlsd is at work here";

/// What the MTAs say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Votes {
    /// The living statements, ours among them, by relay and MTA.
    pub living: Vec<Vote>,
    /// Rows whose term is over.
    pub dead: Vec<Dead>,
    /// Rows that say nothing that could be read.
    pub unreadable: usize,
}

/// A row whose term is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dead {
    /// The object's name, as the server writes it, escaped.
    pub object: Box<str>,
    /// How long its term has been over, in seconds, by the server's clock.
    pub since: u32,
    dn: Box<str>,
    stamp: Box<str>,
}

/// The key of a relay's row.
fn key_of(relay: &str) -> Result<String, Trouble> {
    let key = escape(relay, MAX_RELAY, |c| c != ' ');
    if relay.is_empty() || unescape(&key).as_deref() != Some(relay) {
        let why = format!("{}: no relay has such a name", plain(relay));
        return Err(Trouble::new(Kind::Mistake, "cannot say", &why));
    }
    Ok(key)
}

fn home(settings: &Settings) -> String {
    below(&settings.container(&settings.votes), HOST, &settings.host)
}

/// Learns the server's time.
pub(crate) async fn beat(session: &mut Session<'_>, settings: &Settings) -> Result<Clock, Trouble> {
    let home = home(settings);
    // Before, so that statements are rather taken for older than for younger.
    let uptime = clock::uptime();
    match session.set(&home, WHY, BEAT).await {
        Ok(()) => {}
        Err(trouble) if trouble.code == Some(Code::NoSuchObject) => {
            make_home(session, settings).await?
        }
        Err(trouble) => return Err(trouble),
    }
    let row = session.read(&home, &[STAMP]).await?;
    let stamp = row.and_then(|row| clock::stamp(row.only(STAMP)?));
    let stamp = stamp.ok_or_else(|| {
        let why = format!("{}: it does not show its {STAMP}", plain(&home));
        Trouble::new(Kind::NoRights, "cannot learn the server's time", &why)
    })?;
    Ok(Clock::new(stamp, uptime, session.number))
}

/// Makes the object that the rows of this MTA stand under.
async fn make_home(session: &mut Session<'_>, settings: &Settings) -> Result<(), Trouble> {
    let attributes = [
        ("objectClass", "sendmailMTA"),
        ("objectClass", "sendmailMTAMap"),
        (CLUSTER, &settings.cluster),
        (MAP, &settings.votes),
        (HOST, &settings.host),
        (WHY, BEAT),
    ];
    match session.add(&home(settings), &attributes).await {
        Err(trouble) if trouble.code == Some(Code::AlreadyExists) => Ok(()),
        outcome => outcome,
    }
}

pub(crate) async fn votes(
    session: &mut Session<'_>,
    settings: &Settings,
    clock: Clock,
) -> Result<Votes, Trouble> {
    let container = settings.container(&settings.votes);
    let filter = format!("(&(objectClass={CLASS})({MAP}={}))", ldap_escape(&*settings.votes));
    let rows = session.search(&container, Scope::Subtree, &filter, &[VALUE, STAMP]).await?;
    let depth = dn::parse(&container).map_or(0, |levels| levels.len());
    let mut votes = Votes::default();
    for row in &rows {
        match read(row, depth, clock) {
            Some(Found::Living(vote)) => votes.living.push(vote),
            Some(Found::Dead(dead)) => votes.dead.push(dead),
            None => votes.unreadable += 1,
        }
    }
    votes.living.sort_by(|a, b| (&a.relay, &a.mta).cmp(&(&b.relay, &b.mta)));
    Ok(votes)
}

enum Found {
    Living(Vote),
    Dead(Dead),
}

/// What a row says; `depth` levels above its MTA's.
fn read(row: &Row, depth: usize, clock: Clock) -> Option<Found> {
    let levels = dn::parse(&row.dn)?;
    let [(key, relay), (host, mta), above @ ..] = levels.as_slice() else { return None };
    let is_row = key.eq_ignore_ascii_case(KEY) && host.eq_ignore_ascii_case(HOST);
    if !is_row || above.len() != depth {
        return None;
    }
    let Statement { says, ttl, seen } = Statement::parse(row.only(VALUE)?)?;
    let stamp = row.only(STAMP)?;
    let age = clock.since(clock::stamp(stamp)?);
    if age > ttl {
        return Some(Found::Dead(Dead {
            object: plain(&row.dn).into(),
            since: age - ttl,
            dn: row.dn.as_str().into(),
            stamp: String::from_utf8_lossy(stamp).into(),
        }));
    }
    let (mta, relay) = (mta.to_ascii_lowercase().into(), unescape(relay)?.into());
    Some(Found::Living(Vote { mta, relay, says, seen, age }))
}

pub(crate) async fn vote(
    session: &mut Session<'_>,
    settings: &Settings,
    relay: &str,
    statement: &Statement,
) -> Result<(), Trouble> {
    let key = key_of(relay)?;
    let text = statement.print().ok_or_else(|| {
        let why = format!("{}: more entries than one relay may have", plain(relay));
        Trouble::new(Kind::Mistake, "cannot say", &why)
    })?;
    let dn = below(&home(settings), KEY, &key);
    // A replaced value is stamped anew even if it is the same.
    match session.set(&dn, VALUE, &text).await {
        Err(trouble) if trouble.code == Some(Code::NoSuchObject) => {}
        outcome => return outcome,
    }
    let attributes = [
        ("objectClass", "sendmailMTA"),
        ("objectClass", "sendmailMTAMap"),
        ("objectClass", CLASS),
        (CLUSTER, &*settings.cluster),
        (MAP, &settings.votes),
        (KEY, &key),
        (VALUE, &text),
    ];
    match session.add(&dn, &attributes).await {
        Err(trouble) if trouble.code == Some(Code::NoSuchObject) => {}
        outcome => return outcome,
    }
    make_home(session, settings).await?;
    session.add(&dn, &attributes).await
}

pub(crate) async fn withdraw(
    session: &mut Session<'_>,
    settings: &Settings,
    relay: &str,
) -> Result<(), Trouble> {
    let key = key_of(relay)?;
    match session.delete(&below(&home(settings), KEY, &key), None).await {
        Err(trouble) if trouble.code == Some(Code::NoSuchObject) => Ok(()),
        outcome => outcome,
    }
}

/// Deletes the rows that have been dead for so long, if they are still as they were; how many.
pub(crate) async fn reap(
    session: &mut Session<'_>,
    dead: &[Dead],
    long: Duration,
) -> Result<usize, Trouble> {
    let mut reaped = 0;
    for Dead { dn, stamp, since, .. } in dead {
        if u64::from(*since) <= long.as_secs() {
            continue;
        }
        // Its MTA may have come back and speak again.
        let filter = format!("({STAMP}={})", ldap_escape(&**stamp));
        match session.delete(dn, Some(&filter)).await {
            Ok(()) => reaped += 1,
            Err(trouble) if may_stay(&trouble) => {}
            Err(trouble) => return Err(trouble),
        }
    }
    Ok(reaped)
}

/// Whether a dead row is none of our business any more, or not to be helped.
fn may_stay(trouble: &Trouble) -> bool {
    trouble.kind == Kind::NoRights
        || matches!(
            trouble.code,
            Some(Code::NoSuchObject | Code::AssertionFailed | Code::UnknownControl)
        )
}
