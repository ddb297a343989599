//! Which addresses a policy may be fetched from.
//!
//! The domain is one that mail is sent to, and whoever owns it says where `mta-sts.<domain>` is. He could name
//! 127.0.0.1, a host of our own network, or the metadata service of a cloud at 169.254.169.254, and so have this host
//! send requests behind its firewall for him. So only addresses of the public Internet are connected to, after the
//! look-up and not before (a name that is looked up twice can have two answers). An IPv4 address within an IPv6 one
//! (mapped, NAT64, 6to4) is judged as what it is. A NAT64 prefix of a network's own cannot be told from any other.
//!
//! The tables: IANA's registries of special-purpose addresses (RFC 6890), multicast, and what is reserved.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 networks that are not of the public Internet, with the length of their prefix.
const V4: [(Ipv4Addr, u32); 16] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),       // this host
    (Ipv4Addr::new(10, 0, 0, 0), 8),      // private
    (Ipv4Addr::new(100, 64, 0, 0), 10),   // behind a carrier's NAT
    (Ipv4Addr::new(127, 0, 0, 0), 8),     // loopback
    (Ipv4Addr::new(169, 254, 0, 0), 16),  // link-local
    (Ipv4Addr::new(172, 16, 0, 0), 12),   // private
    (Ipv4Addr::new(192, 0, 0, 0), 24),    // of protocols
    (Ipv4Addr::new(192, 0, 2, 0), 24),    // for documentation
    (Ipv4Addr::new(192, 31, 196, 0), 24), // AS112
    (Ipv4Addr::new(192, 88, 99, 0), 24),  // relays of 6to4
    (Ipv4Addr::new(192, 168, 0, 0), 16),  // private
    (Ipv4Addr::new(198, 18, 0, 0), 15),   // for benchmarks
    (Ipv4Addr::new(198, 51, 100, 0), 24), // for documentation
    (Ipv4Addr::new(203, 0, 113, 0), 24),  // for documentation
    (Ipv4Addr::new(224, 0, 0, 0), 4),     // multicast
    (Ipv4Addr::new(240, 0, 0, 0), 4),     // reserved, and broadcast
];

/// Networks within 2000::/3 that are not of the public Internet.
const V6: [(Ipv6Addr, u32); 3] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // of protocols, Teredo among them
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // for documentation
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // for documentation
];

/// Whether the address is one of the public Internet.
pub(crate) fn is_global(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => is_global_v4(v4),
        IpAddr::V6(v6) => is_global_v6(v6),
    }
}

fn is_global_v4(address: Ipv4Addr) -> bool {
    let inside = |(network, length): (Ipv4Addr, u32)| {
        (address.to_bits() ^ network.to_bits()) >> (32 - length) == 0
    };
    !V4.into_iter().any(inside)
}

fn is_global_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            is_global_v4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
        }
        [0x2000..=0x3fff, ..] => {
            let inside = |(network, length): (Ipv6Addr, u32)| {
                (address.to_bits() ^ network.to_bits()) >> (128 - length) == 0
            };
            !V6.into_iter().any(inside)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn of_the_public_internet() {
        fn check(expect: bool, addresses: &str) {
            for address in addresses.split_ascii_whitespace() {
                assert_eq!(is_global(address.parse().expect("address")), expect, "{address}");
            }
        }
        check(true, "1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255");
        check(true, "128.0.0.0 172.15.255.255 172.32.0.0 192.0.1.0 192.167.255.255 192.169.0.0");
        check(true, "198.17.255.255 198.20.0.0 223.255.255.255 169.253.255.255 169.255.0.0");
        check(true, "2606:4700::1111 2a00::1 3ffe::1 2001:200::1 2001:db7::1 2001:db9::1");
        check(true, "::ffff:1.1.1.1 64:ff9b::1.1.1.1 2002:101:101::1");
        check(false, "0.0.0.0 0.255.255.255 10.0.0.1 10.255.255.255 100.64.0.0 100.127.255.255");
        check(false, "127.0.0.1 127.255.255.255 169.254.169.254 172.16.0.0 172.31.255.255");
        check(false, "192.0.0.1 192.0.2.1 192.88.99.1 192.168.0.1 192.168.255.255 198.18.0.0");
        check(false, "198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255");
        check(false, "240.0.0.1 255.255.255.255");
        check(false, ":: ::1 ::2 ::1.1.1.1 100::1 fc00::1 fd12::1 fe80::1 fec0::1 ff02::1 4000::1");
        check(false, "2001::1 2001:1ff::1 2001:db8::1 3fff::1 3fff:fff::1 5f00::1 64:ff9b:1::1");
        check(false, "::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:0.0.0.0");
        check(false, "64:ff9b::127.0.0.1 64:ff9b::10.0.0.1 64:ff9b::192.168.1.1");
        check(false, "2002:7f00:1::1 2002:a00:1::1 2002:c0a8:101::1 2002:a9fe:a9fe::");
        // With anything but zeros between, it is no address of the well-known NAT64 prefix.
        check(false, "64:ff9b::1:1.1.1.1 64:ff9b:1::1.1.1.1");
    }

    proptest! {
        /// However an IPv4 address is written, the answer is the same.
        #[test]
        fn the_same_in_disguise(bits: u32) {
            let v4 = Ipv4Addr::from_bits(bits);
            let [high, low] = [(bits >> 16) as u16, bits as u16];
            let expect = is_global(v4.into());
            prop_assert_eq!(is_global(v4.to_ipv6_mapped().into()), expect);
            let nat64 = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low);
            prop_assert_eq!(is_global(nat64.into()), expect);
            let six_to_four = Ipv6Addr::new(0x2002, high, low, 1, 0, 0, 0, 1);
            prop_assert_eq!(is_global(six_to_four.into()), expect);
            // The standard library's own notions, where they are stable.
            let special = v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_multicast()
                || v4.is_documentation() || v4.is_unspecified() || v4.is_broadcast();
            prop_assert!(!(special && expect), "{}", v4);
        }
    }
}
