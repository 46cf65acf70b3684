"""Does an output hold what was promised? Decoded anew and compared with its input, line by line.

times     frames, pts, durations, sound and subtitles
pixels    alpha: there, straight or premultiplied; the subject's own pixels
checks    one line each, and what they add up to
"""
