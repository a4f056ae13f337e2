//! Certificates end on a day that everybody has forgotten: until when each file is good, as a metric and in the log.
//!
//! A chain is as good as its first certificate to expire; a file of CAs as its last one, since bundles carry old ones along.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tracing::warn;

use crate::config::{Config, Pem};
use crate::metrics::Metrics;
use crate::route::rfc3339;
use crate::tls;

/// How long before the end it is said.
const SAY_BEFORE: Duration = Duration::from_secs(14 * 24 * 3600);
/// How often the same is said again.
const SAY_EVERY: Duration = Duration::from_secs(24 * 3600);
/// How often it is looked whether there is something to say.
const LOOK_EVERY: Duration = Duration::from_secs(3600);

/// What was said of which file, and when.
#[derive(Debug, Default)]
pub struct Expiry {
    looked_at: Option<Instant>,
    said: HashMap<PathBuf, (u64, Instant)>,
}

impl Expiry {
    /// To be called whenever there is time, and with `changed` after each change of the configuration.
    pub fn look(&mut self, config: &Config, metrics: &Metrics, changed: bool) {
        let now = Instant::now();
        if !changed && self.looked_at.is_some_and(|looked_at| now.duration_since(looked_at) < LOOK_EVERY) {
            return;
        }
        self.looked_at = Some(now);
        let ends = ends(config);
        metrics.certificates(ends.iter().map(|(path, end)| (path.display().to_string(), *end)));
        for word in self.words(&ends, SystemTime::now(), now) {
            warn!("{word}");
        }
    }

    /// What is to be said now.
    fn words(&mut self, ends: &[(PathBuf, u64)], today: SystemTime, now: Instant) -> Vec<String> {
        self.said.retain(|path, said| ends.iter().any(|(other, end)| path == other && said.0 == *end));
        let mut words = Vec::new();
        for (path, end) in ends {
            let until = UNIX_EPOCH + Duration::from_secs(*end);
            let recently = |said: &(u64, Instant)| now.saturating_duration_since(said.1) < SAY_EVERY;
            if until > today + SAY_BEFORE || self.said.get(path).is_some_and(recently) {
                continue;
            }
            self.said.insert(path.clone(), (*end, now));
            let (path, day) = (path.display(), rfc3339(until));
            words.push(if until <= today {
                format!("the certificate in {path} expired on {day}; write a new one there, it is taken without a reload")
            } else {
                let days = until.duration_since(today).unwrap_or_default().as_secs() / (24 * 3600);
                format!("the certificate in {path} expires on {day}, in {days} days; write a new one there, it is taken without a reload")
            });
        }
        words
    }
}

/// Each file once, with its end in seconds since 1970.
fn ends(config: &Config) -> Vec<(PathBuf, u64)> {
    let all = |pem: &Pem| {
        let pem = tls::Pem { path: &pem.path, bytes: pem.text.as_bytes() };
        // A certificate that cannot be read was refused elsewhere.
        pem.valid_until().unwrap_or_default()
    };
    let chains = config.identities().map(|identity| &identity.certificate).map(|pem| (&pem.path, all(pem).into_iter().min()));
    let authorities = config.authorities().map(|pem| (&pem.path, all(pem).into_iter().max()));
    let mut ends: Vec<_> = chains.chain(authorities).filter_map(|(path, end)| Some((path.clone(), end?))).collect();
    ends.sort();
    ends.dedup_by(|(path, _), (before, _)| path == before);
    ends
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 3600;

    #[test]
    fn a_certificate_is_said_to_end_once_a_day_from_two_weeks_before() {
        let (mut expiry, now) = (Expiry::default(), Instant::now());
        let today = UNIX_EPOCH + Duration::from_secs(1000 * DAY);
        let mut said = |end: u64, hours: u64| {
            let passed = Duration::from_secs(hours * 3600);
            expiry.words(&[("c.pem".into(), end * DAY)], today + passed, now + passed)
        };
        assert_eq!(said(1020, 0), Vec::<String>::new());
        let word = said(1010, 0);
        assert!(word[0].contains("c.pem expires on 1972-10-07") && word[0].contains("in 10 days"), "{word:?}");
        assert!(said(1010, 23).is_empty());
        assert_eq!(said(1010, 24).len(), 1);
        assert_eq!(said(1009, 24).len(), 1, "another certificate");
        assert!(said(1009, 25).is_empty());
        assert!(said(1009, 24 * 9)[0].contains("expired on 1972-10-06"));
    }
}
