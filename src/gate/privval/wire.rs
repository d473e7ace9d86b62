//! PURE. As much of protobuf as six small messages need: varints, 64-bit and length-delimited fields.
//!
//! Written by hand because what is signed must be read and written byte for byte as `CometBFT` does, which leaves
//! little for a library to decide, and because generated code for the whole of Tendermint's protocol costs fifteen crates.
//! Reading is stricter than `CometBFT`'s: a field that occurs twice, or a number beyond its type, is an error and not a
//! matter of taste. Fields that are not known are passed over, as the protocol wants.
//! The encoding: <https://protobuf.dev/programming-guides/encoding/>.

/// Why bytes are not the message that they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The bytes end within a field.
    #[error("the message ends within a field")]
    Truncated,
    /// A number of more than 64 bits.
    #[error("a number of more than 64 bits")]
    Overlong,
    /// A field number that no field can have, or a kind of field that is not in use any more.
    #[error("no field has the tag {0}")]
    Tag(u64),
    /// A field of another type than it should have.
    #[error("field {0} has another type")]
    Type(u64),
    /// A field that may occur once occurs again.
    #[error("field {0} occurs twice")]
    Repeated(u64),
    /// A number that does not fit its type, or a time that is none.
    #[error("field {0} is out of range")]
    Range(u64),
    /// Text that is not UTF-8.
    #[error("field {0} is not UTF-8")]
    Text(u64),
    /// A field without which the message says nothing.
    #[error("field {0} is missing")]
    Missing(u64),
    /// Not a request, or none that this signer knows.
    #[error("not a request")]
    NotARequest,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A number of up to 64 bits.
    Varint(u64),
    /// Eight bytes, little end first.
    Fixed64(u64),
    /// Four bytes, little end first.
    Fixed32(u32),
    /// Bytes, text or a message.
    Bytes(&'a [u8]),
}

/// A field: its number and what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its number.
    pub number: u64,
    /// What it holds.
    pub value: Value<'a>,
}

/// The fields of a message, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a>(&'a [u8]);

// === impl Fields ===

impl<'a> Fields<'a> {
    /// Those of the message `bytes`.
    #[must_use]
    pub const fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next field, or the end.
    pub fn read(&mut self) -> Result<Option<Field<'a>>, Malformed> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = tag >> 3;
        // The largest field number there is; zero is none.
        if number == 0 || number >= 1 << 29 {
            return Err(Malformed::Tag(tag));
        }
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.take(usize::try_from(length).map_err(|_| Malformed::Truncated)?)?)
            }
            5 => Value::Fixed32(u32::from_le_bytes(self.array()?)),
            // Groups, which protobuf gave up before Tendermint began, and two kinds that never were.
            _ => return Err(Malformed::Tag(tag)),
        };
        Ok(Some(Field { number, value }))
    }

    /// What has not been read yet.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// A number of up to 64 bits, seven bits a byte, little end first.
    pub fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for index in 0..10 {
            let [byte] = self.array()?;
            // The tenth byte has room for one bit.
            if index == 9 && byte > 1 {
                return Err(Malformed::Overlong);
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed::Overlong)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Malformed::Truncated)?;
        self.0 = rest;
        Ok(*taken)
    }
}

// === impl Field ===

impl<'a> Field<'a> {
    /// A signed number of 64 bits.
    pub const fn int64(self) -> Result<i64, Malformed> {
        match self.value {
            Value::Varint(bits) => Ok(bits.cast_signed()),
            _ => Err(Malformed::Type(self.number)),
        }
    }

    /// A signed number of 32 bits; a negative one is written with 64.
    pub fn int32(self) -> Result<i32, Malformed> {
        self.int64()?.try_into().map_err(|_| Malformed::Range(self.number))
    }

    /// A number of 32 bits without a sign.
    pub fn uint32(self) -> Result<u32, Malformed> {
        self.int64()?.try_into().map_err(|_| Malformed::Range(self.number))
    }

    /// A signed number that always takes eight bytes.
    pub const fn sfixed64(self) -> Result<i64, Malformed> {
        match self.value {
            Value::Fixed64(bits) => Ok(bits.cast_signed()),
            _ => Err(Malformed::Type(self.number)),
        }
    }

    /// Bytes, or a message.
    pub const fn bytes(self) -> Result<&'a [u8], Malformed> {
        match self.value {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(Malformed::Type(self.number)),
        }
    }

    /// Text.
    pub fn text(self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed::Text(self.number))
    }
}

/// Fills `slot` with what `field` holds, once.
pub fn once<T>(slot: &mut Option<T>, field: Field<'_>, value: T) -> Result<(), Malformed> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Malformed::Repeated(field.number)),
    }
}

/// Appends a number.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        #[allow(clippy::cast_possible_truncation)]
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    #[allow(clippy::cast_possible_truncation)]
    out.push(value as u8);
}

/// Appends a numeric field; zero is the absence of one.
pub fn put_int(out: &mut Vec<u8>, number: u64, value: i64) {
    if value != 0 {
        put_varint(out, number << 3);
        put_varint(out, value.cast_unsigned());
    }
}

/// Appends a numeric field of eight bytes; zero is the absence of one.
pub fn put_sfixed64(out: &mut Vec<u8>, number: u64, value: i64) {
    if value != 0 {
        put_varint(out, number << 3 | 1);
        out.extend_from_slice(&value.to_le_bytes());
    }
}

/// Appends bytes or text; none are the absence of the field.
pub fn put_bytes(out: &mut Vec<u8>, number: u64, value: &[u8]) {
    if !value.is_empty() {
        put_message(out, number, value);
    }
}

/// Appends a message that is there even if nothing is in it.
pub fn put_message(out: &mut Vec<u8>, number: u64, message: &[u8]) {
    put_varint(out, number << 3 | 2);
    put_delimited(out, message);
}

/// Appends a message after its length.
pub fn put_delimited(out: &mut Vec<u8>, message: &[u8]) {
    put_varint(out, message.len() as u64);
    out.extend_from_slice(message);
}
