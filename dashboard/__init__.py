"""The pages for laboratories and regulators.

`build_dashboard` is in `dashboard.app`: every role reads the settings, one alone needs the pages.
"""

from dashboard.door import Door
from dashboard.settings import WebSettings

__all__ = ["Door", "WebSettings"]
