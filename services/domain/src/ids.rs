//! Names and identifiers: newtypes that cannot hold what the rest of the system must not see.
//!
//! Invariant: a value of one of these types has passed its check, whichever door it came in by. Bytes are kept as
//! given: nothing is trimmed, folded or normalised, because two spellings that become one would be one identity
//! for us and two for the producer. Deliberately not here: surrogates and keys, which the engine draws.

use std::fmt;

/// Why a name was refused. Never holds the refused value: it may be personal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// Zero bytes long.
    #[error("must not be empty")]
    Empty,
    /// Longer than its limit, in bytes of UTF-8.
    #[error("must be at most {max} bytes long")]
    TooLong {
        /// The limit.
        max: usize,
    },
    /// Holds a character outside the allowed set.
    #[error("may hold only {allowed}")]
    Character {
        /// What is allowed, in words.
        allowed: &'static str,
    },
    /// An e-mail address where an opaque identifier belongs.
    #[error("must be an opaque identifier, not an e-mail address")]
    LooksLikeEmail,
}

fn check(text: &str, max: usize, allowed: &'static str, ok: impl Fn(char) -> bool) -> Result<(), BadName> {
    if text.is_empty() {
        return Err(BadName::Empty);
    }
    if text.len() > max {
        return Err(BadName::TooLong { max });
    }
    if !text.chars().all(ok) {
        return Err(BadName::Character { allowed });
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $max:literal, $allowed:literal, $ok:expr $(, $extra:expr)?) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(String);

        impl $type {
            /// Longest allowed value, in bytes of UTF-8.
            pub const BYTES_MAX: usize = $max;

            /// Checks `text` and takes it as it is.
            ///
            /// # Errors
            /// [`BadName`] says what is wrong with it.
            pub fn new(text: impl Into<String>) -> Result<Self, BadName> {
                let text = text.into();
                check(&text, $max, $allowed, $ok)?;
                $( ($extra)(&text)?; )?
                Ok(Self(text))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

macro_rules! open_debug {
    ($($type:ident)*) => { $(impl fmt::Debug for $type {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, "{:?}", self.0) }
    })* };
}

macro_rules! closed_debug {
    ($($type:ident)*) => { $(impl fmt::Debug for $type {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, "{}([{} bytes])", stringify!($type), self.0.len()) }
    })* };
}

fn not_email(text: &str) -> Result<(), BadName> {
    match text.split_once('@') {
        Some((local, host)) if !local.is_empty() && host.contains('.') => Err(BadName::LooksLikeEmail),
        _ => Ok(()),
    }
}

name!(
    /// Name of a tenant.
    Tenant, 64, "lower-case letters, digits, '-' and '_'",
    |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_'
);
name!(
    /// Identifier of an actor. Opaque: an e-mail address is refused, because ids of actors stand in topic keys by hash.
    ActorId, 200, "printable characters", |c: char| !c.is_control(), not_email
);
name!(
    /// Identifier of a request, unique within tenant and routing key.
    RequestId, 200, "visible ASCII characters", |c: char| c.is_ascii_graphic()
);
name!(
    /// A verb: the name of a tool or an operation.
    Action, 128, "letters, digits and '_', '-', '.', ':', '/'",
    |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/')
);
name!(
    /// A name out of a vocabulary: tool, role, data class, practice, purpose, context key, kind of resource.
    Word, 128, "letters, digits and '_', '-', '.', ':', '/'",
    |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/')
);
name!(
    /// Identifier of a data subject as the producer knows it. Personal data.
    SubjectId, 512, "printable characters", |c: char| !c.is_control()
);

open_debug! { Tenant RequestId Action Word }
closed_debug! { ActorId SubjectId }

/// One entry of the log that a request or command came from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// Logical topic, without a deployment's prefix.
    pub topic: &'static str,
    /// Input partition.
    pub partition: u32,
    /// Offset in it.
    pub offset: u64,
}

/// Microseconds since 1970-01-01 UTC.
pub type Micros = i64;

/// Content hash of a policy bundle.
pub type BundleHash = [u8; 32];

/// Identifier of a command, drawn by whoever sends it.
pub type CommandId = [u8; 16];
