//! Every key there is, and what to say about one that there is not.

/// Every key there is, by section. The empty name is the top of the file.
pub const SECTIONS: [(&str, &[&str]); 14] = [
    ("", &["log", "admin", "runtime", "group", "listener"]),
    ("log", &["level", "format"]),
    ("admin", &["bind", "token_file", "tls"]),
    ("admin.tls", &["cert_file", "key_file", "client_ca_file"]),
    ("runtime", &["workers", "drain_timeout"]),
    (
        "group",
        &[
            "name",
            "backends",
            "username",
            "password_env",
            "password_file",
            "resolve_interval",
            "max_succession_gap",
            "check",
            "hold",
            "tls",
            "sentinel",
        ],
    ),
    ("group.check", &["interval", "fast_interval", "timeout", "rise", "fall"]),
    ("group.hold", &["window", "max_bytes"]),
    ("group.tls", &["ca_file", "cert_file", "key_file", "server_name"]),
    ("group.sentinel", &["master_name", "addresses", "username", "password_env", "password_file", "tls"]),
    ("group.sentinel.tls", &["ca_file", "cert_file", "key_file", "server_name"]),
    (
        "listener",
        &[
            "name",
            "bind",
            "group",
            "route",
            "max_lag",
            "fallback",
            "mode",
            "shared_connections",
            "verify_alignment",
            "max_connections",
            "connect_timeout",
            "idle_timeout",
            "keepalive",
            "allow",
            "proxy_protocol_from",
            "deny_commands",
            "tls",
            "auth",
        ],
    ),
    ("listener.tls", &["cert_file", "key_file", "client_ca_file"]),
    ("listener.auth", &["users", "users_file", "username", "password_env", "password_file"]),
];

/// The keys of a section.
pub(super) fn known(kind: &str) -> &'static [&'static str] {
    SECTIONS.iter().find(|(section, _)| *section == kind).map_or(&[], |(_, keys)| keys)
}

/// What to say about a key that is not in [`SECTIONS`]: a likely misspelling, a key of another section, or what there is.
pub(super) fn unknown(kind: &str, key: &str) -> (&'static str, String) {
    if key == "password" {
        let right = "write the name of an environment variable in password_env, or of a file in password_file".into();
        return ("a password does not stand in the configuration itself", right);
    }
    let wrong = "there is no such key";
    let near = known(kind).iter().map(|known| (distance(key, known), known)).min();
    if let Some((_, known)) = near.filter(|(distance, known)| *distance <= (known.len() / 3).clamp(1, 3)) {
        return (wrong, format!("did you mean `{known}`?"));
    }
    let all = SECTIONS.iter().flat_map(|(section, keys)| keys.iter().map(move |known| (*section, *known)));
    if let Some((section, known)) =
        all.min_by_key(|(_, known)| distance(key, known)).filter(|(_, known)| distance(key, known) <= 1)
    {
        return (wrong, format!("`{known}` belongs under {}", header(section)));
    }
    (wrong, format!("{} knows {}", header(kind), known(kind).join(", ")))
}

fn header(section: &str) -> String {
    match section {
        "" => "the top of the file".into(),
        "group" | "listener" => format!("[[{section}]]"),
        _ => format!("[{section}]"),
    }
}

/// How many letters have to change. The beginning of a word (`inter`, `maxconn`) is as near as it gets.
fn distance(written: &str, known: &str) -> usize {
    let plain = |word: &str| word.chars().filter(|c| c.is_alphanumeric()).take(40).collect::<Vec<_>>();
    let (written, known) = (plain(written), plain(known));
    if written.len() >= 4 && known.starts_with(&written) {
        return 1;
    }
    let mut row: Vec<usize> = (0..=known.len()).collect();
    for (i, a) in written.iter().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, b) in known.iter().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[known.len()]
}
