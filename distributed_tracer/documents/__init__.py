"""In: JSON, YAML, headers of safetensors from outside. Out: plain values, in bounded memory and time, or one error."""
