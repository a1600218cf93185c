"""Turns chunks of a file into rows for the staging table, in a process of its own."""
