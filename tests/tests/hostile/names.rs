//! MX names that are no names, that are ours, or that would take their neighbours along.

use tests::dns::Manner;
use tests::lines::success;

use crate::OWN;
use crate::case::{Case, broken, broken_to};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut n = 0;
    // A relay by a name, at an address of its own or at none.
    let mut at = |name: &str, relay: &str, located: bool| {
        n += 1;
        let address = format!("203.0.113.{n}");
        let log = match located {
            true => broken(relay, &address),
            false => broken(relay, &address).replace(&format!(". [{address}]"), "."),
        };
        (Case::new(name, log), address)
    };

    for relay in [
        "#x.hostile.test",
        "a b.hostile.test",
        "\"q\".hostile.test",
        "a@b.hostile.test",
        "a:b.hostile.test",
        "*.hostile.test",
        ".hostile.test",
        "x..hostile.test",
        "x.hostile.test\tNO",
        "Try_TLS:x.hostile.test",
        "x.hostile.test, relay=y.hostile.test",
        "\u{1b}[31mx.hostile.test",
        "xn\u{e4}.hostile.test",
        "-",
        "*",
    ] {
        cases.push(at(&format!("an MX {relay:?}"), relay, false).0);
    }
    let long = format!("{}.hostile.test", "x".repeat(64));
    cases.push(at("a label of 64 bytes", &long, false).0);
    let long = format!("{}hostile.test", "abcdefg.".repeat(40));
    cases.push(at("a name of 330 bytes", &long, false).0);

    cases.push(at("a top-level domain", "test", false).0);
    cases.push(at("a whole domain", "whole.test", false).0);
    let (case, address) = at("a whole domain, at an address", "whole2.test", true);
    cases.push(case.right(&address));
    cases.push(at("our own name", OWN, true).0);
    cases.push(at("our own name, in brackets", &format!("[{OWN}]"), true).0);
    cases.push(at("our own name, in capitals", &OWN.to_uppercase(), true).0);
    cases.push(at("localhost", "localhost", true).0);
    cases.push(Case::new("loopback", broken("[127.0.0.1]", "127.0.0.1")));
    cases.push(Case::new("loopback, by a name", broken("mx.loop.test", "127.0.0.53")));
    cases.push(Case::new(
        "loopback, IPv6",
        broken("[IPv6:0:0:0:0:0:0:0:1]", "IPv6:0:0:0:0:0:0:0:1"),
    ));
    cases.push(at("on the never-list", "mx.never.test", true).0);
    cases.push(at("on the never-list, in capitals", "MX.NEVER.TEST", true).0);

    // A peer that fails on purpose: with its name TLS would be off for all below it.
    let (case, _) = at("the name has a neighbour below it", "gw.shared.test", false);
    cases.push(case.after(&success("tenant.gw.shared.test")));
    let (case, address) = at("the same, at an address", "gw.shared2.test", true);
    let own = address.clone();
    let case = case.after(&success("tenant.gw.shared2.test"));
    cases.push(case.dns(move |zone| zone.host(&own, "gw.shared2.test")).right(&address));
    let (below, _) = at("below", "tenant.gw.shared3.test", false);
    cases.push(below.honest("tenant.gw.shared3.test"));
    cases.push(at("the name has a broken neighbour below it", "gw.shared3.test", false).0);

    // A name of one's own at another's address: an entry for that would act on his mail.
    let address = "203.0.113.91";
    let log =
        broken_to("mx.victim.test", address, "<u@strict.test>") + &broken("mx.evil.test", address);
    cases.push(Case::new("at the address of a relay for which TLS is required", log));
    let address = "203.0.113.92";
    let case =
        Case::new("at the address of a host on the never-list", broken("mx.evil2.test", address));
    cases.push(case.dns(move |zone| zone.host(address, "mx.never.test")));
    let address = "203.0.113.93";
    let case =
        Case::new("at the address of a host with DANE unknown", broken("mx.evil3.test", address));
    cases.push(case.dns(move |zone| {
        let owner = "_25._tcp.mx.other-victim.test";
        zone.host(address, "mx.other-victim.test").manner(owner, Manner::ServFail)
    }));

    cases.push(at("a name without an address", "mx.honest.test", false).0.honest("mx.honest.test"));
    cases
}
