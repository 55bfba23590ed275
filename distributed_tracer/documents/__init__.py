"""Documents from outside (JSON, YAML, safetensors headers), parsed to plain values in bounded memory and time."""
