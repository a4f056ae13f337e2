//! The Sentinels of a group, as text.

use mainstay::route::{GroupStatus, SentinelStatus};

use super::{columns, line};

/// What of them needs a person.
pub(super) fn concerns(group: &GroupStatus) -> Vec<String> {
    let Some(word) = &group.sentinel else { return Vec::new() };
    let name = &group.name;
    let mut concerns = Vec::new();
    if let (Some(_), Some(primary)) = (&word.names, &group.primary)
        && word.backend.as_ref() != Some(primary)
    {
        concerns.push(format!("SENTINELS DISAGREE in {name}: the primary is {primary}, but {}", word.message));
    }
    let troubled = group.sentinels.iter().filter(|sentinel| !["answering", "tilt"].contains(&sentinel.state.as_str()));
    for SentinelStatus { address, state, message, .. } in troubled {
        let message = message.as_deref().unwrap_or(state);
        concerns.push(format!("SENTINEL {address} of {name} {message}"));
    }
    concerns
}

/// Their part of the page, where there are any.
pub(super) fn render(page: &mut String, group: &GroupStatus) {
    let Some(word) = &group.sentinel else { return };
    page.push('\n');
    line(page, format_args!("  SENTINELS, master name {}: {}", word.master_name, word.message));
    let cells = |sentinel: &SentinelStatus| {
        let SentinelStatus { address, state, names, config_epoch, message, .. } = sentinel;
        let epoch = config_epoch.map(|epoch| epoch.to_string());
        let known = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        let message = message.clone().unwrap_or_default();
        vec![address.clone(), state.clone(), known(names.clone()), known(epoch), message]
    };
    columns(page, &["SENTINEL", "STATE", "NAMES", "EPOCH", "MESSAGE"], group.sentinels.iter().map(cells).collect());
}

#[cfg(test)]
mod tests {
    use mainstay::route::SentinelWord;

    use super::*;

    #[test]
    fn what_needs_a_person_comes_first_and_all_of_them_are_listed() {
        let sentinel = |address: &str, state: &str, names: &str, message: Option<&str>| SentinelStatus {
            address: address.into(),
            state: state.into(),
            names: Some(names.into()),
            config_epoch: Some(7),
            message: message.map(str::to_owned),
            ..SentinelStatus::default()
        };
        let word = SentinelWord {
            master_name: "mymaster".into(),
            names: Some("10.0.0.2:6379".into()),
            backend: Some("redis2:6379".into()),
            message: "2 of 2 Sentinels name redis2:6379 at config epoch 7".into(),
            ..SentinelWord::default()
        };
        let mut group = GroupStatus {
            name: "jobs".into(),
            primary: Some("redis1:6379".into()),
            sentinel: Some(word),
            sentinels: vec![
                sentinel("s1:26379", "answering", "10.0.0.2:6379", None),
                sentinel("s2:26379", "silent", "10.0.0.2:6379", Some("does not answer within 1000 ms")),
            ],
            ..GroupStatus::default()
        };
        let expected = [
            "SENTINELS DISAGREE in jobs: the primary is redis1:6379, but 2 of 2 Sentinels name redis2:6379 at config epoch 7",
            "SENTINEL s2:26379 of jobs does not answer within 1000 ms",
        ];
        assert_eq!(concerns(&group), expected);
        let mut page = String::new();
        render(&mut page, &group);
        let expected = "
  SENTINELS, master name mymaster: 2 of 2 Sentinels name redis2:6379 at config epoch 7
  SENTINEL  STATE      NAMES          EPOCH  MESSAGE
  s1:26379  answering  10.0.0.2:6379  7
  s2:26379  silent     10.0.0.2:6379  7      does not answer within 1000 ms
";
        assert_eq!(page, expected);
        group.sentinel = None;
        page.clear();
        render(&mut page, &group);
        assert_eq!((concerns(&group).len(), page.as_str()), (0, ""));
    }
}
