//! Messages of Protocol Buffers, written field by field: what TensorBoard's few messages need of the wire format.
//!
//! ```text
//! field   varint(number << 3 | kind), then the value
//! kinds   0 varint   1 eight bytes   2 varint(length) and so many bytes   5 four bytes
//! varint  seven bits a byte, lowest first; the highest bit says that more follow
//! ```
//!
//! Source: <https://protobuf.dev/programming-guides/encoding/>.

/// A message under construction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message(Vec<u8>);

impl Message {
    /// A message without fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a whole number, or an entry of an enumeration. One below 0 takes ten bytes, as the format wants it.
    pub fn whole(mut self, field: u32, value: i64) -> Self {
        self.tag(field, 0);
        self.varint(value.cast_unsigned());
        self
    }

    /// Adds a number of 64 bits.
    pub fn double(mut self, field: u32, value: f64) -> Self {
        self.tag(field, 1);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// Adds a number of 32 bits.
    pub fn float(mut self, field: u32, value: f32) -> Self {
        self.tag(field, 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// Adds bytes, or text as UTF-8.
    pub fn bytes(mut self, field: u32, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        self.tag(field, 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    /// Adds a message.
    pub fn message(self, field: u32, value: &Self) -> Self {
        self.bytes(field, &value.0)
    }

    /// The encoded message.
    pub fn encoded(&self) -> &[u8] {
        &self.0
    }

    fn tag(&mut self, field: u32, kind: u32) {
        self.varint(u64::from(field << 3 | kind));
    }

    fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_encoded_as_in_the_documentation_of_the_format() {
        assert_eq!(Message::new().whole(1, 150).encoded(), [0x08, 0x96, 0x01]);
        assert_eq!(Message::new().bytes(2, "testing").encoded(), b"\x12\x07testing");
        let inner = Message::new().whole(1, 150);
        assert_eq!(Message::new().message(3, &inner).encoded(), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        assert_eq!(Message::new().whole(1, -2).encoded(), b"\x08\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01");
        assert_eq!(Message::new().double(1, 1.0).encoded(), [0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f]);
        assert_eq!(Message::new().float(2, 1.0).encoded(), [0x15, 0, 0, 0x80, 0x3f]);
        assert_eq!(Message::new().bytes(16, "").encoded(), [0x82, 0x01, 0x00], "a number of two bytes");
        let long = "x".repeat(300);
        assert_eq!(Message::new().bytes(1, &long).encoded(), [&[0x0a, 0xac, 0x02][..], long.as_bytes()].concat());
    }
}
