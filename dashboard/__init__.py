"""The pages for laboratories and regulators."""

from dashboard.app import build_dashboard
from dashboard.door import Door
from dashboard.settings import WebSettings

__all__ = ["Door", "WebSettings", "build_dashboard"]
