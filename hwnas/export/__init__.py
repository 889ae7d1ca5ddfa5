"""What leaves the house: ONNX files, the gate, manifests; the main road from end to end."""
