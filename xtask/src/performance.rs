//! `docs/performance.md`: the page that shows the tables of `docs/performance`.
//!
//! A table is a file of JSON. `cargo xtask bench` writes some, the scripts of `benches/` write others through
//! `benches/record.py`; the page is made of whatever tables there are.

pub(crate) mod table;

use std::path::Path;

use anyhow::Result;

use table::Table;

/// The folder of the tables, from the root of the repository.
pub(crate) const TABLES: &str = "docs/performance";

/// The page that shows them.
pub(crate) const PAGE: &str = "docs/performance.md";

/// Writes the page from the tables that exist.
pub(crate) fn write_page(root: &Path) -> Result<()> {
    if !page_is_current(root)? {
        std::fs::write(root.join(PAGE), page(&Table::read_all(&root.join(TABLES))?))?;
        println!("wrote {PAGE}");
    }
    Ok(())
}

/// Whether the page is what its tables say.
pub(crate) fn page_is_current(root: &Path) -> Result<bool> {
    let made = page(&Table::read_all(&root.join(TABLES))?);
    Ok(std::fs::read_to_string(root.join(PAGE)).is_ok_and(|page| page == made))
}

/// The page that shows `tables`.
fn page(tables: &[Table]) -> String {
    let head = "# Performance\n\nWritten by `cargo xtask performance-page` from the tables in [performance/](performance); each says \
                what made it.\n";
    tables.iter().fold(head.into(), |page, table| page + "\n" + &table.markdown())
}
