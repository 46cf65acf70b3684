"""A file job, from the call to finished outputs.

spec            the validated job: input, outputs, options
subject_inputs  images that select or mask the subject, loaded for one clip
sinks           each output: what it shows and its encoder; all of them written in one go
checkpoint      the folder in which a resumable job keeps its segments and state
segments        all outputs written in resumable segments
still           the job of a still image
runner          reader -> matting pipeline -> sinks, with progress and cancelling
progress        what a job reports
batch           many inputs, one after the other
dry_run         what a job would do and take
"""
