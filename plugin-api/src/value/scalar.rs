//! Numbers, booleans and strings as ports: JSON in a block or a parameter.

use super::from_json;
use crate::{
    Error, Result,
    abi::{InputBlock, format},
    node::Input,
    output::{Output, OutputPort},
};

macro_rules! scalars {
    ($($type:ty, $kind:literal, $what:literal);+) => {
        $(
            impl Input for $type {
                const KIND: &'static str = $kind;

                fn from_block(block: InputBlock) -> Result<Self> {
                    from_json(&block, $what)
                }
            }

            impl Output for $type {
                const KIND: &'static str = $kind;

                fn write(self, port: &OutputPort<'_>) -> Result<()> {
                    port.write(&to_json(&self)?, format::JSON, "")
                }
            }
        )+
    };
}

scalars!(
    i64, "integer", "an integer";
    bool, "boolean", "a boolean";
    String, "string", "a string"
);

/// A number's block may hold `null`, which is how JSON says "not a number": a `NaN` survives the way.
impl Input for f64 {
    const KIND: &'static str = "number";

    fn from_block(block: InputBlock) -> Result<Self> {
        Ok(from_json::<Option<f64>>(&block, "a number")?.unwrap_or(f64::NAN))
    }
}

impl Output for f64 {
    const KIND: &'static str = "number";

    fn write(self, port: &OutputPort<'_>) -> Result<()> {
        if self.is_infinite() {
            return Err(Error::output(format!("the output `{}` is {self}, which JSON cannot hold", port.name()))
                .with_hint("return it in an Array<f64>"));
        }
        port.write(&to_json(&self)?, format::JSON, "")
    }
}

fn to_json(value: &impl serde::Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| Error::output("the value cannot be written as JSON").because(error))
}
