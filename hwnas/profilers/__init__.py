"""Devices, the measuring protocol and the measurement store; imports no runtime until one is asked for."""

from hwnas.profilers.device import Device, Remarks
from hwnas.profilers.machine.fingerprint import Fingerprint
from hwnas.profilers.measurement import Failure, Measurement
from hwnas.profilers.measuring.meter import Canary, GroupResult, Meter
from hwnas.profilers.measuring.protocol import Protocol
from hwnas.profilers.profile import profile
from hwnas.profilers.registry import device_names, get_device
from hwnas.profilers.store import Store, default_store_path

__all__ = [
    "Canary",
    "Device",
    "Failure",
    "Fingerprint",
    "GroupResult",
    "Measurement",
    "Meter",
    "Protocol",
    "Remarks",
    "Store",
    "default_store_path",
    "device_names",
    "get_device",
    "profile",
]
