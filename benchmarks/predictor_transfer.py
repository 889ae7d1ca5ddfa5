"""Transfer to a new device, and active measuring, on public latencies."""


def transfer(data, seeds):
    return iter(())


def active(data, seeds):
    return iter(())
