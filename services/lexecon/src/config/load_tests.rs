//! Tables of configurations that are refused, and of what layering gives.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

fn sources(text: &str, environment: &[(&str, &str)]) -> (tempfile::TempDir, Sources) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lexecon.toml");
    std::fs::write(&path, text).unwrap();
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    (directory, Sources { file: Some(path), environment, flags: Flags::default() })
}

fn check_fault(text: &str, environment: &[(&str, &str)], line: Option<usize>, key: &str, says: &str) {
    let (_directory, sources) = sources(text, environment);
    let faults = load(&sources).expect_err(text);
    let fault = &faults[0];
    assert_eq!((fault.line, fault.key.as_str()), (line, key), "{text:?} {environment:?}: {fault}");
    assert!(fault.message.contains(says), "{text:?}: {fault}");
    assert!(!fault.to_string().contains("s3cret"), "a secret is shown: {fault}");
}

#[test]
fn faults_name_key_and_line() {
    let token = ("LEXECON_HTTP__TOKEN", "s3cret-s3cret-s3cret");
    check_fault("[http]\n\nlisen = \"127.0.0.1:1\"\n", &[], Some(3), "http.lisen", "unknown field");
    check_fault("[htp]\n", &[], Some(1), "htp", "unknown field");
    check_fault("[http]\nlisten = 8480\n", &[], Some(2), "http.listen", "invalid type");
    check_fault("[http]\nlisten = \"localhost\"\n", &[], Some(2), "http.listen", "socket address");
    check_fault("[http]\npage_max = 0\n", &[], Some(2), "http.page_max", "between 1 and 10000");
    check_fault("[http]\npage_max = -1\n", &[], Some(2), "http.page_max", "");
    check_fault("[http]\npage_max = \"many\"\n", &[], Some(2), "http.page_max", "invalid type");
    check_fault("[topology]\npartitions = 0\n", &[], Some(2), "topology.partitions", "between 1 and 1024");
    check_fault("[topology]\nrouting = \"region\"\n", &[], Some(2), "topology.routing", "unknown variant");
    check_fault("[http]\n\nlisten = \"0.0.0.0:8480\"\n", &[], Some(3), "http.listen", "no token is set");
    check_fault("[http]\ntoken = 17\n", &[], Some(2), "http.token", "text in quotes");
    check_fault("[http]\ntoken = \"s3cret\"\n", &[], Some(2), "http.token", "at least 16");
    check_fault("[http]\ntoken_file = \"/nowhere/token\"\n", &[], Some(2), "http.token_file", "cannot be read");
    check_fault("[http]\ntoken_file = \"/nowhere/token\"\n", &[token], Some(2), "http.token_file", "only one");
    check_fault("[http]\nwait_default_ms = 40000\n", &[], Some(2), "http.wait_default_ms", "wait_max_ms");
    check_fault("[telemetry]\nlevel = \"lexecon=verbose\"\n", &[], Some(2), "telemetry.level", "");
    check_fault("[[tenants]]\nname = \"Acme Inc\"\n", &[], None, "tenants[0].name", "lower-case");
    check_fault("[[tenants]]\nname = \"a\"\n[[tenants]]\nname = \"a\"\n", &[], None, "tenants[1].name", "already");
    check_fault("[http\n", &[], Some(1), "", "");
    check_fault("", &[("LEXECON_HTTP__LISEN", "x")], None, "http.lisen", "unknown field");
    check_fault("", &[("LEXECON_HTTP__PAGE_MAX", "0")], None, "http.page_max", "between");
    check_fault("", &[("LEXECON_HTTP_TOKEN", "s3cret")], None, "", "LEXECON_HTTP__TOKEN");
    check_fault("", &[("LEXECON_HTTP__LISTEN", "0.0.0.0:1")], None, "http.listen", "no token is set");
}

#[test]
fn later_layers_win_and_types_are_the_settings() {
    let text = "[http]\nlisten = \"127.0.0.1:1\"\npage_max = 7\n[[tenants]]\nname = \"acme\"\n";
    let digits = "12345678901234567890";
    let environment = [
        ("LEXECON_HTTP__PAGE_MAX", "9"),
        ("LEXECON_HTTP__TOKEN", digits),
        ("LEXECON_TOPOLOGY__ROUTING", "tenant"),
        ("OTHER", "x"),
    ];
    let (_directory, mut sources) = sources(text, &environment);
    sources.flags = Flags { data: Some("elsewhere".into()), listen: Some("0.0.0.0:2".parse().unwrap()) };
    let settings = load(&sources).unwrap();
    assert_eq!(settings.http.page_max, 9);
    assert_eq!(settings.http.token.as_ref().unwrap().reveal(), digits);
    assert_eq!(settings.topology.routing, super::super::Routing::Tenant);
    assert_eq!(settings.http.listen.port(), 2);
    assert_eq!(settings.data.directory, PathBuf::from("elsewhere"));
    assert_eq!(settings.tenants[0].name, "acme");

    let printed = super::super::effective(&settings).unwrap();
    assert!(printed.contains(Secret::MASK) && !printed.contains(digits), "{printed}");
    let again: Settings = toml::from_str(&printed).unwrap();
    assert_eq!(again.http.page_max, 9);
}

#[test]
fn a_token_file_must_be_private() {
    use std::os::unix::fs::PermissionsExt;
    let (directory, mut sources) = sources("", &[]);
    let path = directory.path().join("token");
    std::fs::write(&path, "0123456789abcdef0123\n").unwrap();
    sources.environment.push(("LEXECON_HTTP__TOKEN_FILE".into(), path.display().to_string()));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(load(&sources).unwrap_err()[0].message.contains("chmod 600"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(load(&sources).unwrap().http.token.unwrap().reveal(), "0123456789abcdef0123");
}
