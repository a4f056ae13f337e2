//! INFO texts: whatever a server says, the facts are what the lines say, one by one, and bounded by them.

use mainstay::resp::info;
use mainstay::topology::{Facts, Outcome};

/// Panics where a rule is broken.
pub fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let facts = Facts::parse(&text);
    for (key, value) in info::fields(&text) {
        assert!(!key.starts_with('#') && !key.contains([':', '\n']) && !value.contains('\n'), "{key:?} {value:?}");
        let _ = info::item(value, "keys");
    }
    let said = |id: &str| info::fields(&text).any(|(_, value)| value == id);
    for id in [&facts.run_id, &facts.replid, &facts.replid2].into_iter().flatten() {
        assert!(said(id.as_str()), "{id:?} stands nowhere in {text:?}");
    }
    // The order of lines means nothing but where a line comes twice.
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable_by_key(|line| line.split(':').next());
    let doubled = lines.windows(2).any(|pair| pair[0].split(':').next() == pair[1].split(':').next());
    let odd = text.contains("version") || text.contains("loading");
    if !doubled && !odd {
        assert_eq!(Facts::parse(&lines.join("\n")), facts, "{text:?}");
    }
    match Outcome::of_info(&text) {
        Outcome::Facts(seen) => assert_eq!(*seen, facts),
        other => assert!(other.message().is_some(), "{other:?} without a word"),
    }
}
