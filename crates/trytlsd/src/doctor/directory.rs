//! The directory of a fleet: whether sendmail asks it, and whether it is as trytlsd needs it.

use config::Config;
use directory::Directory;
use sendmail::cf::Cf;

use super::cf::make_line;
use crate::finding::{Said, good, note, wrong};
use crate::host::Host;

/// Whether sendmail asks a directory.
pub(super) fn access_map(config: &Config, cf: &Cf) -> Said {
    let path = config.access.cf.0.0.display();
    match cf.access_in_ldap() {
        Some(line) => good(format!("{path}, line {}: the access map is in LDAP", line.line)),
        None => wrong(format!("{path}: no access map is in LDAP; entries there have no effect"))
            .mend("in sendmail.mc, before the MAILER lines: FEATURE(`access_db', `LDAP')dnl")
            .mend(format!("and define(`confLDAP_CLUSTER', `{}')dnl", *config.ldap.cluster))
            .mend(make_line(&config.access.cf.0.0)),
    }
}

/// Whether the directory answers, shows us the map, and holds nothing that sendmail cannot find.
pub(super) fn answers(config: &Config, host: &Host) -> Vec<Said> {
    let name = match host.name(config) {
        Ok(name) => name,
        Err(why) => {
            let text = format!("the name of this MTA is not known: {why}");
            return vec![wrong(text).mend("in the config: [ldap] host = \"mta1.example.org\"")];
        }
    };
    let Some(settings) = config.directory(&name) else { return Vec::new() };
    let containers = settings.containers();
    let look = Directory::new(settings).and_then(|mut directory| directory.look());
    let look = match look {
        Ok(look) => look,
        Err(error) => {
            let said = wrong(error.to_string());
            return vec![match error.kind {
                directory::Kind::NoContainer => {
                    said.mend(format!("what has to be there, as LDIF:\n{containers}"))
                }
                _ => said.mend("see docs/fleet.md"),
            }];
        }
    };
    let mut said = vec![good(format!(
        "the directory answers to {name}: {} entries of the fleet in cluster {}",
        look.ours.len(),
        *config.ldap.cluster
    ))];
    said.extend(look.conflicts.iter().map(|conflict| {
        let objects = conflict.objects.join("; ");
        let text =
            format!("sendmail finds nothing for {}: there are several ({objects})", conflict.key);
        if conflict.ours { wrong(text).mend("take all but one of them out") } else { note(text) }
    }));
    said
}
