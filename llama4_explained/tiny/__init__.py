"""A tiny Llama 4 that is trained from scratch on pictures of coloured shapes, in thirteen languages."""
