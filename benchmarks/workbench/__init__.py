"""The review workbench, measured in a browser."""
