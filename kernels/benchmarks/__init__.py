"""The kernels beside their peers, on a GPU: `python kernels/benchmarks matmul_int4`, from the repository's root.

Each op is a file that says what is measured, `peers.py` has the other libraries' kernels, `timing.py` the stopwatch,
`results.py` the files in results/ and `chart.py` the pictures of them. Nothing is typed: numbers on the site and in
the notebooks come from these files.
"""
