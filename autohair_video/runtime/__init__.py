"""What every part runs on: devices, threads, queues and timers. Knows nothing of mattes.

devices     which device and precision; work spread over CPU cores
queues      bounded prefetching, background workers, latest-value slots
profiling   time per stage
"""
