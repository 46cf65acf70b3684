"""Decodes an output again and compares it with its input.

runner    opens both files and runs all checks
timeline  frames, pts, durations, sound and subtitles
pixels    presence of alpha, straight or premultiplied; unchanged opaque samples
checks    the result: one line per check
"""
