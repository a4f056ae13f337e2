//! Files that change in every way that renewing a certificate changes them.

use std::fs;
use std::path::Path;

use rcgen::{CertificateParams, KeyPair};

use super::*;

/// Writes a new pair; returns the text of its certificate.
fn renew(folder: &Path) -> String {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    fs::write(folder.join("c.pem"), certificate.pem()).unwrap();
    fs::write(folder.join("k.pem"), key.serialize_pem()).unwrap();
    certificate.pem()
}

const USER: &str = "app:5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8\n";

/// A configuration that names a pair and a file of users in this folder.
fn config(folder: &Path) -> Config {
    let text = "[[group]]\nname = \"jobs\"\nbackends = [\"redis1:6379\"]\n[[listener]]\nname = \"web\"\nbind = \"127.0.0.1:6400\"\n\
                group = \"jobs\"\nmode = \"redis\"\n[listener.tls]\ncert_file = \"c.pem\"\nkey_file = \"k.pem\"\n\
                [listener.auth]\nusers_file = \"users\"\n";
    let file = folder.join("mainstay.toml").display().to_string();
    crate::config::parse(text, &file).unwrap_or_else(|faults| panic!("{faults}"))
}

fn begin() -> (tempfile::TempDir, Files) {
    let folder = tempfile::tempdir().unwrap();
    renew(folder.path());
    fs::write(folder.path().join("users"), USER).unwrap();
    let mut files = Files::new(config(folder.path()));
    assert_eq!(files.look(), Seen::Same);
    (folder, files)
}

#[track_caller]
fn replaced(seen: Seen) -> (Config, Config) {
    match seen {
        Seen::Replaced { present, wanted } => (*present, *wanted),
        other => panic!("{other:?}"),
    }
}

fn certificate(config: &Config) -> &str {
    &config.listeners[0].tls.as_ref().unwrap().identity.certificate.text
}

#[test]
fn a_new_pair_is_seen_once() {
    let (folder, mut files) = begin();
    let before = files.config.clone();
    let renewed = renew(folder.path());
    let (present, wanted) = replaced(files.look());
    assert_eq!((present, certificate(&wanted)), (before, renewed.as_str()));
    assert_eq!(files.look(), Seen::Same);
}

#[test]
fn the_same_text_written_again_is_no_change() {
    let (folder, mut files) = begin();
    let path = folder.path().join("c.pem");
    let text = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, text).unwrap();
    assert_eq!(files.look(), Seen::Same);
}

#[test]
fn a_certificate_without_its_key_yet_is_said_once_and_taken_when_the_key_is_there() {
    let (folder, mut files) = begin();
    let other = tempfile::tempdir().unwrap();
    let renewed = renew(other.path());
    fs::copy(other.path().join("c.pem"), folder.path().join("c.pem")).unwrap();
    match files.look() {
        Seen::Refused(why) => assert!(why.contains("k.pem: this key is not the one of the certificate"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(files.look(), Seen::Same);
    fs::copy(other.path().join("k.pem"), folder.path().join("k.pem")).unwrap();
    assert_eq!(certificate(&replaced(files.look()).1), renewed);
    assert_eq!(files.look(), Seen::Same);
}

#[test]
fn a_half_written_or_missing_file_changes_nothing_and_is_said_once_each() {
    let (folder, mut files) = begin();
    let path = folder.path().join("c.pem");
    let text = fs::read_to_string(&path).unwrap();
    for half in ["", &text[..text.len() / 2]] {
        fs::write(&path, half).unwrap();
        assert!(matches!(files.look(), Seen::Refused(why) if why.contains("c.pem")), "{half}");
        assert_eq!(files.look(), Seen::Same);
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(files.look(), Seen::Refused(why) if why.contains("cannot be opened")));
    fs::write(&path, &text).unwrap();
    assert_eq!(files.look(), Seen::Same, "all is as it was");
    fs::remove_file(&path).unwrap();
    assert!(matches!(files.look(), Seen::Refused(_)), "said again, as it was well in between");
}

#[test]
fn a_link_that_is_turned_to_another_folder_is_a_change() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new, link) = (folder.path().join("..1"), folder.path().join("..2"), folder.path().join("..data"));
    for place in [&old, &new] {
        fs::create_dir(place).unwrap();
        fs::write(place.join("users"), USER).unwrap();
    }
    renew(&old);
    let renewed = renew(&new);
    std::os::unix::fs::symlink(&old, &link).unwrap();
    for name in ["c.pem", "k.pem", "users"] {
        std::os::unix::fs::symlink(Path::new("..data").join(name), folder.path().join(name)).unwrap();
    }
    let mut files = Files::new(config(folder.path()));
    assert_eq!(files.look(), Seen::Same);
    // As the kubelet does it.
    let turned = folder.path().join("..turned");
    std::os::unix::fs::symlink(&new, &turned).unwrap();
    fs::rename(&turned, &link).unwrap();
    assert_eq!(certificate(&replaced(files.look()).1), renewed);
}

#[test]
fn users_are_read_again_and_a_line_that_is_wrong_is_named_without_what_stands_in_it() {
    let (folder, mut files) = begin();
    let path = folder.path().join("users");
    fs::write(&path, format!("# ours\n{USER}{}", USER.replace("app", "web"))).unwrap();
    let (_, wanted) = replaced(files.look());
    let names: Vec<_> = wanted.listeners[0].auth.as_ref().unwrap().users.iter().map(|user| user.name.as_str()).collect();
    assert_eq!(names, ["app", "web"]);
    fs::write(&path, format!("{USER}web:my-password\n")).unwrap();
    match files.look() {
        Seen::Refused(why) => assert!(why.contains("users:2: ") && !why.contains("my-password"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_changed_before_the_first_look_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    renew(folder.path());
    fs::write(folder.path().join("users"), USER).unwrap();
    let config = config(folder.path());
    let renewed = renew(folder.path());
    assert_eq!(certificate(&replaced(Files::new(config).look()).1), renewed);
}
