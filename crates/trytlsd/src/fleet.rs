//! `trytlsd list --fleet`: what the MTAs of the fleet say of relays, as the daemon last saw it in the directory.

use config::Config;
use jiff::Timestamp;
use ledger::{Error, View, VoteRow};
use policy::fleet::{Says, Vote};
use policy::moment::moment;
use serde::{Deserialize, Serialize};

use crate::cli;
use crate::clock;
use crate::control::client::known;
use crate::html::minute;
use crate::output::{Style, complain, print};
use crate::table::{Cell, Table, width_of_stdout};

/// All that they say.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Fleet {
    /// As of when.
    pub(crate) at: Timestamp,
    /// How many must see a relay broken; none where the map is not shared.
    pub(crate) quorum: Option<u32>,
    /// By relay and MTA.
    pub(crate) rows: Vec<Row>,
}

/// What one MTA says of one relay.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) relay: String,
    pub(crate) mta: String,
    pub(crate) says: String,
    /// When it saw that.
    pub(crate) seen: Timestamp,
    /// When it said so.
    pub(crate) written: Timestamp,
}

impl Fleet {
    /// Looks into the ledger.
    ///
    /// # Errors
    /// If there is one and it cannot be read.
    pub(crate) fn look(config: &Config) -> Result<Self, Error> {
        match View::open(&config.ledger.path.0.0) {
            Ok(view) => Ok(Self::of(config, view.votes()?)),
            Err(Error::Missing { .. }) => Ok(Self::of(config, Vec::new())),
            Err(error) => Err(error),
        }
    }

    /// By what the ledger has.
    pub(crate) fn of(config: &Config, votes: Vec<VoteRow>) -> Self {
        let second = |second| Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH);
        let row = |row: VoteRow| {
            let (seen, written) = (second(row.seen), second(row.written));
            Row { relay: row.relay, mta: row.mta, says: row.says, seen, written }
        };
        let quorum = config.is_shared().then_some(config.fleet.quorum.0);
        let at = clock::now();
        // The daemon may not have seen the directory for long.
        let lives = |row: &Row| at.duration_since(row.written) <= config.fleet.vote_ttl.0;
        let rows = votes.into_iter().map(row).filter(lives).collect();
        Self { at, quorum, rows }
    }

    fn table(&self) -> Table<5> {
        let mut table = Table::new(["RELAY", "MTA", "SEEN (UTC)", "SAID (UTC)", "SAYS"]);
        for row in &self.rows {
            let (seen, written) = (minute(row.seen), minute(row.written));
            table.push([
                Cell::new(&row.relay),
                Cell::new(&row.mta),
                Cell::new(seen),
                Cell::new(written),
                Cell::new(&row.says),
            ]);
        }
        table
    }
}

/// Runs the command.
pub(crate) fn run(args: &cli::Common, config: &Config) -> anyhow::Result<u8> {
    let fleet = match known(config, "/v1/fleet", || Ok(Fleet::look(config)?))? {
        Ok(fleet) => fleet,
        Err(status) => return Ok(status),
    };
    if args.json {
        print(serde_json::to_string(&fleet)? + "\n")?;
    } else if fleet.quorum.is_none() {
        complain("the map is not shared ([access] target)");
    } else if fleet.rows.is_empty() {
        complain("no MTA of the fleet says anything");
    } else {
        print(fleet.table().shown(width_of_stdout(), Style::of_stdout()))?;
    }
    Ok(0)
}

/// A row for the ledger.
pub(crate) fn row_of(vote: &Vote, now: Timestamp) -> VoteRow {
    let written = now.as_second() - i64::from(vote.age);
    let keys = |keys: &[access::remedy::Tagged]| {
        keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    let says = match &vote.says {
        Says::Broken { keys: wanted } => format!("broken, needs {}", keys(wanted)),
        Says::Works => "TLS works with it".to_owned(),
        Says::Forbids => "mail to it must not go in clear".to_owned(),
        Says::Mended { keys: freed } => format!("mended, needs no more {}", keys(freed)),
        Says::Lifted { until } => {
            format!("an operator wants no entry until {:.0}", moment(*until))
        }
    };
    VoteRow {
        relay: vote.relay.as_str().to_owned(),
        mta: vote.mta.to_string(),
        says,
        seen: written - i64::from(vote.seen),
        written,
    }
}
