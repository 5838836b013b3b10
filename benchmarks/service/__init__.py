"""A served fleet under more than it can do: overload, bursts, slow readers, tenants, overhead."""
