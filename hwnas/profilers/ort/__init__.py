"""ONNX Runtime. See `device.OnnxRuntimeDevice`."""
