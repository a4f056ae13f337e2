//! What is counted of a group's Sentinels.

use prometheus::{IntGaugeVec, Opts, Registry};

use super::GroupMetrics;

/// The values of the label `state`.
const STATES: [&str; 6] = ["answering", "silent", "unknown_master", "stale", "ahead", "tilt"];

#[derive(Clone, Debug)]
pub(super) struct Families {
    sentinels: IntGaugeVec,
    agree: IntGaugeVec,
}

impl Families {
    /// Registers them.
    #[allow(clippy::missing_panics_doc)]
    pub(super) fn register(registry: &Registry) -> Self {
        let family = |name: &str, help: &str, labels: &[&str]| {
            // A family can only be refused for a wrong or doubled name, and the names stand below.
            let family = IntGaugeVec::new(Opts::new(name, help), labels).expect("a valid name");
            registry.register(Box::new(family.clone())).expect("each name once");
            family
        };
        Self {
            sentinels: family("mainstay_sentinels", "Sentinels known, by how they stand.", &["group", "state"]),
            agree: family("mainstay_sentinels_agree", "1 while a majority of the Sentinels names the primary.", &["group"]),
        }
    }
}

impl GroupMetrics {
    /// `mainstay_sentinels` and `mainstay_sentinels_agree`: the state of each, and whether a majority names the primary. A group without
    /// Sentinels has no such series.
    pub fn sentinels(&self, sentinels: Option<(&[&str], bool)>) {
        let Families { sentinels: family, agree } = &self.families.sentinels;
        let Some((states, agrees)) = sentinels else {
            for state in STATES {
                let _ = family.remove_label_values(&[self.group.as_str(), state]);
            }
            let _ = agree.remove_label_values(&[&self.group]);
            return;
        };
        for state in STATES {
            let number = states.iter().filter(|is| **is == state).count();
            family.with_label_values(&[self.group.as_str(), state]).set(i64::try_from(number).unwrap_or(i64::MAX));
        }
        agree.with_label_values(&[&self.group]).set(i64::from(agrees));
    }
}
