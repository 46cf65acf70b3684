"""Benchmarks: frame rate, memory and time per stage of a job, and of a live session.

    clip         the clip: a given one, at its size or scaled, or a generated talking head
    end_to_end   the whole job as `process` does it, and the codec baseline: the same clip decoded and encoded
    stages       each stage by itself, batch by batch
    competitor   another program on the same clip, in paired runs
    live         a live session with a clip as its camera
    report       the results as a table and as JSON
    runner       run_bench: all of a job's benchmarks

Everything is measured in a process of its own, so that the clip's generation and the caller do not count.
"""
