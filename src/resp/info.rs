//! The text that `INFO` answers: `key:value` lines under `# Section` headings.

/// Every `(key, value)` of an INFO text, in order. Lines that are neither heading nor pair are skipped: servers add things.
pub fn fields(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.trim_end().split_once(':'))
}

/// The value of `name` in a list such as `keys=3,expires=0,avg_ttl=0`.
pub fn item<'a>(list: &'a str, name: &str) -> Option<&'a str> {
    list.split(',').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_pairs_and_headings_are_not() {
        let text = "# Replication\r\nrole:master\r\nslave0:ip=127.0.0.1,port=7002\r\n\r\nnonsense\r\n";
        assert_eq!(fields(text).collect::<Vec<_>>(), [("role", "master"), ("slave0", "ip=127.0.0.1,port=7002")]);
        assert_eq!(item("keys=3,expires=0", "expires"), Some("0"));
        assert_eq!(item("keys=3", "expires"), None);
    }
}
