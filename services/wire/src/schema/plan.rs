//! How data of a writer's schema becomes data of a reader's: schema resolution, done once per pair of schemas.
//!
//! Source: Avro specification 1.12, "Schema resolution", with four choices of ours: branches of a reader's union are
//! tried for the same type before a promotion; a logical type with another unit is refused instead of read wrongly;
//! nothing is promoted to floating point; what cannot be resolved is found here, not when data comes, except for
//! branches and symbols of the writer that the reader lacks, which matter only when they are used (a branch that goes by
//! the name of one of the reader's must be readable as that one).

use std::collections::BTreeMap;

use super::defaults;
use super::tree::{Field, Node, NodeId, Tree};
use crate::error::SchemaFault;
use crate::limits::SCHEMA_NODES_MAX;

pub(crate) type OpId = usize;

/// One step of carrying data over. Reads what the writer wrote; writes what the reader wants.
#[derive(Debug)]
pub(crate) enum Op {
    Null,
    Boolean,
    Int,
    Long,
    /// Bytes without a length of their own: floats and fixed.
    Fixed(usize),
    Bytes,
    /// As bytes, and checked for UTF-8.
    Text,
    /// For each symbol of the writer that of the reader.
    Enum(Vec<Option<usize>>),
    Array {
        item: OpId,
        bytes_min: usize,
    },
    Map {
        value: OpId,
        bytes_min: usize,
    },
    /// By the writer's branch.
    Union(Vec<OpId>),
    /// Into this branch of the reader's union.
    Branch(usize, OpId),
    /// Fields in the same order on both sides.
    Record(Vec<Step>),
    /// Fields in another order: how to pass over the writer's, then where the reader's come from.
    Reordered {
        passes: Vec<OpId>,
        sources: Vec<Source>,
    },
    /// The writer's value has no place.
    NoPlace,
}

#[derive(Debug)]
pub(crate) enum Step {
    Copy(OpId),
    Pass(OpId),
    Default(Vec<u8>),
}

#[derive(Debug)]
pub(crate) enum Source {
    /// The writer's field at this position.
    Field(usize, OpId),
    Default(Vec<u8>),
}

/// A resolution.
#[derive(Debug)]
pub(crate) struct Plan {
    ops: Vec<Op>,
    pub root: OpId,
    /// The writer's bytes are the reader's bytes.
    pub identity: bool,
}

impl Plan {
    /// Resolves what `writer` writes for `reader`.
    pub fn resolve(writer: &Tree, reader: &Tree) -> Result<Plan, SchemaFault> {
        let mut planner = Planner {
            writer,
            reader,
            ops: Vec::new(),
            pairs: BTreeMap::new(),
            passes: BTreeMap::new(),
            path: Vec::new(),
        };
        let root = planner.pair(writer.root, reader.root)?;
        let identity = planner.identity(root);
        Ok(Plan { ops: planner.ops, root, identity })
    }

    /// The plan of a schema's own data.
    pub fn own(tree: &Tree) -> Result<Plan, SchemaFault> {
        Plan::resolve(tree, tree)
    }

    pub fn op(&self, id: OpId) -> &Op {
        // INVARIANT: ids come from this plan only.
        self.ops.get(id).unwrap_or(&Op::NoPlace)
    }
}

struct Planner<'t> {
    writer: &'t Tree,
    reader: &'t Tree,
    ops: Vec<Op>,
    pairs: BTreeMap<(NodeId, NodeId), Result<OpId, SchemaFault>>,
    passes: BTreeMap<NodeId, OpId>,
    path: Vec<String>,
}

impl<'t> Planner<'t> {
    fn pair(&mut self, writer: NodeId, reader: NodeId) -> Result<OpId, SchemaFault> {
        if let Some(known) = self.pairs.get(&(writer, reader)) {
            return known.clone();
        }
        let result = self.resolve(writer, reader);
        self.pairs.insert((writer, reader), result.clone());
        result
    }

    fn resolve(&mut self, writer: NodeId, reader: NodeId) -> Result<OpId, SchemaFault> {
        let (from, into) = (self.writer.node(writer), self.reader.node(reader));
        let op = match (from, into) {
            (Node::Union(branches), _) => self.writer_union(branches, reader)?,
            (_, Node::Union(branches)) => self.reader_union(writer, from, branches)?,
            (Node::Null, Node::Null) => Op::Null,
            (Node::Boolean, Node::Boolean) => Op::Boolean,
            (Node::Int(a), Node::Int(b) | Node::Long(b)) => self.same_unit(*a, *b, Op::Int)?,
            (Node::Long(a), Node::Long(b)) => self.same_unit(*a, *b, Op::Long)?,
            (Node::Float, Node::Float) => Op::Fixed(4),
            (Node::Double, Node::Double) => Op::Fixed(8),
            (Node::Bytes, Node::Bytes) => Op::Bytes,
            (Node::Text | Node::Bytes, Node::Text) | (Node::Text, Node::Bytes) => Op::Text,
            (Node::Fixed { names: a, size: n }, Node::Fixed { names: b, size: m }) => {
                if n != m {
                    return self.fault("a fixed type has another size");
                }
                if !b.take(a) {
                    return self.fault("a fixed type has another name: give the reader's an alias");
                }
                Op::Fixed(*n)
            }
            (Node::Enum { names: a, symbols, .. }, Node::Enum { names: b, symbols: known, default }) => {
                if !b.take(a) {
                    return self.fault("an enum has another name: give the reader's an alias");
                }
                let place = |symbol: &String| known.iter().position(|other| other == symbol);
                let default = default.as_ref().and_then(place);
                Op::Enum(symbols.iter().map(|symbol| place(symbol).or(default)).collect())
            }
            (Node::Array(a), Node::Array(b)) => {
                Op::Array { item: self.at("[]", |planner| planner.pair(*a, *b))?, bytes_min: self.writer.bytes_min(*a) }
            }
            (Node::Map(a), Node::Map(b)) => Op::Map {
                value: self.at("{}", |planner| planner.pair(*a, *b))?,
                bytes_min: self.writer.bytes_min(*a).saturating_add(1),
            },
            (Node::Record { names: a, fields: written }, Node::Record { names: b, fields: wanted }) => {
                if !b.take(a) {
                    return self.fault("a record has another name: give the reader's an alias");
                }
                self.record(written, wanted)?
            }
            _ => return self.fault("the types differ and the one cannot be promoted to the other"),
        };
        self.add(op)
    }

    fn same_unit(&self, writer: Option<&str>, reader: Option<&str>, op: Op) -> Result<Op, SchemaFault> {
        match (writer, reader) {
            (Some(a), Some(b)) if a != b => self.fault("the logical types have different units"),
            _ => Ok(op),
        }
    }

    fn writer_union(&mut self, branches: &[NodeId], reader: NodeId) -> Result<Op, SchemaFault> {
        let mut ops = Vec::with_capacity(branches.len());
        let mut fault = None;
        for branch in branches {
            match self.pair(*branch, reader) {
                Ok(op) => ops.push(op),
                // The type it was meant for is there and cannot read it: nobody ever wants that.
                Err(error) if self.alike(*branch, reader) => return Err(error),
                Err(error) => {
                    ops.push(self.add(Op::NoPlace)?);
                    fault = Some(error);
                }
            }
        }
        match fault {
            // A union of which nothing can be read is a mistake, and better told at once.
            Some(fault) if ops.iter().all(|op| matches!(self.ops.get(*op), Some(Op::NoPlace))) => Err(fault),
            _ => Ok(Op::Union(ops)),
        }
    }

    fn reader_union(&mut self, writer: NodeId, from: &Node, branches: &[NodeId]) -> Result<Op, SchemaFault> {
        let same = |reader: &Tree, branch: NodeId| match (from, reader.node(branch)) {
            (Node::Fixed { names: a, .. }, Node::Fixed { names: b, .. })
            | (Node::Enum { names: a, .. }, Node::Enum { names: b, .. })
            | (Node::Record { names: a, .. }, Node::Record { names: b, .. }) => a.full == b.full,
            (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
        };
        let reader = self.reader;
        let (exact, other): (Vec<_>, Vec<_>) =
            branches.iter().enumerate().partition(|(_, branch)| same(reader, **branch));
        let mut meant = None;
        for (index, branch) in exact.into_iter().chain(other) {
            match self.pair(writer, *branch) {
                Ok(op) => return Ok(Op::Branch(index, op)),
                Err(error) if self.alike(writer, *branch) => meant = Some(error),
                Err(_) => {}
            }
        }
        match meant {
            Some(error) => Err(error),
            None => self.fault("no branch of the union takes the type"),
        }
    }

    /// Whether the reader's type, or a branch of it, goes by the name of the writer's.
    fn alike(&self, writer: NodeId, reader: NodeId) -> bool {
        match (self.writer.node(writer), self.reader.node(reader)) {
            (_, Node::Union(branches)) => branches.iter().any(|branch| self.alike(writer, *branch)),
            (Node::Fixed { names: a, .. }, Node::Fixed { names: b, .. })
            | (Node::Enum { names: a, .. }, Node::Enum { names: b, .. })
            | (Node::Record { names: a, .. }, Node::Record { names: b, .. }) => b.take(a),
            _ => false,
        }
    }

    fn record(&mut self, written: &'t [Field], wanted: &'t [Field]) -> Result<Op, SchemaFault> {
        let mut sources = Vec::with_capacity(wanted.len());
        for field in wanted {
            let by_name = written.iter().position(|other| other.name == field.name);
            let found = by_name.or_else(|| written.iter().position(|other| field.aliases.contains(&other.name)));
            let source = self.at(&field.name, |planner| match found.and_then(|at| Some((at, written.get(at)?))) {
                Some((at, other)) => Ok(Source::Field(at, planner.pair(other.node, field.node)?)),
                None => planner.default(field).map(Source::Default),
            })?;
            sources.push(source);
        }
        let passes = written.iter().map(|field| self.pass(field.node)).collect::<Result<Vec<_>, _>>()?;
        let places = sources.iter().filter_map(|source| match source {
            Source::Field(at, _) => Some(*at),
            Source::Default(_) => None,
        });
        if !places.clone().zip(places.skip(1)).all(|(a, b)| a < b) {
            return Ok(Op::Reordered { passes, sources });
        }
        let (mut steps, mut next) = (Vec::with_capacity(wanted.len()), 0);
        for source in sources {
            match source {
                Source::Default(bytes) => steps.push(Step::Default(bytes)),
                Source::Field(at, op) => {
                    steps.extend(passes.iter().take(at).skip(next).map(|pass| Step::Pass(*pass)));
                    steps.push(Step::Copy(op));
                    next = at + 1;
                }
            }
        }
        steps.extend(passes.iter().skip(next).map(|pass| Step::Pass(*pass)));
        Ok(Op::Record(steps))
    }

    fn default(&self, field: &Field) -> Result<Vec<u8>, SchemaFault> {
        let Some(default) = &field.default else {
            return self.fault("the field is missing and has no default");
        };
        let mut bytes = Vec::new();
        match defaults::encode(self.reader, field.node, default, &mut bytes) {
            Some(()) => Ok(bytes),
            None => self.fault("the default is no value of the field's type"),
        }
    }

    /// How to pass over a value of the writer's.
    fn pass(&mut self, node: NodeId) -> Result<OpId, SchemaFault> {
        if let Some(known) = self.passes.get(&node) {
            return Ok(*known);
        }
        let op = match self.writer.node(node) {
            Node::Null => Op::Null,
            Node::Boolean => Op::Boolean,
            Node::Int(_) => Op::Int,
            Node::Long(_) => Op::Long,
            Node::Float => Op::Fixed(4),
            Node::Double => Op::Fixed(8),
            Node::Bytes => Op::Bytes,
            Node::Text => Op::Text,
            Node::Fixed { size, .. } => Op::Fixed(*size),
            Node::Enum { symbols, .. } => Op::Enum((0..symbols.len()).map(Some).collect()),
            Node::Array(items) => Op::Array { item: self.pass(*items)?, bytes_min: self.writer.bytes_min(*items) },
            Node::Map(values) => {
                Op::Map { value: self.pass(*values)?, bytes_min: self.writer.bytes_min(*values).saturating_add(1) }
            }
            Node::Union(branches) => {
                Op::Union(branches.iter().map(|branch| self.pass(*branch)).collect::<Result<_, _>>()?)
            }
            Node::Record { fields, .. } => {
                Op::Record(fields.iter().map(|field| self.pass(field.node).map(Step::Pass)).collect::<Result<_, _>>()?)
            }
        };
        let id = self.add(op)?;
        self.passes.insert(node, id);
        Ok(id)
    }

    fn add(&mut self, op: Op) -> Result<OpId, SchemaFault> {
        if self.ops.len() >= 4 * SCHEMA_NODES_MAX {
            return Err(SchemaFault::TooManyTypes { max: SCHEMA_NODES_MAX });
        }
        self.ops.push(op);
        Ok(self.ops.len() - 1)
    }

    fn at<T>(&mut self, name: &str, then: impl FnOnce(&mut Self) -> Result<T, SchemaFault>) -> Result<T, SchemaFault> {
        self.path.push(name.to_owned());
        let result = then(self);
        self.path.pop();
        result
    }

    fn fault<T>(&self, why: &'static str) -> Result<T, SchemaFault> {
        Err(SchemaFault::Unresolvable { path: self.path.join("."), why })
    }

    /// Operations are added after those that they use, so one pass in order sees each after its parts.
    fn identity(&self, root: OpId) -> bool {
        let mut same: Vec<bool> = Vec::with_capacity(self.ops.len());
        for op in &self.ops {
            let is = |id: &OpId| same.get(*id).copied().unwrap_or(false);
            same.push(match op {
                Op::Null | Op::Boolean | Op::Int | Op::Long | Op::Fixed(_) | Op::Bytes | Op::Text => true,
                Op::Enum(symbols) => symbols.iter().enumerate().all(|(index, symbol)| *symbol == Some(index)),
                Op::Array { item, .. } => is(item),
                Op::Map { value, .. } => is(value),
                Op::Union(branches) => branches
                    .iter()
                    .enumerate()
                    .all(|(index, op)| matches!(self.ops.get(*op), Some(Op::Branch(into, inner)) if *into == index && is(inner))),
                // Alone it writes a byte that the writer did not.
                Op::Branch(..) => false,
                Op::Record(steps) => steps.iter().all(|step| matches!(step, Step::Copy(op) if is(op))),
                Op::Reordered { .. } | Op::NoPlace => false,
            });
        }
        same.get(root).copied().unwrap_or(false)
    }
}
