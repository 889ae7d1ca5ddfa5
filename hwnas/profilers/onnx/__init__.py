"""ONNX files as they are measured and exported, and the quantizer that their numbers come from."""
