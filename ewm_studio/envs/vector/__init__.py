"""Many environments stepped together, in this process or spread over several."""
