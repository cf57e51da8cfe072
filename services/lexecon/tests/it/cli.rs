//! The command line as a person and as a script see it: what is printed, and how the process ends.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde_json::Value;

use crate::running::program;

/// The root of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

/// What a command printed, and how it ended.
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ended {
    fn of(output: Output) -> Ended {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ended { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Ended with this code; says what was printed if not.
    pub fn is(self, code: i32) -> Ended {
        assert_eq!(self.code, code, "{}\n{}", self.out, self.err);
        self
    }

    /// The one object that was printed, and nothing else on either stream.
    pub fn json(&self) -> Value {
        assert_eq!(self.err, "", "with --json nothing is said on standard error");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }

    /// One object a line.
    pub fn lines(&self) -> Vec<Value> {
        self.out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect()
    }

    pub fn says(&self, words: &[&str]) {
        for word in words {
            assert!(
                self.out.contains(word) || self.err.contains(word),
                "{word:?} is missing:\n{}\n{}",
                self.out,
                self.err
            );
        }
    }
}

pub fn lexecon<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Ended {
    Ended::of(program().args(args).stdin(Stdio::null()).output().unwrap())
}

/// With variables of the environment.
pub fn lexecon_with(environment: &[(&str, &str)], args: &[&str]) -> Ended {
    Ended::of(program().envs(environment.iter().copied()).args(args).stdin(Stdio::null()).output().unwrap())
}

fn bundle(name: &str) -> String {
    root().join("compliance/bundles").join(name).display().to_string()
}

#[test]
fn every_command_has_help_and_a_wrong_one_says_what_there_is() {
    let commands = [
        "serve",
        "decide",
        "load",
        "ledger export",
        "ledger partitions",
        "ledger strays",
        "replay",
        "rebuild",
        "policy check",
        "policy test",
        "policy explain",
        "dlq list",
        "dlq show",
        "dlq retry",
        "dlq discard",
        "config check",
        "doctor",
        "backup",
        "outcomes",
        "requests get",
        "decisions list",
        "decisions get",
    ];
    for command in commands {
        let help = lexecon(command.split(' ').chain(["--help"])).is(0);
        help.says(&["Usage: lexecon", "--json"]);
    }
    lexecon(["decied"]).is(2).says(&["decide"]);
    lexecon(["load", "--rate", "0", "--duration", "1s"]).is(2).says(&["requests a second"]);
    lexecon(["load", "--rate", "10", "--duration", "1"]).is(2).says(&["30s"]);
    lexecon(["load"]).is(2).says(&["--rate"]);
    lexecon(["dlq", "show", "3"]).is(2).says(&["PARTITION:POSITION"]);
    lexecon(["ledger", "partitions", "--data", "x", "--url", "http://localhost"]).is(2).says(&["cannot be used with"]);
}

#[test]
fn nobody_there_is_said_with_a_code_of_its_own() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let example = root().join("examples/requests/deny-no-policy-permits.json").display().to_string();
    let cases: &[&[&str]] = &[
        &["decide", &example],
        &["ledger", "partitions"],
        &["decisions", "list"],
        &["requests", "get", "r", "--actor", "a"],
        &["outcomes"],
        &["dlq", "list"],
        &["dlq", "retry", "0:0"],
        &["backup", "/nowhere"],
        &["load", "--rate", "50", "--duration", "100ms"],
    ];
    for case in cases {
        let args = case.iter().copied().chain(["--url", url.as_str()]);
        lexecon(args.clone()).is(5);
        if case[0] != "load" {
            let failed = lexecon(args.chain(["--json"])).is(5).json();
            assert_eq!(failed["error"]["code"], "unreachable", "{case:?}");
            assert!(failed["error"]["message"].as_str().unwrap().contains("lexecon serve"), "{failed}");
        }
    }
    lexecon(["ledger", "partitions", "--url", "ftp://x"]).is(2).says(&["http"]);
    lexecon(["decide", "/nowhere.json", "--url", &url]).is(2).says(&["/nowhere.json"]);
}

#[test]
fn a_bundle_is_checked_and_tested() {
    for name in ["enterprise-general", "eu-ai-act"] {
        lexecon(["policy", "check", &bundle(name)]).is(0).says(&["valid", "policies", "hash "]);
        let checked = lexecon(["policy", "check", &bundle(name), "--json"]).is(0).json();
        assert_eq!((&checked["valid"], &checked["bundle"]["name"]), (&true.into(), &name.into()));
        let tested = lexecon(["policy", "test", &bundle(name), "--json"]).is(0).json();
        assert!(tested["passed"] == true && tested["tests"].as_u64().unwrap() >= 25, "{tested}");
        for outcome in ["permit", "deny", "escalate"] {
            assert!(tested["outcomes"][outcome].as_u64().unwrap() > 0, "{tested}");
        }
    }
}

#[test]
fn a_broken_bundle_is_refused_with_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let copy = |to: &Path| {
        fn copy(from: &Path, to: &Path) {
            fs::create_dir_all(to).unwrap();
            for entry in fs::read_dir(from).unwrap() {
                let entry = entry.unwrap();
                let to = to.join(entry.file_name());
                if entry.file_type().unwrap().is_dir() {
                    copy(&entry.path(), &to)
                } else {
                    fs::copy(entry.path(), to).map(drop).unwrap()
                }
            }
        }
        copy(Path::new(&bundle("enterprise-general")), to);
    };
    let broken = directory.path().join("broken");
    copy(&broken);
    let policies = broken.join("policies/permits.cedar");
    let text = fs::read_to_string(&policies).unwrap();
    let line = text.lines().count() + 2;
    fs::write(
        &policies,
        format!("{text}\n@id(\"planted\") permit (principal, action, resource) when {{ context.nothing }};\n"),
    )
    .unwrap();
    let path = broken.display().to_string();
    lexecon(["policy", "check", &path]).is(1).says(&[
        &format!("policies/permits.cedar:{line}:"),
        "validation",
        "refused",
    ]);
    let refused = lexecon(["policy", "check", &path, "--json"]).is(1).json();
    let fault = &refused["faults"][0];
    assert_eq!((&refused["valid"], &fault["line"]), (&false.into(), &line.into()), "{refused}");
    assert!(!fault["remedy"].as_str().unwrap().is_empty());

    let wrong = directory.path().join("wrong");
    copy(&wrong);
    let tests = wrong.join("tests/permits.toml");
    let text = fs::read_to_string(&tests).unwrap();
    assert!(text.contains("\"permit\""), "the bundle's tests look different now");
    fs::write(&tests, text.replacen("\"permit\"", "\"deny\"", 1)).unwrap();
    let path = wrong.display().to_string();
    let failed = lexecon(["policy", "test", &path, "--json"]).is(1).json();
    assert_eq!((&failed["passed"], &failed["failed"]), (&false.into(), &1.into()), "{failed}");
    lexecon(["policy", "test", &path]).is(1).says(&["tests/permits.toml:", "1 failed"]);
    lexecon(["policy", "check", "/nowhere"]).is(2).says(&["/nowhere"]);
}

#[test]
fn examples_are_decided_as_their_names_say() {
    let mut outcomes = std::collections::BTreeMap::new();
    let mut with_subjects = 0;
    for entry in fs::read_dir(root().join("examples/requests")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let expected = name.split('-').next().unwrap();
        let args = ["policy", "explain", &bundle("enterprise-general"), path.to_str().unwrap(), "--json"];
        let explained = lexecon(args).is(0).json();
        assert_eq!(explained["verdict"]["outcome"], expected, "{name}: {explained}");
        *outcomes.entry(expected.to_owned()).or_insert(0) += 1;
        let body: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        with_subjects += usize::from(body.get("subjects").is_some());
    }
    assert!(outcomes.len() == 3 && outcomes.values().all(|n| *n >= 3), "{outcomes:?}");
    assert!(outcomes.values().sum::<i32>() >= 10 && with_subjects >= 3);
}

#[test]
fn an_explanation_names_policies_and_a_faulty_request_its_field() {
    let request = root().join("examples/requests/deny-payment-above-limit.json").display().to_string();
    let bundle = bundle("enterprise-general");
    lexecon(["policy", "explain", &bundle, &request]).is(0).says(&[
        "deny: amount_above_limit",
        "forbid-payment-above-limit",
        "yes",
    ]);
    let explained = lexecon(["policy", "explain", &bundle, &request, "--json"]).is(0).json();
    let policies = explained["policies"].as_array().unwrap();
    assert_eq!(policies.len() as u64, explained["policies_total"].as_u64().unwrap());
    let determining: Vec<_> = policies.iter().filter(|p| p["determining"] == true).map(|p| p["id"].clone()).collect();
    assert_eq!(Value::Array(determining), explained["verdict"]["policies"]);

    let directory = tempfile::tempdir().unwrap();
    let faulty = directory.path().join("faulty.json");
    fs::write(&faulty, r#"{"request_id": "r", "actor": {"id": "a"}, "action": "pay", "confidence_percent": 101}"#)
        .unwrap();
    lexecon(["policy", "explain", &bundle, faulty.to_str().unwrap()])
        .is(2)
        .says(&["confidence_percent", "faulty.json"]);
}

#[test]
fn a_configuration_is_checked() {
    let effective = lexecon(["config", "check", "--json"]).is(0).json();
    assert_eq!(effective["effective"]["http"]["listen"], "127.0.0.1:8480");
    // The commented example holds the defaults, all of them.
    let example = root().join("examples/lexecon.toml").display().to_string();
    assert_eq!(lexecon(["config", "check", "--config", &example, "--json"]).is(0).json(), effective);
    let text = fs::read_to_string(&example).unwrap();
    for (section, keys) in effective["effective"].as_object().unwrap() {
        for key in keys.as_object().into_iter().flat_map(|keys| keys.keys()) {
            assert!(text.contains(&format!("\n{key} = ")), "{section}.{key} is missing in the example");
        }
    }

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("lexecon.toml");
    let check = |text: &str, words: &[&str]| {
        fs::write(&file, text).unwrap();
        lexecon(["config", "check", "--config", file.to_str().unwrap()]).is(2).says(words);
        let failed = lexecon(["config", "check", "--config", file.to_str().unwrap(), "--json"]).is(2).json();
        assert_eq!(failed["error"]["code"], "configuration");
    };
    check("[http]\nlistn = 1\n", &["listn", "lexecon.toml:2"]);
    check("[topology]\npartitions = 0\n", &["partitions", "lexecon.toml:2"]);
    check("[http]\nlisten = \"0.0.0.0:8480\"\n", &["token"]);

    let secret = "a-secret-that-is-never-printed";
    for json in [&[][..], &["--json"][..]] {
        let args = [&["config", "check"], json].concat();
        let shown = lexecon_with(&[("LEXECON_HTTP__TOKEN", secret)], &args).is(0);
        assert!(!shown.out.contains(secret) && shown.out.contains("token"), "{}", shown.out);
    }
}

#[test]
fn the_doctor_finds_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let finding = |answer: &Value, name: &str| {
        let findings = answer["findings"].as_array().unwrap();
        let found =
            findings.iter().find(|f| f["name"] == name).unwrap_or_else(|| panic!("{name} is missing: {answer}"));
        (found["state"].as_str().unwrap().to_owned(), format!("{} {}", found["detail"], found["remedy"]))
    };
    let doctor = |code: i32, more: &[&str]| {
        let data = data.display().to_string();
        lexecon(["doctor", "--json", "--listen", "127.0.0.1:0", "--data", &data].iter().chain(more)).is(code).json()
    };
    let healthy = doctor(0, &[]);
    for name in [
        "versions",
        "configuration",
        "data directory",
        "disk space",
        "file system",
        "port",
        "open files",
        "memory",
        "clock",
    ] {
        assert_ne!(finding(&healthy, name).0, "fail", "{healthy}");
    }
    assert!(!data.exists(), "the doctor made the data directory");

    fs::create_dir_all(data.join("keys")).unwrap();
    fs::write(data.join("keys/kek-000001.key"), "x").unwrap();
    fs::set_permissions(data.join("keys"), fs::Permissions::from_mode(0o755)).unwrap();
    let sick = doctor(1, &[]);
    let (state, told) = finding(&sick, "keys");
    assert!(state == "fail" && told.contains("chmod 700"), "{told}");
    let (state, told) = finding(&sick, "data directory");
    assert!(state == "fail" && told.contains("empty or new"), "{told}");

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let beside = lexecon([
        "doctor",
        "--json",
        "--listen",
        &address,
        "--data",
        &directory.path().join("new").display().to_string(),
    ]);
    let (state, told) = finding(&beside.is(0).json(), "port");
    assert!(state == "warn" && told.contains("--listen"), "{told}");

    let config = directory.path().join("broken.toml");
    fs::write(&config, "[htp]\n").unwrap();
    let broken = doctor(1, &["--config", config.to_str().unwrap()]);
    assert_eq!(finding(&broken, "configuration").0, "fail");
}
