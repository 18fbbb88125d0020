//! Streams by chance: whatever is said, however it is cut, what comes out is what the whole would be; little is held
//! back, and time is linear.
#![expect(clippy::print_stdout, reason = "figures are printed")]

use std::time::Instant;

use super::sets::{Dice, negative, positive};
use bulkhead::guardrails::redact::{self, Counts, Set, Stream, What};

/// A text of everything the recognisers know, of what only looks like it, and of what stands between.
fn text(dice: &mut Dice) -> String {
    let fixed = [
        "-----BEGIN PRIVATE KEY-----\nabc\n",
        "-----END PRIVATE KEY-----",
        "password=",
        "\"token\": \"",
        "bearer ",
        "eyJ",
        "sk-",
        "://u:p",
        "é",
        "日本",
        " ",
        "",
    ];
    let pieces = (0..dice.roll(12)).map(|_| match dice.roll(8) {
        0 => positive(dice.roll(u64::MAX)),
        1 => negative(dice.roll(u64::MAX)),
        2 => {
            let len = dice.roll(20);
            dice.of("0123456789 .:+()@/-", len)
        }
        3 => {
            let len = dice.roll(30);
            dice.of("abcdefABCDEF0123456789:", len)
        }
        4 => {
            let len = dice.roll(12);
            dice.of("abcXYZ _-=\"'\\:;,.{}[]()%$*&<>", len)
        }
        _ => dice.one(&fixed).to_owned(),
    });
    pieces.collect()
}

#[test]
fn however_it_is_cut() {
    for seed in 0..4_000 {
        let mut dice = Dice::new(seed);
        let text = text(&mut dice);
        for set in [Set::SECRETS, Set::ALL] {
            let mut counts = Counts::default();
            let whole = redact::text(set, &text, &mut counts).into_owned();
            let mut stream = Stream::new(set);
            let (mut out, mut from) = (Vec::new(), 0);
            while from < text.len() {
                let to = (from + 1 + dice.roll(16) as usize).min(text.len());
                out.extend(stream.push(&text.as_bytes()[from..to]));
                assert!(
                    stream.held() <= 1_024,
                    "{} bytes are held back",
                    stream.held()
                );
                from = to;
            }
            out.extend(stream.end());
            let out = String::from_utf8(out).expect("text stays text");
            assert_eq!(out, whole, "{text:?}, seed {seed}");
            assert_eq!(stream.counts(), counts, "{text:?}");
        }
    }
}

/// The worst the recognisers can be given, each as long as a run may say: none costs more than a little for each byte.
#[test]
fn time_is_linear() {
    let worst = [
        "a".repeat(1 << 16),
        "a-".repeat(1 << 15),
        "1 ".repeat(1 << 15),
        "1-".repeat(1 << 15),
        "a@".repeat(1 << 15),
        "a@b.".repeat(1 << 14),
        "(".repeat(1 << 16),
        "::1".repeat(1 << 14),
        "-----BEGIN ".repeat(1 << 12),
        format!("-----BEGIN PRIVATE KEY-----{}", "-----END ".repeat(1 << 12)),
        "eyJaaaaaaaaa.".repeat(1 << 12),
        "password=".repeat(1 << 12),
        "\"password\": \"".repeat(1 << 12),
        "://".repeat(1 << 14),
        "DE89 3704 ".repeat(1 << 12),
        "4111 ".repeat(1 << 13),
        "bearer ".repeat(1 << 13),
    ];
    for text in worst {
        let name: String = text.chars().take(12).collect();
        let began = Instant::now();
        let mut counts = Counts::default();
        redact::text(Set::ALL, &text, &mut counts);
        let whole = began.elapsed();
        let mut stream = Stream::new(Set::ALL);
        let mut most = 0;
        for byte in text.as_bytes() {
            stream.push(&[*byte]);
            most = most.max(stream.held());
        }
        stream.end();
        println!(
            "{name:?}: {} bytes whole in {whole:?}, byte by byte in {:?}",
            text.len(),
            began.elapsed() - whole
        );
        assert!(most <= 1_024, "{name:?}: {most} bytes are held back");
    }
}

/// What looks like the end of a key again and again takes no more of the stack than once.
#[test]
fn a_key_without_an_end_takes_no_stack() {
    let text = format!(
        "-----BEGIN PRIVATE KEY-----{}after",
        format!("-----END {}\n", "a".repeat(64)).repeat(1 << 16)
    );
    let mut counts = Counts::default();
    let whole = redact::text(Set::SECRETS, &text, &mut counts);
    assert_eq!((whole.as_ref(), counts.of(What::Secret)), ("[secret]", 1));
}
