//! What a certificate says, in words for people.

use rustls::pki_types::UnixTime;
use x509_parser::prelude::{ASN1Time, FromDer, GeneralName, X509Certificate, X509Version};

/// Names that are worth repeating.
const NAMES_MAX: usize = 8;

/// See the module.
pub(super) struct Certificate<'a>(X509Certificate<'a>);

impl<'a> Certificate<'a> {
    pub(super) fn parse(der: &'a [u8]) -> Option<Self> {
        X509Certificate::from_der(der).ok().map(|(_, certificate)| Self(certificate))
    }

    /// Whose it is.
    pub(super) fn subject(&self) -> String {
        words(self.0.subject().to_string())
    }

    /// Who has signed it.
    pub(super) fn issuer(&self) -> String {
        words(self.0.issuer().to_string())
    }

    /// It is signed by its own key, as far as it says.
    pub(super) fn is_self_signed(&self) -> bool {
        self.0.subject().as_raw() == self.0.issuer().as_raw()
    }

    /// It may sign others: it says so, or is of a time when nobody could say it and signed itself.
    pub(super) fn may_sign(&self) -> bool {
        self.0.is_ca() || self.is_old() && self.is_self_signed()
    }

    /// Before version 3 there are no extensions, and so no names.
    pub(super) fn is_old(&self) -> bool {
        self.0.version() != X509Version::V3
    }

    /// The names and addresses that it is for. Its common name is none: nobody looks at that any more (RFC 6125, section 6.4.4).
    pub(super) fn names(&self) -> String {
        let Ok(Some(names)) = self.0.subject_alternative_name() else { return String::new() };
        let all = &names.value.general_names;
        let mut told: Vec<String> = all.iter().filter_map(name).take(NAMES_MAX).collect();
        if all.len() > NAMES_MAX {
            told.push(format!("and {} more", all.len() - NAMES_MAX));
        }
        words(told.join(", "))
    }

    /// Is it valid at that time?
    pub(super) fn is_valid(&self, now: UnixTime) -> bool {
        moment(now.as_secs()).is_some_and(|now| self.0.validity().is_valid_at(now))
    }

    /// In seconds since 1970.
    pub(super) fn end(&self) -> u64 {
        u64::try_from(self.0.validity().not_after.timestamp()).unwrap_or(0)
    }

    /// `2026-01-31 12:00 UTC`
    pub(super) fn valid_until(&self) -> String {
        day(self.0.validity().not_after)
    }

    /// The same of its first day.
    pub(super) fn valid_since(&self) -> String {
        day(self.0.validity().not_before)
    }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match <[u8; 4]>::try_from(*bytes) {
            Ok(bytes) => Some(std::net::Ipv4Addr::from(bytes).to_string()),
            Err(_) => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| std::net::Ipv6Addr::from(bytes).to_string()),
        },
        _ => None,
    }
}

fn moment(secs: u64) -> Option<ASN1Time> {
    ASN1Time::from_timestamp(i64::try_from(secs).ok()?).ok()
}

fn day(time: ASN1Time) -> String {
    let time = time.to_datetime();
    let (year, month, day) = (time.year(), u8::from(time.month()), time.day());
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", time.hour(), time.minute())
}

/// A certificate is written by others: nothing of it may disturb a log line, or fill it.
fn words(text: String) -> String {
    text.chars().filter(|character| !character.is_control()).take(300).collect()
}
