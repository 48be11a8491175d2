//! Plain decimal numbers at the start of some bytes, read without looking for their end first. Everything that is
//! written in another way is left to the standard library; where both read a number they give the same bits.

/// Reads `-?digits[.digits]`; gives the number and its length. None for any other notation, and for numbers of more than
/// 19 digits or 27 decimals. What follows is not looked at, except that it is no digit.
#[inline]
pub(super) fn number(bytes: &[u8]) -> Option<(f64, usize)> {
    let negative = bytes.first() == Some(&b'-');
    let start = usize::from(negative);
    let (whole, point) = digits(bytes, start, 0);
    let (mantissa, end, decimals) = if bytes.get(point) == Some(&b'.') {
        let (mantissa, end) = digits(bytes, point + 1, whole);
        (mantissa, end, end - point - 1)
    } else {
        (whole, point, 0)
    };
    // The point is no digit. Leading zeros count, which is no harm: what they push out is read elsewhere.
    let count = end - start - usize::from(end > point);
    if count == 0 || count > 19 || matches!(bytes.get(end), Some(b'e' | b'E')) {
        return None;
    }
    let value = quotient(mantissa, decimals)?;
    Some((if negative { -value } else { value }, end))
}

/// Reads a whole number of at most 18 digits without a leading zero or plus; gives it and its length.
#[inline]
pub(super) fn whole(bytes: &[u8]) -> Option<(i64, usize)> {
    let negative = bytes.first() == Some(&b'-');
    let start = usize::from(negative);
    let (value, end) = digits(bytes, start, 0);
    let plain = match end - start {
        0 => false,
        1 => value > 0 || !negative,
        count => count <= 18 && bytes.get(start) != Some(&b'0'),
    };
    let value = i64::try_from(value).ok().filter(|_| plain)?;
    Some((if negative { -value } else { value }, end))
}

/// Appends the digits from `at` on to `value`; gives the number (of no use beyond 19 digits) and where they end.
#[inline]
fn digits(bytes: &[u8], mut at: usize, mut value: u64) -> (u64, usize) {
    loop {
        let word = word(bytes.get(at..).unwrap_or_default());
        let count = leading_digits(word);
        let Some(ten) = TEN_TO.get(count) else {
            return (value, at);
        };
        // The digits go to the upper end, where the last ones belong; zeros come in below.
        let digits = word.checked_shl(64 - 8 * count as u32).unwrap_or(0);
        value = value.wrapping_mul(*ten).wrapping_add(eight_digits(digits));
        at += count;
        if count < 8 {
            return (value, at);
        }
    }
}

/// The first eight bytes, the first one lowest; zeros where there are fewer.
#[inline]
fn word(bytes: &[u8]) -> u64 {
    match bytes.first_chunk() {
        Some(eight) => u64::from_le_bytes(*eight),
        None => bytes
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// How many of the eight bytes, from the lowest on, are digits.
#[inline]
fn leading_digits(word: u64) -> usize {
    const UPPER: u64 = 0xF0F0_F0F0_F0F0_F0F0;
    const THREES: u64 = 0x3030_3030_3030_3030;
    // The upper half of a digit is 3, and still is after adding 6. A carry goes into bytes above one that is no digit.
    let others = ((word & UPPER) ^ THREES) | ((word.wrapping_add(0x0606_0606_0606_0606) & UPPER) ^ THREES);
    others.trailing_zeros() as usize / 8
}

/// The number that eight digits stand for, the lowest byte being the first digit: as pairs, then fours, then all. A byte
/// of zero is the digit 0.
#[inline]
fn eight_digits(word: u64) -> u64 {
    let ones = word & 0x0F0F_0F0F_0F0F_0F0F;
    let pairs = (ones * 10 + (ones >> 8)) & 0x00FF_00FF_00FF_00FF;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_FFFF_0000_FFFF;
    (fours * 10_000 + (fours >> 32)) & 0xFFFF_FFFF
}

/// 10^0 to 10^8.
const TEN_TO: [u64; 9] = [
    1,
    10,
    100,
    1_000,
    10_000,
    100_000,
    1_000_000,
    10_000_000,
    100_000_000,
];

/// 10^0 to 10^22, which are exact.
const TENS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// 5^0 to 5^27, the last one in 64 bits.
const FIVES: [u64; 28] = {
    let mut fives = [1; 28];
    let mut at = 1;
    while at < fives.len() {
        fives[at] = fives[at - 1] * 5;
        at += 1;
    }
    fives
};

/// `mantissa` / 10^`decimals`, rounded once, to nearest and ties to even; None beyond 27 decimals.
#[inline]
fn quotient(mantissa: u64, decimals: usize) -> Option<f64> {
    match TENS.get(decimals) {
        Some(_) if decimals == 0 => Some(mantissa as f64),
        // Both are exact, and a division rounds once.
        Some(ten) if mantissa < 1 << 53 => Some(mantissa as f64 / ten),
        _ => long_quotient(mantissa, decimals),
    }
}

/// The same by integers: a division by a power of five; powers of two only move the exponent.
fn long_quotient(mantissa: u64, decimals: usize) -> Option<f64> {
    let divisor = *FIVES.get(decimals)?;
    if mantissa == 0 {
        return Some(0.0);
    }
    let (up, down) = (mantissa.leading_zeros(), divisor.leading_zeros());
    let numerator = u128::from(mantissa << up) << 63;
    let divisor = u128::from(divisor << down);
    // Between 2^62 and 2^64: nine bits and more beyond those of the result. A rest makes the last of them 1, so that the
    // conversion sees on which side of a tie it is.
    let bits = (numerator / divisor) as u64 | u64::from(numerator % divisor != 0);
    let power = i64::from(down) - i64::from(up) - 63 - decimals as i64;
    Some(bits as f64 * f64::from_bits(((1023 + power) as u64) << 52))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_numbers_have_the_bits_of_the_standard_library() {
        let mut state = 0x5EED_u64;
        let mut random = |bound: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % bound
        };
        let mut read = 0;
        for _ in 0..200_000 {
            let (before, after) = (random(20), random(20));
            let mut text = String::from(["", "-"][random(2) as usize]);
            (0..before).for_each(|_| text.push(char::from(b'0' + random(10) as u8)));
            if random(4) > 0 {
                text.push('.');
                // Nines and zeros reach carries and ties.
                let few = random(4) == 0;
                for _ in 0..after {
                    let digit = if few { 9 * random(2) } else { random(10) };
                    text.push(char::from(b'0' + digit as u8));
                }
            }
            let expected = text.parse::<f64>().ok();
            if let Some((value, length)) = number(text.as_bytes()) {
                assert_eq!(length, text.len(), "{text}");
                assert_eq!(Some(value.to_bits()), expected.map(f64::to_bits), "{text}");
                read += 1;
            }
        }
        assert!(read > 50_000);
    }

    #[test]
    fn ties_go_to_the_even_neighbour() {
        // 2^53 + 1, + 3 and halves: exactly between two numbers, or next to it.
        for text in [
            "9007199254740993",
            "9007199254740995",
            "4503599627370496.5",
            "4503599627370497.5",
            "18014398509481986",
            "1801439850948198.51",
            "0.500000000000000055",
            "9999999999999999999",
            ".0000000000000000001",
            "-0.0",
            "-0",
        ] {
            let (value, _) = number(text.as_bytes()).unwrap();
            assert_eq!(value.to_bits(), text.parse::<f64>().unwrap().to_bits(), "{text}");
        }
    }

    #[test]
    fn any_other_notation_is_left_alone() {
        for text in [
            "",
            "-",
            ".",
            "-.",
            "+1",
            "1e5",
            "1.5E3",
            "nan",
            "inf",
            "x",
            " 1",
            "12345678901234567890",
        ] {
            assert_eq!(number(text.as_bytes()), None, "{text}");
        }
        assert_eq!(number(b"12,5"), Some((12.0, 2)));
        assert_eq!(number(b"123456789x"), Some((123456789.0, 9)));
        assert_eq!(number(b"1234567:"), Some((1234567.0, 7)));
        assert_eq!(number(b"1."), Some((1.0, 2)));
        assert_eq!(number(b".5"), Some((0.5, 2)));
    }

    #[test]
    fn whole_numbers_have_one_notation() {
        for (text, value) in [
            ("0", 0),
            ("7", 7),
            ("-12", -12),
            ("123456789012345678", 123_456_789_012_345_678),
        ] {
            assert_eq!(whole(text.as_bytes()), Some((value, text.len())), "{text}");
        }
        for text in ["", "-", "-0", "00", "01", "-05", "+1", "1234567890123456789", "a"] {
            assert_eq!(whole(text.as_bytes()), None, "{text}");
        }
        assert_eq!(whole(b"12.0"), Some((12, 2)));
    }
}
