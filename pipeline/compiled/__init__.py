"""Compiled kernels: how functions over arrays become machine code, and who compiles what is not cached.

For every part with a kernel of its own: the rules of QC, the control charts, the lines for InfluxDB. What a
kernel computes stays in its part; here is only what all of them need. `jit` knows Numba and loads from the
cache; `compiling` lets a process of its own fill it.
"""
