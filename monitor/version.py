"""Which Anchorwatch this is."""

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("anchorwatch")
except PackageNotFoundError:  # run from a folder that was never installed
    VERSION = "0.0.0"
