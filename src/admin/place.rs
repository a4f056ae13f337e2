//! Which place a path names, and what its query says. Pure.

use crate::route::AdminState;

/// The endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `/`
    Index,
    /// `/healthz`
    Health,
    /// `/readyz`
    Ready,
    /// `/metrics`
    Metrics,
    /// `/api/v1/status`
    Status,
    /// `/api/v1/events`
    Events,
    /// `/api/v1/reload`
    Reload,
    /// `/api/v1/groups/{group}/elect`
    Elect {
        /// Configured name.
        group: String,
    },
    /// `/api/v1/groups/{group}/backends/{backend}/maintenance|drain|ready`
    Backend {
        /// Configured name.
        group: String,
        /// Configured address.
        backend: String,
        /// What is wanted of it.
        state: AdminState,
    },
}

/// Why a path names no place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// There is no such place.
    Nowhere,
    /// It cannot be read; the sentence says why.
    Malformed(String),
}

impl Place {
    /// Finds the place of a path as it came, percent-encoded: a backend's address may contain slashes and brackets.
    pub fn find(path: &str) -> Result<Self, Lost> {
        let segments = path.strip_prefix('/').ok_or(Lost::Nowhere)?.split('/').map(decode);
        let segments = segments.collect::<Result<Vec<_>, _>>().map_err(Lost::Malformed)?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match segments.as_slice() {
            [""] => Ok(Self::Index),
            ["healthz"] => Ok(Self::Health),
            ["readyz"] => Ok(Self::Ready),
            ["metrics"] => Ok(Self::Metrics),
            ["api", "v1", "status"] => Ok(Self::Status),
            ["api", "v1", "events"] => Ok(Self::Events),
            ["api", "v1", "reload"] => Ok(Self::Reload),
            ["api", "v1", "groups", group, "elect"] => Ok(Self::Elect { group: (*group).into() }),
            ["api", "v1", "groups", group, "backends", backend, word] => {
                let state = [AdminState::Ready, AdminState::Drain, AdminState::Maintenance];
                let state = state.into_iter().find(|state| state.as_str() == *word).ok_or(Lost::Nowhere)?;
                Ok(Self::Backend { group: (*group).into(), backend: (*backend).into(), state })
            }
            _ => Err(Lost::Nowhere),
        }
    }

    /// Answers wherever the admin address is bound, and to whoever asks: it changes nothing and names no secrets.
    pub fn is_open(&self) -> bool {
        match self {
            Self::Health | Self::Ready | Self::Metrics => true,
            Self::Index | Self::Status | Self::Events | Self::Reload | Self::Elect { .. } | Self::Backend { .. } => false,
        }
    }

    /// Changes something: takes POST, everything else takes GET and HEAD.
    pub fn is_action(&self) -> bool {
        match self {
            Self::Reload | Self::Elect { .. } | Self::Backend { .. } => true,
            Self::Index | Self::Health | Self::Ready | Self::Metrics | Self::Status | Self::Events => false,
        }
    }
}

/// The parameters of a query, decoded, in their order. One without `=` has an empty value. The error is a sentence, as in the others below.
pub fn query(query: Option<&str>) -> Result<Vec<(String, String)>, String> {
    let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(key, value)| Ok((decode(key)?, decode(value)?))).collect()
}

/// The value of a switch such as `force` or `primary`: absent is off; bare, `true` and `1` are on.
pub fn switch(parameters: &[(String, String)], name: &str) -> Result<bool, String> {
    let Some((_, value)) = parameters.iter().find(|(key, _)| key == name) else { return Ok(false) };
    match value.as_str() {
        "" | "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        other => Err(format!("{name}={other} is neither true nor false")),
    }
}

/// Undoes percent-encoding. `+` stays: it is a space only in forms, and a unix path may contain one.
fn decode(text: &str) -> Result<String, String> {
    let malformed = |why: &str| format!("{text:?} {why}");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let [high, low, tail @ ..] = rest else { return Err(malformed("ends within a percent-encoded byte")) };
        let digit = |byte: &u8| char::from(*byte).to_digit(16).ok_or_else(|| malformed("has a % that no two hex digits follow"));
        // Two hex digits fit a byte.
        bytes.push((digit(high)? * 16 + digit(low)?) as u8);
        rest = tail;
    }
    String::from_utf8(bytes).map_err(|_| malformed("is not UTF-8 once decoded"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoded_slash_belongs_to_the_name_and_not_to_the_path() {
        let place = Place::find("/api/v1/groups/jobs/backends/unix%3A%2Frun%2Fredis.sock/drain");
        let (group, backend) = ("jobs".into(), "unix:/run/redis.sock".into());
        assert_eq!(place, Ok(Place::Backend { group, backend, state: AdminState::Drain }));
        let place = Place::find("/api/v1/groups/a%20b/backends/%5B::1%5D:6379/maintenance");
        let (group, backend) = ("a b".into(), "[::1]:6379".into());
        assert_eq!(place, Ok(Place::Backend { group, backend, state: AdminState::Maintenance }));
    }

    #[test]
    fn what_is_not_a_place_is_nowhere() {
        for path in ["*", "", "//", "/healthz/", "/HEALTHZ", "/api/v1/groups/jobs/backends/a/explode", "/api/v1/groups/elect"] {
            assert_eq!(Place::find(path), Err(Lost::Nowhere), "{path}");
        }
    }

    #[test]
    fn broken_encoding_is_told_and_not_guessed() {
        for path in ["/%", "/%2", "/%zz", "/%ff"] {
            assert!(matches!(Place::find(path), Err(Lost::Malformed(_))), "{path}");
        }
    }

    #[test]
    fn a_switch_is_off_on_or_a_mistake() {
        let force = |text| switch(&query(Some(text)).unwrap(), "force");
        assert_eq!(force(""), Ok(false));
        assert_eq!(force("force"), Ok(true));
        assert_eq!(force("x=y&force=true"), Ok(true));
        assert_eq!(force("force=false"), Ok(false));
        assert!(force("force=ture").is_err());
    }
}
