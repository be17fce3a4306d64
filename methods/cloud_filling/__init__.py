"""Methods that fill what clouds hide."""
