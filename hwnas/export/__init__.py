"""What leaves the house: ONNX files, the gate, manifests; the roads of a search and of a profile."""
