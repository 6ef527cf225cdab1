"""The operator in C++ for CPUs: the kernels, their compiler, and what they are told.

It knows no framework; `ops/<backend>/cpp_kernel.py` hands it the tensors of one.
"""
