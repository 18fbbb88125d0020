//! The golden vectors: one table of what guardrail strings mean and what redaction makes of texts, for every door that
//! uses the one implementation.

use bulkhead::guardrails::redact::{self, Counts, Set, Stream};
use bulkhead::guardrails::{Rule, parse};

/// A string, and what is said where it is refused: nothing where it is understood.
const STRINGS: &[(&str, &str)] = &[
    ("rate:10/min", ""),
    ("rate:1/sec", ""),
    ("rate:4294967295/day", ""),
    ("rate:7/hour", ""),
    ("rate:0/min", "whole number, 1 to"),
    ("rate:-1/min", "whole number, 1 to"),
    ("rate:4294967296/day", "whole number, 1 to"),
    ("rate:1.5/min", "whole number, 1 to"),
    ("rate:10", "write `rate:<n>/(sec|min|hour|day)`"),
    (
        "rate:10/fortnight",
        "the unit must be sec, min, hour or day",
    ),
    ("rate:10/Min", "the unit must be"),
    ("rate=10/min", "write `rate:"),
    ("rate: 10/min", "whole number"),
    ("input_max_chars=1", ""),
    ("input_max_chars=0", "whole number, 1 to"),
    ("input_max_chars", "it needs a value"),
    ("input_max_chars=", "whole number"),
    ("input_max_chars=1k", "whole number"),
    ("input_max_chars=+1", "whole number"),
    ("input_max_chars=٣", "whole number"),
    ("max_tokens=2000", ""),
    ("max_tokens=-2000", "whole number, 1 to"),
    ("max_tool_calls=0", ""),
    ("max_tool_calls=-1", "whole number, 0 to"),
    ("max_iterations=3", ""),
    ("max_iterations=0", "whole number, 1 to"),
    ("require_tool_allowlist=add", ""),
    ("require_tool_allowlist=add,look-up,get_1", ""),
    ("require_tool_allowlist=", "is not a tool's name"),
    ("require_tool_allowlist=add,,sub", "is not a tool's name"),
    ("require_tool_allowlist=add, sub", "is not a tool's name"),
    ("require_tool_allowlist=add,add", "stands in it twice"),
    ("egress_allowlist=api.example.com,*.example.org", ""),
    (
        "egress_allowlist=https://example.com",
        "is not a host's name",
    ),
    ("egress_allowlist=Example.com", "is not a host's name"),
    ("egress_allowlist=*", "is not a host's name"),
    ("egress_allowlist=localhost", "is not a host's name"),
    ("require_citation", ""),
    ("require_citation=yes", "it takes no value"),
    ("pii.redact", ""),
    ("pii.redact=input", ""),
    ("pii.redact=output,input", ""),
    ("pii.redact=", "the value must be input, output or both"),
    ("pii.redact=in", "the value must be input, output or both"),
    ("pii.redact=input,input", "stands in it twice"),
    ("secrets.redact", "always on"),
    ("secrets.redact=output", "always on"),
    ("topic=billing and invoices", ""),
    ("topic=", "describe the topic"),
    ("topic=   ", "describe the topic"),
    ("component=no-swearing", ""),
    ("component=No Swearing", "name a guardrail component"),
    ("component=", "name a guardrail component"),
    ("", "no guardrail has this name"),
    ("max_token=1", "no guardrail has this name"),
    ("MAX_TOKENS=1", "no guardrail has this name"),
    ("max_tokens =1", "no guardrail has this name"),
    ("sandbox", "no guardrail has this name"),
    ("max_tokens=1\n", "no control characters"),
    ("topic=a\0b", "no control characters"),
];

/// A text, and what is left of it where everything is looked for.
const TEXTS: &[(&str, &str)] = &[
    ("", ""),
    ("nothing to see", "nothing to see"),
    ("write to jane.doe+x@mail.example.com.", "write to [email]."),
    ("邮箱jane@example.com。", "邮箱[email]。"),
    ("no@host, @handle, a@b.c", "no@host, @handle, a@b.c"),
    ("call +49 171 2345678 now", "call [phone] now"),
    ("call (212) 555-0147.", "call [phone]."),
    ("due 2026-11-20 at 12:30:45", "due 2026-11-20 at 12:30:45"),
    (
        "order 1234567890 of 01-02-2024",
        "order 1234567890 of 01-02-2024",
    ),
    ("card 4111 1111 1111 1111, thanks", "card [card], thanks"),
    ("card 4111-1111-1111-1112", "card 4111-1111-1111-1112"),
    ("IBAN DE89 3704 0044 0532 0130 00 ok", "IBAN [iban] ok"),
    ("IBAN DE88370400440532013000", "IBAN DE88370400440532013000"),
    ("from 192.168.10.20:8080", "from [ip]:8080"),
    (
        "version 1.2.3.4.5 and 300.1.1.1",
        "version 1.2.3.4.5 and 300.1.1.1",
    ),
    ("at 2001:db8::ff00:42:8329.", "at [ip]."),
    ("std::vec::Vec at 10:20:30", "std::vec::Vec at 10:20:30"),
    ("ssn 123-45-6789", "ssn [national_id]"),
    ("ssn 000-45-6789", "ssn 000-45-6789"),
    ("nino AB 12 34 56 C", "nino [national_id]"),
    ("dni 12345678Z", "dni [national_id]"),
    ("dni 12345678A", "dni 12345678A"),
    ("key sk-abcdefghijklmnop1234567890 end", "key [secret] end"),
    ("sk-learn is a library", "sk-learn is a library"),
    ("AKIAIOSFODNN7EXAMPLE", "[secret]"),
    ("password=hunter2&user=x", "password=[secret]&user=x"),
    (r#"{"api_key": "abcd1234"}"#, r#"{"api_key": "[secret]"}"#),
    (
        r#"{\"api_key\":\"abcd1234\"}"#,
        r#"{\"api_key\":\"[secret]\"}"#,
    ),
    ("the password: required", "the password: required"),
    ("password: correct4horse", "password: [secret]"),
    (
        "max_tokens=2000 input_tokens: 12345678",
        "max_tokens=2000 input_tokens: 12345678",
    ),
    (
        "Authorization: Bearer abcdefghij0123456789",
        "Authorization: Bearer [secret]",
    ),
    ("the bearer of this letter", "the bearer of this letter"),
    (
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl!",
        "[secret]!",
    ),
    (
        "-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----\nafter",
        "[secret]\nafter",
    ),
    ("-----BEGIN CERTIFICATE-----", "-----BEGIN CERTIFICATE-----"),
    ("postgres://user:pa55@db/x", "postgres://user:[secret]@db/x"),
    ("[email] and [secret] stay", "[email] and [secret] stay"),
];

#[test]
fn strings_mean_what_the_table_says() {
    for (text, refusal) in STRINGS {
        let (rules, refused) = parse(&[text]);
        match refused.as_slice() {
            [] => {
                assert_eq!(*refusal, "", "`{text}` is understood");
                assert_eq!(rules.iter().count(), 1);
            }
            [one] => {
                assert!(!refusal.is_empty(), "`{text}` is refused: {}", one.reason);
                assert!(one.reason.contains(refusal), "`{text}`: {}", one.reason);
                assert_eq!(one.index, 0);
                assert_eq!(one.unknown, refusal.starts_with("no guardrail"), "`{text}`");
                assert!(rules.is_empty());
            }
            more => panic!("one string, {} refusals", more.len()),
        }
    }
}

#[test]
fn a_guardrail_is_declared_once() {
    let twice = [
        "max_tokens=1",
        "rate:1/sec",
        "component=a",
        "max_tokens=2",
        "rate:2/min",
        "component=b",
        "rate:9/sec",
        "component=a",
    ];
    let (rules, refused) = parse(&twice);
    let indexes: Vec<usize> = refused.iter().map(|refused| refused.index).collect();
    assert_eq!(indexes, [3, 6, 7]);
    assert!(
        refused
            .iter()
            .all(|refused| refused.reason.contains("declared already"))
    );
    assert_eq!(rules.iter().count(), 5);
    assert_eq!(
        rules.components().map(|(name, _)| name).collect::<Vec<_>>(),
        ["a", "b"]
    );
    let many = vec!["require_citation"; 100_000];
    assert_eq!(
        parse(&many).1.len(),
        64,
        "what is beyond the most is named once"
    );
    let long = format!("topic={}", "x".repeat(2_000));
    assert_eq!(parse(&[&long]).1[0].value.chars().count(), 200);
    let topic = |rule: &Rule| matches!(rule, Rule::Topic(text) if text == "tea").then_some(());
    assert!(parse(&["topic= tea "]).0.find(topic).is_some());
}

#[test]
fn texts_become_what_the_table_says() {
    for (text, expected) in TEXTS {
        let mut counts = Counts::default();
        assert_eq!(
            redact::text(Set::ALL, text, &mut counts),
            *expected,
            "of {text:?}"
        );
        assert_eq!(counts.is_empty(), text == expected);
        let again = redact::text(Set::ALL, expected, &mut Counts::default());
        assert_eq!(again, *expected, "what is redacted stays as it is");
    }
}

#[test]
fn a_stream_cut_at_every_byte_says_the_same() {
    for (text, expected) in TEXTS {
        let bytes = text.as_bytes();
        for first in 0..=bytes.len() {
            // Neighbours of several bytes, cut in their middle too.
            let mut stream = Stream::new(Set::ALL);
            let mut out = stream.push(&bytes[..first]);
            out.extend(stream.push(&bytes[first..]));
            out.extend(stream.end());
            assert_eq!(
                String::from_utf8_lossy(&out),
                *expected,
                "{text:?} cut at {first}"
            );
        }
        let mut stream = Stream::new(Set::ALL);
        let mut out: Vec<u8> = bytes
            .iter()
            .flat_map(|byte| stream.push(&[*byte]))
            .collect();
        out.extend(stream.end());
        assert_eq!(
            String::from_utf8_lossy(&out),
            *expected,
            "{text:?} byte by byte"
        );
    }
}
