"""What can be wrong with a source."""


class SourceError(ValueError):
    """A source cannot be used as it is; the message names the file or key, what was found and what to do."""


class SourceUnavailable(SourceError):
    """A remote source did not answer, or not with what it should; the same configuration may work in the next run.

    Attributes:
        may_pass: whether it may work some minutes later.
    """

    may_pass = True


class SuddenLoss(SourceError):
    """A table came with far fewer rows than it has; the message says how to accept that."""
