"""The API reference in a browser."""
