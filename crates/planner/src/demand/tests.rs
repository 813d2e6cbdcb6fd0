use proptest::prelude::*;

use super::*;

fn plan(options: &[(&str, &str)]) -> Result<Demand, DemandError> {
    let given: Vec<_> =
        options.iter().map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()])).collect();
    read(None, &given)
}

#[test]
fn every_key_is_an_option_with_a_sentence() {
    let options = options();
    for option in &options {
        assert!(option.help.contains("Default"), "{} does not say its default: {}", option.name, option.help);
    }
    let keys = serde_json::to_value(Demand::default()).unwrap();
    for key in keys.as_object().unwrap().keys() {
        assert!(options.iter().any(|option| option.key == *key), "{key} is no option");
    }
}

#[test]
fn options_win_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("demand.toml");
    std::fs::write(&file, "users = 500\nquota = \"1GB\"\n").unwrap();
    let demand = read(Some(&file), &[("users".into(), vec!["600".into()])]).unwrap();
    assert_eq!((demand.users, demand.quota), (600, ByteSize(1_000_000_000)));
}

#[test]
fn tables_are_given_by_name_and_what_is_left_is_shared() {
    let demand = plan(&[("users", "1000"), ("domains", "a.example=600,b.example,c.example")]).unwrap();
    let domains: Vec<u64> = demand.domains().into_values().collect();
    assert_eq!(domains, [600, 200, 200]);
    let public = "norte=192.0.2.0/24,norte=198.51.100.0/24,norte=203.0.113.0/24";
    assert_eq!(plan(&[("public", public)]).unwrap().public["norte"].len(), 3);
}

#[test]
fn what_is_out_of_bounds_is_refused_with_what_to_write() {
    let says = |options: &[(&str, &str)]| plan(options).unwrap_err().to_string();
    assert_eq!(says(&[("users", "0")]), "`users` is 0: write a value from 1 to 100000000");
    assert_eq!(says(&[("users", "many")]), "--users: `many` is not a number in range");
    assert_eq!(says(&[("quota", "1kB")]), "`quota` is 1kB: write a value from 1MB to 1000TB");
    assert_eq!(
        says(&[("users", "10"), ("domains", "a.example=11")]),
        "`domains` have 11 users in all, `users` is 10: make them equal, or leave the number of one domain out"
    );
    assert!(says(&[("quota", "7 apples")]).starts_with("--quota: `7 apples` has no known unit"));
    assert!(says(&[("datacenter-names", "norte,norte"), ("datacenters", "2")]).contains("stands twice"));
    assert!(says(&[("public", "norte=192.0.2.0/24")]).contains("three networks"));
    assert!(says(&[("public", "lejos=192.0.2.0/24")]).contains("no such data centre; there are: norte"));
    assert!(says(&[("margin", "0.5")]).contains("from 1 to 100"));
}

#[test]
fn an_unknown_key_is_refused_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("demand.toml");
    std::fs::write(&file, "users = 500\nquotta = \"1GB\"\n").unwrap();
    let said = read(Some(&file), &[]).unwrap_err().to_string();
    assert!(said.contains("demand.toml:2: unknown key `quotta`"), "{said}");
}

proptest! {
    #[test]
    fn any_option_is_taken_or_refused_without_panic(which in 0..options().len(), text in "\\PC{0,12}|[0-9]{0,22}|[a-z]+=[0-9./]+") {
        let option = &options()[which];
        let _ = read(None, &[(option.name.clone(), vec![text])]);
    }
}
