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
    check_fault("[http]\npage_max = 0\n", &[], Some(2), "http.page_max", "between 1 and 500");
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
    check_fault("[[tenants]]\nname = \"Acme Inc\"\n", &[], Some(2), "tenants[0].name", "lower-case");
    check_fault("[[tenants]]\nname = \"a\"\n[[tenants]]\nname = \"a\"\n", &[], Some(4), "tenants[1].name", "already");
    check_fault(
        "[[tenants]]\nname = \"a\"\n\n[[tenants]]\nnome = \"b\"\n",
        &[],
        Some(5),
        "tenants[1].nome",
        "unknown field",
    );
    check_fault(
        "[[tenants]]\nname = \"a\"\n\n[[tenants]]\nname = 7\n",
        &[],
        Some(5),
        "tenants[1].name",
        "invalid type",
    );
    check_fault("tenants = [{ name = \"a\" },\n  { name = \"A\" }]\n", &[], Some(2), "tenants[1].name", "lower-case");
    check_fault("[policy]\nfirst = \"enterprise\"\n", &[], Some(2), "policy.first", "enterprise-general, eu-ai-act");
    check_fault("[log]\nrecord_bytes_max = 1000\n", &[], Some(2), "log.record_bytes_max", "between 1048576 and");
    check_fault("[log]\ncompression = \"gzip\"\n", &[], Some(2), "log.compression", "unknown variant");
    check_fault("[log]\n\nmemory_bytes_max = 1048576\n", &[], Some(3), "log.memory_bytes_max", "twice");
    check_fault("[engine]\nbackoff_max_ms = 10\n", &[], Some(2), "engine.backoff_max_ms", "backoff_first_ms");
    check_fault("[engine]\ncrashes_max = 0\n", &[], Some(2), "engine.crashes_max", "between 1 and");
    check_fault("[state]\nwrite_ahead = 1\n", &[], Some(2), "state.write_ahead", "invalid type");
    check_fault(
        "[state]\nblock_cache_bytes = 2000000\n",
        &[],
        Some(2),
        "state.block_cache_bytes",
        "write_buffer_bytes",
    );
    check_fault("[follow]\nthreads = 0\n", &[], Some(2), "follow.threads", "between 1 and");
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
    sources.flags = Flags {
        data: Some("elsewhere".into()),
        listen: Some("0.0.0.0:2".parse().unwrap()),
        policy: Some("eu-ai-act".into()),
    };
    let settings = load(&sources).unwrap();
    assert_eq!(settings.http.page_max, 9);
    assert_eq!(settings.http.token.as_ref().unwrap().reveal(), digits);
    assert_eq!(settings.topology.routing, super::super::Routing::Tenant);
    assert_eq!(settings.http.listen.port(), 2);
    assert_eq!(settings.data.directory, PathBuf::from("elsewhere"));
    assert_eq!(settings.tenants[0].name, "acme");
    assert_eq!(settings.policy.first.as_deref(), Some("eu-ai-act"));

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

#[test]
fn the_example_lists_every_setting_with_its_default() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/lexecon.toml")).unwrap();
    let example: Table = toml::from_str(&text).unwrap();
    let defaults = Table::try_from(Settings::default()).unwrap();
    for (section, keys) in &defaults {
        for (key, value) in keys.as_table().into_iter().flatten() {
            let shown = example.get(section).and_then(|section| section.get(key));
            assert_eq!(shown, Some(value), "{section}.{key} in the example is not the default");
        }
    }
    for (section, keys) in &example {
        for key in keys.as_table().unwrap().keys() {
            assert!(defaults[section].get(key).is_some(), "{section}.{key} is no setting");
        }
    }
    // What has no default stands there as a comment.
    for unset in ["[policy]", "# first = ", "# token_file = ", "# [[tenants]]", "# name = "] {
        assert!(text.contains(unset), "{unset} is missing");
    }
}
