"""The subject over a new background, on the device that holds the frames.

render      what each output shows: a composite, or the straight-alpha foreground
foreground  foreground colours of mixed pixels
despill     the light of a green or blue screen on the subject
background  a colour, image or clip as frames of the clip's size
blur        weighted Gaussian blur; the frame's own background out of focus
over        the over operator on Y'CbCr planes
light_wrap  the new background's light on the subject's edge
"""
