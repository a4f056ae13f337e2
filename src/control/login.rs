//! Saying who mainstay is, and not repeating the password when a server does.

use std::sync::Arc;

use super::wire::{Fault, Reply, Wire, excerpt, outcome_of_error};
use crate::config::Credentials;
use crate::route::Login;
use crate::topology::Outcome;

/// The same for the data path.
pub(super) fn of(credentials: &Credentials) -> Arc<Login> {
    let Credentials { username, password } = credentials;
    Arc::new(Login { username: username.clone(), password: password.expose().to_owned() })
}

/// AUTH, where there is something to say. `Some` is why the server refused.
pub(super) async fn log_in(wire: &mut Wire, credentials: Option<&Credentials>) -> Result<Option<Outcome>, Fault> {
    let Some(credentials) = credentials else { return Ok(None) };
    let password = credentials.password.expose();
    let asked = match &credentials.username {
        Some(username) => wire.ask(&["AUTH", username, password]).await,
        None => wire.ask(&["AUTH", password]).await,
    };
    match asked {
        Ok(Reply::Text(_)) => Ok(None),
        Ok(Reply::Error(text)) => {
            let text = without_secret(&text, password);
            Ok(Some(match outcome_of_error(text) {
                Outcome::NotRedis(_) => Outcome::AuthRefused(excerpt(text)),
                other => other,
            }))
        }
        Err(Fault::Backend(Outcome::NotRedis(said))) => {
            Err(Fault::Backend(Outcome::NotRedis(without_secret(&said, password).to_owned())))
        }
        Err(fault) => Err(fault),
    }
}

/// What was answered to AUTH, as far as it may be repeated. A server that does not know the command quotes its arguments ("unknown
/// command 'AUTH', with args beginning with: ..."), and an echo service all of it: both would put the password into the log.
fn without_secret<'a>(said: &'a str, password: &str) -> &'a str {
    let said = said.split(", with args").next().unwrap_or_default();
    // Quoting may cut the password short, so the name of the command beside other quoted protocol gives an echo away as well.
    let echo = said.contains("$4\\r\\nAUTH");
    if echo || said.contains(password) { "(its answer to AUTH quotes the password)" } else { said }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_to_auth_is_repeated_without_the_password() {
        let refused = "WRONGPASS invalid username-password pair or user is disabled.";
        assert_eq!(without_secret(refused, "hunter2"), refused);
        let unknown = "ERR unknown command 'AUTH', with args beginning with: 'app' 'hunter2' ";
        assert_eq!(without_secret(unknown, "hunter2"), "ERR unknown command 'AUTH'");
        for quoted in ["ERR what is hunter2?", r#"it said "*2\r\n$4\r\nAUTH\r\n$15\r\nhunter2hunte""#] {
            assert!(!without_secret(quoted, "hunter2").contains("hunter2"), "{quoted}");
        }
        let cut_short = r#"it said "*2\r\n$4\r\nAUTH\r\n$40\r\nsecretsecret""#;
        assert!(!without_secret(cut_short, "secretsecretsecret").contains("secret"));
    }
}
