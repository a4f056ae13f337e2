//! What the documents promise is there: links, metrics, and configuration that can be copied.

use std::path::Path;

use mainstay::config;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The examples are started by `tests/examples.rs`.
#[test]
fn the_configuration_in_the_readme_is_valid() {
    let readme = read("README.md");
    let quoted = readme.split("```toml\n").skip(1).filter_map(|rest| rest.split_once("```")).map(|(toml, _)| toml.to_owned());
    let quoted: Vec<String> = quoted.collect();
    assert!(!quoted.is_empty(), "README.md shows no configuration");
    for toml in &quoted {
        let Err(faults) = config::parse_with(toml, "a document", &|_| Some("set".into())) else { continue };
        // The reader has the files that it names; nobody else has.
        let other = faults.iter().any(|fault| !fault.wrong.contains("cannot be opened"));
        assert!(!other, "{faults}\n{toml}");
    }
}

#[test]
fn the_readme_lists_every_metric_and_no_other() {
    let readme = read("README.md");
    let rest = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/metrics")).expect("a readable folder");
    let rest = rest.map(|entry| std::fs::read_to_string(entry.expect("readable").path()).expect("UTF-8"));
    let source = rest.fold(read("src/metrics.rs"), |all, file| all + &file);
    let written: Vec<&str> = source.split('"').filter(|text| text.starts_with("mainstay_")).collect();
    assert!(written.len() > 10, "src/metrics.rs names its metrics otherwise now");
    for name in &written {
        assert!(readme.contains(&format!("`{name}{{")), "README.md does not list {name} with its labels");
    }
    for listed in readme.split("mainstay_").skip(1) {
        let name: String = listed.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
        assert!(written.contains(&format!("mainstay_{name}").as_str()), "README.md lists mainstay_{name}, which does not exist");
    }
}

#[test]
fn every_link_in_a_document_leads_somewhere() {
    for document in ["README.md", "CHANGELOG.md"] {
        let text = read(document);
        let heading = |line: &str| line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        let headings: Vec<String> = text.lines().filter(|line| line.starts_with('#')).map(heading).collect();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            let here = link.strip_prefix('#').is_some_and(|section| headings.iter().any(|heading| heading == section));
            let there = here || link.starts_with("https://") || Path::new(env!("CARGO_MANIFEST_DIR")).join(link).exists();
            assert!(there, "{document}: {link} leads nowhere");
        }
    }
}
