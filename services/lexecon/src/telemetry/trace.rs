//! Trace ids: taken from the W3C `traceparent` header (Trace Context, section 3.2) or drawn anew.

/// A trace id, 16 bytes, never all zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceId([u8; 16]);

impl TraceId {
    /// The trace that a `traceparent` header names; none when the header is malformed.
    pub fn from_traceparent(header: &str) -> Option<TraceId> {
        let mut parts = header.split('-');
        let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let known = version == "00" && parts.next().is_none();
        let later = version != "00" && version != "ff" && lower_hex(version, 2);
        if !(known || later) || !lower_hex(trace, 32) || !lower_hex(parent, 16) || !lower_hex(flags, 2) {
            return None;
        }
        let mut id = [0; 16];
        hex::decode_to_slice(trace, &mut id).ok()?;
        (id != [0; 16] && parent.bytes().any(|byte| byte != b'0')).then_some(TraceId(id))
    }

    /// From random bytes.
    pub fn from_random(bytes: [u8; 16]) -> TraceId {
        TraceId(if bytes == [0; 16] { [1; 16] } else { bytes })
    }
}

fn lower_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

impl std::fmt::Display for TraceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_well_formed_headers_count() {
        let check = |header: &str, expected: Option<&str>| {
            assert_eq!(TraceId::from_traceparent(header).map(|id| id.to_string()).as_deref(), expected, "{header}");
        };
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        check(&format!("00-{id}-00f067aa0ba902b7-01"), Some(id));
        check(&format!("01-{id}-00f067aa0ba902b7-01-more"), Some(id));
        check(&format!("00-{id}-00f067aa0ba902b7-01-more"), None);
        check(&format!("ff-{id}-00f067aa0ba902b7-01"), None);
        check(&format!("00-{}-00f067aa0ba902b7-01", id.to_uppercase()), None);
        check(&format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)), None);
        check(&format!("00-{id}-{}-01", "0".repeat(16)), None);
        check(id, None);
        check("", None);
    }
}
