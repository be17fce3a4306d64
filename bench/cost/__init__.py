"""What a method costs: parameters, operations, memory, latency, energy."""
