"""What a method costs: parameters, operations, memory, latency, energy."""

# Sides of the guide that are measured by default, and precisions with the names of torch's types.
SIZES = (64, 256, 512, 2048)
PRECISIONS = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
