//! PURE. Bytes as Solana writes them: base 58, most significant digit first, a `1` for each zero byte in front.

const DIGITS: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// In base 58.
#[must_use]
pub fn base58(bytes: &[u8]) -> String {
    // The least significant digit first.
    let mut digits: Vec<u8> = Vec::new();
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += u32::from(*digit) << 8;
            *digit = low(carry);
            carry /= 58;
        }
        while carry > 0 {
            digits.push(low(carry));
            carry /= 58;
        }
    }
    let zeros = bytes.iter().take_while(|byte| **byte == 0).map(|_| '1');
    zeros.chain(digits.iter().rev().map(|digit| char::from(DIGITS[usize::from(*digit)]))).collect()
}

fn low(number: u32) -> u8 {
    let [.., digit] = (number % 58).to_be_bytes();
    digit
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the internet draft of base 58, and the system program of Solana, whose key is zero.
    #[test]
    fn what_others_write_is_written_here() {
        let table: [(&[u8], &str); 6] = [
            (b"", ""),
            (b"Hello World!", "2NEpo7TZRRrLZSi2U"),
            (
                b"The quick brown fox jumps over the lazy dog.",
                "USm3fpXnKG5EUBx2ndxBDMPVciP5hGey2Jh4NDv6gmeo1LkMeiKrLJUUBk6Z",
            ),
            (&[0, 0, 0x28, 0x7f, 0xb4, 0xcd], "11233QC4"),
            (&[0; 32], "11111111111111111111111111111111"),
            (&[255], "5Q"),
        ];
        for (bytes, text) in table {
            assert_eq!(base58(bytes), text);
        }
    }
}
