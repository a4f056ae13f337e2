//! Configuration: any text is valid or has faults with their places, and what is valid reads back from its effective form.

use mainstay::config;

/// Panics where a rule is broken.
pub fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    // It may name any file, and one that never ends must not stop the fuzzing.
    if text.contains("_file") {
        return;
    }
    let environment = |_: &str| Some("from the environment".into());
    match config::parse_with(&text, "fuzzed.toml", &environment) {
        Ok(config) => {
            let printed = config.to_toml();
            assert!(!printed.contains("from the environment"), "{printed}");
            // The hashes of users are not shown, so that these do not read back.
            if config.listeners.iter().all(|listener| listener.auth.is_none()) {
                let again = config::parse_with(&printed, "printed.toml", &environment);
                assert_eq!(again.as_ref(), Ok(&config), "{printed}");
            }
        }
        Err(faults) => {
            assert!(faults.iter().next().is_some() && faults.to_string().starts_with("fuzzed.toml"), "{faults}");
            assert!(faults.iter().all(|fault| fault.line.is_none_or(|line| line >= 1 && line <= text.lines().count() + 1)));
        }
    }
}
