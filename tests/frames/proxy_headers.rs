//! Headers of the PROXY protocol, made up and damaged.

use proptest::prelude::*;

use crate::checks::proxy_header::check;

fn text() -> impl Strategy<Value = Vec<u8>> {
    let family = prop_oneof![Just("TCP4"), Just("TCP6"), Just("UNKNOWN"), Just("UDP4")];
    let address = prop_oneof![
        any::<[u8; 4]>().prop_map(|a| std::net::Ipv4Addr::from(a).to_string()),
        any::<u128>().prop_map(|a| std::net::Ipv6Addr::from(a).to_string())
    ];
    (family, address.clone(), address, 0..70_000_u32, any::<u16>())
        .prop_map(|(family, from, to, a, b)| format!("PROXY {family} {from} {to} {a} {b}\r\n").into_bytes())
}

fn binary() -> impl Strategy<Value = Vec<u8>> {
    let pick = |all: &'static [u8]| prop::sample::select(all);
    let version = prop_oneof![8 => pick(&[0x20, 0x21]), 1 => any::<u8>()];
    let family = prop_oneof![8 => pick(&[0x00, 0x11, 0x21, 0x31, 0x12]), 1 => any::<u8>()];
    let body = prop_oneof![prop::collection::vec(any::<u8>(), 0..60), prop::collection::vec(any::<u8>(), 200..560)];
    (version, family, body).prop_map(|(version, family, body)| {
        let length = u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes();
        [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[version, family], &length, &body].concat()
    })
}

proptest! {
    #[test]
    fn a_header_is_the_same_however_it_comes_and_to_a_second_reader(
        mut bytes in prop_oneof![text(), binary()],
        behind in prop::collection::vec(any::<u8>(), 0..20),
        damage in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        bytes.extend(behind);
        if let Some((at, byte)) = damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        check(&bytes);
    }
}
