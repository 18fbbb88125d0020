//! Labelled examples, grown from seeds by rules of their own that know nothing of the recognisers: for each kind what
//! must be found, written as people write it, and what only looks like it. Recall and false positives are printed.
#![expect(clippy::print_stdout, reason = "figures are printed")]
#![expect(clippy::too_many_lines, reason = "tables are long")]

use bulkhead::guardrails::redact::{self, Counts, Set, What};

/// Of each kind, and of each side.
const EXAMPLES: u64 = 400;

/// A little source of chance: the same seed, the same example.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    pub(super) fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % below
    }

    pub(super) fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.roll(of.len() as u64) as usize]
    }

    pub(super) fn of(&mut self, letters: &str, len: u64) -> String {
        let letters: Vec<char> = letters.chars().collect();
        (0..len)
            .map(|_| letters[self.roll(letters.len() as u64) as usize])
            .collect()
    }

    fn digits(&mut self, len: u64) -> String {
        self.of("0123456789", len)
    }
}

const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const WORDS: [&str; 12] = [
    "river", "lamp", "orbit", "maple", "kettle", "tower", "pilot", "garden", "copper", "violet",
    "marble", "harbor",
];

/// What must be found: the example, and nothing else of it may stay.
fn must(what: What, dice: &mut Dice) -> String {
    match what {
        What::Email => {
            let (a, b) = (dice.one(&WORDS), dice.one(&WORDS));
            let n = dice.roll(100);
            let local = match dice.roll(5) {
                0 => format!("{a}.{b}"),
                1 => format!("{a}{n}"),
                2 => format!("{a}+{b}"),
                3 => format!("{a}_{b}-{n}"),
                _ => a.to_uppercase(),
            };
            let host = format!("{}{}", dice.one(&WORDS), dice.one(&["", "-mail", "1"]));
            format!(
                "{local}@{host}.{}",
                dice.one(&["com", "co.uk", "de", "museum", "org", "travel"])
            )
        }
        What::Phone => phone(dice),
        What::Card => {
            let (head, len) = [
                ("4", 16),
                ("51", 16),
                ("55", 16),
                ("34", 15),
                ("37", 15),
                ("6011", 16),
                ("2221", 16),
            ][dice.roll(7) as usize];
            let body = format!("{head}{}", dice.digits(len - 1 - head.len() as u64));
            let card = format!("{body}{}", check_digit(&body));
            match (len, dice.roll(3)) {
                (_, 0) => card,
                (15, style) => grouped(&card, &[4, 6, 5], if style == 1 { " " } else { "-" }),
                (_, style) => grouped(&card, &[4, 4, 4, 4], if style == 1 { " " } else { "-" }),
            }
        }
        What::Iban => {
            let (country, len) = [
                ("DE", 22),
                ("FR", 27),
                ("GB", 22),
                ("NL", 18),
                ("ES", 24),
                ("NO", 15),
                ("MT", 31),
            ][dice.roll(7) as usize];
            let bank = match country {
                "GB" | "NL" => dice.of(UPPER, 4),
                "MT" => format!("{}{}", dice.of(UPPER, 4), dice.digits(5)),
                _ => String::new(),
            };
            let rest = dice.digits(len - 4 - bank.len() as u64);
            let account = format!("{bank}{rest}");
            let iban = format!(
                "{country}{:02}{account}",
                98 - rest_of_97(&format!("{account}{country}00"))
            );
            if dice.roll(2) == 0 {
                iban
            } else {
                grouped(&iban, &[4; 8], " ")
            }
        }
        What::Ip => match dice.roll(3) {
            0 | 1 => {
                let mut part = || dice.roll(256).to_string();
                [part(), part(), part(), part()].join(".")
            }
            _ => {
                let mut part = || format!("{:x}", dice.roll(65_536));
                match part().len() % 2 {
                    0 => format!("2001:db8:{}::{}", part(), part()),
                    _ => [
                        "2001:db8".to_owned(),
                        part(),
                        part(),
                        part(),
                        part(),
                        part(),
                        part(),
                    ]
                    .join(":"),
                }
            }
        },
        What::NationalId => national_id(dice),
        What::Secret => secret(dice),
    }
}

fn phone(dice: &mut Dice) -> String {
    let sep = dice.one(&[" ", "-", "."]);
    match dice.roll(5) {
        0 => format!(
            "+{} {}{sep}{}{sep}{}",
            dice.one(&["1", "44", "49", "33", "81"]),
            dice.digits(3),
            dice.digits(3),
            dice.digits(4)
        ),
        1 => format!(
            "+{}{}",
            dice.one(&["1", "44", "49", "358", "971"]),
            dice.digits(9)
        ),
        2 => format!(
            "({}{}) {}{}-{}",
            2 + dice.roll(8),
            dice.digits(2),
            2 + dice.roll(8),
            dice.digits(2),
            dice.digits(4)
        ),
        3 => format!(
            "{}{}{sep}{}{}{sep}{}",
            2 + dice.roll(8),
            dice.digits(2),
            2 + dice.roll(8),
            dice.digits(2),
            dice.digits(4)
        ),
        _ => format!("0{}{} {}", 1 + dice.roll(9), dice.digits(2), dice.digits(7)),
    }
}

fn national_id(dice: &mut Dice) -> String {
    match dice.roll(5) {
        0 => format!(
            "{:03}-{:02}-{:04}",
            1 + dice.roll(665),
            1 + dice.roll(99),
            1 + dice.roll(9_999)
        ),
        1 => {
            let pair = format!("{}{}", dice.of("ABCEHJLMPRSW", 1), dice.of("ACEHJLMPRS", 1));
            let letter = dice.of("ABCD", 1);
            match dice.roll(2) {
                0 => format!("{pair}{}{letter}", dice.digits(6)),
                _ => format!(
                    "{pair} {} {} {} {letter}",
                    dice.digits(2),
                    dice.digits(2),
                    dice.digits(2)
                ),
            }
        }
        2 => {
            let number = dice.roll(100_000_000);
            let letters = b"TRWAGMYFPDXBNJZSQVHLCKE";
            format!("{number:08}{}", letters[(number % 23) as usize] as char)
        }
        3 => {
            let mut digits: Vec<u64> = (0..9).map(|_| dice.roll(10)).collect();
            for len in [9, 10] {
                let sum: u64 = digits
                    .iter()
                    .enumerate()
                    .map(|(at, d)| d * (len + 1 - at as u64))
                    .sum();
                digits.push((sum * 10 % 11) % 10);
            }
            let text: String = digits.iter().map(u64::to_string).collect();
            format!(
                "{}.{}.{}-{}",
                &text[..3],
                &text[3..6],
                &text[6..9],
                &text[9..]
            )
        }
        _ => {
            let body = format!(
                "{}{:02}{:02}{}{}",
                1 + dice.roll(2),
                dice.roll(100),
                1 + dice.roll(12),
                10 + dice.roll(80),
                dice.digits(6)
            );
            let key = 97 - body.parse::<u64>().expect("thirteen digits") % 97;
            let number = format!("{body}{key:02}");
            if dice.roll(2) == 0 {
                number
            } else {
                grouped(&number, &[1, 2, 2, 2, 3, 3, 2], " ")
            }
        }
    }
}

fn secret(dice: &mut Dice) -> String {
    let any = format!("{LOWER}{UPPER}0123456789");
    match dice.roll(9) {
        0 => format!("sk-{}7{}", dice.of(&any, 20), dice.of(&any, 20)),
        1 => format!("AKIA{}", dice.of(&format!("{UPPER}0123456789"), 16)),
        2 => format!("ghp_{}", dice.of(&any, 36)),
        3 => format!("whsec_{}", dice.of(&any, 32)),
        4 => format!(
            "bh_{}_{}",
            dice.of("0123456789abcdef", 32),
            dice.of(&any, 43)
        ),
        5 => format!(
            "eyJ{}.eyJ{}.{}",
            dice.of(&any, 30),
            dice.of(&any, 60),
            dice.of(&any, 43)
        ),
        6 => format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----",
            dice.of(&any, 64)
        ),
        7 => format!("xoxb-{}-{}", dice.digits(12), dice.of(&any, 24)),
        _ => format!("glpat-{}", dice.of(&any, 20)),
    }
}

/// What looks like it and is not.
fn must_not(what: What, dice: &mut Dice) -> String {
    let (a, b) = (dice.one(&WORDS), dice.one(&WORDS));
    match what {
        What::Email => match dice.roll(6) {
            0 => format!("@{a}"),
            1 => format!("{a} @ {b}.com"),
            2 => format!("{a}@{b}"),
            3 => format!("{a}@{}.{}", dice.digits(2), dice.digits(3)),
            4 => format!("{a}@.{b}"),
            _ => format!("{a}.{b}/{a}@v{}", dice.digits(1)),
        },
        What::Phone => match dice.roll(7) {
            0 => format!(
                "20{:02}-{:02}-{:02}",
                dice.roll(40),
                1 + dice.roll(12),
                1 + dice.roll(28)
            ),
            1 => format!(
                "{:02}/{:02}/20{:02}",
                1 + dice.roll(28),
                1 + dice.roll(12),
                dice.roll(40)
            ),
            2 => format!("order {}", dice.digits(10)),
            3 => format!("{}.{} km", dice.digits(3), dice.digits(2)),
            4 => format!("page {}-{}", dice.digits(3), dice.digits(3)),
            5 => format!("v{}.{}.{}", dice.digits(1), dice.digits(2), dice.digits(3)),
            _ => format!("{},{},{}", 1 + dice.roll(9), dice.digits(3), dice.digits(3)),
        },
        What::Card => match dice.roll(3) {
            0 => {
                let body = format!("4{}", dice.digits(14));
                let wrong = (check_digit(&body) + 1 + dice.roll(8)) % 10;
                format!("{body}{wrong}")
            }
            1 => format!("1{}", dice.digits(15)),
            _ => {
                let body = format!("53{}", dice.digits(13));
                let wrong = (check_digit(&body) + 1) % 10;
                grouped(&format!("{body}{wrong}"), &[4, 4, 4, 4], " ")
            }
        },
        What::Iban => match dice.roll(3) {
            0 => {
                let account = dice.digits(18);
                let right = 98 - rest_of_97(&format!("{account}DE00"));
                format!("DE{:02}{account}", right % 97 + 1)
            }
            1 => format!("ZZ{}", dice.digits(20)),
            _ => format!("DE{}", dice.digits(12)),
        },
        What::Ip => match dice.roll(5) {
            0 => format!(
                "{}.{}.{}.{}",
                256 + dice.roll(700),
                dice.roll(256),
                dice.roll(256),
                dice.roll(256)
            ),
            1 => format!("{}.{}.{}", dice.roll(30), dice.roll(30), dice.roll(30)),
            2 => format!(
                "{:02}:{:02}:{:02}",
                dice.roll(24),
                dice.roll(60),
                dice.roll(60)
            ),
            3 => format!("{a}::{b}"),
            _ => format!(
                "{}.{}.{}.{}.{}",
                dice.roll(9),
                dice.roll(9),
                dice.roll(9),
                dice.roll(9),
                dice.roll(9)
            ),
        },
        What::NationalId => match dice.roll(4) {
            0 => format!("000-{}-{}", dice.digits(2), dice.digits(4)),
            1 => format!("{}-{}", dice.digits(3), dice.digits(3)),
            2 => {
                let number = dice.roll(100_000_000);
                let letters = b"TRWAGMYFPDXBNJZSQVHLCKE";
                format!(
                    "{number:08}{}",
                    letters[((number + 1) % 23) as usize] as char
                )
            }
            _ => format!(
                "{}{} {}",
                dice.of("DFIQUV", 2),
                dice.digits(2),
                dice.digits(4)
            ),
        },
        What::Secret => match dice.roll(8) {
            0 => format!("sk-{a}-{b}"),
            1 => format!(
                "the {} is optional",
                dice.one(&["password", "token", "api key", "secret"])
            ),
            2 => format!(
                "{}={}",
                dice.one(&["max_tokens", "user", "page", "secretary_of"]),
                dice.digits(6)
            ),
            3 => format!("password: {a}"),
            4 => "token = next_token()".to_owned(),
            5 => format!("bearer of the {a} {b}"),
            6 => format!("{} {}", dice.of(LOWER, 30), dice.of("0123456789abcdef", 40)),
            _ => format!("https://{a}.example/{b}:{}@{a}", dice.digits(2)),
        },
    }
}

fn check_digit(body: &str) -> u64 {
    let doubled = body.bytes().rev().enumerate().map(|(place, b)| {
        let digit = u64::from(b - b'0');
        if place % 2 == 0 {
            digit * 2 / 10 + digit * 2 % 10
        } else {
            digit
        }
    });
    (10 - doubled.sum::<u64>() % 10) % 10
}

fn rest_of_97(text: &str) -> u64 {
    let digits: String = text
        .bytes()
        .map(|b| {
            if b.is_ascii_digit() {
                (b - b'0').to_string()
            } else {
                (b - b'A' + 10).to_string()
            }
        })
        .collect();
    digits
        .bytes()
        .fold(0, |rest, digit| (rest * 10 + u64::from(digit - b'0')) % 97)
}

fn grouped(text: &str, groups: &[usize], by: &str) -> String {
    let (mut parts, mut rest) = (Vec::new(), text);
    for group in groups {
        let (part, behind) = rest.split_at((*group).min(rest.len()));
        if !part.is_empty() {
            parts.push(part);
        }
        rest = behind;
    }
    parts.join(by)
}

/// An example of chance, for streams.
pub(super) fn positive(seed: u64) -> String {
    let mut dice = Dice::new(seed);
    let what = What::ALL[dice.roll(What::ALL.len() as u64) as usize];
    must(what, &mut dice)
}

pub(super) fn negative(seed: u64) -> String {
    let mut dice = Dice::new(seed);
    let what = What::ALL[dice.roll(What::ALL.len() as u64) as usize];
    must_not(what, &mut dice)
}

/// Sentences around an example.
fn around(example: &str, dice: &mut Dice) -> String {
    let before = dice.one(&["", "it is ", "(", "Ответ: ", "see\n", "\"", "→"]);
    let after = dice.one(&["", ".", ", please", ")", " and so on", "\n", "\"", "。"]);
    format!("{before}{example}{after}")
}

#[test]
fn recall_and_false_positives() {
    println!(
        "{:<12} {:>8} {:>10} {:>16}",
        "kind", "examples", "recall", "false positives"
    );
    let mut missed = Vec::new();
    for what in What::ALL {
        let (mut found, mut wrong) = (0, 0);
        for seed in 0..EXAMPLES {
            let mut dice = Dice::new(seed * 7 + what as u64);
            let example = must(what, &mut dice);
            let text = around(&example, &mut dice);
            let mut counts = Counts::default();
            let left = redact::text(Set::ALL, &text, &mut counts);
            let placed = around(what.placeholder(), &mut Dice::new(0)).contains(what.placeholder());
            if placed
                && counts.of(what) == 1
                && left.contains(what.placeholder())
                && !left.contains(&example)
            {
                found += 1;
            } else {
                missed.push(format!("{} of {text:?} is {left:?}", what.name()));
            }
            let mut dice = Dice::new(seed * 11 + what as u64 + 1);
            let example = must_not(what, &mut dice);
            let text = around(&example, &mut dice);
            let mut counts = Counts::default();
            let left = redact::text(Set::ALL, &text, &mut counts);
            if counts.of(what) > 0 {
                wrong += 1;
                missed.push(format!("no {} in {text:?}, but {left:?}", what.name()));
            }
        }
        let share = |n: u64| format!("{:.1} %", n as f64 * 100.0 / EXAMPLES as f64);
        println!(
            "{:<12} {:>8} {:>10} {:>16}",
            what.name(),
            EXAMPLES,
            share(found),
            share(wrong)
        );
        // The figure is printed; a recogniser that finds nothing, or everything, is broken.
        assert!(
            found * 10 > EXAMPLES * 9 && wrong * 10 < EXAMPLES,
            "{}: {found} found, {wrong} wrongly",
            what.name()
        );
    }
    for example in missed.iter().take(40) {
        println!("{example}");
    }
}
