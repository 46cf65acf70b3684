"""Decodes an output again and compares it with its input.

times     frames, pts, durations, sound and subtitles
pixels    alpha: there, straight or premultiplied; the subject's own pixels
checks    one line each, and what they add up to
"""
