//! Custom sections of a component: bytes beside its code that mean nothing to the engine. Found by the sizes of the
//! outermost sections alone, so that no bytes, however they nest, cost more than their length.

/// Magic and version.
const PREAMBLE: usize = 8;
const CUSTOM: u8 = 0;

/// One of the outermost sections.
#[derive(Clone, Copy, Debug)]
struct Section<'a> {
    /// With its head.
    whole: &'a [u8],
    id: u8,
    content: &'a [u8],
}

/// The contents of the custom sections of a name, in their order. Bytes that are no component have none.
pub fn named<'a>(bytes: &'a [u8], name: &str) -> Vec<&'a [u8]> {
    let found = outermost(bytes).unwrap_or_default().into_iter();
    found.filter_map(|section| section.custom(name)).collect()
}

/// The component with one custom section of that name, in the place of those it has; `None` where the bytes are none.
pub fn with(bytes: &[u8], name: &str, content: &[u8]) -> Option<Vec<u8>> {
    let sections = outermost(bytes)?;
    let mut made = bytes.get(..PREAMBLE)?.to_vec();
    let others = sections
        .iter()
        .filter(|section| section.custom(name).is_none());
    for section in others {
        made.extend_from_slice(section.whole);
    }
    let mut inside = Vec::new();
    put_number(name.len(), &mut inside);
    inside.extend_from_slice(name.as_bytes());
    inside.extend_from_slice(content);
    made.push(CUSTOM);
    put_number(inside.len(), &mut made);
    made.extend_from_slice(&inside);
    Some(made)
}

impl<'a> Section<'a> {
    fn custom(&self, name: &str) -> Option<&'a [u8]> {
        if self.id != CUSTOM {
            return None;
        }
        let (length, rest) = number(self.content)?;
        let (own, content) = rest.split_at_checked(length)?;
        (own == name.as_bytes()).then_some(content)
    }
}

fn outermost(bytes: &[u8]) -> Option<Vec<Section<'_>>> {
    let mut rest = bytes.get(PREAMBLE..)?;
    let mut sections = Vec::new();
    while let [id, behind @ ..] = rest {
        let (length, behind) = number(behind)?;
        let (content, next) = behind.split_at_checked(length)?;
        let whole = &rest[..rest.len() - next.len()];
        sections.push(Section {
            whole,
            id: *id,
            content,
        });
        rest = next;
    }
    Some(sections)
}

/// A number in LEB128, of 32 bits.
fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_u64;
    for (place, byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            let value = u32::try_from(value).ok()?;
            return Some((usize::try_from(value).ok()?, &bytes[place + 1..]));
        }
    }
    None
}

fn put_number(mut value: usize, to: &mut Vec<u8>) {
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or(0);
        value >>= 7;
        to.push(if value == 0 { low } else { low | 0x80 });
        if value == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

    #[test]
    fn a_section_takes_the_place_of_one_of_its_name() {
        let first = with(COMPONENT, "a", b"one").unwrap_or_default();
        let other = with(&first, "b", &[7; 300]).unwrap_or_default();
        let second = with(&other, "a", b"two").unwrap_or_default();
        assert_eq!(named(&second, "a"), [b"two"]);
        assert_eq!(named(&second, "b"), [[7; 300]]);
        assert!(named(&second, "").is_empty());
        let again = with(&second, "a", b"two").unwrap_or_default();
        assert_eq!(again, second, "the same again is the same bytes");
        let twice = [&first[..], &first[PREAMBLE..]].concat();
        assert_eq!(named(&twice, "a").len(), 2);
    }

    #[test]
    fn bytes_that_lie_have_none() {
        let lies: [&[u8]; 6] = [
            b"",
            b"\0asm",
            b"\0asm\x0d\0\x01\0\0",
            b"\0asm\x0d\0\x01\0\0\xff\xff\xff\xff\xff\x01",
            b"\0asm\x0d\0\x01\0\0\xff\xff\xff\xff\x7f",
            b"\0asm\x0d\0\x01\0\0\x02\x05a",
        ];
        for bytes in lies {
            assert!(named(bytes, "a").is_empty(), "{bytes:?}");
        }
        assert_eq!(with(b"\0asm", "a", b""), None);
    }
}
