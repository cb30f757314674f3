"""Example strategies. Copy one, change it, name it in a config: `use: "./my_strategy.py:MyStrategy"`."""
