"""The settings that the fault tests change, in one place."""

# The exchanger's choice for what cannot be delivered now: (role, key, value).
REFUSE = ("mx", "when_unavailable", '"refuse"')
