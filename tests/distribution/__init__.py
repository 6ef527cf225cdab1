"""Several devices, simulated: the same run as on one."""
