//! Python pickles as data: the opcodes that published benchmarks use, an allow-list of constructors, nothing executed. A
//! file that asks for anything else is refused.

use std::rc::Rc;

/// Values that a file may make, so that a small file cannot fill the memory.
const MOST_VALUES: usize = 8 << 20;
/// Deepest nesting of containers, so that walking and freeing values cannot overflow the stack.
const DEEPEST: u32 = 64;

/// A value of a pickle. Containers are shared where the file shares them.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `None`.
    None,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A number; numpy's scalars become one.
    Float(f64),
    /// Text.
    Text(Rc<str>),
    /// Bytes.
    Bytes(Rc<[u8]>),
    /// A list, tuple or set.
    List(Rc<Vec<Value>>),
    /// A dictionary in the order of the file, ordered or not.
    Dict(Rc<Vec<(Value, Value)>>),
}

impl Value {
    /// The value under a key of a dictionary.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries()?.iter().find(|(own, _)| own.as_text() == Some(key)).map(|(_, value)| value)
    }

    /// A dictionary's entries.
    pub fn entries(&self) -> Option<&[(Value, Value)]> {
        match self {
            Value::Dict(entries) => Some(entries),
            _ => None,
        }
    }

    /// A list's values.
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Value::List(values) => Some(values),
            _ => None,
        }
    }

    /// A text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A number, integer or not.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Float(value) => Some(*value),
            Value::Int(value) => Some(*value as f64),
            _ => None,
        }
    }

    /// An integer.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Int(value) => Some(*value),
            _ => None,
        }
    }
}

/// The constructors that files may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Global {
    OrderedDict,
    NumpyDtype,
    NumpyScalar,
    /// `_codecs.encode` of text as Latin 1: bytes, as old protocols write them.
    Latin1,
    /// An object of a library: its arguments are kept as a list, nothing is made of them.
    Plain,
}

/// Element type of a numpy scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dtype {
    F32,
    F64,
    I32,
    I64,
}

/// What stands on the stack while a pickle is read. Containers under construction are named by their place in `made`, so
/// that a reference of the file to one of them is the same container.
#[derive(Debug, Clone)]
enum Item {
    Leaf(Value),
    Made(usize),
    Global(Global),
    Dtype(Dtype),
    Mark,
}

/// A container under construction.
#[derive(Debug)]
enum Made {
    List(Vec<Item>),
    Dict(Vec<(Item, Item)>),
}

/// Reads a pickle.
///
/// # Errors
/// If it is cut off, uses what is not allowed, nests deeper than 64 containers or refers to itself; the error says what
/// and at which byte.
pub fn read(bytes: &[u8]) -> Result<Value, String> {
    read_first(bytes).map(|(value, _)| value)
}

/// Reads the pickle that some bytes begin with; with its length.
fn read_first(bytes: &[u8]) -> Result<(Value, usize), String> {
    let mut machine = Machine { bytes, at: 0, stack: Vec::new(), memo: Vec::new(), made: Vec::new(), values: 0 };
    let top = machine.run().map_err(|reason| format!("{reason} (byte {})", machine.at))?;
    let mut finished = vec![None; machine.made.len()];
    Ok((machine.finish(&top, 0, &mut finished)?, machine.at))
}

/// The value that `torch.save` of old wrote: the fourth of several pickles, after a magic number, a version and the sizes
/// of types.
///
/// # Errors
/// If there are not so many, or one cannot be read.
pub fn read_torch(bytes: &[u8]) -> Result<Value, String> {
    const BEFORE: usize = 3;
    let mut rest = bytes;
    for _ in 0..BEFORE {
        rest = &rest[read_first(rest)?.1..];
    }
    read(rest)
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Item>,
    memo: Vec<Option<Item>>,
    made: Vec<Made>,
    values: usize,
}

impl<'a> Machine<'a> {
    fn run(&mut self) -> Result<Item, String> {
        loop {
            let opcode = self.take(1)?[0];
            match opcode {
                b'.' => return self.pop(),
                0x80 => self.protocol()?,
                0x95 => drop(self.take(8)?),
                b'}' => self.push_made(Made::Dict(Vec::new()))?,
                b']' | 0x8f | b')' => self.push_made(Made::List(Vec::new()))?,
                b'(' => self.stack.push(Item::Mark),
                b'N' => self.push(Value::None)?,
                0x88 => self.push(Value::Bool(true))?,
                0x89 => self.push(Value::Bool(false))?,
                b'J' => self.signed::<4>()?,
                b'K' => self.unsigned::<1>()?,
                b'M' => self.unsigned::<2>()?,
                0x8a => self.long()?,
                b'G' => self.float()?,
                0x8c => self.text::<1>()?,
                b'X' => self.text::<4>()?,
                b'C' => self.byte_string::<1>()?,
                b'B' => self.byte_string::<4>()?,
                0x94 => self.memoize(self.memo.len())?,
                b'q' => self.put::<1>()?,
                b'r' => self.put::<4>()?,
                b'h' => self.memoized::<1>()?,
                b'j' => self.memoized::<4>()?,
                b'a' => self.append()?,
                b'e' | 0x90 => self.extend_list()?,
                b's' => self.set_item()?,
                b'u' => self.set_items()?,
                0x85..=0x87 => self.tuple_of(usize::from(opcode - 0x84))?,
                b't' => self.tuple()?,
                0x93 => self.stack_global()?,
                b'c' => self.named_global()?,
                // A reference to an array in another file: its name and size, a tuple, stand for it.
                b'Q' => {}
                b'R' => self.reduce()?,
                b'b' => self.build()?,
                other => return Err(format!("opcode {other:#04x} is not allowed")),
            }
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..count).ok_or("the pickle is cut off")?;
        self.at += count;
        Ok(taken)
    }

    fn number<const N: usize>(&mut self) -> Result<usize, String> {
        let mut wide = [0; 8];
        wide[..N].copy_from_slice(self.take(N)?);
        usize::try_from(u64::from_le_bytes(wide)).map_err(|e| e.to_string())
    }

    fn pop(&mut self) -> Result<Item, String> {
        self.stack.pop().ok_or_else(|| "the stack is empty".to_string())
    }

    /// What stands above the topmost mark, which goes too.
    fn pop_to_mark(&mut self) -> Result<Vec<Item>, String> {
        let mark = self.stack.iter().rposition(|item| matches!(item, Item::Mark)).ok_or("there is no mark")?;
        let items = self.stack.split_off(mark + 1);
        self.stack.pop();
        Ok(items)
    }

    fn count(&mut self, values: usize) -> Result<(), String> {
        self.values += values;
        match self.values > MOST_VALUES {
            true => Err(format!("more than {MOST_VALUES} values")),
            false => Ok(()),
        }
    }

    fn push(&mut self, value: Value) -> Result<(), String> {
        self.count(1)?;
        self.stack.push(Item::Leaf(value));
        Ok(())
    }

    fn push_made(&mut self, made: Made) -> Result<(), String> {
        self.count(1)?;
        self.stack.push(Item::Made(self.made.len()));
        self.made.push(made);
        Ok(())
    }

    fn protocol(&mut self) -> Result<(), String> {
        match self.take(1)?[0] {
            0..=5 => Ok(()),
            other => Err(format!("there is no pickle protocol {other}")),
        }
    }

    fn unsigned<const N: usize>(&mut self) -> Result<(), String> {
        let number = self.number::<N>()?;
        self.push(Value::Int(number as i64))
    }

    fn signed<const N: usize>(&mut self) -> Result<(), String> {
        let number = self.number::<N>()? as i64;
        let unused = 64 - 8 * N as u32;
        self.push(Value::Int(number << unused >> unused))
    }

    /// An integer of up to eight bytes, two's complement; a longer one stays bytes.
    fn long(&mut self) -> Result<(), String> {
        let length = self.number::<1>()?;
        let bytes = self.take(length)?;
        if length > 8 {
            return self.push(Value::Bytes(bytes.into()));
        }
        let sign = if bytes.last().is_some_and(|last| last & 0x80 != 0) { 0xff } else { 0 };
        let mut wide = [sign; 8];
        wide[..length].copy_from_slice(bytes);
        self.push(Value::Int(i64::from_le_bytes(wide)))
    }

    fn float(&mut self) -> Result<(), String> {
        let bytes = self.take(8)?.try_into().expect("eight bytes were taken");
        self.push(Value::Float(f64::from_be_bytes(bytes)))
    }

    fn text<const N: usize>(&mut self) -> Result<(), String> {
        let length = self.number::<N>()?;
        let text = std::str::from_utf8(self.take(length)?).map_err(|e| e.to_string())?;
        self.push(Value::Text(text.into()))
    }

    fn byte_string<const N: usize>(&mut self) -> Result<(), String> {
        let length = self.number::<N>()?;
        let bytes = self.take(length)?;
        self.push(Value::Bytes(bytes.into()))
    }

    fn memoize(&mut self, place: usize) -> Result<(), String> {
        let top = self.stack.last().ok_or("there is nothing to remember")?.clone();
        if place > self.memo.len() + 1024 {
            return Err(format!("memory place {place} leaves a gap"));
        }
        self.memo.resize(self.memo.len().max(place + 1), None);
        self.memo[place] = Some(top);
        Ok(())
    }

    fn put<const N: usize>(&mut self) -> Result<(), String> {
        let place = self.number::<N>()?;
        self.memoize(place)
    }

    fn memoized<const N: usize>(&mut self) -> Result<(), String> {
        let place = self.number::<N>()?;
        let item =
            self.memo.get(place).cloned().flatten().ok_or_else(|| format!("nothing was remembered as {place}"))?;
        self.count(1)?;
        self.stack.push(item);
        Ok(())
    }

    fn top_list(&mut self) -> Result<&mut Vec<Item>, String> {
        match self.stack.last() {
            Some(Item::Made(place)) => match &mut self.made[*place] {
                Made::List(items) => Ok(items),
                Made::Dict(_) => Err("a dictionary is not a list".to_string()),
            },
            _ => Err("there is no list".to_string()),
        }
    }

    fn top_dict(&mut self) -> Result<&mut Vec<(Item, Item)>, String> {
        match self.stack.last() {
            Some(Item::Made(place)) => match &mut self.made[*place] {
                Made::Dict(entries) => Ok(entries),
                Made::List(_) => Err("a list is not a dictionary".to_string()),
            },
            _ => Err("there is no dictionary".to_string()),
        }
    }

    fn append(&mut self) -> Result<(), String> {
        let item = self.pop()?;
        self.top_list()?.push(item);
        Ok(())
    }

    fn extend_list(&mut self) -> Result<(), String> {
        let items = self.pop_to_mark()?;
        self.top_list()?.extend(items);
        Ok(())
    }

    fn set_item(&mut self) -> Result<(), String> {
        let (value, key) = (self.pop()?, self.pop()?);
        self.top_dict()?.push((key, value));
        Ok(())
    }

    fn set_items(&mut self) -> Result<(), String> {
        let mut items = self.pop_to_mark()?.into_iter();
        if items.len() % 2 == 1 {
            return Err("a key has no value".to_string());
        }
        let entries = self.top_dict()?;
        while let (Some(key), Some(value)) = (items.next(), items.next()) {
            entries.push((key, value));
        }
        Ok(())
    }

    fn tuple_of(&mut self, count: usize) -> Result<(), String> {
        let first = self.stack.len().checked_sub(count).ok_or("the stack is empty")?;
        let items = self.stack.split_off(first);
        self.push_made(Made::List(items))
    }

    fn tuple(&mut self) -> Result<(), String> {
        let items = self.pop_to_mark()?;
        self.push_made(Made::List(items))
    }

    /// Names a constructor. Only those of the allow-list exist.
    fn stack_global(&mut self) -> Result<(), String> {
        let (name, module) = (self.pop()?, self.pop()?);
        let (Item::Leaf(Value::Text(module)), Item::Leaf(Value::Text(name))) = (module, name) else {
            return Err("the name of a constructor is not text".to_string());
        };
        self.push_global(&module, &name)
    }

    /// The same with the names in the file itself, a line each.
    fn named_global(&mut self) -> Result<(), String> {
        let (module, name) = (self.line()?, self.line()?);
        self.push_global(module, name)
    }

    fn line(&mut self) -> Result<&'a str, String> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or("the pickle is cut off")?;
        self.at += end + 1;
        std::str::from_utf8(&rest[..end]).map_err(|e| e.to_string())
    }

    fn push_global(&mut self, module: &str, name: &str) -> Result<(), String> {
        let global = match (module, name) {
            ("collections", "OrderedDict") => Global::OrderedDict,
            ("numpy", "dtype") => Global::NumpyDtype,
            ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar") => Global::NumpyScalar,
            ("_codecs", "encode") => Global::Latin1,
            ("igraph", "Graph")
            | ("torch._utils", "_rebuild_tensor_v2")
            | ("torch", "FloatStorage" | "LongStorage")
            | ("numpy", "ndarray")
            | ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => Global::Plain,
            _ => return Err(format!("`{module}.{name}` is not allowed")),
        };
        self.stack.push(Item::Global(global));
        Ok(())
    }

    /// Calls a constructor of the allow-list.
    fn reduce(&mut self) -> Result<(), String> {
        let Item::Made(arguments) = self.pop()? else { return Err("arguments are not a tuple".to_string()) };
        let Made::List(arguments) = &self.made[arguments] else { return Err("arguments are not a tuple".to_string()) };
        let arguments = arguments.clone();
        let Item::Global(global) = self.pop()? else { return Err("what is called is no constructor".to_string()) };
        match (global, arguments.as_slice()) {
            (Global::OrderedDict, []) => self.push_made(Made::Dict(Vec::new())),
            (Global::NumpyDtype, [Item::Leaf(Value::Text(name)), ..]) => {
                let dtype = match &**name {
                    "f4" => Dtype::F32,
                    "f8" => Dtype::F64,
                    "i4" => Dtype::I32,
                    "i8" => Dtype::I64,
                    other => return Err(format!("numpy type `{other}` is not allowed")),
                };
                self.stack.push(Item::Dtype(dtype));
                Ok(())
            }
            (Global::NumpyScalar, [Item::Dtype(dtype), Item::Leaf(Value::Bytes(bytes))]) => {
                let value = scalar(*dtype, bytes).ok_or("a numpy scalar has the wrong size")?;
                self.push(value)
            }
            (Global::Latin1, [Item::Leaf(Value::Text(text)), Item::Leaf(Value::Text(_))]) => {
                let byte = |c: char| u8::try_from(u32::from(c)).map_err(|_| "text is not Latin 1".to_string());
                let bytes = text.chars().map(byte).collect::<Result<Vec<u8>, String>>()?;
                self.push(Value::Bytes(bytes.into()))
            }
            (Global::Plain, _) => self.push_made(Made::List(arguments)),
            _ => Err(format!("{global:?} does not take these arguments")),
        }
    }

    /// Sets the state of an object. That of plain objects is not needed; numpy's types must be little-endian or have no
    /// byte order.
    fn build(&mut self) -> Result<(), String> {
        let state = self.pop()?;
        match self.stack.last() {
            Some(Item::Dtype(_)) => {}
            Some(Item::Made(_)) => return Ok(()),
            _ => return Err("only numpy's types and plain objects have a state".to_string()),
        }
        let Item::Made(state) = state else { return Err("the state is not a tuple".to_string()) };
        let order = match &self.made[state] {
            Made::List(fields) => fields.get(1),
            Made::Dict(_) => None,
        };
        match order {
            Some(Item::Leaf(Value::Text(order))) if matches!(&**order, "<" | "|" | "=") => Ok(()),
            _ => Err("a numpy type is not little-endian".to_string()),
        }
    }

    /// The finished value of an item. `finished` remembers containers, so that shared ones stay shared; one that is being
    /// finished while it is needed contains itself, which the depth ends.
    fn finish(&self, item: &Item, depth: u32, finished: &mut [Option<Value>]) -> Result<Value, String> {
        if depth > DEEPEST {
            return Err(format!("containers nest deeper than {DEEPEST}, or one contains itself"));
        }
        let place = match item {
            Item::Leaf(value) => return Ok(value.clone()),
            Item::Made(place) => *place,
            // The type of an array among the arguments of a plain object.
            Item::Global(Global::Plain) | Item::Dtype(_) => return Ok(Value::None),
            Item::Global(_) | Item::Mark => return Err("a constructor is no value".to_string()),
        };
        if let Some(value) = &finished[place] {
            return Ok(value.clone());
        }
        let value = match &self.made[place] {
            Made::List(items) => {
                let values: Result<Vec<Value>, String> =
                    items.iter().map(|item| self.finish(item, depth + 1, finished)).collect();
                Value::List(Rc::new(values?))
            }
            Made::Dict(entries) => {
                let entry = |(key, value): &(Item, Item)| {
                    Ok((self.finish(key, depth + 1, finished)?, self.finish(value, depth + 1, finished)?))
                };
                let entries: Result<Vec<(Value, Value)>, String> = entries.iter().map(entry).collect();
                Value::Dict(Rc::new(entries?))
            }
        };
        finished[place] = Some(value.clone());
        Ok(value)
    }
}

fn scalar(dtype: Dtype, bytes: &[u8]) -> Option<Value> {
    Some(match dtype {
        Dtype::F32 => Value::Float(f32::from_le_bytes(bytes.try_into().ok()?).into()),
        Dtype::F64 => Value::Float(f64::from_le_bytes(bytes.try_into().ok()?)),
        Dtype::I32 => Value::Int(i32::from_le_bytes(bytes.try_into().ok()?).into()),
        Dtype::I64 => Value::Int(i64::from_le_bytes(bytes.try_into().ok()?)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Python's `pickle.dumps({'a': [1, -2, 70000, 0.5, None, True], 'b': (1, 'x')}, protocol=4)` writes.
    const PLAIN: &[u8] = b"\x80\x04\x95\x2c\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01a\x94]\x94(K\x01J\xfe\xff\xff\xffJp\x11\x01\x00G?\xe0\x00\x00\x00\x00\x00\x00N\x88e\x8c\x01b\x94K\x01\x8c\x01x\x94\x86\x94u.";

    #[test]
    fn plain_values_are_read() {
        let value = read(PLAIN).unwrap();
        let expected =
            [Value::Int(1), Value::Int(-2), Value::Int(70_000), Value::Float(0.5), Value::None, Value::Bool(true)];
        assert_eq!(value.get("a").and_then(Value::as_list), Some(expected.as_slice()));
        assert_eq!(value.get("b").and_then(Value::as_list).map(<[Value]>::len), Some(2));
    }

    #[test]
    fn every_cut_is_an_error_and_no_panic() {
        for length in 0..PLAIN.len() {
            assert!(read(&PLAIN[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn what_would_run_code_is_refused_by_name() {
        // pickle.dumps of an object whose __reduce__ is (os.system, ('true',)).
        let hostile = b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.";
        assert!(read(hostile).unwrap_err().contains("`posix.system` is not allowed"));
        assert!(read(b"cos\nsystem\n.").unwrap_err().contains("`os.system` is not allowed"));
        let eval = b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93.";
        assert!(read(eval).unwrap_err().contains("`builtins.eval`"));
    }

    #[test]
    fn an_object_of_a_library_is_its_arguments() {
        assert!(read(b"\x80\x02cigraph\nGraph\n}b.").unwrap_err().contains("only numpy's types"));
        let graph = read(b"\x80\x02cigraph\nGraph\n(K\x08](K\x01K\x02etR}b.").unwrap();
        assert_eq!(graph.as_list().map(|arguments| arguments[0].clone()), Some(Value::Int(8)));
        let bytes = read(b"\x80\x02c_codecs\nencode\nX\x02\x00\x00\x00\xc3\xa9X\x06\x00\x00\x00latin1\x86R.");
        assert_eq!(bytes.unwrap(), Value::Bytes([0xe9].into()));
        let long =
            [b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.K\x01.".as_slice(), b"}.](K\x07e."].concat();
        assert_eq!(read_torch(&long).unwrap().as_list(), Some([Value::Int(7)].as_slice()));
        assert!(read_torch(&long[..long.len() - 1]).is_err());
    }

    #[test]
    fn what_would_fill_memory_or_stack_is_refused() {
        // A list that contains itself.
        assert!(read(b"\x80\x04]\x94h\x00a.").unwrap_err().contains("contains itself"));
        let deep = [vec![b']'; 100_000], vec![b'a'; 99_999], vec![b'.']].concat();
        assert!(read(&deep).unwrap_err().contains("nest deeper"));
        // A text of four gigabytes in a file of ten bytes.
        assert!(read(b"X\xff\xff\xff\xffabc.").unwrap_err().contains("cut off"));
        assert!(read(b"Nr\xff\xff\xff\xff.").unwrap_err().contains("leaves a gap"));
        let many = [vec![b'('], vec![b'N'; MOST_VALUES + 1], vec![b't', b'.']].concat();
        assert!(read(&many).unwrap_err().contains("more than"));
    }

    #[test]
    fn random_bytes_never_panic() {
        use rand::Rng;
        let mut rng = crate::seed::stream(1, "test", 0);
        for _ in 0..20_000 {
            let mut bytes = PLAIN.to_vec();
            for _ in 0..rng.random_range(1..6) {
                let at = rng.random_range(0..bytes.len());
                bytes[at] = rng.random();
            }
            let _ = read(&bytes);
        }
    }
}
