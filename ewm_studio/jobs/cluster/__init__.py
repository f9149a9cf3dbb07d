"""Jobs on the machines of a Ray cluster: handed in and watched from outside, their files brought back.

Ray is the extra `cluster`, and is imported only where a cluster is asked for. The studio is a client of the cluster and
never one of its machines; all that a job needs travels with it, and a job's files travel back as they are saved.
"""
