#!/bin/bash -eu
# One recipe for all engines: see fuzz/oss-fuzz/build.sh.
exec "$SRC/simrtc/fuzz/oss-fuzz/build.sh"
