"""One module per command: ``NAME``, ``HELP``, ``EXAMPLE``, ``add_arguments``, ``run``.

A command imports what it needs when it runs.
"""
