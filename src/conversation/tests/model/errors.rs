//! Errors that the client may be told, and when.

use super::client::{Asked, Client, Excuses, NUMBERS};
use super::data::Ledger;
use super::server::{ABORTED, ABORTED_FOR, LOADING, NO_MULTI, NOREPLICAS, NOSCRIPT, READONLY, SUBSCRIBED, UNBLOCKED};

const REFUSED: &str = "MASTERDOWN mainstay: ";

/// A later write was executed: asked again it would come behind that.
fn was_overtaken(asked: &Asked, ledger: &Ledger) -> bool {
    let of_its_client = |number: u32| number + 1..(number / NUMBERS + 1) * NUMBERS;
    asked.number.is_some_and(|number| ledger.written_at.range(of_its_client(number)).next().is_some())
}

impl Client {
    /// Panics where nothing excuses the error.
    pub(super) fn permit(&self, asked: &Asked, text: &str, excuses: Excuses, ledger: &Ledger) {
        let name = &*asked.words[0];
        let is_script = matches!(name, "EVAL" | "EVALSHA");
        // What cannot be asked again is told.
        let is_told = excuses.stays || excuses.big || was_overtaken(asked, ledger);
        let permitted = match text {
            _ if text.starts_with("MASTERDOWN mainstay: the primary was lost in the middle of this request") => asked.big,
            _ if text.starts_with(REFUSED) => excuses.refused,
            READONLY | NOREPLICAS | LOADING => is_told || name == "FOO.BAR" || is_script && text != READONLY || name == "WAIT",
            UNBLOCKED => is_told,
            NOSCRIPT => name == "EVALSHA" && (excuses.script_refused || !self.scripts.contains(&asked.words[1])),
            // Its MULTI may have come after the window.
            ABORTED => excuses.refused || self.multi.as_ref().is_some_and(|multi| multi.dirty),
            NO_MULTI | "ERR DISCARD without MULTI" => self.multi.is_none(),
            SUBSCRIBED => !self.subscriptions.is_empty() && self.state.proto == 2,
            "ERR DB index is out of range" => asked.words[1] == "99",
            "ERR WAIT cannot be used with replica instances." => name == "WAIT",
            _ if is_script && text.starts_with(NOREPLICAS) => true,
            _ if is_script && text.starts_with(READONLY) => is_told,
            _ if text.starts_with("ERR mainstay: the primary changed and cursors do not move") => {
                name == "SCAN" && excuses.moved && asked.words[1] != "0"
            }
            _ if text.starts_with("ERR mainstay: the primary changed after your last write") => name == "WAIT" && excuses.moved,
            _ if text.starts_with("ERR mainstay: the connection to the primary is another one") => {
                name == "WAIT" && excuses.moved
            }
            _ => match text.strip_prefix(ABORTED_FOR) {
                Some(why) if why.starts_with(REFUSED) => excuses.refused,
                Some(_) => is_told,
                None => false,
            },
        };
        assert!(permitted, "{asked:?} was answered {text:?}, and nothing excuses it: {excuses:?}, multi {:?}", self.multi);
    }
}
