"""The operator in C++ for CPUs: the source, its compiler, and what it is told.

It knows no framework; `ops/<backend>/cpp_kernel.py` hands it the tensors of one.
"""
