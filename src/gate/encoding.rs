//! PURE. Bytes as text, in the two ways that `CometBFT`'s files have. Strict: one way to write each value. Written by hand so
//! that a key is decoded into memory that will be wiped, and nowhere else.

/// Standard base 64 of exactly `N` bytes, padded, as Go writes it. Whether `text` was that; `out` is spoiled otherwise.
pub fn base64<const N: usize>(text: &str, out: &mut [u8; N]) -> bool {
    let text = text.as_bytes();
    let padding = (3 - N % 3) % 3;
    if text.len() != N.div_ceil(3) * 4 {
        return false;
    }
    let (digits, padded) = text.split_at(text.len() - padding);
    let (mut bits, mut count, mut at) = (0_u32, 0, 0);
    for digit in digits {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return false,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            let [.., byte] = (bits >> count).to_be_bytes();
            out[at] = byte;
            at += 1;
        }
    }
    // What is left over of the last digit is zero.
    padded.iter().all(|byte| *byte == b'=') && bits & ((1 << count) - 1) == 0
}

/// Pairs of hexadecimal digits.
#[must_use]
pub fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

/// Upper-case hexadecimal digits.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    let digit = |bits: u8| char::from(b"0123456789ABCDEF"[usize::from(bits & 0xf)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}
