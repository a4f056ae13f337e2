//! The import law: observations flow in, pure code decides, one route flows out. So the data path cannot know the control side,
//! nor the control side the data path, and what decides knows neither.

/// Each room and the rooms that it may know besides itself.
const LAW: &[(&str, &[&str])] = &[
    ("config", &[]),
    ("metrics", &[]),
    ("resp", &[]),
    ("tls", &["config"]),
    ("route", &["resp", "tls"]),
    ("topology", &["resp", "route"]),
    ("conversation", &["resp", "route"]),
    ("control", &["config", "metrics", "resp", "route", "tls", "topology"]),
    ("proxy", &["config", "conversation", "metrics", "resp", "route", "tls"]),
    ("admin", &["config", "metrics", "route", "tls"]),
    ("app", &["admin", "config", "control", "conversation", "metrics", "proxy", "resp", "route", "tls", "topology"]),
    // `status` prints what admin answers, and the words of that answer are route's.
    ("cli", &["app", "config", "route", "tls"]),
    ("main", &["app", "cli", "config"]),
    // The map: it declares the rooms.
    (
        "lib",
        &["admin", "app", "cli", "config", "control", "conversation", "metrics", "proxy", "resp", "route", "tls", "topology"],
    ),
];

/// The imports of `source`, the text of `path` (such as `src/proxy/worker.rs`), that the law forbids.
pub fn faults(path: &str, source: &str) -> Vec<String> {
    let parts: Vec<&str> = path.trim_start_matches("src/").trim_end_matches(".rs").split('/').collect();
    let room = parts[0];
    let Some((_, may)) = LAW.iter().find(|(name, _)| *name == room) else {
        return vec![format!("{path}:1: the room \"{room}\" has no place in the import law (tests/house/imports.rs)")];
    };
    // src/proxy.rs and src/proxy/mod.rs are one step below the crate, src/proxy/worker.rs is two.
    let depth = parts.iter().filter(|part| **part != "mod").count();
    let code = without_comments(source);
    let mut imported: Vec<(usize, String)> = Vec::new();
    // The binary knows the library by its name; in the library itself that word is only ever text.
    let roots: &[&str] = if ["main", "cli"].contains(&room) { &["crate::", "mainstay::"] } else { &["crate::"] };
    for root in roots {
        for at in starts(&code, root) {
            imported.extend(first_names(&code, at + root.len()));
        }
    }
    // `super::` as often as it takes to reach the crate. Inside an inline module the same chain reaches less far, and then
    // what follows is not the name of a room.
    let to_the_crate = "super::".repeat(depth);
    for at in starts(&code, &to_the_crate) {
        imported.extend(first_names(&code, at + to_the_crate.len()).into_iter().filter(|(_, name)| is_room(name)));
    }
    imported
        .into_iter()
        // A name that is no room is one that lib.rs declares itself.
        .filter(|(_, name)| name != room && is_room(name) && !may.contains(&name.as_str()))
        .map(|(at, name)| {
            let line = code[..at].matches('\n').count() + 1;
            let known = if may.is_empty() { "no other room".to_owned() } else { may.join(", ") };
            format!("{path}:{line}: \"{room}\" must not import \"{name}\"; the import law lets it know {known}")
        })
        .collect()
}

fn is_room(name: &str) -> bool {
    LAW.iter().any(|(room, _)| *room == name)
}

/// Where `word` stands, not as the tail of a longer one.
fn starts(code: &str, word: &str) -> Vec<usize> {
    let within = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    code.match_indices(word).map(|(at, _)| at).filter(|at| !code[..*at].ends_with(within)).collect()
}

/// The first names of the path or the braced list of paths at `at`, each with its position.
fn first_names(code: &str, at: usize) -> Vec<(usize, String)> {
    let name_at = |at: usize| -> Option<(usize, String)> {
        let name: String = code[at..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        (!name.is_empty()).then_some((at, name))
    };
    if !code[at..].starts_with('{') {
        return name_at(at).into_iter().collect();
    }
    let (mut names, mut depth, mut expects_name) = (Vec::new(), 0, false);
    for (offset, c) in code[at..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        match c {
            '}' if depth == 0 => break,
            '{' | ',' if depth == 1 => expects_name = true,
            c if expects_name && !c.is_whitespace() => {
                names.extend(name_at(at + offset));
                expects_name = false;
            }
            _ => {}
        }
    }
    names
}

/// The same text with every comment blanked, so that positions and lines stay. A `//` inside a string blanks the rest of that
/// line too, which hides no import: none follows a string on one line after formatting.
fn without_comments(source: &str) -> String {
    let blank = |line: &str| match line.find("//") {
        Some(at) => format!("{}{}", &line[..at], " ".repeat(line.len() - at)),
        None => line.to_owned(),
    };
    source.split('\n').map(blank).collect::<Vec<_>>().join("\n")
}
