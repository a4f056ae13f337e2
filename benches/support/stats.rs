//! Medians, quantiles and paired ratios.
//!
//! Why paired: the machine's speed drifts by more than the proxies differ. Two targets measured one right after the other in the
//! same round saw the same machine, so only ratios within a round are taken, and the median over the rounds is reported.

use std::fmt;

/// What is reported of many measurements of one thing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Half of the values are below.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// `None` for no values at all.
    pub fn of(values: &[f64]) -> Option<Self> {
        let sorted = sorted(values);
        Some(Self { median: quantile(&sorted, 0.5)?, min: *sorted.first()?, max: *sorted.last()? })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} ({:.2}–{:.2})", self.median, self.min, self.max)
    }
}

/// In ascending order.
pub fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// The value below which a share `q` of the sorted values lies, interpolated between neighbours.
pub fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let position = q.clamp(0.0, 1.0) * sorted.len().checked_sub(1)? as f64;
    let (low, high) = (sorted[position.floor() as usize], sorted[position.ceil() as usize]);
    Some(low + (high - low) * position.fract())
}

/// `above[i] / below[i]`, round by round; rounds in which either is missing or zero are left out.
pub fn paired_ratios(above: &[f64], below: &[f64]) -> Vec<f64> {
    above.iter().zip(below).map(|(a, b)| a / b).filter(|ratio| ratio.is_finite() && *ratio > 0.0).collect()
}

/// Between these values the median of all possible measurements lies, with 95 % confidence (from the ranks alone, whatever the
/// distribution). `None` for too few values.
pub fn median_confidence(values: &[f64]) -> Option<(f64, f64)> {
    let sorted = sorted(values);
    let (middle, reach) = (sorted.len() as f64 / 2.0, 0.98 * (sorted.len() as f64).sqrt());
    let (low, high) = ((middle - reach).floor(), (middle + reach).ceil());
    (low >= 1.0).then(|| Some((*sorted.get(low as usize - 1)?, *sorted.get(high as usize)?)))?
}
