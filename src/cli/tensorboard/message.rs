//! Messages of Protocol Buffers, written field by field: TensorBoard's are nested deeply and have few fields each.

use prost::encoding::{bytes, double, float, int64};

/// A message under construction, in the wire format.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message(Vec<u8>);

impl Message {
    /// A message without fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a whole number, or an entry of an enumeration.
    pub fn whole(mut self, field: u32, value: i64) -> Self {
        int64::encode(field, &value, &mut self.0);
        self
    }

    /// Adds a number of 64 bits.
    pub fn double(mut self, field: u32, value: f64) -> Self {
        double::encode(field, &value, &mut self.0);
        self
    }

    /// Adds a number of 32 bits.
    pub fn float(mut self, field: u32, value: f32) -> Self {
        float::encode(field, &value, &mut self.0);
        self
    }

    /// Adds bytes, or text as UTF-8.
    pub fn bytes(mut self, field: u32, value: impl AsRef<[u8]>) -> Self {
        bytes::encode(field, &value.as_ref().to_vec(), &mut self.0);
        self
    }

    /// Adds a message.
    pub fn message(mut self, field: u32, value: &Self) -> Self {
        bytes::encode(field, &value.0, &mut self.0);
        self
    }

    /// The encoded message.
    pub fn encoded(&self) -> &[u8] {
        &self.0
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
