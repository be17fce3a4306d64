"""What the options of `sharpen` can be; imports nothing heavy, for the help."""

PHASES = ("wald", "centre")
TYPES = ("uint8", "int16", "uint16", "int32", "uint32", "float32", "float64")
COMPRESSIONS = ("deflate", "zstd", "lzw", "none")
FORMATS = ("GTiff", "COG")
