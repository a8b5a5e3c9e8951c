"""Explorers: sliders over the plot functions. Move one, and the picture and the sentence below it follow. They may
import the library, ``data``, ``measure``, ``training``, ``figures`` and ``experiment``."""
