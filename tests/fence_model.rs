//! The fence protocol under every interleaving that the memory model allows, checked by loom. The code under test is the file that
//! mainstay runs, compiled here with loom's atomics.

#[path = "../src/route/fence.rs"]
#[allow(dead_code)]
mod fence;

/// Where `fence.rs` takes its atomics from.
mod sync {
    pub use loom::sync::atomic::{AtomicU64, Ordering};
}

use fence::{Fence, Passage};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use loom::thread;

const OLD: u64 = 0;
const NOW: u64 = 1;
const LATER: u64 = 2;

/// A worker: writes for the old epoch while the fence lets it, and when it hears of the new one aborts and acknowledges.
fn worker(index: usize, fence: &Fence, granted: &AtomicBool, announced: &AtomicU64) {
    for _ in 0..2 {
        if fence.passage(OLD, NOW) == Passage::Open {
            // This is the write. It is atomic with nothing: control may have raised the fence since.
            assert!(!granted.load(Ordering::SeqCst), "a write of the old epoch after the grant of the new one");
        }
        let epoch = announced.load(Ordering::SeqCst);
        if epoch > OLD {
            // All its sessions of the old epoch are reset here; it writes for them no more.
            fence.acknowledge(index, epoch);
            return;
        }
    }
}

#[test]
fn nobody_writes_for_the_old_epoch_after_the_new_one_was_granted() {
    // Three threads: every interleaving with up to three preemptions, which is where such faults show; all of them would take hours.
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let fence = Arc::new(Fence::new(OLD, 2));
        fence.renew(LATER);
        let granted = Arc::new(AtomicBool::new(false));
        let announced = Arc::new(AtomicU64::new(OLD));
        let workers: Vec<_> = (0..2)
            .map(|index| {
                let (fence, granted, announced) = (fence.clone(), granted.clone(), announced.clone());
                thread::spawn(move || worker(index, &fence, &granted, &announced))
            })
            .collect();
        // Control: withdraw, announce, grant only when all have acknowledged. It may also have to wait: then nothing is granted.
        let epoch = fence.raise();
        announced.store(epoch, Ordering::SeqCst);
        if fence.all_acknowledged() {
            granted.store(true, Ordering::SeqCst);
        }
        for worker in workers {
            worker.join().expect("the worker's own assertions");
        }
    });
}

#[test]
fn after_the_raise_no_passage_is_open_for_the_old_epoch() {
    loom::model(|| {
        let fence = Arc::new(Fence::new(OLD, 1));
        fence.renew(LATER);
        let raised = Arc::new(AtomicBool::new(false));
        let control = {
            let (fence, raised) = (fence.clone(), raised.clone());
            thread::spawn(move || {
                let epoch = fence.raise();
                raised.store(true, Ordering::SeqCst);
                fence.renew(LATER);
                epoch
            })
        };
        let was_raised = raised.load(Ordering::SeqCst);
        let passage = fence.passage(OLD, NOW);
        assert!(!(was_raised && passage == Passage::Open), "an old write passed a raised fence");
        assert_eq!(control.join().expect("control"), OLD + 1);
        assert_eq!(fence.passage(OLD, NOW), Passage::Passed);
        assert!(!fence.all_acknowledged());
        fence.acknowledge(0, OLD + 1);
        assert!(fence.all_acknowledged());
    });
}

#[test]
fn a_lapsed_fence_lets_nothing_through_until_it_is_renewed() {
    loom::model(|| {
        let fence = Fence::new(OLD, 1);
        assert_eq!(fence.passage(OLD, NOW), Passage::Lapsed);
        fence.renew(LATER);
        assert_eq!(fence.passage(OLD, LATER), Passage::Open);
        assert_eq!(fence.passage(OLD, LATER + 1), Passage::Lapsed);
        assert!(fence.renew(LATER + 2) < LATER + 1, "it had lapsed");
        assert!(fence.renew(LATER + 3) >= LATER + 2, "it had not");
    });
}
