//! What a worker has open to the primary of one group beyond what its sessions own: trunks, and connections that were given back.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::door::Door;
use super::{Stage, Trunk};
use crate::conversation::ConnectionKey;
use crate::proxy::lanes::Lanes;
use crate::proxy::policy::Policy;
use crate::proxy::redis_mode::is_heard_out;
use crate::proxy::tally::{OwnUpstream, SpareUpstream};
use crate::proxy::transport::Stream;
use crate::route::{Epoch, Moment, Way};

/// Trunks with the same key. One does the work of all; more are opened while large replies hold it up.
const TRUNKS_MAX: usize = 4;
/// Trunks of one group in one worker: as many users, databases and protocols can share. A client may log in as somebody else all the time.
const ALL_TRUNKS_MAX: usize = 64;
/// Connections that were given back and are kept.
const SPARES_MAX: usize = 16;
/// A trunk or a spare that is not used for so many ticks is closed: half a minute.
const IDLE_TICKS: u32 = 300;
/// What the primary refused is not tried again sooner.
const REFUSED_FOR: Duration = Duration::from_secs(5);

/// Wipes out what a session leaves on a connection.
const RESET: &[u8] = b"*1\r\n$5\r\nRESET\r\n";

/// See the module.
#[derive(Default)]
pub struct Pool {
    pub(super) trunks: RefCell<Vec<Rc<Trunk>>>,
    spares: RefCell<Vec<Spare>>,
    /// When the primary said last that a script keeps it busy.
    pub(super) busy: Cell<Option<(Epoch, u32)>>,
    /// For those who have not logged in.
    pub door: Door,
    refused: RefCell<Vec<(ConnectionKey, Moment)>>,
    /// The primary does not wipe out what a session leaves on a connection: none is used twice.
    distrusts: Cell<bool>,
}

/// A connection that a session has given back. Nothing is in flight on it but the request to forget that session.
pub struct Spare {
    /// It is open.
    pub stream: Stream,
    /// Where it leads to.
    pub epoch: Epoch,
    /// And how.
    way: Way,
    /// It counts as one that nobody uses.
    pub counted: SpareUpstream,
    tick: u32,
}

impl Pool {
    /// The trunk for sessions of this listener with this key, opened where there is none. None where the server
    /// refused such a key, and where all that there may be are held up.
    pub fn trunk(
        &self,
        lanes: &Rc<Lanes>,
        policy: &Arc<Policy>,
        key: ConnectionKey,
        (epoch, way): (Epoch, &Way),
    ) -> Option<Rc<Trunk>> {
        if self.refuses(&key) {
            return None;
        }
        let fits =
            |trunk: &&Rc<Trunk>| trunk.serves(policy, &key, epoch) && matches!(trunk.stage.get(), Stage::Opening | Stage::Open);
        let mut trunks = self.trunks.borrow_mut();
        let of_this_kind: Vec<&Rc<Trunk>> = trunks.iter().filter(fits).collect();
        // Where one is silent it is mostly the server that is slow, to everybody: one more shows whether it is, and no more than that.
        let silent = of_this_kind.iter().find(|trunk| !trunk.is_congested()).filter(|_| of_this_kind.len() > 1);
        if let Some(trunk) = of_this_kind.iter().find(|trunk| trunk.is_lively()).or(silent) {
            return Some(Rc::clone(trunk));
        }
        if of_this_kind.len() >= TRUNKS_MAX {
            return None;
        }
        let living = || trunks.iter().filter(|trunk| !trunk.is_over());
        if living().count() >= ALL_TRUNKS_MAX {
            // The one that has been quiet for longest makes room. Where none is quiet this session goes alone.
            let now = lanes.local.tick.get();
            let quiet = living().filter(|trunk| trunk.is_idle(0)).max_by_key(|trunk| now.wrapping_sub(trunk.active.get()));
            quiet?.cut();
        }
        let trunk = Trunk::open(lanes, policy, key, epoch, way.clone());
        trunks.push(trunk.clone());
        Some(trunk)
    }

    /// Another trunk is as good as this one, and is not silent.
    pub fn has_livelier(&self, than: &Trunk) -> bool {
        let trunks = self.trunks.borrow();
        trunks.iter().any(|other| other.serves(&than.policy, &than.key, than.epoch) && other.is_open() && other.is_lively())
    }

    /// The primary has refused connections with this key a moment ago.
    fn refuses(&self, key: &ConnectionKey) -> bool {
        let mut refused = self.refused.borrow_mut();
        if refused.is_empty() {
            return false;
        }
        let now = Moment::now();
        refused.retain(|(_, until)| now < *until);
        refused.iter().any(|(known, _)| known == key)
    }

    /// The primary refuses connections with this key.
    pub fn refuse(&self, key: &ConnectionKey) {
        self.refused.borrow_mut().push((key.clone(), Moment::now() + REFUSED_FOR));
    }

    /// It has ended.
    pub fn forget(&self, trunk: &Rc<Trunk>) {
        self.trunks.borrow_mut().retain(|other| !Rc::ptr_eq(other, trunk));
    }

    /// A session needs this connection no longer. The fence was asked, and that it is still the way there.
    pub fn give_back(&self, mut stream: Stream, (epoch, way): (Epoch, Way), counted: OwnUpstream, tick: u32) {
        let mut spares = self.spares.borrow_mut();
        let has_room = spares.len() < SPARES_MAX && !self.distrusts.get();
        // At once: who it was, and its name, must not stand in the server's list of clients when the session has gone.
        if has_room && stream.send_now(RESET).is_ok_and(|taken| taken == RESET.len()) {
            spares.push(Spare { stream, epoch, way, counted: counted.given_back(), tick });
        }
    }

    /// A connection to the primary of this epoch that somebody has given back, and that is as new.
    pub fn take_spare(&self, epoch: Epoch) -> Option<Spare> {
        let mut spares = self.spares.borrow_mut();
        for index in (0..spares.len()).rev() {
            if spares[index].epoch != epoch {
                // Of another replica, or of the primary in place of one: as good as new for those who go there.
                continue;
            }
            let mut said = [0; 32];
            match spares[index].stream.receive_now(&mut said) {
                Ok(length) if said[..length] == *b"+RESET\r\n" => {
                    let mut spare = spares.swap_remove(index);
                    // The server may have closed it since, as it does with all at once: that stands behind what it said.
                    let still_stands = spare.stream.receive_now(&mut said);
                    if still_stands.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                        return Some(spare);
                    }
                }
                Ok(length) => {
                    // It does not wipe out what a session leaves on a connection: none is used twice.
                    self.distrusts.set(self.distrusts.get() || said[..length].starts_with(b"-"));
                    spares.swap_remove(index);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => drop(spares.swap_remove(index)),
            }
        }
        None
    }

    /// What is not in force any more retires, and nobody begins any more on what leads there by another way than the present one. What its server had said by now is passed on, and nothing more is written to it.
    pub fn retire(&self, lanes: &Lanes) {
        self.spares.borrow_mut().retain(|spare| lanes.still_grants(spare.epoch) && lanes.leads(&spare.way, spare.epoch));
        self.trunks.borrow().iter().for_each(|trunk| trunk.outdated.set(!lanes.leads(&trunk.way, trunk.epoch)));
        self.distrusts.set(false);
        self.refused.borrow_mut().clear();
        self.door.forget();
        let left = |trunk: &Rc<Trunk>| Some((trunk.clone(), lanes.passed(trunk.epoch, &trunk.policy)?));
        let passed: Vec<_> = self.trunks.borrow().iter().filter_map(left).collect();
        for (trunk, left) in passed {
            if is_heard_out(trunk.epoch, left) {
                trunk.hear_out();
            }
            trunk.retire(left);
        }
    }

    /// There is nothing that may have to be closed.
    pub fn is_empty(&self) -> bool {
        self.trunks.borrow().is_empty() && self.spares.borrow().is_empty()
    }

    /// Ends what has been awaited for long enough.
    pub fn expire(&self) {
        let now = Moment::now();
        let overdue: Vec<Rc<Trunk>> = self.trunks.borrow().iter().filter(|trunk| trunk.is_overdue(now)).cloned().collect();
        overdue.iter().for_each(|trunk| trunk.cut());
    }

    /// Closes what has not been used for a while.
    pub fn tidy(&self, tick: u32) {
        self.spares.borrow_mut().retain(|spare| tick.wrapping_sub(spare.tick) <= IDLE_TICKS);
        let idle: Vec<Rc<Trunk>> = self.trunks.borrow().iter().filter(|trunk| trunk.is_idle(IDLE_TICKS)).cloned().collect();
        idle.iter().for_each(|trunk| trunk.cut());
    }

    /// Passes on what primaries have said.
    pub fn hear_out(&self) {
        let trunks = self.trunks.borrow().clone();
        trunks.iter().for_each(|trunk| trunk.hear_out());
    }

    /// Ends everything.
    pub fn close(&self) {
        self.spares.borrow_mut().clear();
        let trunks = self.trunks.take();
        trunks.iter().for_each(|trunk| trunk.cut());
    }

    /// The fence was renewed, or there is something else to look at: what waits is written.
    pub fn push_on(&self) {
        self.trunks.borrow().iter().for_each(|trunk| trunk.soil());
    }
}
