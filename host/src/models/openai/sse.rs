//! Server-sent events out of bytes that come in any pieces. Lines end with LF, CR or CRLF; comments and fields other
//! than `data` are passed over. Invariant: never more than `most` bytes are held for a line or for an event.

use super::super::GenerateError;

#[derive(Debug)]
pub(super) struct Events {
    line: Vec<u8>,
    /// The event's `data` lines so far; `None` where it has none.
    event: Option<Vec<u8>>,
    /// The last line ended with CR: a LF that follows belongs to that end.
    after_cr: bool,
    first_line: bool,
    most: usize,
}

impl Events {
    pub(super) fn new(most: usize) -> Self {
        Self {
            line: Vec::new(),
            event: None,
            after_cr: false,
            first_line: true,
            most,
        }
    }

    /// Reads on in `input` up to the end of an event, and answers its data; `None` when `input` is used up.
    pub(super) fn next(&mut self, input: &mut &[u8]) -> Result<Option<Vec<u8>>, GenerateError> {
        while let Some(&byte) = input.first() {
            if std::mem::take(&mut self.after_cr) && byte == b'\n' {
                *input = &input[1..];
                continue;
            }
            let Some(end) = input.iter().position(|b| matches!(b, b'\n' | b'\r')) else {
                append(&mut self.line, input, self.most)?;
                *input = &[];
                break;
            };
            append(&mut self.line, &input[..end], self.most)?;
            self.after_cr = input[end] == b'\r';
            *input = &input[end + 1..];
            if let Some(event) = self.end_line()? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// The stream ended. An event whose blank line is missing counts: whether its data is whole, its own form tells.
    pub(super) fn end(mut self) -> Option<Vec<u8>> {
        let last = self.end_line().ok()?;
        last.or(self.event)
    }

    fn end_line(&mut self) -> Result<Option<Vec<u8>>, GenerateError> {
        let line = std::mem::take(&mut self.line);
        let mut text = &line[..];
        if std::mem::take(&mut self.first_line) {
            text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
        }
        if text.is_empty() {
            return Ok(self.event.take());
        }
        let colon = text.iter().position(|&b| b == b':').unwrap_or(text.len());
        if &text[..colon] != b"data" {
            return Ok(None);
        }
        let value = text.get(colon + 1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match &mut self.event {
            None => self.event = Some(value.to_vec()),
            Some(event) => {
                append(event, b"\n", self.most)?;
                append(event, value, self.most)?;
            }
        }
        Ok(None)
    }
}

fn append(to: &mut Vec<u8>, bytes: &[u8], most: usize) -> Result<(), GenerateError> {
    if to.len() + bytes.len() > most {
        return Err(GenerateError::Broken(
            "The provider sent an event that is too large.".into(),
        ));
    }
    to.extend_from_slice(bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]], most: usize) -> Result<Vec<String>, GenerateError> {
        let mut events = Events::new(most);
        let mut found = Vec::new();
        for piece in pieces {
            let mut rest = *piece;
            while let Some(event) = events.next(&mut rest)? {
                found.push(event);
            }
        }
        found.extend(events.end());
        Ok(found
            .into_iter()
            .map(|event| String::from_utf8(event).unwrap())
            .collect())
    }

    #[test]
    fn every_split_reads_the_same() {
        let text = "\u{feff}: hello\r\n\r\ndata: {\"a\":\"é🦀\"}\r\n\r\ndata:two\rdata: lines\r\rid: 7\nevent: x\ndata\n\n\
                    retry: 1\n\ndatax: no\n\ndata:  [DONE]\n";
        let expected = ["{\"a\":\"é🦀\"}", "two\nlines", "", " [DONE]"];
        let bytes = text.as_bytes();
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                assert_eq!(
                    read(&pieces, 1 << 10).unwrap(),
                    expected,
                    "split at {first} and {second}"
                );
            }
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(read(&single, 1 << 10).unwrap(), expected);
    }

    #[test]
    fn too_much_is_an_error() {
        assert!(read(&[b"data: 123"], 9).is_ok());
        assert!(read(&[b"data: 1234"], 9).is_err());
        assert!(read(&[b"data: 1\ndata: 2\ndata: 3\ndata: 4\ndata: 5\n\n"], 9).is_ok());
        assert!(
            read(
                &[b"data: 1\ndata: 2\ndata: 3\ndata: 4\ndata: 5\ndata: 6\n\n"],
                9
            )
            .is_err()
        );
    }
}
