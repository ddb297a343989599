//! The bed's DNS: dnsmasq's configuration from the list of peers.
//!
//! Every name tells where it comes from: a peer X is reached by mail to `X.rcpt.test`, whose MX is
//! `X.mx.test`; the PTR of its address is `X.ptr.test`, unless the peer says otherwise.

use std::net::IpAddr;

use crate::peers::{Peer, Ptr};

/// The name that sendmail believes to be its own.
pub(crate) const HOST: &str = "lab.example.test";

/// dnsmasq's configuration; `extra` are lines of its own language.
pub(crate) fn dnsmasq(peers: &[Peer], extra: &[String]) -> String {
    let mut text = format!(
        "no-resolv\nno-hosts\nno-poll\nuser=root\nport=53\nlisten-address=127.0.0.1\n\
         bind-interfaces\nlog-queries\nlog-facility=/var/log/dns.log\npid-file=/run/dnsmasq.pid\n\
         local=/test/\nlocal=/arpa/\nlocal=/example.org/\nhost-record={HOST},127.0.0.1\n"
    );
    for peer in peers {
        let (name, address) = (peer.name(), peer.address());
        let mut line = |line: String| {
            text.push_str(&line);
            text.push('\n');
        };
        line(format!("address=/{name}.mx.test/{address}"));
        line(format!("mx-host={name}.rcpt.test,{name}.mx.test,10"));
        let arpa = reverse(address);
        match peer.pointer() {
            Ptr::None => {}
            Ptr::Mx => line(format!("ptr-record={arpa},{name}.mx.test")),
            Ptr::Own => {
                line(format!("ptr-record={arpa},{name}.ptr.test"));
                line(format!("address=/{name}.ptr.test/{address}"));
            }
            Ptr::Unconfirmed => line(format!("ptr-record={arpa},{name}.ptr.test")),
        }
    }
    for line in extra {
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// The name under which an address has its PTR record (RFC 1035 section 3.5, RFC 3596 section 2.5).
fn reverse(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(v6) => {
            let octets = v6.octets();
            let nibbles = octets.iter().rev().map(|o| format!("{:x}.{:x}.", o & 15, o >> 4));
            nibbles.collect::<String>() + "ip6.arpa"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::Mode;

    #[test]
    fn reverse_names() {
        let check = |address: &str, expect: &str| {
            assert_eq!(reverse(address.parse().unwrap()), expect);
        };
        check("127.0.0.11", "11.0.0.127.in-addr.arpa");
        check(
            "fd00:1ab::41",
            "1.4.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.b.a.1.0.0.0.d.f.ip6.arpa",
        );
    }

    #[test]
    fn dnsmasq_answers_host_record_both_ways() {
        // host-record also answers the reverse question, unless a ptr-record stands for it: the
        // zone must therefore not use it where a peer has no PTR.
        let peer = Peer::new("x", "127.0.0.11", Mode::Tls).ptr(Ptr::None);
        let text = dnsmasq(&[peer], &["cname=a.test,x.mx.test".to_owned()]);
        assert!(!text.contains("host-record=x"), "{text}");
        assert!(text.ends_with("cname=a.test,x.mx.test\n"), "{text}");
    }
}
