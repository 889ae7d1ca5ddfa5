"""TVM: networks compiled from kernels that a space's subnets share, tuned once. See `device.TvmDevice`."""
