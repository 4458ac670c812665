"""The command line: `yaosu`."""
