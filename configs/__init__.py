"""Facts of venues (exchanges/*.yaml) and example configurations; installed as connectors.configs."""
