"""Multi-person tracking and subject selection, in the order in which a frame meets the modules.

selection   prompt and probabilities -> probabilities of the selected tracks; keep and drop mattes
tracker     regions of the person probability -> tracks, with re-identification
appearance  colour histogram and silhouette of a track; assignment of shared pixels
"""
