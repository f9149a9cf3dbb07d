"""Vision components, one file each; a new file here is a new component everywhere."""
