"""Device profiles: the register map of a product in one readable file, with an example that proves it.

A profile is copied into the site file, never referenced (docs/adr/0030): what is in force stays one file with
one hash.
"""

from drivers.modbus.profiles.file import FOLDER, Profile, list_profiles, load_profile
from drivers.modbus.profiles.lint import lint_profile

__all__ = ["FOLDER", "Profile", "lint_profile", "list_profiles", "load_profile"]
