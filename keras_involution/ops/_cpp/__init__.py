"""The operator in C++ for CPUs: the kernels, the compiler and the call arguments.

It depends on no framework; `ops/<backend>/cpp_kernel.py` passes it the tensors.
"""
