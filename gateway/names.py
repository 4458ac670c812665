"""Guards of our package names, which are everyday words: another distribution may use the same ones.

Python imports whatever comes first on its path, so a foreign `config` would replace ours without a word
(docs/adr/0001). A test and `yaosu check` call `name_conflicts`.
"""

import importlib.util
from collections.abc import Mapping, Sequence
from importlib.metadata import packages_distributions
from pathlib import Path

DISTRIBUTION = "yaosu"
PACKAGES = ("config", "dashboard", "drivers", "gateway", "pipeline", "simulators")


def name_conflicts(claims: Mapping[str, Sequence[str]] | None = None, root: Path | None = None) -> list[str]:
    """Return a sentence for each package name of ours that is not ours alone; an empty list is well.

    Args:
        claims: import name to the distributions that provide it; by default those of this environment.
        root: the folder that holds our packages; by default the one that holds this very file's package.
    """
    claims = packages_distributions() if claims is None else claims
    root = Path(__file__).parents[1] if root is None else root
    conflicts: list[str] = []
    for package in PACKAGES:
        conflicts.extend(
            f"the installed distribution '{foreign}' also provides a package '{package}':"
            f" uninstall it, or give Yaosu an environment of its own"
            for foreign in sorted(set(claims.get(package, ())) - {DISTRIBUTION})
        )
        origin = _origin(package)
        if origin != root / package:
            conflicts.append(
                f"'import {package}' finds {origin or 'nothing'} in place of {root / package}:"
                f" start elsewhere, or take that folder from PYTHONPATH"
            )
    return conflicts


def _origin(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent
