//! stub
/// stub
#[derive(Clone, Debug)]
pub struct DecisionView;
impl DecisionView {
    /// stub
    pub fn from_answer(_: &domain::event::Answer, _: &domain::ids::Origin, _: u32, _: &ledger::Coordinate, _: i64, _: u64) -> DecisionView { DecisionView }
}
