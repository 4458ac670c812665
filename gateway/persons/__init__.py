"""The lab-side directory of persons: names, roles and password verifiers, outside the log."""

from gateway.persons.directory import (
    AuthenticationError,
    Directory,
    Person,
    PersonsError,
    Role,
    UncheckedError,
)

__all__ = ["AuthenticationError", "Directory", "Person", "PersonsError", "Role", "UncheckedError"]
