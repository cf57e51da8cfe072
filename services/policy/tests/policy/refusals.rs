//! What a bundle is refused for, with file, line and code; and all faults at once.

use policy::{Bundle, BundleSource, Fault, FaultCode, Limits};

use crate::support::small;

const GOOD: &str = "// first line\n@id(\"looks\")\npermit (principal, action, resource);\n";

/// Replaces text of one file of a good bundle, and expects one fault at a place.
fn check(file: &str, from: &str, to: &str, expected: (&str, u32, FaultCode, &str)) {
    let mut source = small("strict", GOOD);
    let bytes = source.files.get(file).unwrap();
    let text = std::str::from_utf8(bytes).unwrap();
    assert!(text.contains(from), "{file} has no {from:?}");
    source.files.insert(file.to_owned(), text.replacen(from, to, 1).into_bytes());
    let faults = refused(&source, to);
    let (file, line, code, part) = expected;
    let found = faults.iter().any(|f| f.file == file && f.line == line && f.code == code && f.message.contains(part));
    assert!(found, "{to:?}: expected {file}:{line} {code:?} {part:?}, found {faults:#?}");
    assert!(faults.iter().all(|f| !f.remedy.is_empty() && !f.message.contains('\n')), "{faults:#?}");
}

fn refused(source: &BundleSource, what: &str) -> Vec<Fault> {
    match Bundle::parse(source) {
        Ok(_) => panic!("{what:?} is accepted"),
        Err(faults) => faults,
    }
}

#[test]
fn policies_are_refused_with_file_and_line() {
    let statement = "@id(\"looks\")\npermit (principal, action, resource);";
    let policy = |to: &str, line, code, part| {
        check("policies/all.cedar", statement, to, ("policies/all.cedar", line, code, part))
    };
    use FaultCode as C;
    let p = "permit (principal, action, resource);";
    policy("\npermit (principal, action, resource);", 3, C::Annotation, "no @id");
    policy(&format!("@id(\"Looks\")\n{p}"), 2, C::Annotation, "kebab-case");
    policy(&format!("@id(\"a\") {p}\n@id(\"b\") {p}\n@id(\"a\") {p}"), 4, C::DuplicateId, "policies/all.cedar:2");
    policy(&format!("@id(\"a\")\n@colour(\"red\")\n{p}"), 3, C::Annotation, "@colour");
    policy(&format!("@id(\"a\")\n@outcome(\"maybe\")\n{p}"), 3, C::Annotation, "maybe");
    policy("@id(\"a\")\n@outcome(\"escalate\")\nforbid (principal, action, resource);", 3, C::Annotation, "forbid");
    policy("@id(\"a\")\n\n@reason(\"because\")\nforbid (principal, action, resource);", 4, C::Annotation, "because");
    policy(
        "@id(\"a\")\n@reason(\"forbidden\")\nforbid (principal, action, resource);",
        3,
        C::Annotation,
        "policies may give",
    );
    policy(&format!("@id(\"a\")\n@reason(\"quota\")\n{p}"), 3, C::Annotation, "needs no reason");
    policy(&format!("@id(\"a\")\n@severity(\"low\")\n{p}"), 3, C::Annotation, "no severity");
    policy(&format!("@id(\"a\")\n@obligation(\"log_access, sing\")\n{p}"), 3, C::Annotation, "sing");
    policy("@id(\"a\")\n@severity(\"dire\")\nforbid (principal, action, resource);", 3, C::Annotation, "dire");
    policy(&format!("@id(\"a\")\n@ttl(\"5m\")\n{p}"), 3, C::Annotation, "does not escalate");
    for ttl in ["", "5", "m", "0s", "05m", "31d", "5w", "-5m", "99999999999999999999s"] {
        policy(&format!("@id(\"a\") @outcome(\"escalate\")\n@ttl(\"{ttl}\")\n{p}"), 3, C::Annotation, "time to live");
    }
    policy(&format!("@id(\"a\") @outcome(\"escalate\")\n@approver(\"boss\")\n{p}"), 3, C::UnknownName, "boss");
    policy(&format!("@id(\"a\") @outcome(\"escalate\")\n@low_risk(\"yes\")\n{p}"), 3, C::Annotation, "@low_risk");
    policy("@id(\"a\")\npermit (principal == ?principal, action, resource);", 2, C::Template, "templates");
    policy("@id(\"a\")\npermit (principal, action, resource) when {\n  1 +\n};", 5, C::Syntax, "unexpected");
    policy("@id(\"a\")\npermit (principal, action == Action::\"lok\", resource);", 3, C::Validation, "lok");
    policy("@id(\"a\")\npermit (principal in Rolle::\"clerk\", action, resource);", 3, C::Validation, "Rolle");
    policy("@id(\"a\")\npermit (principal, action, resource)\nwhen { context.colour };", 4, C::Validation, "colour");
    policy(
        "@id(\"a\")\npermit (principal, action, resource)\nwhen { context.risk_score > 3 };",
        4,
        C::Validation,
        "risk_score",
    );
    policy(
        "@id(\"a\")\npermit (principal, action, resource)\nwhen { context.subject_count > \"3\" };",
        4,
        C::Validation,
        "Long",
    );
    policy(
        "@id(\"a\")\npermit (principal, action, resource)\nwhen { context.risk_class == RiskClass::\"hihg\" };",
        4,
        C::Validation,
        "hihg",
    );
    policy("@id(\"a\")\npermit (principal, action, resource)\nwhen { 1 == 2 };", 2, C::Validation, "impossible");
    policy(
        "@id(\"a\")\npermit (principal, action, resource)\nwhen { principal in Role::\"clrk\" };",
        4,
        C::UnknownName,
        "clrk",
    );
    policy(
        "@id(\"a\")\npermit (principal, action, resource)\nwhen { context.data_classes.contains(DataClass::\"blu\") };",
        4,
        C::UnknownName,
        "blu",
    );
}

#[test]
fn manifests_are_refused_with_line() {
    let manifest =
        |from: &str, to: &str, line, code, part| check("manifest.toml", from, to, ("manifest.toml", line, code, part));
    use FaultCode as C;
    manifest("format = 1", "format = 2", 1, C::Manifest, "format 2");
    manifest("\"small\"", "\"Small\"", 2, C::Manifest, "kebab-case");
    manifest("1.0.0", "1.0", 3, C::Manifest, "1.2.3");
    manifest("For tests.", " ", 4, C::Manifest, "description");
    manifest("\"strict\"", "\"lax\"", 5, C::Manifest, "lax");
    manifest("schema =", "skema =", 6, C::Manifest, "skema");
    manifest("policies = [", "policies = [\"more.cedar\", ", 7, C::Missing, "more.cedar");
    manifest("\"lead\"", "\"clerk\"", 10, C::Manifest, "twice");
    manifest("\"lead\"", "\"\"", 10, C::Manifest, "role");
    manifest("\"lead\"", "5", 10, C::Manifest, "invalid type");
    manifest("format = 1", "format = 1\nformat = 1", 2, C::Manifest, "duplicate");
    let window = |to: &str, part| {
        manifest(
            "data_classes = [\"blue\", \"red\"]\n",
            &format!("data_classes = [\"blue\", \"red\"]\n[[windows]]\n{to}\n"),
            12,
            C::Windows,
            part,
        );
    };
    window(
        "name = \"payments\"\nmeasure = \"sum\"\nof = \"amount\"\nper = \"1h\"\nby = [\"actor\"]",
        "not supported yet",
    );
    window("name = \"payments\"\nmeasure = \"mean\"\nper = \"1h\"\nby = [\"actor\"]", "mean");
    window("name = \"payments\"\nmeasure = \"sum\"\nper = \"1h\"\nby = [\"actor\"]", "do not fit");
    window("name = \"payments\"\nmeasure = \"count\"\nper = \"2h\"\nby = [\"actor\"]", "2h");
    window("name = \"payments\"\nmeasure = \"count\"\nper = \"1m\"\nby = []", "\"by\"");
}

#[test]
fn schemas_entities_and_tests_are_refused_with_line() {
    use FaultCode as C;
    let schema = |from: &str, to: &str, line, part| {
        check("schema.cedarschema", from, to, ("schema.cedarschema", line, C::Schema, part))
    };
    schema("action look", "aktion look", 2, "");
    schema("action look", "entity Planet;\naction look", 2, "Planet");
    schema("action look", "entity Role;\naction look", 2, "Role");
    schema("action look", "namespace Far { action \"x\"; }\naction look", 2, "Far");
    schema("RequestContext", "{}", 2, "RequestContext");
    schema("score?: Long", "score: Long", 1, "score");
    schema("score?: Long", "score?: Set<Long>", 1, "score");
    schema("score?: Long", "score?: Undeclared", 1, "score");
    schema("User, Agent]", "User, Robot]", 2, "Robot");
    let entities =
        |from: &str, to: &str, code, part| check("entities.json", from, to, ("entities.json", 1, code, part));
    entities("[{", "[{,", C::Entities, "key");
    entities("\"lead\"", "\"lead-clerk\"", C::UnknownName, "lead-clerk");
    entities("\"type\": \"Role\", \"id\": \"lead\"", "\"type\": \"Planet\", \"id\": \"lead\"", C::Entities, "Planet");
    entities("\"type\": \"Role\", \"id\": \"lead\"", "\"type\": \"User\", \"id\": \"lead\"", C::Entities, "User");
    let test =
        |from: &str, to: &str, line, part| check("tests/all.toml", from, to, ("tests/all.toml", line, C::Test, part));
    test("\"deny\"", "\"refuse\"", 6, "refuse");
    test("outcome = \"deny\"", "outcome = \"deny\", policies = [\"gone\"]", 6, "gone");
    test("outcome = \"deny\"", "outcome = \"deny\", reason = \"mood\"", 6, "mood");
    test("outcome = \"deny\"", "outcome = \"deny\", obligations = [\"sing\"]", 6, "sing");
    test("\"person\"", "\"ghost\"", 6, "ghost");
    test("tenant = \"acme\"", "tennant = \"acme\"", 2, "tennant");
    test("tenant = \"acme\"", "risk_score = 101\ntenant = \"acme\"", 7, "101");
    test("tenant = \"acme\"", "context = { x = 1.5 }\ntenant = \"acme\"", 7, "\"x\"");
    test("tenant = \"acme\"", "amount = { minor_units = 1, currency = \"eur\" }\ntenant = \"acme\"", 7, "eur");
}

#[test]
fn files_are_refused_by_name() {
    let with = |path: &str, bytes: &[u8]| {
        let mut source = small("strict", GOOD);
        source.files.insert(path.to_owned(), bytes.to_vec());
        source
    };
    let check = |source: &BundleSource, file: &str, code: FaultCode| {
        let faults = refused(source, file);
        assert!(faults.iter().any(|f| f.file == file && f.code == code), "{file}: {faults:#?}");
    };
    for path in ["notes.txt", "more/extra.cedar", "policies/deep/er.cedar"] {
        check(&with(path, b""), path, FaultCode::Unlisted);
    }
    for path in ["../x", "/x", "a//b", "a/./b", ".hidden", "a b", "a\\b", "ü", ""] {
        check(&with(path, b""), path, FaultCode::Path);
    }
    check(&with("policies/all.cedar", b"// \xff"), "policies/all.cedar", FaultCode::Text);
    check(&BundleSource::default(), "manifest.toml", FaultCode::Missing);
    let mut gone = small("strict", GOOD);
    gone.files.remove("schema.cedarschema");
    check(&gone, "schema.cedarschema", FaultCode::Missing);
    assert!(Bundle::parse(&with("README.md", b"# a page")).is_ok());
}

#[test]
fn limits_are_named_settings() {
    let source = small("strict", GOOD);
    assert!(Bundle::parse_within(&source, &Limits::default()).is_ok());
    let shrink: [fn(&mut Limits); 8] = [
        |l| l.files_max = 4,
        |l| l.path_bytes_max = 5,
        |l| l.file_bytes_max = 20,
        |l| l.bundle_bytes_max = 100,
        |l| l.policies_max = 0,
        |l| l.policy_bytes_max = 10,
        |l| l.annotation_bytes_max = 1,
        |l| l.actions_max = 1,
    ];
    for (number, change) in shrink.iter().enumerate() {
        let mut limits = Limits::default();
        change(&mut limits);
        let faults = Bundle::parse_within(&source, &limits).unwrap_err();
        assert!(faults.iter().any(|f| f.code == FaultCode::Limit), "limit {number}: {faults:?}");
    }
}

#[test]
fn all_faults_are_named_sorted_by_place() {
    let policies = "@id(\"a\") @colour(\"red\")\npermit (principal, action, resource);\n\
                    permit (principal, action, resource);\n\
                    @id(\"b\")\nforbid (principal, action, resource) when { context.colour };\n";
    let mut source = small("lax", policies);
    source.files.insert("stray".to_owned(), Vec::new());
    let faults = refused(&source, "many");
    let places: Vec<(&str, u32, FaultCode)> = faults.iter().map(|f| (f.file.as_str(), f.line, f.code)).collect();
    assert_eq!(
        places,
        [
            ("manifest.toml", 5, FaultCode::Manifest),
            ("policies/all.cedar", 1, FaultCode::Annotation),
            ("policies/all.cedar", 3, FaultCode::Annotation),
            ("policies/all.cedar", 5, FaultCode::Validation),
            ("stray", 1, FaultCode::Unlisted),
        ]
    );
}
