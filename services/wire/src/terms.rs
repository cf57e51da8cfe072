//! Enums of the domain under the names that the schemas give them.
//!
//! Why not derive serde on the domain's: persisted names are the wire's business, and a renamed variant over there must
//! break the build here instead of the bytes.

use serde::{Deserialize, Serialize};

macro_rules! terms {
    ($($name:ident = $domain:path { $($variant:ident)* })*) => { $(
        #[derive(Clone, Copy, Debug, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub(crate) enum $name { $($variant,)* }

        impl From<$domain> for $name {
            fn from(value: $domain) -> Self {
                use $domain as Domain;
                match value { $(Domain::$variant => $name::$variant,)* }
            }
        }

        impl From<$name> for $domain {
            fn from(value: $name) -> Self {
                use $domain as Domain;
                match value { $($name::$variant => Domain::$variant,)* }
            }
        }
    )* };
}

terms! {
    ActorKind = domain::request::ActorKind { Person Agent Model System }
    RiskClass = domain::request::RiskClass { Unknown Minimal Limited High Unacceptable }
    LegalBasis = domain::request::LegalBasis { Consent Contract LegalObligation VitalInterests PublicTask LegitimateInterests }
    IdType = domain::request::IdType { Actor Email Customer Employee Phone National Other }
    Severity = domain::request::Severity { Low Medium High Critical }
}
