"""The operators' command line, ``./phones``: what is asked and what is shown. The rest of `ops` does the work."""
