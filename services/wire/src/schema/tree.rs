//! One schema as an arena of types.
//!
//! Invariants: no type contains itself; no path from the root is longer than the limit; every named type is defined
//! once, before it is used. So whoever recurses over a tree, or over data by a tree, recurses only so deep.

use std::collections::BTreeMap;

use apache_avro::Schema;
use apache_avro::schema::{Alias, DecimalSchema, FixedSchema, InnerDecimalSchema, Name, RecordSchema, UuidSchema};
use serde_json::Value as Json;

use crate::error::SchemaFault;
use crate::limits::{SCHEMA_BRACKETS_MAX, SCHEMA_BYTES_MAX, SCHEMA_DEPTH_MAX, SCHEMA_NODES_MAX};

pub(crate) type NodeId = usize;

/// Names under which a type answers: its own full name and the full names of its aliases.
#[derive(Debug)]
pub(crate) struct Names {
    pub full: String,
    pub aliases: Vec<String>,
}

impl Names {
    fn of(name: &Name, aliases: Option<&Vec<Alias>>, space: Option<&str>) -> Names {
        let name = name.fully_qualified_name(space);
        let full = |alias: &Alias| alias.fullname(name.namespace());
        Names { full: name.fullname(None), aliases: aliases.into_iter().flatten().map(full).collect() }
    }

    /// Whether a reader of these names takes what `writer` wrote: by unqualified name, or by an alias.
    pub fn take(&self, writer: &Names) -> bool {
        unqualified(&self.full) == unqualified(&writer.full)
            || self.aliases.iter().any(|alias| *alias == writer.full || unqualified(alias) == unqualified(&writer.full))
    }
}

fn unqualified(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(_, last)| last)
}

#[derive(Debug)]
pub(crate) struct Field {
    pub name: String,
    pub aliases: Vec<String>,
    pub default: Option<Json>,
    pub node: NodeId,
}

/// A type. Units of logical types are kept where a wrong one would be a wrong value.
#[derive(Debug)]
pub(crate) enum Node {
    Null,
    Boolean,
    Int(Option<&'static str>),
    Long(Option<&'static str>),
    Float,
    Double,
    Bytes,
    Text,
    Fixed { names: Names, size: usize },
    Enum { names: Names, symbols: Vec<String>, default: Option<String> },
    Array(NodeId),
    Map(NodeId),
    Union(Vec<NodeId>),
    Record { names: Names, fields: Vec<Field> },
}

/// A schema that was taken.
#[derive(Debug)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    /// For each node the fewest bytes a value of it takes.
    bytes_min: Vec<usize>,
    pub root: NodeId,
}

impl Tree {
    /// Checks and compiles a schema document.
    pub fn parse(document: &str) -> Result<(Schema, Tree), SchemaFault> {
        if document.len() > SCHEMA_BYTES_MAX {
            return Err(SchemaFault::TooLarge { max: SCHEMA_BYTES_MAX });
        }
        if brackets(document) > SCHEMA_BRACKETS_MAX {
            return Err(SchemaFault::TooDeep { max: SCHEMA_DEPTH_MAX });
        }
        let schema = Schema::parse_str(document)
            .map_err(|error| SchemaFault::NotASchema { detail: error.to_string().chars().take(200).collect() })?;
        let tree = Tree::of(&schema)?;
        Ok((schema, tree))
    }

    /// Compiles a parsed schema.
    pub fn of(schema: &Schema) -> Result<Tree, SchemaFault> {
        let mut builder = Builder::default();
        let root = builder.node(schema, None, 0)?;
        Ok(Tree { nodes: builder.nodes, bytes_min: builder.bytes_min, root })
    }

    /// The same types, seen from another root.
    pub fn rooted(self, root: NodeId) -> Tree {
        Tree { root, ..self }
    }

    pub fn node(&self, id: NodeId) -> &Node {
        // INVARIANT: ids come from this tree only; null is what asks for nothing if that were ever broken.
        self.nodes.get(id).unwrap_or(&Node::Null)
    }

    pub fn bytes_min(&self, id: NodeId) -> usize {
        self.bytes_min.get(id).copied().unwrap_or(0)
    }

    /// The named type with this full name.
    pub fn named(&self, name: &str) -> Option<NodeId> {
        self.nodes.iter().position(|node| match node {
            Node::Fixed { names, .. } | Node::Enum { names, .. } | Node::Record { names, .. } => names.full == name,
            _ => false,
        })
    }
}

/// Deepest nesting of brackets outside strings.
fn brackets(document: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in document.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

#[derive(Default)]
struct Builder {
    nodes: Vec<Node>,
    bytes_min: Vec<usize>,
    heights: Vec<usize>,
    named: BTreeMap<String, NodeId>,
    open: Vec<String>,
}

impl Builder {
    fn node(&mut self, schema: &Schema, space: Option<&str>, depth: usize) -> Result<NodeId, SchemaFault> {
        if depth >= SCHEMA_DEPTH_MAX {
            return Err(SchemaFault::TooDeep { max: SCHEMA_DEPTH_MAX });
        }
        let node = match schema {
            Schema::Null => Node::Null,
            Schema::Boolean => Node::Boolean,
            Schema::Int => Node::Int(None),
            Schema::Date => Node::Int(Some("date")),
            Schema::TimeMillis => Node::Int(Some("time-millis")),
            Schema::Long => Node::Long(None),
            Schema::TimeMicros => Node::Long(Some("time-micros")),
            Schema::TimestampMillis => Node::Long(Some("timestamp-millis")),
            Schema::TimestampMicros => Node::Long(Some("timestamp-micros")),
            Schema::TimestampNanos => Node::Long(Some("timestamp-nanos")),
            Schema::LocalTimestampMillis => Node::Long(Some("local-timestamp-millis")),
            Schema::LocalTimestampMicros => Node::Long(Some("local-timestamp-micros")),
            Schema::LocalTimestampNanos => Node::Long(Some("local-timestamp-nanos")),
            Schema::Float => Node::Float,
            Schema::Double => Node::Double,
            Schema::Bytes
            | Schema::BigDecimal
            | Schema::Uuid(UuidSchema::Bytes)
            | Schema::Decimal(DecimalSchema { inner: InnerDecimalSchema::Bytes, .. }) => Node::Bytes,
            Schema::String | Schema::Uuid(UuidSchema::String) => Node::Text,
            Schema::Fixed(fixed)
            | Schema::Duration(fixed)
            | Schema::Uuid(UuidSchema::Fixed(fixed))
            | Schema::Decimal(DecimalSchema { inner: InnerDecimalSchema::Fixed(fixed), .. }) => {
                return self.fixed(fixed, space);
            }
            Schema::Enum(schema) => {
                let names = Names::of(&schema.name, schema.aliases.as_ref(), space);
                let node = Node::Enum { names, symbols: schema.symbols.clone(), default: schema.default.clone() };
                return self.add_named(node, 1, 0);
            }
            Schema::Array(array) => {
                let items = self.node(&array.items, space, depth + 1)?;
                return self.add(Node::Array(items), 1, self.height(items) + 1);
            }
            Schema::Map(map) => {
                let values = self.node(&map.types, space, depth + 1)?;
                return self.add(Node::Map(values), 1, self.height(values) + 1);
            }
            Schema::Union(union) => {
                let branch = |branch| self.node(branch, space, depth + 1);
                let branches = union.variants().iter().map(branch).collect::<Result<Vec<_>, _>>()?;
                let bytes = branches.iter().map(|id| self.bytes(*id)).min().unwrap_or(0);
                let height = branches.iter().map(|id| self.height(*id)).max().unwrap_or(0);
                return self.add(Node::Union(branches), bytes.saturating_add(1), height + 1);
            }
            Schema::Record(record) => return self.record(record, space, depth),
            Schema::Ref { name } => return self.reference(&name.fullname(space), depth),
        };
        let bytes = match node {
            Node::Null => 0,
            Node::Float => 4,
            Node::Double => 8,
            _ => 1,
        };
        self.add(node, bytes, 0)
    }

    fn fixed(&mut self, fixed: &FixedSchema, space: Option<&str>) -> Result<NodeId, SchemaFault> {
        let names = Names::of(&fixed.name, fixed.aliases.as_ref(), space);
        self.add_named(Node::Fixed { names, size: fixed.size }, fixed.size, 0)
    }

    fn record(&mut self, record: &RecordSchema, space: Option<&str>, depth: usize) -> Result<NodeId, SchemaFault> {
        let names = Names::of(&record.name, record.aliases.as_ref(), space);
        let inner = record.name.fully_qualified_name(space);
        self.open.push(names.full.clone());
        let (mut fields, mut bytes, mut height) = (Vec::with_capacity(record.fields.len()), 0_usize, 0);
        for field in &record.fields {
            let node = self.node(&field.schema, inner.namespace(), depth + 1)?;
            bytes = bytes.saturating_add(self.bytes(node));
            height = height.max(self.height(node));
            let (name, aliases, default) = (field.name.clone(), field.aliases.clone(), field.default.clone());
            fields.push(Field { name, aliases, default, node });
        }
        self.open.pop();
        self.add_named(Node::Record { names, fields }, bytes, height + 1)
    }

    fn reference(&mut self, name: &str, depth: usize) -> Result<NodeId, SchemaFault> {
        if self.open.iter().any(|open| open == name) {
            return Err(SchemaFault::Recursive { name: name.to_owned() });
        }
        let id = *self.named.get(name).ok_or_else(|| SchemaFault::Undefined { name: name.to_owned() })?;
        if depth + self.height(id) >= SCHEMA_DEPTH_MAX {
            return Err(SchemaFault::TooDeep { max: SCHEMA_DEPTH_MAX });
        }
        Ok(id)
    }

    fn add_named(&mut self, node: Node, bytes: usize, height: usize) -> Result<NodeId, SchemaFault> {
        let name = match &node {
            Node::Fixed { names, .. } | Node::Enum { names, .. } | Node::Record { names, .. } => names.full.clone(),
            _ => String::new(),
        };
        let id = self.add(node, bytes, height)?;
        match self.named.insert(name.clone(), id) {
            None => Ok(id),
            Some(_) => Err(SchemaFault::Undefined { name }),
        }
    }

    fn add(&mut self, node: Node, bytes: usize, height: usize) -> Result<NodeId, SchemaFault> {
        if self.nodes.len() >= SCHEMA_NODES_MAX {
            return Err(SchemaFault::TooManyTypes { max: SCHEMA_NODES_MAX });
        }
        self.nodes.push(node);
        self.bytes_min.push(bytes);
        self.heights.push(height);
        Ok(self.nodes.len() - 1)
    }

    fn height(&self, id: NodeId) -> usize {
        self.heights.get(id).copied().unwrap_or(0)
    }

    fn bytes(&self, id: NodeId) -> usize {
        self.bytes_min.get(id).copied().unwrap_or(0)
    }
}
