//! Rounds in which something goes wrong: for each fault one with a seed that stays and one with a new seed, which a
//! failure prints with the command that repeats it. `cargo run -p bulkhead-tests --bin chaos` plays longer ones.

use bulkhead_tests::chaos::{Plan, faults, play, table};
use bulkhead_tests::folder::random;

#[expect(clippy::print_stderr, reason = "figures are printed, not asserted")]
async fn rounds(fault: &str) {
    let fault = faults::named(fault).expect("the tests name faults there are");
    let play = |seed| Box::pin(play(Plan::quick(seed), fault));
    let (fixed, new) = tokio::join!(play(7), play(random() % 1_000_000));
    let mut failed = String::new();
    for outcome in [&fixed, &new] {
        if !outcome.violations.is_empty() {
            let (found, story) = (&outcome.violations, &outcome.story);
            failed.push_str(&format!(
                "{found:#?}\n{story:#?}\nagain: {}\n",
                outcome.command
            ));
        }
    }
    assert!(failed.is_empty(), "{failed}");
    eprint!("{}", table::table(&[fixed, new]));
}

macro_rules! rounds {
    ($($test:ident: $fault:literal,)*) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $test() {
            rounds($fault).await;
        })*

        #[test]
        fn every_fault_has_its_test() {
            let tested = [$($fault),*];
            let all: Vec<&str> = faults::all().map(|fault| fault.name).collect();
            assert_eq!(all, tested);
        }
    };
}

rounds! {
    nodes_are_killed: "kill",
    nodes_are_killed_while_they_end_runs: "kill-at-end",
    nodes_are_killed_while_they_are_answered: "kill-in-answer",
    a_node_is_frozen: "freeze",
    nodes_are_replaced: "roll",
    nodes_that_differ_are_killed: "unlike",
    postgresql_is_restarted: "pg-restart",
    postgresql_crashes: "pg-crash",
    postgresql_is_frozen: "pg-freeze",
    backends_are_ended: "pg-terminate",
    connections_are_too_few: "pool",
    the_disk_is_full: "disk-full",
    the_provider_is_ill: "provider",
    the_provider_sends_bytes: "provider-split",
    clients_leave: "clients-leave",
    clients_are_slow: "clients-slow",
    clients_are_idle: "clients-idle",
    clients_never_finish_their_headers: "slowloris",
    an_index_is_damaged: "index",
    compiled_guests_are_damaged: "artifact",
}
