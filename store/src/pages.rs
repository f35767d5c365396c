//! The frame of LMDB's own file, read before LMDB maps it. LMDB trusts its pages: one that lies beyond
//! the end of a mapped file, or holds garbage where it expects a tree, ends the process.
//!
//! Always caught: a file that was cut short, foreign bytes, and garbage in what opening and the first
//! write read (both headers, the list of tables, the table of single values, the list of free pages). Of
//! a file that is shorter than its header counts, every page that any table reaches is looked at: that
//! file may still be whole, since LMDB does not write pages that it took and gave back at the end.
//! Not caught: garbage within the tables of a file of full length. A backup and `compare_with_rebuild` read
//! all of that, and a value that was changed does not open.
//!
//! Format: LMDB data version 1 on a 64-bit machine, in its byte order. Knows nothing of what rows mean.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

use crate::tables::META_TABLE;

const MAGIC: u32 = 0xBEEF_C0DE;
const DATA_VERSION: u32 = 1;
const META_LEN: usize = 152;
const PAGE_HEAD_LEN: usize = 16;
const NODE_HEAD_LEN: usize = 8;
const TREE_LEN: usize = 48;
const DEPTH_MAX: u32 = 32;
const NO_PAGE: u64 = u64::MAX;

const BRANCH: u16 = 1;
const LEAF: u16 = 2;
const OVERFLOW: u16 = 4;
const META: u16 = 8;

const NODE_BIG: u16 = 1;
const NODE_TREE: u16 = 2;

/// What is wrong with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not an LMDB file.
    Foreign,
    /// A page that is in use lies beyond the end.
    Truncated,
    /// A page is not what it should be.
    Damaged(&'static str),
    /// The operating system refused.
    Io(io::ErrorKind),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error.kind())
    }
}

/// Looks at the LMDB file at `path`.
pub(crate) fn check(path: &Path) -> Result<(), Fault> {
    let file = File::open(path)?;
    let len = file.metadata()?.len();
    let header = newest_header(&file, len)?;
    let pages = Pages { file, len, size: header.page_size, last: header.last_page };
    let whole = header.last_page < len / header.page_size as u64;
    pages.walk(header.free, 1, &mut |node| pages.check_free(node))?;
    pages.walk(header.main, 2, &mut |node| match node.value {
        Value::Tree(tree) if !whole || node.key == META_TABLE.as_bytes() => {
            pages.walk(tree, 2, &mut |_| Ok(()))
        }
        _ => Ok(()),
    })
}

struct Header {
    page_size: usize,
    free: Tree,
    main: Tree,
    last_page: u64,
    transaction: u64,
}

#[derive(Clone, Copy)]
struct Tree {
    root: u64,
}

fn newest_header(file: &File, len: u64) -> Result<Header, Fault> {
    let first = read_header(file, len, 0)?;
    let second = read_header(file, len, first.page_size as u64).map_err(|fault| match fault {
        Fault::Foreign => Fault::Damaged("its second header is not one"),
        other => other,
    })?;
    if first.page_size != second.page_size {
        return Err(Fault::Damaged("its two headers differ in page size"));
    }
    Ok(if first.transaction < second.transaction { second } else { first })
}

fn read_header(file: &File, len: u64, at: u64) -> Result<Header, Fault> {
    let mut bytes = [0; META_LEN];
    let there = usize::try_from(len.saturating_sub(at)).map_or(META_LEN, |there| there.min(META_LEN));
    file.read_exact_at(&mut bytes[..there], at)?;
    let meta = &bytes[PAGE_HEAD_LEN..];
    if PAGE_HEAD_LEN + 8 <= there && (u32_at(meta, 0)?, u32_at(meta, 4)?) != (MAGIC, DATA_VERSION) {
        return Err(Fault::Foreign);
    }
    if there < META_LEN {
        return Err(Fault::Truncated);
    }
    let page_size = u32_at(meta, 24)? as usize;
    if u16_at(&bytes, 10)? & META == 0
        || !page_size.is_power_of_two()
        || !(256..=1 << 15).contains(&page_size)
    {
        return Err(Fault::Damaged("a header is not one"));
    }
    Ok(Header {
        page_size,
        free: read_tree(meta, 24)?,
        main: read_tree(meta, 24 + TREE_LEN)?,
        last_page: u64_at(meta, 24 + 2 * TREE_LEN)?,
        transaction: u64_at(meta, 32 + 2 * TREE_LEN)?,
    })
}

fn read_tree(bytes: &[u8], at: usize) -> Result<Tree, Fault> {
    Ok(Tree { root: u64_at(bytes, at + 40)? })
}

/// A row of a leaf page.
struct Node<'p> {
    key: &'p [u8],
    value: Value<'p>,
}

enum Value<'p> {
    Here(&'p [u8]),
    Overflow { page: u64, len: usize },
    Tree(Tree),
}

type EachNode<'c> = &'c mut dyn FnMut(Node<'_>) -> Result<(), Fault>;

struct Pages {
    file: File,
    len: u64,
    size: usize,
    last: u64,
}

impl Pages {
    /// Hands every row of `tree` to `each`. `fewest`: the children a branch page has at least.
    fn walk(&self, tree: Tree, fewest: usize, each: EachNode<'_>) -> Result<(), Fault> {
        if tree.root == NO_PAGE {
            return Ok(());
        }
        let mut left = self.len / self.size as u64;
        self.visit(tree.root, DEPTH_MAX, fewest, &mut left, each)
    }

    fn visit(
        &self,
        number: u64,
        depth: u32,
        fewest: usize,
        left: &mut u64,
        each: EachNode<'_>,
    ) -> Result<(), Fault> {
        let (Some(depth), Some(fewer)) = (depth.checked_sub(1), left.checked_sub(1)) else {
            return Err(Fault::Damaged("a table's pages go round in a circle"));
        };
        *left = fewer;
        let page = self.page(number)?;
        let flags = u16_at(&page, 10)?;
        let nodes = nodes(&page)?;
        match flags {
            BRANCH if fewest <= nodes.len() => nodes.into_iter().try_for_each(|at| {
                let child = u64::from(u32_at(&page, at)?) | u64::from(u16_at(&page, at + 4)?) << 32;
                slice(&page, at + NODE_HEAD_LEN, u16_at(&page, at + 6)?.into())?;
                self.visit(child, depth, fewest, left, each)
            }),
            LEAF if !nodes.is_empty() => nodes.into_iter().try_for_each(|at| each(self.node(&page, at)?)),
            _ => Err(Fault::Damaged("a page of a table is not one")),
        }
    }

    fn node<'p>(&self, page: &'p [u8], at: usize) -> Result<Node<'p>, Fault> {
        let len = u32_at(page, at)? as usize;
        let flags = u16_at(page, at + 4)?;
        let key = slice(page, at + NODE_HEAD_LEN, u16_at(page, at + 6)?.into())?;
        let at = at + NODE_HEAD_LEN + key.len();
        let value = if flags & NODE_BIG != 0 {
            let page = u64_at(page, at)?;
            self.check_overflow(page, len)?;
            Value::Overflow { page, len }
        } else if flags & NODE_TREE != 0 && len == TREE_LEN {
            Value::Tree(read_tree(page, at)?)
        } else {
            Value::Here(slice(page, at, len)?)
        };
        Ok(Node { key, value })
    }

    fn check_overflow(&self, number: u64, len: usize) -> Result<(), Fault> {
        let mut head = [0; PAGE_HEAD_LEN];
        self.read(number, 0, &mut head)?;
        let pages = u64::from(u32_at(&head, 12)?);
        let wanted = (PAGE_HEAD_LEN + len).div_ceil(self.size) as u64;
        if (u64_at(&head, 0)?, u16_at(&head, 10)?) != (number, OVERFLOW) || pages < wanted {
            return Err(Fault::Damaged("a page of a large row is not one"));
        }
        // The last byte of the row must lie within the file.
        self.read(number, PAGE_HEAD_LEN + len.saturating_sub(1), &mut [0])
    }

    /// A row of the list of free pages: a count, then that many page numbers, falling.
    fn check_free(&self, node: Node<'_>) -> Result<(), Fault> {
        let mut far = Vec::new();
        let list = match node.value {
            Value::Here(list) => list,
            Value::Overflow { page, len } => {
                far.resize(len, 0);
                self.read(page, PAGE_HEAD_LEN, &mut far)?;
                &far
            }
            Value::Tree(_) => return Err(Fault::Damaged("the list of free pages is not one")),
        };
        let mut numbers = list.chunks_exact(8).map(|number| u64_at(number, 0));
        let count = numbers.next().unwrap_or(Err(Fault::Damaged("the list of free pages is empty")))?;
        let mut above = self.last.saturating_add(1);
        let mut found = 0;
        for number in numbers.take(usize::try_from(count).unwrap_or(usize::MAX)) {
            let number = number?;
            if !(2..above).contains(&number) {
                return Err(Fault::Damaged("the list of free pages is out of order"));
            }
            above = number;
            found += 1;
        }
        if found == count && node.key.len() == 8 {
            Ok(())
        } else {
            Err(Fault::Damaged("the list of free pages is cut"))
        }
    }

    fn page(&self, number: u64) -> Result<Vec<u8>, Fault> {
        let mut page = vec![0; self.size];
        self.read(number, 0, &mut page)?;
        if u64_at(&page, 0)? == number { Ok(page) } else { Err(Fault::Damaged("a page says it is another")) }
    }

    fn read(&self, number: u64, offset: usize, into: &mut [u8]) -> Result<(), Fault> {
        if self.last < number {
            return Err(Fault::Damaged("a page is named that was never made"));
        }
        let begin = number.checked_mul(self.size as u64).and_then(|at| at.checked_add(offset as u64));
        let end = begin.and_then(|begin| begin.checked_add(into.len() as u64));
        match (begin, end) {
            (Some(begin), Some(end)) if end <= self.len => Ok(self.file.read_exact_at(into, begin)?),
            _ => Err(Fault::Truncated),
        }
    }
}

/// The offsets of the nodes of a page.
fn nodes(page: &[u8]) -> Result<Vec<usize>, Fault> {
    let (lower, upper) = (usize::from(u16_at(page, 12)?), usize::from(u16_at(page, 14)?));
    if !(PAGE_HEAD_LEN..=upper).contains(&lower) || page.len() < upper {
        return Err(Fault::Damaged("a page's bounds are out of it"));
    }
    let offsets = page[PAGE_HEAD_LEN..lower].chunks_exact(2);
    offsets
        .map(|offset| match usize::from(u16_at(offset, 0)?) {
            at if at < upper => Err(Fault::Damaged("a row lies out of its page")),
            at => Ok(at),
        })
        .collect()
}

fn slice(bytes: &[u8], at: usize, len: usize) -> Result<&[u8], Fault> {
    let end = at.checked_add(len);
    end.and_then(|end| bytes.get(at..end)).ok_or(Fault::Damaged("a row lies out of its page"))
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Fault> {
    slice(bytes, at, N).map(|found| {
        let mut array = [0; N];
        array.copy_from_slice(found);
        array
    })
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, Fault> {
    array(bytes, at).map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, Fault> {
    array(bytes, at).map(u32::from_ne_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Result<u64, Fault> {
    array(bytes, at).map(u64::from_ne_bytes)
}
