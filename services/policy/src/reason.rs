//! Machine-readable reasons: the one closed table, numbered for the ledger and named for people.
//!
//! Numbers are persisted in the outcome section of events and are never reused. 1–99 come from evaluation,
//! 100–199 are the vocabulary of `@reason("…")` in policies, 200–299 say why a request was refused without evaluation.

/// Declares the table once: number, name, meaning.
macro_rules! reasons {
    ($($number:literal $variant:ident $name:literal $meaning:literal;)*) => {
        /// Why an event has the outcome that it has.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum ReasonCode { $(#[doc = $meaning] $variant = $number,)* }

        impl ReasonCode {
            /// Every code, in ascending order.
            pub const ALL: &'static [ReasonCode] = &[$(ReasonCode::$variant,)*];

            /// The stable name used in every interface.
            pub fn as_str(self) -> &'static str {
                match self { $(ReasonCode::$variant => $name,)* }
            }

            /// One sentence for people.
            pub fn meaning(self) -> &'static str {
                match self { $(ReasonCode::$variant => $meaning,)* }
            }

            /// The persisted number.
            pub fn number(self) -> u16 {
                self as u16
            }

            /// The code with this persisted number.
            pub fn from_number(number: u16) -> Option<ReasonCode> {
                match number { $($number => Some(ReasonCode::$variant),)* _ => None }
            }

            /// The code with this name.
            pub fn from_name(name: &str) -> Option<ReasonCode> {
                match name { $($name => Some(ReasonCode::$variant),)* _ => None }
            }
        }
    };
}

reasons! {
    1 Permitted "permitted" "a policy permits the action and none forbids it";
    2 NoMatchingPermit "no_matching_permit" "no policy permits the action";
    3 Forbidden "forbidden" "a policy forbids the action";
    4 OversightRequired "oversight_required" "the action is allowed only after a human has looked at it";
    5 PolicyError "policy_error" "a policy failed to evaluate, and what cannot be evaluated is denied";
    6 NotForbidden "not_forbidden" "no policy speaks about the action and the mode is permissive";
    7 NotExplicitlyLowRisk "not_explicitly_low_risk" "the mode is paranoid and the request is not explicitly low-risk";
    100 ProhibitedPractice "prohibited_practice" "a practice prohibited by Art. 5 of the EU AI Act";
    101 HighRiskOversight "high_risk_oversight" "a high-risk system needs human oversight (Art. 14 of the EU AI Act)";
    102 UnknownRiskClass "unknown_risk_class" "the risk class is not known and is treated as high";
    103 DataClassNotAllowed "data_class_not_allowed" "a class of data is not allowed for this actor or action";
    104 AmountAboveLimit "amount_above_limit" "the amount is above the limit";
    105 RiskScoreTooHigh "risk_score_too_high" "the risk score is above the threshold";
    106 ConfidenceTooLow "confidence_too_low" "the confidence is below the threshold";
    107 RoleRequired "role_required" "the actor lacks a role that the action needs";
    108 PurposeRequired "purpose_required" "the purpose is missing or not allowed";
    109 LegalBasisRequired "legal_basis_required" "the legal basis is missing or not allowed";
    110 DelegationTooDeep "delegation_too_deep" "the authority was passed on too often";
    111 TransparencyRequired "transparency_required" "people must be told that they deal with an AI system (Art. 50 of the EU AI Act)";
    112 DestructiveAction "destructive_action" "the action destroys or changes what cannot be restored";
    113 ExternalRecipient "external_recipient" "data would leave the organisation";
    114 Segregation "segregation_of_duties" "the duties must be held by different persons";
    115 ToolNotAllowed "tool_not_allowed" "the tool is not allowed for this actor";
    116 Quota "quota" "a declared limit over time is used up";
    200 Undecodable "undecodable" "the bytes are no request in any known schema";
    201 Misrouted "misrouted" "the request was forwarded once and is in the wrong partition again";
    202 TooOld "too_old" "the request occurred longer ago than duplicates are remembered";
    203 FromTheFuture "from_the_future" "the request claims to have occurred in the future";
    204 UnknownTenant "unknown_tenant" "there is no such tenant";
    205 TooLarge "too_large" "the request or its event is larger than the limit";
    206 TooManySubjects "too_many_subjects" "the request names more data subjects than the limit";
    207 Invalid "invalid" "a field of the request has a value that is not allowed";
    208 Quarantined "quarantined" "processing this record ended the process repeatedly, so it is set aside without decoding";
    209 SubjectErasing "subject_erasing" "a data subject of the request is being erased";
    210 Conflict "conflict" "the same request id was used before with another body";
    211 Rerouted "rerouted" "the request was found in the wrong partition and forwarded to the right one";
    212 NoPolicy "no_policy" "no policy bundle is in force";
}
