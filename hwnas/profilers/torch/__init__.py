"""PyTorch. See `device.TorchDevice`."""
