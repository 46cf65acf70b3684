"""What all parts run on: devices, threads, queues and measurements. Independent of matting.

devices       choice of device and precision
thread_pools  work distributed over CPU cores
queues        bounded prefetch, background workers, latest-value slots
atomic        atomic replacement of a file
profiling     time per stage, memory of the process and the device
"""
