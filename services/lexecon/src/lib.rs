//! lexecon
