// SPDX-License-Identifier: GPL-3.0-or-later
//! JSON of a scanner's, of no more values than any answer needs: `[[],[],[]` takes twenty times its length in memory.

use super::{ShapeError, fields::Object};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::{cell::Cell, fmt};

/// Values in one answer: texts, numbers, lists, objects. A finding with many rules has some hundreds.
pub(crate) const MOST_VALUES: usize = 64 << 10;

/// What `answer` says.
pub(crate) fn value(answer: &[u8]) -> Result<Value, ShapeError> {
    let left = Cell::new(MOST_VALUES);
    let mut reader = serde_json::Deserializer::from_slice(answer);
    let read = Bounded(&left).deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    match read {
        Ok(value) => Ok(value),
        Err(_) if left.get() == 0 => Err(ShapeError::TooMuch),
        Err(error) => Err(error.into()),
    }
}

/// The same of an answer that is an object.
pub(crate) fn object(answer: &[u8]) -> Result<Object, ShapeError> {
    match value(answer)? {
        Value::Object(object) => Ok(object),
        _ => Err(ShapeError::Entry("no object")),
    }
}

/// One value of so many that may come.
struct Bounded<'a>(&'a Cell<usize>);

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let Some(left) = self.0.get().checked_sub(1) else { return Err(D::Error::custom("too many values")) };
        self.0.set(left);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(truth.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = items.next_element_seed(Bounded(self.0))? {
            all.push(item);
        }
        Ok(Value::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut all = Object::new();
        while let Some(name) = members.next_key::<String>()? {
            all.insert(name, members.next_value_seed(Bounded(self.0))?);
        }
        Ok(Value::Object(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn numbers(count: usize) -> Vec<u8> {
        json!(vec![0; count]).to_string().into_bytes()
    }

    #[test]
    fn more_values_than_any_answer_needs_are_not_read() {
        assert_eq!(value(&numbers(MOST_VALUES - 1)).unwrap().as_array().unwrap().len(), MOST_VALUES - 1);
        assert!(matches!(value(&numbers(MOST_VALUES)), Err(ShapeError::TooMuch)));
        let nested = "[".repeat(100_000);
        assert!(matches!(value(nested.as_bytes()), Err(ShapeError::Json(_))), "neither are more levels");
        for wrong in ["", "[1] 2", "{\"a\":}"] {
            assert!(matches!(value(wrong.as_bytes()), Err(ShapeError::Json(_))), "{wrong}");
        }
        assert!(matches!(object(b"[]"), Err(ShapeError::Entry(_))));
    }

    proptest! {
        #[test]
        fn it_reads_what_serde_json_reads(text in r#"(\[|\]|\{|\}|"a"|"b":|,|:|1|-2.5|1e300|null|true){0,9}"#) {
            let usual = serde_json::from_str::<Value>(&text).ok();
            prop_assert_eq!(value(text.as_bytes()).ok(), usual);
        }
    }
}
