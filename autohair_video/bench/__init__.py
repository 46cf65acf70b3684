"""How fast, in how much memory, and where the time goes: figures that a user would see.

    clip      what is matted: a given clip, at its size or scaled, or a generated talking head
    job       the whole job as `process` does it, and the floor: the same clip decoded and encoded
    stages    each stage by itself, batch by batch
    against   another program on the same clip
    live      a live session by the clock, with a clip as its camera
    memory    the most that the process and the device have held
    report    all of it as a table and as JSON

`run_bench` does it all. What is measured runs in a process of its own, so that neither the clip's
making nor the caller counts.
"""
