"""Errors with three parts: which subject or key, found against expected, and the way out."""


class FcdsynthError(Exception):
    """Base of all errors a user can cause and can mend.

    Args:
        subject: Subject id, file name or settings key that the error is about.
        found: What was found.
        expected: What was expected instead.
        remedy: What to do, as a sentence.
    """

    def __init__(self, subject: str, found: str, expected: str, remedy: str) -> None:
        self.subject = subject
        self.found = found
        self.expected = expected
        self.remedy = remedy
        super().__init__(subject, found, expected, remedy)

    def __str__(self) -> str:
        return f"{self.subject}: found {self.found}; expected {self.expected}. {self.remedy}"


class CohortError(FcdsynthError):
    """A cohort table, a BIDS folder or one of their files is not as it should be."""


class GeometryError(FcdsynthError):
    """Two grids that must agree do not, or a point lies outside a grid."""


class SettingsError(FcdsynthError):
    """A setting is unknown, out of range or contradicts another one."""


class LeakageError(FcdsynthError):
    """A training set holds something made from a validation or test subject."""


class RunError(FcdsynthError):
    """An output folder cannot be written, resumed or read as a run."""


class LedgerError(FcdsynthError):
    """A ledger cannot be read or written, is not whole, or a record breaks one of its rules."""
