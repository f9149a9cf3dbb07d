"""Imports what every job needs, torch first of all: seconds, spent before a job is asked for.

A fork server imports this module and forks afterwards, so that nothing imported here may start a thread that matters,
compute anything in parallel, or touch a GPU; and Qt must not come along.
"""

from ewm_studio.jobs.kinds import KINDS

for _kind in KINDS.values():
    _kind.load()
