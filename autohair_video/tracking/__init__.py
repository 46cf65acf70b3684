"""Who is who: people followed through a clip, and which of them are kept.

appearance  a person's colour histogram and region; similarity of two
tracker     regions of the segmenter's probability -> tracks, with re-identification
selection   which tracks are kept; keep and drop mattes
"""
