//! Which addresses are of the public internet: everything else leads to this machine, its network, its cloud's
//! metadata, or nowhere. Embedded IPv4 addresses are refused whatever they embed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Blocks of IPv4 that are not the public internet, and what they are.
const NOT_PUBLIC_V4: [([u8; 4], u8, &str); 17] = [
    ([0, 0, 0, 0], 8, "this network"),
    ([10, 0, 0, 0], 8, "a private network"),
    ([100, 64, 0, 0], 10, "a carrier's network"),
    ([127, 0, 0, 0], 8, "this machine"),
    // The agent of Azure's virtual machines has a public address.
    ([168, 63, 129, 16], 32, "a cloud's metadata"),
    ([169, 254, 0, 0], 16, "a link-local network"),
    ([172, 16, 0, 0], 12, "a private network"),
    ([192, 0, 0, 0], 24, "reserved for protocols"),
    ([192, 0, 2, 0], 24, "for documentation"),
    ([192, 88, 99, 0], 24, "a 6to4 relay"),
    ([192, 168, 0, 0], 16, "a private network"),
    ([198, 18, 0, 0], 15, "for benchmarks"),
    ([198, 51, 100, 0], 24, "for documentation"),
    ([203, 0, 113, 0], 24, "for documentation"),
    ([224, 0, 0, 0], 4, "multicast"),
    ([255, 255, 255, 255], 32, "broadcast"),
    ([240, 0, 0, 0], 4, "reserved"),
];

/// Blocks of 2000::/3 that are not the public internet. Nothing outside of 2000::/3 is.
const NOT_PUBLIC_V6: [([u16; 2], u8, &str); 4] = [
    ([0x2001, 0], 23, "reserved for protocols"),
    ([0x2001, 0xdb8], 32, "for documentation"),
    ([0x2002, 0], 16, "a 6to4 address"),
    ([0x3fff, 0], 20, "for documentation"),
];

/// What an address is, where it is not of the public internet.
pub(super) fn not_public(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) => not_public_v4(v4),
        IpAddr::V6(v6) => not_public_v6(v6),
    }
}

fn not_public_v4(address: Ipv4Addr) -> Option<&'static str> {
    let found = NOT_PUBLIC_V4
        .iter()
        .find(|(block, bits, _)| starts(address.to_bits(), u32::from_be_bytes(*block), *bits));
    found.map(|(_, _, what)| *what)
}

fn not_public_v6(address: Ipv6Addr) -> Option<&'static str> {
    let parts = address.segments();
    match parts {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => return Some("this machine"),
        [0, 0, 0, 0, 0, 0xffff, ..] => return Some("an IPv4 address in an IPv6 one"),
        [0x64, 0xff9b, ..] => return Some("a NAT64 address"),
        [0xfc00..=0xfdff, ..] => return Some("a private network"),
        [0xfe80..=0xfebf, ..] => return Some("a link-local network"),
        [0xff00..=0xffff, ..] => return Some("multicast"),
        [first, ..] if !(0x2000..0x4000).contains(&first) => return Some("reserved"),
        [_, _, _, _, 0 | 0x200, 0x5efe, _, _] => return Some("an ISATAP address"),
        _ => {}
    }
    let head = u32::from(parts[0]) << 16 | u32::from(parts[1]);
    let found = NOT_PUBLIC_V6.iter().find(|(block, bits, _)| {
        starts(head, u32::from(block[0]) << 16 | u32::from(block[1]), *bits)
    });
    found.map(|(_, _, what)| *what)
}

/// Whether the first `bits` are those of the block.
fn starts(address: u32, block: u32, bits: u8) -> bool {
    (address ^ block).leading_zeros() >= u32::from(bits)
}

/// A block of addresses, written `10.1.0.0/16`, `fd00::/8` or as one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    start: IpAddr,
    bits: u8,
}

impl Block {
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.start, address) {
            (IpAddr::V4(start), IpAddr::V4(address)) => {
                starts(address.to_bits(), start.to_bits(), self.bits)
            }
            (IpAddr::V6(start), IpAddr::V6(address)) => {
                (address.to_bits() ^ start.to_bits()).leading_zeros() >= u32::from(self.bits)
            }
            _ => false,
        }
    }
}

impl std::str::FromStr for Block {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is no block of addresses, such as 10.1.0.0/16 or ::1");
        let (address, bits) = text
            .split_once('/')
            .map_or((text, None), |(a, b)| (a, Some(b)));
        let start: IpAddr = address.parse().map_err(|_| bad())?;
        let most = if start.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            Some(bits) => bits
                .parse()
                .ok()
                .filter(|bits| *bits <= most)
                .ok_or_else(bad)?,
        };
        Ok(Self { start, bits })
    }
}
