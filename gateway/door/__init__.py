"""The command door of a process: HTTP/1.1 and JSON on a Unix socket (0660)."""
