"""The metrics engine: documents in, figures out. Pure Python with numpy; knows no framework.

`lines.build_lines` makes the input, `report.measure` the report.
"""
