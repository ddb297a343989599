//! A row of the access map: whose it is, and what sendmail makes of it.
//!
//! sendmail sees an object if it is of its cluster, or of its host by name; two such objects with one key are to it as if
//! there were none (`-1` in its K line). An object without a value may name a search or a URL to follow; what comes of
//! that is not known here, and it stands for a value that says nothing.

use access::comment;
use access::managed::Managed;
use ldap3::ldap_escape;

use crate::error::plain;
use crate::row::Row;
use crate::settings::Settings;

pub(crate) const CLASS: &str = "sendmailMTAMapObject";
pub(crate) const CLUSTER: &str = "sendmailMTACluster";
pub(crate) const HOST: &str = "sendmailMTAHost";
pub(crate) const MAP: &str = "sendmailMTAMapName";
pub(crate) const KEY: &str = "sendmailMTAKey";
pub(crate) const VALUE: &str = "sendmailMTAMapValue";
pub(crate) const WHY: &str = "description";
const SEARCH: &str = "sendmailMTAMapSearch";
const URL: &str = "sendmailMTAMapURL";

/// What is asked for of an object.
pub(crate) const ALL: &[&str] = &[KEY, VALUE, SEARCH, URL, WHY, CLUSTER, HOST];

/// The filter that sendmail searches with, for one key or for all.
pub(crate) fn seen_by_sendmail(settings: &Settings, key: Option<&str>) -> String {
    objects(&settings.map, &scope(settings, &settings.host), key)
}

/// Whatever any host of the cluster may see for the key. Which hosts are of the cluster is nowhere written, so it is
/// whatever any host may see.
pub(crate) fn seen_by_any(settings: &Settings, key: &str) -> String {
    let cluster = ldap_escape(&*settings.cluster);
    objects(&settings.map, &format!("(|({CLUSTER}={cluster})({HOST}=*))"), Some(key))
}

fn scope(settings: &Settings, host: &str) -> String {
    let [cluster, host] = [&*settings.cluster, host].map(ldap_escape);
    format!("(|({CLUSTER}={cluster})({HOST}={host}))")
}

fn objects(map: &str, scope: &str, key: Option<&str>) -> String {
    let map = ldap_escape(map);
    let key = key.map_or_else(String::new, |key| format!("({KEY}={})", ldap_escape(key)));
    format!("(&(objectClass={CLASS}){scope}({MAP}={map}){key})")
}

/// The entry, if it is ours: of the cluster as a whole, with our line as its description, and in all as that line says.
/// What was edited since is the admin's.
pub(crate) fn ours(row: &Row, settings: &Settings) -> Option<Managed> {
    let managed = comment::parse(row.only(WHY)?)?;
    let entry = managed.tagged();
    let is = row.only(CLUSTER)?.eq_ignore_ascii_case(settings.cluster.as_bytes())
        && row.only(KEY)?.eq_ignore_ascii_case(entry.to_string().as_bytes())
        && row.only(VALUE)? == entry.remedy.value().as_bytes()
        && [HOST, SEARCH, URL].iter().all(|other| row.values(other).is_empty());
    is.then_some(managed)
}

/// The value that sendmail finds; none if it finds nothing.
pub(crate) fn value(row: &Row) -> Option<&[u8]> {
    let elsewhere = || [SEARCH, URL].iter().any(|a| !row.values(a).is_empty());
    row.only(VALUE).or_else(|| elsewhere().then_some(&[]))
}

/// The keys, as the server compares them: without regard to case, and to blanks at the ends and repeated ones.
pub(crate) fn keys(row: &Row) -> impl Iterator<Item = String> {
    row.values(KEY).iter().map(|key| {
        let key = String::from_utf8_lossy(key).to_lowercase();
        key.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
    })
}

/// The object in a line, for people.
pub(crate) fn line(row: &Row) -> Box<str> {
    let all = |attribute| {
        let values = row.values(attribute).iter().map(|v| String::from_utf8_lossy(v));
        values.collect::<Vec<_>>().join(", ")
    };
    let host = all(HOST);
    let host = if host.is_empty() { host } else { format!(" for {host}") };
    plain(&format!("{} {}{host} ({})", all(KEY), all(VALUE), row.dn)).into()
}
