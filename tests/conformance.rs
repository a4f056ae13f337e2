//! `make conformance` runs a server's own suite through mainstay, which takes too long for `make test`; that its runner reads and
//! compares rightly is tested here.

use std::path::Path;
use std::process::Command;

#[test]
fn the_runner_of_make_conformance_reads_and_compares_what_a_suite_prints() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let output = Command::new("python3")
        .args(["-B", "-m", "unittest", "test_results"])
        .current_dir(folder)
        .output()
        .expect("python3 starts; .ci/install test brings it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
