//! Reads server-sent events from bytes, however they are cut.
//!
//! Follows the event-stream format of the HTML standard: lines end in `\n`, `\r\n` or `\r`; a line is `field: value`, a
//! line starting with `:` is a comment (the daemon sends these to show that it is alive); an empty line ends the event.
//! An event without data is dropped, one cut off by the end of the stream too.

/// One event of the stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// Its sequence number as text, if the stream gave one.
    pub id: Option<String>,
    /// Its kind; empty when not given.
    pub event: String,
    /// Its data; several data lines are joined by line feeds.
    pub data: String,
}

/// An event, or a line of one, was longer than [`Reader::BYTES_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

/// Collects bytes and gives out whole events.
#[derive(Debug, Default)]
pub struct Reader {
    line: Vec<u8>,
    after_return: bool,
    first_line_seen: bool,
    message: Message,
    has_data: bool,
}

impl Reader {
    /// Longest line and longest event taken, so that a runaway stream cannot fill the memory.
    pub const BYTES_MAX: usize = 16 * 1024 * 1024;

    /// Takes the next bytes of the stream and appends every event they complete to `out`.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<Message>) -> Result<(), TooLong> {
        for &byte in bytes {
            // A line feed straight after a carriage return belongs to the same line end.
            let was_return = std::mem::replace(&mut self.after_return, byte == b'\r');
            match byte {
                b'\n' if was_return => {}
                b'\n' | b'\r' => self.end_line(out)?,
                _ if self.line.len() >= Reader::BYTES_MAX => return Err(TooLong),
                _ => self.line.push(byte),
            }
        }
        Ok(())
    }

    fn end_line(&mut self, out: &mut Vec<Message>) -> Result<(), TooLong> {
        let line = std::mem::take(&mut self.line);
        let mut line = String::from_utf8_lossy(&line);
        if !std::mem::replace(&mut self.first_line_seen, true)
            && let Some(rest) = line.strip_prefix('\u{feff}')
        {
            line = rest.to_owned().into();
        }
        if line.is_empty() {
            let message = std::mem::take(&mut self.message);
            if std::mem::take(&mut self.has_data) {
                out.push(message);
            }
            return Ok(());
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.message.data.push('\n');
                }
                if self.message.data.len() + value.len() > Reader::BYTES_MAX {
                    return Err(TooLong);
                }
                self.message.data.push_str(value);
            }
            "event" => value.clone_into(&mut self.message.event),
            "id" => self.message.id = Some(value.to_owned()),
            _ => {} // comments, `retry`, and fields of a later version
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use proptest::prelude::*;

    use super::*;

    fn read(chunks: &[&[u8]]) -> Vec<Message> {
        let mut reader = Reader::default();
        let mut out = Vec::new();
        for chunk in chunks {
            reader.feed(chunk, &mut out).unwrap();
        }
        out
    }

    fn message(id: &str, event: &str, data: &str) -> Message {
        Message { id: Some(id.into()), event: event.into(), data: data.into() }
    }

    #[test]
    fn an_event_has_id_kind_and_data() {
        let got = read(&[b"id: 7\nevent: node_started\ndata: {\"a\":1}\n\n"]);
        assert_eq!(got, [message("7", "node_started", "{\"a\":1}")]);
    }

    #[test]
    fn comments_and_unknown_fields_are_passed_over() {
        assert_eq!(read(&[b": alive\n\nretry: 10\n\nid:1\ndata:x\ncolour: red\n\n"]), [message("1", "", "x")]);
    }

    #[test]
    fn data_lines_are_joined() {
        assert_eq!(read(&[b"id: 1\ndata: a\ndata:\ndata:  b\n\n"])[0].data, "a\n\n b");
    }

    #[test]
    fn all_three_line_ends_count() {
        assert_eq!(
            read(&[b"id: 1\r\ndata: a\r\rid: 2\ndata: b\n\r\n"]),
            [message("1", "", "a"), message("2", "", "b")]
        );
    }

    #[test]
    fn an_event_cut_off_by_the_end_is_dropped() {
        assert_eq!(read(&[b"id: 1\ndata: a\n\nid: 2\ndata: b\n"]), [message("1", "", "a")]);
    }

    #[test]
    fn a_byte_order_mark_at_the_start_is_no_part_of_the_first_field() {
        assert_eq!(read(&["\u{feff}id: 1\ndata: a\n\n".as_bytes()]), [message("1", "", "a")]);
    }

    #[test]
    fn an_endless_line_ends_in_an_error() {
        let mut reader = Reader::default();
        let block = vec![b'x'; 1024 * 1024];
        let refused = (0..20).any(|_| reader.feed(&block, &mut Vec::new()).is_err());
        assert!(refused);
    }

    #[test]
    fn endless_data_lines_end_in_an_error() {
        let mut reader = Reader::default();
        let mut block = b"data: ".to_vec();
        block.resize(1024 * 1024, b'x');
        block.push(b'\n');
        assert!((0..20).any(|_| reader.feed(&block, &mut Vec::new()).is_err()));
    }

    proptest! {
        /// Where the stream is cut changes nothing; any bytes are taken without panic.
        #[test]
        fn cuts_do_not_matter(
            pieces in prop::collection::vec(
                prop_oneof![
                    Just("\n".to_owned()), Just("\r".to_owned()), Just("\r\n".to_owned()), Just("data: ".to_owned()),
                    Just("id: 3".to_owned()), Just("event: é".to_owned()), Just(":".to_owned()), ".{0,6}",
                ],
                0..40,
            ),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let stream = pieces.concat().into_bytes();
            let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            places.sort_unstable();
            let mut chunks = Vec::new();
            let mut from = 0;
            for place in places {
                chunks.push(&stream[from..place]);
                from = place;
            }
            chunks.push(&stream[from..]);
            prop_assert_eq!(read(&chunks), read(&[&stream]));
        }

        /// What is written as an event is read back as it was.
        #[test]
        fn events_come_back(sent in prop::collection::vec(("[0-9]{1,4}", "[a-z_]{1,8}", "[^\r\n]{0,20}"), 0..10)) {
            let mut text = String::new();
            for (id, event, data) in &sent {
                text.push_str(&format!("id: {id}\nevent: {event}\ndata: {data}\n\n"));
            }
            let want: Vec<Message> = sent.iter().map(|(id, event, data)| message(id, event, data)).collect();
            prop_assert_eq!(read(&[text.as_bytes()]), want);
        }
    }
}
