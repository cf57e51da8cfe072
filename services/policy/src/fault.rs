//! What is wrong with a bundle, and where.
//!
//! Faults are collected, not thrown: an author sees all of them at once. Every fault has a stable code for
//! machines, a sentence for people and a remedy. Columns count characters, lines and columns start at 1.

use std::fmt;

/// Declares the closed table of fault codes.
macro_rules! codes {
    ($($variant:ident $name:literal $meaning:literal;)*) => {
        /// Stable machine-readable kind of a [`Fault`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FaultCode { $(#[doc = $meaning] $variant,)* }

        impl FaultCode {
            /// Every code.
            pub const ALL: &'static [FaultCode] = &[$(FaultCode::$variant,)*];

            /// The stable name.
            pub fn as_str(self) -> &'static str {
                match self { $(FaultCode::$variant => $name,)* }
            }
        }
    };
}

codes! {
    Limit "limit" "a size limit is exceeded";
    Path "path" "a path is not relative, normal and portable";
    Missing "missing" "a file that is needed is not there";
    Unlisted "unlisted" "a file that the manifest does not name";
    Text "text" "a file is not UTF-8";
    Manifest "manifest" "the manifest is malformed";
    Windows "windows" "declared windows are malformed or not supported yet";
    Schema "schema" "the schema is malformed or does not fit the vocabulary";
    Syntax "syntax" "a policy does not parse";
    Template "template" "a policy is a template";
    Annotation "annotation" "an annotation is unknown, missing or has a value that is not allowed";
    DuplicateId "duplicate_id" "two policies have one id";
    Validation "validation" "a policy is refused by strict validation";
    UnknownName "unknown_name" "a role or data class that the manifest does not declare";
    Entities "entities" "the entities are malformed or do not fit the schema";
    Test "test" "a test is malformed or names what is not there";
}

/// One fault of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Path within the bundle.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Stable kind.
    pub code: FaultCode,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}:{}: {}: {}; {}",
            self.file,
            self.line,
            self.column,
            self.code.as_str(),
            self.message,
            self.remedy
        )
    }
}

impl std::error::Error for Fault {}

/// A text file of the bundle, able to turn byte offsets into places.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a> {
    /// Path within the bundle.
    pub file: &'a str,
    /// Content.
    pub text: &'a str,
}

impl Text<'_> {
    /// Line and column of a byte offset. Offsets beyond the end mean the end.
    pub fn place(&self, offset: usize) -> (u32, u32) {
        let mut end = offset.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let before = self.text.get(..end).unwrap_or("");
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
    }

    /// A fault at a byte offset.
    pub fn fault(
        &self,
        offset: usize,
        code: FaultCode,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Fault {
        let (line, column) = self.place(offset);
        Fault {
            file: self.file.to_owned(),
            line,
            column,
            code,
            message: one_line(&message.into()),
            remedy: one_line(&remedy.into()),
        }
    }
}

/// A fault about a file as a whole.
pub(crate) fn whole_file(file: &str, code: FaultCode, message: impl Into<String>, remedy: impl Into<String>) -> Fault {
    Text { file, text: "" }.fault(0, code, message, remedy)
}

/// Parsers hand out messages of several lines; a fault is one line, so that tools can grep it.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
