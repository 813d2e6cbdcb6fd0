//! The SPF vectors. Their files look like YAML and are not: keys repeat, and what stands below another line changes what was
//! above it. So they are read as mail-auth's own test reads them, line by line.

use super::{Records, files};
use chasqui_dns::testing::{NameServer, Zone};
use chasqui_filter::authentication::{AuthenticationConfig, Authenticator, Sender};
use chasqui_smtp::{Mailbox, ReversePath};
use std::{net::IpAddr, path::Path};

/// One expectation.
struct Case {
    file: String,
    test: String,
    /// Which of the test's expectations, from 1.
    number: usize,
    records: Records,
    hello: String,
    path: String,
    ip: IpAddr,
    result: String,
    explanation: Option<String>,
}

/// Where we differ: file, test, number, our result with the defaults, and why.
const DIFFERENT: &[(&str, &str, usize, &str, &str)] = &[
    (
        "basic.yml",
        "DNS Lookup Limits",
        1,
        "permerror",
        "RFC 7208 §4.6.4 recommends a limit of two void look-ups, and the vector has ten; with ten allowed it passes as printed",
    ),
    (
        "exists.yml",
        "Exists",
        2,
        "fail",
        "RFC 7208 §5.7: exists asks for A records, whatever the client's family; the vector has AAAA only",
    ),
    ("macro.yml", "Macro expansion 2", 2, "fail", "the same: the name that exists expands to has AAAA only"),
];

fn cases(path: &Path) -> Vec<Case> {
    let file = path.file_name().unwrap().to_string_lossy().into_owned();
    let mut cases = Vec::new();
    for document in std::fs::read_to_string(path).unwrap().split("---\n") {
        let mut records = Records::default();
        let (mut test, mut hello, mut path, mut ip) = (String::new(), String::new(), String::new(), None);
        let mut number = 0;
        for line in document.lines() {
            let line = line.trim();
            let line = line.strip_prefix('-').unwrap_or(line).trim();
            let Some((key, value)) = line.split_once(':').filter(|_| !line.starts_with('#')) else {
                continue;
            };
            let value = value.trim();
            let (name, rest) = value.split_once(' ').unwrap_or((value, ""));
            let list = || rest.split(',').map(|item| item.trim().to_owned()).collect::<Vec<_>>();
            match key {
                "name" => {
                    test = value.to_owned();
                    number = 0;
                }
                "spf" | "exp" => records.text(name, rest.trim()),
                "a" => records.set(name, "A", list()),
                "aaaa" => records.set(name, "AAAA", list()),
                "ptr" => {
                    let names =
                        list().iter().map(|name| format!("{}.", name.trim_end_matches('.'))).collect();
                    records.set(&reverse(name.parse().unwrap()), "PTR", names);
                }
                "mx" => {
                    let mut hosts = Vec::new();
                    for (index, address) in list().iter().enumerate() {
                        let address: IpAddr = address.parse().unwrap();
                        let host = format!("mx{index}.{name}");
                        records.set(
                            &host,
                            if address.is_ipv4() { "A" } else { "AAAA" },
                            vec![address.to_string()],
                        );
                        hosts.push(format!("{} {host}.", index + 1));
                    }
                    records.set(name, "MX", hosts);
                }
                "domain" => hello = value.to_owned(),
                "sender" => path = value.to_owned(),
                "ip" => ip = value.parse().ok(),
                "expect" => {
                    number += 1;
                    let (result, explanation) = match value.split_once(' ') {
                        Some((result, explanation)) => (result, Some(explanation.trim().to_owned())),
                        None => (value, None),
                    };
                    cases.push(Case {
                        file: file.clone(),
                        test: test.clone(),
                        number,
                        records: records.clone(),
                        hello: hello.clone(),
                        path: path.clone(),
                        ip: ip.unwrap(),
                        result: result.to_owned(),
                        explanation,
                    });
                }
                "records" | "tests" => {}
                other => panic!("{file}: {other} is not known"),
            }
        }
    }
    cases
}

fn reverse(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(ip) => {
            let nibbles: Vec<String> =
                ip.octets().iter().rev().flat_map(|b| [b & 15, b >> 4]).map(|n| format!("{n:x}")).collect();
            format!("{}.ip6.arpa", nibbles.join("."))
        }
    }
}

/// The vectors' own sign for a name whose server fails.
fn failing() -> [Zone; 2] {
    ["_dns_error.org", "_dns_error.test.org"].map(Zone::failing)
}

#[tokio::test]
async fn the_spf_vectors_give_their_results() {
    let cases: Vec<Case> = files("spf", "yml").iter().flat_map(|path| cases(path)).collect();
    let zones = |records: &Records| [records.zones(), failing().to_vec()].concat();
    let Some(mut server) = NameServer::start(&zones(&Records::default())) else { return };
    let mut served = Records::default();
    let (mut passed, mut different, mut wrong) = (0, 0, Vec::new());
    for case in &cases {
        if case.records != served {
            server.restart(&zones(&case.records));
            served = case.records.clone();
        }
        let exception = DIFFERENT
            .iter()
            .find(|known| (known.0, known.1, known.2) == (&case.file, &case.test, case.number));
        let mut config = AuthenticationConfig::default();
        let (found, explanation) = check(case, &config, &server).await;
        let label = format!("{}: {} ({})", case.file, case.test, case.number);
        match exception {
            Some((_, _, _, expected, _)) if found == *expected => different += 1,
            Some((_, _, _, expected, _)) => wrong.push(format!("{label}: {found} instead of our {expected}")),
            None if found != case.result => {
                wrong.push(format!("{label}: {found} instead of {}", case.result))
            }
            None if case.explanation.is_some() && case.explanation != explanation => {
                wrong.push(format!("{label}: {explanation:?} instead of {:?}", case.explanation));
            }
            None => passed += 1,
        }
        if case.file == "basic.yml" && case.test == "DNS Lookup Limits" {
            // As printed, with as many void look-ups as the vector has.
            config.limits.spf_void_lookups = 11;
            let (found, _) = check(case, &config, &server).await;
            assert_eq!(found, case.result, "{label}");
        }
    }
    for (file, test, number, result, reason) in DIFFERENT {
        println!("different: {file}: {test} ({number}): {result}: {reason}");
    }
    println!(
        "SPF: {passed} of {} vectors give their result, {different} differ for the reasons above",
        cases.len()
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(cases.len() > 100 && different == DIFFERENT.len());
}

async fn check(case: &Case, config: &AuthenticationConfig, server: &NameServer) -> (String, Option<String>) {
    // A reverse path that SMTP's own grammar refuses never gets here; then the HELO name, the same domain, is what is left.
    let path = Mailbox::parse(&case.path).map_or(ReversePath::Null, ReversePath::Address);
    let authenticator = Authenticator::new(config, server.resolver(), "localdomain.org").unwrap();
    let verdict = authenticator.spf(&Sender { ip: case.ip, hello: &case.hello, reverse_path: &path }).await;
    let decisive = verdict.decisive();
    (decisive.result.to_string(), decisive.explanation.clone())
}
