//! What `#[node]` makes of a function, and the traits its inputs and outputs fulfil.

use crate::{
    Error, Result,
    abi::InputBlock,
    context::Context,
    manifest::{NodeManifest, PortManifest},
    output::{Output, OutputPort, Steps},
};

/// A type that a node may take as an input.
///
/// ```
/// use plugin_api::prelude::*;
///
/// /// An input type of a plugin's own, made from another one.
/// struct Words(Vec<String>);
///
/// impl Input for Words {
///     const KIND: &'static str = "text";
///     fn from_block(block: Block) -> Result<Self> {
///         let text = Text::from_block(block)?;
///         Ok(Words(text.split_whitespace().map(str::to_owned).collect()))
///     }
/// }
///
/// /// Counts the words.
/// #[node(outputs = ["count"])]
/// fn count(words: Words) -> i64 {
///     words.0.len() as i64
/// }
/// # let outputs = plugin_api::testing::node::<count>().input("words", Text::from("a b")).run().unwrap();
/// # assert_eq!(outputs.get::<i64>("count").unwrap(), 2);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an input of a node",
    label = "not an input type",
    note = "input types are: Table, Bytes, Text, Json<T>, Params<T>, Array<T>, Block, f64, i64, bool, String, Option<any of these>, and &Context",
    note = "a serde type becomes one as `Json<T>` (data) or `Params<T>` (parameters)"
)]
pub trait Input: Sized {
    /// The kind of the port (`table`, `json`, …).
    const KIND: &'static str;
    /// Whether the port may stay unbound.
    const OPTIONAL: bool = false;
    /// Whether the port wants parameters rather than data.
    const PARAMETER: bool = false;

    /// Makes the value of a block, without a copy where the type allows it.
    fn from_block(block: InputBlock) -> Result<Self>;

    /// What an unbound port gives; an error unless [`OPTIONAL`](Self::OPTIONAL).
    fn absent() -> Result<Self> {
        Err(Error::input("nothing is bound to it").with_hint("bind a dataset or a parameter to it in the pipeline"))
    }
}

impl<T: Input> Input for Option<T> {
    const KIND: &'static str = T::KIND;
    const OPTIONAL: bool = true;
    const PARAMETER: bool = T::PARAMETER;

    fn from_block(block: InputBlock) -> Result<Self> {
        T::from_block(block).map(Some)
    }

    fn absent() -> Result<Self> {
        Ok(None)
    }
}

/// All that a node returns: one [`Output`], several as a tuple, nothing as `()`, any of it in a `Result`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be returned by a node",
    label = "not an output type",
    note = "output types are: Table, RecordBatch, Vec<RecordBatch>, Bytes, Text, Json<T>, Array<T>, f64, i64, bool, String, Chunks<iterator>, Written<T>; several as a tuple, any of it in a Result",
    note = "a serde type becomes one as `Json<T>`"
)]
pub trait Outputs {
    /// The kinds of the outputs, in order.
    const KINDS: &'static [&'static str];
    /// Which of the outputs come in chunks, in order.
    const CHUNKS: &'static [bool];

    /// Writes each to its port; `names` are the ports' names.
    fn write(self, ctx: &Context, names: &[&str]) -> Result<()>;
}

impl<T: Output> Outputs for T {
    const KINDS: &'static [&'static str] = &[T::KIND];
    const CHUNKS: &'static [bool] = &[T::CHUNKS];

    fn write(self, ctx: &Context, names: &[&str]) -> Result<()> {
        self.write(&port(ctx, 0, names))
    }
}

impl Outputs for () {
    const KINDS: &'static [&'static str] = &[];
    const CHUNKS: &'static [bool] = &[];

    fn write(self, _ctx: &Context, _names: &[&str]) -> Result<()> {
        Ok(())
    }
}

impl<T: Outputs, E: Into<Error>> Outputs for std::result::Result<T, E> {
    const KINDS: &'static [&'static str] = T::KINDS;
    const CHUNKS: &'static [bool] = T::CHUNKS;

    fn write(self, ctx: &Context, names: &[&str]) -> Result<()> {
        self.map_err(Into::into)?.write(ctx, names)
    }
}

macro_rules! tuples {
    ($($type:ident $value:ident $index:literal),+) => {
        impl<$($type: Output),+> Outputs for ($($type,)+) {
            const KINDS: &'static [&'static str] = &[$($type::KIND),+];
            const CHUNKS: &'static [bool] = &[$($type::CHUNKS),+];

            fn write(self, ctx: &Context, names: &[&str]) -> Result<()> {
                let ($($value,)+) = self;
                if [$($type::CHUNKS),+].contains(&true) {
                    return take_turns(vec![$($value.steps(port(ctx, $index, names))),+]);
                }
                $($value.write(&port(ctx, $index, names))?;)+
                Ok(())
            }
        }
    };
}

tuples!(A a 0);
tuples!(A a 0, B b 1);
tuples!(A a 0, B b 1, C c 2);
tuples!(A a 0, B b 1, C c 2, D d 3);
tuples!(A a 0, B b 1, C c 2, D d 3, E e 4);
tuples!(A a 0, B b 1, C c 2, D d 3, E e 4, F f 5);
tuples!(A a 0, B b 1, C c 2, D d 3, E e 4, F f 5, G g 6);
tuples!(A a 0, B b 1, C c 2, D d 3, E e 4, F f 5, G g 6, H h 7);

fn port<'a>(ctx: &'a Context, index: u32, names: &[&str]) -> OutputPort<'a> {
    ctx.output(index, names.get(index as usize).copied().unwrap_or("?"))
}

/// Writes several outputs round by round, a step of each: iterators that share what they give from need not keep it.
fn take_turns(mut outputs: Vec<Box<dyn Steps + '_>>) -> Result<()> {
    while !outputs.is_empty() {
        let mut going = Vec::with_capacity(outputs.len());
        for mut output in outputs {
            if output.step()? {
                going.push(output);
            }
        }
        outputs = going;
    }
    Ok(())
}

/// A node of a plugin. Implemented by `#[node]` on a hidden type of the function's name; the same path names both.
pub trait Node: 'static {
    /// The function's name.
    const NAME: &'static str;
    /// The names of the outputs.
    const OUTPUTS: &'static [&'static str];

    /// Ports, types and docs.
    fn manifest() -> NodeManifest;

    /// Takes the inputs, calls the function, writes the outputs.
    fn call(ctx: &Context) -> Result<()>;
}

/// What must not compile; the messages of the macros themselves are tested in their crate.
///
/// A type that is no port type:
/// ```compile_fail,E0277
/// use plugin_api::prelude::*;
/// #[node(outputs = [])]
/// fn f(model: std::collections::HashMap<String, f64>) {}
/// ```
/// ```compile_fail,E0277
/// use plugin_api::prelude::*;
/// #[node(outputs = ["model"])]
/// fn f() -> Vec<f64> { Vec::new() }
/// ```
/// An output that may be missing:
/// ```compile_fail,E0277
/// use plugin_api::prelude::*;
/// #[node(outputs = ["model"])]
/// fn f() -> Option<f64> { None }
/// ```
/// An array of what is no plain number:
/// ```compile_fail,E0277
/// use plugin_api::prelude::*;
/// #[node(outputs = [])]
/// fn f(names: Array<String>) {}
/// ```
/// An alias that holds more outputs than are named:
/// ```compile_fail,E0080
/// use plugin_api::prelude::*;
/// type Pair = (f64, f64);
/// #[node(outputs = ["first"])]
/// fn f() -> Pair { (1.0, 2.0) }
/// ```
/// A function that is no node:
/// ```compile_fail,E0747
/// use plugin_api::prelude::*;
/// fn train() {}
/// plugin! { nodes: [train] }
/// # fn main() {}
/// ```
/// A hook without `#[hook]`:
/// ```compile_fail,E0046
/// use plugin_api::prelude::*;
/// struct Timing;
/// impl Hook for Timing {
///     fn new(_options: HookOptions) -> Result<Self> { Ok(Timing) }
/// }
/// ```
/// A context that outlives its call:
/// ```compile_fail,E0521
/// use plugin_api::prelude::*;
/// #[node(outputs = [])]
/// fn f(ctx: &Context) {
///     std::thread::spawn(|| ctx.progress(1, 2));
/// }
/// ```
/// Memory of an output that outlives its call:
/// ```compile_fail,E0515
/// use plugin_api::{OutputWriter, prelude::*};
/// fn keep(ctx: Context) -> OutputWriter<'static> { ctx.output_buffer("x", 1).unwrap() }
/// ```
#[cfg(doctest)]
pub struct MustNotCompile;

/// What the generated code calls; not for authors.
#[doc(hidden)]
pub mod generated {
    use super::*;

    /// The input `port`, or an error that names it.
    pub fn take<T: Input>(ctx: &Context, port: u32, name: &str) -> Result<T> {
        let value = match ctx.input(port) {
            Ok(Some(block)) => T::from_block(block),
            Ok(None) => T::absent(),
            Err(error) => Err(error),
        };
        value.map_err(|error| error.context(format!("reading the input `{name}`")))
    }

    /// Describes an input port.
    pub fn input<T: Input>(name: &str, rust_type: &str, doc_lines: &[&str], schema: String) -> PortManifest {
        PortManifest {
            schema,
            name: name.to_owned(),
            kind: T::KIND.to_owned(),
            optional: T::OPTIONAL,
            parameter: T::PARAMETER,
            rust_type: rust_type.to_owned(),
            doc: doc(doc_lines),
            ..PortManifest::default()
        }
    }

    /// Describes the output ports of a function, whose type is seen through a closure that is never called: so it may
    /// contain `impl Trait`, which cannot be named.
    pub fn outputs<A, R: Outputs>(_never_called: fn(A) -> R, names: &[&str], rust_types: &[&str]) -> Vec<PortManifest> {
        let describe = |(index, name): (usize, &&str)| PortManifest {
            name: (*name).to_owned(),
            kind: R::KINDS.get(index).copied().unwrap_or("any").to_owned(),
            chunks: R::CHUNKS.get(index).copied().unwrap_or_default(),
            rust_type: rust_types.get(index).copied().unwrap_or_default().to_owned(),
            ..PortManifest::default()
        };
        names.iter().enumerate().map(describe).collect()
    }

    /// A doc comment as people read it: without the space after `///` and blank lines around.
    pub fn doc(lines: &[&str]) -> String {
        let lines: Vec<&str> = lines.iter().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end()).collect();
        lines.join("\n").trim().to_owned()
    }
}
