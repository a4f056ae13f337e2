//! The inputs that fuzzing has found worth keeping are checked by every run of the tests.

#[path = "fuzz/checks/mod.rs"]
#[allow(dead_code)]
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

#[test]
fn kept_info_texts_are_still_read_line_by_line() {
    replay("info", checks::info::check);
}

#[test]
fn kept_replies_to_command_still_end_where_they_end() {
    replay("commands", checks::commands::check);
}

#[test]
fn kept_configurations_still_read_back_or_name_their_faults() {
    replay("configuration", checks::configuration::check);
}

#[test]
fn kept_paths_still_open_nothing_that_is_closed() {
    replay("paths", checks::paths::check);
}

#[test]
fn kept_haproxy_files_still_become_toml() {
    replay("haproxy", checks::haproxy::check);
}

#[test]
fn kept_addresses_still_read_back() {
    replay("addresses", checks::addresses::check);
}
