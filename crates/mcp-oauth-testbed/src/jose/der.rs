//! As much of DER as an RSA public key needs (X.690, RFC 8017 appendix A.1.1).

const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;

/// Modulus and exponent of an `RSAPublicKey`, without leading zeros, as RFC 7518 §6.3.1 has them.
pub(super) fn rsa_public_key(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (members, _) = element(SEQUENCE, der)?;
    let (modulus, rest) = element(INTEGER, members)?;
    let (exponent, _) = element(INTEGER, rest)?;
    Some((unsigned(modulus), unsigned(exponent)))
}

/// The content of the first element, which has this tag, and what follows it.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    // The low bits of a long form say how many bytes the length has.
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        let length = bytes.iter().try_fold(0_usize, |length, byte| {
            length.checked_mul(256)?.checked_add(usize::from(*byte))
        })?;
        (length, rest)
    };
    (found == tag).then_some(())?;
    rest.split_at_checked(length)
}

fn unsigned(integer: &[u8]) -> &[u8] {
    match integer {
        [0, rest @ ..] => rest,
        whole => whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_lengths_are_read_and_cut_ones_refused() {
        let short = [0x30, 6, 2, 1, 5, 2, 1, 3];
        assert_eq!(rsa_public_key(&short), Some((&[5][..], &[3][..])));
        let long = [0x30, 0x81, 9, 2, 0x82, 0, 2, 0, 0x85, 2, 1, 3];
        assert_eq!(rsa_public_key(&long), Some((&[0x85][..], &[3][..])));
        for end in 0..short.len() {
            assert_eq!(rsa_public_key(&short[..end]), None);
        }
        assert_eq!(rsa_public_key(&[0x30, 0xff, 1]), None);
    }
}
