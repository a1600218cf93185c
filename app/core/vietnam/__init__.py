"""Vietnamese data: phones, text, names, provinces, tax codes, money and dates.

Pure functions without input or output; each runs once per imported cell, so they avoid exceptions.
"""
