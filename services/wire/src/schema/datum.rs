//! Avro binary into our structs, by the types alone.
//!
//! Why not the Avro crate's reader: it looks every field up by name, every reference by hash, and copies every text
//! before we do; by types it is one pass. That is sound because of two things. The bytes were walked, so they are one
//! datum of the newest schema; and our structs have that schema's fields in its order, optional values as unions with
//! null first, other unions and enums as enums in its order, which the tests hold against the crate's own decoder.
//! Whatever does not fit is an error, never a panic, and recursion is as deep as our types.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::U32Deserializer;
use serde::de::{DeserializeSeed, EnumAccess, Error as _, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer, forward_to_deserialize_any};

/// The bytes do not fit the type. What exactly is of no use to anyone: it is a defect.
#[derive(Debug)]
pub(crate) struct Misfit;

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes do not fit the type")
    }
}

impl std::error::Error for Misfit {}

impl serde::de::Error for Misfit {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Misfit
    }
}

/// Decodes one datum that takes all of `bytes`.
pub(crate) fn decode<'b, T: Deserialize<'b>>(bytes: &'b [u8]) -> Result<T, Misfit> {
    let mut datum = Datum { rest: bytes };
    let value = T::deserialize(&mut datum)?;
    if datum.rest.is_empty() { Ok(value) } else { Err(Misfit) }
}

struct Datum<'b> {
    rest: &'b [u8],
}

impl<'b> Datum<'b> {
    fn long(&mut self) -> Result<i64, Misfit> {
        let mut bits = 0_u64;
        for (place, byte) in self.rest.iter().enumerate().take(10) {
            bits |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                self.rest = self.rest.get(place + 1..).ok_or(Misfit)?;
                return Ok((bits >> 1).cast_signed() ^ -(bits & 1).cast_signed());
            }
        }
        Err(Misfit)
    }

    fn take(&mut self, count: usize) -> Result<&'b [u8], Misfit> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Misfit)?;
        self.rest = rest;
        Ok(taken)
    }

    fn bytes(&mut self) -> Result<&'b [u8], Misfit> {
        let length = usize::try_from(self.long()?).map_err(|_| Misfit)?;
        self.take(length)
    }

    fn text(&mut self) -> Result<&'b str, Misfit> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Misfit)
    }
}

impl<'b> Deserializer<'b> for &mut Datum<'b> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'b>>(self, _: V) -> Result<V::Value, Misfit> {
        // Nothing in the bytes says what they are.
        Err(Misfit)
    }

    fn deserialize_bool<V: Visitor<'b>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.take(1)? {
            [0] => visitor.visit_bool(false),
            [1] => visitor.visit_bool(true),
            _ => Err(Misfit),
        }
    }

    fn deserialize_i32<V: Visitor<'b>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_i32(i32::try_from(self.long()?).map_err(|_| Misfit)?)
    }

    fn deserialize_i64<V: Visitor<'b>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_i64(self.long()?)
    }

    fn deserialize_str<V: Visitor<'b>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_borrowed_str(self.text()?)
    }

    fn deserialize_string<V: Visitor<'b>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'b>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_borrowed_bytes(self.bytes()?)
    }

    fn deserialize_byte_buf<V: Visitor<'b>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'b>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.long()? {
            0 => visitor.visit_none(),
            1 => visitor.visit_some(self),
            _ => Err(Misfit),
        }
    }

    fn deserialize_seq<V: Visitor<'b>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_seq(Blocks { datum: self, left: 0 })
    }

    fn deserialize_map<V: Visitor<'b>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_map(Blocks { datum: self, left: 0 })
    }

    /// A fixed type: [`Fixed`] is all that asks for a tuple.
    fn deserialize_tuple<V: Visitor<'b>>(self, size: usize, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_borrowed_bytes(self.take(size)?)
    }

    fn deserialize_struct<V: Visitor<'b>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_seq(Fields { datum: self, left: fields.len() })
    }

    fn deserialize_enum<V: Visitor<'b>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_enum(Branch { datum: self })
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    forward_to_deserialize_any! {
        <W: Visitor<'b>>
        i8 i16 i128 u8 u16 u32 u64 u128 f32 f64 char unit unit_struct newtype_struct tuple_struct identifier ignored_any
    }
}

/// The fields of a struct, in order.
struct Fields<'d, 'b> {
    datum: &'d mut Datum<'b>,
    left: usize,
}

impl<'b> SeqAccess<'b> for Fields<'_, 'b> {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'b>>(&mut self, seed: T) -> Result<Option<T::Value>, Misfit> {
        match self.left.checked_sub(1) {
            None => Ok(None),
            Some(left) => {
                self.left = left;
                seed.deserialize(&mut *self.datum).map(Some)
            }
        }
    }
}

/// The items of an array or map, block by block.
struct Blocks<'d, 'b> {
    datum: &'d mut Datum<'b>,
    left: u64,
}

impl Blocks<'_, '_> {
    /// Whether another item follows.
    fn next(&mut self) -> Result<bool, Misfit> {
        if self.left == 0 {
            let count = self.datum.long()?;
            if count < 0 {
                self.datum.long()?;
            }
            self.left = count.unsigned_abs();
            if count == 0 {
                return Ok(false);
            }
        }
        self.left -= 1;
        Ok(true)
    }
}

impl<'b> SeqAccess<'b> for Blocks<'_, 'b> {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'b>>(&mut self, seed: T) -> Result<Option<T::Value>, Misfit> {
        if self.next()? { seed.deserialize(&mut *self.datum).map(Some) } else { Ok(None) }
    }
}

impl<'b> MapAccess<'b> for Blocks<'_, 'b> {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'b>>(&mut self, seed: K) -> Result<Option<K::Value>, Misfit> {
        if self.next()? { seed.deserialize(&mut *self.datum).map(Some) } else { Ok(None) }
    }

    fn next_value_seed<V: DeserializeSeed<'b>>(&mut self, seed: V) -> Result<V::Value, Misfit> {
        seed.deserialize(&mut *self.datum)
    }
}

/// A symbol of an enum or a branch of a union.
struct Branch<'d, 'b> {
    datum: &'d mut Datum<'b>,
}

impl<'b> EnumAccess<'b> for Branch<'_, 'b> {
    type Error = Misfit;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'b>>(self, seed: V) -> Result<(V::Value, Self), Misfit> {
        let index = u32::try_from(self.datum.long()?).map_err(|_| Misfit)?;
        Ok((seed.deserialize(U32Deserializer::<Misfit>::new(index))?, self))
    }
}

impl<'b> VariantAccess<'b> for Branch<'_, 'b> {
    type Error = Misfit;

    fn unit_variant(self) -> Result<(), Misfit> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'b>>(self, seed: T) -> Result<T::Value, Misfit> {
        seed.deserialize(self.datum)
    }

    fn tuple_variant<V: Visitor<'b>>(self, _: usize, _: V) -> Result<V::Value, Misfit> {
        Err(Misfit)
    }

    fn struct_variant<V: Visitor<'b>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_seq(Fields { datum: self.datum, left: fields.len() })
    }
}

/// Text that is borrowed both ways.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Text<'a>(pub Cow<'a, str>);

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Text(Cow::Borrowed(text))
    }
}

impl<'a> From<&'a String> for Text<'a> {
    fn from(text: &'a String) -> Self {
        Text(Cow::Borrowed(text))
    }
}

impl From<Text<'_>> for String {
    fn from(text: Text<'_>) -> Self {
        text.0.into_owned()
    }
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&'de str>::deserialize(deserializer).map(Text::from)
    }
}

/// Bytes of a fixed type.
#[derive(Clone, Copy)]
pub(crate) struct Fixed<const N: usize>(pub [u8; N]);

impl<const N: usize> Serialize for Fixed<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Fixed<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_tuple(N, Whole).and_then(|bytes| bytes.try_into().map(Fixed).map_err(D::Error::custom))
    }
}

/// Bytes of any length.
#[derive(Clone)]
pub(crate) struct Bytes<'a>(pub Cow<'a, [u8]>);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Bytes<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(Whole).map(|bytes| Bytes(Cow::Borrowed(bytes)))
    }
}

/// Takes borrowed bytes as they are.
struct Whole;

impl<'de> Visitor<'de> for Whole {
    type Value = &'de [u8];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_borrowed_bytes<E: serde::de::Error>(self, bytes: &'de [u8]) -> Result<&'de [u8], E> {
        Ok(bytes)
    }
}
