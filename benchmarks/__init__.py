"""Speed and memory next to goals and peers; ``python -m benchmarks`` prints the table.

A part is a module here with ``rows() -> list[Row]``, named in ``PARTS`` of ``benchmarks.__main__``.
"""
