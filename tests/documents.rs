//! What the documents promise is there: links, metrics, and configuration that can be copied.

use std::path::Path;

use mainstay::config;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_configuration_in_the_readme_and_in_the_examples_is_valid() {
    let readme = read("README.md");
    let quoted = readme.split("```toml\n").skip(1).filter_map(|rest| rest.split_once("```")).map(|(toml, _)| toml.to_owned());
    let quoted: Vec<String> = quoted.collect();
    assert!(!quoted.is_empty(), "README.md shows no configuration");
    let files = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")).expect("there are examples");
    let files =
        files.map(|entry| entry.expect("readable").path()).filter(|path| path.extension().is_some_and(|end| end == "toml"));
    let examples: Vec<String> = files.map(|path| std::fs::read_to_string(path).expect("UTF-8")).collect();
    assert!(!examples.is_empty(), "there is no example");
    // In a folder with the files that they name.
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = rcgen::CertificateParams::default().self_signed(&key).expect("a certificate").pem();
    let files = [("ca.pem", &certificate), ("clients.pem", &certificate), ("server.crt", &certificate)];
    for (name, text) in files.into_iter().chain([("server.key", &key.serialize_pem())]) {
        std::fs::write(folder.path().join(name), text).expect("the folder can be written");
    }
    let document = folder.path().join("a document").display().to_string();
    for toml in quoted.iter().chain(&examples) {
        if let Err(faults) = config::parse(toml, &document) {
            panic!("{faults}\n{toml}");
        }
    }
}

#[test]
fn the_readme_lists_every_metric_and_no_other() {
    let (readme, source) = (read("README.md"), read("src/metrics.rs") + &read("src/metrics/sentinels.rs"));
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
