//! Operations on one server, each with its deadline. What was not answered in time, or not by the rules, leaves a
//! connection behind that nobody can use; whose error it is says so (`Kind::ends_connection`).

use std::collections::HashSet;
use std::time::Duration;

use ldap3::controls::{Assertion, MakeCritical, PagedResults, RawControl};
use ldap3::{Ldap, LdapError, LdapResult, Mod, Scope};

use crate::connect::Connection;
use crate::error::{Code, Kind, Trouble};
use crate::row::Row;
use crate::wire;

/// Rows of a page.
const PAGE: i32 = 200;

/// Rows of a search at most.
const MAX_ROWS: usize = 500_000;

/// The control that pages come with (RFC 2696).
const PAGES: &str = "1.2.840.113556.1.4.319";

/// A server that answers.
pub(crate) struct Session<'a> {
    pub(crate) connection: &'a mut Connection,
    /// Which connection it is, counted.
    pub(crate) number: u64,
    pub(crate) timeout: Duration,
}

/// What an object is made of.
pub(crate) type Attributes<'a> = [(&'a str, &'a str)];

impl Session<'_> {
    /// All rows that match, page by page; not some of them.
    pub(crate) async fn search(
        &mut self,
        base: &str,
        scope: Scope,
        filter: &str,
        attributes: &[&str],
    ) -> Result<Vec<Row>, Trouble> {
        const DOING: &str = "cannot read";
        let mut rows = Vec::new();
        let mut cookie = Vec::new();
        loop {
            let control = RawControl::from(PagedResults { size: PAGE, cookie });
            let page = self.step(DOING, async |ldap| {
                ldap.with_controls(control).search(base, scope, filter, attributes.to_vec()).await
            });
            let ldap3::SearchResult(entries, result) = page.await?;
            let referrals = &result.refs;
            if result.rc != 0 {
                let trouble = Trouble::result(DOING, true, result.rc, &result.text, referrals);
                return Err(trouble.about(base));
            }
            if !referrals.is_empty() {
                let text = "a part of it is held by another server";
                return Err(Trouble::result(DOING, true, 10, text, referrals));
            }
            rows.extend(entries.into_iter().filter_map(Row::of));
            if rows.len() > MAX_ROWS {
                return Err(Trouble::new(Kind::TooMany, DOING, "more than 500,000 rows"));
            }
            let control = result.ctrls.iter().find(|control| control.1.ctype == PAGES);
            cookie = match control.and_then(|control| control.1.val.as_deref()) {
                Some(value) => wire::cookie(value)
                    .map_err(|wire::Malformed(what)| Trouble::new(Kind::Garbled, DOING, what))?,
                None => return Ok(rows),
            };
            if cookie.is_empty() {
                return Ok(rows);
            }
        }
    }

    /// The object of this name, if there is one that we are shown.
    pub(crate) async fn read(
        &mut self,
        dn: &str,
        attributes: &[&str],
    ) -> Result<Option<Row>, Trouble> {
        let found = self.search(dn, Scope::Base, "(objectClass=*)", attributes).await;
        match found {
            Ok(rows) => Ok(rows.into_iter().next()),
            Err(trouble) if trouble.code == Some(Code::NoSuchObject) => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    /// That the object is there. A server without sendmail's schema finds no objects of it and calls that success; but it
    /// has none of this name either.
    pub(crate) async fn must_exist(&mut self, dn: &str) -> Result<(), Trouble> {
        match self.read(dn, &["objectClass"]).await? {
            Some(_) => Ok(()),
            None => Err(Trouble::result("cannot read", true, 32, "", &[]).about(dn)),
        }
    }

    /// Makes an object.
    pub(crate) async fn add(
        &mut self,
        dn: &str,
        attributes: &Attributes<'_>,
    ) -> Result<(), Trouble> {
        const DOING: &str = "cannot add";
        let mut sets: Vec<(&str, HashSet<&str>)> = Vec::new();
        for (name, value) in attributes {
            match sets.iter_mut().find(|(other, _)| other == name) {
                Some((_, values)) => drop(values.insert(value)),
                None => sets.push((name, HashSet::from([*value]))),
            }
        }
        let result = self.step(DOING, async |ldap| ldap.add(dn, sets).await).await?;
        done(DOING, result).map_err(|trouble| trouble.about(dn))
    }

    /// Changes an attribute of an object, if it still has the value.
    pub(crate) async fn swap(
        &mut self,
        dn: &str,
        attribute: &str,
        from: &str,
        to: &str,
    ) -> Result<(), Trouble> {
        let set = |value| HashSet::from([value]);
        self.modify(dn, vec![Mod::Delete(attribute, set(from)), Mod::Add(attribute, set(to))]).await
    }

    /// Gives an attribute of an object this value, whatever it was.
    pub(crate) async fn set(
        &mut self,
        dn: &str,
        attribute: &str,
        value: &str,
    ) -> Result<(), Trouble> {
        self.modify(dn, vec![Mod::Replace(attribute, HashSet::from([value]))]).await
    }

    async fn modify(&mut self, dn: &str, changes: Vec<Mod<&str>>) -> Result<(), Trouble> {
        const DOING: &str = "cannot change";
        let result = self.step(DOING, async |ldap| ldap.modify(dn, changes).await).await?;
        done(DOING, result).map_err(|trouble| trouble.about(dn))
    }

    /// Deletes an object, if there is a condition only if that holds then (RFC 4528).
    pub(crate) async fn delete(&mut self, dn: &str, only_if: Option<&str>) -> Result<(), Trouble> {
        const DOING: &str = "cannot delete";
        let control = only_if.map(|filter| RawControl::from(Assertion { filter }.critical()));
        let result = self.step(DOING, async |ldap| match control {
            Some(control) => ldap.with_controls(control).delete(dn).await,
            None => ldap.delete(dn).await,
        });
        done(DOING, result.await?).map_err(|trouble| trouble.about(dn))
    }

    async fn step<T>(
        &mut self,
        doing: &'static str,
        operation: impl AsyncFnOnce(&mut Ldap) -> Result<T, LdapError>,
    ) -> Result<T, Trouble> {
        let Connection { ldap, ended, .. } = &mut *self.connection;
        match tokio::time::timeout(self.timeout, operation(ldap)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(LdapError::FilterParsing | LdapError::AddNoValues)) => {
                Err(Trouble::new(Kind::Mistake, doing, "ldap3 does not take it"))
            }
            Ok(Err(error)) => {
                // Whose end it was is known a moment later than that it has ended.
                tokio::task::yield_now().await;
                let why = ended.why().unwrap_or_else(|| error.to_string().into());
                Err(Trouble::new(Kind::Unreachable, doing, &why))
            }
            Err(_) => Err(Trouble::new(Kind::Timeout, doing, "no answer in time")),
        }
    }
}

fn done(doing: &'static str, result: LdapResult) -> Result<(), Trouble> {
    match result.rc {
        0 => Ok(()),
        code => Err(Trouble::result(doing, false, code, &result.text, &result.refs)),
    }
}
