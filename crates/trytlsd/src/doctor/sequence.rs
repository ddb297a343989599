//! `trytlsd doctor --sequence-map`: the lines for a map of our own beside the admin's.
//!
//! sendmail asks the maps of a `sequence` one after the other, and the first that has the key answers. So the admin's
//! entries win, and trytlsd never writes into the admin's file. In sendmail.mc the members must stand before
//! `FEATURE(access_db)`: both go into the same part of the cf, in their order, and a member must be defined before its
//! sequence. `-o` lets sendmail start while our map is not there yet; `-T<TMPF>` makes a map that cannot be opened a
//! temporary failure, as in the stock line.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use sendmail::cf::{Cf, MapLine};

/// Our file, text and map.
const OURS: &str = "/etc/mail/trytlsd";

/// The names of the two maps in the cf.
const ADMINS: &str = "access_admin";
const OWN: &str = "access_trytlsd";

/// The lines.
///
/// # Errors
/// If the cf cannot be read, has no access map, or has such a sequence already.
pub(crate) fn text(path: &Path) -> anyhow::Result<String> {
    let cf = Cf::read(path)?;
    let Some(access) = &cf.access else {
        bail!(
            "{}: there is no access map to stand beside; put FEATURE(`access_db', `hash -T<TMPF> /etc/mail/access')dnl \
             into sendmail.mc first",
            path.display()
        );
    };
    if access.class == "sequence" {
        let members: Vec<String> = access.leaves().into_iter().map(words).collect();
        bail!(
            "{}, line {}: the access map is a sequence already, of {}; add a member to it, or let [access] map name one",
            path.display(),
            access.line,
            members.join(", ")
        );
    }
    let theirs = arguments(path, access)?;
    let blind = match access.path {
        Some(_) => String::new(),
        None => format!(
            "dnl Your map is of class {}: trytlsd's guards do not see the entries in it. Repeat your TLS_Rcpt:, TLS_Srv:\n\
             dnl and Try_TLS: entries in {OURS}, else an entry could make mail bounce that must go with TLS.\n",
            access.class
        ),
    };
    let (make, mc) = (super::cf::make_line(path), path.with_extension("mc"));
    Ok(format!(
        "dnl 1. In {mc}, instead of the line FEATURE(`access_db', ...). What yours has behind the map\n\
         dnl    (`skip', `lookupdotdomain', `relaytofulladdress') stays there.\n\
         LOCAL_CONFIG\n\
         K{ADMINS} {theirs}\n\
         K{OWN} hash -o -T<TMPF> {OURS}\n\
         divert(0)dnl\n\
         FEATURE(`access_db', `sequence {ADMINS} {OWN}')dnl\n\
         {blind}\
         dnl\n\
         dnl 2. Commands, as root:\n\
         dnl    touch {OURS}\n\
         dnl    makemap hash {OURS} < {OURS}\n\
         dnl    {make}\n\
         dnl\n\
         dnl 3. In /etc/trytlsd/trytlsd.toml:\n\
         dnl    [access]\n\
         dnl    file = \"{OURS}\"\n\
         dnl    map = \"{OURS}\"\n\
         dnl\n\
         dnl 4. trytlsd doctor\n",
        mc = mc.display(),
    ))
}

/// A K line's class and path, in words.
fn words(line: &MapLine) -> String {
    let path = line.path.as_ref().map_or(String::new(), |path| format!(" {}", path.display()));
    format!("{}{path}", line.class)
}

/// The K line as it stands in the cf, behind the map's name: class, flags and all. m4 would take a quote or a `dnl` in it
/// for its own; no such line is known.
fn arguments(path: &Path, access: &MapLine) -> anyhow::Result<String> {
    let bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = text.split('\n').skip(access.line.saturating_sub(1));
    let first = lines.next().unwrap_or_default().trim_end();
    let more = lines.take_while(|line| line.starts_with([' ', '\t'])).map(str::trim_end);
    let rest = first.trim_start_matches(['K', ' ', '\t']);
    let rest = rest.get("access".len()..).unwrap_or_default().trim_start();
    let whole: Vec<&str> = std::iter::once(rest).chain(more).collect();
    let whole = whole.join("\n");
    if rest.is_empty()
        || whole.contains(['`', '\''])
        || whole.contains(|c: char| c.is_control() && c != '\n' && c != '\t')
    {
        bail!("{}, line {}: this K line cannot be repeated for m4", path.display(), access.line);
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use super::*;

    #[test]
    fn lines_for_each_kind_of_map() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sendmail.cf");
        let of = |cf: &str| {
            File::create(&path).unwrap().write_all(cf.as_bytes()).unwrap();
            text(&path).map_err(|error| format!("{error:#}"))
        };
        let hash = of("# x\nKaccess hash -T<TMPF> /etc/mail/access\nK other hash /o\n").unwrap();
        let expect = "\nKaccess_admin hash -T<TMPF> /etc/mail/access\nKaccess_trytlsd hash -o -T<TMPF> /etc/mail/trytlsd\n";
        assert!(hash.contains(expect) && !hash.contains("do not see"), "{hash}");

        let ldap = of("K access ldap -1 -T<TMPF> -v x,y:z\n\t-k (&(a=${b})(c=%0))\nO X\n").unwrap();
        let expect =
            "\nKaccess_admin ldap -1 -T<TMPF> -v x,y:z\n\t-k (&(a=${b})(c=%0))\nKaccess_trytlsd";
        assert!(ldap.contains(expect) && ldap.contains("do not see the entries in it"), "{ldap}");

        let refused = |cf: &str, part: &str| {
            let error = of(cf).unwrap_err();
            assert!(error.contains(part), "{error}");
        };
        refused("", "there is no access map to stand beside");
        refused(
            "Ka hash /a\nKaccess sequence a\n",
            "line 2: the access map is a sequence already, of hash /a",
        );
        refused("Kaccess hash -T' /a\n", "cannot be repeated for m4");
    }
}
