//! Paths and queries of the admin side: what is open to everybody is three places, however they are written.

use mainstay::admin::place::{Place, query, switch};

/// Panics where a rule is broken.
pub fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (path, parameters) = text.split_once('?').map_or((&*text, None), |(path, query)| (path, Some(query)));
    if let Ok(place) = Place::find(path) {
        let open = matches!(place, Place::Health | Place::Ready | Place::Metrics);
        assert_eq!(place.is_open(), open, "{path}");
        assert!(!(place.is_open() && place.is_action()), "{path}");
        assert!(path.starts_with('/'), "{path}");
        if !path.contains('%') && open {
            assert!(["/healthz", "/readyz", "/metrics"].contains(&path), "{path}");
        }
        if let Place::Elect { group } | Place::Backend { group, .. } = &place {
            let plain = |c: char| c.is_ascii_alphanumeric();
            // Encoded or not, it is the same place.
            let encoded: String = group.chars().map(|c| if plain(c) { c.to_string() } else { percent(c) }).collect();
            let elect = Place::find(&format!("/api/v1/groups/{encoded}/elect"));
            assert_eq!(elect, Ok(Place::Elect { group: group.clone() }), "{path}");
        }
    }
    if let Ok(parameters) = query(parameters) {
        assert!(parameters.len() <= text.len());
        for (key, _) in &parameters {
            let _ = switch(&parameters, key);
        }
    }
}

fn percent(c: char) -> String {
    c.to_string().bytes().map(|byte| format!("%{byte:02x}")).collect()
}
