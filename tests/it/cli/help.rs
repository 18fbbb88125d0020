//! What `--help` says of every command, as snapshots: words others have learned by heart.

use super::program::run;

/// Every command, and every command of a command.
const COMMANDS: [&[&str]; 78] = [
    &[],
    &["init"],
    &["build"],
    &["dev"],
    &["test"],
    &["serve"],
    &["deploy"],
    &["run"],
    &["cancel"],
    &["conversations"],
    &["conversations", "new"],
    &["conversations", "ls"],
    &["conversations", "show"],
    &["conversations", "archive"],
    &["replay"],
    &["runs"],
    &["runs", "ls"],
    &["runs", "show"],
    &["runs", "export"],
    &["versions"],
    &["versions", "ls"],
    &["versions", "show"],
    &["versions", "diff"],
    &["versions", "label"],
    &["versions", "delete"],
    &["promote"],
    &["canary"],
    &["rollback"],
    &["channels"],
    &["publishers"],
    &["publishers", "keygen"],
    &["publishers", "add"],
    &["publishers", "ls"],
    &["publishers", "revoke"],
    &["publishers", "require"],
    &["knowledge"],
    &["knowledge", "add"],
    &["knowledge", "search"],
    &["knowledge", "ls"],
    &["knowledge", "rm"],
    &["guardrails"],
    &["guardrails", "list"],
    &["guardrails", "check"],
    &["guardrails", "violations"],
    &["limits"],
    &["limits", "show"],
    &["limits", "set"],
    &["usage"],
    &["usage", "show"],
    &["usage", "export"],
    &["usage", "tiers"],
    &["usage", "set-tier"],
    &["usage", "give"],
    &["usage", "spend-cap"],
    &["usage", "reconcile"],
    &["usage", "settle"],
    &["audit"],
    &["audit", "list"],
    &["audit", "export"],
    &["audit", "verify"],
    &["webhooks"],
    &["webhooks", "events"],
    &["webhooks", "list"],
    &["webhooks", "create"],
    &["webhooks", "set"],
    &["webhooks", "delete"],
    &["webhooks", "rotate"],
    &["webhooks", "test"],
    &["webhooks", "deliveries"],
    &["webhooks", "redeliver"],
    &["webhooks", "replay"],
    &["keys"],
    &["keys", "create"],
    &["keys", "ls"],
    &["keys", "revoke"],
    &["migrate"],
    &["nodes"],
    &["doctor"],
];

#[tokio::test]
async fn every_command_explains_itself() {
    for words in COMMANDS {
        let asked = [words, &["--help"][..]].concat();
        let help = run(&asked).await;
        assert_eq!((help.status, help.stderr.as_str()), (0, ""), "{words:?}");
        let name = format!("help {}", words.join(" "))
            .trim_end()
            .replace(' ', "_");
        insta::assert_snapshot!(name, help.stdout);
    }
}

#[tokio::test]
async fn every_command_of_the_list_is_in_the_snapshots() {
    let help = run(&["--help"]).await.stdout;
    let listed = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty());
    for line in listed {
        let name = line.split_whitespace().next().unwrap();
        if name == "help" {
            continue;
        }
        assert!(
            COMMANDS.iter().any(|words| words.first() == Some(&name)),
            "{name} has no snapshot"
        );
    }
}

#[tokio::test]
async fn each_has_an_example_and_names_its_environment() {
    for words in COMMANDS.iter().filter(|words| words.len() == 1) {
        let help = run(&[words[0], "--help"]).await.stdout;
        assert!(help.contains("\nExamples:\n  "), "{words:?} has no example");
        assert!(
            help.contains("\nEnvironment:"),
            "{words:?} names no environment"
        );
    }
}

/// The child of the compiler is not for people.
#[tokio::test]
async fn what_is_not_for_people_is_hidden() {
    assert!(!run(&["--help"]).await.stdout.contains("compile-component"));
}
