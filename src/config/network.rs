//! Networks, by which a listener says who may connect.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// `10.0.0.0/8`, `fd00::/8`; an address alone is a network of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    /// How many of the first bits count.
    bits: u8,
}

impl Network {
    /// Is the address in it? An IPv4 address that comes in IPv6 clothes (`::ffff:10.0.0.1`) is an IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.first, address.to_canonical()) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                let differ = u32::from(first) ^ u32::from(address);
                u32::from(self.bits) <= differ.leading_zeros()
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                let differ = u128::from(first) ^ u128::from(address);
                u32::from(self.bits) <= differ.leading_zeros()
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    /// What would be right.
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let right = || "write a network: \"10.0.0.0/8\", \"192.168.1.7\", \"fd00::/8\"".to_owned();
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let first = address.parse::<IpAddr>().map_err(|_| right())?;
        let most = if first.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            Some(bits) => {
                let plain = bits.bytes().all(|byte| byte.is_ascii_digit());
                bits.parse::<u8>().ok().filter(|bits| plain && *bits <= most).ok_or_else(right)?
            }
        };
        let network = match first {
            IpAddr::V4(ip) => {
                IpAddr::from((u32::from(ip) & u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0)).to_be_bytes())
            }
            IpAddr::V6(ip) => {
                IpAddr::from((u128::from(ip) & u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0)).to_be_bytes())
            }
        };
        if network != first {
            // A slip in one of the two: which one, nobody can know.
            return Err(format!("bits of the address are set behind the /{bits}; write \"{network}/{bits}\", if that is meant"));
        }
        if first.to_canonical() != first {
            return Err(format!("write it as the IPv4 address that it is: \"{}\"", first.to_canonical()));
        }
        Ok(Self { first, bits })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_the_addresses_whose_first_bits_are_its_own() {
        let contains = |network: &str, address: &str| network.parse::<Network>().unwrap().contains(address.parse().unwrap());
        for (network, address) in [
            ("10.0.0.0/8", "10.255.0.1"),
            ("10.0.0.0/8", "::ffff:10.0.0.1"),
            ("0.0.0.0/0", "1.2.3.4"),
            ("192.168.1.7", "192.168.1.7"),
            ("fd00::/8", "fd12::1"),
            ("::/0", "2001::1"),
            ("::1", "::1"),
        ] {
            assert!(contains(network, address), "{network} {address}");
        }
        for (network, address) in [
            ("10.0.0.0/8", "11.0.0.1"),
            ("192.168.1.7", "192.168.1.6"),
            ("::/0", "1.2.3.4"),
            ("0.0.0.0/0", "::1"),
            ("fd00::/8", "fe80::1"),
        ] {
            assert!(!contains(network, address), "{network} {address}");
        }
    }

    #[test]
    fn what_is_no_network_says_what_would_be_right() {
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "localhost",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "::ffff:10.0.0.1",
            "::/129",
            "10.0.0.0/8/8",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
        assert_eq!("10.0.0.0/8".parse::<Network>().unwrap().to_string(), "10.0.0.0/8");
        assert!("10.1.2.3/8".parse::<Network>().unwrap_err().contains("10.0.0.0/8"));
    }
}
