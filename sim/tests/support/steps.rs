//! Steps of a workload, carried out in a transaction. Knows nothing of what becomes of it.

use covault_store::{StoreError, Txn};

use super::workload::Step;

/// Does a step, and holds the answer against what the rules say.
pub fn write(txn: &mut Txn<'_>, step: &Step) -> Result<(), StoreError> {
    match step {
        Step::Command(command, applied) => assert_eq!(txn.apply(command)?, *applied),
        Step::Version(path, version) => {
            txn.insert_version(path, &version.record, Some(&version.payload), None)?;
        }
        Step::Marks(path, record) => drop(txn.insert_marks(path, record)?),
    }
    Ok(())
}
