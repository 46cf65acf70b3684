"""The subject over a background, on the device.

foreground  estimated foreground colours of mixed pixels; despill
over        the over operator on Y'CbCr planes; light wrap; background blur
background  a colour, image or clip as frames of the clip's size
render      what each output shows: composite, straight-alpha foreground
"""
