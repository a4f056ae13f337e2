//! The inputs that fuzzing has found worth keeping are checked by every run of the tests.

#[path = "fuzz/checks/mod.rs"]
mod checks;

/// Each file of the corpus of one target, checked.
fn replay(target: &str, check: fn(&[u8])) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/corpus/").to_owned() + target;
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut files = 0;
    for entry in entries {
        let path = entry.expect("a readable folder").path();
        check(&std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())));
        files += 1;
    }
    assert!(files > 10, "{folder} holds only {files} files");
}

#[test]
fn kept_requests_are_still_read_as_redis_reads_them() {
    replay("requests", checks::requests::check);
}

#[test]
fn kept_replies_still_end_where_they_end() {
    replay("replies", checks::replies::check);
}

#[test]
fn kept_proxy_headers_are_still_read_as_a_second_reader_reads_them() {
    replay("proxy_header", checks::proxy_header::check);
}
