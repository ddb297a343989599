//! What a person can do, and the very commands to type.
//!
//! **What an attacker could try.** A command is copied into a root shell, so a name stands in one only if it is a plain host
//! name or an address, in quotes, and cannot be taken for an option.

use policy::guard::Guard;

use crate::overview::CLIENT;
use crate::place::Place;

/// Words, and commands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Advice {
    pub(super) says: &'static str,
    pub(super) commands: Vec<String>,
}

impl Advice {
    fn new(says: &'static str, commands: &[&str]) -> Self {
        Self { says, commands: commands.iter().map(|&command| command.to_owned()).collect() }
    }
}

/// An alarm's name, and what to do, by what it is about.
pub(super) fn of_alarm(about: &str) -> (&'static str, Advice) {
    match about {
        "own-fault" => (
            "Everything is held: the fault seems to be this host's own",
            Advice::new(
                "Mend the likely cause. The alarm ends by itself once handshakes work again.",
                &["trytlsd status", "trytlsd doctor"],
            ),
        ),
        "limit" => (
            "No more entries are made: a limit is reached",
            Advice::new(
                "See whether so many relays are broken at once. If so, raise [guards] max_entries or max_per_hour, and reload.",
                &["trytlsd list", "systemctl reload trytlsd"],
            ),
        ),
        "map" => (
            "The access map cannot be changed",
            Advice::new("Mend what the doctor finds.", &["trytlsd doctor"]),
        ),
        "log" => (
            "A log cannot be read",
            Advice::new(
                "Mend what the doctor finds; until then nothing new is known.",
                &["trytlsd doctor"],
            ),
        ),
        _ => ("An alarm", Advice::new("See what is going on.", &["trytlsd status"])),
    }
}

/// What to do about a relay or a client that is held by a guard of that name.
pub(super) fn of_hold(relay: &str, guard: Option<&str>) -> Advice {
    let guard = Guard::EVERY.into_iter().find(|known| guard == Some(known.to_string().as_str()));
    let (says, letter, approve) = match guard {
        Some(Guard::TlsRcpt | Guard::TlsSrv | Guard::TlsClt) => (
            "A line of your access file requires TLS there. Have the other side mend its TLS, or take that line out.",
            true,
            false,
        ),
        Some(Guard::Dane | Guard::MtaSts) => (
            "TLS is promised there, or it could not be found out whether it is. Have the other side mend its TLS; or, if you \
             know better, overrule the guard.",
            true,
            true,
        ),
        Some(Guard::AdminTryTls | Guard::AdminSrvFeatures) => (
            "A line of yours covers it, and it stays as it is. See whether it still says what you want.",
            false,
            false,
        ),
        Some(Guard::Neighbours) => (
            "An entry would act on another host too. See which; or overrule the guard.",
            true,
            true,
        ),
        _ => ("See what stands in the way.", true, false),
    };
    let Some(argument) = argument(relay) else {
        return Advice::new(
            "Its name is no plain host name, so no command with it stands here.",
            &["trytlsd list"],
        );
    };
    let mut commands = vec![format!("trytlsd explain {argument}")];
    let is_relay = !relay.starts_with(CLIENT);
    if letter && is_relay {
        commands.push(format!("trytlsd probe --letter {argument}"));
    }
    if approve {
        commands.push(format!("trytlsd approve --reason 'WHY' {argument}"));
    }
    Advice { says, commands }
}

/// Whom a command is about, as a shell takes it.
fn argument(relay: &str) -> Option<String> {
    if let Some(address) = relay.strip_prefix(CLIENT) {
        let address: std::net::IpAddr = address.parse().ok()?;
        return Some(format!("--client {address}"));
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:[]".contains(&b);
    let safe = relay.bytes().all(plain) && !relay.starts_with('-');
    Place::parse(relay).filter(|_| safe)?;
    Some(if relay.contains('[') { format!("'{relay}'") } else { relay.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_in_a_command_only_if_it_is_plain() {
        let check = |relay: &str, expect: Option<&str>| {
            assert_eq!(argument(relay).as_deref(), expect, "{relay}");
        };
        check("mx.example.org", Some("mx.example.org"));
        check("[192.0.2.1]", Some("'[192.0.2.1]'"));
        check("[IPv6:2001:db8::1]", Some("'[IPv6:2001:db8::1]'"));
        check("client 2001:db8::1", Some("--client 2001:db8::1"));
        for foreign in [
            "$(reboot)",
            "a;b",
            "--config",
            "-x.example.org",
            "a b",
            "",
            "client a;b",
            "a'b",
            "a\nb",
        ] {
            check(foreign, None);
        }
    }

    #[test]
    fn what_cannot_be_overruled_is_not_offered() {
        let commands = |guard| of_hold("mx.example.org", guard).commands.join("\n");
        assert!(!commands(Some("TLS_Rcpt")).contains("approve"));
        assert!(!commands(None).contains("approve"));
        assert_eq!(
            commands(Some("DANE")),
            "trytlsd explain mx.example.org\ntrytlsd probe --letter mx.example.org\n\
             trytlsd approve --reason 'WHY' mx.example.org"
        );
    }
}
