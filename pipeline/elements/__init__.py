"""The elements of a test: judged as it happens, from the records alone."""

from pipeline.elements.codec import MalformedBody
from pipeline.elements.commands import Planned
from pipeline.elements.elements import Elements
from pipeline.elements.engine import VERSION
from pipeline.elements.refusal import Refused
from pipeline.elements.registry_file import RegistryImport, read_registries, read_registry
from pipeline.elements.settings import ElementsSettings
from pipeline.elements.shapes import Actor, Draft

__all__ = [
    "VERSION", "Actor", "Draft", "Elements", "ElementsSettings", "MalformedBody", "Planned", "Refused",
    "RegistryImport", "read_registries", "read_registry",
]  # fmt: skip
