"""The site model: what one configuration file may say, assembled from the parts' own settings."""

from gateway.site.load import LoadedSite, load_site
from gateway.site.model import SiteSettings

__all__ = ["LoadedSite", "SiteSettings", "load_site"]
