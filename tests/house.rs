//! The rules of the house: who may import whom, how long a file may be, what stands where. Each fault names its file, its line
//! and the rule that it breaks.

mod house {
    pub mod files;
    pub mod imports;
}

use house::files;
use house::imports;

/// Every fault at once: who moves code wants the whole list.
#[track_caller]
fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "{} of the house rules broken:\n  {}", faults.len(), faults.join("\n  "));
}

#[test]
fn no_room_imports_another_that_it_must_not_know() {
    let faults: Vec<String> = files::rust_files("src")
        .iter()
        .flat_map(|path| imports::faults(path, &std::fs::read_to_string(files::root().join(path)).expect("readable source")))
        .collect();
    assert_none(&faults);
}

#[test]
fn no_file_is_longer_than_a_reader_can_hold_in_mind() {
    assert_none(&files::too_long(&["src", "tests", "examples"]));
}

#[test]
fn nothing_is_called_utils() {
    assert_none(&files::shapeless_names(&["src", "tests", "examples", "benches"]));
}

#[test]
fn unsafe_code_is_forbidden_in_the_library_and_in_the_binary() {
    assert_none(&files::unsafe_not_forbidden());
}

#[test]
fn the_top_level_holds_only_what_a_newcomer_expects() {
    assert_none(&files::strangers_at_the_top());
}

#[test]
fn no_tracked_file_knows_the_machine_it_was_written_on() {
    assert_none(&files::traces_of_a_machine());
}

#[test]
fn the_law_is_read_in_every_spelling_of_an_import() {
    let broken = [
        ("src/proxy/worker.rs", "use crate::control::probe;", "control"),
        ("src/proxy/worker.rs", "use crate::{route::Route, admin::serve};", "admin"),
        ("src/proxy/worker.rs", "use crate::{\n    route::{Route, Fence},\n    control,\n};", "control"),
        ("src/proxy/worker.rs", "use super::super::control::probe;", "control"),
        ("src/proxy.rs", "use super::control;", "control"),
        ("src/control/mod.rs", "fn f() { crate::proxy::cut(); }", "proxy"),
        ("src/topology/election.rs", "use crate::control::Facts;", "control"),
        ("src/resp/info.rs", "use crate::route::Endpoint;", "route"),
        ("src/admin/http.rs", "use crate::topology::Facts;", "topology"),
        ("src/main.rs", "use mainstay::proxy::worker;", "proxy"),
        ("src/attic/old.rs", "use crate::route::Route;", "attic"),
    ];
    for (path, source, named) in broken {
        let faults = imports::faults(path, source);
        assert_eq!(faults.len(), 1, "{path}: {source}: {faults:?}");
        assert!(faults[0].starts_with(&format!("{path}:")) && faults[0].contains(named), "{faults:?}");
    }
    let kept = [
        ("src/app.rs", "use crate::{admin, control, proxy};"),
        ("src/control/probe.rs", "use crate::resp::info::Info;\nuse super::coordinator::Observation;"),
        ("src/proxy/worker.rs", "/// See [`crate::control`].\nuse crate::route::Route; // not crate::control"),
        ("src/topology/election.rs", "use crate::route::Route;"),
        ("src/route/fence.rs", "use super::sync::AtomicU64;"),
    ];
    for (path, source) in kept {
        assert_eq!(imports::faults(path, source), Vec::<String>::new(), "{path}: {source}");
    }
}
