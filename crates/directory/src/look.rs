//! The access map as sendmail on this host sees it.

use std::collections::BTreeMap;
use std::time::Duration;

use access::lookup::Entries;
use access::managed::Managed;
use jiff::Timestamp;

use crate::error::plain;
use crate::object;
use crate::row::Row;
use crate::settings::Settings;

/// What a look at the map showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Our entries; also those that a conflict makes void. One for each tag and key, in the order of their keys.
    pub ours: Vec<Managed>,
    /// The admin's, as far as sendmail finds them and they matter to TLS. They have no line numbers.
    pub admins: Entries,
    /// Keys that sendmail does not find, though there are objects with them.
    pub conflicts: Vec<Conflict>,
}

/// Two objects or more that this host sees under one key: sendmail then finds none of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The key with its tag, in lower case, escaped.
    pub key: Box<str>,
    /// The objects, each in a line for people.
    pub objects: Vec<Box<str>>,
    /// Whether one of them is ours.
    pub ours: bool,
}

impl Look {
    /// Of the rows that sendmail on this host sees.
    pub(crate) fn of(rows: &[Row], settings: &Settings) -> Self {
        let mut by_key: BTreeMap<String, Vec<&Row>> = BTreeMap::new();
        for row in rows {
            for key in object::keys(row) {
                by_key.entry(key).or_default().push(row);
            }
        }
        let mut look = Self::default();
        let mut admins: Vec<(&str, &[u8])> = Vec::new();
        for (key, rows) in &by_key {
            let ours = rows.iter().find_map(|row| object::ours(row, settings));
            match rows.as_slice() {
                [row] if ours.is_none() => {
                    admins.extend(object::value(row).map(|value| (key.as_str(), value)));
                }
                [_] => {}
                several => look.conflicts.push(Conflict {
                    key: plain(key).into(),
                    objects: several.iter().map(|row| object::line(row)).collect(),
                    ours: ours.is_some(),
                }),
            }
            look.ours.extend(ours);
        }
        look.admins = Entries::of(admins.into_iter().map(|(key, value)| (key.as_bytes(), value)));
        look
    }

    /// Our entries whose time ended longer ago than that. Every MTA may take them out: the one that wrote an entry may be
    /// gone, and sendmail would go by it for ever.
    pub fn overdue(&self, now: Timestamp, grace: Duration) -> impl Iterator<Item = &Managed> {
        let long_over = move |until: Timestamp| {
            let over = now.as_second().saturating_sub(until.as_second());
            u64::try_from(over).is_ok_and(|over| over > grace.as_secs())
        };
        self.ours.iter().filter(move |managed| managed.until.is_some_and(long_over))
    }
}
