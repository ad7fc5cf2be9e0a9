"""The scorecard as a spreadsheet: written with sample accounts and formulas, read back as a new configuration version.

`rules` is the scorecard of one version as rows, `samples` the accounts from the published mart; `write` lays both out in the
sheets of `rule_sheets` and `sample_sheets`. `read` finds the rows in an edited workbook again, `adopt` appends them to the seeds.
"""

from orchestration.errors import UserError


class WorkbookError(UserError):
    """The workbook cannot be written or read; the message says where, what was found and what to do. Nothing was written."""
