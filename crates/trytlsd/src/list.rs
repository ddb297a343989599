//! `trytlsd list`: relays and clients about which something was decided, one a line.

use config::Config;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cli;
use crate::clock;
use crate::control::client::known;
use crate::output::{Style, complain, print};
use crate::overview::Overview;
use crate::table::{Cell, Table, Tone, width_of_stdout};

/// All of them.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct List {
    /// As of when.
    pub(crate) at: Timestamp,
    pub(crate) rows: Vec<Row>,
}

/// One relay or client.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    /// The relay as in the log; a client by its address.
    pub(crate) name: String,
    /// Whether it is a client.
    pub(crate) client: bool,
    /// How it stands.
    pub(crate) state: Standing,
    pub(crate) since: Option<Timestamp>,
    /// Until when that is so.
    pub(crate) until: Option<Timestamp>,
    /// How often sendmail has used its entries; none where there are none in force.
    pub(crate) hits: Option<u32>,
    /// Lines of the access file.
    pub(crate) lines: Vec<String>,
    /// Why, or what is known further, in words.
    pub(crate) detail: String,
}

/// How one stands, in the order in which they are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Standing {
    /// A guard holds it back.
    Held,
    /// Entries are in force.
    Active,
    /// On their way in or out.
    Changing,
    /// A line of the admin's that is looked after.
    Adopted,
    /// Dry run has shown them.
    Proposed,
    /// Its entry was lifted, and may return at once.
    Probation,
    /// It gets no entry, by an operator's word.
    Lifted,
}

impl Standing {
    fn word(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Active => "active",
            Self::Changing => "changing",
            Self::Adopted => "adopted",
            Self::Proposed => "proposed",
            Self::Probation => "probation",
            Self::Lifted => "lifted",
        }
    }

    fn tone(self) -> Tone {
        match self {
            Self::Held => Tone::Bad,
            Self::Active | Self::Adopted => Tone::Good,
            _ => Tone::Plain,
        }
    }
}

/// Looks.
///
/// # Errors
/// If there is a ledger and it cannot be read.
pub(crate) fn look(config: &Config) -> anyhow::Result<List> {
    let overview = Overview::take(config, clock::now())?;
    let at = overview.at;
    let relay = |name: String, state| Row {
        name,
        client: false,
        state,
        since: None,
        until: None,
        hits: None,
        lines: Vec::new(),
        detail: String::new(),
    };
    let mut rows = Vec::new();
    for held in overview.holds {
        let client = held.relay.strip_prefix("client ").map(str::to_owned);
        let guard = held.guard.map_or(String::new(), |guard| format!("{guard}: "));
        rows.push(Row {
            client: client.is_some(),
            since: Some(held.since),
            detail: format!("{guard}{}", held.says),
            ..relay(client.unwrap_or(held.relay), Standing::Held)
        });
    }
    for entry in overview.entries {
        let found = entry.found.map(|found| format!("last probe: {found}"));
        rows.push(Row {
            since: Some(entry.since),
            until: entry.until,
            hits: Some(entry.hits),
            lines: entry.lines,
            detail: found.unwrap_or(entry.reason),
            ..relay(entry.relay, Standing::Active)
        });
    }
    for adopted in overview.adopted {
        let mended = adopted.mended_since.map(|at| format!("the peer is mended since {at:.0}"));
        rows.push(Row {
            since: Some(adopted.since),
            hits: Some(adopted.hits),
            lines: vec![adopted.line],
            detail: mended.unwrap_or_default(),
            ..relay(adopted.relay, Standing::Adopted)
        });
    }
    for proposed in overview.proposed {
        rows.push(Row {
            since: Some(proposed.since),
            lines: proposed.lines,
            ..relay(proposed.relay, Standing::Proposed)
        });
    }
    for lifted in overview.lifted {
        let (state, detail) = match lifted.state {
            "probation" => (Standing::Probation, "one stuck attempt brings its entry back"),
            _ => (Standing::Lifted, "it gets no entry, by an operator's word"),
        };
        let detail = detail.to_owned();
        rows.push(Row { until: Some(lifted.until), detail, ..relay(lifted.relay, state) });
    }
    for client in overview.clients {
        let state = match client.state {
            "active" => Standing::Active,
            "proposed" => Standing::Proposed,
            "changing" => Standing::Changing,
            "lifted" => Standing::Lifted,
            _ => continue, // It fails, and nothing was decided.
        };
        rows.push(Row {
            client: true,
            until: client.until,
            lines: client.line.into_iter().collect(),
            detail: client.name.unwrap_or_default(),
            ..relay(client.address, state)
        });
    }
    rows.sort_by(|a, b| (a.state, &a.name).cmp(&(b.state, &b.name)));
    Ok(List { at, rows })
}

/// Runs the command.
pub(crate) fn run(args: &cli::Common, config: &Config) -> anyhow::Result<u8> {
    let list = match known(config, "/v1/entries", || look(config))? {
        Ok(list) => list,
        Err(status) => return Ok(status),
    };
    if args.json {
        print(serde_json::to_string(&list)? + "\n")?;
    } else if list.rows.is_empty() {
        complain("there is no entry, and nobody is held");
    } else {
        print(list.table().shown(width_of_stdout(), Style::of_stdout()))?;
    }
    Ok(0)
}

impl List {
    fn table(&self) -> Table<6> {
        let mut table =
            Table::new(["RELAY", "STATE", "SINCE (UTC)", "UNTIL (UTC)", "USED", "WHAT"]);
        for row in &self.rows {
            let name = if row.client { format!("client {}", row.name) } else { row.name.clone() };
            let lines = row.lines.join(", ");
            let gap = if lines.is_empty() || row.detail.is_empty() { "" } else { "; " };
            table.push([
                Cell::new(name),
                Cell::toned(row.state.word(), row.state.tone()),
                Cell::new(minute(row.since)),
                Cell::new(minute(row.until)),
                Cell::new(row.hits.map_or("-".to_owned(), |hits| hits.to_string())),
                Cell::new(format!("{lines}{gap}{}", row.detail)),
            ]);
        }
        table
    }
}

/// To the minute; `-` for none.
fn minute(at: Option<Timestamp>) -> String {
    at.map_or("-".to_owned(), |at| at.strftime("%Y-%m-%dT%H:%M").to_string())
}
